"""Parts of a table, each bound and planned as if it were all the data: what is asked of some units alone.

Nothing is known here of the model but which rows belong together, so what is found holds for every model.
"""

from __future__ import annotations

import numpy as np

from emdsl.data.again import bind_again
from emdsl.data.bound import Bound
from emdsl.data.options import BindOptions
from emdsl.data.table import Codes, Table, TextColumn
from emdsl.ir.derivation import Derivation
from emdsl.ir.model import Model
from emdsl.plan.problem import BoundProblem


class Parts:
    """A table that has been bound, and any of its rows as a problem of their own (same labels, same parameters)."""

    def __init__(self, derivation: Derivation, table: Table, bound: Bound, options: BindOptions) -> None:
        self.derivation, self.table, self.bound, self._options = derivation, table, bound, options
        orders = {plate.by for plate in derivation.model.plates if plate.by is not None}
        names = {*bound.columns.values(), *bound.plate_columns.values(), *orders}
        self._text = {name: table.text(name) for name in table.names if name in names}

    @property
    def model(self) -> Model:
        """The model graph."""
        return self.derivation.model

    def problem(self, rows: Codes, empty: frozenset[str] = frozenset()) -> BoundProblem:
        """These rows of the table (positions), the cells of the columns `empty` unseen. Raises what binding raises."""
        columns = {
            name: TextColumn([None] * len(rows) if name in empty else text[rows].tolist())
            for name, text in self._text.items()
        }
        part = Table(tuple(columns), columns, len(rows), self.table.source)
        bound = bind_again(self.model, part, self._options, self.bound.indexes, dict(self.bound.columns))
        with np.errstate(all="ignore"):
            return BoundProblem(self.derivation, bound)

    @property
    def units(self) -> list[Codes]:
        """The rows of each outermost unit, in the order of the table or of the chain."""
        across = {plate.name for plate in self.model.plates if plate.over is not None}
        levels = [level for level in self.bound.levels if level.plate not in across]
        if len(levels) < 2:
            return [np.arange(self.table.rows)]
        owner = np.arange(levels[-1].size)
        for level in reversed(levels[2:]):
            owner = level.parent[owner]
        starts = np.flatnonzero(np.diff(owner) != 0) + 1
        return [np.asarray(rows, dtype=np.intp) for rows in np.split(self.bound.order, starts)]

    @property
    def chained(self) -> bool:
        """Whether the outermost units hang together: then only a beginning of the data has an evidence of its own."""
        outside = any(variable.plate is None for variable in self.model.variables)
        return outside or any(plate.parent is None and plate.ordered for plate in self.model.plates)
