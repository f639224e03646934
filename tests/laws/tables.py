"""A small table read for a model graph by the plainest means: units of plates, and what each cell says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np

from emdsl.ir.expressions import Expression, Label, Number
from emdsl.ir.model import Columns as ColumnSet
from emdsl.ir.model import Labels, Model, Plate, Range, Variable

#: One cell: a number, a text, or None where it is empty.
Cell = float | str | None
#: A table as columns by name.
Columns = Mapping[str, Sequence[Cell]]


@dataclass(frozen=True)
class Unit:
    """A unit of a plate: its rows of the table, the unit around it, its place among the units of the same parent.

    `label` is the element of a plate across columns.
    """

    plate: str | None
    rows: tuple[int, ...]
    parent: Unit | None
    position: int
    label: str | None = None


@dataclass(frozen=True)
class Table:
    """A model graph with a table. Index sets are declared by labels or ranges, or their labels are given."""

    model: Model
    columns: Columns
    given: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @cached_property
    def indexes(self) -> dict[str, tuple[str, ...]]:
        """The labels of each index set."""
        found = dict(self.given)
        for item in self.model.index_sets:
            match item.source:
                case Labels(labels):
                    found[item.name] = labels
                case Range(low, high):
                    found[item.name] = tuple(str(n) for n in range(self._whole(low), self._whole(high) + 1))
                case ColumnSet(patterns) if item.name not in found:
                    assert not any("*" in pattern for pattern in patterns)
                    found[item.name] = patterns
                case _:
                    assert item.name in found, f"the labels of {item.name} must be given"
        return found

    def _whole(self, expression: Expression) -> int:
        if isinstance(expression, Number):
            return int(expression.value)
        value = self.model.constant(expression.name).value  # type: ignore[union-attr]
        assert isinstance(value, Number)
        return int(value.value)

    @cached_property
    def constants(self) -> dict[str, Any]:
        """Tables of constants as nested arrays: numbers as floats, labels as their positions."""
        return {item.name: np.asarray(self._table(item.value)) for item in self.model.constants}

    def _table(self, value: Any) -> Any:
        match value:
            case tuple():
                return [self._table(item) for item in value]
            case Label(index_set, label):
                return self.indexes[index_set].index(label)
            case Number(number):
                return float(number)
        raise NotImplementedError(type(value).__name__)

    # --- units --------------------------------------------------------------------------------------------------------

    @cached_property
    def whole(self) -> Unit:
        """The data set as one unit."""
        size = len(next(iter(self.columns.values())))
        return Unit(None, tuple(range(size)), None, 0)

    def plate_below(self, plate: str | None) -> Plate | None:
        """The plate directly inside another."""
        return next((item for item in self.model.plates if item.parent == plate), None)

    def units(self, parent: Unit) -> list[Unit]:
        """The units of the next plate inside a unit, a chain in its order."""
        plate = self.plate_below(parent.plate)
        if plate is None:
            return []
        if plate.over is not None:
            labels = self.indexes[plate.over.index_set]
            return [Unit(plate.name, parent.rows, parent, place, label) for place, label in enumerate(labels)]
        below = self.plate_below(plate.name)
        if below is None or below.over is not None:
            groups: list[tuple[int, ...]] = [(row,) for row in parent.rows]
        else:
            keys: dict[Cell, list[int]] = {}
            for row in parent.rows:
                keys.setdefault(self.columns[plate.name][row], []).append(row)
            groups = [tuple(rows) for rows in keys.values()]
        if plate.by is not None:
            groups.sort(key=lambda rows: float(self.columns[plate.by][rows[0]]))  # type: ignore[index, arg-type]
        return [Unit(plate.name, rows, parent, place) for place, rows in enumerate(groups)]

    # --- cells --------------------------------------------------------------------------------------------------------

    def elements(self, variable: Variable) -> Iterator[tuple[int, ...]]:
        """The elements of an array variable, as positions; () for a scalar."""
        return product(*(range(len(self.indexes[axis])) for axis in variable.axes))

    def cell(self, variable: Variable, unit: Unit, element: tuple[int, ...]) -> Cell:
        """The one non-empty cell of a unit, None where all are empty."""
        name = variable.column or variable.name
        labels = [self.indexes[axis][place] for axis, place in zip(variable.axes, element, strict=True)]
        if unit.label is not None:
            labels.insert(0, unit.label)
        bare = labels[0] if len(labels) == 1 else ""
        column = self.columns["_".join([name, *labels])] if bare not in self.columns else self.columns[bare]
        found = {column[row] for row in unit.rows if column[row] is not None}
        assert len(found) <= 1, f"{name} is not constant in a unit"
        return found.pop() if found else None

    def number(self, variable: Variable, unit: Unit, element: tuple[int, ...]) -> float:
        """A numeric cell, NaN where it is empty."""
        value = self.cell(variable, unit, element)
        return float("nan") if value is None else float(value)

    def allowed(self, variable: Variable, unit: Unit, element: tuple[int, ...]) -> list[int]:
        """The positions of the labels that a finite cell allows: all of them where it is empty."""
        assert variable.values is not None and not variable.genotype
        labels = self.indexes[variable.values]
        value = self.cell(variable, unit, element)
        if value is None:
            return list(range(len(labels)))
        text = str(value)
        return [labels.index(part) for part in ([text] if text in labels else text.split("|"))]

    def pairs(self, variable: Variable, unit: Unit, element: tuple[int, ...]) -> set[tuple[int, int]]:
        """The unordered pairs of positions that a genotype cell allows, each in both orders."""
        assert variable.values is not None
        labels = self.indexes[variable.values]
        value = self.cell(variable, unit, element)
        found: set[tuple[int, int]] = set()
        for part in str("_/_" if value is None else value).split("|"):
            sides = [range(len(labels)) if side == "_" else [labels.index(side)] for side in part.split("/")]
            found |= {pair for a in sides[0] for b in sides[1] for pair in ((a, b), (b, a))}
        return found
