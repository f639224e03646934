"""Where everything stands, in pixels: layers downwards, and from left to right as close to its neighbours as fits.

What may not overlap is kept apart by differences, `right - left >= distance`, along the order of `order`. Items are
pulled to their neighbours and differences restored, in turns (position-based dynamics: Müller, Heidelberger, Hennix &
Ratcliff 2007); at the end every difference holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from emdsl.drawing.diagram import Box, Node
from emdsl.drawing.layers import Item, Layered
from emdsl.drawing.lettering import CAPTION_SIZE, INDEX_SIZE, NAME_SIZE, letters, width
from emdsl.drawing.order import Order, flat, ordered, segments

RADIUS = 21.0  #: of a circle
DOT, SQUARE = 4.0, 6.0  #: half the size of a parameter's dot, of an input's square
_BETWEEN = 16.0  # two things beside each other
_LAYER = 44.0  # what two layers are apart, besides what stands in them
_PADDING = 13.0  # a plate around what it holds
_CAPTION = 20.0  # a plate's lower edge below what it holds
_MARGIN = 14.0
LOOP = 25.0  #: how far the arrow of a chain to itself leads out
BOW = 34.0  #: how far to the left an arrow leads that goes up
_TURNS = 300
PREVIOUS = "previous"


@dataclass(frozen=True)
class Extent:
    """How far something reaches from its centre, in pixels."""

    left: float
    right: float
    up: float
    down: float


@dataclass(frozen=True)
class Rectangle:
    """Its edges."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True)
class Placed:
    """A picture: the centres of its items, how far they reach, the rectangles of its boxes, and its size."""

    picture: Layered
    centres: Mapping[str, tuple[float, float]]
    extents: Mapping[str, Extent]
    boxes: Mapping[str, Rectangle]
    width: float
    height: float


def half_width(node: Node) -> float:
    """Half the width of a node's shape: a circle, or an ellipse around a longer name."""
    match node.kind:
        case "parameter":
            return DOT
        case "constant" | "input" | "law":
            return SQUARE
        case "condition":
            return max(RADIUS, letters(node).width / 2 + 22)
        case _:
            return max(RADIUS, letters(node).width / 2 + 11)


def is_named_beside(node: Node) -> bool:
    """Whether its name stands beside it, being too small to hold it."""
    return node.kind in ("parameter", "constant", "input", "law")


def placed(picture: Layered) -> Placed:
    """Everything in its place."""
    order = ordered(picture)
    extents = {item.name: _extent(item, picture) for item in picture.items}
    across = _Across(picture, order, extents)
    x, left, right = across.solved()
    rows = _rows(picture, extents)
    shift = _MARGIN - min([*left.values(), *(x[name] - extents[name].left for name in x)], default=0.0)
    ends = [*right.values(), *(x[name] + extents[name].right for name in x)]
    boxes = {
        name: Rectangle(left[name] + shift, *_vertical(name, picture, extents, rows, right[name] + shift))
        for name in left
    }  # fmt: skip
    bottoms = [box.bottom for box in boxes.values()]
    bottoms += [rows[item.layer] + extents[item.name].down for item in picture.items]
    centres = {item.name: (x[item.name] + shift, rows[item.layer]) for item in picture.items}
    wide = max(ends, default=0.0) + shift + _MARGIN
    return Placed(picture, centres, extents, boxes, wide, max(bottoms, default=0.0) + _MARGIN)


def _extent(item: Item, picture: Layered) -> Extent:
    """How far an item reaches, its name and the arrow to itself counted."""
    diagram = picture.diagram
    if item.edge is not None:
        half = width(PREVIOUS, CAPTION_SIZE) / 2 if item.edge.lag and _is_middle(item, picture) else 2.0
        return Extent(half, half, 8.0, 8.0)
    node = diagram.node(item.name)
    half, text = half_width(node), letters(node).width
    if any(path.back and not path.edge.together and node.name in path.items for path in picture.paths):
        room = BOW + width(PREVIOUS, CAPTION_SIZE) / 2
        return Extent(room, half, RADIUS, RADIUS)
    if not is_named_beside(node):
        right = half + (LOOP + width(_lagged(node, picture), CAPTION_SIZE) if _lagged(node, picture) else 0.0)
        return Extent(half, right, RADIUS, RADIUS)
    if diagram.parents(node.name):
        return Extent(half, half + 5 + text, NAME_SIZE * 0.7, NAME_SIZE * 0.7)
    return Extent(max(half, text / 2), max(half, text / 2), half + NAME_SIZE + INDEX_SIZE * 0.7, half)


def _lagged(node: Node, picture: Layered) -> str:
    """What is written at the arrow of a node to itself; "" where there is none."""
    lags = [edge.lag for edge in picture.diagram.edges if edge.source == edge.target == node.name]
    return max(map(lag_text, lags), key=len, default="")


def lag_text(lag: int) -> str:
    """How far back an arrow comes from."""
    return PREVIOUS if lag == 1 else f"{lag} before"


def _is_middle(item: Item, picture: Layered) -> bool:
    """Whether this bend is the one at which the edge's name is written."""
    (path,) = (path for path in picture.paths if item.name in path.items)
    return path.items[len(path.items) // 2] == item.name


def _rows(picture: Layered, extents: Mapping[str, Extent]) -> list[float]:
    """The centre of each layer, downwards; plates that begin or end between two layers take their room."""
    rows, bottom = [], _MARGIN
    for layer in range(picture.height):
        own = [extents[item.name] for item in picture.items if item.layer == layer]
        above = _deepest(picture, layer, 0) * _PADDING
        rows.append(bottom + above + max((extent.up for extent in own), default=0.0))
        bottom = rows[-1] + max((extent.down for extent in own), default=0.0) + _LAYER
        bottom += _deepest(picture, layer, 1) * _CAPTION
    return rows


def _deepest(picture: Layered, layer: int, end: int) -> int:
    """How many boxes around each other begin (`end` 0) or end (1) at a layer."""
    boxes = [box for box in picture.diagram.boxes if picture.spans[box.name][end] == layer]
    return max((_depth(box, boxes) for box in boxes), default=0)


def _depth(box: Box, among: list[Box]) -> int:
    return 1 + max((_depth(inner, among) for inner in among if inner.parent == box.name), default=0)


def _vertical(
    name: str, picture: Layered, extents: Mapping[str, Extent], rows: list[float], right: float
) -> tuple[float, float, float]:
    """The top edge of a box, the right one as given, and the bottom edge."""
    first, last = picture.spans[name]
    inside = [box for box in picture.diagram.boxes if name in picture.diagram.around(box.name)]
    above = _depth(picture.diagram.box(name), [box for box in inside if picture.spans[box.name][0] == first])
    below = _depth(picture.diagram.box(name), [box for box in inside if picture.spans[box.name][1] == last])
    up = max((extents[item.name].up for item in picture.items if item.layer == first), default=0.0)
    down = max((extents[item.name].down for item in picture.items if item.layer == last), default=0.0)
    return rows[first] - up - above * _PADDING, right, rows[last] + down + below * _CAPTION


class _Across:
    """From left to right: the unknowns are the items' centres and the edges of boxes, `("left", box)` and so on."""

    def __init__(self, picture: Layered, order: Order, extents: Mapping[str, Extent]) -> None:
        self.picture, self.order, self.extents = picture, order, extents
        self.layer = {item.name: item.layer for item in picture.items}
        self.differences = list(self.apart())
        self.names = self.sorted_names()
        self.pulls = list(segments(picture))

    def span(self, name: str) -> tuple[int, int]:
        return self.picture.spans[name] if name in self.order else (self.layer[name],) * 2

    def apart(self) -> Iterator[tuple[str, str, float]]:
        """`(a, b, d)`: b is at least d to the right of a."""
        for box, names in self.order.items():
            for at, one in enumerate(names):
                for other in names[at + 1 :]:
                    (a, b), (c, d) = self.span(one), self.span(other)
                    if a <= d and c <= b:
                        yield self.end(one), self.begin(other), self.reach(one, 1) + _BETWEEN + self.reach(other, 0)
                if box is not None:
                    yield _left(box), self.begin(one), _PADDING + self.reach(one, 0)
                    yield self.end(one), _right(box), _PADDING + self.reach(one, 1)
            if box is not None:
                caption = self.picture.diagram.box(box).caption
                yield _left(box), _right(box), 2 * _PADDING + width(caption, CAPTION_SIZE)

    def begin(self, name: str) -> str:
        return _left(name) if name in self.order else name

    def end(self, name: str) -> str:
        return _right(name) if name in self.order else name

    def reach(self, name: str, side: int) -> float:
        if name in self.order:
            return 0.0
        extent = self.extents[name]
        return extent.right if side else extent.left

    def sorted_names(self) -> list[str]:
        """All unknowns, each behind those that it is to the right of."""
        found: list[str] = []

        def enter(box: str | None) -> None:
            for name in self.order[box]:
                if name in self.order:
                    found.append(_left(name))
                    enter(name)
                    found.append(_right(name))
                else:
                    found.append(name)

        enter(None)
        return found

    def solved(self) -> tuple[dict[str, float], dict[str, float], dict[str, float]]:
        """The centres, and the left and right edges of boxes."""
        x = self.pushed(dict.fromkeys(self.names, 0.0))
        for turn in range(_TURNS):
            self.pull(x, 0.3 if turn < _TURNS - 60 else 0.1)
            for a, b, distance in self.differences if turn % 2 else reversed(self.differences):
                lacking = distance - (x[b] - x[a])
                if lacking > 0:
                    x[a] -= lacking / 2
                    x[b] += lacking / 2
        x = self.pushed(x)
        return self.tightened(x)

    def pull(self, x: dict[str, float], share: float) -> None:
        """Everything some way to the mean of its neighbours."""
        total = dict.fromkeys(self.layer, 0.0)
        number = dict.fromkeys(self.layer, 0)
        for one, other in self.pulls:
            for a, b in ((one, other), (other, one)):
                weight = 3 if a.startswith("bend ") and b.startswith("bend ") else 1
                total[a] += weight * x[b]
                number[a] += weight
        for name in self.layer:
            if number[name]:
                x[name] += share * (total[name] / number[name] - x[name])

    def pushed(self, x: dict[str, float]) -> dict[str, float]:
        """The same with every difference restored, by moving to the right."""
        before: dict[str, list[tuple[str, float]]] = {}
        for a, b, distance in self.differences:
            before.setdefault(b, []).append((a, distance))
        found: dict[str, float] = {}
        for name in self.names:
            found[name] = max([x[name], *(found[a] + distance for a, distance in before.get(name, ()))])
        return found

    def tightened(self, x: dict[str, float]) -> tuple[dict[str, float], dict[str, float], dict[str, float]]:
        """Boxes drawn close around what they hold, inner ones first."""
        left: dict[str, float] = {}
        right: dict[str, float] = {}
        for box in reversed(self.picture.diagram.boxes):
            names = self.order[box.name]
            starts = [left[n] if n in self.order else x[n] - self.extents[n].left for n in names]
            ends = [right[n] if n in self.order else x[n] + self.extents[n].right for n in names]
            begin = min(starts, default=x[_left(box.name)] + _PADDING) - _PADDING
            end = max(ends, default=begin) + _PADDING
            lacking = max(0.0, width(box.caption, CAPTION_SIZE) + 2 * _PADDING - (end - begin))
            more = min(lacking, x[_right(box.name)] - end)  # the rest fits on the other side
            left[box.name], right[box.name] = begin - (lacking - more), end + more
        centres = {name: x[name] for name in flat(self.order, None)}
        return centres, left, right


def _left(box: str) -> str:
    return f"left {box}"


def _right(box: str) -> str:
    return f"right {box}"
