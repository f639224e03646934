"""`parse(print_module(tree)) == tree`: for every model of the corpus and of `models/`, and for trees made at random."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emdsl.diagnostics.errors import EmmError
from emdsl.syntax import tree
from emdsl.syntax.parser import parse, read_source
from emdsl.syntax.printer import print_expr, print_law, print_module
from tests.syntax.random_trees import Trees

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
MODELS = [
    path for folder in (HERE / "corpus", ROOT / "models", ROOT / "emdsl") for path in sorted(folder.rglob("*.emm"))
]


@pytest.mark.parametrize("path", MODELS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_the_print_of_a_model_is_that_model(path: Path) -> None:
    module = parse(read_source(path), path.name)
    printed = print_module(module)
    assert module.declarations
    assert parse(printed) == module
    assert print_module(parse(printed)) == printed


# --- trees at random --------------------------------------------------------------------------------------------------

seeds = st.integers(0, 2**32)
quick = settings(max_examples=150, deadline=None)


@quick
@given(seeds)
def test_the_print_of_any_tree_is_that_tree(seed: int) -> None:
    module = Trees(seed).module()
    assert parse(print_module(module)) == module


@quick
@given(seeds)
def test_the_print_of_any_expression_is_that_expression(seed: int) -> None:
    expression = Trees(seed, depth=5).expression()
    (declaration,) = parse(f"let q = {print_expr(expression)}").declarations
    assert isinstance(declaration, tree.LetDecl)
    assert declaration.value == expression


@quick
@given(seeds)
def test_the_print_of_any_law_is_that_law(seed: int) -> None:
    law = Trees(seed).law()
    (declaration,) = parse(f"latent q ~ {print_law(law)}").declarations
    assert isinstance(declaration, tree.LatentStmt)
    assert declaration.law == law


@quick
@given(seeds)
def test_no_parentheses_can_be_left_out(seed: int) -> None:
    """Without any pair of parentheses that groups, the text means something else or nothing."""
    expression = Trees(seed, depth=4).expression()
    printed = print_expr(expression)
    for start in (i for i, c in enumerate(printed) if c == "(" and not re.search(r"\w$", printed[:i])):
        end = closing(printed, start)
        if end is None:
            continue
        shorter = f"{printed[:start]} {printed[start + 1 : end]} {printed[end + 1 :]}"
        assert differs(shorter, expression), (printed, shorter)


def closing(text: str, start: int) -> int | None:
    """The bracket that closes the one at `start`; None where the text holds quotes."""
    if '"' in text:
        return None
    depth = 0
    for place in range(start, len(text)):
        depth += (text[place] == "(") - (text[place] == ")")
        if depth == 0:
            return place
    return None


def differs(text: str, expression: tree.Expr) -> bool:
    try:
        (declaration,) = parse(f"let q = {text}").declarations
    except EmmError:
        return True
    assert isinstance(declaration, tree.LetDecl)
    return declaration.value != expression
