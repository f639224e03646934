"""Lines and indentation: what the lexer finds becomes the ends of lines and the beginnings and ends of blocks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from emdsl.diagnostics.errors import EmmError
from emdsl.diagnostics.spans import Span

if TYPE_CHECKING:
    from lark import Token

#: Terminals of the grammar that the layout makes or consumes.
LINE_END, BLOCK_BEGIN, BLOCK_END = "_NL", "_INDENT", "_DEDENT"
#: Blocks within blocks.
DEEPEST_BLOCKS = 30
_OPENING, _CLOSING = frozenset("([{"), frozenset(")]}")


class Layout:
    """A post-lexer as Lark wants one.

    It never looks ahead: the contextual lexer reads the next token in the state that the end of the line leaves, so the
    indentation is taken from the line-end token, whose text runs up to the first character of the next line.
    """

    #: Line ends may come in any state of the parser; in brackets they are dropped here.
    always_accept = (LINE_END,)

    def process(self, stream: Iterator[Token]) -> Iterator[Token]:
        """The tokens with blocks marked; raises `EmmError` where a line fits no open block."""
        indentations, depth, begun, last = [0], 0, False, None
        for token in stream:
            if token.type != LINE_END:
                depth += (token in _OPENING) - (token in _CLOSING)
                begun, last = True, token
                yield token
            elif begun and depth <= 0:
                yield token
                indentation = len(token) - token.rindex("\n") - 1
                yield from _blocks(token, indentation, indentations)
        if last is not None:
            for _ in indentations[1:]:
                yield last.new_borrow_pos(BLOCK_END, "", last)


def _blocks(end: Token, indentation: int, indentations: list[int]) -> Iterator[Token]:
    """The block marks between a line and the next one, which is indented by `indentation` spaces."""
    if indentation > indentations[-1]:
        indentations.append(indentation)
        if len(indentations) > DEEPEST_BLOCKS:
            raise EmmError(
                "nested-too-deeply", f"blocks are nested more than {DEEPEST_BLOCKS} deep",
                span=Span(end.end_pos or 0, (end.end_pos or 0) + 1, end.end_line or 0, indentation + 1),
                label="too deep", help="a model needs a few plates only; check the indentation",
            )  # fmt: skip
        yield end.new_borrow_pos(BLOCK_BEGIN, " " * indentation, end)
        return
    known = list(indentations)
    while indentation < indentations[-1]:
        indentations.pop()
        yield end.new_borrow_pos(BLOCK_END, "", end)
    if indentation > indentations[-1]:
        raise EmmError(
            "bad-indentation",
            f"this line is indented by {indentation} space{'s' * (indentation != 1)}, and no open block is",
            span=Span((end.end_pos or 0) - indentation, end.end_pos or 0, end.end_line or 0, 1),
            label="indentation",
            help=f"indent it by {', '.join(map(str, known[:-1]))} or {known[-1]} spaces, as a line above it",
        )
