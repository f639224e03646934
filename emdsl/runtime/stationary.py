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
    law, fundamental = _law_and_fundamental(matrix)
    pulled = (fundamental @ _ratio(weights, law)[..., None])[..., 0]
    return law[..., :, None] * pulled[..., None, :]


def stationary_curvature(matrix: Array, weights: Array) -> Array:
    """Second derivatives of `sum_k weights_k log pi_k` in pairs of entries of A, `(..., K, K, K, K)`.

    `d2 pi = pi (dA Z dB + dB Z dA) Z`, again for changes that keep rows summing to 1. With `r = weights / pi`,
    `H[i, j, k, l] = pi_i Z_jk (Z r)_l + pi_k Z_li (Z r)_j - pi_i pi_k sum_m Z_jm Z_lm r_m / pi_m`.
    """
    law, fundamental = _law_and_fundamental(matrix)
    ratio = _ratio(weights, law)
    pulled = (fundamental @ ratio[..., None])[..., 0]
    squares = (fundamental * _ratio(ratio, law)[..., None, :]) @ np.swapaxes(fundamental, -1, -2)
    turned = np.einsum("...i,...jk,...l->...ijkl", law, fundamental, pulled)
    turned_back = np.einsum("...k,...li,...j->...ijkl", law, fundamental, pulled)
    return np.asarray(turned + turned_back - np.einsum("...i,...k,...jl->...ijkl", law, law, squares))


def _law_and_fundamental(matrix: Array) -> tuple[Array, Array]:
    law = stationary_law(matrix)
    size = matrix.shape[-1]
    regular = np.eye(size) - matrix + np.ones((size, 1)) * law[..., None, :]
    return law, np.asarray(np.linalg.inv(regular), dtype=np.float64)


def _ratio(weights: Array, law: Array) -> Array:
    """`weights / law`, 0 where there is no weight."""
    return np.where(weights == 0.0, 0.0, weights / np.where(law > 0, law, np.inf))


@dataclass(frozen=True)
class StationaryPart:
    """`log pi(A)[state]` as a part of Q: its table in the E-step, value, gradient and Hessian.

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
        """Adds second derivatives, those of entries that several cells share once for each."""
        base = np.asarray(theta[self.matrix.parameter], dtype=float)
        rows = local[self.offset : self.offset + base.size]
        numbered = self.matrix.gather(np.arange(float(base.size)).reshape(base.shape)).astype(np.intp)
        entries = np.broadcast_to(numbered, self.matrix.cells)
        places = rows[entries.reshape(-1, entries.shape[-1] ** 2)]
        matrix = np.broadcast_to(self.matrix.gather(base), self.matrix.cells)
        curvature = stationary_curvature(matrix, statistics[..., 0]).reshape(*places.shape, places.shape[-1])
        np.add.at(out, (places[:, :, None], places[:, None, :]), curvature)
