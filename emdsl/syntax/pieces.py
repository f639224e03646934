"""What a reduction of the grammar is given: tokens, nodes, and pieces of declarations that are no nodes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from emdsl.diagnostics.errors import EmmError
from emdsl.diagnostics.spans import NOWHERE, Span
from emdsl.syntax import tree

if TYPE_CHECKING:
    from lark import Token

#: Limits on numbers as they are written.
MOST_DIGITS, LARGEST_EXPONENT = 100, 308
_LAYOUT = frozenset({"_NL", "_INDENT", "_DEDENT"})
_ESCAPE = re.compile(r'\\(["\\])')


@dataclass(frozen=True)
class Piece:
    """A part of a declaration on its way up: `kind` is the rule that made it."""

    kind: str
    value: Any
    span: Span


@dataclass(frozen=True)
class Block:
    """A `case` with the description that may end its first line."""

    case: tree.Case
    description: str
    span: Span


Child = Any  # a Token, a node, a Piece, a Block or Branches


def unquote(text: str) -> str:
    """What a quoted text means: a backslash keeps a quote or a backslash, and is itself elsewhere."""
    return _ESCAPE.sub(r"\1", text[1:-1])


def span_of(children: Sequence[Child]) -> Span:
    """From the first child to the last one that is not layout."""
    if not children:
        return NOWHERE
    last = next((c for c in reversed(children) if getattr(c, "type", "") not in _LAYOUT), children[0])
    return place_of(children[0]).to(place_of(last))


def place_of(child: Child) -> Span:
    """Where a token, a node or a piece stands."""
    if isinstance(child, str):
        token = cast("Token", child)
        start, end = token.start_pos or 0, token.end_pos or 0
        return Span(start, end, token.line or 0, token.column or 0)
    return cast(Span, child.span)


def is_token(child: Child, *types: str) -> bool:
    """Whether this is a token of one of the terminals."""
    return getattr(child, "type", None) in types


def words_of(children: Iterable[Child], terminal: str = "NAME") -> tuple[str, ...]:
    """The names among the children themselves (not those inside nodes)."""
    return tuple(str(c) for c in children if is_token(c, terminal))


def nodes_of(children: Iterable[Child]) -> tuple[Any, ...]:
    """The nodes of the tree among the children."""
    return tuple(c for c in children if isinstance(c, tree.Node))


_ONCE = {"init": "`init`", "prior": "the prior", "only": "`only`", "description": "the description",
         "values": "the domain", "from_column": "`from`", "between": "`between`"}  # fmt: skip


def pieces_of(children: Iterable[Child]) -> dict[str, Any]:
    """The pieces by kind; each may be given once."""
    found: dict[str, Any] = {}
    for child in children:
        match child:
            case Piece(kind, value, span):
                if kind in found:
                    raise EmmError(
                        "given-twice", f"{_ONCE.get(kind, kind)} is given twice", span=span, label="here again",
                        help="keep one of the two",
                    )  # fmt: skip
                found[kind] = value
            case Block(case, description, _):
                found["case"] = case
                if description:
                    found["description"] = description
            case _:
                pass
    return found


def body_of(children: Sequence[Child], pieces: dict[str, Any]) -> tree.Expr:
    """The value after `=`: a `case` block, or the expression among the children."""
    if "case" in pieces:
        return cast(tree.Expr, pieces["case"])
    return cast(tree.Expr, nodes_of(children)[0])


def piece(kind: str, value_of: str = "node") -> Any:
    """A reduction to a `Piece` whose value is the rule's only node, or what its only column names."""

    def reduce(_: object, children: list[Child]) -> Piece:
        value = nodes_of(children)[0] if value_of == "node" else columns_of(children)
        return Piece(kind, value, span_of(children))

    return reduce


def columns_of(children: Iterable[Child]) -> tuple[str, ...]:
    """The columns' names among the children."""
    return tuple(c.value for c in children if isinstance(c, Piece) and c.kind == "column")


def check_number(token: Child) -> None:
    """Raises `EmmError` for a number that later stages could not hold: too many digits, or beyond any float."""
    text = str(token)
    exponent = text.lower().partition("e")[2].lstrip("+-0")
    if len(text) > MOST_DIGITS or len(exponent) > 3 or int(exponent or 0) > LARGEST_EXPONENT:
        what = "has too many digits" if len(text) > MOST_DIGITS else "is beyond the range of numbers"
        raise EmmError(
            "bad-number", f"this number {what}", span=place_of(token),
            help=f"at most {MOST_DIGITS} digits, and exponents up to {LARGEST_EXPONENT}; `inf` is infinity",
        )  # fmt: skip


def law_of(children: Sequence[Child], pieces: dict[str, Any]) -> tree.Law | tree.ChainLaw:
    """The law after `~`."""
    for child in children:
        match child:
            case tree.Law() | tree.ChainLaw():
                return child
            case Block(case, _, span):
                return tree.Law(case, span=span)
            case Piece("chain_case", (chain, description), _):
                pieces.setdefault("description", description)
                return cast(tree.ChainLaw, chain)
            case _:
                pass
    raise AssertionError("the grammar gives every latent variable a law")
