"""What random models are made of: finite things that may index a parameter, plates under construction."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.laws.tables import Cell


@dataclass(frozen=True)
class RandomModel:
    """A model's text and its table."""

    text: str
    columns: dict[str, list[Cell]]


@dataclass(frozen=True)
class Finite:
    """Something finite that may index a parameter: how it is written, and its index set."""

    text: str
    index_set: str


@dataclass
class Plate:
    """A plate under construction. `keys[row]` tells the unit of each row of the table.

    `by` is the column that orders a chain; `over` the index set of a plate across columns.
    """

    name: str
    ordered: bool
    keys: list[Any]
    statements: list[str] = field(default_factory=list)
    by: str = ""
    over: str = ""

    @property
    def heading(self) -> str:
        """The line that opens it."""
        over = f" over {self.over}" if self.over else ""
        sequence = " in sequence" if self.ordered else ""
        return f"for each {self.name}{over}{sequence}{f' by {self.by}' if self.by else ''}:"

    def spread(self, draw: Any) -> list[Cell]:
        """A column that is constant inside each unit."""
        values: dict[Any, Cell] = {}
        for key in self.keys:
            if key not in values:
                values[key] = draw()
        return [values[key] for key in self.keys]
