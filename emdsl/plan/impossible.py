"""Which cells make the log-likelihood minus infinity.

The likelihood is asked, of parts of the table, and nothing is known of the model: rows are left out until what is left
is possible, and cells are emptied until the rest is. So what is named is the first row after which the data cannot be.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from emdsl.data.again import bind_again
from emdsl.data.bound import Bound
from emdsl.data.options import BindOptions
from emdsl.data.table import Codes, Table, TextColumn
from emdsl.data.wording import SHOWN, listed, plain
from emdsl.diagnostics.errors import EmmError
from emdsl.ir.derivation import Derivation
from emdsl.ir.model import Model
from emdsl.plan.problem import BoundProblem
from emdsl.runtime.domains import Coordinates
from emdsl.runtime.kernels import LOG_IMPOSSIBLE
from emdsl.runtime.neutral import neutral
from emdsl.runtime.problem import Array, Theta

#: Parameters that are drawn, widely, before data are called impossible under the model.
DRAWS = 20
#: The widest spread of those draws in free coordinates (logarithms, logits, units of the data).
WIDEST = 10.0
#: Rows whose text is looked at: an impossible row further on is not named.
MOST_ROWS = 1_000_000


@dataclass(frozen=True)
class Impossible:
    """Rows of the table (positions) whose data cannot be, what their cells hold, and the column that is to blame
    (None: several together, `columns`). `always`: at every parameter that was tried, not only at the starting values."""

    rows: Codes
    column: str | None
    cells: tuple[str, ...]
    always: bool
    columns: tuple[str, ...] = ()


def impossible_rows(
    derivation: Derivation, table: Table, bound: Bound, options: BindOptions, problem: BoundProblem, theta: Theta
) -> Impossible | None:
    """The first impossible rows at `theta`, where all data together are impossible; None where they cannot be told."""
    if table.rows > MOST_ROWS:
        return None
    evidence = _Evidence(derivation, table, bound, options)
    units = _units(bound, derivation.model)
    try:
        found = _first_impossible(units, lambda rows: evidence.possible(rows, theta), _chained(derivation.model))
    except EmmError:
        return None  # a part of the table that cannot be bound by itself
    if not found:
        return None
    rows = np.sort(np.concatenate([units[at] for at in found]))
    column = _column_to_blame(evidence, units[found[0]], theta, bound, derivation.model)
    last = units[found[0]] if not _chained(derivation.model) else np.arange(0, int(units[found[0]].max()) + 1)
    always = not any(evidence.possible(last, drawn) for drawn in _drawn(problem, theta))
    return Impossible(rows, column, _cells(table, rows, column), always, tuple(_observed(bound, derivation.model)))


def impossible_data(found: Impossible, table: Table, model: Model) -> EmmError:
    """The error that names them."""
    column = found.column
    laws = [item.text for item in (*model.factors, *model.maps) if item.target is not None and column is not None
            and item.target.name in (column, _variable_of(model, column))]  # fmt: skip
    what = f"{listed(found.cells)} in column `{column}`" if column is not None else _together(found, table)
    return EmmError(
        "impossible-data", f"the model gives {what} probability 0, at every parameter that was tried",
        place=table.place(found.rows, column),
        help=f"compare with the law: {' '.join(laws[0].split())}" if laws else "",
    )  # fmt: skip


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


class _Evidence:
    """Whether parts of a table are possible."""

    def __init__(self, derivation: Derivation, table: Table, bound: Bound, options: BindOptions) -> None:
        self._derivation, self._table, self._bound, self._options = derivation, table, bound, options
        self._text = {name: table.text(name) for name in {*bound.columns.values(), *_structure(bound, derivation)}
                      if name in table}  # fmt: skip

    def possible(self, rows: Codes, theta: Theta, empty: frozenset[str] = frozenset()) -> bool:
        """Whether the rows have a positive density, the cells of the columns `empty` unseen."""
        columns = {
            name: TextColumn([None] * len(rows) if name in empty else text[rows].tolist())
            for name, text in self._text.items()
        }
        part = Table(tuple(columns), columns, len(rows), self._table.source)
        try:
            bound = bind_again(
                self._derivation.model, part, self._options, self._bound.indexes, dict(self._bound.columns)
            )  # fmt: skip
        except EmmError as error:
            if error.code == "no-weight":
                return True
            raise
        with np.errstate(all="ignore"):
            loglik = BoundProblem(self._derivation, bound).expect(theta).loglik
        return bool(np.isfinite(loglik)) and loglik > LOG_IMPOSSIBLE / 2


def _structure(bound: Bound, derivation: Derivation) -> set[str]:
    return set(bound.plate_columns.values()) | {p.by for p in derivation.model.plates if p.by is not None}


def _units(bound: Bound, model: Model) -> list[Codes]:
    """The rows of each outermost unit, in the order of the table or of the chain."""
    across = {plate.name for plate in model.plates if plate.over is not None}
    levels = [level for level in bound.levels if level.plate not in across]
    owner = np.arange(levels[-1].size)
    for level in reversed(levels[2:]):
        owner = level.parent[owner]
    starts = np.flatnonzero(np.r_[True, np.diff(owner) != 0]) if len(levels) > 1 else np.zeros(1, dtype=np.intp)
    return [np.asarray(rows, dtype=np.intp) for rows in np.split(bound.order, starts[1:])]


def _chained(model: Model) -> bool:
    """Whether the outermost units hang together, so that only a beginning of the data has an evidence of its own."""
    outside = any(variable.plate is None for variable in model.variables)
    return outside or any(plate.parent is None and plate.ordered for plate in model.plates)


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


def _column_to_blame(evidence: _Evidence, rows: Codes, theta: Theta, bound: Bound, model: Model) -> str | None:
    """The one observed column whose cells alone are impossible."""
    columns = _observed(bound, model)
    if len(columns) == 1:
        return columns[0]
    for column in columns:
        others = frozenset(columns) - {column}
        try:
            if not evidence.possible(rows, theta, others):
                return column
        except EmmError:
            return None  # cells of such a law cannot be emptied one by one
    return None


def _observed(bound: Bound, model: Model) -> list[str]:
    observed = {variable.name for variable in model.variables if variable.kind == "observed"}
    return list(dict.fromkeys(column for key, column in bound.columns.items() if key.partition(".")[0] in observed))


def _drawn(problem: BoundProblem, theta: Theta) -> list[dict[str, Array]]:
    """Parameters far apart, all inside their domains."""
    inside = {space.name: neutral(space, np.asarray(theta[space.name])) for space in problem.spaces}
    coordinates = Coordinates(problem.spaces, inside)
    center, rng = coordinates.free(inside), np.random.default_rng(0)
    spreads = np.linspace(0.0, WIDEST, DRAWS)
    return [coordinates.theta(center + spread * rng.standard_normal(coordinates.size)) for spread in spreads]


def _cells(table: Table, rows: Codes, column: str | None) -> tuple[str, ...]:
    if column is None:
        return ()
    text = table.text(column)[rows]
    return tuple(dict.fromkeys(cell for cell in text.tolist() if cell is not None))


def _variable_of(model: Model, column: str) -> str:
    return next((v.name for v in model.variables if column in (v.column, v.name) or column.startswith(f"{v.name}_")), "")
