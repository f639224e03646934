"""The model graph evaluated number by number: slow, plain, and written apart from the engine."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from textwrap import dedent
from typing import Any

import numpy as np
from scipy import special

from emdsl.graph.resolve import resolve
from emdsl.ir.expressions import (
    AnyPattern,
    Apply,
    BinderRef,
    Choose,
    ConstantRef,
    Label,
    Number,
    ParameterRef,
    Position,
    Reduce,
    Stationary,
    Tabulate,
    VariableRef,
)
from emdsl.ir.model import Branch, Factor, Guard, Model
from emdsl.syntax.parser import parse


def model_of(text: str, **overrides: Any) -> Model:
    """The model graph of an indented text."""
    return resolve(parse(dedent(text)), overrides=overrides)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "+": np.add, "-": np.subtract, "*": lambda a, b: 0.0 if a == 0 or b == 0 else a * b, "/": np.divide,
    "^": lambda a, b: float(a) ** float(b), "neg": np.negative, "==": lambda a, b: float(a == b),
    "!=": lambda a, b: float(a != b), "<": lambda a, b: float(a < b), "<=": lambda a, b: float(a <= b),
    ">": lambda a, b: float(a > b), ">=": lambda a, b: float(a >= b), "and": lambda a, b: float(bool(a) and bool(b)),
    "or": lambda a, b: float(bool(a) or bool(b)), "not": lambda a: float(not a), "exp": np.exp,
    "log": lambda a: -math.inf if a == 0 else math.log(a), "log1p": np.log1p, "sqrt": np.sqrt, "abs": np.abs,
    "sin": np.sin, "cos": np.cos, "logistic": special.expit, "logit": special.logit, "Phi": special.ndtr,
    "probit": special.ndtri, "lgamma": special.gammaln, "besseli0": special.i0, "min": np.minimum, "max": np.maximum,
    "logdet": lambda c: np.linalg.slogdet(c)[1], "mahalanobis": lambda x, m, c: (x - m) @ np.linalg.solve(c, x - m),
    "traceinv": lambda c, s: np.trace(np.linalg.solve(c, s)),
    "multigammaln": lambda a, d: special.multigammaln(a, int(d)),
}  # fmt: skip


@dataclass
class World:
    """Values for everything that a model graph refers to.

    `indexes` are the labels of each index set. A finite variable's value is its label; a finite array's elements are
    labels; `lagged` are values one unit before. Arrays are in the order of the labels.
    """

    indexes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    constants: Mapping[str, Any] = field(default_factory=dict)
    variables: Mapping[str, Any] = field(default_factory=dict)
    values: Mapping[str, str | None] = field(default_factory=dict)
    lagged: Mapping[str, Any] = field(default_factory=dict)

    def factor(self, factor: Factor, bound: Mapping[str, str] | None = None) -> float:
        """The log-density of a factor; exactly one of its branches must hold."""
        holding = [branch for branch in factor.branches if self.holds(branch, bound or {})]
        assert len(holding) == 1, f"{len(holding)} branches hold"
        return float(self(holding[0].log_density, bound or {}))

    def holds(self, branch: Branch, bound: Mapping[str, str]) -> bool:
        """Whether all guards of a branch hold."""
        return all(self._guard(guard, bound) for guard in branch.guards)

    def _guard(self, guard: Guard, bound: Mapping[str, str]) -> bool:
        label = self.label(guard.variable, bound)
        if guard.position:
            labels = self.indexes[self._set(guard.variable)]
            place = "first" if label == labels[0] else "last" if label == labels[-1] else "middle"
            return place == guard.position
        return (label in guard.labels) != guard.negated

    def _set(self, reference: Any) -> str:
        match reference:
            case BinderRef(binder):
                return binder.index_set
            case VariableRef(name):
                found = self.values[name]
                assert found is not None
                return found
        raise TypeError(reference)

    def label(self, node: Any, bound: Mapping[str, str] | None = None) -> str:
        """The label that a finite expression takes."""
        bound = bound or {}
        match node:
            case Label(_, label):
                return label
            case BinderRef(binder):
                return bound[binder.name]
            case Choose():
                return self.label(self._chosen(node, bound), bound)
            case VariableRef(name, indices, lag):
                value = (self.lagged if lag else self.variables)[name]
                return str(value[self._place(indices, bound)] if indices else value)
            case ConstantRef(name, indices):
                return str(self.constants[name][self._place(indices, bound)])
        raise TypeError(node)

    def _place(self, indices: tuple[Any, ...], bound: Mapping[str, str]) -> tuple[int, ...]:
        return tuple(self._position(index, bound) for index in indices)

    def _position(self, index: Any, bound: Mapping[str, str]) -> int:
        match index:
            case Label(index_set, label):
                return self.indexes[index_set].index(label)
            case BinderRef(binder):
                return self.indexes[binder.index_set].index(bound[binder.name])
            case VariableRef(name):
                return self.indexes[self.values[name] or ""].index(self.label(index, bound))
            case Position(of, shift):
                return self._position(of, bound) + shift
            case ConstantRef(name):
                label = self.label(index, bound)
                return next(labels.index(label) for labels in self.indexes.values() if label in labels)
        raise TypeError(index)

    def _chosen(self, node: Choose, bound: Mapping[str, str]) -> Any:
        labels = [self.label(subject, bound) for subject in node.subjects]
        for arm in node.arms:
            for alternative in arm.alternatives:
                if all(
                    isinstance(p, AnyPattern) or label in p.labels for p, label in zip(alternative, labels, strict=True)
                ):
                    return arm.value
        raise AssertionError(f"no arm matches {labels}")

    def __call__(self, node: Any, bound: Mapping[str, str] | None = None) -> Any:
        """The value of an expression."""
        bound = bound or {}
        match node:
            case Number(value):
                return float(value)
            case Label() | BinderRef():
                return float(self.label(node, bound))
            case ParameterRef(name, indices):
                return np.asarray(self.parameters[name])[self._place(indices, bound)]
            case ConstantRef(name, indices):
                return np.asarray(self.constants[name])[self._place(indices, bound)]
            case VariableRef(name, indices, lag):
                if self.values.get(name) is not None:
                    return float(self.label(node, bound))
                return np.asarray((self.lagged if lag else self.variables)[name])[self._place(indices, bound)]
            case Apply("where", (condition, yes, no)):
                return self(yes if self(condition, bound) else no, bound)
            case Apply("==" | "!=" as op, args) if all(self._finite(arg) for arg in args):
                same = self.label(args[0], bound) == self.label(args[1], bound)
                return float(same == (op == "=="))
            case Apply(op, args):
                return FUNCTIONS[op](*(self(arg, bound) for arg in args))
            case Reduce(op, binder, body):
                terms = [self(body, {**bound, binder.name: label}) for label in self.indexes[binder.index_set]]
                return {"sum": np.sum, "prod": np.prod, "logsumexp": special.logsumexp}[op](terms)  # type: ignore[operator]
            case Tabulate(binders, body):
                return self._table(binders, body, bound)
            case Stationary(matrix, state):
                transition = np.asarray(self(matrix, bound))
                count = len(transition)
                system = np.vstack([transition.T - np.eye(count), np.ones(count)])
                law = np.linalg.lstsq(system, np.append(np.zeros(count), 1.0), rcond=None)[0]
                return law[self._position(state, bound)]
            case Choose():
                return self(self._chosen(node, bound), bound)
        raise TypeError(node)

    def _finite(self, node: Any) -> bool:
        if isinstance(node, VariableRef):
            return self.values.get(node.name) is not None
        return isinstance(node, Label | BinderRef | Choose)

    def _table(self, binders: Any, body: Any, bound: Mapping[str, str]) -> Any:
        if not binders:
            return self(body, bound)
        first, *rest = binders
        return np.array(
            [self._table(rest, body, {**bound, first.name: label}) for label in self.indexes[first.index_set]]
        )
