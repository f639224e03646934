"""Drawn values as the table that the model would be fitted to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdsl.data.bound import Bound
from emdsl.data.columns import data_variables, over_axes
from emdsl.ir.model import Model, Variable
from emdsl.simulate.draws import variable_axes
from emdsl.simulate.evaluation import Drawn

Columns = dict[str, list[Any]]


def simulated_columns(
    model: Model, bound: Bound, drawn: Drawn, *, renamed: Mapping[str, str], latent: bool, missing: float,
    rng: np.random.Generator,
) -> Columns:  # fmt: skip
    """The columns by name, cells as text, numbers, or None where empty; rows in the order of the design.

    First what tells outer units apart and what orders chains, then inputs, weights (1: each row is drawn once), what
    is observed, and with `latent` what is hidden. Cells that are empty in the design stay empty; with `missing`, each
    cell of an observed variable is emptied with that probability. `renamed` gives the columns of variables, plates
    and orders whose names differ.
    """
    writer = _Writer(model, bound, renamed)
    for plate, names in bound.units.items():
        writer.add(bound.plate_columns[plate], list(names[writer.places(plate)]))
    for variable in data_variables(model):
        if variable.kind == "input":
            writer.add_variable(variable, bound.values[variable.name].array)
    writer.add_orders()
    for variable in data_variables(model):
        if variable.kind == "weight":
            writer.add_variable(variable, np.ones_like(np.asarray(bound.values[variable.name].array, dtype=float)))
    for variable in data_variables(model):
        if variable.kind == "observed":
            empty = _holes(variable, bound)
            if missing:
                scattered = rng.random(drawn[variable.name].shape) < missing
                empty = scattered if empty is None else empty | scattered
            writer.add_variable(variable, drawn[variable.name], empty)
    if latent:
        draws = {name for variable in model.variables for name in variable.components}
        for variable in model.variables:
            if variable.kind == "latent" and variable.name not in draws:
                writer.add_variable(variable, drawn[variable.name])
    return writer.columns


def _holes(variable: Variable, bound: Bound) -> NDArray[np.bool_] | None:
    """Where the design has a column for the variable and its cell is empty."""
    known = any(key == variable.name or key.startswith(f"{variable.name}.") for key in bound.columns)
    values = bound.values.get(variable.name)
    if not known or values is None:
        return None
    if variable.values is None:
        return np.isnan(np.asarray(values.array, dtype=np.float64))
    labels = len(bound.indexes[variable.values])
    size = labels**2 if variable.genotype or variable.components else labels
    nothing = np.flatnonzero(values.sets.all(axis=1)) + size if values.sets is not None else np.zeros(0, dtype=int)
    return np.isin(values.array, nothing) | (np.asarray(values.array) < 0)


class _Writer:
    """Columns under construction."""

    def __init__(self, model: Model, bound: Bound, renamed: Mapping[str, str]) -> None:
        self.model, self.bound, self.renamed = model, bound, renamed
        self.columns: Columns = {}
        across = {plate.name for plate in model.plates if plate.over is not None}
        self._rows = max(n for n, level in enumerate(bound.levels) if level.plate not in across)
        # row k of the table is the sorted row at which it stands
        self._sorted = np.argsort(bound.order, kind="stable")

    def places(self, plate: str | None) -> NDArray[np.intp]:
        """For each row of the table the unit of a plate of rows that it lies in."""
        unit = self._sorted
        for number in range(self._rows, self.bound.level_of(plate), -1):
            unit = self.bound.levels[number].parent[unit]
        return unit

    def add(self, name: str, cells: list[Any]) -> None:
        """A column, unless one of its name is there."""
        self.columns.setdefault(name, cells)

    def add_orders(self) -> None:
        """The columns that order chains: the place of each unit in its chain."""
        for plate in self.model.plates:
            if plate.by is None:
                continue
            level = self.bound.levels[self.bound.level_of(plate.name)]
            position = np.arange(level.size) - level.starts[level.parent] + 1
            name = self.renamed.get(plate.by, plate.by)
            self.add(name, position[self.places(plate.name)].tolist())

    def add_variable(self, variable: Variable, values: NDArray[Any], empty: NDArray[np.bool_] | None = None) -> None:
        """The column of a variable, or one for each element."""
        axes = over_axes(self.model, variable.plate)
        array = np.asarray(values)
        if axes:  # the units of a plate across columns run fastest
            sizes = [len(self.bound.indexes[axis]) for axis in axes]
            array = _to_front(array, sizes)
            empty = None if empty is None else _to_front(empty, sizes)
        plate = variable.plate if not axes else self.bound.levels[self._rows].plate
        places = self.places(plate)
        for position, name in self._elements(variable):
            cells = self._cells(variable, array[position][places])
            if empty is not None:
                cells = [None if hole else cell for cell, hole in zip(cells, empty[position][places], strict=True)]
            self.add(name, cells)

    def _cells(self, variable: Variable, values: NDArray[Any]) -> list[Any]:
        if variable.values is None:
            return [_number(value) for value in values.tolist()]
        labels = np.array([*self.bound.indexes[variable.values], None], dtype=object)
        if not (variable.genotype or variable.components):
            # what looks back at a unit before the first shows nothing
            inside = (values >= 0) & (values < len(labels) - 1)
            found: list[Any] = labels[np.where(inside, values, -1)].tolist()
            return found
        labels = labels[:-1]
        size = len(labels)
        return [f"{labels[code // size]}/{labels[code % size]}" for code in values.tolist()]

    def _elements(self, variable: Variable) -> Iterator[tuple[tuple[int, ...], str]]:
        """The elements of a variable, and the column of each."""
        base = self.renamed.get(variable.name) or variable.column or variable.name
        axes = over_axes(self.model, variable.plate) + variable_axes(variable)
        if not axes:
            yield (), self.bound.columns.get(variable.name, base)
            return
        bare = len(axes) == 1 and variable.kind != "latent" and len(self._users(axes[0])) == 1
        for position in product(*(range(len(self.bound.indexes[axis])) for axis in axes)):
            labels = [self.bound.indexes[axis][place] for axis, place in zip(axes, position, strict=True)]
            key = ".".join((variable.name, *labels))
            mapped = self.renamed.get(f"{variable.name}[{','.join(labels)}]") or self.renamed.get(key)
            own = labels[0] if bare else "_".join((base, *labels))
            yield position, mapped or self.bound.columns.get(key) or own

    def _users(self, index_set: str) -> list[str]:
        """The arrays of data that an index set runs over: a bare label is a column only where it is one."""
        return [
            item.name
            for item in data_variables(self.model)
            if index_set in over_axes(self.model, item.plate) + variable_axes(item)
        ]


def _to_front(array: NDArray[Any], sizes: list[int]) -> NDArray[Any]:
    """Values by unit of plates across columns, `(*elements, rows * product(sizes))`, as `(*sizes, *elements, rows)`."""
    shaped = array.reshape(*array.shape[:-1], -1, *sizes)
    last = tuple(range(shaped.ndim - len(sizes), shaped.ndim))
    return np.moveaxis(shaped, last, range(len(sizes)))


def _number(value: Any) -> Any:
    """A whole number as an integer."""
    if isinstance(value, float):
        if np.isnan(value):
            return None
        return int(value) if value.is_integer() and abs(value) < 2**53 else value
    return value
