"""Expressions after name resolution: they refer to things, and families have been expanded into log-densities.

Numbers are exact where the text was (`1/2` is `Fraction(1, 2)`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from fractions import Fraction
from typing import Any

#: Elementary operations an `Apply` may hold, with their number of arguments (-1: any).
OPERATIONS: dict[str, int] = {
    "+": 2, "-": 2, "*": 2, "/": 2, "^": 2, "neg": 1,
    "==": 2, "!=": 2, "<": 2, "<=": 2, ">": 2, ">=": 2, "and": 2, "or": 2, "not": 1,
    "exp": 1, "log": 1, "log1p": 1, "sqrt": 1, "abs": 1, "sin": 1, "cos": 1,
    "logistic": 1, "logit": 1, "Phi": 1, "probit": 1, "lgamma": 1, "besseli0": 1,
    "min": 2, "max": 2, "where": 3,
    # of a vector x, a mean vector m and a covariance matrix C: log det C, and (x - m)' C^-1 (x - m)
    "logdet": 1, "mahalanobis": 3,
    # of a covariance matrix C and a symmetric matrix S: trace(C^-1 S)
    "traceinv": 2,
    # of a positive number a and a number of dimensions d: log of the multivariate gamma function
    "multigammaln": 2,
    # distribution functions, in logarithms (`emdsl.runtime.tails`), and sums of what is given by its logarithm
    "log_gammap": 2, "log_gammaq": 2, "log_betainc": 3, "log_student": 2, "log_betabinomial": 4,
    "log_laplace": 1,
    "logaddexp": 2, "logsubexp": 2,
    # log(F(b) - F(a)) from log F(b), log F(a), log S(a), log S(b)
    "loginterval": 4,
    "floor": 1, "ceil": 1,
}  # fmt: skip


@dataclass(frozen=True)
class Number:
    """An exact number, or a float where the text gave one that no short fraction is meant by (pi, inf)."""

    value: Fraction | float


@dataclass(frozen=True)
class Label:
    """A label of an index set, used as an index or compared with."""

    index_set: str
    label: str


@dataclass(frozen=True)
class Binder:
    """A bound index: `item` in `y[item]`, `i` in `sum(i in idx: ...)`.

    `name` is unique in its factor: no index is bound inside another of its name. Copies of one expression share theirs.
    """

    name: str
    index_set: str


@dataclass(frozen=True)
class BinderRef:
    """The current element of a bound index: an index, or, where its labels are numbers, a number."""

    binder: Binder


@dataclass(frozen=True)
class ConstantRef:
    """A `const`: a scalar, or an element of a table (of numbers, or of labels to index with)."""

    name: str
    indices: tuple[Expression, ...] = ()


@dataclass(frozen=True)
class ParameterRef:
    """An element of a parameter; with fewer indices than the parameter has axes, the rest is a simplex, vector or
    matrix (as `mahalanobis` takes)."""

    name: str
    indices: tuple[Expression, ...] = ()


@dataclass(frozen=True)
class VariableRef:
    """The value of a variable for the current unit, or `lag` units before it in its chain.

    `indices` are the element indices of an array variable; fewer of them than axes is the whole vector.
    """

    name: str
    indices: tuple[Expression, ...] = ()
    lag: int = 0


@dataclass(frozen=True)
class Apply:
    """An elementary operation, one of `OPERATIONS`."""

    op: str
    args: tuple[Expression, ...]


@dataclass(frozen=True)
class Reduce:
    """`sum(i in idx: body)` or `prod(i in idx: body)`; `op` is `sum`, `prod` or `logsumexp`."""

    op: str
    binder: Binder
    body: Expression


@dataclass(frozen=True)
class Tabulate:
    """The vector or matrix whose element at `binders` is `body`: an argument of `mahalanobis`, `logdet`, `traceinv`."""

    binders: tuple[Binder, ...]
    body: Expression


@dataclass(frozen=True)
class Position:
    """An index by position: the element of an axis that stands where `of` stands in its index set, moved by `shift`.

    It indexes the cut points of an ordered variable, whose axis has one element fewer than the variable has levels:
    level number `n` (from 0) lies between cut points `n - 1` and `n`.
    """

    of: Expression
    shift: int = 0


@dataclass(frozen=True)
class Stationary:
    """The probability of `state` under the stationary law of the transition matrix (a partial ParameterRef)."""

    matrix: ParameterRef
    state: Expression


@dataclass(frozen=True)
class LabelPattern:
    """Matches when the subject is one of `labels`."""

    labels: tuple[str, ...]


@dataclass(frozen=True)
class AnyPattern:
    """Matches every value."""


@dataclass(frozen=True)
class Arm:
    """One branch of a `Choose`: it is taken if every subject matches its pattern (alternatives: any of the tuples)."""

    alternatives: tuple[tuple[LabelPattern | AnyPattern, ...], ...]
    value: Expression


@dataclass(frozen=True)
class Choose:
    """`case`, over finite subjects (variables, binders); the first arm that matches gives the value.

    Exhaustive: the graph stage has checked it. Unordered genotypes are expanded into alternatives over their two
    hidden draws before this.
    """

    subjects: tuple[Expression, ...]
    arms: tuple[Arm, ...]


Expression = (
    Number
    | Label
    | BinderRef
    | ConstantRef
    | ParameterRef
    | VariableRef
    | Apply
    | Reduce
    | Tabulate
    | Position
    | Stationary
    | Choose
)


def number(value: int | float | Fraction) -> Number:
    """A `Number`, exact for integers and fractions."""
    return Number(Fraction(value) if isinstance(value, int) else value)


def add(*terms: Expression) -> Expression:
    """The sum of the terms, left to right."""
    total = terms[0]
    for term in terms[1:]:
        total = Apply("+", (total, term))
    return total


def log(argument: Expression) -> Expression:
    """`log(argument)`."""
    return Apply("log", (argument,))


def walk(expression: Any) -> Iterator[Any]:
    """The expression and everything below it that is a dataclass, parents first."""
    if is_dataclass(expression):
        yield expression
        for field in fields(expression):
            yield from walk(getattr(expression, field.name))
    elif isinstance(expression, tuple):
        for item in expression:
            yield from walk(item)


def rewrite(expression: Any, rule: Callable[[Any], Any]) -> Any:
    """The expression rebuilt from its leaves up, `rule` applied to every dataclass in it (also inside tuples)."""
    if isinstance(expression, tuple):
        items = tuple(rewrite(item, rule) for item in expression)
        return expression if all(new is old for new, old in zip(items, expression, strict=True)) else items
    if not is_dataclass(expression) or isinstance(expression, type):
        return expression
    changed: dict[str, Any] = {}
    for field in fields(expression):
        old = getattr(expression, field.name)
        new = rewrite(old, rule)
        if new is not old:
            changed[field.name] = new
    return rule(replace(expression, **changed) if changed else expression)
