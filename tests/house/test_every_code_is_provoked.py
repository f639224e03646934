"""Every code of an error in the sources has an input in the tests that provokes it, with its exact text."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CODE = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")

#: What makes an error: its first argument is the code.
MAKERS = {"EmmError", "Diagnostic", "failure", "unknown"}

#: Errors that no input is known to reach: checks of one stage on another, which say so if they are ever wrong.
GUARDS = {
    "internal": "a program that does not fit its own model",
    "not-an-index": "the graph has checked that indices are labels",
    "no-first-law": "the graph asks a hidden chain for its first law",
    "weighted-chain": "binding refuses weights in chains, with the name of the column",
    "weight-without-plate": "the grammar has observations in plates only",
    "order-not-invariant": "the graph refuses what it can see; this looks at the numbers once more",
    "consequence": "an error that only follows from another is not shown",
    "fit-failed": "shown by the command line for a FitError",
}


@cache
def codes() -> dict[str, str]:
    """Every code in the sources and one place where it is made."""
    found: dict[str, str] = {}
    for path in sorted((ROOT / "emdsl").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=[code, *_]) if name in MAKERS:
                    for text in strings(code):
                        found.setdefault(text, f"{path.relative_to(ROOT).as_posix()}:{node.lineno}")
    return found


def strings(node: ast.expr) -> Iterator[str]:
    """The constants that an argument may be."""
    for part in ast.walk(node):
        if isinstance(part, ast.Constant) and isinstance(part.value, str) and CODE.fullmatch(part.value):
            yield part.value


@cache
def provoked() -> set[str]:
    """Codes that a test names: in the texts of goldens, or as a string of its own."""
    found: set[str] = set()
    for path in sorted((ROOT / "tests").rglob("*")):
        if path.suffix in (".err", ".txt"):
            found |= set(re.findall(r"\berror\[([a-z0-9-]+)\]", path.read_text(encoding="utf-8")))
        elif path.suffix == ".py" and path.resolve() != Path(__file__).resolve():
            text = path.read_text(encoding="utf-8")
            found |= set(re.findall(r"\berror\[([a-z0-9-]+)\]", text))
            nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant)]
            found |= {node.value for node in nodes if isinstance(node.value, str)}
    return found


def test_codes_are_found() -> None:
    assert len(codes()) > 150
    assert {"unknown-name", "not-utf-8", "impossible-data"} <= set(codes())


@pytest.mark.parametrize("code", sorted(codes()))
def test_the_code_is_provoked(code: str) -> None:
    assert code in provoked() or code in GUARDS, f"{code}, made at {codes()[code]}, has no input in the tests"


def test_no_code_has_two_spellings() -> None:
    plain = [code.replace("-", "") for code in codes()]
    assert len(plain) == len(set(plain))
