"""A model bound to no data: small sizes wherever only data could tell, so that its program can be planned and read.

What the planner writes depends on sizes through the order of elimination alone, so small ones serve.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdsl.data.bound import Bound, Level, Values
from emdsl.data.columns import data_variables
from emdsl.data.constants import Constants, NotConstant
from emdsl.data.index_sets import BINARY, IndexSets
from emdsl.data.options import BindOptions
from emdsl.data.table import Table
from emdsl.data.wording import listed
from emdsl.diagnostics.errors import EmmError
from emdsl.ir.expressions import BinderRef, ConstantRef, Expression, Label, VariableRef, walk
from emdsl.ir.model import Columns, Domain, Guard, Levels, Model, Variable

#: Units of each plate in a unit of the plate around it, and labels of an index set that only data know.
UNITS, LABELS = 3, 2
#: Values of constants that only the user knows, in the order in which they are tried.
CONSTANTS = (3, 12, 100)

Indexes = Mapping[str, tuple[str, ...]]


def nominal_bound(model: Model) -> Bound:
    """A `Bound` of a few made rows: every size, label and value is such as data could have. Raises `EmmError` where the
    model's own constants contradict each other."""
    constants, indexes = _labels_and_constants(model)
    levels = _levels(model, indexes)
    units = {level.plate: level.size for level in levels}
    values: dict[str, Values] = {}
    for variable in data_variables(model):
        values[variable.name] = _values(variable, indexes, units[variable.plate], constants)
    for variable in model.variables:
        if variable.between is not None:
            low = np.asarray(values[variable.between[0]].array, dtype=np.float64)
            values[variable.between[1]] = Values(np.asarray(low + 1.0, dtype=np.float64))
            values[variable.name] = Values(low)
        if variable.cut is not None:  # cells of several kinds, as data have them
            values[variable.name] = _values(variable, indexes, units[variable.plate], constants)
    rows = max(units.values())
    return Bound(
        indexes=indexes,
        constants={item.name: constants.array(item.name) for item in model.constants},
        values=values,
        levels=levels,
        weights={weight.plate: np.ones(units[weight.plate]) for weight in model.weights},
        columns={},
        missing={},
        rows=rows,
        order=np.arange(rows, dtype=np.intp),
    )


# --- labels and constants ---------------------------------------------------------------------------------------------


def _labels_and_constants(model: Model) -> tuple[Constants, dict[str, tuple[str, ...]]]:
    """The constants, and the labels of all index sets, for the first value of unknown constants that makes sense."""
    absent = [item.name for item in model.constants if item.value is None]
    for value in CONSTANTS:
        try:
            return _at(model, value)
        except EmmError as error:
            if absent and value != CONSTANTS[-1]:
                continue
            known = (
                f"to compile the model, give {listed(absent)} a value in it: const {absent[0]} = …" if absent else ""
            )
            raise EmmError(error.code, error.message, help=known or error.help) from error
    raise AssertionError("there are values to try")


def _at(model: Model, unknown: int) -> tuple[Constants, dict[str, tuple[str, ...]]]:
    """The same, unknown constants having this value.

    What a user or the data would say is put in the place of their word: first the labels of sets that only data know,
    then constants without a value, whose tables need the labels.
    """
    numbers: dict[str, Any] = {}
    tables: dict[str, Any] = {}
    options = BindOptions(set=numbers, const=tables, indexes=_data_labels(model))
    sets = IndexSets(model, Table((), {}, 0, "no data"), options)
    constants = Constants(model, options, sets.labels)
    sets.number = constants.number
    absent = [item for item in model.constants if item.value is None]
    for item in sorted(absent, key=lambda item: (bool(item.axes), item.labels_of is not None)):
        value = unknown if item.labels_of is None else sets.labels(item.labels_of)[0]
        if item.axes:
            shape = tuple(len(sets.labels(axis)) for axis in item.axes)
            tables[item.name] = np.full(shape, value, dtype=object)
        else:
            numbers[item.name] = value
    return constants, sets.all()


def _data_labels(model: Model) -> dict[str, tuple[str, ...]]:
    """Labels for the index sets that only data know: those that the model names, and numbers."""
    named, sizes = _named_labels(model), _written_sizes(model)
    found: dict[str, tuple[str, ...]] = {}
    for item in model.index_sets:
        known, size = named.get(item.name, ()), sizes.get(item.name, LABELS)
        match item.source:
            case Levels():
                found[item.name] = _filled(known, size)
            case Columns(patterns):
                plain = tuple(pattern for pattern in patterns if not any(mark in pattern for mark in "*?["))
                known = tuple(dict.fromkeys((*plain, *known)))
                found[item.name] = known if patterns and plain == patterns else _filled(known, size)
    return found


def _named_labels(model: Model) -> dict[str, tuple[str, ...]]:
    """By index set, the labels that the model's expressions and conditions name."""
    found: dict[str, dict[str, None]] = {}
    for node in walk(model):
        match node:
            case Label(index_set, label):
                found.setdefault(index_set, {})[label] = None
            case Guard(variable, labels) if (values := _values_of(model, variable)) is not None:
                found.setdefault(values, {}).update(dict.fromkeys(labels))
    return {name: tuple(labels) for name, labels in found.items()}


def _values_of(model: Model, subject: VariableRef | BinderRef | ConstantRef) -> str | None:
    match subject:
        case VariableRef(name):
            return model.variable(name).values
        case BinderRef(binder):
            return binder.index_set
        case ConstantRef(name):
            return model.constant(name).labels_of


def _written_sizes(model: Model) -> dict[str, int]:
    """The sizes that written tables of constants give to their axes."""
    sizes: dict[str, int] = {}
    for constant in model.constants:
        value: Any = constant.value
        for axis in constant.axes:
            if not isinstance(value, tuple) or not value:
                break
            sizes.setdefault(axis, len(value))
            value = value[0]
    return sizes


def _filled(labels: tuple[str, ...], size: int) -> tuple[str, ...]:
    """The labels, and numbers as further ones up to the size."""
    numbers = (str(number) for number in count(1) if str(number) not in labels)
    return (*labels, *(next(numbers) for _ in range(size - len(labels))))


# --- units and values -------------------------------------------------------------------------------------------------


def _levels(model: Model, indexes: Indexes) -> tuple[Level, ...]:
    levels = [Level(None, 1, np.zeros(1, dtype=np.intp), np.array([0, 1], dtype=np.intp))]
    for plate in model.plates:
        around = levels[-1].size
        each = UNITS if plate.over is None else len(indexes[plate.over.index_set])
        parent = np.repeat(np.arange(around, dtype=np.intp), each)
        levels.append(Level(plate.name, around * each, parent, np.arange(around + 1, dtype=np.intp) * each))
    return tuple(levels)


def _values(variable: Variable, indexes: Indexes, units: int, constants: Constants) -> Values:
    """Values `(*elements, units)` that differ from each other and lie in the variable's domain."""
    event = variable.domain.array_axes
    own = variable.axes if variable.axes[len(variable.axes) - len(event) :] == event else variable.axes + event
    shape = (*(len(indexes[axis]) for axis in own), units)
    number = np.arange(int(np.prod(shape)), dtype=np.intp).reshape(shape)
    if variable.domain.kind == "finite":
        size = len(indexes[variable.values or BINARY])
        code = number % size
        return Values(code * size + code if variable.genotype or variable.components else code)
    return Values(np.asarray(_numbers(variable.domain, number, constants), dtype=np.float64))


def _numbers(domain: Domain, number: NDArray[np.intp], constants: Constants) -> Any:
    """Numbers of the domain for the numbered elements and units."""
    share = (number + 1.0) / (number.size + 1.0)
    match domain.kind:
        case "unit":
            return share
        case "interval":
            low, high = _end(domain.low, -np.inf, constants), _end(domain.high, np.inf, constants)
            if np.isfinite(low) and np.isfinite(high):
                return low + (high - low) * share
            return high - 1.0 - share if np.isfinite(high) else np.maximum(low, 0.0) + 1.0 + share
        case "integer" | "natural":
            return number % 5 + 1.0
        case "simplex":
            parts = number.shape[-1 - len(domain.axes) : -1]
            return np.full(number.shape, 1.0 / np.prod(parts))
    return 1.0 + share


def _end(end: Expression | None, otherwise: float, constants: Constants) -> float:
    """An end of an interval, `otherwise` where it is open or depends on what is estimated."""
    try:
        return otherwise if end is None else float(constants.number(end, "the end of an interval"))
    except NotConstant:
        return otherwise
