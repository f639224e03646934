"""Integrals across units: where each law finds its hidden numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from emdsl.data.bound import Bound
from emdsl.diagnostics.errors import EmmError
from emdsl.ir.expressions import BinderRef, VariableRef
from emdsl.ir.latents import continuous_latents
from emdsl.plan.binding import PieceBinder
from emdsl.plan.crossed_layout import Codes, Layout
from emdsl.plan.crossing import ancestors
from emdsl.plan.evaluation import Evaluator
from emdsl.plan.latent_pieces import LatentPiece
from emdsl.plan.layout import BoundPiece
from emdsl.plan.named import ROW, Named
from emdsl.runtime.integrals.crossed_ties import CrossedTies
from emdsl.runtime.integrals.points import PointWeights
from emdsl.runtime.pieces import PieceData
from emdsl.runtime.problem import Array, Theta

#: Stands in a site for every element at once.
EACH = "each"


class Place(NamedTuple):
    """A hidden number of a piece as `Site`, with its place in the row of all of them for each row of the piece.

    The element may be chosen by data (the reference itself) or be each in its turn (EACH), of a vector for each of its
    numbers.
    """

    name: str
    element: Any
    lag: int
    places: Codes


def crossed_sites(item: BoundPiece, binder: PieceBinder, layout: Layout) -> tuple[Place, ...]:
    """What a piece looks at, row by row."""
    bound, model = binder.bound, binder.model
    rows = bound.levels[item.level].size
    piece = item.piece
    parts: tuple[Any, ...] = (piece.knowns, tuple(atom.terms for atom in piece.atoms), piece.guards)
    if piece.vector is not None:
        parts = (*parts, piece.vector)
    evaluator = Evaluator(model, bound, level=item.level)
    found: dict[Any, Place] = {}
    for reference in continuous_latents(parts, model):
        name, lag = reference.name, reference.lag
        if _is_own_vector(reference, item):
            size = layout.shapes[name][-1]
            units = np.arange(int(np.prod(layout.shapes[name][:-1])))
            for k in range(size):
                found[name, EACH, k] = Place(name, EACH, 0, layout.place(name, 0, units * size + k))
            continue
        unit = _unit_of_row(model.variable(name).plate, lag, item.level, bound, rows)
        chosen = _chosen(reference, item, evaluator, layout.shapes[name])
        if chosen is None:
            for number, element in enumerate(product(*(range(size) for size in layout.shapes[name]))):
                found[name, element, lag] = Place(name, element, lag, layout.place(name, unit, number))
        elif isinstance(chosen, str):
            every = np.arange(int(np.prod(layout.shapes[name])))
            found[name, EACH, 0] = Place(name, EACH, 0, layout.place(name, 0, every))
        else:
            found[reference] = Place(name, reference, lag, layout.place(name, unit, chosen))
    return tuple(found.values())


def _is_own_vector(reference: VariableRef, item: BoundPiece) -> bool:
    """Whether it is what an array of vectors outside the plates has the law of: the vector, or its current element."""
    vector = item.piece.vector
    if vector is None or item.level or not vector.variable.indices or reference.name != vector.variable.name:
        return False
    return reference.indices[: len(vector.variable.indices)] == vector.variable.indices


def _unit_of_row(plate: str | None, lag: int, level: int, bound: Bound, rows: int) -> Codes:
    """The unit whose number a row looks at; before a chain began stands what comes first (nothing is said of it)."""
    own = bound.level_of(plate)
    unit = ancestors(bound, level, own)
    if not lag:
        return np.asarray(np.broadcast_to(unit, rows), dtype=np.intp)
    chain = bound.levels[own]
    return np.asarray(np.maximum(unit - lag, chain.starts[chain.parent[unit]]), dtype=np.intp)


def _chosen(reference: VariableRef, item: BoundPiece, evaluator: Evaluator, shape: tuple[int, ...]) -> Any:
    """The number of the element that data choose for each row; EACH for the current element of the piece; None where
    all elements of the variable are looked at.
    """
    if not reference.indices or len(reference.indices) < len(shape):
        return None
    own = tuple(BinderRef(binder) for binder in item.piece.elements)
    if item.level == 0 and reference.indices == own:
        return EACH
    codes = [evaluator.code(index) for index in reference.indices]
    if not any(ROW in code.axes for code in codes):
        return None
    if any(set(code.axes) - {ROW} for code in codes):
        raise EmmError("internal", f"elements of `{reference.name}` that data choose are taken one by one")
    full = np.broadcast_arrays(*(code.aligned((ROW,)) for code in codes))
    return np.ravel_multi_index(tuple(full), shape)


@dataclass(frozen=True)
class EachPiece(LatentPiece):
    """The law of an array outside plates, each element by itself: its elements take the place of rows."""

    def at(self, values: Array) -> PieceData:
        """The piece's data with `values` `(1, *cells, points, elements)` of the hidden numbers in place."""
        (site,) = self.sites
        shape = tuple(self.bound.axes.sizes[binder.name] for binder in self.bound.piece.elements)
        moved = np.moveaxis(values[0], -1, 0)
        array = moved.reshape(*shape, *moved.shape[1:], 1)
        axes = (*(f"?{k}" for k in range(len(shape))), *self.bound.axes.hidden, ROW)
        return self.binder.at(self.bound, {(site[0], 0): Named(axes, array)}, values.shape[-2])

    def log_density(self, theta: Theta, v: Array, values: Array) -> Array:
        """`(*cells, points, elements)`."""
        data = self.at(values)
        full = np.broadcast_to(self.density(theta, v, data), (*data.cells, 1))
        if data.outside is not None:
            full = np.where(data.outside[..., None], 0.0, full)
        return np.array(full.reshape(*data.hidden, -1))

    def statistics(self, values: Array, weights: Array) -> PointWeights:
        """Points of every element at once: the law is a sum over them."""
        data = self.at(values)
        return PointWeights(np.broadcast_to(weights[..., :1], (*data.hidden, 1)), data)


def crossed_ties(layout: Layout, cells: tuple[int, ...]) -> CrossedTies:
    """The system of all hidden numbers, in each cell of the finite hidden variables around them."""
    places: Callable[[Place], Codes] = lambda site: site.places  # noqa: E731
    owner = layout.owner if layout.units > 1 else None
    return CrossedTies(layout.numbering, places, cells, owner, layout.units)
