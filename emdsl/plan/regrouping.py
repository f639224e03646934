"""Rows put together by the element of a hidden array that they look at.

`latent z[person]` outside the plates, looked at as `z[person]` where `person` is an input of each outermost unit, is a
hidden variable of a plate `person` around these units: given the parameters, units that look at different elements are
independent. Written so, the elements are summed out one by one, however many there are. Where units look at elements
of several arrays, those of the largest are put around them, and the others stay.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdsl.data.bound import Bound, Level, Regrouping, rows_level
from emdsl.ir.derivation import Derivation, Piece
from emdsl.ir.expressions import Binder, BinderRef, Expression, VariableRef, rewrite, walk
from emdsl.ir.model import Map, Model, Plate
from emdsl.plan.copies import with_pieces
from emdsl.plan.evaluation import Evaluator
from emdsl.plan.named import ROW
from emdsl.plan.unrolling import latent_arrays

Codes = NDArray[np.intp]
#: Laws of elements that may be read unit by unit.
_FORMS = ("separable", "rows", "log-sum-exp")


def regrouped(derivation: Derivation, bound: Bound) -> tuple[Derivation, Bound]:
    """The derivation and its data with a plate for the elements of one index set around all others, where units look
    at single elements of hidden arrays over it; else as they are.
    """
    model = derivation.model
    if len(bound.levels) < 2 or model.plates[0].ordered:
        return derivation, bound
    found = [item for axis in _axes(model) if (item := _chosen(axis, derivation, bound)) is not None]
    if not found:
        return derivation, bound
    return _around(derivation, bound, *max(found, key=lambda item: len(bound.indexes[item[0]])))


def _axes(model: Model) -> list[str]:
    """The index sets of hidden arrays outside the plates."""
    outside = (model.variable(name) for name in latent_arrays(model))
    return list(dict.fromkeys(v.axes[0] for v in outside if v.plate is None and len(v.axes) == 1))


def _arrays(axis: str, model: Model) -> frozenset[str]:
    outside = (model.variable(name) for name in latent_arrays(model))
    return frozenset(v.name for v in outside if v.plate is None and v.axes == (axis,))


def _chosen(axis: str, derivation: Derivation, bound: Bound) -> tuple[str, Codes] | None:
    """The element of `axis` that each unit chooses; None where they do not all choose one by the same index."""
    model, names = derivation.model, _arrays(axis, derivation.model)
    found: set[Expression] = set()
    statements: list[Any] = [*derivation.pieces, *derivation.maps, *model.givens]
    for statement in statements:
        own = _own_binder(statement, axis)
        for reference in _references(statement, names):
            if reference.lag or len(reference.indices) != 1:
                return None
            (index,) = reference.indices
            if own is not None and index == BinderRef(own):
                if isinstance(statement, Piece) and statement.form not in _FORMS:
                    return None
                continue
            found.add(index)
    if len(found) != 1:
        return None
    (index,) = found
    codes = _codes(index, model, bound)
    return None if codes is None else (axis, codes)


def _references(statement: Any, names: frozenset[str]) -> Iterator[VariableRef]:
    for node in walk(statement):
        if isinstance(node, VariableRef) and node.name in names:
            yield node


def _own_binder(statement: Any, axis: str) -> Binder | None:
    """The bound index over the elements of a statement outside the plates."""
    if isinstance(statement, Piece | Map) and statement.plate is None and len(statement.elements) == 1:
        (binder,) = statement.elements
        return binder if binder.index_set == axis else None
    return None


def _codes(index: Expression, model: Model, bound: Bound) -> Codes | None:
    """The element that each outermost unit chooses; None where the index is not about these units alone."""
    variables = [node for node in walk(index) if isinstance(node, VariableRef)]
    outermost = bound.levels[1].plate
    if not variables or any(isinstance(node, BinderRef) for node in walk(index)):
        return None
    for node in variables:
        variable = model.variable(node.name)
        if variable.kind == "latent" or variable.plate != outermost or node.lag or variable.axes:
            return None
    code = Evaluator(model, bound, level=1).code(index)
    if code.axes != (ROW,):
        return None
    places = np.broadcast_to(code.array, bound.levels[1].size)
    return np.asarray(places, dtype=np.intp) if (places >= 0).all() else None


# --- the plate --------------------------------------------------------------------------------------------------------


def _around(derivation: Derivation, bound: Bound, axis: str, codes: Codes) -> tuple[Derivation, Bound]:
    model, names = derivation.model, _arrays(axis, derivation.model)
    name = axis if all(plate.name != axis for plate in model.plates) else f"{axis} of {', '.join(sorted(names))}"
    binder = Binder(name, axis)

    def rule(node: Any) -> Any:
        return VariableRef(node.name) if isinstance(node, VariableRef) and node.name in names else node

    def moved(statement: Any) -> Any:
        own = _own_binder(statement, axis)
        if own is None or not any(_references(statement, names)):
            return rewrite(statement, rule)
        here = replace(statement, plate=name, elements=())
        return rewrite(rewrite(here, lambda node: BinderRef(binder) if node == BinderRef(own) else node), rule)

    maps = tuple(moved(item) for item in derivation.maps)
    variables = tuple(replace(v, plate=name, axes=()) if v.name in names else v for v in model.variables)
    plates = (Plate(name, over=binder), replace(model.plates[0], parent=name), *model.plates[1:])
    givens = tuple(rewrite(item, rule) for item in model.givens)
    changed = replace(model, plates=plates, variables=variables, maps=maps, givens=givens)
    parts = {piece.name: (moved(piece),) for piece in derivation.pieces if any(_references(piece, names))}
    found = with_pieces(derivation, parts)
    size = len(bound.indexes[axis])
    return replace(found, model=changed, maps=maps), _sorted(bound, model, name, codes, size)


def _sorted(bound: Bound, model: Model, name: str, codes: Codes, size: int) -> Bound:
    """The data with a level of `size` units around the outermost ones, which are sorted by the one they belong to."""
    levels = [bound.levels[0], Level(name, size, np.zeros(size, dtype=np.intp), np.array([0, size], dtype=np.intp))]
    orders: list[Codes] = [np.zeros(1, dtype=np.intp)]
    parent = codes
    for number, level in enumerate(bound.levels[1:], start=1):
        order = np.argsort(parent, kind="stable")
        starts = np.searchsorted(parent[order], np.arange(levels[-1].size + 1))
        levels.append(Level(level.plate, level.size, parent[order], starts.astype(np.intp)))
        orders.append(order)
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        if number + 1 < len(bound.levels):
            parent = place[bound.levels[number + 1].parent]
    at = {level.plate: order for level, order in zip(bound.levels, orders, strict=True)}
    values = {
        variable: replace(item, array=item.array[..., at[model.variable(variable).plate]])
        for variable, item in bound.values.items()
    }
    rows = at[bound.levels[rows_level(model, bound)].plate]
    return replace(
        bound, levels=tuple(levels), values=values, order=bound.order[rows], regrouping=Regrouping(name, tuple(orders)),
        weights={plate: array[at[plate]] for plate, array in bound.weights.items()},
        units={plate: array[at[plate]] for plate, array in bound.units.items()},
    )  # fmt: skip
