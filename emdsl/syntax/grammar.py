"""The grammar file, and the parser that Lark builds from it."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lark import Lark

_FILE = "emm.lark"


def grammar_text() -> str:
    """The text of `emm.lark`: from the installed package, else from the checkout that the package lies in."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "grammars" / _FILE
    checkout = package.parent / "grammars" / _FILE
    return (installed if installed.is_file() else checkout).read_text(encoding="utf-8")


@cache
def lalr() -> Lark:
    """The LALR(1) parser, whose reductions build the tree at once; built on the first call (about 0.1 s)."""
    from lark import Lark

    from emdsl.syntax.build import TreeBuilder
    from emdsl.syntax.layout import Layout

    return Lark(
        grammar_text(), parser="lalr", lexer="contextual", keep_all_tokens=True, maybe_placeholders=False,
        transformer=TreeBuilder(), postlex=Layout(),
    )  # fmt: skip
