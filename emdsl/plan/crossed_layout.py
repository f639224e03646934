"""The order of hidden numbers that are tied across units: which group is eliminated first, and what is left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdsl.data.bound import Bound
from emdsl.diagnostics.errors import EmmError
from emdsl.ir.expressions import BinderRef, VariableRef, walk
from emdsl.ir.model import Model
from emdsl.plan.binding import PieceBinder
from emdsl.plan.crossing import ancestors
from emdsl.plan.layout import BoundPiece
from emdsl.runtime.integrals.components import Components
from emdsl.runtime.integrals.crossed_system import Numbering
from emdsl.runtime.integrals.inner_blocks import ChainShape

Codes = NDArray[np.intp]
#: Hidden numbers of one component of what is left for dense systems, and numbers of all these systems together.
MOST_DENSE, MOST_NUMBERS = 4_000, 50_000_000


@dataclass(frozen=True)
class Layout:
    """Where the hidden numbers of each variable stand: `first` place, `unit` and `element` strides, element shape.

    `home` is the level whose units they are tied within, `units` how many that has, `owner` `(numbers,)` the one that
    each number belongs to.
    """

    first: dict[str, int]
    unit: dict[str, int]
    element: dict[str, int]
    shapes: dict[str, tuple[int, ...]]
    numbering: Numbering
    home: int
    units: int
    owner: Codes

    def place(self, name: str, unit: Any, element: Any) -> Codes:
        """The places of one element (by its number) of some units."""
        return np.asarray(self.first[name] + self.unit[name] * unit + self.element[name] * element, dtype=np.intp)


@dataclass(frozen=True)
class Group:
    """Hidden numbers whose units may be eliminated one by one: those of a plate, or of an array outside the plates of
    which no law looks at two elements, or at two of its vectors of `width` numbers. `lag`: how far back laws look along
    the chain of the plate.
    """

    names: tuple[str, ...]
    plate: str | None
    units: int
    lag: int = 0
    width: int = 1


def home_of(latents: Sequence[str], lag: int, model: Model, bound: Bound) -> int:
    """The level within whose units hidden numbers are tied: that of the outermost of their plates, or around it where
    it is a chain; the whole where one is outside the plates.
    """
    level = {item.plate: number for number, item in enumerate(bound.levels)}
    outermost = min(level[model.variable(name).plate] for name in latents)
    plate = bound.levels[outermost].plate
    chain = bool(lag) and any(item.name == plate and item.ordered for item in model.plates)
    return max(outermost - 1, 0) if chain else outermost


def crossed_layouts(
    latents: Sequence[str], pieces: Sequence[BoundPiece], home: int, binder: PieceBinder
) -> Iterator[Layout]:
    """Possible orders of all hidden numbers, tied within the units of level `home`; that which eliminates the largest
    group comes first.
    """
    model, bound = binder.model, binder.bound
    shapes = {name: tuple(len(bound.indexes[axis]) for axis in model.variable(name).axes) for name in latents}
    groups = sorted(_groups(latents, pieces, shapes, model, bound), key=lambda group: -group.units)
    for group in groups or [Group((), None, 0)]:
        yield _ordered(latents, group, shapes, home, model, bound)


def _groups(
    latents: Sequence[str], pieces: Sequence[BoundPiece], shapes: Mapping[str, tuple[int, ...]], model: Model,
    bound: Bound,
) -> Iterator[Group]:  # fmt: skip
    sizes = {level.plate: level.size for level in bound.levels}
    for plate in dict.fromkeys(model.variable(name).plate for name in latents):
        names = tuple(name for name in latents if model.variable(name).plate == plate)
        if plate is not None:
            back = [node.lag for item in pieces for node in _looked_at(item) if node.name in names]
            yield Group(names, plate, sizes[plate], max(back, default=0))
            continue
        for name in names:
            count, width = int(np.prod(shapes[name])), shapes[name][-1] if shapes[name] else 1
            if count > 1 and not any(_several(name, item) for item in pieces):
                yield Group((name,), None, count)
            elif len(shapes[name]) > 1 and not any(_several_vectors(name, item) for item in pieces):
                yield Group((name,), None, count // width, width=width)


def _looked_at(item: BoundPiece) -> Iterator[VariableRef]:
    piece = item.piece
    parts = (piece.knowns, tuple(atom.terms for atom in piece.atoms), piece.guards, piece.vector)
    return (node for node in walk(parts) if isinstance(node, VariableRef))


def _several(name: str, item: BoundPiece) -> bool:
    """Whether a law looks at two elements of an array."""
    piece = item.piece
    if piece.vector is not None and piece.vector.variable.name == name:
        return True
    seen = {node for node in _looked_at(item) if node.name == name}
    if len(seen) > 1:
        return True
    own = set(piece.elements)
    return any(
        isinstance(node, BinderRef) and node.binder not in own for reference in seen for node in walk(reference.indices)
    )


def _several_vectors(name: str, item: BoundPiece) -> bool:
    """Whether a law looks at two vectors of an array of them."""
    piece = item.piece
    seen = {node.indices[: len(node.indices) - 1] for node in _looked_at(item) if node.name == name}
    if piece.vector is not None and piece.vector.variable.name == name:
        return False
    bound = any(isinstance(node, BinderRef) for indices in seen for node in walk(indices))
    return len(seen) > 1 or bound or () in seen


def _ordered(
    latents: Sequence[str], group: Group, shapes: dict[str, tuple[int, ...]], home: int, model: Model, bound: Bound
) -> Layout:
    counts = {name: int(np.prod(shapes[name])) for name in latents}
    level = {item.plate: number for number, item in enumerate(bound.levels)}
    by_plate = group.plate is not None
    width = sum(counts[name] for name in group.names) if by_plate else group.width
    inner = group.units * width
    first, unit, element = {}, {}, {}
    at = 0
    for name in group.names:
        first[name], unit[name], element[name] = at, width if by_plate else 0, 1
        at += counts[name]
    at = inner
    for name in latents:
        if name not in group.names:
            first[name], unit[name], element[name] = at, counts[name], 1
            at += counts[name] * bound.levels[level[model.variable(name).plate]].size
    owner = np.empty(at, dtype=np.intp)
    for name in latents:
        own = level[model.variable(name).plate]
        places = first[name] + unit[name] * np.arange(bound.levels[own].size)[:, None] + np.arange(counts[name])
        owner[places] = ancestors(bound, own, home)[:, None]
    chains = None
    if group.lag:
        starts = np.ascontiguousarray(bound.levels[level[group.plate]].starts)
        chains = ChainShape(starts, width, group.lag, at - inner, np.zeros(0, dtype=np.intp))
    numbering = Numbering(group.units, max(width, 1), at - inner, None, chains)
    return Layout(first, unit, element, shapes, numbering, home, bound.levels[home].size, owner)


def check_weights(latents: Sequence[str], home: int, model: Model, bound: Bound) -> None:
    """Raises `weighted-crossing` where a unit that counts several times holds hidden numbers that are tied to others:
    there would be several of each.
    """
    level = {item.plate: number for number, item in enumerate(bound.levels)}
    for name in latents:
        for item in bound.levels[home + 1 : level[model.variable(name).plate] + 1]:
            if item.plate in bound.weights:
                raise EmmError(
                    "weighted-crossing",
                    f"the units of `{item.plate}` are weighted, and their hidden `{name}` is tied to that of other "
                    "units: it cannot be integrated out several times",
                    help="repeat the rows of a unit that counts several times, as units of their own",
                )


# --- what the rows tie ------------------------------------------------------------------------------------------------


def tied(layout: Layout, looks: Sequence[Sequence[Codes]]) -> Layout:
    """The layout with what the rows tie: `looks` are, for each piece, the places that its rows look at together."""
    number = layout.numbering
    chains = number.chains
    unit_of = np.arange(number.inner) // number.width if chains is None else chains.chain
    groups = int(unit_of.max(initial=-1)) + 1
    keys: list[Codes] = [np.zeros(0, dtype=np.intp)]
    edges: list[tuple[Codes, Codes]] = []
    for places in looks:
        for one, other in combinations(places, 2):
            first, second = np.minimum(one, other), np.maximum(one, other)
            across = (first < number.inner) & (second >= number.inner)
            keys.append(np.unique(unit_of[first[across]] * number.rest + second[across] - number.inner))
            both = first >= number.inner
            edges.append((first[both] - number.inner, second[both] - number.inner))
    pairs = np.unique(np.concatenate(keys))
    components = Components(_components(number.rest, groups, pairs, edges))
    if chains is not None:
        chains = replace(chains, keys=pairs)
    return replace(layout, numbering=replace(number, components=components, chains=chains))


def _components(rest: int, groups: int, pairs: Codes, edges: Sequence[tuple[Codes, Codes]]) -> Codes:
    """The component of each of the numbers that are not eliminated: tied by a row, or by a group that they share."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    if not rest:
        return np.zeros(0, dtype=np.intp)
    rows = np.concatenate([rest + pairs // rest, *(first for first, _ in edges)])
    columns = np.concatenate([pairs % rest, *(second for _, second in edges)])
    graph = coo_matrix((np.ones(len(rows)), (rows, columns)), shape=(rest + groups, rest + groups))
    label = connected_components(graph, directed=False)[1][:rest]
    return np.unique(label, return_inverse=True)[1].astype(np.intp)


def fits(layout: Layout) -> bool:
    """Whether what is left is small enough for dense systems."""
    parts = layout.numbering.parts
    return parts.largest <= MOST_DENSE and parts.flat_size <= MOST_NUMBERS


def check_fits(layout: Layout, latents: Sequence[str]) -> None:
    """Raises `too-large` where what is left is too large for dense systems."""
    if not fits(layout):
        names = ", ".join(f"`{name}`" for name in latents)
        raise EmmError(
            "too-large",
            f"the hidden numbers {names} leave a dense system of {layout.numbering.parts.largest:,} once the largest "
            f"group is eliminated; at most {MOST_DENSE:,} are allowed",
            help="let fewer groups of effects cross each other",
        )
