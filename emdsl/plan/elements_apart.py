"""Laws that look at hidden numbers outside the plates by data and by element, `u[subject, item]`: one for each element.

Data choose one of the two indices row by row and the law runs over the other, so that each element has hidden numbers
of its own in every row. In a law of vectors it is the terms of the mean that are written out, each for one column.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Any

from emdsl.data.bound import Bound
from emdsl.ir.arrays import element, substitute
from emdsl.ir.derivation import Derivation, Design, Piece, Vector
from emdsl.ir.expressions import (
    Arm,
    Binder,
    BinderRef,
    Choose,
    Label,
    LabelPattern,
    Tabulate,
    VariableRef,
    walk,
)
from emdsl.ir.latents import continuous_latents
from emdsl.ir.model import Guard, Model
from emdsl.plan.copies import at_elements, with_pieces


def with_elements_apart(derivation: Derivation, bound: Bound) -> Derivation:
    """The derivation with such pieces, and such sums of predictors, written out by element."""
    model = derivation.model
    parts = {}
    for piece in derivation.pieces:
        chosen = [
            reference
            for reference in continuous_latents((piece.atoms, piece.knowns, piece.guards), model)
            if _by_data(reference, model)
        ]
        binders = [binder for binder in piece.elements if _of(chosen, binder)]
        sums = {b for atom in piece.atoms for term in atom.terms for b in term.over if _of(chosen, b)}
        if binders or sums:
            parts[piece.name] = tuple(_apart(_summed(piece, sums, bound), tuple(binders), bound))
        elif piece.vector is not None and piece.vector.mean_parts:
            vector = _columns_apart(piece.vector, model, bound)
            if vector != piece.vector:
                parts[piece.name] = (replace(piece, vector=vector),)
    return with_pieces(derivation, parts) if parts else derivation


def _by_data(reference: VariableRef, model: Model) -> bool:
    across = {plate.over for plate in model.plates if plate.over is not None}
    return model.variable(reference.name).plate is None and any(
        isinstance(node, VariableRef) or (isinstance(node, BinderRef) and node.binder in across)
        for node in walk(reference.indices)
    )


def _of(references: list[VariableRef], binder: Binder) -> bool:
    return any(BinderRef(binder) in walk(reference.indices) for reference in references)


def _chosen(binders: tuple[Binder, ...], bound: Bound) -> Iterator[dict[Binder, Label]]:
    for labels in product(*(bound.indexes[binder.index_set] for binder in binders)):
        yield {binder: Label(binder.index_set, label) for binder, label in zip(binders, labels, strict=True)}


def _apart(piece: Piece, binders: tuple[Binder, ...], bound: Bound) -> Iterator[Piece]:
    if not binders:
        yield piece
        return
    for chosen in _chosen(binders, bound):
        part = at_elements(piece, chosen, bound)
        if part is not None:
            yield part


def _columns_apart(vector: Vector, model: Model, bound: Bound) -> Vector:
    """The law with the terms of its mean that look at hidden numbers by data and by element written out: each copy
    counts in one element alone.
    """
    terms: list[Piece] = []
    for part in vector.mean_parts:
        chosen = [r for r in continuous_latents((part.atoms, part.knowns), model) if _by_data(r, model)]
        sums = {b for atom in part.atoms for term in atom.terms for b in term.over if _of(chosen, b)}
        binders = tuple(binder for binder in part.elements if _of(chosen, binder))
        whole = _summed(part, sums, bound)
        for labels in _chosen(binders, bound) if binders else ():
            own: Piece = substitute(replace(whole, elements=()), labels)
            here = tuple(Guard(BinderRef(binder), (label.label,)) for binder, label in labels.items())
            terms.append(replace(own, elements=part.elements, guards=(*own.guards, *here)))
        if not binders:
            terms.append(whole)
    if tuple(terms) == vector.mean_parts:
        return vector
    row = vector.mean_parts[0].elements[0]
    column = element(vector.mean, (BinderRef(row),))
    arms = tuple(
        Arm(((LabelPattern((label.label,)),),), substitute(column, {row: label}))
        for labels in _chosen((row,), bound) for label in labels.values()
    )  # fmt: skip
    return replace(vector, mean=Tabulate((row,), Choose((BinderRef(row),), arms)), mean_parts=tuple(terms))


def _summed(piece: Piece, sums: set[Binder], bound: Bound) -> Piece:
    """The piece with these sums of its predictors written out."""

    def designs(term: Design) -> Iterator[Design]:
        binders = tuple(binder for binder in term.over if binder in sums)
        for chosen in _chosen(binders, bound):
            part: Any = substitute(term, chosen) if chosen else term
            yield replace(part, over=tuple(binder for binder in term.over if binder not in chosen))

    atoms = tuple(replace(a, terms=tuple(part for term in a.terms for part in designs(term))) for a in piece.atoms)
    return replace(piece, atoms=atoms)
