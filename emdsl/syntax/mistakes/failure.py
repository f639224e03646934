"""Where and in what company the grammar failed: what the tables of mistakes look at, free of Lark's names."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from emdsl.diagnostics.spans import Span
from emdsl.syntax.grammar import lalr
from emdsl.syntax.scan import Places

if TYPE_CHECKING:
    from lark import UnexpectedInput

#: How terminals without a spelling of their own are called here.
NAME, NUMBER, TEXT, LINE_END, BLOCK, BLOCK_END, FILE_END = (
    "NAME", "NUMBER", "TEXT", "LINE_END", "BLOCK", "BLOCK_END", "FILE_END",
)  # fmt: skip
_KINDS = {
    "NAME": NAME, "NUMBER": NUMBER, "STRING": TEXT, "_NL": LINE_END, "_INDENT": BLOCK, "_DEDENT": BLOCK_END,
    "$END": FILE_END,
}  # fmt: skip
_WORD = re.compile(r'(?P<comment>#[^\n]*)|"(?:\\.|[^"\\\n])*"|[^\W\d]\w*|[0-9]\w*|->|\.\.|[=!<>]=|\S')


@dataclass(frozen=True)
class Word:
    """A piece of a line: a name, a number, a text, an operator."""

    text: str
    start: int
    end: int


@dataclass(frozen=True)
class Failure:
    """What was found where something else was expected.

    `kind` is the found text itself, or one of the names above; `words` are those of the logical line, `at` the index of
    the first one that was not understood (their number at the end of the line). `expected` holds kinds, `offset` is the
    place of the first character that was not understood, `earlier` the logical line before.
    """

    kind: str
    span: Span
    words: tuple[Word, ...]
    at: int
    expected: frozenset[str]
    source: str
    offset: int = 0
    earlier: tuple[Word, ...] = ()

    def word(self, offset: int = 0) -> str:
        """The text of the word `offset` places after the one that failed; empty outside the line."""
        place = self.at + offset
        return self.words[place].text if 0 <= place < len(self.words) else ""

    @property
    def keyword(self) -> str:
        """The first word of the line."""
        return self.words[0].text if self.words else ""

    def expects(self, *kinds: str) -> bool:
        """Whether all of these could have stood here."""
        return self.expected.issuperset(kinds)

    def line(self, first: int = 0, last: int | None = None) -> str:
        """The line's words from `first` to before `last`, as they were written, on one line and without comments."""
        return joined(self.words[first:last])

    @property
    def earlier_line(self) -> str:
        """The line before, as `line` gives this one."""
        return joined(self.earlier)

    def replaced(self, first: int, last: int, text: str) -> str:
        """The line with the words from `first` to before `last` replaced by `text`, the spaces around them kept."""
        before, after = self.words[:first], self.words[last:]
        begin = " " if before and first < len(self.words) and self.words[first].start > before[-1].end else ""
        end = " " if after and last and after[0].start > self.words[last - 1].end else ""
        return joined(before) + begin + text + end + joined(after)

    def inserted(self, place: int, text: str) -> str:
        """The line with `text`, which brings its spaces, between the words before `place` and the others."""
        return joined(self.words[:place]) + text + joined(self.words[place:])


def words_of(source: str, start: int, end: int) -> tuple[Word, ...]:
    """The words of a piece of the text, comments left out."""
    matches = _WORD.finditer(source, start, end)
    return tuple(Word(m.group(), m.start(), m.end()) for m in matches if m.lastgroup != "comment")


def failure_of(error: UnexpectedInput, source: str, lines: tuple[tuple[int, int], ...]) -> Failure:
    """Lark's exception, understood; `lines` are the logical lines."""
    token: Any = getattr(error, "token", None)
    offset: int = getattr(error, "pos_in_stream", None) or 0
    kind = source[offset : offset + 1] if token is None else _KINDS.get(token.type, str(token))
    if kind in (BLOCK, BLOCK_END, FILE_END):
        offset = token.end_pos or 0
    number = max(bisect_right(lines, (offset, len(source) + 1)) - 1, 0)
    words = words_of(source, *lines[number])
    at: int = next((i for i, word in enumerate(words) if word.end > offset), len(words))
    if kind == BLOCK:
        offset = words[0].start if words else offset
    if kind == LINE_END and words:
        start = end = words[-1].end
    elif at < len(words):
        start, end = words[at].start, words[at].end
    else:
        start = end = offset
    earlier = words_of(source, *lines[number - 1]) if number else ()
    if kind == FILE_END and words:  # a block was opened by the very last line
        earlier = words
    return Failure(kind, Places(source).span(start, end), words, at, _expected(error), source, offset, earlier)


def joined(words: tuple[Word, ...]) -> str:
    """Words as they were written, with one space wherever there was a gap."""
    gaps = [""] + [" " if right.start > left.end else "" for left, right in pairwise(words)]
    return "".join(gap + word.text for gap, word in zip(gaps, words, strict=False))


def _expected(error: UnexpectedInput) -> frozenset[str]:
    """The terminals that the parser would take in its state: those that survive the reductions they call for."""
    from lark.parsers.lalr_analysis import Shift

    state: Any = getattr(error, "state", None)
    table = state.parse_conf.states
    found = set()
    for terminal in table[state.position]:
        stack = list(state.state_stack)
        while (step := table[stack[-1]].get(terminal)) is not None:
            action, argument = step
            if action is Shift:
                if terminal.isupper() or terminal.startswith("$"):
                    found.add(_spelling().get(terminal, terminal))
                break
            if argument.expansion:
                del stack[-len(argument.expansion) :]
            stack.append(table[stack[-1]][argument.origin.name][1])
    return frozenset(found)


@cache
def _spelling() -> dict[str, str]:
    """Lark's terminals as they are written in a model."""
    spellings = {t.name: t.pattern.value.removesuffix(r"(?!\w)") for t in lalr().terminals}
    return spellings | _KINDS
