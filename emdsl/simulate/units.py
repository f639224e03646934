"""The units that data are drawn for: made up from a number, or those of a design, as many as are wanted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdsl.data.bound import Bound, Level, Values
from emdsl.data.columns import data_variables
from emdsl.data.options import BindOptions
from emdsl.data.table import Column, NumberColumn, Table
from emdsl.data.wording import listed, plain
from emdsl.diagnostics.errors import EmmError
from emdsl.ir.model import Columns, Levels, Model
from emdsl.simulate.ancestral import looks_back_without_law

Codes = NDArray[np.intp]


def numbered_table(model: Model, units: int, options: BindOptions) -> Table:
    """A table of `units` rows without a design: only the column that orders a chain, if there is one.

    Raises `design-needed` for a model whose data are more than rows: nested plates, inputs, chains that begin with
    values that are given.
    """
    rows_of = [plate for plate in model.plates if plate.over is None]
    between = {name for variable in model.variables for name in variable.between or ()}
    inputs = [v.name for v in data_variables(model) if v.kind == "input" and v.name not in between]
    outer = [plate.name for plate in rows_of[:-1]]
    first = [name for name in looks_back_without_law(model) if model.variable(name).kind == "observed"]
    if outer or inputs or first:
        what = [f"the units of {listed(outer)}"] * bool(outer) + [f"the inputs {listed(inputs)}"] * bool(inputs)
        what += [f"the first values of {listed(first)}"] * bool(first)
        inner = rows_of[-1].name if rows_of else "row"
        raise EmmError(
            "design-needed", f"a number of units alone does not say {' nor '.join(what)}", place="--design",
            help=f"--design FILE, with the columns {plain([*outer, *inputs, *first])} and one row for each {inner}",
        )  # fmt: skip
    columns: dict[str, Column] = {}
    for plate in rows_of:
        if plate.by is not None:
            columns[options.map.get(plate.by, plate.by)] = NumberColumn(np.arange(1.0, units + 1.0))
    return Table(tuple(columns), columns, units, "the simulated rows")


def known_labels(
    model: Model, options: BindOptions, indexes: Mapping[str, tuple[str, ...]], design: bool
) -> dict[str, tuple[str, ...]]:
    """The labels of index sets that are known without data: those given, and columns that are written by name.

    Raises `labels-unknown` where there is no design either that could tell the others.
    """
    found = dict(indexes)
    for item in model.index_sets:
        if item.name in found:
            continue
        if isinstance(item.source, Columns):
            names = options.columns.get(item.name) or item.source.patterns
            names = tuple(names.split(",")) if isinstance(names, str) else tuple(names)
            if names and not any(mark in name for name in names for mark in "*?["):
                found[item.name] = names
        if isinstance(item.source, Columns | Levels) and item.name not in found and not design:
            raise EmmError(
                "labels-unknown", f"the labels of `{item.name}` are those of the data, which are not there",
                place="--params", help="--params with the JSON of a whole fit names them, and so does a design",
            )  # fmt: skip
    return found


def without_absent(model: Model, table: Table, options: BindOptions) -> BindOptions:
    """The options without columns that the table lacks because they are to be simulated."""
    drawn = {variable.name for variable in model.variables if variable.kind == "observed"}
    kept = {
        key: column
        for key, column in options.map.items()
        if column in table or key.partition(".")[0].partition("[")[0] not in drawn
    }
    weight = options.weight if options.weight is not None and options.weight in table else None
    return replace(options, map=kept, weight=weight, absent=True)


def units_of(model: Model, bound: Bound, wanted: int) -> Bound:
    """The first `wanted` outermost units; beyond the last, they are taken from the first on again, under new names.

    Raises `too-many-units` for a chain, which cannot begin again.
    """
    there = bound.levels[1].size
    if wanted == there:
        return bound
    outermost = next(plate for plate in model.plates if plate.name == bound.levels[1].plate)
    if wanted > there and outermost.ordered:
        raise EmmError(
            "too-many-units",
            f"the design holds {there} units of the chain `{outermost.name}`, and {wanted} are wanted",
            place="-n", help=f"-n {there}, or a design with more rows",
        )  # fmt: skip
    chosen = _chosen(bound, np.arange(wanted) % there)
    levels = [bound.levels[0], *(_level(old, units, parent) for old, units, parent in chosen)]
    units = {level.plate: picked for level, (_, picked, _) in zip(levels[1:], chosen, strict=True)}
    values = {
        name: replace(item, array=item.array[..., units[plate]])
        for name, item in bound.values.items()
        if (plate := model.variable(name).plate) in units
    }
    names = {plate: old[units[plate]] for plate, old in bound.units.items()}
    if outermost.name in names:
        names[outermost.name] = _renamed(names[outermost.name], there)
    rows = _rows(model, bound, units)
    return replace(
        bound, levels=tuple(levels), values={**_outside(model, bound), **values}, units=names, rows=rows,
        weights={plate: old[units[plate]] for plate, old in bound.weights.items()},
        order=np.arange(rows, dtype=np.intp),
    )  # fmt: skip


def _chosen(bound: Bound, outermost: Codes) -> list[tuple[Level, Codes, Codes]]:
    """For each level below the whole: the level, which of its units are taken, and the new unit each lies in."""
    found = [(bound.levels[1], outermost, np.zeros(len(outermost), dtype=np.intp))]
    for level in bound.levels[2:]:
        above = found[-1][1]
        counts = np.diff(level.starts)[above]
        parent = np.repeat(np.arange(len(above)), counts)
        begin = np.concatenate([np.zeros(1, dtype=np.intp), np.cumsum(counts)[:-1]])
        units = level.starts[:-1][above][parent] + np.arange(len(parent)) - begin[parent]
        found.append((level, units, parent))
    return found


def _level(old: Level, units: Codes, parent: Codes) -> Level:
    parents = int(parent[-1]) + 1 if len(parent) else 0
    starts = np.searchsorted(parent, np.arange(parents + 1), side="left").astype(np.intp)
    return Level(old.plate, len(units), parent.astype(np.intp), starts)


def _renamed(names: NDArray[np.object_], there: int) -> NDArray[np.object_]:
    """Names that occur again with the number of the round behind them: `s01`, then `s01.2`."""
    taken = set(names[:there])
    found: list[Any] = []
    for place, name in enumerate(names):
        new = str(name) if place < there else f"{name}.{place // there + 1}"
        while place >= there and new in taken:
            new += "'"
        taken.add(new)
        found.append(new)
    return np.array(found, dtype=object)


def _rows(model: Model, bound: Bound, units: dict[str | None, Codes]) -> int:
    across = {plate.name for plate in model.plates if plate.over is not None}
    return len(units[[level.plate for level in bound.levels if level.plate not in across][-1]])


def _outside(model: Model, bound: Bound) -> dict[str, Values]:
    """Values of the whole data set, which do not change."""
    return {
        name: item for name, item in bound.values.items() if bound.level_of(model.variable(name).plate) == 0
    }  # fmt: skip
