"""`log det C`, `(x - m)' C^-1 (x - m)` and `tr(C^-1 S)` with their first and second derivatives in every argument.

Entries of a matrix are taken as free of each other; matrices are symmetric where a derivative is taken (Petersen &
Pedersen 2012, equations 57 to 63). A leading axis runs over cells; vectors are `(cells, d)`, matrices `(cells, d, d)`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdsl.runtime.assembly import Assembly
from emdsl.runtime.pieces import PieceData
from emdsl.runtime.problem import Array, Theta


def inverse_of(matrices: Array) -> Array:
    """Inverses, matrix by matrix."""
    return np.asarray(np.linalg.inv(matrices), dtype=np.float64)


def value_of(function: str, arguments: Sequence[Array]) -> Array:
    """The function in each cell, `(cells,)`; NaN where the matrix is not positive definite."""
    matrix = arguments[{"logdet": 0, "mahalanobis": 2, "traceinv": 0}[function]]
    proper = np.array([_is_proper(one) for one in matrix], dtype=bool)
    safe = np.where(proper[:, None, None], matrix, np.eye(matrix.shape[-1]))
    match function:
        case "logdet":
            value = np.linalg.slogdet(safe)[1]
        case "mahalanobis":
            apart = arguments[0] - arguments[1]
            value = (apart * np.linalg.solve(safe, apart[..., None])[..., 0]).sum(axis=-1)
        case _:
            value = np.trace(np.linalg.solve(safe, arguments[1]), axis1=-2, axis2=-1)
    return np.where(proper, value, np.nan)


def _is_proper(matrix: Array) -> bool:
    if not np.isfinite(matrix).all():
        return False
    try:
        np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        return False
    return True


def slopes_of(function: str, arguments: Sequence[Array]) -> tuple[Array, ...]:
    """The derivative in each argument, in its shape."""
    match function:
        case "logdet":
            return (inverse_of(arguments[0]),)
        case "mahalanobis":
            x, mean, matrix = arguments
            pulled: Array = np.asarray(np.linalg.solve(matrix, (x - mean)[..., None])[..., 0], dtype=np.float64)
            return 2 * pulled, -2 * pulled, -pulled[..., :, None] * pulled[..., None, :]
        case _:
            matrix, scale = arguments
            precision = inverse_of(matrix)
            return -precision @ scale @ precision, precision


def bends_of(function: str, arguments: Sequence[Array]) -> dict[tuple[int, int], Array]:
    """Second derivatives by pair of arguments (k <= l), each argument's entries in one axis: `(cells, size k, size l)`.

    With P = C^-1: `dP_ij/dC_kl = -P_ik P_lj`; with p = P (x - m): `dp_i/dC_kl = -P_ik p_l`.
    """
    cells = len(arguments[0])

    def crossed(left: Array, right: Array) -> Array:
        """`left_ik right_lj` at `(ij, kl)`."""
        size = left.shape[-1] ** 2
        return np.asarray(np.einsum("cik,clj->cijkl", left, right)).reshape(cells, size, size)

    match function:
        case "logdet":
            precision = inverse_of(arguments[0])
            return {(0, 0): -crossed(precision, precision)}
        case "mahalanobis":
            x, mean, matrix = arguments
            precision = inverse_of(matrix)
            pulled = (precision @ (x - mean)[..., None])[..., 0]
            outer = pulled[..., :, None] * pulled[..., None, :]
            in_matrix = np.einsum("cik,cl->cikl", -2 * precision, pulled).reshape(cells, x.shape[-1], -1)
            return {
                (0, 0): 2 * precision, (0, 1): -2 * precision, (1, 1): 2 * precision, (0, 2): in_matrix,
                (1, 2): -in_matrix, (2, 2): crossed(precision, outer) + crossed(outer, precision),
            }  # fmt: skip
        case _:
            matrix, scale = arguments
            precision = inverse_of(matrix)
            pulled = precision @ scale @ precision
            return {
                (0, 0): crossed(precision, pulled) + crossed(pulled, precision),
                (0, 1): -crossed(precision, precision),
            }


@dataclass(frozen=True)
class ArrayPart:
    """A function of whole arrays of parameters as a part of Q (a log-prior), one value for each cell of `data`.

    `arguments` are the assemblies of one element of each array: their value tables are the arrays. `coefficient` is
    `(cells,)`, 0 for cells that do not count.
    """

    data: PieceData
    function: str
    coefficient: Array
    arguments: tuple[Assembly, ...]
    parameters: frozenset[str]

    def touches(self, parameters: set[str]) -> bool:
        """Whether some of these parameters stand in an argument."""
        return bool(self.parameters & parameters)

    def arrays(self, theta: Theta, v: Array) -> tuple[Array, ...]:
        """The arguments, `(cells, d)` or `(cells, d, d)`."""
        cells = len(self.coefficient)
        out = []
        for item in self.arguments:
            (table,) = item.formulas[0](theta, v, item.data, np.ones(item.data.eta_shape))
            full = np.broadcast_to(table, item.data.cells)
            outer = len(self.data.cells)
            out.append(np.asarray(full, dtype=float).reshape(cells, *item.data.cells[outer:]))
        return tuple(out)

    def value(self, theta: Theta, v: Array, statistics: Any) -> float:
        """The sum over cells."""
        value = value_of(self.function, self.arrays(theta, v))
        return float(np.where(self.coefficient == 0.0, 0.0, self.coefficient * value).sum())

    def _adjoints(self, arrays: tuple[Array, ...]) -> list[Array]:
        found = []
        for item, slope in zip(self.arguments, slopes_of(self.function, arrays), strict=True):
            scaled = self.coefficient.reshape(-1, *(1,) * (slope.ndim - 1)) * slope
            found.append(np.ascontiguousarray(scaled).reshape(item.data.eta_shape))
        return found

    def gradient(self, theta: Theta, v: Array, statistics: Any, out: Array) -> None:
        """Adds the gradient in all parameters to `out`."""
        for item, adjoint in zip(self.arguments, self._adjoints(self.arrays(theta, v)), strict=True):
            item.gradient(theta, v, adjoint, out)

    def hessian(
        self, theta: Theta, v: Array, statistics: Any, local: NDArray[np.intp], out: Array, cache: dict[Any, Any]
    ) -> None:
        """Adds second derivatives to `out` `(group, group)`, by the chain rule."""
        arrays = self.arrays(theta, v)
        for item, adjoint in zip(self.arguments, self._adjoints(arrays), strict=True):
            item.hessian(theta, v, adjoint, local, out, cache)
        slopes = [self._slope(item, theta, v, local, len(out)) for item in self.arguments]
        for (k, other), bend in bends_of(self.function, arrays).items():
            scaled = self.coefficient[:, None, None] * bend
            block = np.einsum("cip,cij,cjq->pq", slopes[k], scaled, slopes[other])
            out += block if k == other else block + block.T

    def _slope(self, item: Assembly, theta: Theta, v: Array, local: NDArray[np.intp], size: int) -> Array:
        """The derivative of every entry of an argument in the parameters of the group, `(cells, entries, group)`."""
        count = int(np.prod(item.data.cells))
        out = np.zeros((count, size))
        rows = np.arange(count)
        for place, product in item.products(theta, v, np.ones(item.data.eta_shape)):
            for slot in range(place.positions.shape[1]):
                design = place.design[..., slot, :] if not place.bare else np.ones(1)
                values = np.broadcast_to(product * design, (count, 1))[:, 0]
                target = local[np.broadcast_to(place.positions[:, slot], (count,))]
                inside = target >= 0
                np.add.at(out, (rows[inside], target[inside]), values[inside])
        return out.reshape(len(self.coefficient), -1, size)

    def moments(self, theta: Theta, v: Array, name: str) -> tuple[Array, Array]:
        """What the term adds to `C = (R + B)/(n + a)`, C the parameter `name`, which is whole in one argument: `a` and
        `B` in its shape."""
        place = {"logdet": 0, "mahalanobis": 2, "traceinv": 0}[self.function]
        arrays = self.arrays(theta, v)
        shape = arrays[place].shape
        units, moment = np.zeros(shape), np.zeros(shape)
        factor = np.broadcast_to(-2 * self.coefficient[:, None, None], shape)
        match self.function:
            case "logdet":
                units = factor
            case "mahalanobis":
                apart = arrays[0] - arrays[1]
                moment = factor * apart[..., :, None] * apart[..., None, :]
            case _:
                moment = factor * arrays[1]
        item = self.arguments[place]
        address = item.data.addresses[0]
        assert address is not None and address.parameter == name
        cells = item.data.cells
        return address.scatter(units.reshape(cells)), address.scatter(moment.reshape(cells))
