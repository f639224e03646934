"""Which layer each node stands in, from the top down, and the bends of edges that pass layers.

Layers by longest paths (Sugiyama, Tagawa & Toda 1981): a node stands below all that its law looks at. Parameters and
constants are at the top, hidden variables outside the plates below them, then the plates; what looks at nothing stands
right above what looks at it. An edge that passes a layer has a bend there, which is placed among the nodes, so that no
edge runs through one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from emdsl.drawing.diagram import Diagram, Edge

#: Kinds of nodes that stand at the top.
TOP = ("parameter", "constant")


@dataclass(frozen=True)
class Item:
    """What has a place in a layer: a node, or (`edge`) a bend of an edge. `box` is the plate that it stands in."""

    name: str
    layer: int
    box: str | None
    edge: Edge | None = None


@dataclass(frozen=True)
class Path:
    """An edge as it runs from item to item, source first; `back`: it leads up or to its own layer, without bends."""

    edge: Edge
    items: tuple[str, ...]
    back: bool = False


@dataclass(frozen=True)
class Layered:
    """A diagram in layers: its items, its paths, and the first and last layer of each box."""

    diagram: Diagram
    items: tuple[Item, ...]
    paths: tuple[Path, ...]
    spans: Mapping[str, tuple[int, int]]

    @property
    def height(self) -> int:
        """The number of layers."""
        return 1 + max((item.layer for item in self.items), default=0)


def layered(diagram: Diagram) -> Layered:
    """The diagram in layers."""
    layers = _layers(diagram)
    spans = _spans(diagram, layers)
    items = [Item(node.name, layers[node.name], node.plate) for node in diagram.nodes]
    paths = []
    for at, edge in enumerate(edge for edge in diagram.edges if edge.source != edge.target):
        first, last = layers[edge.source], layers[edge.target]
        if first >= last:
            paths.append(Path(edge, (edge.source, edge.target), back=True))
            continue
        boxes = (*_around(edge.target, diagram), *_around(edge.source, diagram), None)
        bends = [
            Item(f"bend {at} {layer}", layer, next(b for b in boxes if b is None or _holds(spans[b], layer)), edge)
            for layer in range(first + 1, last)
        ]
        items += bends
        paths.append(Path(edge, (edge.source, *(bend.name for bend in bends), edge.target)))
    return Layered(diagram, tuple(items), tuple(paths), spans)


def _around(name: str, diagram: Diagram) -> tuple[str, ...]:
    """The boxes around a node, innermost first."""
    return tuple(reversed(diagram.around(diagram.node(name).plate)))


def _holds(span: tuple[int, int], layer: int) -> bool:
    return span[0] <= layer <= span[1]


def _spans(diagram: Diagram, layers: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    """The first and last layer of each box, those inside it counted."""
    found: dict[str, tuple[int, int]] = {}
    for box in diagram.boxes:
        own = [layers[node.name] for node in diagram.nodes if box.name in diagram.around(node.plate)]
        found[box.name] = (min(own), max(own)) if own else (max(layers.values(), default=0),) * 2
    return found


def _layers(diagram: Diagram) -> dict[str, int]:
    names = [node.name for node in diagram.nodes]
    steps = _descents(diagram)
    top = {node.name for node in diagram.nodes if node.kind in TOP}
    found = _longest(names, steps, dict.fromkeys(names, 0))
    below = 1 + max((found[name] for name in top), default=-1)
    elements = {box.name for box in diagram.boxes if box.elements}
    outside = {node.name for node in diagram.nodes if node.plate is None or node.plate in elements} - top
    least = {name: 0 if name in top else below for name in names}
    found = _longest(names, steps, least)
    inside = 1 + max((found[name] for name in outside), default=below - 1)
    least |= {name: inside for name in names if name not in top | outside}
    found = _longest(names, steps, least)
    led_to = {edge.target for edge, _ in steps}
    for name in reversed(_in_order(names, steps)):
        targets = [found[edge.target] - length for edge, length in steps if edge.source == name]
        if name not in led_to and targets:
            found[name] = max(least[name], min([*targets, *([below - 1] if name in top else [])]))
    first = min(found.values(), default=0)
    return {name: layer - first for name, layer in found.items()}


def _descents(diagram: Diagram) -> list[tuple[Edge, int]]:
    """The edges that lead down, and by how many layers at least; those that would close a circle are left out.

    An edge to the next unit of a chain passes a layer, where its name is written.
    """
    kept: list[tuple[Edge, int]] = []
    for edge in sorted(diagram.edges, key=lambda e: e.lag > 0):
        if edge.source != edge.target and not edge.together and not _leads(edge.target, edge.source, kept):
            kept.append((edge, 2 if edge.lag else 1))
    return kept


def _leads(source: str, target: str, steps: Sequence[tuple[Edge, int]]) -> bool:
    """Whether a path leads from one node to the other."""
    seen, front = {source}, [source]
    while front:
        name = front.pop()
        following = {edge.target for edge, _ in steps if edge.source == name} - seen
        seen |= following
        front += sorted(following)
    return target in seen


def _in_order(names: Iterable[str], steps: Sequence[tuple[Edge, int]]) -> list[str]:
    """The names, each behind all that lead to it."""
    left, order = list(names), []
    while left:
        free = [name for name in left if not any(e.target == name and e.source in left for e, _ in steps)]
        order += free
        left = [name for name in left if name not in free]
    return order


def _longest(names: Sequence[str], steps: Sequence[tuple[Edge, int]], least: Mapping[str, int]) -> dict[str, int]:
    found = dict(least)
    for name in _in_order(names, steps):
        for edge, length in steps:
            if edge.source == name:
                found[edge.target] = max(found[edge.target], found[name] + length)
    return found
