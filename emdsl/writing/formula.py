"""Formulas as trees, to be written in other notations than that of the derivation's text."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Name:
    """A name: of the model's, of a function, or a letter of the derivation; `genotype.1` is one."""

    text: str


@dataclass(frozen=True)
class Number:
    """A number as it is written: `2`, `0.5`, `1e+300`."""

    text: str


@dataclass(frozen=True)
class Words:
    """What is no formula inside one: `first year`, `weight of q`, a label with odd characters."""

    text: str


@dataclass(frozen=True)
class Items:
    """What stands inside brackets, `separators` (`,`, `|`, `;`) between its parts."""

    parts: tuple[Formula, ...]
    separators: tuple[str, ...] = ()


@dataclass(frozen=True)
class Call:
    """`function(items)`, `E[items]`, or `log P(x)` and `not x`, whose one argument stands in no brackets (`bare`)."""

    function: str
    items: Items
    bare: bool = False


@dataclass(frozen=True)
class Indexed:
    """`base[items]`; `new` marks an updated element, `base[items]_new`."""

    base: Formula
    items: Items
    new: bool = False


@dataclass(frozen=True)
class Noted:
    """A formula with words behind it that belong to it: `log P(z) in the first roll`."""

    formula: Formula
    words: str


@dataclass(frozen=True)
class Indicator:
    """`1{items}`: 1 where all of them hold, else 0."""

    items: Items


@dataclass(frozen=True)
class Group:
    """`(items)` or `{items}`."""

    opening: str
    items: Items


@dataclass(frozen=True)
class Transposed:
    """`base'`."""

    base: Formula


@dataclass(frozen=True)
class Power:
    """`base^exponent`."""

    base: Formula
    exponent: Formula


@dataclass(frozen=True)
class Product:
    """`first*b/c`, from left to right: each of `rest` is `*`, `/` or "" (side by side) and a factor."""

    first: Formula
    rest: tuple[tuple[str, Formula], ...]


@dataclass(frozen=True)
class Sum:
    """Terms with their signs; the first sign is `-` or ""."""

    terms: tuple[tuple[str, Formula], ...]


@dataclass(frozen=True)
class Relations:
    """`a = b <= c`: each of `rest` is a relation and what stands behind it."""

    first: Formula
    rest: tuple[tuple[str, Formula], ...]


@dataclass(frozen=True)
class Big:
    """`sum(items: body)`, `prod`, `integral`, or `sum over unit: body`."""

    operator: str
    items: Items
    body: Formula
    over: bool = False


@dataclass(frozen=True)
class Table:
    """`[items: body]`: the vector or matrix with this element."""

    items: Items
    body: Formula


@dataclass(frozen=True)
class Case:
    """`case(subjects: pattern -> value; …)`."""

    subjects: Items
    arms: tuple[tuple[Items, Formula], ...]


@dataclass(frozen=True)
class Derivative:
    """`dQ/dx`, `d2Q/dx^2` (`square`), `d2Q/dx dy`: of `function` in each of `variables`."""

    function: str
    variables: tuple[Formula, ...]
    second: bool = False
    square: bool = False


Formula = (
    Name | Number | Words | Items | Call | Indexed | Noted | Indicator | Group | Transposed | Power | Product | Sum
    | Relations | Big | Table | Case | Derivative
)  # fmt: skip
