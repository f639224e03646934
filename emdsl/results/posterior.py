"""The posterior of what is hidden as tables: one for each plate that hidden variables live in, one row for each unit.

A hidden variable `z` gives the columns `z` (its most probable value), `P(z=a)` for each of its values, `mean(z)` where
these are numbers, and, in a chain, `viterbi(z)`, its value on the most probable path. A hidden number `u` gives
`mean(u)` and `sd(u)`. What is hidden outside the plates has a table of its own, one row for each element.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from emdsl.data.bound import Bound, rows_level
from emdsl.data.reading import read_table
from emdsl.data.wording import did_you_mean, plain
from emdsl.diagnostics.errors import EmmError
from emdsl.ir.model import Model
from emdsl.plan.hidden_numbers import HiddenNumber
from emdsl.plan.posterior import Marginal, Posterior
from emdsl.results.hidden_numbers import element_table, number_columns

if TYPE_CHECKING:
    from emdsl.compiler import CompiledModel
    from emdsl.request import FitRequest
    from emdsl.results.params import KnownParameters
    from emdsl.results.result import Fit

#: A table: values by column, all of one length; None is an empty cell.
Columns = dict[str, list[Any]]

#: The column that holds the number of the row in the data, from 1.
ROW = "row"


def fit_posterior(fit: Fit, data: Any = None, *, filtered: bool = False) -> tuple[dict[str, Columns], tuple[str, ...]]:
    """The tables for the data of a fit, or for new data, and the notes. Labels are those of the fit."""
    outcome = fit.outcome
    assert outcome.compiled is not None
    bound = outcome.bound
    if data is not None:
        bound = outcome.bound_again(read_table(data, outcome.request.na))
    bound = replace(bound, seed=outcome.request.seed)
    found = outcome.compiled.as_asked(bound, outcome.request).posterior(bound, outcome.state.theta, filtered=filtered)
    return posterior_tables(outcome.model, bound, found), (*bound.warnings * (data is not None), *found.notes)


def known_posterior(
    compiled: CompiledModel, data: Any, known: KnownParameters, request: FitRequest, *, filtered: bool = False
) -> tuple[dict[str, Columns], tuple[str, ...]]:
    """The tables for data at known parameters, and the notes."""
    bound = compiled.bind_again(data, request, known.indexes, known.columns)
    bound = replace(bound, seed=request.seed)
    theta = compiled.known_parameters(bound, known.values)
    found = compiled.as_asked(bound, request).posterior(bound, theta, filtered=filtered)
    return posterior_tables(compiled.model, bound, found), (*bound.warnings, *found.notes)


def posterior_tables(model: Model, bound: Bound, posterior: Posterior) -> dict[str, Columns]:
    """The tables by plate, outermost first, units in the order in which they appear in the data.

    The columns that tell units apart come first: those of the outer plates, and the number of the row.
    """
    tables: dict[str, Columns] = {}
    order_of = {variable.name: place for place, variable in enumerate(model.variables)}
    hidden: list[Marginal | HiddenNumber] = [*posterior.marginals, *posterior.numbers]
    tables.update((item.name, _outside(item, model, bound)) for item in hidden if not item.level)
    for number, level in enumerate(bound.levels[1:], start=1):
        found = sorted((item for item in hidden if item.level == number), key=lambda item: order_of.get(item.name, -1))
        if not found:
            continue
        order = np.argsort(first_rows(model, bound, number), kind="stable")
        columns = {name: cells(values[order]) for name, values in identity(model, bound, number).items()}
        for marginal in found:
            for name, values in columns_of(marginal).items():
                columns[free_name(name, columns)] = cells(values[order])
        tables[level.plate or ""] = columns
    return tables


def _outside(item: Marginal | HiddenNumber, model: Model, bound: Bound) -> Columns:
    """The table of a variable outside the plates: a row for each element."""
    if isinstance(item, HiddenNumber):
        return element_table(item, model)
    axes = model.variable(item.name).axes
    columns: Columns = {}
    elements = list(product(*(bound.indexes[axis] for axis in axes)))
    for place, axis in enumerate(axes):
        columns[free_name(axis, columns)] = [labels[place] for labels in elements]
    for name, values in _columns(item).items():
        columns[free_name(name, columns)] = cells(values)
    return columns


def columns_of(item: Marginal | HiddenNumber) -> dict[str, NDArray[Any]]:
    """The columns of one hidden variable, in the order of the units."""
    return number_columns(item) if isinstance(item, HiddenNumber) else _columns(item)


def _columns(marginal: Marginal) -> dict[str, NDArray[Any]]:
    """The columns of one hidden variable, in the order of the units."""
    name = marginal.name
    labels = np.array([*marginal.labels, None], dtype=object)
    found: dict[str, NDArray[Any]] = {name: labels[marginal.best]}
    for label, shares in zip(marginal.labels, marginal.probabilities, strict=True):
        found[f"P({name}={label})"] = shares
    if marginal.mean is not None:
        found[f"mean({name})"] = marginal.mean
    if marginal.path is not None:
        found[f"viterbi({name})"] = labels[marginal.path]
    return found


def cells(values: NDArray[Any]) -> list[Any]:
    """Plain values, None for a number that is none."""
    plain_cells: list[Any] = values.tolist()
    return [None if isinstance(cell, float) and math.isnan(cell) else cell for cell in plain_cells]


def free_name(name: str, columns: Mapping[str, Any]) -> str:
    """The name, or, where a column that tells units apart has it, the name with a line behind it."""
    while name in columns:
        name += "_"
    return name


# --- units ------------------------------------------------------------------------------------------------------------


def ancestor(bound: Bound, level: int, above: int) -> NDArray[np.intp]:
    """For each unit of a level the unit of a level above it that it lies in."""
    unit: NDArray[np.intp] = np.arange(bound.levels[level].size)
    for number in range(level, above, -1):
        unit = bound.levels[number].parent[unit]
    return unit


def first_rows(model: Model, bound: Bound, level: int) -> NDArray[np.intp]:
    """The first row of the data that belongs to each unit."""
    rows = rows_level(model, bound)
    if level >= rows:
        return bound.order[ancestor(bound, level, rows)]
    starts: NDArray[np.intp] = np.arange(bound.levels[level].size)
    for number in range(level + 1, rows + 1):
        starts = bound.levels[number].starts[starts]
    return np.minimum.reduceat(bound.order, starts)


def identity(model: Model, bound: Bound, level: int) -> dict[str, NDArray[Any]]:
    """The columns that tell the units of a level apart."""
    found: dict[str, NDArray[Any]] = {}
    rows = rows_level(model, bound)
    over = {plate.name: plate.over for plate in model.plates}
    for number in range(1, level + 1):
        plate = bound.levels[number].plate or ""
        unit = ancestor(bound, level, number)
        binder = over[plate]
        if plate in bound.units:
            found[bound.plate_columns[plate]] = bound.units[plate][unit]
        elif binder is not None:
            here = bound.levels[number]
            position = np.arange(here.size) - here.starts[here.parent]
            found[plate] = np.array(bound.indexes[binder.index_set], dtype=object)[position[unit]]
        elif number == rows:
            found[ROW] = bound.order[unit] + 1
    return found


# --- one of them ------------------------------------------------------------------------------------------------------


def one_table(
    tables: Mapping[str, Columns], plate: str | None, model: Model, place: str, help: str = "", kind: str = "hidden"
) -> Columns:
    """The table of a plate, or the only one; `kind` is that of the variables in them. Raises `nothing-hidden`,
    `nothing-predicted`, `unknown-plate`, `several-plates`."""
    if not tables and kind == "hidden":
        raise nothing_hidden(model.name)
    if not tables:
        raise EmmError("nothing-predicted", f"nothing in `{model.name}` is observed that could be predicted")
    if plate is None:
        if len(tables) > 1:
            raise EmmError(
                "several-plates", f"{kind} variables live in several plates: {plain(tables)}", place=place,
                help=help or f"choose one: {place} {next(iter(tables))}",
            )  # fmt: skip
        return next(iter(tables.values()))
    if plate not in tables:
        near = did_you_mean(plate, tables)
        raise EmmError(
            "unknown-plate", f"there is no {kind} variable in a plate `{plate}`", place=place,
            help="; ".join(part for part in (near, f"the plates with {kind} variables are {plain(tables)}") if part),
        )  # fmt: skip
    return tables[plate]


def nothing_hidden(model: str, place: str = "") -> EmmError:
    """The error for a model without hidden variables."""
    return EmmError("nothing-hidden", f"nothing is hidden in `{model}`, so there is no posterior", place=place)


def file_names(path: str, plates: Iterable[str]) -> dict[str, str]:
    """The file for each table: the path itself for a single one, else with `-plate` before the ending."""
    named = list(plates)
    if len(named) == 1:
        return {named[0]: path}
    pure = PurePath(path)
    return {plate: str(pure.with_name(f"{pure.stem}-{plate}{pure.suffix}")) for plate in named}


def csv_text(columns: Mapping[str, Sequence[Any]]) -> str:
    """A table as CSV, numbers with all their digits, empty cells for None."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return stream.getvalue()
