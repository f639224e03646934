"""Characters and numbers that no line of a model holds."""

from __future__ import annotations

import re
import unicodedata

from emdsl.diagnostics.errors import Diagnostic
from emdsl.diagnostics.spans import Span
from emdsl.syntax.mistakes.failure import NAME, Failure
from emdsl.syntax.scan import Places

#: What is typed for a character that looks like it.
_INSTEAD = {
    "≤": "<=", "≥": ">=", "≠": "!=", "×": "*", "·": "*", "⋅": "*", "÷": "/", "−": "-", "–": "-", "—": "-", "∼": "~",
    "˜": "~", "→": "->", "⇒": "->", "←": "=", "…": "..", "“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "‘": '"',
    "’": '"', "'": '"', "`": '"', "&": "and", "!": "not", "∈": "in", "∞": "inf", "√": "sqrt(...)",
    "∑": "sum(i in idx: ...)", "¬": "not", "∧": "and", "∨": "or", "，": ",", "：": ":", "（": "(", "）": ")",
}  # fmt: skip
_QUOTED = re.compile("['‘“`„«]([^'’”“`»\n]*)['’”“`»]")
_RUN = re.compile(r"[\w.]+")


def unexpected_character(f: Failure) -> Diagnostic:
    """The message for a character that begins no word, operator or number here."""
    character, offset = f.kind, f.offset
    run = run_at(f.source, offset)
    if run is not None:
        return number_or_dots(f, *run)
    here = Places(f.source).span(offset, offset + 1)
    if character == ";":
        return _diagnostic("a line ends without `;`", here, "remove the `;`; each statement has a line of its own")
    if character == "\\":
        return _diagnostic(
            "a line goes on inside brackets only", here, "remove the `\\` and put brackets around: `( ... )`"
        )
    if character == "?":
        return _diagnostic("`?` is no operator", here, "write `where(condition, value, other_value)`")
    if character in "&!" and f.source[offset + 1 : offset + 2] == character:
        here = Places(f.source).span(offset, offset + 2)
    if quoted := _QUOTED.match(f.source, offset):
        here = Places(f.source).span(offset, quoted.end())
        return _diagnostic("texts stand in double quotes", here, f'write `"{quoted[1]}"`')
    if unicodedata.combining(character):
        name = unicodedata.normalize("NFC", f.word(-1) + f.source[offset])
        help = f"save the file in normalisation form C: `{name}`"
        return _diagnostic(f"unexpected character {_shown(character)}, an accent apart from its letter", here, help)
    if character in _INSTEAD:
        instead = _INSTEAD[character]
        what = "texts stand in double quotes" if instead == '"' else f"`{instead}` is written for it"
        return _diagnostic(f"unexpected character {_shown(character)}: {what}", here, f"write `{instead}`")
    if character.isspace():
        return _diagnostic(f"unexpected character {_shown(character)}", here, "write an ordinary space")
    help = "remove it; a label with such characters stands in quotes"
    return _diagnostic(f"unexpected character {_shown(character)}", here, help)


def _diagnostic(message: str, span: Span, help: str) -> Diagnostic:
    return Diagnostic("unexpected-character", message, span, help)


def run_at(source: str, offset: int) -> tuple[int, int] | None:
    """Beginning and end of the letters, digits and dots around an offset, if a digit or a dot was not understood."""
    if source[offset] not in ".0123456789":
        return None
    start = offset
    while start > 0 and _RUN.fullmatch(source[start - 1]):
        start -= 1
    match = _RUN.match(source, start)
    return (start, match.end()) if match is not None else None


def number_or_dots(f: Failure, start: int, end: int) -> Diagnostic:
    """The message for `1_000`, `2x`, `a.b` or `1.2.3`."""
    text = f.source[start:end]
    here = Places(f.source).span(start, end)
    if number := re.fullmatch(r"([0-9][0-9_]*)", text):
        return Diagnostic("bad-number", f"`{text}` is no number", here, f"write `{number[1].replace('_', '')}`")
    if product := re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([^\W\d]\w*)", text):
        if f.expected == {NAME}:
            return Diagnostic("bad-number", f"`{text}` is no name", here, "begin the name with a letter")
        return Diagnostic(
            "bad-number", f"`{text}` is neither a number nor a name", here,
            f'write `{product[1]}*{product[2]}` for a product, `"{text}"` for a label',
        )  # fmt: skip
    if dotted := re.fullmatch(r"([^\W\d]\w*)\.(\w+)", text):
        return Diagnostic(
            "dotted-name", f"`{text}` is no name: names hold letters, digits and `_`", here,
            f'write `{dotted[1]}[{dotted[2]}]` for an element, `"{text}"` for a label or a column',
        )  # fmt: skip
    return Diagnostic("bad-number", f"`{text}` is neither a number nor a name", here, f'write `"{text}"` for a label')


def _shown(character: str) -> str:
    """A character with its number where it is not on every keyboard."""
    if character.isascii() and character.isprintable():
        return f"`{character}`"
    name = unicodedata.name(character, "").lower()
    shown = f"`{character}` " if character.isprintable() and not character.isspace() else ""
    return f"{shown}(U+{ord(character):04X}{', ' + name if name else ''})"
