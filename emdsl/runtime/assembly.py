"""Gradient and Hessian of Q by assembly: those of one cell, scatter-added by the places of its parameters.

As in finite elements: a piece gives derivatives in its atoms, cell by cell (and row by row where it must); a design
says how an atom hangs on the parameters; sums over cells, rows and slots land in the vector and matrix of all
parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from emdsl.runtime.pieces import PieceData
from emdsl.runtime.problem import Array, Theta

_Formula = Callable[[Theta, Array, PieceData, Any], tuple[Any, ...]]


@dataclass(frozen=True)
class Place:
    """Where one atom's slots lie in the vector of all parameters.

    `positions` `(cells, slots)`, or `(cells, slots, rows)` where they vary by row; `design` `(slots, rows or 1)`, or
    with a leading axis of cells; `bare`: one slot with coefficient 1.
    """

    positions: NDArray[np.intp]
    design: Array
    bare: bool

    @property
    def by_row(self) -> bool:
        """Whether positions vary by row."""
        return self.positions.ndim == 3

    def at(self, cells: NDArray[np.intp]) -> Place:
        """The place for some cells, repeated as they are listed."""
        design = self.design if self.design.ndim == 2 else self.design[cells]
        return Place(self.positions[cells], design, self.bare)

    def spread(self, values: Array) -> Array:
        """`values` `(cells, rows)` summed over rows with the design: `(cells, slots)`; by row: `(cells, slots,
        rows)`.
        """
        if self.by_row:
            full: Array = values[:, None, :] * self.design
            return np.broadcast_to(full, (*self.positions.shape[:2], values.shape[-1]))
        if self.bare:
            return np.asarray(values.sum(axis=-1)[:, None])
        if self.design.shape[-1] == 1:
            return np.asarray(values.sum(axis=-1)[:, None] * self.design[..., 0])
        if self.design.ndim == 2:
            return np.asarray(values @ self.design.T)
        return np.asarray((self.design @ values[:, :, None])[..., 0])

    def outer(self, other: Place, values: Array) -> Array:
        """`sum_rows values x y'`: `(cells, slots, other's slots)`; with places by row `(cells, rows, slots, other's
        slots)`.
        """
        x, y = self.design, other.design
        if self.by_row or other.by_row:
            left = np.swapaxes(np.broadcast_to(x, (*x.shape[:-1], values.shape[-1])), -1, -2)
            right = np.swapaxes(np.broadcast_to(y, (*y.shape[:-1], values.shape[-1])), -1, -2)
            return np.asarray(values[:, :, None, None] * left[..., :, None] * right[..., None, :])
        if x.shape[-1] == 1 and y.shape[-1] == 1:
            return np.asarray(values.sum(axis=-1)[:, None, None] * x * np.swapaxes(y, -1, -2))
        rows = max(values.shape[-1], x.shape[-1], y.shape[-1])
        left = values[:, None, :] * x
        if y.shape[-1] != rows:
            y = np.broadcast_to(y, (*y.shape[:-1], rows))
        if left.shape[-1] != rows:
            left = np.broadcast_to(left, (*left.shape[:-1], rows))
        return np.asarray(left @ np.swapaxes(y, -1, -2))

    def pair(self, other: Place, shape: tuple[int, ...]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """The parameters' places of every entry of a block of that shape."""
        rows, columns = self.positions, other.positions
        if len(shape) == 4:
            rows = np.swapaxes(rows, 1, 2)[..., None] if self.by_row else rows[:, None, :, None]
            columns = np.swapaxes(columns, 1, 2)[:, :, None, :] if other.by_row else columns[:, None, None, :]
        else:
            rows, columns = rows[:, :, None], columns[:, None, :]
        return np.broadcast_to(rows, shape), np.broadcast_to(columns, shape)


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

    def row_weights(self, statistics: Any) -> Array:
        """What each row counts in each cell of a piece by row, `(cells, rows)`; for a log-sum-exp the same for all
        elements that it is reduced over."""
        weights = self._weights(statistics)
        return np.repeat(weights, self.data.elements[-1], axis=0) if self.reduced else weights

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
        if self.data.multiplier is not None:
            weights = weights * self.data.multiplier
        cells = (*self.data.hidden, *self.data.elements[:-1])
        return self.sign * np.broadcast_to(weights, (*cells, self.data.rows)).reshape(-1, self.data.rows)

    def _flat(self, values: Any) -> Array:
        """`(cells, rows or 1)` of a formula's value."""
        cells = self.data.cells
        array = np.asarray(values)
        if not self.data.by_row:
            return (array if array.shape == cells else np.broadcast_to(array, cells)).reshape(-1, 1)
        rows = array.shape[-1] if array.ndim else 1
        if array.shape != (*cells, rows):
            array = np.broadcast_to(array if array.ndim else array.reshape((1,) * (len(cells) + 1)), (*cells, rows))
        return array.reshape(-1, rows)

    def _full(self, values: Any) -> Array:
        flat = self._flat(values)
        if not self.data.by_row or flat.shape[1] == self.data.rows:
            return flat
        return np.broadcast_to(flat, (flat.shape[0], self.data.rows))

    # --- value, gradient, Hessian
    # ---------------------------------------------------------------------------------------

    def value(self, theta: Theta, v: Array, statistics: Any) -> float:
        """The piece's part of Q."""
        (value,) = self.formulas[0](theta, v, self.data, statistics)
        if not self.data.by_row:
            return float(self._product(np.ones((1, 1)), self._flat(value), self._empty(statistics)).sum())
        weights = self._weights(statistics)
        density = self._full(value)
        if self.reduced:
            density = np.logaddexp.reduce(density.reshape(-1, self.data.elements[-1], self.data.rows), axis=1)
        return float((weights * np.where(weights == 0.0, 0.0, density)).sum())

    def gradient(self, theta: Theta, v: Array, statistics: Any, out: Array) -> None:
        """Adds the gradient in all parameters to `out`."""
        for place, product in self.products(theta, v, statistics):
            self._scatter(place, place.spread(product), out)

    def products(self, theta: Theta, v: Array, statistics: Any) -> Iterator[tuple[Place, Array]]:
        """The derivative of Q in each atom, `(cells, rows or 1)`, with the atom's place."""
        entries = self.formulas[1](theta, v, self.data, statistics)
        weights = self._gradient_weights(theta, v, statistics)
        empty = self._empty(statistics)
        for place, entry in zip(self.places, entries, strict=True):
            yield place, self._product(weights, self._flat(entry), empty)

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
        return np.asarray(share / share.sum(axis=1, keepdims=True))

    def _empty(self, statistics: Any) -> NDArray[np.bool_] | None:
        """Cells of a separable piece that hold nothing, `(cells, 1)`."""
        if self.data.by_row:
            return None
        return np.asarray(~statistics.any(axis=-1)).reshape(-1, 1)

    def _product(self, weights: Array, entry: Array, empty: NDArray[np.bool_] | None) -> Array:
        # What has no weight counts for nothing, also where a formula divides 0 by 0.
        if empty is not None:
            return np.where(empty, 0.0, entry)
        return weights * np.where(weights == 0.0, 0.0, entry)

    def _scatter(self, place: Place, values: Array, out: Array) -> None:
        positions = np.broadcast_to(place.positions, values.shape)
        out += np.bincount(positions.ravel(), weights=values.ravel(), minlength=len(out))

    def hessian(
        self, theta: Theta, v: Array, statistics: Any, local: NDArray[np.intp], out: Array, cache: dict[Any, Any]
    ) -> None:
        """Adds second derivatives to `out` `(group, group)`; `local` gives each parameter's place in the group, -1
        outside.

        `cache` keeps the places of blocks between calls with the same `local`.
        """
        entries = self.formulas[2](theta, v, self.data, statistics)
        weights = self._gradient_weights(theta, v, statistics)
        empty = self._empty(statistics)
        for (i, j), entry in zip(self.hessian_entries, entries, strict=True):
            self._add_block(i, j, self._product(weights, self._flat(entry), empty), local, out, cache)
        if self.reduced:
            self._log_sum_exp_terms(theta, v, statistics, weights, local, out, cache)

    def _log_sum_exp_terms(
        self,
        theta: Theta,
        v: Array,
        statistics: Any,
        weights: Array,
        local: NDArray[np.intp],
        out: Array,
        cache: dict[Any, Any],
    ) -> None:
        """`sum_k p_k g_k g_k' - (sum_k p_k g_k)(sum_k p_k g_k)'` of a log-sum-exp."""
        gradient = [self._full(entry) for entry in self.formulas[1](theta, v, self.data, statistics)]
        for i in range(len(gradient)):
            for j in range(i, len(gradient)):
                self._add_block(i, j, weights * gradient[i] * gradient[j], local, out, cache)
        size, rows = self.data.elements[-1], self.data.rows
        share = self._share(theta, v, statistics)
        base = self._weights(statistics)[:, None, None, :]
        for i in range(len(gradient)):
            for j in range(len(gradient)):
                left = (gradient[i].reshape(-1, size, rows) * share)[:, :, None, :]
                right = (gradient[j].reshape(-1, size, rows) * share)[:, None, :, :]
                product = (-base * left * right).reshape(-1, rows)
                first, second = self._crossed(i, j, size, cache)
                place(first, second, product, local, out, cache, (self.data.name, "cross", i, j), symmetric=False)

    def _add_block(
        self, i: int, j: int, values: Array, local: NDArray[np.intp], out: Array, cache: dict[Any, Any]
    ) -> None:
        place(
            self.places[i], self.places[j], values, local, out, cache, (self.data.name, "block", i, j), symmetric=i != j
        )

    def _crossed(self, i: int, j: int, size: int, cache: dict[Any, Any]) -> tuple[Place, Place]:
        """The places of atoms i and j for every pair of values of the reduced axis, as if each pair were a cell."""
        key = (self.data.name, "pairs", i, j)
        if key not in cache:
            count = len(self.places[i].positions) // size
            cell, k, m = np.meshgrid(np.arange(count), np.arange(size), np.arange(size), indexing="ij")
            cache[key] = (self.places[i].at((cell * size + k).ravel()), self.places[j].at((cell * size + m).ravel()))
        found: tuple[Place, Place] = cache[key]
        return found


def place(
    first: Place,
    second: Place,
    values: Array,
    local: NDArray[np.intp],
    out: Array,
    cache: dict[Any, Any],
    key: Any,
    *,
    symmetric: bool,
) -> None:
    """Adds `sum_rows values x_first x_second'`, slots by slots and cell by cell, to the group's matrix; `values`
    `(cells, rows)`.
    """
    block = first.outer(second, values)
    if key not in cache:
        rows, columns = first.pair(second, block.shape)
        a, b = local[rows].ravel(), local[columns].ravel()
        inside = (a >= 0) & (b >= 0)
        size = len(out)
        cache[key] = (None if inside.all() else inside, (a * size + b)[inside], (b * size + a)[inside])
    inside, flat, mirrored = cache[key]
    numbers = block.ravel() if inside is None else block.ravel()[inside]
    target = out.reshape(-1)
    target += np.bincount(flat, weights=numbers, minlength=target.size)
    if symmetric:
        target += np.bincount(mirrored, weights=numbers, minlength=target.size)


def make_place(data: PieceData, i: int, offsets: Mapping[str, int]) -> Place:
    """The place of atom `i` of a piece."""
    count = int(np.prod(data.cells))
    direct = data.addresses[i]
    if direct is not None:
        shape = [data.cells[k] if k in direct.axes else 1 for k in range(len(data.cells))]
        flat = np.broadcast_to(direct.flat.reshape(shape), data.cells).reshape(count, 1)
        return Place(offsets[direct.parameter] + flat, np.ones((1, 1)), True)
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
    return Place(np.ascontiguousarray(positions), design, False)


class Part(Protocol):
    """A part of Q that adds itself to a gradient."""

    @property
    def data(self) -> Any:
        """What its statistics go by: `data.name`."""
        ...

    def gradient(self, theta: Theta, v: Array, statistics: Any, out: Array) -> None:
        """Adds the gradient in all parameters to `out`."""
        ...


def assemble_gradient(assemblies: Sequence[Part], theta: Theta, v: Array, statistics: Mapping[str, Any]) -> Array:
    """The gradient of Q in the vector of all parameters."""
    out = np.zeros(len(v))
    for item in assemblies:
        item.gradient(theta, v, statistics[item.data.name], out)
    return out
