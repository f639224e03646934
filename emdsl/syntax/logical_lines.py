"""A text as logical lines of words, with everything the tree leaves out: comments, empty lines, breaks in brackets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from emdsl.syntax.grammar import lalr
from emdsl.syntax.layout import BLOCK_BEGIN, BLOCK_END, LINE_END

if TYPE_CHECKING:
    from lark import Token


@dataclass(frozen=True)
class Comment:
    """A comment on a line of its own, from its `#` on; `column` counts from 0."""

    text: str
    column: int


@dataclass(frozen=True)
class Gap:
    """What stands before a word and is no word.

    `trailing` is the comment at the end of the line before (empty for none), `rows` the lines between: a comment, or
    None for an empty line; `broken` whether a line ends here.
    """

    trailing: str = ""
    rows: tuple[Comment | None, ...] = ()
    broken: bool = False

    @property
    def comments(self) -> tuple[str, ...]:
        """All its comments in their order."""
        return (self.trailing,) * bool(self.trailing) + tuple(row.text for row in self.rows if row is not None)


@dataclass(frozen=True)
class Word:
    """A token as written; `kind` is its terminal in the grammar, `gap` what stands before it."""

    text: str
    kind: str
    gap: Gap


@dataclass(frozen=True)
class Line:
    """A logical line: words, which brackets may spread over several lines.

    `level` counts the blocks that it stands in, `column` is its indentation as written; `parent` is the number of the
    line that opens its block, or -1.
    """

    words: tuple[Word, ...]
    level: int
    column: int
    parent: int

    @property
    def gap(self) -> Gap:
        """What stands before the line."""
        return self.words[0].gap


@dataclass(frozen=True)
class Text:
    """All logical lines, and what stands after the last one."""

    lines: tuple[Line, ...]
    end: Gap

    @property
    def comments(self) -> tuple[str, ...]:
        """All comments in their order."""
        within = tuple(comment for line in self.lines for word in line.words for comment in word.gap.comments)
        return within + self.end.comments


def logical_lines(source: str) -> Text:
    """The lines of a normalised text that the parser takes."""
    words: list[Word] = []
    lines: list[Line] = []
    parents = [-1]
    column, last = 0, -1
    for token in _tokens(source):
        if token.type == BLOCK_BEGIN:
            parents.append(len(lines) - 1)
        elif token.type == BLOCK_END:
            parents.pop()
        elif token.type != LINE_END:
            start = token.start_pos or 0
            if not words:
                column = start - (source.rfind("\n", 0, start) + 1)
            words.append(Word(str(token), token.type, _gap(source[max(last, 0) : start], last < 0)))
            last = token.end_pos or 0
        elif words:
            lines.append(Line(tuple(words), len(parents) - 1, column, parents[-1]))
            words = []
    return Text(tuple(lines), _gap(source[max(last, 0) :], last < 0))


def _tokens(source: str) -> Iterator[Token]:
    """Every token with the terminal that the parser took it for, and the marks of the layout."""
    return lalr().parse_interactive(source).iter_parse()


def _gap(text: str, at_the_beginning: bool) -> Gap:
    pieces: Sequence[str] = text.split("\n")
    trailing, rows = ("", pieces[:-1]) if at_the_beginning else (_comment(pieces[0]), pieces[1:-1])
    return Gap(trailing, tuple(_row(row) for row in rows), len(pieces) > 1)


def _row(text: str) -> Comment | None:
    comment = _comment(text)
    return Comment(comment, text.index("#")) if comment else None


def _comment(text: str) -> str:
    """The comment of a piece of a line that has no words."""
    return text.strip(" \t\f\v") if "#" in text else ""
