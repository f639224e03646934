"""Spaces between the words of a logical line.

As the printer has them: operators of sums and weaker ones stand between spaces, `*`, `/`, `^` and `..` do not; a sign
stands at its operand, a bracket at what it is called with; a colon that gives a domain has spaces on both sides, every
other one a space behind it; `=` has spaces, but in a named argument.
"""

from __future__ import annotations

from collections.abc import Sequence

from emdsl.syntax.logical_lines import Word

OPENING, CLOSING = frozenset(("(", "[", "{")), frozenset((")", "]", "}"))
_TIGHT = frozenset(("*", "/", "^", ".."))
_SIGNS = frozenset(("+", "-"))
#: Terminals that a bracket of arguments may follow.
_CALLED = frozenset(("NAME", "LEVELS", "COLUMNS"))
_OPERANDS = frozenset(("NAME", "NUMBER", "STRING"))
#: Terminals, beside operands and closing brackets, that a description may follow.
_BEFORE_DESCRIPTION = frozenset(("LEVELS", "COLUMNS", "AFTER", "SEQUENCE"))


def spaces(words: Sequence[Word]) -> tuple[int, ...]:
    """How many spaces stand before each word, alignment apart: 0 or 1."""
    in_family = words[0].kind == "FAMILY"
    header = header_colon(words)
    found = [0]
    depth, sign = 0, False
    for i in range(1, len(words)):
        before, word = words[i - 1], words[i]
        depth += (before.text in OPENING) - (before.text in CLOSING)
        sign = _is_sign(words, i - 1)
        typed = i != header and (depth == 0 or (in_family and depth == 1))
        found.append(0 if sign else _between(before, word, depth > 0, typed))
    return tuple(found)


def _between(before: Word, word: Word, in_brackets: bool, typed: bool) -> int:
    """The spaces between two neighbours; `typed` says whether a colon between words would give a domain here."""
    if before.text in OPENING or word.text in CLOSING or word.text == ",":
        return 0
    if word.text == "(" and before.kind in _CALLED:
        return 0
    if word.text == "[" and (before.kind == "NAME" or before.text in CLOSING):
        return 0
    if before.text in _TIGHT or word.text in _TIGHT:  # `1. .. 2` would run together
        return int(".." in (before.text, word.text) and (before.text.endswith(".") and word.text.startswith(".")))
    if word.text == ":":
        return int(typed)
    return int(not (in_brackets and "=" in (before.text, word.text)))


def _is_sign(words: Sequence[Word], i: int) -> bool:
    """Whether a `+` or `-` is the sign of what follows, not an operation on what precedes."""
    return words[i].text in _SIGNS and (i == 0 or not _ends_operand(words[i - 1]))


def _ends_operand(word: Word) -> bool:
    return word.kind in _OPERANDS or word.text in CLOSING


def description(words: Sequence[Word]) -> int | None:
    """The place of the description that ends the line, if one does."""
    if len(words) < 3 or words[-1].kind != "STRING":
        return None
    before = words[-2]
    described = _ends_operand(before) or before.kind in _BEFORE_DESCRIPTION or before.text == ":"
    return len(words) - 1 if described else None


def header_colon(words: Sequence[Word]) -> int | None:
    """The place of the colon that opens a block, if one does."""
    last = len(words) - (1 if description(words) is None else 2)
    return last if words[last].text == ":" else None


def at_top(words: Sequence[Word], *texts: str) -> int | None:
    """The place of the first word outside brackets that is one of these."""
    depth = 0
    for i, word in enumerate(words):
        depth += (word.text in OPENING) - (word.text in CLOSING)
        if depth == 0 and word.text in texts:
            return i
    return None
