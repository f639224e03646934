"""Lines, indentation, encodings and sizes."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from emdsl.diagnostics.errors import EmmError
from emdsl.syntax import tree
from emdsl.syntax.parser import parse, read_source
from emdsl.syntax.scan import LONGEST_TEXT

MODEL = """model M "μ"

const K = 2

for each row:
    weight w
    for each visit:
        observed y ~ F(K)

report r = K
"""


@pytest.mark.parametrize(
    "text",
    [
        MODEL.replace("\n", "\r\n"),
        MODEL.replace("\n", "\r"),
        "\ufeff" + MODEL,
        MODEL.rstrip("\n"),
        MODEL + "    # an indented comment at the end",
        MODEL.replace("\n", "  # a comment\n"),
        MODEL.replace("\n    weight", "\n  # less\n\n\t\n          # more\n    weight"),
        MODEL.replace("F(K)", "F(\nK   # a bracket lets a line break\n\n)"),
        MODEL.replace("F(K)", "F(\tK\t)"),
        MODEL.replace("    ", "  "),
        "\n\n# first\n\n" + MODEL,
        MODEL.replace("report r = K", "report r = (\n  # nothing\nK\n)"),
    ],
)
def test_the_same_model(text: str) -> None:
    assert parse(text) == parse(MODEL)


@pytest.mark.parametrize("text", ["", "\n", "# only a comment", "   \n\t\n", "\ufeff"])
def test_a_text_without_declarations(text: str) -> None:
    assert parse(text) == tree.Module(())


def test_lines_and_columns_do_not_depend_on_line_ends() -> None:
    for text in ("\ufefflet a = 1\r\nlet b = 2 x", "let a = 1\rlet b = 2 x\r"):
        with pytest.raises(EmmError) as caught:
            parse(text)
        assert caught.value.span is not None
        assert (caught.value.span.line, caught.value.span.column) == (2, 11)


def test_read_source(tmp_path: Path) -> None:
    path = tmp_path / "m.emm"
    path.write_bytes("\ufefflet μ = 1\r\n".encode())
    assert parse(read_source(path)) == parse("let μ = 1")


def test_a_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "latin.emm"
    path.write_bytes("let a = 1\nlet é = 1\n".encode("latin-1"))
    with pytest.raises(EmmError) as caught:
        read_source(path)
    assert str(caught.value) == (
        "error[not-utf-8]: the text is not UTF-8: byte 0xe9 at offset 14\n"
        f" --> {path}, line 2\n"
        "help: save the file in UTF-8"
    )


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.emm", tmp_path):
        with pytest.raises(EmmError) as caught:
            read_source(path)
        assert caught.value.code == "unreadable-file"


@pytest.mark.parametrize(
    "text",
    [
        "let x = " + "(" * 10_000 + "1" + ")" * 10_000,
        "let x = " + "(" * 10_000,
        "let x = " + "f(" * 10_000 + ")" * 10_000,
        "let x = " + "-" * 10_000 + "1",
        "let x = " + "not " * 10_000 + "1",
        "let x = " + "^".join(["9"] * 10_000),
        "let x = " + "+".join(["a"] * 10_000),
        "".join(" " * i + "for each a:\n" for i in range(500)),
        "let x = 1\n" * LONGEST_TEXT,
        "\0" * 100_000,
        '"' * 100_001,
        "a" * 190_000,
        "let x = " + "1." * 90_000,
        "let x = 1e999999999",
        "let x = \ud800",
        "index s = {1e999999999}",
    ],
    ids=lambda text: f"{text[:16]!r}",
)
def test_hostile_texts_are_refused_quickly(text: str) -> None:
    parse("let x = 1")  # the grammar is built once
    begun = time.process_time()
    with pytest.raises(EmmError) as caught:
        parse(text)
    message = str(caught.value)
    assert time.process_time() - begun < 2
    assert len(message) < 20_000


def test_what_parses_can_be_compared_hashed_and_printed_by_recursion() -> None:
    from emdsl.syntax.printer import print_module

    for text in ("+".join(["a"] * 190), "-" * 190 + "1", "^".join(["9"] * 190), "(" * 99 + "1" + ")" * 99):
        module = parse(f"let x = {text}")
        assert parse(print_module(module)) == module
        assert hash(module) == hash(parse(print_module(module)))


def test_a_long_table_is_no_deep_tree() -> None:
    module = parse("const t[i] = [" + ", ".join(["0.5"] * 5_000) + "]")
    assert isinstance(module.declarations[0], tree.ConstDecl)


def test_importing_the_tree_does_not_import_the_parser_generator() -> None:
    import subprocess
    import sys

    program = "import sys, emdsl.syntax.tree, emdsl.syntax.printer, emdsl.syntax.parser; print('lark' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"
