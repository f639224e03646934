"""The picture, as its file has it: nodes in their plates, arrows from node to node, nothing on top of anything else."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from functools import cache
from itertools import combinations
from pathlib import Path

import pytest

from emdsl.drawing.diagram import Box, Diagram, Node
from emdsl.drawing.layers import layered
from emdsl.drawing.lettering import CAPTION_SIZE, width
from emdsl.drawing.order import crossings, first_order, ordered
from emdsl.drawing.picture import picture
from emdsl.drawing.placement import Placed, Rectangle, placed
from tests.drawing.graphs import NAMES, diagram_of

SVG = "{http://www.w3.org/2000/svg}"
Point = tuple[float, float]


@cache
def drawn(name: str) -> ElementTree.Element:
    """The file's tree."""
    return ElementTree.fromstring(picture(diagram_of(name)))


@cache
def places(name: str) -> Placed:
    """Where everything stands."""
    return placed(layered(diagram_of(name)))


def number(element: ElementTree.Element, key: str) -> float:
    return float(element.get(key, "0"))


def rectangle(element: ElementTree.Element) -> Rectangle:
    x, y = number(element, "x"), number(element, "y")
    return Rectangle(x, y, x + number(element, "width"), y + number(element, "height"))


def shape(name: str, node: str) -> Rectangle:
    """What a node's shape covers."""
    (group,) = (g for g in drawn(name).iter(f"{SVG}g") if g.get("data-name") == node)
    first = next(e for e in group if e.tag != f"{SVG}title")
    if first.tag == f"{SVG}rect":
        return rectangle(first)
    if first.tag == f"{SVG}polygon":
        corners = points(first.get("points", ""))
        across, down = [x for x, _ in corners], [y for _, y in corners]
        return Rectangle(min(across), min(down), max(across), max(down))
    x, y = number(first, "cx"), number(first, "cy")
    wide, high = (number(first, "rx"), number(first, "ry")) if first.get("rx") else (number(first, "r"),) * 2
    return Rectangle(x - wide, y - high, x + wide, y + high)


def points(text: str) -> list[Point]:
    """The points of an outline or a path."""
    return [(float(x), float(y)) for x, y in re.findall(r"(-?[\d.]+),(-?[\d.]+)", text)]


def plates(name: str) -> dict[str, Rectangle]:
    """The rectangle of every plate."""
    return {e.get("data-name", ""): rectangle(e) for e in drawn(name).iter(f"{SVG}rect") if e.get("class") == "plate"}


def inside(inner: Rectangle, outer: Rectangle, least: float = 0.0) -> bool:
    return (
        outer.left + least <= inner.left
        and inner.right <= outer.right - least
        and outer.top + least <= inner.top
        and inner.bottom <= outer.bottom - least
    )


def apart(one: Rectangle, other: Rectangle) -> bool:
    return (
        one.right <= other.left or other.right <= one.left or one.bottom <= other.top or other.bottom <= one.top
    )  # fmt: skip


def path_of(element: ElementTree.Element) -> list[Point]:
    """Points along a path, close to each other."""
    start, *rest = points(element.get("d", ""))
    if "C" not in element.get("d", ""):
        rest = [start, rest[0], rest[0]]
    found = []
    for at in range(0, len(rest), 3):
        curve = (start, *rest[at : at + 3])
        found += [bezier(curve, step / 24) for step in range(25)]
        start = rest[at + 2]
    return found


def bezier(curve: tuple[Point, ...], t: float) -> Point:
    weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3)
    return sum(w * p[0] for w, p in zip(weights, curve, strict=True)), sum(
        w * p[1] for w, p in zip(weights, curve, strict=True)
    )


def edges(name: str) -> list[ElementTree.Element]:
    return [e for e in drawn(name).iter(f"{SVG}path") if e.get("class") == "edge"]


def every_node_stands_in_its_plates_and_in_no_other(name: str) -> None:
    diagram, found = diagram_of(name), plates(name)
    page = Rectangle(0, 0, number(drawn(name), "width"), number(drawn(name), "height"))
    for node in diagram.nodes:
        place = shape(name, node.name)
        assert inside(place, page, 4)
        for box in diagram.boxes:
            if box.name in diagram.around(node.plate):
                assert inside(place, found[box.name], 5), (node.name, box.name)
            else:
                assert apart(place, found[box.name]), (node.name, box.name)


def plates_nest_as_they_are_declared(name: str) -> None:
    diagram, found = diagram_of(name), plates(name)
    assert set(found) == {box.name for box in diagram.boxes}
    for one, other in combinations(diagram.boxes, 2):
        if one.name in diagram.around(other.name):
            assert inside(found[other.name], found[one.name], 5)
        else:
            assert apart(found[one.name], found[other.name])


def nothing_stands_on_anything_else(name: str) -> None:
    """Shapes with their names, and the captions of plates."""
    diagram = diagram_of(name)
    place = places(name)
    covered = {node.name: extent(node, place.centres[node.name], place.extents[node.name]) for node in diagram.nodes}
    covered |= {f"caption {box.name}": caption(box, place.boxes[box.name]) for box in diagram.boxes}
    for one, other in combinations(covered, 2):
        assert apart(covered[one], covered[other]), (one, other)
    for node in diagram.nodes:
        for plate in diagram.around(node.plate):
            assert inside(covered[node.name], place.boxes[plate], 5)


def extent(node: Node, centre: Point, reach: object) -> Rectangle:
    left, right, up, down = (getattr(reach, side) for side in ("left", "right", "up", "down"))
    return Rectangle(centre[0] - left, centre[1] - up, centre[0] + right, centre[1] + down)


def caption(box: Box, edges: Rectangle) -> Rectangle:
    """What a caption covers, in the lower right corner."""
    right, bottom = edges.right - 8, edges.bottom - 5
    found = Rectangle(right - width(box.caption, CAPTION_SIZE), bottom - CAPTION_SIZE, right, bottom)
    assert inside(found, edges)
    return found


def every_edge_is_drawn_from_node_to_node(name: str) -> None:
    diagram = diagram_of(name)
    pairs = [(e.get("data-from", ""), e.get("data-to", ""), int(e.get("data-lag", "0"))) for e in edges(name)]
    own = {(edge.source, edge.target) for edge in diagram.edges if edge.source == edge.target}
    assert sorted(pair for pair in pairs if pair[0] != pair[1]) == sorted(
        (edge.source, edge.target, edge.lag) for edge in diagram.edges if edge.source != edge.target
    )
    assert {pair[:2] for pair in pairs if pair[0] == pair[1]} == own
    for element in edges(name):
        line = path_of(element)
        for end, node in ((line[0], element.get("data-from", "")), (line[-1], element.get("data-to", ""))):
            around = shape(name, node)
            grown = Rectangle(around.left - 8, around.top - 8, around.right + 8, around.bottom + 8)
            assert inside(Rectangle(*end, *end), grown), (element.get("data-from"), element.get("data-to"))


def no_edge_runs_through_a_node(name: str) -> None:
    shapes = {node.name: shape(name, node.name) for node in diagram_of(name).nodes}
    for element in edges(name):
        ends = (element.get("data-from"), element.get("data-to"))
        for node, around in shapes.items():
            if node not in ends:
                assert not any(within(point, around) for point in path_of(element)), (ends, node)


def within(point: Point, around: Rectangle) -> bool:
    """Whether a point lies in the ellipse that a rectangle holds."""
    wide, high = (around.right - around.left) / 2, (around.bottom - around.top) / 2
    x, y = (around.left + around.right) / 2, (around.top + around.bottom) / 2
    return ((point[0] - x) / wide) ** 2 + ((point[1] - y) / high) ** 2 < 0.98


def arrows_lead_down(name: str) -> None:
    """But for those of a chain: what a law looks at stands above it, parameters above all."""
    diagram = diagram_of(name)
    found = layered(diagram)
    layer = {item.name: item.layer for item in found.items}
    for edge in diagram.edges:
        if not edge.lag and not edge.together:
            assert layer[edge.source] < layer[edge.target]
    lowest = max((layer[n.name] for n in diagram.nodes if n.kind == "parameter"), default=-1)
    assert all(layer[n.name] > lowest for n in diagram.nodes if n.plate is not None)
    assert crossings(found, ordered(found)) <= crossings(found, first_order(found))


def one_model_always_gives_the_same_bytes(name: str) -> None:
    assert picture(diagram_of(name)) == picture(diagram_of(name))


def the_picture_says_in_words_what_it_shows(name: str) -> None:
    root = drawn(name)
    diagram = diagram_of(name)
    title, description = root.find(f"{SVG}title"), root.find(f"{SVG}desc")
    assert title is not None and (title.text or "").startswith(diagram.name)
    named = [node.name for node in diagram.nodes if node.kind not in ("law", "condition")]
    assert description is not None and all(each in (description.text or "") for each in named)
    assert root.get("role") == "img" and root.get("aria-labelledby") == "title description"


LAWS = (
    every_node_stands_in_its_plates_and_in_no_other,
    plates_nest_as_they_are_declared,
    nothing_stands_on_anything_else,
    every_edge_is_drawn_from_node_to_node,
    no_edge_runs_through_a_node,
    arrows_lead_down,
    one_model_always_gives_the_same_bytes,
    the_picture_says_in_words_what_it_shows,
)


@pytest.mark.parametrize("name", NAMES)
def test_laws(name: str) -> None:
    """All laws of one model: each is a function that says what it holds the model to."""
    for law in LAWS:
        law(name)


def test_texts_of_a_model_are_escaped() -> None:
    evil = "]]> <script>alert('x')</script> & \"\x07"
    diagram = diagram_of("bare")
    node = Node('<b>"', "latent", "toss", ("<i>",), description=evil)
    odd = Diagram(evil, evil, (Box("toss", None), Box('"<u>', "toss")), (*diagram.nodes, node), diagram.edges)
    text = picture(odd)
    assert "<script" not in text and "<b>" not in text and "<u>" not in text and "\x07" not in text
    title = ElementTree.fromstring(text).find(f"{SVG}title")
    assert title is not None and title.text == f"{evil}: {evil}".replace("\x07", "")


def test_the_picture_in_the_docs_is_what_is_drawn() -> None:
    shown = Path(__file__).resolve().parents[2] / "docs" / "topics.svg"
    assert picture(diagram_of("topics")) + "\n" == shown.read_text(encoding="utf-8")


def test_an_empty_model_has_a_picture() -> None:
    ElementTree.fromstring(picture(Diagram("Nothing", "", (), (), ())))
