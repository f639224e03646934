"""Gradient and Hessian of Q by assembly: those of one cell, scatter-added by the places of its parameters.

As in finite elements: a piece gives derivatives in its atoms, cell by cell (and row by row where it must); a design says how an atom
hangs on the parameters; sums over cells, rows and slots land in the vector and matrix of all parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdsl.runtime.pieces import PieceData
from emdsl.runtime.problem import Array, Theta

_Formula = Callable[[Theta, Array, PieceData, Any], tuple[Any, ...]]


@dataclass(frozen=True)
class Place:
    """Where one atom's slots lie in the vector of all parameters.

    `positions` `(cells, slots)`, or `(cells, slots, rows)` where they vary by row; `design` `(slots, rows or 1)`, or with a leading axis of
    cells; None for a bare element (coefficient 1).
    """

    positions: NDArray[np.intp]
    design: Array | None

    @property
    def by_row(self) -> bool:
        """Whether positions vary by row."""
        return self.positions.ndim == 3

    def spread(self, values: Array) -> Array:
        """`values` `(cells, rows)` summed over rows with the design: `(cells, slots)`; by row: `(cells, slots, rows)`."""
        if self.design is None:
            return values.sum(axis=-1)[:, None]
        if self.by_row:
            return np.broadcast_to(values[:, None, :] * self.design, np.broadcast_shapes(self.positions.shape, (1, 1, values.shape[-1])))
        if self.design.ndim == 2:
            if self.design.shape[-1] == 1:
                return values.sum(axis=-1)[:, None] * self.design[:, 0]
            return values @ self.design.T
        return np.einsum("cr,csr->cs", values, np.broadcast_to(self.design, (*self.design.shape[:-1], values.shape[-1])))


@dataclass(frozen=True)
class Assembly:
    """One piece's part of Q: its formulas and the places of its atoms."""

    data: PieceData
    names: tuple[tuple[str, ...], ...]
    places: tuple[Place, ...]
    formulas: tuple[_Formula, _Formula, _Formula]
    hessian_entries: tuple[tuple[int, int], ...]
    reduced: bool
    sign: int

    def touches(self, parameters: set[str]) -> bool:
        """Whether some of these parameters occur in the piece."""
        return any(set(names) & parameters for names in self.names)

    # --- weights ------------------------------------------------------------------------------------------------------

    def _weights(self, statistics: Any) -> Array:
        """`(cells, rows)`; for a log-sum-exp without its last cell axis."""
        if not self.data.by_row:
            return np.ones((1, 1))
        if not self.reduced:
            spread = self.data.row_weights(statistics)
            full = (*self.data.cells, self.data.rows)
            return np.broadcast_to(spread, full).reshape(-1, self.data.rows)
        weights = statistics.reshape(*self.data.hidden, *(1,) * (len(self.data.elements) - 1), self.data.rows)
        if self.data.row_mask is not None:
            weights = weights * self.data.row_mask[..., 0, :]
        if self.data.outside is not None:
            weights = np.where(self.data.outside[..., 0, None], 0.0, weights)
        cells = (*self.data.hidden, *self.data.elements[:-1])
        return self.sign * np.broadcast_to(weights, (*cells, self.data.rows)).reshape(-1, self.data.rows)

    def _flat(self, values: Any) -> Array:
        """`(cells, rows or 1)` of a formula's value."""
        cells = self.data.cells
        array = np.asarray(values)
        if not self.data.by_row:
            return np.broadcast_to(array, cells).reshape(-1, 1)
        rows = array.shape[-1] if array.ndim else 1
        array = array if array.ndim else array.reshape((1,) * (len(cells) + 1))
        return np.broadcast_to(array, (*cells, rows)).reshape(-1, rows)

    def _full(self, values: Any) -> Array:
        flat = self._flat(values)
        return np.broadcast_to(flat, (flat.shape[0], self.data.rows)) if self.data.by_row else flat

    # --- value, gradient, Hessian ---------------------------------------------------------------------------------------

    def value(self, theta: Theta, v: Array, statistics: Any) -> float:
        """The piece's part of Q."""
        (value,) = self.formulas[0](theta, v, self.data, statistics)
        if not self.data.by_row:
            total = np.broadcast_to(value, self.data.cells)
            outside = self.data.outside
            return float(total.sum() if outside is None else np.where(outside, 0.0, total).sum())
        weights = self._weights(statistics)
        density = self._full(value)
        if self.reduced:
            density = np.logaddexp.reduce(density.reshape(-1, self.data.elements[-1], self.data.rows), axis=1)
        return float((weights * np.where(weights == 0.0, 0.0, density)).sum())

    def gradient(self, theta: Theta, v: Array, statistics: Any, out: Array) -> None:
        """Adds the gradient in all parameters to `out`."""
        entries = self.formulas[1](theta, v, self.data, statistics)
        weights = self._gradient_weights(theta, v, statistics)
        for place, entry in zip(self.places, entries, strict=True):
            product = self._product(weights, self._flat(entry))
            self._scatter(place, place.spread(product), out)

    def _gradient_weights(self, theta: Theta, v: Array, statistics: Any) -> Array:
        weights = self._weights(statistics)
        if not self.reduced:
            return weights
        share = self._share(theta, v, statistics)
        return (weights[:, None, :] * share).reshape(-1, self.data.rows)

    def _share(self, theta: Theta, v: Array, statistics: Any) -> Array:
        (value,) = self.formulas[0](theta, v, self.data, statistics)
        density = self._full(value).reshape(-1, self.data.elements[-1], self.data.rows)
        share = np.exp(density - density.max(axis=1, keepdims=True))
        return share / share.sum(axis=1, keepdims=True)

    def _product(self, weights: Array, entry: Array) -> Array:
        # What has no weight counts for nothing, also where a formula divides 0 by 0.
        if weights.shape == (1, 1):
            return entry
        return weights * np.where(weights == 0.0, 0.0, entry)

    def _scatter(self, place: Place, values: Array, out: Array) -> None:
        positions = np.broadcast_to(place.positions, values.shape)
        out += np.bincount(positions.ravel(), weights=values.ravel(), minlength=len(out))

    def hessian(self, theta: Theta, v: Array, statistics: Any, local: NDArray[np.intp], out: Array) -> None:
        """Adds second derivatives to `out` `(group, group)`; `local` gives each parameter's place in the group, -1 outside."""
        entries = self.formulas[2](theta, v, self.data, statistics)
        weights = self._gradient_weights(theta, v, statistics)
        for (i, j), entry in zip(self.hessian_entries, entries, strict=True):
            self._add_block(i, j, self._product(weights, self._flat(entry)), local, out)
        if self.reduced:
            self._log_sum_exp_terms(theta, v, statistics, weights, local, out)

    def _log_sum_exp_terms(
        self, theta: Theta, v: Array, statistics: Any, weights: Array, local: NDArray[np.intp], out: Array
    ) -> None:
        """`sum_k p_k g_k g_k' - (sum_k p_k g_k)(sum_k p_k g_k)'` of a log-sum-exp."""
        gradient = [self._full(entry) for entry in self.formulas[1](theta, v, self.data, statistics)]
        atoms = range(len(gradient))
        for i in atoms:
            for j in range(i, len(gradient)):
                self._add_block(i, j, weights * gradient[i] * gradient[j], local, out)
        size = self.data.elements[-1]
        share = self._share(theta, v, statistics)
        base = self._weights(statistics)
        for i in atoms:
            for j in atoms:
                left = gradient[i].reshape(-1, size, self.data.rows) * share
                right = gradient[j].reshape(-1, size, self.data.rows) * share
                for k in range(size):
                    for m in range(size):
                        product = -base * left[:, k] * right[:, m]
                        self._add_cross(self.places[i], self.places[j], k, m, size, product, local, out)

    def _add_block(self, i: int, j: int, values: Array, local: NDArray[np.intp], out: Array) -> None:
        first, second = self.places[i], self.places[j]
        for cell in range(len(values)):
            block, rows, columns = _outer(first, second, cell, cell, values[cell])
            _place(block, local[rows], local[columns], out, symmetric=i != j)

    def _add_cross(
        self, first: Place, second: Place, k: int, m: int, size: int, values: Array, local: NDArray[np.intp], out: Array
    ) -> None:
        for cell in range(len(values)):
            block, rows, columns = _outer(first, second, cell * size + k, cell * size + m, values[cell])
            _place(block, local[rows], local[columns], out, symmetric=False)


def _outer(first: Place, second: Place, a: int, b: int, values: Array) -> tuple[Array, Any, Any]:
    """The block of slots by slots of two atoms, and the parameters' places: `(slots, slots)`, or by row with rows first."""
    x, y = _design(first, a), _design(second, b)
    rows, columns = first.positions[a], second.positions[b]
    if first.by_row or second.by_row:
        full = len(values)
        left = np.broadcast_to(x, (x.shape[0], full)).T[:, :, None]
        right = np.broadcast_to(y, (y.shape[0], full)).T[:, None, :]
        block = values[:, None, None] * left * right
        rows = np.broadcast_to(rows if first.by_row else rows[:, None], (len(x), full)).T[:, :, None]
        columns = np.broadcast_to(columns if second.by_row else columns[:, None], (len(y), full)).T[:, None, :]
        return block, np.broadcast_to(rows, block.shape), np.broadcast_to(columns, block.shape)
    if x.shape[-1] == 1 and y.shape[-1] == 1:
        block = values.sum() * (x @ y.T)
    else:
        block = (x * values) @ np.broadcast_to(y, (y.shape[0], max(len(values), y.shape[-1]))).T
    return block, np.broadcast_to(rows[:, None], block.shape), np.broadcast_to(columns[None, :], block.shape)


def _design(place: Place, cell: int) -> Array:
    if place.design is None:
        return np.ones((1, 1))
    if place.design.ndim == 2:
        return place.design
    return place.design[cell if len(place.design) > 1 else 0]


def _place(block: Array, rows: Any, columns: Any, out: Array, *, symmetric: bool) -> None:
    inside = (rows >= 0) & (columns >= 0)
    size = len(out)
    flat = (rows * size + columns)[inside]
    out += np.bincount(flat, weights=block[inside], minlength=size * size).reshape(size, size)
    if symmetric:
        flat = (columns * size + rows)[inside]
        out += np.bincount(flat, weights=block[inside], minlength=size * size).reshape(size, size)


def make_place(data: PieceData, i: int, offsets: Mapping[str, int]) -> Place:
    """The place of atom `i` of a piece."""
    count = int(np.prod(data.cells))
    direct = data.addresses[i]
    if direct is not None:
        shape = [data.cells[k] if k in direct.axes else 1 for k in range(len(data.cells))]
        flat = np.broadcast_to(direct.flat.reshape(shape), data.cells).reshape(count, 1)
        return Place(offsets[direct.parameter] + flat, None)
    slots = data.slots[i]
    assert slots is not None
    cells = len(data.cells)
    positions = np.broadcast_to(slots.positions, (*data.cells, *slots.positions.shape[cells:]))
    positions = positions.reshape(count, *slots.positions.shape[cells:])
    if slots.shared:
        design = slots.coefficients.reshape(slots.coefficients.shape[-2:])
    else:
        full = (*data.cells, *slots.coefficients.shape[-2:])
        design = np.broadcast_to(slots.coefficients, full).reshape(count, *slots.coefficients.shape[-2:])
    return Place(np.ascontiguousarray(positions), design)


def assemble_gradient(
    assemblies: Sequence[Assembly], theta: Theta, v: Array, statistics: Mapping[str, Any]
) -> Array:
    """The gradient of Q in the vector of all parameters."""
    out = np.zeros(len(v))
    for item in assemblies:
        item.gradient(theta, v, statistics[item.data.name], out)
    return out
