"""Values of a statement's expressions where everything before it has been drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdsl.data.bound import Bound
from emdsl.ir.expressions import Expression, Position, VariableRef
from emdsl.ir.model import Model
from emdsl.plan.evaluation import Evaluator
from emdsl.plan.named import ROW, Named

Codes = NDArray[np.intp]
#: The values of all variables drawn or given so far, by name: `(*elements, units)`, codes of finite ones.
Drawn = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class UnitEvaluator(Evaluator):
    """An evaluator for some units of one level: every variable has a value by row, but those in `coded`, of which all
    values are tried.

    `drawn` holds the values, `units` the units of `level` that the rows are.
    """

    drawn: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    units: Codes = field(default_factory=lambda: np.zeros(0, dtype=np.intp))

    def code(self, expression: Expression) -> Named:
        """The position in its index set of a label-valued expression.

        Cut points below the first and above the last do not exist; guards keep these cells out.
        """
        if not isinstance(expression, Position):
            return super().code(expression)
        inner = self.code(expression.of)
        last = len(self.bound.indexes[self.index_set(expression.of)]) - 2
        return Named(inner.axes, np.clip(inner.array + expression.shift, 0, max(last, 0)))

    def _variable_code(self, reference: VariableRef) -> Named:
        return super()._variable_code(reference) if reference in self.coded else self._data(reference)

    def _data(self, reference: VariableRef) -> Named:
        array = self.drawn[reference.name]
        variable = self.model.variable(reference.name)
        place = self._places(variable.plate)
        if reference.lag:
            level = self.bound.levels[self.bound.level_of(variable.plate)]
            before = place - reference.lag
            inside = before >= level.starts[level.parent[place]]
            missing = np.nan if np.issubdtype(array.dtype, np.floating) else -1
            values = np.where(inside, array[..., np.where(inside, before, 0)], missing)
        else:
            values = array[..., place]
        names = tuple(f"{reference.name}:{axis}" for axis in variable.axes[len(reference.indices) :])
        rest = tuple(f"?{k}" for k in range(len(reference.indices)))
        return self._table(Named((*rest, *names, ROW), values), reference.indices)

    def _places(self, plate: str | None) -> Codes:
        """For each row the unit of the plate that it lies in."""
        assert self.level is not None
        levels = self.bound.levels
        own = next(number for number, level in enumerate(levels) if level.plate == plate)
        place = self.units
        for number in range(self.level, own, -1):
            place = levels[number].parent[place]
        return place


def as_drawn(model: Model, bound: Bound) -> Drawn:
    """What is given before anything is drawn: the inputs, and the data of observed variables (a chain may begin with
    them)."""
    names = {variable.name for variable in model.variables}
    return {name: np.array(values.array) for name, values in bound.values.items() if name in names}
