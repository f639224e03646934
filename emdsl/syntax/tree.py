"""What the parser makes of a text: the syntax alone, with a span on every node, nothing resolved.

Declarations and statements are here; expressions, patterns, laws and domains are in `emdsl.syntax.terms`, and every
name of both is a name of this module.
"""

from __future__ import annotations

from dataclasses import dataclass

from emdsl.syntax.terms import (
    AnyPattern,
    Argument,
    AxisBinder,
    Binary,
    Call,
    Case,
    CaseArm,
    Censored,
    ChainLaw,
    Comprehension,
    DomainExpr,
    Entry,
    Expr,
    Index,
    LabelPattern,
    Law,
    ListOf,
    Modifier,
    Name,
    Node,
    Num,
    PairPattern,
    Pattern,
    Probabilities,
    Quoted,
    Truncated,
    Unary,
    UpTo,
)

__all__ = [
    "AnyPattern", "Argument", "AxisBinder", "Binary", "Call", "Case", "CaseArm", "Censored", "ChainLaw",
    "Comprehension", "DomainExpr", "Entry", "Expr", "Index", "LabelPattern", "Law", "ListOf", "Modifier", "Name",
    "Node", "Num", "PairPattern", "Pattern", "Probabilities", "Quoted", "Truncated", "Unary", "UpTo", "ModelDecl",
    "ConstDecl", "LabelList", "RangeOf", "LevelsOf", "ColumnsOf", "IndexDecl", "ParamDecl", "LetDecl", "ReportDecl",
    "OrderDecl", "FamilyParameter", "FamilyDecl", "InputStmt", "WeightStmt", "LatentStmt", "ObservedStmt",
    "FactorStmt", "GivenStmt", "PlateStmt", "Statement", "Declaration", "Module",
]  # fmt: skip

# --- declarations -----------------------------------------------------------------------------------------------------


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
    """`observed y[item] from "Col" : domain between lo and hi ~ law`, or `= value` instead of a law.

    With `others`, as in `observed x, y ~ Categorical(p)`, one joint draw.
    """

    name: str
    axes: tuple[AxisBinder, ...]
    law: Law | ChainLaw | None = None
    value: Expr | None = None
    domain: DomainExpr | None = None
    column: str | None = None
    between: tuple[str, str] | None = None
    description: str = ""
    others: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """All names, the first one first."""
        return (self.name, *self.others)


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
