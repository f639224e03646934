"""Smooth hidden variables of each unit by adaptive Gauss-Hermite quadrature (Pinheiro and Bates 1995)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from emdsl.diagnostics.errors import EmmError
from emdsl.plan.gaussian_method import DrawnEvidence
from emdsl.plan.latent_pieces import AnyPiece
from emdsl.runtime.integrals.gaussian import UnitGaussian
from emdsl.runtime.integrals.interval_line import interval_log_slope, interval_value
from emdsl.runtime.integrals.lines import line
from emdsl.runtime.integrals.quadrature import nodes, placed
from emdsl.runtime.integrals.stencil import quadratic, stencil
from emdsl.runtime.kernels import log_sum_exp
from emdsl.runtime.problem import Array, Theta

#: Most variables of one unit: the nodes are a grid.
MOST_VARIABLES = 3
#: Nodes a variable, to begin with.
FIRST_COUNT = 15
#: Newton steps towards the mode.
MOST_STEPS = 50
#: A step this share of the spread has arrived: where exactly the nodes lie makes no difference to the integral.
ARRIVED = 1e-7


@dataclass
class QuadratureUnits:
    """`slots`, `shape`, `own_laws` as for Gaussian units; `ends` are those of the interval that each of the d
    variables lies in, infinite or `(*cells, units)`.
    """

    pieces: tuple[AnyPiece, ...]
    slots: tuple[tuple[int, ...], ...]
    shape: tuple[int, ...]
    own_laws: tuple[bool, ...]
    ends: tuple[tuple[Array, Array], ...]
    latents: tuple[str, ...]
    count: int = FIRST_COUNT
    around: tuple[Array, Array] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.shape[0] > MOST_VARIABLES:
            names = ", ".join(f"`{name}`" for name in self.latents)
            raise EmmError(
                "not-supported-yet",
                f"the {self.shape[0]} hidden numbers {names} of one unit have no closed integral, and a grid of nodes "
                f"is for at most {MOST_VARIABLES}",
            )

    def evidence(self, theta: Theta, v: Array) -> QuadratureEvidence:
        """The integral at theta."""
        every = (True,) * len(self.pieces)
        mean, covariance = self._mode(theta, v, every)
        root = _roots(covariance)
        grid, logs = nodes(self.shape[0], self.count)
        points = placed(mean, root, grid)
        logdet = np.log(np.stack([root[i, i] for i in range(len(root))])).sum(axis=0)
        joint = self._joint(theta, v, points, every) + logs[:, None] + logdet[..., None, :]
        value, _ = log_sum_exp(np.moveaxis(joint, -2, 0).copy(), (0,))
        share = np.exp(joint - value[..., None, :])
        return QuadratureEvidence(self, value, self._values(points), share)

    def drawn(self, theta: Theta, v: Array, rng: np.random.Generator) -> DrawnEvidence:
        """Draws around the mode of the hidden variables' own laws."""
        mean, covariance = self._mode(theta, v, self.own_laws)
        law = UnitGaussian(mean, covariance)
        values = self._values(law.draw(rng))
        return DrawnEvidence(self.pieces, tuple(values[list(slots)] for slots in self.slots), self.shape[1:-1])

    def line(self, theta: Theta, v: Array, count: int) -> tuple[Array, Array]:
        """Values `(*cells, count, units)` of one hidden number over its posterior, and their shares."""
        every = (True,) * len(self.pieces)
        mean, covariance = self._mode(theta, v, every)
        points, shares = line(
            lambda x: self._joint(theta, v, x[None], every), mean[0], np.sqrt(covariance[0, 0]), count
        )  # fmt: skip
        return self._values(points[None])[0], shares

    # --- coordinates --------------------------------------------------------------------------------------------------

    def _values(self, x: Array) -> Array:
        """Hidden values of coordinates on the line, `(d, ...)`."""
        return np.stack([interval_value(row, *ends) for row, ends in zip(x, self.ends, strict=True)])

    def _joint(self, theta: Theta, v: Array, x: Array, used: tuple[bool, ...]) -> Array:
        """The log-joint in coordinates `(d, *cells, points, units)`: `(*cells, points, units)`."""
        values = self._values(x)
        slopes = (interval_log_slope(row, *ends) for row, ends in zip(x, self.ends, strict=True))
        total = sum(slopes, np.zeros(x.shape[1:]))
        for piece, slots, wanted in zip(self.pieces, self.slots, used, strict=True):
            if wanted:
                total = total + piece.summed(theta, v, values[list(slots)])
        return np.asarray(total)

    # --- mode ---------------------------------------------------------------------------------------------------------

    def _mode(self, theta: Theta, v: Array, used: tuple[bool, ...]) -> tuple[Array, Array]:
        """Mode and inverse curvature of the log-joint in each cell and unit, by Newton's method with halved steps."""
        d = self.shape[0]
        remembered = self.around if all(used) else None
        x, spread = (np.zeros(self.shape), np.ones(self.shape)) if remembered is None else remembered
        offsets = stencil(d)
        for _ in range(MOST_STEPS):
            # Small steps: the curvature at the mode is wanted, not that of a chord.
            width = 0.01 * spread
            points = x[..., None, :] + np.einsum("pi,i...u->i...pu", offsets, width)
            value, gradient, hessian = quadratic(self._joint(theta, v, points, used), width)
            covariance = _inverse(-hessian, spread)
            spread = np.sqrt(np.stack([covariance[i, i] for i in range(d)]))
            step = np.einsum("ij...,j...->i...", covariance, gradient)
            reach = np.maximum(1.0, np.abs(step / spread).max(axis=0) / 5.0)
            step = step / reach
            if not np.abs(step / spread).max(initial=0.0) > ARRIVED:
                break
            x = x + self._climbed(theta, v, x, step, value, used)
        if all(used):
            self.around = (x, spread) if np.isfinite(x).all() and np.isfinite(spread).all() else None
        return x, covariance

    def _climbed(self, theta: Theta, v: Array, x: Array, step: Array, value: Array, used: tuple[bool, ...]) -> Array:
        """The step, halved in each unit until the log-joint does not fall."""
        scale = np.ones(value.shape)
        for _ in range(20):
            trial = self._joint(theta, v, (x + scale * step)[..., None, :], used)[..., 0, :]
            falls = ~(trial >= value - 1e-9 * (1 + np.abs(value)))
            if not falls.any():
                break
            scale = np.where(falls, 0.5 * scale, scale)
        return np.asarray(scale * step)


@dataclass(frozen=True)
class QuadratureEvidence:
    """The evidence `(*cells, units)`, the values at the nodes `(d, *cells, points, units)` and their shares."""

    units: QuadratureUnits
    value: Array
    points: Array
    share: Array

    def forward(self, rows: slice) -> Array:
        """Log-evidence of some units."""
        return np.array(self.value[..., rows])

    def statistics(self, weights: Array) -> dict[str, Any]:
        """The nodes with their shares."""
        share = self.share * weights[..., None, :]
        pairs = zip(self.units.pieces, self.units.slots, strict=True)
        return {piece.name: piece.statistics(self.points[list(slots)], share) for piece, slots in pairs}

    def moments(self) -> tuple[Array, Array]:
        """Posterior means and variances, `(d, *cells, units)`, from the shares of the nodes."""
        mean = (self.points * self.share).sum(axis=-2)
        return mean, ((self.points - mean[..., None, :]) ** 2 * self.share).sum(axis=-2)


def _inverse(precision: Array, spread: Array) -> Array:
    """Inverses `(d, d, *cells, units)`; where a matrix is not positive definite, its eigenvalues are turned."""
    d = len(precision)
    if d == 1:
        floor = 1e-6 / spread[0] ** 2
        return np.asarray(1.0 / np.maximum(np.abs(precision[0, 0]), floor))[None, None]
    matrices = np.moveaxis(np.nan_to_num(precision), (0, 1), (-2, -1))
    scale = np.moveaxis(spread, 0, -1)
    scaled = matrices * scale[..., :, None] * scale[..., None, :]
    values, vectors = np.linalg.eigh(scaled)
    values = np.maximum(np.abs(values), 1e-6)
    inverse: Array = (vectors / values[..., None, :]) @ np.swapaxes(vectors, -1, -2)
    full: Array = np.asarray(inverse * scale[..., :, None] * scale[..., None, :], dtype=np.float64)
    return np.moveaxis(full, (-2, -1), (0, 1))


def _roots(covariance: Array) -> Array:
    if len(covariance) == 1:
        return np.asarray(np.sqrt(covariance))
    factors: Array = np.asarray(np.linalg.cholesky(np.moveaxis(covariance, (0, 1), (-2, -1))), dtype=np.float64)
    return np.moveaxis(factors, (-2, -1), (0, 1))
