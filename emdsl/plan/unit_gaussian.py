"""Gaussian hidden variables of each unit: their evidence in closed form, their posterior as sigma points."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from emdsl.plan.latent_pieces import AnyPiece
from emdsl.runtime.integrals.gaussian import UnitGaussian, integrate
from emdsl.runtime.integrals.stencil import quadratic, stencil
from emdsl.runtime.problem import Array, Theta

#: Where the stencil lies farther from the posterior than this many of its spreads, or is so many times too wide or too
#: narrow, the quadratic is taken again around the posterior: differences of its values would lose digits.
FAR, OUT_OF_SCALE = 100.0, 30.0
ROUNDS = 4


@dataclass
class GaussianUnits:
    """`slots` are for each piece the places of its hidden numbers among the d of a unit; `shape` is `(d, *cells,
    units)`; `own_laws` marks the laws of the hidden variables themselves.
    """

    pieces: tuple[AnyPiece, ...]
    slots: tuple[tuple[int, ...], ...]
    shape: tuple[int, ...]
    own_laws: tuple[bool, ...]
    around: tuple[Array, Array] | None = field(default=None, repr=False)

    def evidence(self, theta: Theta, v: Array) -> GaussianEvidence:
        """The integral at theta."""
        every = (True,) * len(self.pieces)
        if self.around is None:
            centre, spread = np.zeros(self.shape), np.ones(self.shape)
        else:
            centre, spread = self.around
        for _ in range(ROUNDS):
            value, law = self.integrated(theta, v, centre, spread, every)
            with np.errstate(divide="ignore", invalid="ignore"):
                far = np.abs(law.mean - centre) > FAR * np.maximum(law.spread, spread)
                scale = law.spread / spread
                off = (scale > OUT_OF_SCALE) | (scale < 1.0 / OUT_OF_SCALE)
            if not (far | off).any():
                break
            centre, spread = law.mean, np.maximum(law.spread, 1e-150)
        self.around = (law.mean, np.maximum(law.spread, 1e-150))
        return GaussianEvidence(self, value, law)

    def drawn(self, theta: Theta, v: Array, rng: np.random.Generator) -> DrawnEvidence:
        """Draws from the hidden variables' own laws; standard normal where these are not proper by themselves."""
        try:
            _, law = self.integrated(theta, v, np.zeros(self.shape), np.ones(self.shape), self.own_laws)
            values = law.draw(rng)
        except np.linalg.LinAlgError:
            values = rng.standard_normal(self.shape)
        return DrawnEvidence(self.pieces, self.slots, values)

    def integrated(
        self, theta: Theta, v: Array, centre: Array, spread: Array, used: tuple[bool, ...]
    ) -> tuple[Array, UnitGaussian]:
        """The log-integral of some pieces and the law that they make, by stencils around `centre`."""
        value, gradient, hessian = self.joint(theta, v, centre, spread, used)
        return integrate(centre, value, gradient, hessian)

    def joint(
        self, theta: Theta, v: Array, centre: Array, spread: Array, used: tuple[bool, ...]
    ) -> tuple[Array, Array, Array]:
        """Value, gradient and Hessian of the log-joint at `centre`, summed in each unit."""
        d = self.shape[0]
        value, gradient = np.zeros(self.shape[1:]), np.zeros(self.shape)
        hessian = np.zeros((d, *self.shape))
        for piece, slots, wanted in zip(self.pieces, self.slots, used, strict=True):
            if not wanted:
                continue
            at, width = centre[list(slots)], spread[list(slots)]
            offsets = stencil(len(slots))
            points = at[..., None, :] + np.einsum("pi,i...u->i...pu", offsets, width)
            own, slope, bend = quadratic(piece.summed(theta, v, points), width)
            value += own
            for i, first in enumerate(slots):
                gradient[first] += slope[i]
                for j, second in enumerate(slots):
                    hessian[first, second] += bend[i, j]
        return value, gradient, hessian


@dataclass(frozen=True)
class GaussianEvidence:
    """The evidence `(*cells, units)` and the posterior at one theta."""

    units: GaussianUnits
    value: Array
    law: UnitGaussian

    def forward(self, rows: slice) -> Array:
        """Log-evidence of some units."""
        return np.array(self.value[..., rows])

    def statistics(self, weights: Array) -> dict[str, Any]:
        """Sigma points for each piece."""
        found: dict[str, Any] = {}
        for piece, slots in zip(self.units.pieces, self.units.slots, strict=True):
            points = self.law.sigma_points(slots)
            share = np.broadcast_to(weights[..., None, :] / (2 * len(slots)), points.shape[1:])
            found[piece.name] = piece.statistics(points, share)
        return found


@dataclass(frozen=True)
class DrawnEvidence:
    """One value of the hidden variables, `(d, *cells, units)`, in place of their posterior."""

    pieces: tuple[AnyPiece, ...]
    slots: tuple[tuple[int, ...], ...]
    values: Array

    def forward(self, rows: slice) -> Array:
        """Nothing is said of the cells."""
        shape = self.values[..., rows].shape[1:]
        return np.zeros(shape)

    def statistics(self, weights: Array) -> dict[str, Any]:
        """The draws as one point for each unit."""
        found: dict[str, Any] = {}
        for piece, slots in zip(self.pieces, self.slots, strict=True):
            points = self.values[list(slots)][..., None, :]
            found[piece.name] = piece.statistics(points, np.broadcast_to(weights[..., None, :], points.shape[1:]))
        return found
