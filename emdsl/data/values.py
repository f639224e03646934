"""The values of the data variables: columns to arrays in the order of the units, checked."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdsl.data.bound import Values
from emdsl.data.cells import CellCodes, UnknownLabel
from emdsl.data.columns import ColumnFinder, Element, over_axes
from emdsl.data.index_sets import BINARY
from emdsl.data.support import outside, refuse_outside, wrong_shares
from emdsl.data.table import Codes, Encoded, Floats, Table
from emdsl.data.units import Arrangement
from emdsl.data.wording import did_you_mean, listed, plain
from emdsl.diagnostics.errors import Diagnostic, EmmError
from emdsl.ir.expressions import Expression
from emdsl.ir.model import Model, Variable

#: One column: values (rows,) in the table's order, and which of them are missing.
_Column = tuple[NDArray[Any], NDArray[np.bool_]]


class ValueReader:
    """Reads variables one after the other; `missing` and `columns` fill up as in `Bound`.

    `labels` gives the labels of an index set, `number` the value of an expression of constants; `frozen` are the index
    sets whose labels come from an earlier fit.
    """

    def __init__(
        self, model: Model, table: Table, finder: ColumnFinder, arrangement: Arrangement,
        labels: Callable[[str], tuple[str, ...]], number: Callable[[Expression, str], float],
        frozen: frozenset[str] = frozenset(),
    ) -> None:  # fmt: skip
        self._model, self._table, self._finder, self._arrangement = model, table, finder, arrangement
        self._labels, self._number, self._frozen = labels, number, frozen
        self._bounds = {name for item in model.variables if item.between is not None for name in item.between}
        self._cut = {item.cut.of for item in model.variables if item.cut is not None}
        self.missing: dict[str, int] = {}
        self.columns: dict[str, str] = {}

    def prefetch(self, variables: Sequence[Variable]) -> None:
        """Reads the columns of all variables in a few passes, where the table can do that."""
        for read, finite in ((self._table.prefetch, False), (self._table.prefetch_text, True)):
            if read is not None:
                chosen = [item for item in variables if (item.domain.kind == "finite") == finite]
                read([name for item in chosen for _, name in self._finder.columns(item) if name is not None])

    def read(self, variable: Variable) -> Values:
        """The values of a variable that has columns of its own."""
        elements = self._finder.columns(variable)
        for labels, name in elements:
            if name is not None:
                self.columns[".".join((variable.name, *labels))] = name
        if variable.domain.kind == "finite":
            codes = self._codes(variable)
            arrays = each(lambda name: self._unit_values(variable, name, self._finite(variable, codes, name)), elements)
            return Values(self._shaped(variable, arrays), codes.sets)
        columns = each(lambda name: self._unit_values(variable, name, self._numeric(variable, name)), elements)
        array = self._shaped(variable, columns)
        if variable.domain.kind == "simplex" or (variable.domain.kind == "unit" and _is_vector(variable, self._model)):
            self._check_shares(variable, elements, array)
        return Values(array)

    def read_between(self, variable: Variable, low: Values, high: Values) -> tuple[Values, Values, Values]:
        """An interval-censored variable from its bounds: its exact values, and the bounds, infinite where open."""
        assert variable.between is not None
        left = np.where(np.isnan(low.array), -np.inf, low.array)
        right = np.where(np.isnan(high.array), np.inf, high.array)
        wrong = np.flatnonzero((left > right).reshape(-1, left.shape[-1]).any(axis=0))
        names = [self.columns.get(name, name) for name in variable.between]
        if len(wrong):
            raise EmmError(
                "bounds-crossed",
                f"the lower bound in column `{names[0]}` is above the upper bound in `{names[1]}`",
                place=self._table.place(self._original(variable, wrong)),
            )
        unknown = int(np.count_nonzero(np.isneginf(left) & np.isposinf(right)))
        if unknown:
            self.missing[variable.name] = unknown
        return Values(np.where(left == right, left, np.nan)), Values(left), Values(right)

    def rows_of(self, variable: Variable, units: Codes) -> Codes:
        """The first row in the table of each of these units of the variable's plate."""
        return self._original(variable, units)

    def place_of(self, name: str, variable: Variable, wrong: NDArray[np.bool_]) -> str:
        """Where the cells `wrong` `(*elements, units)` of a variable stand, whose columns go by `name`."""
        flat = wrong.reshape(-1, wrong.shape[-1])
        columns: list[str] = [column for key, column in self.columns.items() if key.split(".")[0] == name]
        first = int(np.flatnonzero(flat.any(axis=1))[0])
        column = columns[first] if first < len(columns) and len(columns) == len(flat) else None
        chosen = flat[first] if column is not None else flat.any(axis=0)
        named = column or (columns[0] if len(columns) == 1 else None)
        return self._table.place(self._original(variable, np.flatnonzero(chosen)), named)

    # --- one column ---------------------------------------------------------------------------------------------------

    def _numeric(self, variable: Variable, name: str | None) -> _Column:
        if name is None:
            return self._nothing(np.nan)
        values = self._table.numbers(name)
        missing = np.isnan(values)
        self._count(variable, name, missing)
        if variable.name not in self._bounds and variable.name not in self._cut:
            words, wrong = outside(variable, values, self._number)
            if len(wrong):
                raise refuse_outside(self._table, name, words, wrong)
        return values, missing

    def _finite(self, variable: Variable, codes: CellCodes, name: str | None) -> _Column:
        if name is None:
            return self._nothing(codes.missing())
        encoded = self._table.encoded(name)
        missing = encoded.codes < 0
        self._count(variable, name, missing)
        lookup: list[int] = []
        unknown: dict[int, str] = {}
        for position, cell in enumerate(encoded.labels):
            try:
                lookup.append(codes.code(cell))
            except UnknownLabel as error:
                lookup.append(-1)
                unknown[position] = error.part
        if unknown:
            raise self._unknown(variable, codes, name, encoded, unknown)
        if variable.kind == "input" and (coarse := [at for at, code in enumerate(lookup) if code >= codes.values]):
            raise EmmError(
                "coarse-input",
                f"an input must be known: expected one value, found {listed(encoded.labels[at] for at in coarse)}",
                place=self._table.place(_rows_with(encoded, coarse), name),
                help=f"declare `{variable.name}` observed and give it a law",
            )
        lookup.append(codes.missing() if missing.any() and variable.kind == "observed" else -1)
        return np.array(lookup, dtype=np.intp)[encoded.codes], missing

    def _nothing(self, value: float) -> _Column:
        rows = self._table.rows
        values: NDArray[Any] = np.full(rows, value, dtype=np.float64 if math.isnan(value) else np.intp)
        return values, np.ones(rows, dtype=np.bool_)

    def _codes(self, variable: Variable) -> CellCodes:
        index_set = variable.values or BINARY
        return CellCodes(index_set, self._labels(index_set), variable.genotype or bool(variable.components))

    def _count(self, variable: Variable, name: str, missing: NDArray[np.bool_]) -> None:
        number = int(np.count_nonzero(missing))
        if number and variable.name not in self._bounds:
            self.missing[name] = number

    # --- rows to units ------------------------------------------------------------------------------------------------

    def _plate(self, variable: Variable) -> str | None:
        """The plate of rows that the variable's columns have one value for each unit of."""
        in_rows = variable.plate in self._arrangement.first_rows
        return variable.plate if in_rows else self._arrangement.rows_plate

    def _unit_values(self, variable: Variable, name: str | None, column: _Column) -> NDArray[Any]:
        """One value for each unit of the variable's plate of rows: that of the unit's non-empty cells, which agree."""
        arrangement, plate = self._arrangement, self._plate(variable)
        values, missing = arrangement.sorted(column[0]), arrangement.sorted(column[1])
        required = variable.kind != "observed" and variable.name not in self._bounds
        if plate == arrangement.rows_plate:
            if required and column[1].any():
                raise self._empty(variable, name or variable.name, np.flatnonzero(column[1]))
            return values
        offsets = arrangement.first_rows[plate]
        rows = self._table.rows
        first = np.minimum.reduceat(np.where(missing, rows, np.arange(rows)), offsets[:-1])
        blank = np.flatnonzero(first == rows)
        if required and len(blank):
            sorted_rows = np.arange(offsets[blank[0]], offsets[blank[0] + 1])
            raise self._empty(variable, name or variable.name, np.sort(arrangement.order[sorted_rows]))
        # A unit whose every cell is empty keeps one of its own empty cells.
        chosen = values[np.where(first == rows, offsets[:-1], first)]
        differs = ~missing & (values != np.repeat(chosen, np.diff(offsets)))
        if differs.any():
            raise self._disagree(variable, name or variable.name, plate, differs, first, offsets)
        return chosen

    def _shaped(self, variable: Variable, arrays: list[NDArray[Any]]) -> NDArray[Any]:
        """Columns as `(*elements, units)`; a plate across columns turns its axes into units, which run fastest."""
        axes = self._finder.axes(variable)
        if not axes:
            return arrays[0]
        across = len(over_axes(self._model, variable.plate))
        sizes = [len(self._labels(axis)) for axis in axes]
        stacked = np.stack(arrays).reshape(*sizes, -1)
        if not across:
            return stacked
        moved = np.moveaxis(stacked, range(across), range(len(sizes) + 1 - across, len(sizes) + 1))
        return np.ascontiguousarray(moved.reshape(*sizes[across:], -1))

    def _original(self, variable: Variable, units: Codes) -> Codes:
        """The first row in the table of each of these units of the variable's plate."""
        offsets = self._arrangement.first_rows[self._plate(variable)]
        across = math.prod(len(self._labels(axis)) for axis in over_axes(self._model, variable.plate))
        return np.unique(self._arrangement.order[offsets[units // across]])

    def _check_shares(self, variable: Variable, elements: tuple[Element, ...], array: Floats) -> None:
        wrong = wrong_shares(array)
        if len(wrong):
            names = [name for _, name in elements if name is not None]
            raise EmmError(
                "outside-support",
                f"expected shares that sum to 1 in the columns {plain(names)}, all of them or none",
                place=self._table.place(self._original(variable, wrong)),
            )

    # --- errors -------------------------------------------------------------------------------------------------------

    def _unknown(
        self, variable: Variable, codes: CellCodes, name: str, encoded: Encoded, unknown: dict[int, str]
    ) -> EmmError:
        cells = [encoded.labels[position] for position in unknown]
        part = next(iter(unknown.values())).strip()
        known = f"its labels are {plain(codes.labels)}"
        if codes.genotype:
            pair = "/".join((codes.labels[0], codes.labels[-1]))
            message = f"expected genotypes of `{codes.index_set}`, such as `{pair}`, found {listed(cells)}"
        elif codes.index_set == BINARY:
            message = f"expected 0 or 1, `false` or `true`, found {listed(cells)}"
            known = ""
        elif len(cells) == 1 and not part:
            message = f"{listed(cells)} leaves one of its alternatives empty"
        elif len(cells) == 1 and part != cells[0]:
            message = f"`{part}`, in {listed(cells)}, is not a label of `{codes.index_set}`"
        else:
            several = "is not a label" if len(cells) == 1 else "are not labels"
            when = ", as the fit knew it" if codes.index_set in self._frozen else ""
            message = f"{listed(cells)} {several} of `{codes.index_set}`{when}"
        near = did_you_mean(part, codes.labels) if not codes.genotype else ""
        return EmmError(
            "unknown-label",
            message,
            place=self._table.place(_rows_with(encoded, tuple(unknown)), name),
            help="; ".join(part for part in (near, known) if part),
        )

    def _empty(self, variable: Variable, name: str, rows: Codes) -> EmmError:
        as_observed = f"leave the rows out, or give `{variable.name}` a law: observed {variable.name} ~ …"
        return EmmError(
            "missing-cell",
            f"the {variable.kind} `{variable.name}` may not be empty in column `{name}`",
            place=self._table.place(rows, name),
            help="" if variable.kind == "weight" else as_observed,
        )

    def _disagree(
        self, variable: Variable, name: str, plate: str | None, differs: NDArray[np.bool_], first: Codes, offsets: Codes
    ) -> EmmError:
        at = int(np.flatnonzero(differs)[0])
        unit = int(np.searchsorted(offsets, at, side="right")) - 1
        inside = np.arange(offsets[unit], offsets[unit + 1])
        rows = np.sort(self._arrangement.order[np.append(inside[differs[inside]], first[unit])])
        encoded = self._table.encoded(name)
        cells = list(dict.fromkeys(encoded.labels[encoded.codes[row]] for row in rows))
        if plate is None:
            each, where = "the whole data set", "the rows"
        else:
            each, where = f"each `{plate}`", f"the rows of `{plate}` {self._arrangement.names[plate][unit]}"
        inner = self._arrangement.rows_plate
        return EmmError(
            "cells-disagree",
            f"`{variable.name}` has one value for {each}, but {where} hold {listed(cells)}",
            place=self._table.place(rows, name),
            help=f"declare it inside `{inner}` if it changes from row to row",
        )


def each(read: Callable[[str | None], NDArray[Any]], elements: tuple[Element, ...]) -> list[NDArray[Any]]:
    """The arrays of all columns; what is wrong with several of them is raised together."""
    arrays: list[NDArray[Any]] = []
    wrong: list[Diagnostic] = []
    for _, name in elements:
        try:
            arrays.append(read(name))
        except EmmError as error:
            wrong += [item for item in error.diagnostics if item not in wrong]
    if wrong:
        raise EmmError.of(wrong)
    return arrays


def _is_vector(variable: Variable, model: Model) -> bool:
    """Whether one law draws the last axis of the variable together: in the unit interval, shares of 1."""
    targets = [factor.target for factor in model.factors if factor.target is not None]
    return any(item.name == variable.name and len(item.indices) < len(variable.axes) for item in targets)


def _rows_with(encoded: Encoded, codes: Sequence[int]) -> Codes:
    """The rows that hold one of these spellings."""
    return np.flatnonzero(np.isin(encoded.codes, codes))
