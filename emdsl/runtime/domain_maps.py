"""What a map between a domain and its free coordinates offers, and which maps a parameter takes."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from emdsl.runtime.domain_matrices import CorrelationMap, CovarianceMap, PatternedMatrixMap
from emdsl.runtime.domain_ordered import OrderedMap, PinnedOrderedMap
from emdsl.runtime.domain_scalars import ScalarMap, scalar_bounds
from emdsl.runtime.domain_simplex import simplex_map
from emdsl.runtime.problem import Array, Space


class DomainMap(Protocol):
    """Some elements of one parameter's flat array as free coordinates. Flags are `(size,)`."""

    @property
    def size(self) -> int:
        """How many coordinates."""
        ...

    def free(self, x: Array) -> Array:
        """Coordinates of the flat array x."""
        ...

    def write(self, u: Array, out: Array) -> None:
        """The elements at coordinates u, into the flat array out (which holds the fixed elements)."""
        ...

    def pullback(self, x: Array, gradient: Array) -> Array:
        """Gradient in u from the gradient in the elements, taken as free of each other."""
        ...

    def jacobian(self, x: Array) -> Array:
        """dx/du, `(x.size, size)`."""
        ...

    def edge(self, x: Array) -> NDArray[np.bool_]:
        """Which coordinates sit at the boundary of the domain."""
        ...

    def touched(self, held: NDArray[np.bool_]) -> NDArray[np.intp]:
        """Flat positions of the elements at the boundary where the coordinates `held` are held there."""
        ...

    @property
    def closed_below(self) -> NDArray[np.bool_]:
        """Where u to minus infinity is a point of the closed domain."""
        ...

    @property
    def closed_above(self) -> NDArray[np.bool_]:
        """Where u to plus infinity is a point of the closed domain."""
        ...

    @property
    def scale_free(self) -> NDArray[np.bool_]:
        """Where a unit of u is a natural unit, whatever the unit of the data."""
        ...

    @property
    def elements(self) -> NDArray[np.intp]:
        """The flat position that each coordinate is named after."""
        ...


def domain_maps(space: Space, base: Array) -> tuple[DomainMap, ...]:
    """The maps of one parameter's free elements; `base` is a value of it, whose fixed elements hold."""
    fixed = np.asarray(space.fixed, dtype=bool).ravel()
    where = np.arange(base.size)
    if fixed.all():
        return ()
    match space.kind:
        case "simplex":
            cells = int(np.prod(space.shape[len(space.shape) - space.event :]))
            simplexes = simplex_map(base.ravel(), fixed, cells)
            return (simplexes,) if simplexes is not None else ()
        case "ordered":
            rows = where.reshape(-1, space.shape[-1])
            held = fixed.reshape(rows.shape)
            clear, pinned = rows[~held.any(axis=1)], held.any(axis=1) & ~held.all(axis=1)
            maps: list[DomainMap] = [OrderedMap(clear)] if clear.size else []
            return (*maps, *(PinnedOrderedMap(rows[i], held[i]) for i in np.flatnonzero(pinned)))
        case "covariance" | "correlation":
            return matrix_maps(space, where, fixed)
        case "contrast":
            free = ~fixed.reshape(-1, space.shape[-1])
            free[:, 0] = False
            return (ScalarMap(np.flatnonzero(free), -np.inf, np.inf),) if free.any() else ()
        case _:
            return (ScalarMap(np.flatnonzero(~fixed), *scalar_bounds(space.kind, space.low, space.high)),)


def matrix_maps(space: Space, where: NDArray[np.intp], fixed: NDArray[np.bool_]) -> tuple[DomainMap, ...]:
    """Matrices without fixed elements through their Cholesky factor, the others by element."""
    d = space.shape[-1]
    matrices, free = where.reshape(-1, d, d), ~fixed.reshape(-1, d, d)
    free = free | np.swapaxes(free, 1, 2)
    correlation = space.kind == "correlation"
    needed = ~np.eye(d, dtype=bool) if correlation else np.ones((d, d), dtype=bool)
    free = free & needed
    whole = (free | ~needed).all(axis=(1, 2)) & free.any(axis=(1, 2))
    some = free.any(axis=(1, 2)) & ~whole
    maps: list[DomainMap] = []
    if whole.any():
        maps.append(CorrelationMap(matrices[whole]) if correlation else CovarianceMap(matrices[whole]))
    return (*maps, *(PatternedMatrixMap(matrices[i], free[i]) for i in np.flatnonzero(some)))
