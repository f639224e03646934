"""Binding a table to a model graph: sizes, codes, numbers, units. `bind` is the stage; everything else is a step of
it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from emdsl.data.bound import Bound, Values
from emdsl.data.columns import ColumnFinder, check_map, data_variables
from emdsl.data.constants import Constants
from emdsl.data.cut_cells import CellReader
from emdsl.data.index_sets import IndexSets
from emdsl.data.options import BindOptions
from emdsl.data.table import Table
from emdsl.data.units import Arrangement, arrange
from emdsl.data.values import ValueReader
from emdsl.data.weights import multiplied, option_weight
from emdsl.data.wording import listed
from emdsl.diagnostics.errors import Diagnostic, EmmError
from emdsl.ir.cuts import cut_points
from emdsl.ir.model import Columns, Counts, Levels, Model

T = TypeVar("T")


@dataclass
class _Failures:
    """Errors of steps that do not depend on each other, to be raised together."""

    found: list[Diagnostic] = field(default_factory=list)

    def attempt(self, step: Callable[[], T]) -> T | None:
        """The step's result, or None where it fails."""
        try:
            return step()
        except EmmError as error:
            self.found += [item for item in error.diagnostics if item not in self.found]
            return None

    def stop(self) -> None:
        """Raises what was found."""
        if self.found:
            raise EmmError.of(self.found)


def bind(model: Model, table: Table, options: BindOptions | None = None) -> Bound:
    """The table's columns as arrays that the planner can use, with all sizes known.

    Raises `EmmError` with everything that is wrong with the data, as far as it can be told at once.
    """
    options = options or BindOptions()
    sets = IndexSets(model, table, options)
    constants = Constants(model, options, sets.labels)
    finder = ColumnFinder(model, table, options, sets.labels)
    sets.finder, sets.number = finder, constants.number
    check_map(model, options)
    failures = _Failures()
    indexes = failures.attempt(sets.all)
    failures.stop()
    assert indexes is not None
    tables = {item.name: failures.attempt(partial(constants.array, item.name)) for item in model.constants}
    sizes = {name: len(labels) for name, labels in indexes.items()}
    failures.attempt(partial(_check_cuts, model, sizes))
    arrangement = failures.attempt(partial(arrange, model, table, finder, sizes))
    failures.stop()
    assert arrangement is not None
    frozen = frozenset(
        item.name for item in model.index_sets if options.indexes and isinstance(item.source, (Levels, Columns))
    )
    reader = ValueReader(
        model, table, finder, arrangement, sets.labels, lambda e, subject: float(constants.number(e, subject)), frozen
    )
    values = _values(model, reader, failures)
    if not failures.found:
        cells = CellReader(
            model, table, arrangement, reader, values, sets.labels,
            lambda e, subject: float(constants.number(e, subject)),
        )  # fmt: skip
        _cells(model, cells, values, failures)
    weights = _weights(model, table, options, arrangement, values, reader.columns, failures)
    failures.stop()
    return Bound(
        indexes=indexes,
        constants={name: array for name, array in tables.items() if array is not None},
        values=values,
        levels=arrangement.levels,
        weights=weights,
        columns=reader.columns | ({"--weight": options.weight} if options.weight is not None else {}),
        missing=reader.missing,
        rows=table.rows,
        order=arrangement.order,
        warnings=(*arrangement.warnings, *_warnings(model, table, reader)),
        units=arrangement.names,
        plate_columns=arrangement.columns,
        leftover=sets.leftover,
        source=table.source,
        counts=tuple(item.name for item in model.index_sets if isinstance(item.source, Counts)),
    )


def _check_cuts(model: Model, sizes: Mapping[str, int]) -> None:
    """An ordered variable has one cut point fewer than levels."""
    for cuts in cut_points(model):
        if wrong := cuts.message(sizes[cuts.axis], sizes[cuts.levels]):
            raise EmmError("cut-points", wrong, help=cuts.help(sizes[cuts.levels]))


def _values(model: Model, reader: ValueReader, failures: _Failures) -> dict[str, Values]:
    """The values of all data variables; errors are collected."""
    variables = data_variables(model)
    failures.attempt(partial(reader.prefetch, variables))
    values: dict[str, Values] = {}
    for variable in variables:
        read = failures.attempt(partial(reader.read, variable))
        if read is not None:
            values[variable.name] = read
    for variable in model.variables:
        match variable.between:
            case (low, high) if low in values and high in values:
                three = failures.attempt(partial(reader.read_between, variable, values[low], values[high]))
                if three is not None:
                    values[variable.name], values[low], values[high] = three
    return values


def _cells(model: Model, reader: CellReader, values: dict[str, Values], failures: _Failures) -> None:
    """What the cells of cut variables hold, and whether they may; errors are collected."""
    for variable in model.variables:
        if variable.cut is not None:
            kinds = failures.attempt(partial(reader.cells, variable))
            if kinds is not None:
                values[variable.name] = kinds
    for variable in model.variables:
        if variable.truncated is not None and variable.name in values and not failures.found:
            failures.attempt(partial(reader.check_window, variable))


def _weights(
    model: Model, table: Table, options: BindOptions, arrangement: Arrangement, values: dict[str, Values],
    columns: Mapping[str, str], failures: _Failures,
) -> dict[str, NDArray[np.float64]]:  # fmt: skip
    """The weight of each unit, by plate; several weights of one plate multiply."""
    weights: dict[str, NDArray[np.float64]] = {}
    for weight in model.weights:
        if weight.variable in values:
            factor = values[weight.variable].array.astype(np.float64, copy=False)
            failures.attempt(partial(multiplied, weights, weight.plate, factor, table))
    if options.weight is not None:
        column = options.weight
        own = {columns.get(weight.variable, "") for weight in model.weights}
        extra = failures.attempt(partial(option_weight, model, table, column, arrangement, own))
        if extra is not None:
            failures.attempt(partial(multiplied, weights, *extra, table))
    return weights


def _warnings(model: Model, table: Table, reader: ValueReader) -> list[str]:
    found = [
        f"the column `{item.name}` is not read, as `{item.name}` is latent; if its values are known, "
        f"write: observed {item.name}"
        for item in model.variables
        if item.kind == "latent" and item.name in table and item.name not in reader.columns.values()
    ]
    empty = [name for name, number in reader.missing.items() if number == table.rows]
    if empty:
        found.append(f"every cell of {listed(empty)} is empty")
    return found


__all__ = ["BindOptions", "bind"]
