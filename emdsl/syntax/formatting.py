"""The one layout of a model's text (`docs/formatting.md` says it in full).

Unlike the printer, which knows the tree alone, it moves the words of the text as they are written: comments, empty
lines between groups, parentheses and line breaks inside brackets stay.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from emdsl.diagnostics.errors import EmmError
from emdsl.syntax.logical_lines import Gap, Line, Text, Word, logical_lines
from emdsl.syntax.parser import parse
from emdsl.syntax.printer import INDENTATION
from emdsl.syntax.source import normalise
from emdsl.syntax.spacing import CLOSING, OPENING, at_top, description, spaces

#: Where descriptions and the comments behind a line begin, counted from 0, if the line leaves room.
MARGIN = 44
_NARROWEST_GAP = "  "
#: Operators are aligned where the widths of what stands before them differ by this much at most.
_WIDEST_PADDING = 12
_STATEMENTS = frozenset(("INPUT", "WEIGHT", "LATENT", "OBSERVED", "FACTOR", "GIVEN", "LET"))
_DEFINING = frozenset(("LATENT", "OBSERVED", "LET"))
_STEP = len(INDENTATION)

#: For the words of a line that columns begin with: the spaces before them beyond the usual ones.
Padding = dict[int, int]


def format_text(text: str, file: str | None = None) -> str:
    """The text in the one layout; `format_text` of it is itself.

    Raises `EmmError` where the text is no model, and, before anything is given back, where the layout would change what
    the model says or lose a comment.
    """
    module = parse(text, file)
    written = logical_lines(normalise(text))
    formatted = _layout(written)
    try:
        same = parse(formatted) == module and logical_lines(normalise(formatted)).comments == written.comments
    except EmmError:
        same = False
    if not same:
        raise EmmError(
            "not-formatted", "the layout would change what this model says, so it is left as it is", place=file or "",
            help="this is a bug in emdsl; please report it with the model",
        )  # fmt: skip
    return formatted


def _layout(text: Text) -> str:
    paddings = _paddings(text.lines)
    rows: list[str] = []
    before: Line | None = None
    columns: list[int] = []  # as written, of the blocks that the line before stands in
    for line, padding in zip(text.lines, paddings, strict=True):
        _add_gap(rows, line.gap, before, line.level, columns)
        rows += _rows(line, padding)
        columns = [*columns[: line.level], line.column]
        before = line
    _add_gap(rows, text.end, before, 0, columns)
    while rows and not rows[-1]:
        rows.pop()
    return "".join(f"{row}\n" for row in rows)


# --- between lines ----------------------------------------------------------------------------------------------------


def _add_gap(rows: list[str], gap: Gap, before: Line | None, level: int, columns: Sequence[int]) -> None:
    """Add what stands between two lines: the comment behind the last row, comments of their own, and one empty line
    where there were some (none at the beginning of the file or of a block)."""
    if gap.trailing:
        rows[-1] = behind(rows[-1], gap.trailing)
    opens = before is None or before.level < level
    deepest = level if before is None else before.level
    at_the_beginning = opens
    for row in gap.rows:
        if row is not None:
            deepest = level if opens else _level_of(row.column, level, deepest, columns)
            rows.append(INDENTATION * deepest + row.text)
            at_the_beginning = False
        elif not at_the_beginning and rows[-1]:
            rows.append("")


def _level_of(column: int, least: int, most: int, columns: Sequence[int]) -> int:
    """The block that a comment belongs to by its column: the deepest of those that may end here and begin before it."""
    return max((level for level in range(least, most + 1) if columns[level] <= column), default=least)


def behind(row: str, text: str) -> str:
    """The text behind a row: at the margin, or, where the row is too long, two spaces after it."""
    return f"{row + _NARROWEST_GAP:<{MARGIN}}{text}"


# --- one line ---------------------------------------------------------------------------------------------------------


def _rows(line: Line, padding: Padding) -> Iterator[str]:
    """The line with its indentation, as many rows as it had breaks inside brackets."""
    described = description(line.words) if line.words[0].kind != "MODEL" else None
    indentation = line.level * _STEP
    row = " " * indentation
    brackets: list[tuple[int, int]] = []  # columns: of what closes it, and of what it holds
    for i, (word, space) in enumerate(zip(line.words, spaces(line.words), strict=True)):
        if i and word.gap.broken:
            own, inner = brackets[-1]
            yield behind(row, word.gap.trailing) if word.gap.trailing else row
            yield from (" " * inner + comment.text for comment in word.gap.rows if comment is not None)
            row = " " * (own if word.text in CLOSING else inner) + word.text
        elif i == described:
            row = behind(row, word.text)
        else:
            row += " " * (space + padding.get(i, 0)) + word.text
        if word.text in OPENING:
            hanging = i + 1 < len(line.words) and line.words[i + 1].gap.broken
            begin = brackets[-1][1] if brackets else indentation
            brackets.append((begin, begin + _STEP) if hanging else (len(row) - 1, len(row)))
        elif word.text in CLOSING:
            brackets.pop()
    yield row


# --- columns ----------------------------------------------------------------------------------------------------------


def _paddings(lines: Sequence[Line]) -> list[Padding]:
    """For each line what aligns it with the others of its block."""
    paddings: list[Padding] = [{} for _ in lines]
    blocks: dict[int, list[int]] = {}
    for number, line in enumerate(lines):
        blocks.setdefault(line.parent, []).append(number)
    for parent, numbers in blocks.items():
        arms = [number for number in numbers if at_top(lines[number].words, "->") is not None]
        if arms:
            _align(lines, arms, paddings, "->")
        elif parent >= 0 and lines[parent].words[0].kind == "FOR":
            _align_keywords(lines, numbers, paddings)
            for run in _runs(lines, numbers):
                _align(lines, run, paddings, "~", "=", widest=_WIDEST_PADDING)
    return paddings


def _align_keywords(lines: Sequence[Line], numbers: Sequence[int], paddings: Sequence[Padding]) -> None:
    """Bring the names behind `input`, `latent`, … of a plate into one column."""
    keywords = {n: len(lines[n].words[0].text) for n in numbers if lines[n].words[0].kind in _STATEMENTS}
    for number, width in keywords.items():
        paddings[number][1] = max(keywords.values()) - width


def _runs(lines: Sequence[Line], numbers: Sequence[int]) -> Iterator[list[int]]:
    """Neighbouring definitions of a plate, with no empty line or block between them."""
    run: list[int] = []
    for number in numbers:
        line = lines[number]
        defines = line.words[0].kind in _DEFINING
        if run and (not defines or run[-1] != number - 1 or None in line.gap.rows):
            yield run
            run = []
        if defines:
            run.append(number)
    if run:
        yield run


def _align(
    lines: Sequence[Line], numbers: Sequence[int], paddings: Sequence[Padding], *operators: str,
    widest: int | None = None,
) -> None:  # fmt: skip
    """Bring the first of the operators in each line into one column, if no line needs more than `widest` for it."""
    places = {n: place for n in numbers if (place := at_top(lines[n].words, *operators)) is not None}
    places = {n: place for n, place in places.items() if not any(w.gap.broken for w in lines[n].words[1 : place + 1])}
    widths = {n: _width(lines[n].words[:place], paddings[n]) for n, place in places.items()}
    if not widths or (widest is not None and max(widths.values()) - min(widths.values()) > widest):
        return
    for number, place in places.items():
        paddings[number][place] = max(widths.values()) - widths[number]


def _width(words: Sequence[Word], padding: Padding) -> int:
    return sum(space + len(word.text) for word, space in zip(words, spaces(words), strict=True)) + sum(padding.values())
