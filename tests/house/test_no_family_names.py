"""The engine knows no family and no model by name: it derives, plans and runs whatever is declared."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ENGINE = [path for floor in ("derive", "plan", "runtime") for path in sorted((ROOT / "emdsl" / floor).rglob("*.py"))]


def declared(keyword: str, files: list[Path]) -> set[str]:
    """The names that `family Name(…)` or `model Name` give in .emm files."""
    pattern = re.compile(rf"^{keyword}\s+(\w+)", re.MULTILINE)
    return {name for file in files for name in pattern.findall(file.read_text(encoding="utf-8"))}


def family_names() -> set[str]:
    """Scalar families by their declarations, the others by the registry."""
    from emdsl.families.registry import BUILT_IN

    scalar = declared("family", sorted((ROOT / "emdsl" / "families").glob("*.emm")))
    return scalar | {family.name for family in BUILT_IN}


def words(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Every string (docstrings apart), name and attribute of a module, with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
    for node in ast.walk(tree):
        match node:
            case ast.Expr(value=ast.Constant()):
                node.value = ast.Constant(None)  # a docstring of an attribute
            case ast.Constant(value=str(text)):
                yield node.lineno, text
            case ast.Name(id=text) | ast.Attribute(attr=text) | ast.FunctionDef(name=text) | ast.ClassDef(name=text):
                yield node.lineno, text


def mentions(source: str, names: set[str]) -> list[tuple[int, str]]:
    """Lines of code that say one of the names as a whole word."""
    pattern = re.compile(r"\b(" + "|".join(map(re.escape, sorted(names))) + r")\b")
    return [(line, text) for line, text in words(ast.parse(source)) if pattern.search(text)]


def test_the_names_are_known() -> None:
    assert {"Normal", "Poisson", "MVNormal", "HardyWeinberg"} <= family_names()
    assert "Peppered" + "Moth" in declared("model", sorted((ROOT / "models").glob("*.emm")))


def test_a_mention_is_found() -> None:
    assert mentions("def f(law):\n    return law == 'Weibull'", {"Weibull"}) == [(2, "Weibull")]
    assert mentions("def f():\n    'As in the Weibull law.'\n    # Weibull\n    return 'weibull'", {"Weibull"}) == []


@pytest.mark.parametrize("path", ENGINE, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_engine_names_no_family_and_no_model(path: Path) -> None:
    names = family_names() | declared("model", sorted((ROOT / "models").glob("*.emm")))
    assert mentions(path.read_text(encoding="utf-8"), names) == []
