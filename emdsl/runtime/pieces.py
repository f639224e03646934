"""One piece of the log-density with its data, as the generated formulas see it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdsl.runtime.problem import Array, Theta
from emdsl.runtime.scatter import Address


@dataclass(frozen=True)
class Slots:
    """A predictor as `sum over slots of coefficient * parameter element`.

    `positions` are `(*cells or 1s, slots)` places in the vector of all parameters (`(*cells or 1s, slots, rows)` if
    `by_row`), `coefficients` `(*cells or 1s, slots, rows or 1)`.
    """

    positions: NDArray[np.intp]
    coefficients: Array
    by_row: bool

    @property
    def shared(self) -> bool:
        """Whether every cell has the same coefficients (a design matrix)."""
        return all(size == 1 for size in self.coefficients.shape[:-2])

    @property
    def only(self) -> NDArray[np.intp]:
        """The places of a predictor of a single slot, `(*cells or 1s, rows or 1)`."""
        return self.positions[..., 0, :] if self.by_row else self.positions

    def predict(self, v: Array) -> Array:
        """The predictor, `(*cells or 1s, rows or 1)`."""
        if self.by_row:
            return np.asarray((v[self.positions] * self.coefficients).sum(axis=-2))
        values = v[self.positions]
        if self.shared:
            return np.asarray(values @ self.coefficients.reshape(self.coefficients.shape[-2:]))
        return np.asarray(np.einsum("...s,...sr->...r", values, self.coefficients))

    def at(self, rows: slice) -> Slots:
        """The same predictor for some rows."""
        positions = self.positions[..., rows] if self.by_row else self.positions
        coefficients = self.coefficients[..., rows] if self.coefficients.shape[-1] > 1 else self.coefficients
        return Slots(positions, coefficients, self.by_row)


@dataclass
class PieceData:
    """Addresses, designs and known values of one piece; cells are `(*hidden, *elements, *codes)`.

    `by_row`: its formulas are evaluated row by row (then every array has a row axis last). `rows` is their number.
    `row_mask` `(*elements, rows)` is true where the piece applies. `outside` `(*cells)` is true where its guards do
    not hold; `impossible` `(*cells)` (with rows or 1 last if `by_row`) where a hidden number and data exclude each
    other, so that the probability is 0. `statistics` `(elements * terms, rows)`, or with codes `(elements, terms,
    rows)`.
    """

    name: str
    by_row: bool
    hidden: tuple[int, ...]
    elements: tuple[int, ...]
    codes: tuple[int, ...]
    terms: int
    rows: int
    addresses: list[Address | None]
    slots: list[Slots | None]
    knowns: dict[str, Array]
    shifts: dict[str, Array] = field(default_factory=dict)
    outside: NDArray[np.bool_] | None = None
    row_mask: NDArray[np.bool_] | None = None
    impossible: NDArray[np.bool_] | None = None
    statistics: Array | None = None
    code: NDArray[np.intp] | None = None
    sets: NDArray[np.bool_] | None = None
    blank: bool = False
    weights: Array | None = None
    homes: list[tuple[tuple[int, ...], int]] = field(default_factory=list)
    level: int = 0
    columns: int = 0
    local: dict[tuple[int, int], tuple[NDArray[np.intp], NDArray[np.intp]]] = field(default_factory=dict, repr=False)

    @property
    def cells(self) -> tuple[int, ...]:
        """Lengths of all cell axes."""
        return self.hidden + self.elements + self.codes

    @property
    def eta_shape(self) -> tuple[int, ...]:
        """Shape of the eta table."""
        return (*self.cells, self.terms)

    def atom(self, i: int, theta: Theta, v: Array) -> Array:
        """The value of atom `i` for each cell, with a row axis behind where formulas run by row."""
        place = self.addresses[i]
        if place is not None:
            values = place.gather(np.asarray(theta[place.parameter]))
            return values[..., None] if self.by_row else values
        slots = self.slots[i]
        assert slots is not None
        values = slots.predict(v)
        return values if self.by_row else values[..., 0]

    def standardised(self, centre: str, scale: str, base: Array) -> Array:
        """`(base - mean) / sd` by element, over the rows where the piece applies; the two are kept as known values."""
        base = np.broadcast_to(base, (*base.shape[:-1], self.rows))
        seen = np.isfinite(base)
        weight = np.where(seen, 1.0 if self.weights is None else self.weights, 0.0)
        total = np.maximum(weight.sum(axis=-1, keepdims=True), 1e-300)
        values = np.where(seen, base, 0.0)
        mean = (weight * values).sum(axis=-1, keepdims=True) / total
        spread = np.sqrt((weight * np.where(seen, base - mean, 0.0) ** 2).sum(axis=-1, keepdims=True) / total)
        spread = np.where(spread > 0, spread, 1.0)
        # As cells see them: elements, then codes.
        behind = (*mean.shape[:-1], *(1,) * len(self.codes))
        self.shifts[centre], self.shifts[scale] = mean.reshape(behind), spread.reshape(behind)
        return np.asarray((base - mean) / spread)

    def row_weights(self, weights: Array) -> Array:
        """Posterior weights `(*hidden, rows)` spread over the elements, 0 where the piece does not apply: `(*cells,
        rows)`.
        """
        shape = (*self.hidden, *(1,) * len(self.elements), weights.shape[-1])
        spread = weights.reshape(shape)
        if self.row_mask is not None:
            spread = spread * self.row_mask
        if self.outside is not None:
            spread = np.where(self.outside[..., None], 0.0, spread)
        return spread

    def inside(self, values: Any) -> Any:
        """Values by cell, 0 where the guards do not hold (a formula need not make sense there)."""
        return values if self.outside is None else np.where(self.outside, 0.0, values)

    def over_rows(self, weights: Array, values: Any) -> Array:
        """`sum over rows of weight * value`, by cell; rows of weight 0 count for nothing, whatever their value."""
        product = weights * np.where(weights == 0.0, 0.0, values)
        return np.asarray(product.sum(axis=-1))

    def into(self, i: int, weights: Array, values: Any) -> Array:
        """`over_rows`, summed into the elements of the parameter of bare atom `i`, whose place may vary by row."""
        place = self.addresses[i]
        if place is not None:
            return place.scatter(self.over_rows(weights, values))
        slots = self.slots[i]
        assert slots is not None
        shape, offset = self.homes[i]
        product = np.broadcast_to(weights * np.where(weights == 0.0, 0.0, values), (*self.cells, self.rows))
        positions = np.broadcast_to(slots.only - offset, product.shape)
        sums = np.bincount(positions.ravel(), weights=product.ravel(), minlength=int(np.prod(shape)))
        return np.asarray(sums, dtype=np.float64).reshape(shape)

    def tightest(self, i: int, weights: Array, values: Any, better: Any, so_far: Array) -> Array:
        """The least or largest (`better` chooses between two) of the values of rows that count, for the elements of the
        parameter of bare atom `i`, and of `so_far`; NaN where no row counts."""
        full = (*self.cells, self.rows)
        values, weights = np.broadcast_to(values, full), np.broadcast_to(weights, full)
        place, out = self.addresses[i], so_far.ravel().copy()
        if place is not None:
            numbers = place.gather(np.arange(float(out.size)).reshape(place.shape)).astype(np.intp)
            positions = np.broadcast_to(numbers[..., None], full)
        else:
            slots = self.slots[i]
            assert slots is not None
            positions = np.broadcast_to(slots.only - self.homes[i][1], full)
        counts = weights > 0
        worst = np.inf if better(0.0, 1.0) == 0.0 else -np.inf
        found = np.where(np.isnan(out), worst, out)
        better.at(found, positions[counts], values[counts])
        return np.asarray(np.where(np.isfinite(found), found, np.nan)).reshape(so_far.shape)

    def occurring(self, element: int, rows: slice) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """The codes of some rows as positions among those that occur there, and these; kept for the next time."""
        key = (element, rows.start)
        if key not in self.local:
            assert self.code is not None
            found, local = np.unique(self.code[element, rows], return_inverse=True)
            self.local[key] = np.ascontiguousarray(local.ravel(), dtype=np.intp), found
        return self.local[key]

    def view(self, rows: slice) -> PieceData:
        """The same piece for some rows."""

        def cut(array: Any) -> Any:
            return array[..., rows] if array.ndim and array.shape[-1] == self.rows and self.rows > 1 else array

        return replace(
            self,
            slots=[None if item is None else item.at(rows) for item in self.slots],
            knowns={name: cut(value) for name, value in self.knowns.items()},
            row_mask=None if self.row_mask is None else cut(self.row_mask),
            impossible=None if self.impossible is None else cut(self.impossible),
            rows=len(range(*rows.indices(self.rows))),
        )
