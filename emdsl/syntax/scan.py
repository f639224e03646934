"""What can be said of a text before its grammar: characters, texts in quotes, brackets, tabs; and its logical lines."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from emdsl.diagnostics.errors import Diagnostic
from emdsl.diagnostics.spans import Span

#: A longer text is refused unread: a model holds no data.
LONGEST_TEXT = 200_000
#: Brackets nested deeper are refused, and so are blocks and operators (`emdsl.syntax.depth`).
DEEPEST_BRACKETS = 100

#: After these errors the rest of the text says nothing.
_HOPELESS = frozenset(["nested-too-deeply", "unmatched-bracket", "control-character"])
_CLOSES = {"(": ")", "[": "]", "{": "}"}
_THING = re.compile(
    r"""
      (?P<line>(?:\n|\A)(?:[ \t]*\n)*[ \t]*)
    | (?P<string>"(?:\\.|[^"\\\n])*")
    | (?P<unclosed>"[^\n]*)
    | (?P<comment>\#[^\n]*)
    | (?P<bracket>[()\[\]{}])
    | (?P<control>[\x00-\x08\x0e-\x1f\x7f\ud800-\udfff])
    | (?P<superscript>[\u00b2\u00b3\u00b9\u2070\u2074-\u2079]+)
    """,
    re.VERBOSE,
)
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f\ud800-\udfff]")


class Places:
    """From a character's offset to its line and column."""

    def __init__(self, source: str) -> None:
        self._starts = [0, *(i + 1 for i, c in enumerate(source) if c == "\n")]

    def span(self, start: int, end: int) -> Span:
        """The span of the characters `start` to `end` (end exclusive)."""
        line = bisect_right(self._starts, start)
        return Span(start, end, line, start - self._starts[line - 1] + 1)


@dataclass(frozen=True)
class Scan:
    """The errors found, and where each logical line (one that brackets may break) begins and ends."""

    errors: tuple[Diagnostic, ...]
    lines: tuple[tuple[int, int], ...]


def scan(source: str) -> Scan:
    """One pass over a normalised text. The errors make its grammar meaningless; at most ten are told."""
    places = Places(source)
    errors: list[Diagnostic] = []
    open_brackets: list[tuple[str, int]] = []
    starts: list[int] = []
    for match in _THING.finditer(source):
        kind, text, start = str(match.lastgroup), match.group(), match.start()
        here = places.span(start, match.end())
        match kind:
            case "bracket":
                errors += _bracket(text, here, open_brackets, places)
                if errors and errors[-1].code in _HOPELESS:
                    break
            case "line" if not open_brackets and source[match.end() : match.end() + 1] not in ("", "\n", "#"):
                blanks = text[text.rfind("\n") + 1 :]
                errors += _indentation(blanks, places.span(match.end() - len(blanks), match.end()), not starts)
                starts.append(match.end())
            case "unclosed":
                errors.append(_unclosed(text, here))
            case "control" | "comment" | "string":
                errors += _controls(text, start, places)
                if errors and errors[-1].code in _HOPELESS:
                    break
            case "superscript":
                errors.append(_superscript(text, here))
            case _:
                pass
        if len(errors) >= 10:
            break
    else:
        errors += _never_closed(open_brackets, places)
    ends = [*starts[1:], len(source)]
    return Scan(tuple(errors), tuple(zip(starts, ends, strict=False)))


def _bracket(text: str, here: Span, open_brackets: list[tuple[str, int]], places: Places) -> Iterator[Diagnostic]:
    if text in _CLOSES:
        open_brackets.append((text, here.start))
        if len(open_brackets) > DEEPEST_BRACKETS:
            yield Diagnostic(
                "nested-too-deeply", f"brackets are nested more than {DEEPEST_BRACKETS} deep", here,
                "give the inner parts names with `let`", "too deep",
            )  # fmt: skip
        return
    if not open_brackets:
        yield Diagnostic("unmatched-bracket", f"this `{text}` closes nothing", here, f"remove the `{text}`")
        return
    opening, start = open_brackets.pop()
    if text != _CLOSES[opening]:
        where = places.span(start, start + 1)
        yield Diagnostic(
            "unmatched-bracket",
            f"expected `{_CLOSES[opening]}`, which closes the `{opening}` of line {where.line}, found `{text}`",
            here, f"write `{_CLOSES[opening]}`",
        )  # fmt: skip


def _never_closed(open_brackets: list[tuple[str, int]], places: Places) -> Iterator[Diagnostic]:
    for opening, start in open_brackets[:1]:
        yield Diagnostic(
            "unclosed-bracket", f"this `{opening}` is never closed", places.span(start, start + 1),
            f"close it with `{_CLOSES[opening]}`", "opened here",
        )  # fmt: skip


def _indentation(blanks: str, here: Span, is_first: bool) -> Iterator[Diagnostic]:
    if "\t" in blanks:
        yield Diagnostic(
            "tab-indentation", "a tab in the indentation", here, "indent with spaces, 4 for each level", "tab"
        )
    elif is_first and blanks:
        yield Diagnostic(
            "bad-indentation", "the first line is indented", here, "begin it in the first column", "indentation"
        )


def _unclosed(text: str, here: Span) -> Diagnostic:
    return Diagnostic(
        "unclosed-text", "this text has no closing quote on its line", here,
        'end it with `"`; inside a text a quote is written `\\"`', "begins here",
    )  # fmt: skip


def _superscript(text: str, here: Span) -> Diagnostic:
    power = "".join(str(unicodedata.digit(c)) for c in text)
    return Diagnostic("unexpected-character", f"`{text}` is no power", here, f"write `^{power}`")


def _controls(text: str, start: int, places: Places) -> Iterator[Diagnostic]:
    for match in _CONTROL.finditer(text):
        at = start + match.start()
        yield Diagnostic(
            "control-character", f"the text holds the control character U+{ord(match.group()):04X}",
            places.span(at, at + 1), "remove it, or save the file as plain text in UTF-8",
        )  # fmt: skip
        return
