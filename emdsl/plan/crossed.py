"""Integrals across the whole data set: where each law finds its hidden numbers, and which group is eliminated first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emdsl.diagnostics.errors import EmmError
from emdsl.ir.expressions import BinderRef, VariableRef, walk
from emdsl.ir.latents import continuous_latents
from emdsl.ir.open_cells import without_cells
from emdsl.plan.binding import PieceBinder
from emdsl.plan.evaluation import Evaluator
from emdsl.plan.latent_pieces import LatentPiece
from emdsl.plan.layout import BoundPiece
from emdsl.plan.named import ROW, Named
from emdsl.runtime.integrals.crossed_ties import CrossedTies, Numbering
from emdsl.runtime.integrals.points import PointWeights
from emdsl.runtime.pieces import PieceData
from emdsl.runtime.problem import Array, Theta

Codes = NDArray[np.intp]
#: Hidden numbers that may be left for the dense system.
MOST_DENSE = 4_000
#: Stands in a site for every element at once.
EACH = "each"


class Place(NamedTuple):
    """A hidden number of a piece as `Site`, with its place in the row of all of them for each row of the piece.

    The element may be chosen by data (the reference itself) or be each in its turn (EACH).
    """

    name: str
    element: Any
    lag: int
    places: Codes


@dataclass(frozen=True)
class Layout:
    """Where the hidden numbers of each variable stand: `first` place, `unit` and `element` strides, element shape."""

    first: dict[str, int]
    unit: dict[str, int]
    element: dict[str, int]
    shapes: dict[str, tuple[int, ...]]
    numbering: Numbering

    def place(self, name: str, unit: Any, element: Any) -> Codes:
        """The places of one element (by its number) of some units."""
        return np.asarray(self.first[name] + self.unit[name] * unit + self.element[name] * element, dtype=np.intp)


def crossed_layout(latents: Sequence[str], pieces: Sequence[BoundPiece], binder: PieceBinder) -> Layout:
    """The order of all hidden numbers: those of the largest group whose units are not tied to each other come first.

    A group is a plate, whose variables make one block a unit, or an array outside plates of which no law looks at two
    elements.
    """
    model, bound = binder.model, binder.bound
    sizes = {level.plate: level.size for level in bound.levels}
    shapes = {name: tuple(len(bound.indexes[axis]) for axis in model.variable(name).axes) for name in latents}
    counts = {name: int(np.prod(shapes[name])) for name in latents}
    groups: dict[Any, list[str]] = {}
    for name in latents:
        plate = model.variable(name).plate
        if plate is not None:
            groups.setdefault(("plate", plate), []).append(name)
        elif counts[name] > 1 and not any(_several(name, item) for item in pieces):
            groups[("array", name)] = [name]
    units = {key: sizes[key[1]] if key[0] == "plate" else counts[key[1]] for key in groups}
    chosen = max(groups, key=lambda key: units[key], default=None)
    inner = groups[chosen] if chosen is not None else []
    by_plate = chosen is not None and chosen[0] == "plate"
    width = sum(counts[name] for name in inner) if by_plate else 1
    first, unit, element = {}, {}, {}
    at = 0
    for name in inner:
        first[name], unit[name], element[name] = at, width if by_plate else 0, 1
        at += counts[name]
    inner_size = 0 if chosen is None else units[chosen] * width
    at = inner_size
    for name in latents:
        if name not in inner:
            plate_size = sizes[model.variable(name).plate]
            first[name], unit[name], element[name] = at, counts[name], 1
            at += counts[name] * plate_size
    _check(at - inner_size, latents)
    numbering = Numbering(0 if chosen is None else units[chosen], max(width, 1), at - inner_size)
    return Layout(first, unit, element, shapes, numbering)


def _check(rest: int, latents: Sequence[str]) -> None:
    if rest > MOST_DENSE:
        names = ", ".join(f"`{without_cells(name)}`" for name in latents)
        raise EmmError(
            "too-large",
            f"the hidden numbers {names} leave a dense system of {rest:,} once the largest group is eliminated; at "
            f"most {MOST_DENSE:,} are allowed",
            help="let fewer groups of effects cross each other",
        )


def _several(name: str, item: BoundPiece) -> bool:
    """Whether a law looks at two elements of an array."""
    piece = item.piece
    if piece.vector is not None and piece.vector.variable.name == name:
        return True
    looked = (piece.knowns, tuple(atom.terms for atom in piece.atoms))
    seen = {node for node in walk(looked) if isinstance(node, VariableRef) and node.name == name}
    if len(seen) > 1:
        return True
    own = set(piece.elements)
    return any(
        isinstance(node, BinderRef) and node.binder not in own for reference in seen for node in walk(reference.indices)
    )


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
        name = reference.name
        if reference.lag:
            said = f"`{name}` is a chain that is tied to other plates, which has no plan yet"
            raise EmmError("not-supported-yet", said)
        unit = _unit_of_row(model.variable(name).plate, item.level, bound, rows)
        chosen = _chosen(reference, item, evaluator, layout.shapes[name])
        if chosen is None:
            for number, element in enumerate(product(*(range(size) for size in layout.shapes[name]))):
                found[name, element] = Place(name, element, 0, layout.place(name, unit, number))
        elif isinstance(chosen, str):
            every = np.arange(int(np.prod(layout.shapes[name])))
            found[name, EACH] = Place(name, EACH, 0, layout.place(name, 0, every))
        else:
            found[reference] = Place(name, reference, 0, layout.place(name, unit, chosen))
    return tuple(found.values())


def _unit_of_row(plate: str | None, level: int, bound: Any, rows: int) -> Codes:
    own = next(number for number, item in enumerate(bound.levels) if item.plate == plate)
    unit = np.arange(rows)
    for number in range(level, own, -1):
        unit = bound.levels[number].parent[unit]
    return np.asarray(unit, dtype=np.intp)


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
        said = f"`{reference.name}` is looked at by data and by element, which has no plan yet"
        raise EmmError("not-supported-yet", said)
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
        return self.binder.at(self.bound, {(site[0], 0): Named(axes, array)})

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


def crossed_ties(layout: Layout) -> CrossedTies:
    """The system of all hidden numbers."""
    places: Callable[[Place], Codes] = lambda site: site.places  # noqa: E731
    return CrossedTies(layout.numbering, places)
