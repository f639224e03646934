"""A plate diagram as text: the nodes of each plate, and what each looks at."""

from __future__ import annotations

from collections.abc import Iterator

from emdsl.drawing.diagram import Diagram, Edge, Node

_INDENT = "    "


def text_form(diagram: Diagram) -> str:
    """A line for each node under its plate: its kind, its name, and behind `<-` what its law looks at."""
    title = diagram.name + (f": {diagram.description}" if diagram.description else "")
    return "\n".join([title, "", *_inside(None, diagram, "")])


def _inside(plate: str | None, diagram: Diagram, indent: str) -> Iterator[str]:
    """The nodes of a plate, then the plates inside it."""
    own = [node for node in diagram.nodes if node.plate == plate]
    rows = [(said(node), written(node), _looked_at(node, diagram)) for node in own]
    widths = [max((len(row[column]) for row in rows), default=0) for column in (0, 1)]
    for kind, name, seen in rows:
        yield f"{indent}{kind:{widths[0]}}  {name:{widths[1]}}{seen}".rstrip()
    for box in diagram.boxes:
        if box.parent == plate:
            yield f"{indent}for each {box.caption}:"
            yield from _inside(box.name, diagram, indent + _INDENT)


def said(node: Node) -> str:
    """The kind of a node; of a definition, that it is one."""
    return f"{node.kind}, determined" if node.determined else node.kind


def written(node: Node) -> str:
    """A node's name as in a model, with its index sets; of a condition what it says."""
    if node.kind in ("law", "condition"):
        return node.description
    return node.name + (f"[{', '.join(node.indices)}]" if node.indices else "")


def _looked_at(node: Node, diagram: Diagram) -> str:
    edges = [edge for edge in diagram.edges if edge.target == node.name]
    arrows = [_source(edge) for edge in edges if not edge.together]
    text = f"  <- {', '.join(arrows)}" if arrows else ""
    return text + "".join(f"  -- {edge.source}" for edge in edges if edge.together)


def _source(edge: Edge) -> str:
    if not edge.lag:
        return edge.source
    return f"prev({edge.source})" if edge.lag == 1 else f"prev({edge.source}, {edge.lag})"
