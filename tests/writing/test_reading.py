"""The notation of derivations read back: trees say what the text says, and words stay words."""

from __future__ import annotations

import pytest

from emdsl.writing.document import Code, sections
from emdsl.writing.formula import (
    Big,
    Call,
    Formula,
    Group,
    Indexed,
    Items,
    Name,
    Number,
    Power,
    Product,
    Relations,
    Sum,
    Transposed,
    Words,
)
from emdsl.writing.reading import formulas_in, read_formula
from tests.writing.notation import notation
from tests.writing.steps import NAMES, steps_of

X, Y, Z = Name("x"), Name("y"), Name("z")


def one(*parts: Formula) -> Items:
    """What stands between commas."""
    return Items(parts, (",",) * (len(parts) - 1))


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("x - y*z", Sum((("", X), ("-", Product(Y, (("*", Z),)))))),
        ("-x^2/z", Sum((("-", Product(Power(X, Number("2")), (("/", Z),))),))),
        ("x*y/z", Product(X, (("*", Y), ("/", Z)))),
        ("x^-1*y", Product(Power(X, Sum((("-", Number("1")),))), (("*", Y),))),
        ("(x + y)^2", Power(Group("(", one(Sum((("", X), ("+", Y))))), Number("2"))),
        ("b'd", Product(Transposed(Name("b")), (("", Name("d")),))),
        ("mu_new[z]", Indexed(Name("mu_new"), one(Z))),
        ("rate[z]_new", Indexed(Name("rate"), one(Z), new=True)),
        ("x = y = 0", Relations(X, (("=", Y), ("=", Number("0"))))),
        ("f(x | y, z)", Call("f", Items((X, Y, Z), ("|", ",")))),
        ("log f(x)", Call("log", one(Call("f", one(X))), bare=True)),
        ("sum(z in k: x) + y", Sum((("", Big("sum", one(Relations(Z, (("in", Name("k")),))), X)), ("+", Y)))),
        ("sum over moth: x*(y)", Big("sum", one(Name("moth")), Product(X, (("*", Group("(", one(Y))),)), over=True)),
        ("N[first year, z]", Indexed(Name("N"), one(Words("first year"), Z))),
        ("1e+300*x", Product(Number("1e+300"), (("*", X),))),
    ],
)
def test_trees(text: str, tree: Formula) -> None:
    assert read_formula(text) == tree
    assert notation(tree) == text


@pytest.mark.parametrize(
    "text",
    [
        "Bayes' rule, in each moth", "the log-joint (ECM)", "a law that is 1 where the map gives what is seen",
        "checked on random data: there the gradient is 0", "sum over draws of them", "one (two (three", "]", "- ",
        "adaptive Gauss-Hermite quadrature", "(Dempster, Laird & Rubin 1977)", "prod", "", "   ", "1{", "f(", "d2Q/",
    ],
)  # fmt: skip
def test_words_are_no_formulas(text: str) -> None:
    assert list(formulas_in(text)) == ([text] if text else [])


def test_formulas_among_words() -> None:
    line = "a maximum: d2L/dp[i]^2 = -n[i]/p[i]^2 < 0, negative there"
    found = [each if isinstance(each, str) else each[0] for each in formulas_in(line)]
    assert found == ["a maximum: ", "d2L/dp[i]^2 = -n[i]/p[i]^2 < 0", ", negative there"]


@pytest.mark.parametrize("name", NAMES)
def test_the_trees_of_a_derivation_are_its_text(name: str) -> None:
    """Every formula is read whole: what it is read into, written again, is the text but for spaces around `*`."""
    steps = steps_of(name)
    lines = [line for section in sections(steps) for entry in section.entries for line in entry.lines]
    assert sorted(line.text for line in lines) == sorted(
        text for step in steps for field in (step.before, step.after, step.note) for text in field.splitlines()
    )
    for part in (part for line in lines for part in line.parts if not isinstance(part, Code)):
        formula = getattr(part, "formula", None)
        if formula is not None:
            assert notation(formula) == part.text.replace(" * ", "*")


@pytest.mark.parametrize("name", NAMES)
def test_results_of_the_m_step_are_formulas(name: str) -> None:
    """What an update is equal to is never left as words."""
    for step in steps_of(name):
        if step.rule in ("simplex", "closed form", "matrix"):
            (first, *_) = formulas_in(step.after.splitlines()[0])
            assert not isinstance(first, str) and isinstance(first[1], Relations), step.after
