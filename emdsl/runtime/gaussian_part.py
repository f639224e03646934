"""A normal law of vectors as a part of Q that Newton's method can climb: value, gradient and Hessian in mean and
covariance, from expected moments.

It is needed where these have no closed update: a mean with a prior of its own, a correlation matrix.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdsl.runtime.matrix_updates import gaussian_gradient
from emdsl.runtime.problem import Array, Theta


@dataclass(frozen=True)
class GaussianPart:
    """`sum over cells of -n/2 log det C - 1/2 tr(C^-1 R)`, R the residual moments about the mean.

    `piece` has the moments' data, and the addresses of mean and covariance; `offsets` says where each parameter begins
    in the vector of all.
    """

    name: str
    piece: Any
    offsets: dict[str, int]

    @property
    def data(self) -> GaussianPart:
        """Itself: the statistics go by its name."""
        return self

    def touches(self, parameters: set[str]) -> bool:
        """Whether mean or covariance are among these."""
        return bool(parameters & {self.piece.mean_name, self.piece.covariance.parameter})

    def value(self, theta: Theta, v: Array, statistics: Any) -> float:
        """The part of Q, up to a constant; NaN where a covariance is not positive definite."""
        covariance = self.piece.covariance_of(theta)
        n, residual = self.piece.data.residual(statistics, self.piece.mean_of(theta))
        try:
            np.linalg.cholesky(covariance)
        except np.linalg.LinAlgError:
            return float("nan")
        trace = np.trace(np.linalg.solve(covariance, residual), axis1=-2, axis2=-1)
        return float(-0.5 * (n * np.linalg.slogdet(covariance)[1] + trace).sum())

    def gradient(self, theta: Theta, v: Array, statistics: Any, out: Array) -> None:
        """Adds the gradient in all parameters to `out`."""
        in_mean, in_covariance = gaussian_gradient(self.piece, statistics, theta)
        for name, slope in ((self.piece.mean_name, in_mean), (self.piece.covariance.parameter, in_covariance)):
            if slope is not None:
                out[self.offsets[name] : self.offsets[name] + slope.size] += slope.ravel()

    def hessian(
        self, theta: Theta, v: Array, statistics: Any, local: NDArray[np.intp], out: Array, cache: dict[Any, Any]
    ) -> None:
        """Adds second derivatives, cell by cell: with P = C^-1, `-n P` in the mean, `n/2 P_ik P_lj - 1/2 (M_ik P_lj +
        P_ik M_lj)` in the covariance, M = P R P."""
        mean, covariance = self.piece.mean_of(theta), self.piece.covariance_of(theta)
        n, residual = self.piece.data.residual(statistics, mean)
        _, first = self.piece.data.first_moment(statistics)
        shape, d = n.shape, mean.shape[-1]
        precision = np.broadcast_to(np.linalg.inv(covariance), (*shape, d, d)).reshape(-1, d, d)
        pulled = precision @ residual.reshape(-1, d, d) @ precision
        apart = (first - n[..., None] * mean).reshape(-1, d)
        places = self._places(shape, d, local)
        for cell, count in enumerate(n.ravel()):
            p, m = precision[cell], pulled[cell]
            crossed = np.einsum("ik,lj->ijkl", p, count / 2 * p - m / 2) - np.einsum("ik,lj->ijkl", m / 2, p)
            q = p @ apart[cell]
            mixed = -0.5 * (np.einsum("ik,l->ikl", p, q) + np.einsum("il,k->ikl", p, q)).reshape(d, -1)
            at_mean, at_matrix = places[0][cell], places[1][cell]
            _add(out, at_mean, at_mean, -count * p)
            _add(out, at_matrix, at_matrix, crossed.reshape(d * d, d * d))
            _add(out, at_mean, at_matrix, mixed)
            _add(out, at_matrix, at_mean, mixed.T)

    def _places(
        self, shape: tuple[int, ...], d: int, local: NDArray[np.intp]
    ) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Places in the group of the entries of mean and covariance by cell, -1 outside."""
        found = []
        for name, place, event in (
            (self.piece.mean_name, self.piece.mean, (d,)),
            (self.piece.covariance.parameter, self.piece.covariance, (d, d)),
        ):
            if not name:
                found.append(np.full((int(np.prod(shape)), d), -1))
                continue
            numbers = self.offsets[name] + np.arange(int(np.prod(place.shape))).reshape(place.shape)
            full = np.broadcast_to(place.gather(numbers), (*shape, *event))
            found.append(local[full].reshape(-1, int(np.prod(event))))
        return found[0], found[1]


def _add(out: Array, rows: NDArray[np.intp], columns: NDArray[np.intp], block: Array) -> None:
    a, b = rows >= 0, columns >= 0
    if a.any() and b.any():
        np.add.at(out, np.ix_(rows[a], columns[b]), block[np.ix_(a, b)])
