"""What the user says about the binding, beside the model and the table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from emdsl.ir.model import Variable


@dataclass(frozen=True)
class BindOptions:
    """`set`: values of constants. `const`: tables of constants, each whatever `read_table` takes, in long form (a
    column for each axis and `value`), or an array or nested list in the order of the axes. `columns`: the columns
    (names or patterns) of an index set. `map`: the column of a variable, element (`y[a]`), plate or `by`. `weight`:
    a column of weights. `indexes`: labels of the index sets of an earlier fit, frozen. `na`: further words for
    missing, for the tables of `const`. `absent`: whether observed variables may be without a column; their values
    are then all missing (to score or predict).
    """

    set: Mapping[str, Any] = field(default_factory=dict)
    const: Mapping[str, Any] = field(default_factory=dict)
    columns: Mapping[str, tuple[str, ...] | str] = field(default_factory=dict)
    map: Mapping[str, str] = field(default_factory=dict)
    weight: str | None = None
    indexes: Mapping[str, tuple[str, ...]] | None = None
    na: tuple[str, ...] = ()
    absent: bool = False

    def column(self, variable: Variable) -> str:
        """The column of a scalar variable, or what those of an array begin with."""
        return self.map.get(variable.name) or variable.column or variable.name
