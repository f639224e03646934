"""The tables of a report: estimates by parameter, derived quantities, the data."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from emdsl.results.summary import report_rows
from emdsl.results.table import measured, number
from emdsl.results.terms import ends, terms

if TYPE_CHECKING:
    from emdsl.results.result import Fit

#: Elements of one parameter in a table, and columns that are listed.
MOST_ELEMENTS, MOST_COLUMNS = 300, 60


@dataclass(frozen=True)
class Row:
    """A line of a table of numbers, as it is written."""

    name: str
    numbers: tuple[str, ...]
    remark: str


@dataclass(frozen=True)
class NumberTable:
    """A table of estimates; `note` says what was left out."""

    name: str
    description: str
    titles: tuple[str, ...]
    rows: tuple[Row, ...]
    note: str


def estimate_tables(fit: Fit) -> Iterator[NumberTable]:
    """A table for each parameter; those that are one number and follow each other share one."""
    state = fit.outcome.state
    numbers: list[tuple[str, float, float, float, float]] = []
    about: list[str] = []
    noted = dict.fromkeys(state.boundary, "at the boundary")
    noted |= dict.fromkeys(state.unidentified, "not determined by the data")
    for parameter in fit.outcome.model.parameters:
        found = list(terms(fit, parameter, state.interval))
        lines = [
            (", ".join(item.labels) or item.name, item.estimate, item.se, item.low, item.high)
            for item in found[:MOST_ELEMENTS]
        ]
        remarks = [noted.get(item.name, "") for item in found]
        if not parameter.array_axes:
            numbers += lines
            about.append(", ".join(filter(None, (parameter.description, *remarks))))
            continue
        if numbers:
            yield _table(fit, "", "", numbers, about, len(numbers))
            numbers, about = [], []
        yield _table(fit, parameter.name, parameter.description, lines, remarks, len(found))
    if numbers:
        yield _table(fit, "", "", numbers, about, len(numbers))


def report_table(fit: Fit) -> NumberTable | None:
    """The derived quantities, if the model has any."""
    lines, remarks = [], []
    for item in fit.outcome.model.reports:
        rows = list(report_rows(fit, item))
        lines += rows
        remarks += [item.description] * len(rows)
    return _table(fit, "", "", lines[:MOST_ELEMENTS], remarks, len(lines)) if lines else None


def _table(
    fit: Fit, name: str, description: str, lines: Sequence[tuple[str, float, float, float, float]],
    remarks: Sequence[str], whole: int,
) -> NumberTable:  # fmt: skip
    sure = any(math.isfinite(line[2]) for line in lines)
    rows = []
    for (label, value, error, low, high), remark in zip(lines, remarks, strict=False):
        numbers = [measured(value, error)]
        if sure:
            numbers += [number(error, 3), measured(low, error), measured(high, error)]
        rows.append(Row(label, tuple(numbers), remark))
    titles = ("", "estimate", *(("std. error", *ends(fit.outcome.level)) if sure else ()), "")
    note = f"The first {len(rows)} of {whole} elements." if len(rows) < whole else ""
    return NumberTable(name, description, titles, tuple(rows), note)


def data_facts(fit: Fit) -> Iterator[tuple[str, str]]:
    """Where the data come from, their size, which column is which variable, empty cells."""
    bound = fit.outcome.bound
    if bound.source:
        yield "source", bound.source
    yield "rows", f"{bound.rows}"
    yield "outermost units", f"{fit.outcome.units:g}"
    for level in bound.levels[1:]:
        yield f"units of {level.plate}", f"{level.size:g}"
    columns = [f"{name} from {column}" if name != column else name for name, column in bound.columns.items()]
    more = f" and {len(columns) - MOST_COLUMNS} more" if len(columns) > MOST_COLUMNS else ""
    yield "columns", ", ".join(columns[:MOST_COLUMNS]) + more
    found = [f"{column} {count}" for column, count in fit.missing.items()]
    more = f" and {len(found) - MOST_COLUMNS} columns more" if len(found) > MOST_COLUMNS else ""
    total = sum(fit.missing.values())
    yield "empty cells", f"{total} ({', '.join(found[:MOST_COLUMNS])}{more})" if total else "none"
