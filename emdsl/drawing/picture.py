"""A plate diagram as SVG: circles for what is random (grey: observed), dots for parameters, squares for what is given.

Written by hand: no library, no date, numbers to a tenth of a pixel, everything in the diagram's own order, so that one
model always gives the same bytes. Texts of the model are escaped.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from math import hypot

from emdsl.drawing.diagram import Box, Diagram, Edge, Node
from emdsl.drawing.layers import Path, layered
from emdsl.drawing.lettering import CAPTION_SIZE, INDEX_SIZE, NAME_SIZE, Letters, letters
from emdsl.drawing.placement import (
    BOW,
    DOT,
    LOOP,
    RADIUS,
    SQUARE,
    Placed,
    half_width,
    is_named_beside,
    lag_text,
    placed,
)
from emdsl.drawing.text_form import said, text_form, written

_INK, _LINE, _GREY, _WEAK = "#1c2733", "#3d4a5a", "#c9d1db", "#66727f"
_ARROW, _HEAD = 1.2, 7.5
_FONT = "'Helvetica Neue', Helvetica, Arial, 'DejaVu Sans', sans-serif"
#: A light edge around letters that an arrow may pass behind.
_HALO = 'stroke="#f4f6f9" stroke-width="4" stroke-linejoin="round" paint-order="stroke"'
Point = tuple[float, float]


def picture(diagram: Diagram) -> str:
    """The whole file's text, without a line end at its end."""
    place = placed(layered(diagram))
    title = diagram.name + (f": {diagram.description}" if diagram.description else "")
    size = f"{_number(place.width)} {_number(place.height)}"
    wide, high = size.split()
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide}" height="{high}" viewBox="0 0 {size}" role="img" '
        f'aria-labelledby="title description" font-family="{_FONT}" fill="{_INK}">',
        f'<title id="title">{_text(title)}</title>',
        f'<desc id="description">{_text(text_form(diagram))}</desc>',
        f'<rect width="{wide}" height="{high}" fill="#ffffff"/>',
    ]
    lines += [_plate(box, place) for box in diagram.boxes]
    for path in place.picture.paths:
        lines += _edge(path, place)
    for node in diagram.nodes:
        lines += _loop(node, place)
        lines += _node(node, place)
    lines += [_caption(box, place) for box in diagram.boxes]
    return "\n".join([*lines, "</svg>"])


# --- plates and nodes -------------------------------------------------------------------------------------------------


def _plate(box: Box, place: Placed) -> str:
    edges = place.boxes[box.name]
    wide, high = edges.right - edges.left, edges.bottom - edges.top
    dash = ' stroke-dasharray="5 3"' if box.elements else ""
    return (
        f'<rect class="plate" data-name="{_text(box.name)}" x="{_number(edges.left)}" y="{_number(edges.top)}" '
        f'width="{_number(wide)}" height="{_number(high)}" rx="9" fill="#5b7a9d" fill-opacity="0.055" '
        f'stroke="#7a8aa0"{dash}>'
        f"<title>{_text(f'for each {box.caption}')}</title></rect>"
    )


def _caption(box: Box, place: Placed) -> str:
    edges = place.boxes[box.name]
    return (
        f'<text class="caption" x="{_number(edges.right - 8)}" y="{_number(edges.bottom - 7)}" text-anchor="end" '
        f'font-size="{CAPTION_SIZE}" fill="#4c5a6b" {_HALO}>{_text(box.caption)}</text>'
    )


def _node(node: Node, place: Placed) -> Iterator[str]:
    x, y = place.centres[node.name]
    about = " ".join(filter(None, (said(node), written(node))))
    if node.description and node.kind != "condition":
        about += f": {node.description}"
    yield f'<g class="{node.kind}" data-name="{_text(node.name)}"><title>{_text(about)}</title>'
    yield _shape(node, x, y)
    name, half = letters(node), half_width(node)
    if not is_named_beside(node):
        yield _name(name, x, y + NAME_SIZE * 0.34, "middle")
    elif place.picture.diagram.parents(node.name):
        yield _name(name, x + half + 5, y + NAME_SIZE * 0.34, "start", _HALO)
    else:
        yield _name(name, x, y - half - INDEX_SIZE * 0.8, "middle")
    yield "</g>"


def _shape(node: Node, x: float, y: float) -> str:
    line = f'stroke="{_LINE}" stroke-width="1.4"'
    half = half_width(node)
    match node.kind:
        case "parameter":
            return f'<circle cx="{_number(x)}" cy="{_number(y)}" r="{_number(DOT)}" fill="{_INK}"/>'
        case "constant" | "input" | "law":
            fill = {"constant": _INK, "input": _GREY, "law": _INK}[node.kind]
            corner = f'x="{_number(x - SQUARE)}" y="{_number(y - SQUARE)}"'
            return f'<rect {corner} width="{_number(2 * SQUARE)}" height="{_number(2 * SQUARE)}" fill="{fill}" {line}/>'
        case "condition":
            corners = [(x - half, y), (x, y - RADIUS), (x + half, y), (x, y + RADIUS)]
            points = " ".join(f"{_number(a)},{_number(b)}" for a, b in corners)
            return f'<polygon points="{points}" fill="#ffffff" {line}/>'
    fill = _GREY if node.kind == "observed" else "#ffffff"
    outer = _ellipse(x, y, half, RADIUS, f'fill="{fill}" {line}')
    return outer + (_ellipse(x, y, half - 3.5, RADIUS - 3.5, f'fill="none" {line}') if node.determined else "")


def _ellipse(x: float, y: float, wide: float, high: float, look: str) -> str:
    return f'<ellipse cx="{_number(x)}" cy="{_number(y)}" rx="{_number(wide)}" ry="{_number(high)}" {look}/>'


def _name(name: Letters, x: float, y: float, anchor: str, look: str = "") -> str:
    below = f'<tspan dy="4" font-size="{INDEX_SIZE}" font-style="normal">{_text(name.below)}</tspan>'
    place = f'x="{_number(x)}" y="{_number(y)}" text-anchor="{anchor}"' + (f" {look}" if look else "")
    inner = _text(name.name) + (below if name.below else "")
    return f'<text {place} font-size="{NAME_SIZE}" font-style="italic">{inner}</text>'


# --- edges ------------------------------------------------------------------------------------------------------------


def _edge(path: Path, place: Placed) -> Iterator[str]:
    edge, diagram = path.edge, place.picture.diagram
    points = [place.centres[name] for name in path.items]
    source, target = diagram.node(edge.source), diagram.node(edge.target)
    if path.back:
        start, end = points
        bow = (min(start[0], end[0]) - BOW, (start[1] + end[1]) / 2)
        points = [start, end] if edge.together else [start, bow, end]
    start = _border(source, points[0], points[1])
    end = _border(target, points[-1], points[-2])
    points = [start, *points[1:-1], end]
    tip = _shortened(points[-2], end) if not edge.together else end
    yield f'<path class="edge" d="{_curve([*points[:-1], tip])}" {_look(edge)}>{_edge_title(edge)}</path>'
    if not edge.together:
        yield _head(points[-2], end)
    if edge.lag:
        yield _edge_label(edge, points)


def _look(edge: Edge) -> str:
    dash = ' stroke-dasharray="5 3.5"' if edge.lag else ' stroke-dasharray="1.5 3"' if edge.together else ""
    ends = f'data-from="{_text(edge.source)}" data-to="{_text(edge.target)}" data-lag="{edge.lag}"'
    return f'{ends} fill="none" stroke="{_LINE}" stroke-width="{_ARROW}"{dash}'


def _edge_title(edge: Edge) -> str:
    lag = f", {lag_text(edge.lag)}" if edge.lag else ""
    between = "and" if edge.together else "to"
    return f"<title>{_text(f'{edge.source}{lag} {between} {edge.target}')}</title>"


def _edge_label(edge: Edge, points: Sequence[Point]) -> str:
    x, y = points[len(points) // 2] if len(points) > 2 else _middle(points[0], points[1])
    return (
        f'<text x="{_number(x)}" y="{_number(y + 4)}" text-anchor="middle" font-size="{CAPTION_SIZE}" fill="{_WEAK}" '
        f"{_HALO}>{lag_text(edge.lag)}</text>"
    )


def _middle(one: Point, other: Point) -> Point:
    return (one[0] + other[0]) / 2, (one[1] + other[1]) / 2


def _curve(points: Sequence[Point]) -> str:
    """A straight line, or a smooth one that passes every bend downwards."""
    text = f"M{_pair(points[0])}"
    if len(points) == 2:
        return f"{text} L{_pair(points[1])}"
    slopes = [_slope(points, at) for at in range(len(points))]
    for at in range(len(points) - 1):
        (x, y), (u, v) = points[at], points[at + 1]
        third = (v - y) / 3
        first = (x + slopes[at] * third, y + third)
        second = (u - slopes[at + 1] * third, v - third)
        text += f" C{_pair(first)} {_pair(second)} {_pair(points[at + 1])}"
    return text


def _slope(points: Sequence[Point], at: int) -> float:
    """How far the line moves to the right for each pixel down, at one of its points."""
    one, other = points[max(at - 1, 0)], points[min(at + 1, len(points) - 1)]
    down = other[1] - one[1]
    return (other[0] - one[0]) / down if abs(down) > 1e-9 else 0.0


def _border(node: Node, centre: Point, towards: Point) -> Point:
    """Where a line from a node's centre leaves its shape."""
    x, y = centre
    dx, dy = towards[0] - x, towards[1] - y
    wide = half_width(node)
    if dx == 0 and dy == 0:
        return centre
    match node.kind:
        case "parameter":
            size = 1 / hypot(dx / DOT, dy / DOT)
        case "constant" | "input" | "law":
            size = SQUARE / max(abs(dx), abs(dy))
        case "condition":
            size = 1 / (abs(dx) / wide + abs(dy) / RADIUS)
        case _:
            size = 1 / hypot(dx / wide, dy / RADIUS)
    return x + dx * size, y + dy * size


def _shortened(start: Point, end: Point) -> Point:
    """The end of the line of an arrow, within its head."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = hypot(dx, dy) or 1.0
    return end[0] - dx / length * _HEAD * 0.8, end[1] - dy / length * _HEAD * 0.8


def _head(start: Point, end: Point) -> str:
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = hypot(dx, dy) or 1.0
    dx, dy = dx / length, dy / length
    x, y = end[0] - dx * _HEAD, end[1] - dy * _HEAD
    corners = [end, (x - dy * _HEAD * 0.38, y + dx * _HEAD * 0.38), (x + dy * _HEAD * 0.38, y - dx * _HEAD * 0.38)]
    return f'<polygon points="{" ".join(_pair(corner) for corner in corners)}" fill="{_LINE}"/>'


def _loop(node: Node, place: Placed) -> Iterator[str]:
    """The dashed arrow of a node to itself in the next unit."""
    own = [edge for edge in place.picture.diagram.edges if edge.source == edge.target == node.name]
    if not own:
        return
    x, y = place.centres[node.name]
    wide = half_width(node)
    start, end = (x + wide * 0.78, y - RADIUS * 0.63), (x + wide * 0.78, y + RADIUS * 0.63)
    out = x + wide + LOOP + 8
    yield (
        f'<path class="edge" d="M{_pair(start)} C{_pair((out, y - RADIUS * 1.25))} {_pair((out, y + RADIUS * 1.25))} '
        f'{_pair((end[0] + 5, end[1] + 3))}" {_look(own[0])}>{_edge_title(own[0])}</path>'
    )
    yield _head((end[0] + 14, end[1] + 6), end)
    for at, edge in enumerate(own):  # one arrow for all, which are told apart by their words
        yield (
            f'<text x="{_number(x + wide + LOOP)}" y="{_number(y + 4 + (at - (len(own) - 1) / 2) * CAPTION_SIZE)}" '
            f'font-size="{CAPTION_SIZE}" fill="{_WEAK}">{lag_text(edge.lag)}</text>'
        )


# --- texts ------------------------------------------------------------------------------------------------------------


def _pair(point: Point) -> str:
    return f"{_number(point[0])},{_number(point[1])}"


def _number(value: float) -> str:
    """To a tenth, without a zero at the end or a negative zero."""
    text = f"{value:.1f}".removesuffix(".0")
    return "0" if text == "-0" else text


def _text(text: str) -> str:
    """Escaped, without characters that no XML may hold."""
    return escape("".join(each for each in text if each.isprintable() or each == "\n"))
