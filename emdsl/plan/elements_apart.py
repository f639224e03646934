"""Laws that look at hidden numbers outside the plates by data and by element, `u[subject, item]`: one for each element.

Data choose one of the two indices row by row and the law runs over the other, so that each element has hidden numbers
of its own in every row.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Any

from emdsl.data.bound import Bound
from emdsl.ir.arrays import substitute
from emdsl.ir.derivation import Derivation, Design, Piece
from emdsl.ir.expressions import Binder, BinderRef, Label, VariableRef, walk
from emdsl.ir.latents import continuous_latents
from emdsl.ir.model import Model
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


def _summed(piece: Piece, sums: set[Binder], bound: Bound) -> Piece:
    """The piece with these sums of its predictors written out."""

    def designs(term: Design) -> Iterator[Design]:
        binders = tuple(binder for binder in term.over if binder in sums)
        for chosen in _chosen(binders, bound):
            part: Any = substitute(term, chosen) if chosen else term
            yield replace(part, over=tuple(binder for binder in term.over if binder not in chosen))

    atoms = tuple(replace(a, terms=tuple(part for term in a.terms for part in designs(term))) for a in piece.atoms)
    return replace(piece, atoms=atoms)
