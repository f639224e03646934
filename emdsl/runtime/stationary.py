"""Stationary laws of transition matrices, and how they change with the matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdsl.runtime.functions import LOG_ZERO
from emdsl.runtime.problem import Array, Theta
from emdsl.runtime.scatter import Address


def stationary_law(matrix: Array) -> Array:
    """`pi` with `pi A = pi`, `sum pi = 1`: `(..., K)` for transition matrices `(..., K, K)`.

    Where the chain has several closed classes, the one that `pi (I - A + 1) = 1` gives (least squares if singular).
    """
    size = matrix.shape[-1]
    system = np.swapaxes(np.eye(size) - matrix + 1.0, -1, -2)
    ones = np.ones((*matrix.shape[:-2], size, 1))
    try:
        law = np.linalg.solve(system, ones)[..., 0]
    except np.linalg.LinAlgError:
        law = (np.linalg.pinv(system) @ ones)[..., 0]
    law = np.maximum(law, 0.0)
    return np.asarray(law / law.sum(axis=-1, keepdims=True))


def stationary_slope(matrix: Array, weights: Array) -> Array:
    """Gradient of `sum_k weights_k log pi_k` in the entries of A, `(..., K, K)`.

    `d pi = pi dA Z` with the fundamental matrix `Z = (I - A + 1 pi)^-1` (Schweitzer 1968), for changes that keep rows
    summing to 1.
    """
    law = stationary_law(matrix)
    size = matrix.shape[-1]
    fundamental = np.linalg.inv(np.eye(size) - matrix + np.ones((size, 1)) * law[..., None, :])
    ratio = np.where(weights == 0.0, 0.0, weights / np.where(law > 0, law, np.inf))
    pulled = (fundamental @ ratio[..., None])[..., 0]
    return law[..., :, None] * pulled[..., None, :]


@dataclass(frozen=True)
class StationaryPart:
    """`log pi(A)[state]` as a part of Q: its table in the E-step, value, gradient and Hessian (by differences of the
    gradient).

    `matrix` addresses A over `(*hidden, K, K)`, where the hidden axes are those before the state; the state's axis is
    the last one.
    """

    name: str
    matrix: Address
    offset: int

    @property
    def data(self) -> StationaryPart:
        """Itself: the statistics go by its name."""
        return self

    def table(self, theta: Theta) -> Array:
        """log pi, `(*hidden, K)`."""
        law = stationary_law(self.matrix.gather(np.asarray(theta[self.matrix.parameter])))
        return np.maximum(np.log(law), LOG_ZERO)

    def touches(self, parameters: set[str]) -> bool:
        """Whether its matrix is among these."""
        return self.matrix.parameter in parameters

    def value(self, theta: Theta, v: Array, statistics: Any) -> float:
        """`sum S log pi`."""
        return float((statistics[..., 0] * self.table(theta)).sum())

    def gradient(self, theta: Theta, v: Array, statistics: Any, out: Array) -> None:
        """Adds the gradient in the entries of A to `out`."""
        matrix = self.matrix.gather(np.asarray(theta[self.matrix.parameter]))
        slope = self.matrix.scatter(np.broadcast_to(stationary_slope(matrix, statistics[..., 0]), self.matrix.cells))
        out[self.offset : self.offset + slope.size] += slope.ravel()

    def hessian(
        self, theta: Theta, v: Array, statistics: Any, local: NDArray[np.intp], out: Array, cache: dict[Any, Any]
    ) -> None:
        """Adds second derivatives by central differences, each entry of A moved by itself."""
        base = np.asarray(theta[self.matrix.parameter], dtype=float)
        width = 1e-6
        rows = local[self.offset : self.offset + base.size]
        for entry in range(base.size):
            shifted = []
            for sign in (1.0, -1.0):
                moved = base.copy().ravel()
                moved[entry] += sign * width
                slope = np.zeros(len(local))
                self.gradient({**theta, self.matrix.parameter: moved.reshape(base.shape)}, v, statistics, slope)
                shifted.append(slope[self.offset : self.offset + base.size])
            out[rows[entry], rows] += (shifted[0] - shifted[1]) / (2 * width)
