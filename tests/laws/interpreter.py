"""Expressions of a model graph evaluated over a list of joint hidden states: slow, plain, apart from the engine.

A value is an array with one element for each joint state, or a scalar that is the same for all of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy import special

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
    Tabulate,
    VariableRef,
)
from emdsl.ir.model import Guard
from tests.laws.tables import Table, Unit

#: One hidden value: a variable's name, the unit it belongs to, its element.
Key = tuple[str, Unit, tuple[int, ...]]


def times(a: Any, b: Any) -> Any:
    """A product in which nothing, times anything, is nothing: `x*log(rate)` at `x = rate = 0`."""
    return np.where((np.asarray(a) == 0) | (np.asarray(b) == 0), 0.0, np.multiply(a, b))


def distance(x: Any, mean: Any, covariance: Any) -> Any:
    """`(x - m)' C^-1 (x - m)` for each joint state."""
    off = (x - mean)[..., None]
    return (off * np.linalg.solve(covariance, np.broadcast_to(off, (*covariance.shape[:-1], 1)))).sum(axis=(-2, -1))


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "+": np.add, "-": np.subtract, "*": times, "/": np.divide, "^": np.power, "neg": np.negative,
    "<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal, "==": np.equal, "!=": np.not_equal,
    "and": np.logical_and, "or": np.logical_or, "not": np.logical_not, "where": np.where, "exp": np.exp, "log": np.log,
    "log1p": np.log1p, "sqrt": np.sqrt, "abs": np.abs, "sin": np.sin, "cos": np.cos, "logistic": special.expit,
    "logit": special.logit, "Phi": special.ndtr, "probit": special.ndtri, "lgamma": special.gammaln, "min": np.minimum,
    "max": np.maximum, "logdet": lambda c: np.linalg.slogdet(c)[1], "mahalanobis": lambda x, m, c: distance(x, m, c),
}  # fmt: skip


@dataclass(frozen=True)
class World:
    """Everything that an expression may refer to, seen from one unit.

    `hidden` holds the positions of the labels of what is not known, an array over the joint states. `bound` holds the
    elements that the bound indices stand at, `chains` the units of each chain around this one.
    """

    table: Table
    theta: Mapping[str, Any]
    unit: Unit
    hidden: Mapping[Key, Any]
    bound: Mapping[str, int] = field(default_factory=dict)
    chains: Mapping[str, tuple[Unit, ...]] = field(default_factory=dict)

    def at(self, binder: Binder, place: int) -> World:
        """The same world with a bound index at one element."""
        return replace(self, bound={**self.bound, binder.name: place})

    def size(self, index_set: str) -> int:
        """The number of labels of an index set."""
        return len(self.table.indexes[index_set])

    # --- numbers ------------------------------------------------------------------------------------------------------

    def number(self, e: Expression) -> Any:
        """The value of an expression as a number."""
        match e:
            case Number(value):
                return float(value)
            case Label(_, label):
                return float(label)
            case BinderRef(binder):
                return float(self.table.indexes[binder.index_set][self.bound[binder.name]])
            case ConstantRef(name, indices):
                return self.table.constants[name][tuple(self.place(index) for index in indices)]
            case ParameterRef(name, indices):
                return np.asarray(self.theta[name])[tuple(self.place(index) for index in indices)]
            case VariableRef():
                return self.variable(e)
            case Apply("==" | "!=" as op, (left, right)) if self.index_set(left) and self.index_set(right):
                same = self.texts(left) == self.texts(right)
                return np.asarray(same if op == "==" else ~same, dtype=float)
            case Apply("<" | "<=" | ">" | ">=" as op, (left, right)) if self.has_order(left) and self.has_order(right):
                return np.asarray(FUNCTIONS[op](self.place(left), self.place(right)), dtype=float)
            case Apply(op, args):
                return np.asarray(FUNCTIONS[op](*(self.number(arg) for arg in args)), dtype=float)
            case Reduce(op, binder, body):
                parts = [self.at(binder, place).number(body) for place in range(self.size(binder.index_set))]
                functions = {"sum": np.add, "prod": np.multiply, "logsumexp": np.logaddexp}
                return functions[op].reduce(np.broadcast_arrays(*parts), axis=0)
            case Stationary(matrix, state):
                return self.stationary(matrix, state)
            case Choose():
                return self.choose(e, self.number)
            case Tabulate((binder, *rest), body):
                inner = Tabulate(tuple(rest), body) if rest else body
                parts = [self.at(binder, place).number(inner) for place in range(self.size(binder.index_set))]
                return np.stack(np.broadcast_arrays(*parts), axis=-1 - len(rest))
        raise NotImplementedError(type(e).__name__)

    def has_order(self, e: Expression) -> bool:
        """Whether an expression is a label that is no number, so that its place orders it."""
        labels = self.table.indexes.get(self.index_set(e), ())
        return any(not label.lstrip("-").replace(".", "", 1).isdigit() for label in labels)

    def variable(self, e: VariableRef) -> Any:
        """A variable as a number."""
        variable = self.table.model.variable(e.name)
        if variable.values is not None:
            labels = np.array([float(label) for label in self.table.indexes[variable.values]])
            return labels[self.place(e)]
        unit = self.owner(e)
        if unit is None:
            return math.nan
        if len(e.indices) < len(variable.axes):
            return np.array([self.table.number(variable, unit, place) for place in self.table.elements(variable)])
        places = np.broadcast_arrays(*(self.place(index) for index in e.indices))
        if places and places[0].ndim:  # what is hidden chooses the element
            chosen = (tuple(map(int, at)) for at in zip(*places, strict=True))
            return np.array([self.table.number(variable, unit, at) for at in chosen])
        return self.table.number(variable, unit, tuple(map(int, places)))

    def stationary(self, matrix: ParameterRef, state: Expression) -> Any:
        """`p` with `p A = p`, its elements summing to 1."""
        full = np.asarray(self.theta[matrix.name])[tuple(self.place(index) for index in matrix.indices)]
        full = full.reshape(-1, *full.shape[-2:])
        laws = []
        for one in full:
            size = len(one)
            system = np.vstack([one.T - np.eye(size), np.ones((1, size))])
            laws.append(np.linalg.lstsq(system, np.append(np.zeros(size), 1.0), rcond=None)[0])
        stacked = np.array(laws)
        place = np.asarray(self.place(state))
        return stacked[np.arange(len(stacked)) if len(stacked) > 1 else 0, place]

    # --- labels -------------------------------------------------------------------------------------------------------

    def place(self, e: Expression) -> Any:
        """The position of a label-valued expression in its index set."""
        match e:
            case Label(index_set, label):
                return self.table.indexes[index_set].index(label)
            case BinderRef(binder):
                return self.bound[binder.name]
            case ConstantRef(name, indices):
                return self.table.constants[name][tuple(self.place(index) for index in indices)]
            case Position(of, shift):
                return self.place(of) + shift
            case Choose():
                return self.choose(e, self.place)
            case VariableRef(name, indices):
                unit = self.owner(e)
                element = tuple(int(self.place(index)) for index in indices)
                assert unit is not None, f"{name} has no earlier unit"
                if (name, unit, element) in self.hidden:
                    return self.hidden[name, unit, element]
                (value,) = self.table.allowed(self.table.model.variable(name), unit, element)
                return value
        raise NotImplementedError(type(e).__name__)

    def index_set(self, e: Expression) -> str:
        """The index set of a label-valued expression, empty for a number."""
        match e:
            case Label(index_set):
                return index_set
            case BinderRef(binder):
                return binder.index_set
            case VariableRef(name):
                return self.table.model.variable(name).values or ""
            case ConstantRef(name):
                return self.table.model.constant(name).labels_of or ""
            case Choose(_, arms):
                return self.index_set(arms[0].value)
        return ""

    def texts(self, e: Expression) -> Any:
        """The label of a label-valued expression."""
        return np.array(self.table.indexes[self.index_set(e)])[self.place(e)]

    def owner(self, e: VariableRef) -> Unit | None:
        """The unit whose value is meant: this one or one around it, `lag` units before; None before the first."""
        unit: Unit | None = self.unit
        plate = self.table.model.variable(e.name).plate
        while unit is not None and unit.plate != plate:
            unit = unit.parent
        assert unit is not None
        if not e.lag:
            return unit
        place = unit.position - e.lag
        return self.chains[plate or ""][place] if place >= 0 else None

    # --- choices ------------------------------------------------------------------------------------------------------

    def choose(self, e: Choose, evaluate: Callable[[Expression], Any]) -> Any:
        """The value of the first arm that matches."""
        conditions, values = [], []
        for arm in e.arms:
            hit: Any = np.asarray(False)
            for alternative in arm.alternatives:
                every: Any = np.asarray(True)
                for subject, pattern in zip(e.subjects, alternative, strict=True):
                    if not isinstance(pattern, AnyPattern):
                        every = every & np.isin(self.texts(subject), pattern.labels)
                hit = hit | every
            conditions.append(hit)
            values.append(evaluate(arm.value))
        arrays = np.broadcast_arrays(*conditions, *values)
        half = len(conditions)
        result = np.select(list(arrays[:half]), list(arrays[half:]), default=0)
        assert np.logical_or.reduce(arrays[:half]).all(), "a case that misses a value"
        return result

    def holds(self, guard: Guard) -> Any:
        """Whether the condition of a branch is met."""
        if guard.position:
            place, size = self.place(guard.variable), self.size(self.index_set(guard.variable))
            first, last = np.equal(place, 0), np.equal(place, size - 1)
            return {"first": first, "last": last, "middle": ~(first | last)}[guard.position]
        inside = np.isin(self.texts(guard.variable), guard.labels)
        return ~inside if guard.negated else inside
