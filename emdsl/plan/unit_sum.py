"""A hidden count in each unit, without a bound that all share: summed over the whole numbers where it is probable.

The stretch of numbers that counts is found by halving: the log-joint is looked at on a coarse scale, what lies too far
below its largest value at both ends is left out, and what is left is looked at on a finer one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from emdsl.diagnostics.errors import EmmError
from emdsl.plan.gaussian_method import DrawnEvidence
from emdsl.plan.latent_pieces import AnyPiece
from emdsl.plan.unit_quadrature import PointEvidence
from emdsl.runtime.kernels import log_sum_exp
from emdsl.runtime.problem import Array, Theta

#: What is so far below the largest value is left out: e^-45 is less than 1e-19.
DEEP = 45.0
#: Numbers on one scale, the largest number that is looked at, and most numbers that are summed.
SCALE, LARGEST, MOST = 65, 2.0**40, 65_537


@dataclass
class SumUnits:
    """`low` and `high` `(units,)` are the limits, which belong to the numbers; `shape` is `(1, *cells, units)`."""

    pieces: tuple[AnyPiece, ...]
    shape: tuple[int, ...]
    own_laws: tuple[bool, ...]
    low: Array
    high: Array
    name: str
    count: int = 1

    @property
    def slots(self) -> tuple[tuple[int, ...], ...]:
        """Every piece looks at the one number."""
        return ((0,),) * len(self.pieces)

    def evidence(self, theta: Theta, v: Array) -> PointEvidence:
        """The sum at theta."""
        points, joint = self._summed(theta, v, (True,) * len(self.pieces))
        value, _ = log_sum_exp(np.moveaxis(joint, -2, 0).copy(), (0,))
        share = np.exp(joint - value[..., None, :])
        return PointEvidence(self, value, points[None], share)

    def drawn(self, theta: Theta, v: Array, rng: np.random.Generator) -> DrawnEvidence:
        """One draw from the number's own law."""
        points, joint = self._summed(theta, v, self.own_laws)
        chosen = np.argmax(joint + rng.gumbel(size=joint.shape), axis=-2)
        values = np.take_along_axis(points, chosen[..., None, :], axis=-2)[..., 0, :][None]
        return DrawnEvidence(self.pieces, (values,) * len(self.pieces), self.shape[1:-1])

    def _joint(self, theta: Theta, v: Array, points: Array, used: tuple[bool, ...]) -> Array:
        total: Any = np.zeros(points.shape)
        for piece, wanted in zip(self.pieces, used, strict=True):
            if wanted:
                total = total + piece.summed(theta, v, points[None])
        inside = (points >= self.low) & (points <= self.high)
        return np.asarray(np.where(inside & ~np.isnan(total), total, -np.inf))

    def _summed(self, theta: Theta, v: Array, used: tuple[bool, ...]) -> tuple[Array, Array]:
        """Whole numbers `(*cells, points, units)` and the log-joint there."""
        low = np.broadcast_to(np.maximum(self.low, -LARGEST), self.shape[1:])
        high = np.broadcast_to(np.minimum(self.high, LARGEST), self.shape[1:])
        fraction = np.arange(SCALE) / (SCALE - 1)
        first = True
        while (high - low).max() >= SCALE:
            points = _spread(low, high, fraction, self.low, by_size=first)
            joint = self._joint(theta, v, points, used)
            top = joint.max(axis=-2, keepdims=True)
            # Where nothing is possible, any one number says so.
            deep = np.where(np.isfinite(top), ~(joint >= top - DEEP), np.arange(SCALE)[:, None] > 0)
            begin = np.maximum(np.argmin(deep, axis=-2) - 1, 0)
            end = np.minimum(SCALE - np.argmin(deep[..., ::-1, :], axis=-2), SCALE - 1)
            narrower_low = np.take_along_axis(points, begin[..., None, :], axis=-2)[..., 0, :]
            narrower_high = np.take_along_axis(points, end[..., None, :], axis=-2)[..., 0, :]
            stays = (narrower_high - narrower_low) > 0.75 * (high - low)
            low, high = narrower_low, narrower_high
            if not first and stays[(high - low) >= SCALE].all():
                break
            first = False
        width = int((high - low).max())
        if width >= MOST * self.count:
            raise EmmError(
                "too-large", f"the open cells of `{self.name}` may be any of {width:,} whole numbers each; at most "
                f"{MOST * self.count:,} are summed",
            )  # fmt: skip
        points = low[..., None, :] + np.arange(width + 1)[:, None]
        return points, self._joint(theta, v, points, used)


def _spread(low: Array, high: Array, fraction: Array, least: Array, *, by_size: bool) -> Array:
    """`SCALE` whole numbers from `low` to `high` `(*cells, units)`: evenly, or, for numbers of any size, by their order
    of magnitude, seen from the limit or from 0.
    """
    if not by_size:
        return np.asarray(np.round(low[..., None, :] + (high - low)[..., None, :] * fraction[:, None]))
    start = np.where(np.isfinite(least), np.broadcast_to(least, low.shape), 0.0)
    up = np.expm1(np.log1p(high - start)[..., None, :] * fraction[:, None])
    if np.isfinite(least).all():
        return np.asarray(np.round(start[..., None, :] + up))
    both = np.sign(fraction - 0.5)[:, None] * np.expm1(
        np.log1p(np.maximum(np.abs(low), np.abs(high)))[..., None, :] * np.abs(2 * fraction - 1)[:, None]
    )
    return np.asarray(np.clip(np.round(both), low[..., None, :], high[..., None, :]))
