"""The parts of a syntax tree that stand within declarations: expressions, patterns, laws and domains.

`span` never takes part in comparison, so that a tree equals the tree of its own print.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from emdsl.diagnostics.spans import NOWHERE, Span


@dataclass(frozen=True)
class Node:
    """Anything with a place in the text."""

    span: Span = field(default=NOWHERE, compare=False, kw_only=True)


# --- expressions ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Num(Node):
    """A number as written (`3`, `0.5`, `1e-3`); never negative."""

    text: str


@dataclass(frozen=True)
class Name(Node):
    """A name, which may turn out to be an index, a variable, a parameter, a constant, a label or a function."""

    name: str


@dataclass(frozen=True)
class Quoted(Node):
    """A label in quotes, where an expression may stand."""

    text: str


@dataclass(frozen=True)
class Unary(Node):
    """`-x`, `+x` or `not x`."""

    op: Literal["-", "+", "not"]
    operand: Expr


@dataclass(frozen=True)
class Binary(Node):
    """`left op right`; `^` binds right, comparisons do not chain."""

    op: Literal["+", "-", "*", "/", "^", "==", "!=", "<", "<=", ">", ">=", "and", "or"]
    left: Expr
    right: Expr


@dataclass(frozen=True)
class Argument(Node):
    """An argument of a call, by position (`name` None) or by name."""

    value: Expr
    name: str | None = None


@dataclass(frozen=True)
class Call(Node):
    """`function(arguments)`: a function, or, in a law, a distribution."""

    function: str
    arguments: tuple[Argument, ...]


@dataclass(frozen=True)
class Comprehension(Node):
    """`sum(i in idx: body)`, `prod(...)`, `softmax(...)`."""

    function: str
    binder: str
    index_set: str
    body: Expr


@dataclass(frozen=True)
class Index(Node):
    """`base[i, j]`."""

    base: Expr
    indices: tuple[Expr, ...]


@dataclass(frozen=True)
class ListOf(Node):
    """`[a, b, ...]`: rows of a constant table."""

    items: tuple[Expr, ...]


@dataclass(frozen=True)
class Entry(Node):
    """`label: probability` in a `Probabilities`."""

    label: str
    value: Expr


@dataclass(frozen=True)
class Probabilities(Node):
    """`{a: 1/2, b: theta/4}`."""

    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Case(Node):
    """`case v, w:` and its arms; the value of an arm is an expression, or, after `~`, a law."""

    subjects: tuple[Expr, ...]
    arms: tuple[CaseArm, ...]


Expr = Num | Name | Quoted | Unary | Binary | Call | Comprehension | Index | ListOf | Probabilities | Case


# --- patterns ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LabelPattern(Node):
    """A label, bare, quoted, or a number with its sign."""

    label: str
    quoted: bool = False


@dataclass(frozen=True)
class AnyPattern(Node):
    """`_`."""


@dataclass(frozen=True)
class PairPattern(Node):
    """An unordered genotype `A/B`; either side may be `_`."""

    left: LabelPattern | AnyPattern
    right: LabelPattern | AnyPattern


Pattern = LabelPattern | AnyPattern | PairPattern


@dataclass(frozen=True)
class CaseArm(Node):
    """`p | q -> value`: each alternative has one pattern for each subject."""

    alternatives: tuple[tuple[Pattern, ...], ...]
    value: Expr | Law


# --- laws -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Censored(Node):
    """`censored above unless event`, `censored below unless detected`."""

    side: Literal["above", "below"]
    unless: Expr


@dataclass(frozen=True)
class Truncated(Node):
    """`truncated to (a, b)`."""

    low: Expr
    high: Expr


@dataclass(frozen=True)
class UpTo(Node):
    """`up to N`."""

    bound: Expr


Modifier = Censored | Truncated | UpTo


@dataclass(frozen=True)
class Law(Node):
    """`Normal(mu, s)` or `case k: ...` with its modifiers."""

    call: Call | Case
    modifiers: tuple[Modifier, ...] = ()


@dataclass(frozen=True)
class ChainLaw(Node):
    """`D1 first, D2 after`."""

    first: Law
    after: Law


# --- domains ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DomainExpr(Node):
    """`real`, `interval(a, b)`, `simplex[idx, ...]`, or the name of an index set (a finite value)."""

    name: str
    arguments: tuple[Expr, ...] = ()
    axes: tuple[AxisBinder, ...] = ()


@dataclass(frozen=True)
class AxisBinder(Node):
    """An index set in brackets of a declaration, `state`, or with a name for its element, `i in state`."""

    index_set: str
    binder: str | None = None
