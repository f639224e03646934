"""Diagnostics to text: the line, a caret under the place, and the help."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from emdsl.diagnostics.errors import Diagnostic
from emdsl.diagnostics.spans import Span

#: A line of the model wider than this is shown in part, around the caret.
WIDEST_LINE = 120
#: A message or a line of help longer than this is cut.
LONGEST_MESSAGE = 1_000
#: Of more diagnostics than these, the rest are only counted.
MOST_SHOWN = 20
_CONTEXT_BEFORE_CARET = 40
_TAB = "    "
_NO_FILE = "<model>"
_LINE_ENDS = re.compile(r"\r\n?|\n")


def render(diagnostics: Sequence[Diagnostic], source: str | None, file: str | None) -> str:
    """All diagnostics as text, an empty line between two.

    `source` is the model's text that the spans point into (None: only line and column are shown), `file` its name.
    Spans are read by line, column and length, so it does not matter how the lines of `source` end.
    """
    lines = None if source is None else _LINE_ENDS.split(source.removeprefix("\ufeff"))
    shown = [_one(item, lines, file or _NO_FILE) for item in diagnostics[:MOST_SHOWN]]
    if len(diagnostics) > MOST_SHOWN:
        shown.append(f"and {len(diagnostics) - MOST_SHOWN} more")
    return "\n\n".join(shown)


def _one(item: Diagnostic, lines: list[str] | None, file: str) -> str:
    text = [f"{item.severity}[{item.code}]: " + _paragraph(item.message, "")]
    if item.span is not None and item.span.line > 0:
        text += _excerpt(item.span, item.label, lines, file)
    if item.place:
        text.append(f" --> {_cut(item.place)}")
    if item.help:
        text.append("help: " + _paragraph(item.help, "      "))
    return "\n".join(text)


def _paragraph(text: str, margin: str) -> str:
    """The lines of a text, those after the first behind a margin."""
    return f"\n{margin}".join(map(_cut, text.split("\n")))


def _cut(text: str) -> str:
    """A message that a reader can take in, also where it quotes a name of thousands of letters."""
    shown = _shown(text[: LONGEST_MESSAGE + 1])
    return shown if len(text) <= LONGEST_MESSAGE else shown[:LONGEST_MESSAGE] + "…"


def _excerpt(span: Span, label: str, lines: list[str] | None, file: str) -> list[str]:
    """The place, the line of the model and the carets under the span, which ends with its line at the latest."""
    gutter = " " * len(str(span.line))
    text = [f"{gutter}--> {file}:{span.line}:{span.column}"]
    if lines is None or span.line > len(lines):
        return text
    line = lines[span.line - 1]
    start = min(span.column - 1, len(line))
    end = min(start + max(span.end - span.start, 1), max(len(line), start + 1))
    near = 2 * WIDEST_LINE  # of a line without end, only what may be shown is looked at
    before = line[max(start - near, 0) : start]
    before, marked, after = _window(
        *map(_shown, (before, line[start : min(end, start + near)], line[end : end + near]))
    )
    carets = "^" * max(_width(marked), 1)
    pointer = f"{gutter} | {' ' * _width(before)}{carets}{' ' + label if label else ''}"
    return [*text, f"{gutter} |", f"{span.line} | {before}{marked}{after}".rstrip(), pointer]


def _window(before: str, marked: str, after: str) -> tuple[str, str, str]:
    """The three parts of a line, cut where together they are wider than `WIDEST_LINE`."""
    if _width(before + marked + after) <= WIDEST_LINE:
        return before, marked, after
    if len(before) > _CONTEXT_BEFORE_CARET:
        before = "…" + before[-_CONTEXT_BEFORE_CARET:]
    room = WIDEST_LINE - len(before)
    if len(marked) > room:
        return before, marked[: room - 1] + "…", ""
    if len(marked) + len(after) > room:
        after = after[: max(room - len(marked) - 1, 0)] + "…"
    return before, marked, after


def _shown(text: str) -> str:
    """The text as a terminal may show it: tabs as spaces, what does not print as a replacement character."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_TAB if c == "\t" else c if c.isprintable() or _is_joined(c) else "�" for c in text)


def _is_joined(character: str) -> bool:
    """Whether a character adds to the one before it and takes no room of its own."""
    return unicodedata.combining(character) > 0 or unicodedata.category(character) in ("Mn", "Me")


def _width(text: str) -> int:
    """Columns that a terminal takes: two for wide East Asian characters, none for combining ones."""
    if text.isascii():
        return len(text)
    return sum(
        0 if _is_joined(c) else 2 if unicodedata.east_asian_width(c) in ("W", "F") else 1 for c in text
    )  # fmt: skip
