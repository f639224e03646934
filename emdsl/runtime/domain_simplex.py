"""Probabilities that sum to one: additive log-ratios over the free elements."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emdsl.runtime.domain_scalars import EDGE, ZERO_COORDINATE, safe_log
from emdsl.runtime.problem import Array


@dataclass(frozen=True, eq=False)
class SimplexMap:
    """Simplexes `(rows, cells)`, in which fixed elements hold and the free ones share `mass`.

    u = log(x / x_reference) over the free elements but the reference, the largest free element of the base point, so
    that an element at 0 costs the others no digits. All rows here have a free element.

    `index` (size,) are flat positions of the coordinates' elements, `reference` (size,) those of their references,
    `rows` (size,) their rows; `where` (rows, cells) are the flat positions of all elements, `free_cells` (rows,
    cells) the free ones.
    """

    index: NDArray[np.intp]
    reference: NDArray[np.intp]
    rows: NDArray[np.intp]
    cells: NDArray[np.intp]
    where: NDArray[np.intp]
    free_cells: NDArray[np.bool_]
    mass: Array

    @property
    def size(self) -> int:
        """How many coordinates."""
        return len(self.index)

    def free(self, x: Array) -> Array:
        """Coordinates of the flat array x."""
        return safe_log(x[self.index]) - safe_log(x[self.reference])

    def write(self, u: Array, out: Array) -> None:
        """The elements at coordinates u, into the flat array out."""
        z = np.where(self.free_cells, 0.0, -np.inf)
        z[self.rows, self.cells] = u
        z -= z.max(axis=1, keepdims=True)
        share = np.where(z > ZERO_COORDINATE, np.exp(z), 0.0)
        share *= (self.mass / share.sum(axis=1))[:, None]
        out[self.where[self.free_cells]] = share[self.free_cells]

    def pullback(self, x: Array, gradient: Array) -> Array:
        """Gradient in u: x_i (g_i - mean of g under the free mass)."""
        product = np.where(self.free_cells & (x[self.where] > 0), x[self.where] * gradient[self.where], 0.0)
        mean = product.sum(axis=1) / self.mass
        return np.asarray(product[self.rows, self.cells] - x[self.index] * mean[self.rows])

    def jacobian(self, x: Array) -> Array:
        """dx_i/du_j = x_i (1{i = j} - x_j / mass), `(x.size, size)`."""
        out = np.zeros((x.size, self.size))
        columns = np.arange(self.size)
        free = np.where(self.free_cells, x[self.where], 0.0)[self.rows]
        out[self.where[self.rows], columns[:, None]] = -free * (x[self.index] / self.mass[self.rows])[:, None]
        out[self.index, columns] += x[self.index]
        return out

    def edge(self, x: Array) -> NDArray[np.bool_]:
        """Which coordinates belong to an element below 1e-8 of the free mass."""
        return np.asarray(x[self.index] < EDGE * self.mass[self.rows])

    @property
    def closed_below(self) -> NDArray[np.bool_]:
        """Everywhere: an element may be 0."""
        return np.ones(self.size, dtype=bool)

    @property
    def closed_above(self) -> NDArray[np.bool_]:
        """Nowhere: it is the reference that would be 0, and the reference is the largest."""
        return np.zeros(self.size, dtype=bool)

    @property
    def scale_free(self) -> NDArray[np.bool_]:
        """Everywhere: log-ratios."""
        return self.closed_below

    @property
    def elements(self) -> NDArray[np.intp]:
        """The flat position that each coordinate is named after."""
        return self.index

    def touched(self, held: NDArray[np.bool_]) -> NDArray[np.intp]:
        """The elements held at 0, and a reference that is left alone with all the mass."""
        number = len(self.where)
        all_held = np.bincount(self.rows, minlength=number) == np.bincount(self.rows[held], minlength=number)
        _, first = np.unique(self.rows, return_index=True)
        alone = self.reference[first[all_held[self.rows[first]]]]
        return np.concatenate([self.index[held], alone])


def simplex_map(base: Array, fixed: NDArray[np.bool_], cells: int) -> SimplexMap | None:
    """The map of an array of simplexes of `cells` elements each (event axes flattened), or None if nothing is free.

    `base` and `fixed` are flat. A row whose only free element is what the fixed ones leave has no coordinate.
    """
    values, held = base.reshape(-1, cells), fixed.reshape(-1, cells)
    where = np.arange(base.size).reshape(-1, cells)
    chosen = np.flatnonzero((~held).any(axis=1))
    if not len(chosen):
        return None
    free = ~held[chosen]
    where = where[chosen]
    mass = np.maximum(1.0 - np.where(free, 0.0, values[chosen]).sum(axis=1), 0.0)
    reference = np.argmax(np.where(free, values[chosen], -np.inf), axis=1)
    others = free.copy()
    others[np.arange(len(chosen)), reference] = False
    rows, columns = np.nonzero(others)
    return SimplexMap(
        where[rows, columns], where[rows, reference[rows]], rows, columns, where, free, np.where(mass > 0, mass, 1e-300)
    )
