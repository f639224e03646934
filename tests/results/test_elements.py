from __future__ import annotations

import pytest

from emdsl.diagnostics.errors import EmmError
from emdsl.results.elements import Element, read_assignment, read_element


@pytest.mark.parametrize(
    ("text", "name", "labels"),
    [
        ("sigma", "sigma", ()),
        ("μ.C", "μ", ("C",)),
        ("mu.1.eruptions", "mu", ("1", "eruptions")),
        ("mu[1, eruptions]", "mu", ("1", "eruptions")),
        ("mu[1][eruptions]", "mu", ("1", "eruptions")),
        ('p["rs1.2"]', "p", ("rs1.2",)),
        ("p['rs1.2']", "p", ("rs1.2",)),
        ("p[rs1.2]", "p", ("rs1.2",)),  # what a shell leaves of the quotes
        ('p."rs1.2".a', "p", ("rs1.2", "a")),
        (r'p["a\"b\\"]', "p", ('a"b\\',)),
        ('p["a,b", "=]"]', "p", ("a,b", "=]")),
        (" p [ a , b ] ", "p", ("a", "b")),
        ("p.AB+", "p", ("AB+",)),
        ("b.-1", "b", ("-1",)),
    ],
)
def test_an_element_is_read(text: str, name: str, labels: tuple[str, ...]) -> None:
    assert read_element(text) == Element(name, labels)


@pytest.mark.parametrize(
    "element",
    [
        Element("tau"),
        Element("p", ("C",)),
        Element("p", ("rs1.2", "b")),
        Element("p", ('say "x" \\',)),
        Element("μ", ("é_1",)),
    ],
)
def test_an_element_is_read_as_it_is_written(element: Element) -> None:
    assert read_element(str(element)) == element


def test_an_element_is_written_as_the_fit_names_it() -> None:
    assert [str(Element("p", labels)) for labels in ((), ("C",), ("1", "a_b"), ("rs1.2", "a"))] == [
        "p", "p.C", "p.1.a_b", 'p["rs1.2", "a"]',
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text", ["", "1p", "p.", "p..a", "p[", "p[a", 'p["a', "p[]", "p[a,]", "p[a]b", "p q", ".a", "a=b"]
)
def test_what_is_no_element_is_refused(text: str) -> None:
    with pytest.raises(EmmError) as caught:
        read_element(text, "--init")
    assert str(caught.value) == (
        f"error[bad-element]: expected the name of a parameter or of one of its elements, found `{text}`\n"
        " --> --init\n"
        'help: sigma, p.C, mu.1.eruptions; a label with odd characters in quotes: p["rs1.2"]'
    )


def test_an_assignment_is_read() -> None:
    assert read_assignment("p.C=0.2") == (Element("p", ("C",)), "0.2")
    assert read_assignment('p["a=b"] = 1e-3 ') == (Element("p", ("a=b",)), "1e-3")
    assert read_assignment("A=[[1, 0], [0, 1]]") == (Element("A"), "[[1, 0], [0, 1]]")


@pytest.mark.parametrize("text", ["sigma", "sigma=", "sigma= "])
def test_an_assignment_without_a_value_is_refused(text: str) -> None:
    with pytest.raises(EmmError) as caught:
        read_assignment(text, "--fix")
    assert str(caught.value) == (
        f"error[bad-assignment]: expected NAME=VALUE, found `{text}`\n --> --fix\nhelp: --fix sigma=1"
    )
