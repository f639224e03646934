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
FAR, OUT_OF_SCALE = 1.0, 4.0
ROUNDS = 6
#: Widths to begin with where nothing is known.
WIDTHS = (1.0, 1e5, 1e-5)
#: Log-densities above this leave no digits in a curvature, which is of the order of 1 over a spread.
LARGEST = 1e12
#: A stencil narrower than this share of its centre cannot be told from a point.
SMALLEST = 1e-7


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
        found = None if self.around is None else self._settled(theta, v, *self.around)
        for width in WIDTHS:
            found = found or self._settled(theta, v, np.zeros(self.shape), np.full(self.shape, width))
        if found is None:
            raise np.linalg.LinAlgError("the law of hidden variables has no finite integral")
        value, law = found
        self.around = (law.mean, law.spread)
        return GaussianEvidence(self, value, law)

    def _settled(self, theta: Theta, v: Array, centre: Array, spread: Array) -> tuple[Array, UnitGaussian] | None:
        """The integral by stencils that are moved until they lie around the posterior; None where they never do, as
        when they begin so narrow that differences are rounding.
        """
        every = (True,) * len(self.pieces)
        for _ in range(ROUNDS):
            spread = np.maximum(spread, SMALLEST * np.maximum(1.0, np.abs(centre)))
            value, gradient, hessian, size = self.joint(theta, v, centre, spread, every)
            if not (size < LARGEST).all():
                return None  # curvatures are differences of these numbers: nothing would be left of them
            try:
                value, law = integrate(centre, value, gradient, hessian)
            except np.linalg.LinAlgError:
                return None
            with np.errstate(divide="ignore", invalid="ignore"):
                wanted = np.maximum(law.spread, SMALLEST * np.maximum(1.0, np.abs(law.mean)))
                near = np.abs(law.mean - centre) <= FAR * np.maximum(wanted, spread)
                scale = wanted / spread
                fits = (scale <= OUT_OF_SCALE) & (scale >= 1.0 / OUT_OF_SCALE)
            if (near & fits).all():
                return value, law
            centre, spread = law.mean, law.spread
        return None

    def drawn(self, theta: Theta, v: Array, rng: np.random.Generator) -> DrawnEvidence:
        """Draws from the hidden variables' own laws; standard normal where these are not proper by themselves."""
        try:
            centre = np.zeros(self.shape)
            value, gradient, hessian, _ = self.joint(theta, v, centre, np.ones(self.shape), self.own_laws)
            values = integrate(centre, value, gradient, hessian)[1].draw(rng)
        except np.linalg.LinAlgError:
            values = rng.standard_normal(self.shape)
        return DrawnEvidence(self.pieces, self.slots, values)

    def joint(
        self, theta: Theta, v: Array, centre: Array, spread: Array, used: tuple[bool, ...]
    ) -> tuple[Array, Array, Array, Array]:
        """Value, gradient and Hessian of the log-joint at `centre`, summed in each unit, and the largest number that
        they are made of.
        """
        d = self.shape[0]
        value, gradient = np.zeros(self.shape[1:]), np.zeros(self.shape)
        hessian, size = np.zeros((d, *self.shape)), np.zeros(self.shape[1:])
        for piece, slots, wanted in zip(self.pieces, self.slots, used, strict=True):
            if not wanted:
                continue
            at, width = centre[list(slots)], spread[list(slots)]
            offsets = stencil(len(slots))
            points = at[..., None, :] + np.einsum("pi,i...u->i...pu", offsets, width)
            values = piece.summed(theta, v, points)
            own, slope, bend = quadratic(values, width)
            value += own
            size = np.maximum(size, np.abs(values).max(axis=-2))
            for i, first in enumerate(slots):
                gradient[first] += slope[i]
                for j, second in enumerate(slots):
                    hessian[first, second] += bend[i, j]
        return value, gradient, hessian, size


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
