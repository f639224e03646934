"""Values of parameter-free expressions once data are bound: masks, designs, tables, constants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdsl.data.bound import Bound
from emdsl.diagnostics.errors import EmmError
from emdsl.ir.expressions import (
    AnyPattern,
    Apply,
    Binder,
    BinderRef,
    Choose,
    ConstantRef,
    Expression,
    Label,
    Number,
    ParameterRef,
    Position,
    Reduce,
    Stationary,
    VariableRef,
)
from emdsl.ir.model import Guard, Model
from emdsl.plan.array_functions import AXES, array_function
from emdsl.plan.named import ROW, Named, combine, union
from emdsl.runtime.functions import FUNCTIONS
from emdsl.runtime.problem import Theta
from emdsl.runtime.stationary import stationary_law

#: The axis of the combinations of several finite data that occur together.
JOINT = "#joint"


@dataclass(frozen=True)
class Evaluator:
    """Evaluates expressions for the units of one level.

    `theta` gives parameters their values (for reports and the like); without it expressions must be free of them.
    `level`: whose units the rows are; data of plates around it are repeated for each of them (None: each datum has
    the rows of its own plate). `coded`: finite data give their code as an axis (`#x`) instead of a value by row; so
    do parameters' tables see them. `points`: values of continuous hidden variables by name and lag, each `(*elements,
    *cells, rows)`, or, of an element that data choose, by the reference itself. `joint`: several finite data share the
    one axis JOINT, whose positions are the combinations that occur; here is the code of each in every combination.
    `within`: places to which the axis of a hidden variable or a bound index is confined.
    """

    model: Model
    bound: Bound
    coded: frozenset[VariableRef | BinderRef] = frozenset()
    theta: Theta | None = None
    level: int | None = None
    points: Mapping[Any, Named] | None = None
    joint: Mapping[VariableRef | BinderRef, NDArray[np.intp]] = field(default_factory=dict)
    within: Mapping[str, NDArray[np.intp]] = field(default_factory=dict, kw_only=True)

    def value(self, expression: Expression) -> Named:
        """The number (or truth, 0 or 1) of an expression in every cell and row it varies over."""
        if self.points is not None and expression in self.points:
            return self.points[expression]
        match expression:
            case Number(exact):
                return Named((), np.asarray(float(exact)))
            case BinderRef(binder):
                codes = self.code(expression)
                return Named(codes.axes, self._numbers(binder.index_set)[codes.array])
            case Label(_, label):
                return Named((), np.asarray(float(label)))
            case ConstantRef(name, indices):
                return self._table(Named((), self.bound.constants[name]), indices)
            case VariableRef():
                return self._variable(expression)
            case ParameterRef(name, indices) if self.theta is not None:
                value = np.asarray(self.theta[name], dtype=np.float64)
                axes = self.model.parameter(name).array_axes
                return self._table(Named(tuple(f"{name}:{k}:{axis}" for k, axis in enumerate(axes)), value), indices)
            case Stationary(matrix, state) if self.theta is not None:
                return self._stationary(matrix, state)
            case Apply("==" | "!=" as op, (left, right)) if self._by_label(left, right):
                same = combine(np.equal, self.code(left), self._code_in(right, self.index_set(left)))
                array = same.array if op == "==" else ~same.array
                return Named(same.axes, array.astype(float))
            case Apply("<" | "<=" | ">" | ">=" as op, (left, right)) if self._by_position(left, right):
                other = self._code_in(right, self.index_set(left))
                return combine(FUNCTIONS[op], self.code(left), other)
            case Apply(op) if op in AXES:
                return array_function(expression, self.model, self.value)
            case Apply(op, args):
                return combine(FUNCTIONS[op], *(self.value(arg) for arg in args))
            case Reduce(op, binder, body):
                return self._reduce(op, binder, self.value(body))
            case Choose():
                return self._choose(expression, self.value)
        raise EmmError("internal", f"{type(expression).__name__.lower()} has no value without parameters")

    def truth(self, guard: Expression | Guard) -> Named:
        """Where a guard holds."""
        if not isinstance(guard, Guard):
            value = self.value(guard)
            return Named(value.axes, value.array != 0)
        codes = self.code(guard.variable)
        labels = self.bound.indexes[self.index_set(guard.variable)]
        last = len(labels) - 1
        match guard.position:
            case "first":
                holds = codes.array == 0
            case "last":
                holds = codes.array == last
            case "middle":
                holds = (codes.array > 0) & (codes.array < last)
            case _:
                holds = np.isin(codes.array, [labels.index(label) for label in guard.labels if label in labels])
                if guard.negated:
                    # A coarse or missing cell has no label, so it is not "none of these" either.
                    holds = ~holds & (codes.array >= 0) & (codes.array <= last)
        return Named(codes.axes, holds)

    def code(self, expression: Expression) -> Named:
        """The position in its index set of a label-valued expression."""
        match expression:
            case Label(index_set, label):
                labels = self.bound.indexes[index_set]
                if label not in labels:
                    raise EmmError(
                        "unknown-label", f"`{label}` is no label of `{index_set}`, whose labels are {', '.join(labels)}"
                    )
                return Named((), np.asarray(labels.index(label)))
            case BinderRef():
                return self._element(expression)
            case ConstantRef(name, indices):
                return self._table(Named((), self.bound.constants[name]), indices)
            case VariableRef():
                return self._variable_code(expression)
            case Position(of, shift):
                inner = self.code(of)
                return Named(inner.axes, inner.array + shift)
            case Choose():
                return self._choose(expression, self.code)
        raise EmmError("not-an-index", "this expression has no labels as values")

    def _stationary(self, matrix: ParameterRef, state: Expression) -> Named:
        table = self.value(matrix)
        codes = self.code(state)
        law = stationary_law(table.array)
        return (
            self._table(Named((*table.axes[:-2], "state"), law), (state,))
            if not table.axes[:-2]
            else combine(lambda index, law=law: law[..., index], codes)
        )

    def _element(self, reference: BinderRef) -> Named:
        """The current element: an axis of its own, or, where a plate runs across columns, the unit's place among
        them.
        """
        if reference in self.joint:
            return Named((JOINT,), self.joint[reference])
        size = len(self.bound.indexes[reference.binder.index_set])
        plate = next((plate.name for plate in self.model.plates if plate.over == reference.binder), None)
        if plate is None or reference in self.coded:
            return Named((reference.binder.name,), self._confined(reference.binder.name, size))
        units = self.bound.levels[self.bound.level_of(plate)].size
        return Named((ROW,), self._repeated(np.tile(np.arange(size), units // size), plate))

    def _by_label(self, left: Expression, right: Expression) -> bool:
        """Whether two expressions are compared as labels: both are label-valued (a number is compared with a
        number).
        """
        return self.has_labels(left) and self.has_labels(right)

    def _by_position(self, left: Expression, right: Expression) -> bool:
        """Whether the order of two labels is that of their index set: its labels are no numbers."""
        return self._by_label(left, right) and self.bound.labels_as_numbers(self.index_set(left)) is None

    def has_labels(self, expression: Expression) -> bool:
        """Whether an expression's values are labels."""
        match expression:
            case Label() | BinderRef():
                return True
            case VariableRef(name):
                return self.model.variable(name).values is not None
            case ConstantRef(name):
                return self.model.constant(name).labels_of is not None
            case Choose(_, arms):
                return all(self.has_labels(arm.value) for arm in arms)
        return False

    def _code_in(self, expression: Expression, index_set: str) -> Named:
        """The codes of an expression's labels in another index set; -1 where that has no such label."""
        codes = self.code(expression)
        own, other = self.bound.indexes[self.index_set(expression)], self.bound.indexes[index_set]
        if own == other:
            return codes
        place = np.array([other.index(label) if label in other else -1 for label in own], dtype=np.intp)
        known = (codes.array >= 0) & (codes.array < len(own))
        return Named(codes.axes, np.where(known, place[np.where(known, codes.array, 0)], -2))

    def _numbers(self, index_set: str) -> Any:
        numbers = self.bound.labels_as_numbers(index_set)
        if numbers is None:
            raise EmmError("not-a-number", f"the labels of `{index_set}` are not numbers")
        return numbers

    def _variable(self, reference: VariableRef) -> Named:
        variable = self.model.variable(reference.name)
        if variable.values is None:
            return self._data(reference)
        codes = self.code(reference)
        numbers = self._numbers(variable.values)
        missing = (codes.array < 0) | (codes.array >= len(numbers))
        return Named(codes.axes, np.where(missing, np.nan, numbers[np.where(missing, 0, codes.array)]))

    def _variable_code(self, reference: VariableRef) -> Named:
        variable = self.model.variable(reference.name)
        assert variable.values is not None
        axis = axis_of(reference)
        if reference in self.joint:
            return Named((JOINT,), self.joint[reference])
        if variable.kind == "latent" or reference in self.coded:
            return Named((axis,), self._confined(axis, len(self.bound.indexes[variable.values])))
        return self._data(reference)

    def _at_point(self, reference: VariableRef) -> Named:
        """A continuous hidden variable at the points where the log-joint is evaluated."""
        assert self.points is not None
        table = self.points[reference.name, reference.lag]
        count = len(reference.indices)
        rest = table.axes[count:]
        if not count:
            return table
        codes = [self.code(index) for index in reference.indices]
        axes = union(*(code.axes for code in codes))
        if ROW in axes:
            return self._row_by_row(table, codes)
        index = np.broadcast_arrays(*(code.aligned(axes) for code in codes))
        return Named((*axes, *rest), table.array[tuple(index)])

    def _row_by_row(self, table: Named, codes: list[Named]) -> Named:
        """The elements of a table that data choose, row by row: codes index its leading axes."""
        rest = table.axes[len(codes) :]
        axes = tuple(axis for axis in union(*(code.axes for code in codes)) if axis != ROW)
        index = np.broadcast_arrays(*(code.aligned((*axes, ROW)) for code in codes), np.arange(table.array.shape[-1]))
        found = np.moveaxis(table.array, -1, len(codes))[tuple(index)]
        return Named((*axes, *rest), np.moveaxis(found, len(axes), -1))

    def _confined(self, axis: str, size: int) -> NDArray[np.intp]:
        return self.within[axis] if axis in self.within else np.arange(size)

    def _data(self, reference: VariableRef) -> Named:
        if self.points is not None:
            if reference in self.points:
                return self.points[reference]
            if (reference.name, reference.lag) in self.points:
                return self._at_point(reference)
        array = np.asarray(self.bound.values[reference.name].array)
        if reference.lag:
            array = lagged(array, reference, self.model, self.bound)
        if self.level is not None:
            array = self._repeated(array, self.model.variable(reference.name).plate)
        axes = self.model.variable(reference.name).axes
        names = tuple(f"{reference.name}:{axis}" for axis in axes[len(reference.indices) :])
        rest = tuple(f"?{k}" for k in range(len(reference.indices)))
        return self._table(Named((*rest, *names, ROW), array), reference.indices)

    def _repeated(self, array: Any, plate: str | None) -> Any:
        """An outer plate's values, one for each unit of `level`."""
        levels = self.bound.levels
        own = next(number for number, level in enumerate(levels) if level.plate == plate)
        if self.level is None or own >= self.level:
            return array
        place = levels[self.level].parent
        for number in range(self.level - 1, own, -1):
            place = levels[number].parent[place]
        return array[..., place]

    def _table(self, table: Named, indices: tuple[Expression, ...]) -> Named:
        """Index the leading axes of a table by codes; `row` indices pick row by row."""
        if not indices:
            return table
        codes = [self.code(index) for index in indices]
        rest = table.axes[len(indices) :] if table.axes else ()
        axes = tuple(dict.fromkeys(a for code in codes for a in code.axes if a != ROW))
        by_row = any(ROW in code.axes for code in codes) or ROW in rest
        full = (*axes, ROW) if by_row else axes
        index = [code.aligned(full) for code in codes]
        if ROW in rest:
            index.append(np.arange(table.array.shape[-1]))
        return Named(full, np.asarray(table.array[tuple(index)]))

    def _reduce(self, op: str, binder: Binder, body: Named) -> Named:
        size = len(self.bound.indexes[binder.index_set])
        if binder.name not in body.axes:
            body = Named((binder.name, *body.axes), np.broadcast_to(body.array, (size, *body.array.shape)))
        axis = body.axes.index(binder.name)
        axes = body.axes[:axis] + body.axes[axis + 1 :]
        if op == "logsumexp":
            return Named(axes, np.logaddexp.reduce(body.array, axis=axis))
        return Named(axes, body.array.sum(axis=axis) if op == "sum" else body.array.prod(axis=axis))

    def _choose(self, choice: Choose, evaluate: Any) -> Named:
        result: Named | None = None
        for arm in reversed(choice.arms):
            value = evaluate(arm.value)
            if result is None:
                result = value
                continue
            result = combine(np.where, self._matches(choice.subjects, arm.alternatives), value, result)
        assert result is not None
        return result

    def _matches(self, subjects: tuple[Expression, ...], alternatives: Any) -> Named:
        total = Named((), np.asarray(False))
        for alternative in alternatives:
            one = Named((), np.asarray(True))
            for subject, pattern in zip(subjects, alternative, strict=True):
                if isinstance(pattern, AnyPattern):
                    continue
                codes = self.code(subject)
                labels = self.bound.indexes[self.index_set(subject)]
                wanted = [labels.index(label) for label in pattern.labels if label in labels]
                one = combine(np.logical_and, one, Named(codes.axes, np.isin(codes.array, wanted)))
            total = combine(np.logical_or, total, one)
        return total

    def index_set(self, expression: Expression) -> str:
        """The index set that a label-valued expression takes values in."""
        match expression:
            case VariableRef(name):
                values = self.model.variable(name).values
                assert values is not None
                return values
            case BinderRef(binder):
                return binder.index_set
            case Label(index_set):
                return index_set
            case ConstantRef(name):
                labels_of = self.model.constant(name).labels_of
                assert labels_of is not None
                return labels_of
            case Choose(_, arms):
                return self.index_set(arms[0].value)
            case ParameterRef():
                raise EmmError("not-an-index", "a parameter is no index")
        raise EmmError("not-an-index", "this expression has no labels as values")


def axis_of(reference: VariableRef | BinderRef) -> str:
    """The axis that a finite variable spans: its name, with `@lag` behind it; that of a bound index is its name."""
    if isinstance(reference, BinderRef):
        return reference.binder.name
    return reference.name if not reference.lag else f"{reference.name}@{reference.lag}"


def lagged(array: Any, reference: VariableRef, model: Model, bound: Bound) -> Any:
    """The values `lag` units before in the chain; missing for the first units of a chain."""
    plate = model.variable(reference.name).plate
    level = bound.levels[bound.level_of(plate)]
    position = np.arange(level.size) - reference.lag
    inside = position >= level.starts[level.parent]
    missing = np.nan if np.issubdtype(array.dtype, np.floating) else -1
    return np.where(inside, array[..., np.where(inside, position, 0)], missing)


def early_units(plate: str | None, lag: int, bound: Bound, level: int) -> Any:
    """`(rows,)` of a level: the units so near the beginning of the chain of a plate (their own or one around it) that
    there is none `lag` units before."""
    own = bound.level_of(plate)
    units = np.arange(bound.levels[level].size)
    for number in range(level, own, -1):
        units = bound.levels[number].parent[units]
    return bound.levels[own].position(units) < lag
