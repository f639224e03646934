"""What is drawn: everything that a model declares, once, and every arrow that its statements speak of.

`python -m tests.drawing.test_diagram` writes the goldens anew.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

import emdsl
from emdsl.drawing.diagram import Edge
from emdsl.drawing.dot import dot, quoted
from emdsl.drawing.text_form import text_form
from emdsl.ir.model import Factor, Map
from tests.drawing.graphs import NAMES, diagram_of, models

GOLDENS = Path(__file__).with_name("goldens")
GOLDEN_NAMES = (
    "peppered_moth",
    "earthquakes",
    "crossed_effects",
    "topics",
    "segregation",
    "back",
    "second",
    "evidence",
)


def everything_is_drawn_once(name: str) -> None:
    model, found = models()[name], diagram_of(name)
    hidden_away = {draw for variable in model.variables for draw in variable.components}
    hidden_away |= {
        variable.name for variable in model.variables if variable.cut is not None or ".ibd" in variable.name
    }
    weights = {variable.name for variable in model.variables if variable.kind == "weight"}
    wanted = [item.name for item in model.parameters]
    wanted += [item.name for item in model.variables if item.name not in hidden_away | weights]
    drawn = Counter(node.name for node in found.nodes if node.kind not in ("constant", "law", "condition"))
    assert drawn == Counter(wanted)
    assert len({node.name for node in found.nodes}) == len(found.nodes)
    assert sum(node.kind == "condition" for node in found.nodes) == len(model.givens)
    assert {weight for box in found.boxes for weight in box.weights} == weights
    assert {plate.name for plate in model.plates} == {box.name for box in found.boxes if not box.elements}


def every_name_in_a_statement_has_its_arrow(name: str) -> None:
    """Read off the statements as they are written, not off what they have been resolved to."""
    model, found = models()[name], diagram_of(name)
    named = {node.name for node in found.nodes if node.kind not in ("law", "condition")}
    items: tuple[Factor | Map, ...] = (*model.factors, *model.maps)
    for item in items:
        if item.target is None:
            continue
        target = item.target.name.partition(".")[0]
        law = re.split(r"~|=", item.text, maxsplit=1)[-1]
        bound = {binder.name for binder in item.elements} | set(re.findall(r"(\w+) in \w+:", law))
        words = set(re.findall(r"(?<![\w\"])[^\W\d]\w*(?!\w|\")", re.sub(r"\w+ *->|-> *\w+(?!\()|\w+ in ", "", law)))
        keys = set(re.findall(r"(\w+):", law))
        parents = {edge.source for edge in found.parents(target)}
        missing = (words & named) - bound - keys - parents - {target}
        labels = {label for s in model.index_sets for label in getattr(s.source, "labels", ())}
        assert not missing - labels - {s.name for s in model.index_sets}, (item.text, missing)


def arrows_come_from_what_is_seen_from_there(name: str) -> None:
    """A law looks at its own plate, at those around it and at what stands outside all of them."""
    found = diagram_of(name)
    for edge in found.edges:
        source, target = found.node(edge.source), found.node(edge.target)
        around = found.around(target.plate)
        outside = source.plate is None or found.box(source.plate).elements
        assert outside or source.plate in around, edge
        assert target.kind not in ("constant", "input") and source.kind not in ("law", "condition")


def test_what_the_compiler_adds_is_not_drawn() -> None:
    moth, cure = diagram_of("peppered_moth"), diagram_of("cure")
    assert [node.name for node in moth.nodes] == ["p", "genotype", "phenotype"]
    assert moth.edges == (Edge("p", "genotype"), Edge("genotype", "phenotype"))
    assert Edge("relapse", "time") in cure.edges and "time.cell" not in {node.name for node in cure.nodes}


def test_chains_look_back() -> None:
    assert Edge("die", "die", 1) in diagram_of("second").edges and Edge("die", "die", 2) in diagram_of("second").edges
    assert {Edge("b", "a", 1), Edge("a", "b")} <= set(diagram_of("back").edges)


@pytest.mark.parametrize("name", GOLDEN_NAMES)
def test_texts(name: str) -> None:
    assert text_form(diagram_of(name)) + "\n" == (GOLDENS / f"{name}.txt").read_text(encoding="utf-8")


def graphviz_source(name: str) -> None:
    """Every node and edge is a line of its own, brackets close, and quotes are whole."""
    found = diagram_of(name)
    text = dot(found)
    lines = [line.strip() for line in text.splitlines()]
    for node in found.nodes:
        assert sum(line.startswith(f"{quoted(node.name)} [") for line in lines) == 1
    assert sum(" -> " in line for line in lines) == len(found.edges)
    bare = re.sub(r'"(?:\\.|[^"\\])*"', "", text)
    assert '"' not in bare and bare.count("{") == bare.count("}") and bare.count("[") == bare.count("]")
    assert quoted('a"b\\') == '"a\\"b\\\\"'


LAWS = (
    everything_is_drawn_once,
    every_name_in_a_statement_has_its_arrow,
    arrows_come_from_what_is_seen_from_there,
    graphviz_source,
)


@pytest.mark.parametrize("name", NAMES)
def test_laws(name: str) -> None:
    """All laws of one model: each is a function that says what it holds the model to."""
    for law in LAWS:
        law(name)


def test_from_python() -> None:
    graph = emdsl.load("models/peppered_moth.emm").graph()
    assert str(graph) == text_form(diagram_of("peppered_moth")) == graph.to_text()
    assert graph.to_svg() == graph._repr_svg_() and graph.to_svg().startswith("<svg ")
    assert graph.to_dot().startswith('digraph "PepperedMoth" {')
    assert repr(graph) == "<Diagram of PepperedMoth: 3 nodes, 2 edges>"


if __name__ == "__main__":
    for name in GOLDEN_NAMES:
        (GOLDENS / f"{name}.txt").write_text(text_form(diagram_of(name)) + "\n", encoding="utf-8")
