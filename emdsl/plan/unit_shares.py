"""Hidden shares that sum to 1 in each unit, integrated in closed form (Polya 1930; Mosimann 1962)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from emdsl.plan.share_piece import SharePiece
from emdsl.runtime.integrals.shares import SharesLaw, points_of
from emdsl.runtime.problem import Array, Theta


@dataclass(frozen=True)
class ShareUnits:
    """`shape` is `(shares, *cells, units)`, all shares of a unit one group of `size` after the other; `own_laws` marks
    the laws of the shares themselves.
    """

    pieces: tuple[SharePiece, ...]
    shape: tuple[int, ...]
    size: int
    own_laws: tuple[bool, ...]

    def evidence(self, theta: Theta, v: Array) -> ShareEvidence:
        """The integral at theta."""
        constant, law = self._law(theta, v, (True,) * len(self.pieces))
        return ShareEvidence(self, constant + law.log_integral, law)

    def drawn(self, theta: Theta, v: Array, rng: np.random.Generator) -> DrawnShares:
        """One draw of the shares from their own law in place of the posterior, for random starts."""
        _, law = self._law(theta, v, self.own_laws)
        return DrawnShares(self, law.draw(rng).reshape(self.shape))

    def _law(self, theta: Theta, v: Array, used: tuple[bool, ...]) -> tuple[Array, SharesLaw]:
        constant, exponents = np.zeros(self.shape[1:]), np.zeros(self.shape)
        for piece, wanted in zip(self.pieces, used, strict=True):
            if wanted:
                value, found = piece.exponents(theta, v, self.shape[-1])
                constant = constant + value
                exponents += found
        return constant, SharesLaw(1.0 + exponents.reshape(-1, self.size, *self.shape[1:]))


@dataclass(frozen=True)
class ShareEvidence:
    """The evidence `(*cells, units)` and the law of the shares at one theta."""

    units: ShareUnits
    value: Array
    law: SharesLaw

    def forward(self, rows: slice) -> Array:
        """Log-evidence of some units."""
        return np.array(self.value[..., rows])

    def statistics(self, weights: Array) -> dict[str, Any]:
        """Points at which every logarithm of a share has its mean."""
        mean_log = self.law.mean_log.reshape(self.units.shape)
        points, share = points_of(mean_log)
        found: dict[str, Any] = {}
        total = weights.sum(axis=-1)
        counted = np.where(weights > 0, weights * mean_log, 0.0).sum(axis=-1)
        pooled, part = points_of((counted / np.where(total > 0, total, 1.0))[..., None])
        for piece in self.units.pieces:
            if not piece.bound.piece.atoms:
                continue  # the M-step has no use for it
            if piece.is_pooled:
                found[piece.name] = piece.pooled(pooled, part * total[..., None, None])
            else:
                found[piece.name] = piece.statistics(points, share * weights[..., None, :])
        return found

    def moments(self) -> tuple[Array, Array]:
        """Posterior means and variances, `(shares, *cells, units)`."""
        mean, variance = self.law.moments()
        return mean.reshape(self.units.shape), variance.reshape(self.units.shape)


@dataclass(frozen=True)
class DrawnShares:
    """One value of the shares in place of their posterior, `(shares, *cells, units)`."""

    units: ShareUnits
    values: Array

    def forward(self, rows: slice) -> Array:
        """Nothing is said of the cells."""
        return np.zeros((*self.values.shape[1:-1], len(range(*rows.indices(self.values.shape[-1])))))

    def statistics(self, weights: Array) -> dict[str, Any]:
        """The draws as one point for each unit."""
        points = self.values[..., None, :]
        share = weights[..., None, :]
        return {piece.name: piece.statistics(points, share) for piece in self.units.pieces}

    def moments(self) -> tuple[Array, Array]:
        """A draw is no posterior."""
        raise AssertionError("random starts have no posterior")
