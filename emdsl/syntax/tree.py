"""What the parser makes of a text: the syntax alone, with a span on every node, nothing resolved.

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


# --- declarations -----------------------------------------------------------------------------------------------------


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


@dataclass(frozen=True)
class ModelDecl(Node):
    """`model Name "description"`."""

    name: str
    description: str = ""


@dataclass(frozen=True)
class ConstDecl(Node):
    """`const K = 3`, `const T[a, b] = [[...]]`, `const t[item] : testlet = [...]`, `const K`."""

    name: str
    axes: tuple[AxisBinder, ...] = ()
    labels_of: str | None = None
    value: Expr | None = None
    description: str = ""


@dataclass(frozen=True)
class LabelList(Node):
    """`{a, "b c", -1}`."""

    labels: tuple[LabelPattern, ...]


@dataclass(frozen=True)
class RangeOf(Node):
    """`low..high`."""

    low: Expr
    high: Expr


@dataclass(frozen=True)
class LevelsOf(Node):
    """`levels` or `levels(column, ...)`; names bare or quoted."""

    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class ColumnsOf(Node):
    """`columns` or `columns(name, "pattern_*")`."""

    patterns: tuple[str, ...] = ()


@dataclass(frozen=True)
class IndexDecl(Node):
    """`index name = source`."""

    name: str
    source: LabelList | RangeOf | LevelsOf | ColumnsOf
    description: str = ""


@dataclass(frozen=True)
class ParamDecl(Node):
    """`param mu[cluster] : real ~ Prior(...) init expr only cond "description"`."""

    name: str
    axes: tuple[AxisBinder, ...]
    domain: DomainExpr
    prior: Law | None = None
    init: Expr | None = None
    only: Expr | None = None
    description: str = ""


@dataclass(frozen=True)
class LetDecl(Node):
    """`let q = expr`, `let S[i in wave, j in wave] = expr`; at the top or in a plate."""

    name: str
    axes: tuple[AxisBinder, ...]
    value: Expr
    description: str = ""


@dataclass(frozen=True)
class ReportDecl(Node):
    """`report name = expr`."""

    name: str
    axes: tuple[AxisBinder, ...]
    value: Expr
    description: str = ""


@dataclass(frozen=True)
class OrderDecl(Node):
    """`order index by key`; the key is a parameter or an element of one, its axis over the index set left out."""

    index_set: str
    key: Expr
    description: str = ""


@dataclass(frozen=True)
class FamilyParameter(Node):
    """`scale : positive` in a family's head."""

    name: str
    domain: DomainExpr


@dataclass(frozen=True)
class FamilyDecl(Node):
    """`family Name(par : domain, ...) for x : domain:` and its definitions (`logpdf`, `logpmf`, `mean`, ...)."""

    name: str
    parameters: tuple[FamilyParameter, ...]
    variable: str
    domain: DomainExpr
    definitions: tuple[tuple[str, Expr], ...]
    description: str = ""


# --- statements of a plate (latent, also outside every plate) ---------------------------------------------------------


@dataclass(frozen=True)
class InputStmt(Node):
    """`input x[feature] from "Col" : domain`."""

    name: str
    axes: tuple[AxisBinder, ...] = ()
    domain: DomainExpr | None = None
    column: str | None = None
    description: str = ""


@dataclass(frozen=True)
class WeightStmt(Node):
    """`weight count`."""

    name: str
    column: str | None = None
    description: str = ""


@dataclass(frozen=True)
class LatentStmt(Node):
    """`latent v ~ law`; several names (`latent x, y ~ Categorical(p)`) are one joint draw."""

    names: tuple[str, ...]
    axes: tuple[AxisBinder, ...]
    law: Law | ChainLaw
    domain: DomainExpr | None = None
    description: str = ""


@dataclass(frozen=True)
class ObservedStmt(Node):
    """`observed y[item] from "Col" : domain between lo and hi ~ law`, or `= value` instead of a law."""

    name: str
    axes: tuple[AxisBinder, ...]
    law: Law | ChainLaw | None = None
    value: Expr | None = None
    domain: DomainExpr | None = None
    column: str | None = None
    between: tuple[str, str] | None = None
    description: str = ""


@dataclass(frozen=True)
class FactorStmt(Node):
    """`factor expr`."""

    value: Expr
    description: str = ""


@dataclass(frozen=True)
class GivenStmt(Node):
    """`given cond`."""

    condition: Expr
    description: str = ""


@dataclass(frozen=True)
class PlateStmt(Node):
    """`for each NAME [over idx] [in sequence [by column]]:` and its body."""

    name: str
    body: tuple[Statement, ...]
    over: str | None = None
    ordered: bool = False
    by: str | None = None
    description: str = ""


Statement = InputStmt | WeightStmt | LatentStmt | ObservedStmt | FactorStmt | GivenStmt | LetDecl | PlateStmt

Declaration = (
    ModelDecl
    | ConstDecl
    | IndexDecl
    | ParamDecl
    | LetDecl
    | ReportDecl
    | OrderDecl
    | FamilyDecl
    | LatentStmt
    | PlateStmt
)


@dataclass(frozen=True)
class Module(Node):
    """A whole file: declarations in their order."""

    declarations: tuple[Declaration, ...]
