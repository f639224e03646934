"""No text of a model, a table or an option is run: what could run one is called in two places, on generated code."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "emdsl").rglob("*.py"))

#: Functions that run text, or what they are given.
RUNNERS = {
    "eval", "exec", "compile", "__import__", "parse_expr", "lambdify", "autowrap", "ufuncify", "system", "popen",
    "Popen", "literal_eval", "run_path", "run_module", "getoutput", "check_output",
}  # fmt: skip
#: The planner's own source, run as a module; the library inside a stand-alone file, run as imports would; and a method.
ALLOWED = {
    ("emdsl/plan/loading.py", "exec"), ("emdsl/plan/loading.py", "compile"),
    ("emdsl/standalone/importer.py", "exec"), ("emdsl/standalone/importer.py", "compile"),
    ("emdsl/cli/compile.py", "compile"),
}  # fmt: skip
#: Modules that take bytes for code.
UNSAFE = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "subprocess"}


def calls(tree: ast.Module) -> Iterator[tuple[str, ast.Call]]:
    """Every call with the name of what is called; `re.compile` is none of these."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="re"), attr="compile")):
                continue
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
                yield name, node


def offences(source: str, path: str = "x.py") -> list[str]:
    """What a module does that may run a text."""
    tree = ast.parse(source)
    found = []
    for name, call in calls(tree):
        if name in RUNNERS and (path, name) not in ALLOWED:
            found.append(f"{path}:{call.lineno}: {name}")
        strict = any(item.arg == "strict" for item in call.keywords)
        if name in ("sympify", "S") and not strict:  # without it, SymPy runs a text that it is given
            found.append(f"{path}:{call.lineno}: {name} without strict")
    for node in ast.walk(tree):
        modules = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        found += [f"{path}:{node.lineno}: {name}" for name in modules if name.partition(".")[0] in UNSAFE]  # type: ignore[attr-defined]
    return found


def test_an_offence_is_found() -> None:
    assert offences("eval(text)") == ["x.py:1: eval"]
    assert offences("import sympy as sp\nsp.sympify(text)") == ["x.py:2: sympify without strict"]
    assert offences("import pickle") == ["x.py:1: pickle"]
    assert offences("import re\nre.compile(text)\nsp.sympify(x, strict=True)") == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_nothing_is_run(path: Path) -> None:
    assert offences(path.read_text(encoding="utf-8"), path.relative_to(ROOT).as_posix()) == []


def test_what_is_allowed_is_used() -> None:
    used = {
        (path.relative_to(ROOT).as_posix(), name)
        for path in SOURCES
        for name, _ in calls(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert used >= ALLOWED
