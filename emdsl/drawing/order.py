"""In which order things stand from left to right: one order for each plate, so that plates stay rectangles.

An order is a tree: of each plate its items and the plates inside it. Barycentre sweeps (Sugiyama, Tagawa & Toda 1981)
and exchanges of neighbours look for the order with the fewest crossings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import combinations

from emdsl.drawing.layers import Layered

#: Of each box (None: around all of them) what stands in it, left to right: names of items and of boxes.
Order = dict[str | None, list[str]]

_SWEEPS = 8


def ordered(picture: Layered) -> Order:
    """The best order that is found."""
    order = first_order(picture)
    best, least = order, crossings(picture, order)
    for _ in range(_SWEEPS):
        order = swept(picture, order)
        number = crossings(picture, order)
        if number < least:
            best, least = order, number
    return exchanged(picture, best)


def first_order(picture: Layered) -> Order:
    """Items as they are declared, bends beside what they lead to, the plates inside behind them."""
    boxes = picture.diagram.boxes
    order: Order = {None: [], **{box.name: [] for box in boxes}}
    for item in picture.items:
        order[item.box].append(item.name)
    for box in boxes:
        inside = order[box.parent]
        inside.insert(len(inside) // 2, box.name)
    return order


def places(picture: Layered, order: Order) -> dict[str, float]:
    """The place of every item in its layer, from 0 (left) to 1."""
    layer = {item.name: item.layer for item in picture.items}
    rows: dict[int, list[str]] = {}
    for name in flat(order, None):
        rows.setdefault(layer[name], []).append(name)
    return {name: (at + 1) / (len(row) + 1) for row in rows.values() for at, name in enumerate(row)}


def flat(order: Order, box: str | None) -> Iterator[str]:
    """The items of a box and of those inside it, left to right."""
    for name in order[box]:
        if name in order:
            yield from flat(order, name)
        else:
            yield name


def swept(picture: Layered, order: Order) -> Order:
    """Everything moved to the mean place of its neighbours, a plate to that of what it holds."""
    place = places(picture, order)
    beside: dict[str, list[str]] = {item.name: [] for item in picture.items}
    for one, other in segments(picture):
        beside[one].append(other)
        beside[other].append(one)
    return _sorted(order, lambda name: _barycentre(name, beside[name], place))


def _barycentre(name: str, beside: list[str], place: Mapping[str, float]) -> float:
    if not beside:
        return place[name]
    return (place[name] + 2 * sum(place[other] for other in beside) / len(beside)) / 3


def _sorted(order: Order, key: Callable[[str], float]) -> Order:
    def whole(name: str) -> float:
        if name not in order:
            return key(name)
        inside = [key(item) for item in flat(order, name)]
        return sum(inside) / len(inside) if inside else 0.5

    return {box: sorted(names, key=whole) for box, names in order.items()}


def segments(picture: Layered) -> Iterator[tuple[str, str]]:
    """The pieces of edges from one layer to the next."""
    for path in picture.paths:
        if not path.back:
            yield from zip(path.items, path.items[1:], strict=False)


def crossings(picture: Layered, order: Order) -> int:
    """How many pieces of edges cross."""
    at = {name: place for place, name in enumerate(flat(order, None))}
    layer = {item.name: item.layer for item in picture.items}
    rows: dict[int, list[tuple[int, int]]] = {}
    for one, other in segments(picture):
        rows.setdefault(layer[one], []).append((at[one], at[other]))
    pairs = (pair for row in rows.values() for pair in combinations(row, 2))
    return sum(1 for (a, b), (c, d) in pairs if (a - c) * (b - d) < 0)


def exchanged(picture: Layered, order: Order) -> Order:
    """Neighbours exchanged as long as that takes crossings away."""
    best = {box: list(names) for box, names in order.items()}
    least, better = crossings(picture, best), True
    while better and least:
        better = False
        for names in best.values():
            for at in range(len(names)):
                for to in range(at):
                    moved = [*names[:to], names[at], *names[to:at], *names[at + 1 :]]
                    kept = list(names)
                    names[:] = moved
                    number = crossings(picture, best)
                    if number < least:
                        least, better = number, True
                    else:
                        names[:] = kept
    return best
