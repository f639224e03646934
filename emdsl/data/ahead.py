"""A table with units that are still to come at the end of every chain, nothing seen in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from emdsl.data.bound import Bound, rows_level
from emdsl.data.numerals import numeral, print_number
from emdsl.data.table import Column, NumberColumn, OpaqueColumn, Table, TextColumn
from emdsl.data.wording import plain
from emdsl.diagnostics.errors import EmmError
from emdsl.ir.model import Model, Plate

Codes = NDArray[np.intp]


def chain_plate(model: Model, place: str) -> Plate:
    """The plate that goes on ahead. Raises `no-chain`, `several-chains`, `chain-across-columns`."""
    ordered = [plate for plate in model.plates if plate.ordered]
    if not ordered:
        raise EmmError(
            "no-chain", f"no plate of `{model.name}` is a chain, so nothing lies ahead", place=place,
            help="for each NAME in sequence: makes the units of a plate a chain",
        )  # fmt: skip
    if len(ordered) > 1:
        names = plain([plate.name for plate in ordered])
        raise EmmError(
            "several-chains", f"which chain goes on is not clear: {names}", place=place,
            help="append the rows to the data, the observed cells empty",
        )  # fmt: skip
    if ordered[0].over is not None:
        raise EmmError(
            "chain-across-columns", f"the units of `{ordered[0].name}` are columns of the table, so none can be added",
            place=place, help="add a column without values to the data and to the index set",
        )  # fmt: skip
    return ordered[0]


def with_units_ahead(model: Model, table: Table, bound: Bound, count: int, place: str) -> Table:
    """The table and, for each chain in it, the rows of its last unit `count` times more, what is observed emptied and
    the column of the order going on in steps of the last two. `bound` is the table as it is.

    Raises what `chain_plate` raises, and `inputs-ahead` where the new units would need inputs.
    """
    plate = chain_plate(model, place)
    level = bound.level_of(plate.name)
    below = {item.plate for item in bound.levels[level:]}
    needed = [v.name for v in model.variables if v.kind == "input" and v.plate in below]
    if needed:
        raise EmmError(
            "inputs-ahead", f"the units ahead need values of {plain(needed)}", place=place,
            help="append rows that have these and empty cells of what is observed to the data, and leave out --ahead",
        )  # fmt: skip
    observed = {v.name for v in model.variables if v.kind == "observed" and v.plate in below}
    emptied = {column for key, column in bound.columns.items() if key.partition(".")[0] in observed}
    own = [bound.plate_columns[plate.name]] if plate.name in bound.plate_columns else []
    order = ([plate.by] if plate.by is not None else []) + own
    rows, step = _last_rows(model, bound, level, count)
    columns: dict[str, Column] = {}
    for name in table.names:
        column = table.columns[name]
        if isinstance(column, OpaqueColumn):
            continue
        going_on = _going_on(model, table, name, bound, level, count) if name in order else None
        columns[name] = _longer(table, name, rows, step, going_on, name in emptied)
    names = tuple(name for name in table.names if name in columns)
    return replace(
        table, names=names, columns=columns, rows=table.rows + len(rows), lines=None, prefetch=None,
        prefetch_text=None, files=(),
    )  # fmt: skip


def _last_rows(model: Model, bound: Bound, level: int, count: int) -> tuple[Codes, Codes]:
    """The row that each new one is a copy of, and for each the chain's number and its step, `(2, rows)`."""
    here = bound.levels[level]
    last = here.starts[1:][np.diff(here.starts) > 0] - 1
    innermost = rows_level(model, bound)
    unit = np.arange(bound.levels[innermost].size)
    for number in range(innermost, level, -1):
        unit = bound.levels[number].parent[unit]
    rows, steps = [], []
    for chain, end in enumerate(last):
        own = np.sort(bound.order[np.flatnonzero(unit == end)])
        for ahead in range(1, count + 1):
            rows.append(own)
            steps.append(np.stack([np.full(len(own), chain), np.full(len(own), ahead)]))
    if not rows:
        return np.zeros(0, dtype=np.intp), np.zeros((2, 0), dtype=np.intp)
    return np.concatenate(rows), np.concatenate(steps, axis=1)


def _going_on(
    model: Model, table: Table, name: str, bound: Bound, level: int, count: int
) -> Mapping[tuple[int, int], str]:
    """The cells of a column that tells the units of a chain apart, by chain and step ahead."""
    here = bound.levels[level]
    innermost = rows_level(model, bound)
    first = np.arange(here.size)
    for number in range(level + 1, innermost + 1):
        first = bound.levels[number].starts[first]
    texts = table.text(name)[bound.order[first]]
    found = {}
    ends = [(a, b) for a, b in zip(here.starts[:-1], here.starts[1:], strict=True) if b > a]
    for chain, (begin, end) in enumerate(ends):
        last = numeral(str(texts[end - 1]))
        before = numeral(str(texts[end - 2])) if end - begin > 1 else None
        width = 1.0 if last is None or before is None else last - before
        for ahead in range(1, count + 1):
            going = f"{texts[end - 1]}+{ahead}" if last is None else print_number(last + ahead * width)
            found[chain, ahead] = going
    return found


def _longer(
    table: Table, name: str, rows: Codes, step: Codes, going_on: Mapping[tuple[int, int], str] | None, emptied: bool
) -> Column:
    if emptied and table.is_numeric(name):
        return NumberColumn(np.concatenate([table.numbers(name), np.full(len(rows), np.nan)]))
    texts: Sequence[str | None] = list(table.text(name))
    if emptied:
        return TextColumn([*texts, *[None] * len(rows)])
    if going_on is not None:
        return TextColumn([*texts, *(going_on[int(a), int(b)] for a, b in step.T)])
    if table.is_numeric(name):
        values = table.numbers(name)
        return NumberColumn(np.concatenate([values, values[rows]]))
    return TextColumn([*texts, *(texts[row] for row in rows)])
