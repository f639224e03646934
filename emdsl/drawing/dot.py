"""A plate diagram as source for Graphviz, for those who have it."""

from __future__ import annotations

from collections.abc import Iterator

from emdsl.drawing.diagram import Diagram, Edge, Node
from emdsl.drawing.lettering import letters
from emdsl.drawing.placement import lag_text

_SHAPES = {
    "parameter": "shape=point, width=0.1, xlabel={}",
    "constant": 'shape=square, width=0.15, style=filled, fillcolor="#1c2733", label="", xlabel={}',
    "input": 'shape=square, width=0.15, style=filled, fillcolor="#c9d1db", label="", xlabel={}',
    "latent": "shape=ellipse, label={}",
    "observed": 'shape=ellipse, style=filled, fillcolor="#c9d1db", label={}',
    "law": 'shape=square, width=0.15, style=filled, fillcolor="#1c2733", label="", xlabel={}',
    "condition": "shape=diamond, label={}",
}


def dot(diagram: Diagram) -> str:
    """The whole graph, without a line end at its end."""
    lines = [f"digraph {quoted(diagram.name)} {{", '    graph [fontname="Helvetica", rankdir=TB];']
    lines += ['    node [fontname="Helvetica"];', '    edge [fontname="Helvetica"];']
    lines += _inside(None, diagram, "    ")
    lines += [f"    {_edge(edge)}" for edge in diagram.edges]
    return "\n".join([*lines, "}"])


def _inside(plate: str | None, diagram: Diagram, indent: str) -> Iterator[str]:
    for node in diagram.nodes:
        if node.plate == plate:
            yield f"{indent}{_node(node)}"
    for at, box in enumerate(diagram.boxes):
        if box.parent == plate:
            style = "rounded, dashed" if box.elements else "rounded"
            yield f"{indent}subgraph cluster_{at} {{"
            yield f'{indent}    label={quoted(box.caption)}; labeljust=r; labelloc=b; style="{style}";'
            yield from _inside(box.name, diagram, indent + "    ")
            yield f"{indent}}}"


def _node(node: Node) -> str:
    shown = letters(node)
    label = quoted(shown.name + (f"[{shown.below}]" if shown.below else ""))
    double = ", peripheries=2" if node.determined else ""
    return f"{quoted(node.name)} [{_SHAPES[node.kind].format(label)}{double}];"


def _edge(edge: Edge) -> str:
    look = []
    if edge.lag:
        look = ["style=dashed", f"label={quoted(lag_text(edge.lag))}"]
    if edge.lag and edge.source != edge.target:
        look.append("constraint=false")
    if edge.together:
        look = ["style=dotted", "dir=none", "constraint=false"]
    return f"{quoted(edge.source)} -> {quoted(edge.target)}" + (f" [{', '.join(look)}]" if look else "") + ";"


def quoted(text: str) -> str:
    """A text as Graphviz takes it, whatever its characters are."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
