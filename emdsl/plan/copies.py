"""Pieces in place of pieces: a derivation whose pieces have been cut further, every M-step rule counting all the parts.

What a piece is, a log-density with its derivatives, is unchanged in its copies: they hold at other cells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any

from emdsl.data.bound import Bound
from emdsl.ir.arrays import substitute
from emdsl.ir.derivation import Contribution, Derivation, Piece, Update
from emdsl.ir.expressions import Binder, Expression, Label, Number, VariableRef, rewrite, walk
from emdsl.ir.identifiers import distinct
from emdsl.ir.model import Guard


def with_pieces(derivation: Derivation, parts: Mapping[str, Sequence[Piece]]) -> Derivation:
    """The derivation with each piece named in `parts` replaced by its parts (perhaps none)."""
    lists = [tuple(parts.get(piece.name, (piece,))) for piece in derivation.pieces]
    names = iter(distinct(piece.name for group in lists for piece in group))
    named = [tuple(replace(piece, name=next(names)) for piece in group) for group in lists]
    renamed = {old.name: tuple(p.name for p in group) for old, group in zip(derivation.pieces, named, strict=True)}
    return replace(
        derivation,
        pieces=tuple(piece for group in named for piece in group),
        updates=tuple(_counting(update, renamed) for update in derivation.updates),
        integrals=tuple(
            replace(item, pieces=tuple(name for old in item.pieces for name in renamed[old]))
            for item in derivation.integrals
        ),
    )


def _counting(update: Update, renamed: Mapping[str, tuple[str, ...]]) -> Update:
    contributions: list[Contribution] = []
    for item in update.contributions:
        contributions += [replace(item, piece=name) for name in renamed[item.piece]]
    return replace(update, contributions=tuple(contributions))


def references(piece: Piece) -> set[VariableRef]:
    """Every variable that a piece's formulas look at, its target only where they do."""
    parts = (
        tuple(atom.terms for atom in piece.atoms), tuple(known.value for known in piece.knowns), piece.guards,
        piece.vector, piece.stationary, piece.multiplier,
    )  # fmt: skip
    return {node for node in walk(parts) if isinstance(node, VariableRef)}


def at_elements(piece: Piece, chosen: Mapping[Binder, Label], bound: Bound) -> Piece | None:
    """The piece at some elements of its bound indices; None where a guard keeps it out of them."""
    held: Piece = substitute(replace(piece, elements=()), chosen)
    guards = decided(held.guards, bound)
    if guards is None:
        return None
    labels = ", ".join(label.label for label in chosen.values())
    return replace(
        held, name=f"{piece.name}[{labels}]", factor=f"{piece.factor}[{labels}]", guards=guards,
        elements=tuple(binder for binder in piece.elements if binder not in chosen),
    )  # fmt: skip


def at_value(piece: Piece, reference: VariableRef, label: Label, bound: Bound) -> Piece | None:
    """The piece where a finite variable has one value, which stands in its known values and joint guards."""
    knowns = tuple(replace(k, value=_valued(k.value, reference, label)) for k in piece.knowns)
    own = tuple(guard for guard in piece.guards if isinstance(guard, Guard))
    joint = tuple(_valued(guard, reference, label) for guard in piece.guards if not isinstance(guard, Guard))
    kept = decided((*own, *joint), bound)
    if kept is None:
        return None
    guards = (*kept, Guard(reference, (label.label,)))
    multiplier = None if piece.multiplier is None else _valued(piece.multiplier, reference, label)
    name = f"{piece.name} {reference.name}={label.label}"
    return replace(piece, name=name, knowns=knowns, guards=guards, multiplier=multiplier)


def _valued(expression: Any, reference: VariableRef, label: Label) -> Any:
    changed = rewrite(expression, lambda node: label if node == reference else node)
    return substitute(changed, {})


def decided(guards: Sequence[Expression | Guard], bound: Bound) -> tuple[Expression | Guard, ...] | None:
    """The guards that are still open; None where one fails for certain."""
    kept: list[Expression | Guard] = []
    for guard in guards:
        match guard:
            case Number(value):
                if not value:
                    return None
            case Guard(Label(index_set, label)):
                if not _holds(guard, bound.indexes[index_set], label):
                    return None
            case _:
                kept.append(guard)
    return tuple(kept)


def _holds(guard: Guard, labels: tuple[str, ...], label: str) -> bool:
    match guard.position:
        case "first":
            return label == labels[0]
        case "last":
            return label == labels[-1]
        case "middle":
            return label not in (labels[0], labels[-1])
        case _:
            return (label in guard.labels) != guard.negated


def rebuilt(node: Any, change: Any) -> Any:
    """A dataclass with `change` applied to each of its fields, or a tuple with it applied to each item."""
    if isinstance(node, tuple):
        return tuple(change(item) for item in node)
    if not is_dataclass(node) or isinstance(node, type):
        return node
    return replace(node, **{field.name: change(getattr(node, field.name)) for field in fields(node)})
