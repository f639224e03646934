"""The score and the observed information in free coordinates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdsl.runtime.domains import Coordinates
from emdsl.runtime.problem import Array, Problem, Theta

#: Past so many free coordinates no matrix of second derivatives is built.
MOST_COORDINATES = 200
#: Up to so many, the differences of the final information are of fourth order.
MOST_FOURTH_ORDER = 60


def score(problem: Problem, coordinates: Coordinates, theta: Theta) -> Array:
    """Gradient of the penalised observed-data log-likelihood in u, by Fisher's identity: `(size,)`, NaN where a matrix
    cannot be factored."""
    try:
        return score_from(problem, coordinates, theta, problem.expect(theta).statistics)
    except np.linalg.LinAlgError:
        return np.full(coordinates.size, np.nan)


def score_from(problem: Problem, coordinates: Coordinates, theta: Theta, statistics: Any) -> Array:
    """The score from the statistics of an E-step at theta, NaN where a matrix cannot be factored."""
    try:
        return coordinates.pullback(theta, problem.gradient(theta, statistics))
    except np.linalg.LinAlgError:
        return np.full(coordinates.size, np.nan)


def slope_along(problem: Problem, coordinates: Coordinates, u: Array, axis: int, step: float, order: int) -> Array:
    """Minus the derivative of the score along one coordinate, by central differences of order 2 or 4."""
    h = (u[axis] + step) - u[axis]  # a step that the coordinate can represent

    def difference(multiple: float) -> Array:
        above, below = u.copy(), u.copy()
        above[axis] += multiple * h
        below[axis] -= multiple * h
        return score(problem, coordinates, coordinates.theta(below)) - score(
            problem, coordinates, coordinates.theta(above)
        )

    if order == 2:
        return np.asarray(difference(1.0) / (2 * h))
    return np.asarray((8 * difference(1.0) - difference(2.0)) / (12 * h))


def observed_information(problem: Problem, coordinates: Coordinates, theta: Theta, *, order: int = 4) -> Array:
    """Minus the Hessian of the penalised log-likelihood in free coordinates, `(size, size)`, from differences of the
    score.

    Along a coordinate that is a log or a logit a unit is natural, and the step is 1e-3 (order 2) or 4e-3 (order 4): the
    error is of the order of the step's square (fourth power). Along one with the data's unit the step is a small
    share of the standard error that the curvature itself shows.
    """
    columns = score_differences(problem, coordinates, theta, order=order)
    return 0.5 * (columns + columns.T)


def score_differences(problem: Problem, coordinates: Coordinates, theta: Theta, *, order: int) -> Array:
    """The observed information as the differences give it, not quite symmetric: by how much shows their rounding
    error."""
    problem = getattr(problem, "coarse", problem)  # of a simulated likelihood fewer draws show the curvature
    u = coordinates.free(theta)
    natural = coordinates.flags("scale_free")
    columns = []
    for axis in range(coordinates.size):
        if natural[axis]:
            columns.append(slope_along(problem, coordinates, u, axis, 1e-3 if order == 2 else 4e-3, order))
        else:
            columns.append(scaled_slope(problem, coordinates, u, axis, order))
    return np.array(columns).reshape(coordinates.size, coordinates.size)


def scaled_slope(problem: Problem, coordinates: Coordinates, u: Array, axis: int, order: int) -> Array:
    """`slope_along` with a step of 1/50 of the standard error along the axis, found by trial."""
    step = 1e-4 * max(1.0, abs(float(u[axis])))
    for _ in range(4):
        column = slope_along(problem, coordinates, u, axis, step, 2)
        curvature = abs(float(column[axis]))
        wanted = 0.02 / np.sqrt(curvature) if np.isfinite(curvature) and curvature > 0 else 0.01 * step
        wanted = float(np.clip(wanted, 1e-6 * step, 100 * step))
        if 0.05 * wanted <= step <= 5 * wanted:
            return column if order == 2 else slope_along(problem, coordinates, u, axis, wanted, order)
        step = wanted
    return slope_along(problem, coordinates, u, axis, step, order)


@dataclass(frozen=True, eq=False)
class Spectrum:
    """The information, each coordinate in units of its own curvature, by eigenvectors.

    `curvature` (size,): each coordinate's own, 0 where it has next to none; `scale` (size,): their square roots;
    `values` (size,) and `vectors` (size, size): of the scaled matrix. `flat` marks the directions in which the
    likelihood does not bend as far as differences can tell, `noise` being the least curvature that they can.
    """

    curvature: Array
    scale: Array
    values: Array
    vectors: Array
    flat: NDArray[np.bool_]
    noise: float

    @property
    def indefinite(self) -> bool:
        """Whether some direction bends upwards: a saddle point, or far from the maximum."""
        return bool((self.values[~self.flat] < 0).any())

    def solve(self, right: Array) -> Array:
        """Information^-1 times `right` (size, …), in the directions that bend."""
        bent = self.vectors[:, ~self.flat]
        inner = bent.T @ (right / (self.scale if right.ndim == 1 else self.scale[:, None]))
        values = self.values[~self.flat]
        solved = bent @ (inner / (values if right.ndim == 1 else values[:, None]))
        return np.asarray(solved / (self.scale if right.ndim == 1 else self.scale[:, None]))

    def inverse(self) -> Array:
        """Information^-1 in the directions that bend, `(size, size)`."""
        inverse = self.solve(np.eye(len(self.scale)))
        return 0.5 * (inverse + inverse.T)

    def decrement(self, slope: Array) -> float:
        """The log-likelihood still to be gained by a quadratic model: half of s' I^-1 s; a flat direction is given the
        least curvature that could be told from nothing."""
        inner = self.vectors.T @ (slope / self.scale)
        return float(0.5 * (inner**2 / np.where(self.flat, self.noise, self.values)).sum())

    def unbent(self) -> list[Array]:
        """Directions in u along which the likelihood does not bend downwards, the most upwards first, at most ten."""
        chosen = np.flatnonzero(self.flat | (self.values < 0))
        return [self.vectors[:, i] / self.scale for i in chosen[np.argsort(self.values[chosen])][:10]]

    def free_of_flat(self, rows: Array) -> NDArray[np.bool_]:
        """Which linear functions of u, the rows of `rows` (n, size), do not change along any flat direction."""
        if not self.flat.any():
            return np.ones(len(rows), dtype=bool)
        scaled = rows / self.scale
        along = scaled @ self.vectors[:, self.flat]
        return np.asarray((along**2).sum(axis=1) <= 1e-6 * (scaled**2).sum(axis=1))


#: A curvature below this share of a coordinate's own cannot be told from nothing.
FLAT = 1e-7


def spectrum(information: Array, coordinates: Coordinates, theta: Theta, slope: Array | None = None) -> Spectrum:
    """The information (as `score_differences` gives it, or symmetric) by eigenvectors.

    A coordinate with next to no curvature of its own is flat as it stands, and what differences show between it and the
    others is noise: below 1e-7 of one observation along a log or logit, below 1e-10 / u^2 along a coordinate with the
    data's unit. A direction is flat where its curvature is below FLAT or within the asymmetry of the differences. A
    flat curve of equal likelihoods (the rotations of factors) bends upwards a little where the score `slope` is not
    0: that is flat too.
    """
    curvature = np.diag(information)
    natural = coordinates.flags("scale_free")
    u = coordinates.free(theta)
    # So far out that its square is no number, a coordinate has no curvature that could be told from nothing.
    least = np.where(natural, 1e-7, np.maximum(1e-10 / np.maximum(1.0, u**2), 1e-290))
    alone = np.abs(curvature) < least
    scale = np.where(alone, 1.0, np.sqrt(np.maximum(np.abs(curvature), least)))
    matrix = information / np.outer(scale, scale)
    matrix[alone] = 0.0
    matrix[:, alone] = 0.0
    noise = max(FLAT, float(np.abs(matrix - matrix.T).max(initial=0.0)))
    values, vectors = np.linalg.eigh(0.5 * (matrix + matrix.T))
    slack = 10 * noise + (0.0 if slope is None else 1e-2 * float(np.sqrt(((slope / scale) ** 2).sum())))
    flat = (values < noise) & (values > -slack)
    return Spectrum(np.where(alone, 0.0, curvature), scale, values, vectors, flat, noise)
