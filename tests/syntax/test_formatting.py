"""The one layout: it is reached in one step, keeps every word and comment, and is what the models are written in."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emdsl.diagnostics.errors import EmmError
from emdsl.syntax import formatting
from emdsl.syntax.formatting import format_text
from emdsl.syntax.logical_lines import logical_lines
from emdsl.syntax.parser import parse, read_source
from emdsl.syntax.printer import print_module
from emdsl.syntax.source import normalise
from emdsl.syntax.spacing import CLOSING, OPENING
from tests.syntax.random_trees import Trees

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
FORMATTED = [path for folder in ("models", "emdsl/gallery") for path in sorted((ROOT / folder).glob("*.emm"))]
MODELS = [*FORMATTED, *sorted((HERE / "corpus").glob("*.emm")), *sorted((ROOT / "emdsl").rglob("scalar.emm"))]


def name(path: Path) -> str:
    return f"{path.parent.name}-{path.stem}"


@pytest.mark.parametrize("path", FORMATTED, ids=name)
def test_what_is_shipped_has_the_layout(path: Path) -> None:
    assert format_text(read_source(path)) == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", MODELS, ids=name)
def test_the_layout_of_a_disturbed_model(path: Path) -> None:
    for seed in range(3):
        check(disturbed(read_source(path), Random(seed)))


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32))
def test_the_layout_of_any_text(seed: int) -> None:
    text = print_module(Trees(seed).module())
    check(text)
    check(disturbed(text, Random(seed)))


def check(text: str) -> None:
    """The layout says the same, keeps the comments, is its own layout, and has no spaces or empty lines at ends."""
    formatted = format_text(text)
    assert parse(formatted) == parse(text)
    assert re.findall("#c[0-9]+", formatted) == re.findall("#c[0-9]+", text)
    assert format_text(formatted) == formatted
    assert not re.search(r" \n|\n\n\n|\A\n|\n\n\Z|[^\n]\Z", formatted)


def disturbed(text: str, random: Random) -> str:
    """The same words and blocks with other spaces, indentations, breaks in brackets, empty lines and comments."""
    count = 0

    def comment() -> str:
        nonlocal count
        count += 1
        return f"#c{count}"

    def line_ends(indentation: str) -> str:
        rows = [random.choice(["", " ", comment()])]
        between = ["", "   ", indentation + comment(), comment(), " " * 9 + comment()]
        rows += random.choices(between, k=random.choice((0, 0, 3)))
        rows = [row if "#" not in row or random.random() < 0.7 else "" for row in rows]
        return "\n".join(rows) + "\n"

    written = logical_lines(normalise(text))
    width = random.choice((1, 2, 3, 7))
    parts: list[str] = []
    for line in written.lines:
        indentation = " " * (width * line.level)
        parts.append(line_ends(indentation) if parts else "\n")
        depth = 0
        for i, word in enumerate(line.words):
            between = indentation if i == 0 else random.choice((" ", "  ", "\t"))
            if depth and random.random() < 0.2:
                between = line_ends(indentation) + between
            parts.append(between + word.text)
            depth += (word.text in OPENING) - (word.text in CLOSING)
    parts.append(line_ends(""))
    result = "".join(parts)
    # comments are numbered as they are made, and some were thrown away: number those that are left
    numbers = iter(range(len(result)))
    return re.sub(r"#c[0-9]+", lambda _: f"#c{next(numbers)}", result)


# --- the rules of docs/formatting.md ----------------------------------------------------------------------------------


LAYOUTS = {
    "operators": ("let q=( a*b )^2+c /d- -1\n", "let q = (a*b)^2 + c/d - -1\n"),
    "signs": ("let q = a * - b ^ - 2 + f( - 1, x = - y)\n", "let q = a*-b^-2 + f(-1, x=-y)\n"),
    "ranges": ("index c=0 .. 2*K+1\nindex d = 1. .. .5\n", "index c = 0..2*K + 1\nindex d = 1. .. .5\n"),
    "parentheses stay": ("let q = (a) + (b*c)\n", "let q = (a) + (b*c)\n"),
    "colons": (
        "family F(s:positive,t : interval( 0,1 )) for x:real :\n  logpdf=sum( k in c :s*x )\n",
        "family F(s : positive, t : interval(0, 1)) for x : real:\n    logpdf = sum(k in c: s*x)\n",
    ),
    "labels": ('index s = { a , - 1 , "b c" }\n', 'index s = {a, -1, "b c"}\n'),
    "descriptions": (
        'model M    "a model"\nconst K=3 "number"\nparam mu[k] : simplex[a_long_index_set_of_letters] "weights"\n',
        'model M "a model"\nconst K = 3                                 "number"\n'
        'param mu[k] : simplex[a_long_index_set_of_letters]  "weights"\n',
    ),
    "comments": (
        "const K=3#why\nconst L = 4 \"l\"#and why\n#own  \n",
        "const K = 3                                 #why\n"
        'const L = 4                                 "l"  #and why\n#own\n',
    ),
    "plates": (
        "for each x:\n weight w\n latent z~F(p)\n observed yy = z\n\n observed y~G(z)\n",
        "for each x:\n    weight   w\n    latent   z  ~ F(p)\n    observed yy = z\n\n    observed y ~ G(z)\n",
    ),
    "a plate of one kind": (
        "for each x:\n latent z~F(p)\n for each y:\n  latent w~F(p)\n",
        "for each x:\n    latent z ~ F(p)\n    for each y:\n        latent w ~ F(p)\n",
    ),
    "widths that differ too much": (
        'for each x:\n latent z~F(p)\n observed answer from "The Answer"~G(z)\n',
        'for each x:\n    latent   z ~ F(p)\n    observed answer from "The Answer" ~ G(z)\n',
    ),
    "arrows": (
        "let q=case g:\n   A/_|B ->1\n   _->case h :\n    c->2\n",
        "let q = case g:\n    A/_ | B -> 1\n    _       -> case h:\n        c -> 2\n",
    ),
    "empty lines": ("\n\nconst K=1\n\n\n\nconst L=2\n\n\n", "const K = 1\n\nconst L = 2\n"),
    "no empty line begins a block": (
        "for each x:\n\n # why\n\n latent z~F(p)\n", "for each x:\n    # why\n\n    latent z ~ F(p)\n"
    ),
    "breaks in brackets": (
        "const T[a,b]=[[1,0],  # first\n  # between\n\n [0,1]]\n",
        "const T[a, b] = [[1, 0],                    # first\n                 # between\n                 [0, 1]]\n",
    ),
    "breaks behind a bracket": (
        "const T[a,b]=[ # rows\n [1,0],\n [0,1],\n   # none\n ] \"table\"\n",
        "const T[a, b] = [                           # rows\n    [1, 0],\n    [0, 1],\n    # none\n"
        ']                                           "table"\n',
    ),
    "comments at the end of a block": (
        "for each x:\n  for each y:\n    latent z~F(p)\n    # of y\n   # of x\n  # of x too\n"
        "# of none\n     # of none either\nlet q=1\n",
        "for each x:\n    for each y:\n        latent z ~ F(p)\n        # of y\n    # of x\n    # of x too\n"
        "# of none\n# of none either\nlet q = 1\n",
    ),
    "words of the language as names": (
        "for each x:\n observed weight from by~F(first)\n", "for each x:\n    observed weight from by ~ F(first)\n"
    ),
    "only comments": ("\n  # a\n\n\n# b", "# a\n\n# b\n"),
    "nothing": ("", ""),
    "windows": ("\ufeffconst K=1\r\nconst L=2\r\n", "const K = 1\nconst L = 2\n"),
}  # fmt: skip


@pytest.mark.parametrize("rule", LAYOUTS)
def test_layout(rule: str) -> None:
    before, after = LAYOUTS[rule]
    assert format_text(before) == after


def test_a_text_that_is_no_model_is_refused() -> None:
    with pytest.raises(EmmError) as caught:
        format_text("param : real\n", "m.emm")
    assert str(caught.value).startswith("error[") and "m.emm:1:7" in str(caught.value)


@pytest.mark.parametrize("wrong", ["param mu : real\n", "param mu :\n", "param mu : positive\n"])
def test_a_layout_that_would_change_the_model_is_refused(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another meaning, no meaning, and a comment lost."""
    monkeypatch.setattr(formatting, "_layout", lambda written: wrong)
    with pytest.raises(EmmError) as caught:
        format_text("param mu : positive  # why\n")
    assert caught.value.code == "not-formatted"


def test_what_the_documentation_shows_has_the_layout() -> None:
    page = (ROOT / "docs" / "formatting.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"^```\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert format_text(shown) == shown
