"""Which cells make the log-likelihood minus infinity.

The likelihood is asked, of parts of the table, and nothing is known of the model: rows are left out until what is left
is possible, and cells are emptied until the rest is. So what is named is the first row after which the data cannot be.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from emdsl.data.table import Codes, Table
from emdsl.data.wording import SHOWN, listed, plain
from emdsl.diagnostics.errors import EmmError
from emdsl.ir.model import Factor, Map, Model
from emdsl.plan.parts import Parts
from emdsl.runtime.domains import Coordinates
from emdsl.runtime.kernels import LOG_IMPOSSIBLE
from emdsl.runtime.neutral import neutral
from emdsl.runtime.problem import Array, Space, Theta

#: Parameters that are drawn, widely, before data are called impossible under the model.
DRAWS = 20
#: The widest spread of those draws in free coordinates (logarithms, logits, units of the data).
WIDEST = 10.0


@dataclass(frozen=True)
class Impossible:
    """Rows of the table (positions) whose data cannot be, and what their cells hold.

    `column` and `variable` are to blame (None: the `columns` together). `always`: at every parameter that was tried,
    not only at the starting values.
    """

    rows: Codes
    column: str | None
    cells: tuple[str, ...]
    always: bool
    columns: tuple[str, ...] = ()
    variable: str = ""


def impossible_rows(parts: Parts, spaces: tuple[Space, ...], theta: Theta) -> Impossible | None:
    """The first impossible rows at `theta`, where all data together are impossible; None where they cannot be told."""
    units = parts.units
    try:
        found = _first_impossible(units, lambda rows: _possible(parts, rows, theta), parts.chained)
    except EmmError:
        return None  # a part of the table that cannot be bound by itself
    if not found:
        return None
    rows = np.sort(np.concatenate([units[at] for at in found]))
    first = np.concatenate(units[: found[0] + 1]) if parts.chained else units[found[0]]
    columns = _observed(parts)
    column = _to_blame(parts, columns, first, theta)
    always = not any(_possible(parts, first, drawn) for drawn in _drawn(spaces, theta))
    variable = next((key.partition(".")[0] for key, item in parts.bound.columns.items() if item == column), "")
    return Impossible(rows, column, _cells(parts.table, rows, column), always, columns, variable)


def impossible_data(found: Impossible, table: Table, model: Model) -> EmmError:
    """The error that names them."""
    column = found.column
    law = _law(model, found.variable)
    what = f"{listed(found.cells)} in column `{column}`" if column is not None else _together(found, table)
    return EmmError(
        "impossible-data", f"the model gives {what} probability 0, at every parameter that was tried",
        place=table.place(found.rows, column),
        help=f"compare with the law: {law}" if law else "",
    )  # fmt: skip


def _law(model: Model, variable: str) -> str:
    """The statement that draws a variable, on one line."""
    statements: tuple[Factor | Map, ...] = (*model.factors, *model.maps)
    texts = [item.text for item in statements if item.target is not None and item.target.name == variable]
    return " ".join(texts[0].split()) if texts else ""


def _together(found: Impossible, table: Table) -> str:
    """Cells of several columns, where they are few."""
    if not found.columns or len(found.columns) * len(found.rows) > SHOWN:
        return "these rows"
    cells = [str(table.text(name)[row]) for row in found.rows for name in found.columns]
    return f"{listed(cells)} in the columns {plain(found.columns)} together"


def where(found: Impossible, table: Table) -> str:
    """The place, for a sentence that speaks of the starting values."""
    what = f"{listed(found.cells)} in " if found.column is not None else ""
    return f"first {what}{table.place(found.rows[:SHOWN], found.column)}"


def _possible(parts: Parts, rows: Codes, theta: Theta, empty: frozenset[str] = frozenset()) -> bool:
    """Whether the rows have a positive density, the cells of the columns `empty` unseen."""
    try:
        problem = parts.problem(rows, empty)
    except EmmError as error:
        if error.code == "no-weight":
            return True
        raise
    with np.errstate(all="ignore"):
        loglik = problem.expect(theta).loglik
    return bool(np.isfinite(loglik)) and loglik > LOG_IMPOSSIBLE / 2


def _first_impossible(units: list[Codes], possible: Callable[[Codes], bool], chained: bool) -> list[int]:
    """The positions of the first impossible units, SHOWN at most; of a chain, where it first becomes impossible."""
    found: list[int] = []
    low = 0
    while low < len(units) and len(found) < SHOWN:
        base = 0 if chained else low
        size, end = 1, len(units)
        good = low  # units[base:good] are possible
        while good < len(units):
            end = min(low + size, len(units))
            if not possible(np.concatenate(units[base:end])):
                break
            good, size = end, size * 4
        else:
            break
        while end - good > 1:
            middle = (good + end) // 2
            if possible(np.concatenate(units[base:middle])):
                good = middle
            else:
                end = middle
        found.append(end - 1)
        low = end
        if chained:
            break
    return found


def _to_blame(parts: Parts, columns: tuple[str, ...], rows: Codes, theta: Theta) -> str | None:
    """The one observed column whose cells alone are impossible."""
    if len(columns) == 1:
        return columns[0]
    for column in columns:
        try:
            if not _possible(parts, rows, theta, frozenset(columns) - {column}):
                return column
        except EmmError:
            return None  # cells of such a law cannot be emptied one by one
    return None


def _observed(parts: Parts) -> tuple[str, ...]:
    observed = {variable.name for variable in parts.model.variables if variable.kind == "observed"}
    named = parts.bound.columns.items()
    return tuple(dict.fromkeys(column for key, column in named if key.partition(".")[0] in observed))


def _drawn(spaces: tuple[Space, ...], theta: Theta) -> list[dict[str, Array]]:
    """Parameters far apart, all inside their domains."""
    inside = {space.name: neutral(space, np.asarray(theta[space.name])) for space in spaces}
    coordinates = Coordinates(spaces, inside)
    center, rng = coordinates.free(inside), np.random.default_rng(0)
    spreads = np.linspace(0.0, WIDEST, DRAWS)
    return [coordinates.theta(center + spread * rng.standard_normal(coordinates.size)) for spread in spreads]


def _cells(table: Table, rows: Codes, column: str | None) -> tuple[str, ...]:
    if column is None:
        return ()
    text = table.text(column)[rows]
    return tuple(dict.fromkeys(cell for cell in text.tolist() if cell is not None))
