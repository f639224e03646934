"""A derivation fitted to its data before it is planned: what only the data tell changes what is hidden.

Arrays of finite variables are taken apart, cells that leave values open become hidden variables, units that were never
seen come in where the seen ones were chosen, and pieces in which hidden and observed values meet are cut by value. What
comes out is a derivation and data like any other, on which this has no effect.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from emdsl.data.bound import Bound
from emdsl.ir.derivation import Derivation, Piece
from emdsl.ir.expressions import Binder, BinderRef, Label, VariableRef, walk
from emdsl.ir.model import Guard, Model
from emdsl.plan.copies import at_value, with_pieces
from emdsl.plan.elements_apart import with_elements_apart
from emdsl.plan.grids import with_nodes
from emdsl.plan.open_cells import undecided, with_hidden_cells
from emdsl.plan.open_numbers import with_open_numbers
from emdsl.plan.regrouping import regrouped
from emdsl.plan.unrolling import by_element, latent_arrays, unrolled
from emdsl.plan.unseen import chosen_by, with_unseen


def prepared(derivation: Derivation, bound: Bound, *, regroup: bool = True) -> tuple[Derivation, Bound]:
    """The derivation and the data that a program is planned from. `regroup` is for comparing the two plans."""
    derivation, bound = with_nodes(derivation, bound)
    if regroup:
        derivation, bound = regrouped(derivation, bound)
    derivation, bound = unrolled(derivation, bound, taken_apart(derivation, bound))
    derivation = with_elements_apart(derivation, bound)
    derivation, bound = with_unseen(derivation, bound)
    derivation, bound = with_hidden_cells(derivation, bound, undecided(derivation, bound))
    return with_open_numbers(_cut(derivation, bound), bound)


def taken_apart(derivation: Derivation, bound: Bound) -> frozenset[str]:
    """The arrays of which each element becomes a variable of its own, once nodes are laid out."""
    model = derivation.model
    hidden = dict.fromkeys((*latent_arrays(model), *undecided(derivation, bound), *chosen_by(derivation)))
    return by_element(model, hidden)


# --- pieces in which hidden and observed values meet ------------------------------------------------------------------


def _cut(derivation: Derivation, bound: Bound) -> Derivation:
    parts = {}
    for piece in derivation.pieces:
        found = _cuts(piece, derivation.model, bound)
        if found != (piece,):
            parts[piece.name] = found
    return with_pieces(derivation, parts) if parts else derivation


def _cuts(piece: Piece, model: Model, bound: Bound) -> tuple[Piece, ...]:
    """The piece cut until no statistic varies with what is hidden, and no guard over rows does."""
    reference = next(_meeting(piece, model), None)
    if reference is None:
        return (piece,)
    values = model.variable(reference.name).values
    assert values is not None
    labels = (Label(values, label) for label in bound.indexes[values])
    parts = (at_value(piece, reference, label, bound) for label in labels)
    return tuple(cut for part in parts if part is not None for cut in _cuts(part, model, bound))


def _meeting(piece: Piece, model: Model) -> Iterator[VariableRef]:
    """The variables by whose values a piece must be cut."""
    if piece.prior:
        return
    if piece.form == "separable":
        for known in piece.knowns:
            if known.by_row:
                yield from (node for node in _variables(known.value) if model.variable(node.name).kind == "latent")
    constant = all(term.statistic == "1" for term in piece.terms)
    if piece.form == "separable" and constant:
        return  # data in guards are codes there
    for guard in piece.guards:
        if isinstance(guard, Guard):
            continue
        seen = [node for node in _variables(guard) if model.variable(node.name).kind != "latent"]
        if (seen or _across(guard, model)) and any(model.variable(n.name).kind == "latent" for n in _variables(guard)):
            hidden = [node for node in _variables(guard) if model.variable(node.name).kind == "latent"]
            yield from (*seen, *hidden) if not _across(guard, model) else hidden


def _variables(expression: Any) -> list[VariableRef]:
    found = {node for node in walk(expression) if isinstance(node, VariableRef)}
    return sorted(found, key=lambda node: (node.name, node.lag, repr(node.indices)))


def _across(expression: Any, model: Model) -> bool:
    """Whether the element of a plate across columns occurs, which differs by row."""
    binders: set[Binder | None] = {plate.over for plate in model.plates}
    return any(isinstance(node, BinderRef) and node.binder in binders for node in walk(expression))
