"""In which rows the laws count that look at observed numbers with open cells."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdsl.data.bound import Bound
from emdsl.diagnostics.errors import EmmError
from emdsl.ir.derivation import Piece
from emdsl.ir.expressions import VariableRef
from emdsl.ir.model import CELL_SUFFIX, CELLS, SEEN, Model, Openness, Variable
from emdsl.ir.open_cells import mask_name
from emdsl.plan.evaluation import Evaluator
from emdsl.plan.named import ROW, Named, union

Flags = NDArray[np.bool_]


def open_cells(variable: Variable, model: Model, bound: Bound) -> Flags:
    """`(*elements, units)`: where a cell does not hold the value: it is empty, or holds a bound."""
    array = np.asarray(bound.values[variable.name].array)
    cell = f"{variable.name}{CELL_SUFFIX}"
    if any(item.name == cell for item in model.variables):
        kinds = np.asarray(bound.values[cell].array)
        return np.broadcast_to(kinds != CELLS.index(SEEN), array.shape) | np.isnan(array)
    return np.asarray(np.isnan(array))


def open_rows(piece: Piece, plain: Evaluator, elements: tuple[str, ...]) -> Named:
    """Where a piece counts, by row and by those of its elements that its cells differ in."""
    assert piece.open is not None
    found = _some_open(piece.open, plain, elements)
    return found if piece.open.hidden else Named(found.axes, ~found.array)


def _some_open(where: Openness, plain: Evaluator, elements: tuple[str, ...]) -> Named:
    if not where.cells:
        assert plain.level is not None
        return Named((ROW,), _units_of_rows(open_units(where, plain.model, plain.bound), where, plain))
    total = Named((), np.asarray(False))
    for cell in where.cells:
        mask = is_open(cell, plain)
        axes = tuple(axis for axis in mask.axes if axis == ROW or axis in elements)
        others = tuple(k for k, axis in enumerate(mask.axes) if axis not in axes)
        mask = Named(axes, np.asarray(mask.array.any(axis=others)) if others else mask.array)
        axes = union(total.axes, mask.axes)
        total = Named(axes, np.asarray(total.aligned(axes) | mask.aligned(axes)))
    return total


def is_open(cell: VariableRef, plain: Evaluator) -> Named:
    """Whether a cell is open; nothing before the beginning of a chain is."""
    mask = plain.value(VariableRef(mask_name(cell.name), cell.indices, cell.lag))
    return Named(mask.axes, np.nan_to_num(mask.array, nan=0.0) != 0)


def open_units(where: Openness, model: Model, bound: Bound) -> Flags:
    """`(units,)` of the plate `where` speaks of (one unit: the data set): those in which some cell is open."""
    home = bound.level_of(where.plate)
    found = np.zeros(bound.levels[home].size, dtype=bool)
    for name in where.names:
        number = bound.level_of(model.variable(mask_name(name)).plate)
        mask = np.asarray(bound.values[mask_name(name)].array) != 0
        units = np.flatnonzero(mask.reshape(-1, mask.shape[-1]).any(axis=0))
        for level in range(number, home, -1):
            units = bound.levels[level].parent[units]
        if number < home:  # the cells of a unit around are those of all the units in it
            raise EmmError("internal", "an open cell lies outside the units of its integral")
        found[units] = True
    return found


def _units_of_rows(units: Flags, where: Openness, plain: Evaluator) -> Any:
    home = plain.bound.level_of(where.plate)
    assert plain.level is not None
    rows = np.arange(plain.bound.levels[plain.level].size)
    for number in range(plain.level, home, -1):
        rows = plain.bound.levels[number].parent[rows]
    return units[rows]
