"""Text to tree."""

from __future__ import annotations

from typing import cast

from emdsl.diagnostics.errors import Diagnostic, EmmError
from emdsl.syntax import tree
from emdsl.syntax.depth import check_depth
from emdsl.syntax.grammar import lalr
from emdsl.syntax.scan import LONGEST_TEXT, scan
from emdsl.syntax.source import normalise, read_source

__all__ = ["parse", "read_source"]

#: Lines (those inside brackets count as one) that a model may have.
MOST_LINES = 2_000
#: More errors than these are not looked for in one text.
MOST_ERRORS = 10

Lines = tuple[tuple[int, int], ...]


def parse(text: str, file: str | None = None) -> tree.Module:
    """The syntax tree of a model's text.

    `file` is the name that messages show. Raises `EmmError` with the first error of every declaration that is wrong (at
    most `MOST_ERRORS`), which knows the text. Spans count in the text with lines that end in `\\n` and without a
    byte-order mark; lines and columns are those of any editor.
    """
    if len(text) > LONGEST_TEXT:
        raise EmmError(
            "text-too-long", f"the model has {len(text)} characters; more than {LONGEST_TEXT} are not read",
            place=file or "", help="keep data out of the model: give tables of numbers with `--const NAME=FILE.csv`",
        )  # fmt: skip
    source = normalise(text)
    scanned = scan(source)
    if len(scanned.lines) > MOST_LINES:
        raise EmmError(
            "text-too-long", f"the model has {len(scanned.lines)} lines; more than {MOST_LINES} are not read",
            place=file or "", help="declare arrays over index sets: param mu[item] : real",
        )  # fmt: skip
    if scanned.errors:
        raise EmmError.of(scanned.errors).in_text(source, file)
    module, errors = _declarations(source, scanned.lines)
    if module is None or errors:
        raise EmmError.of(errors).in_text(source, file)
    try:
        check_depth(module)
    except EmmError as error:
        raise error.in_text(source, file) from None
    return module


def _declarations(source: str, lines: Lines) -> tuple[tree.Module | None, list[Diagnostic]]:
    """The module, and an error for each wrong declaration: what is wrong is blanked out and the rest read again."""
    errors: list[Diagnostic] = []
    remaining = source
    while len(errors) < MOST_ERRORS:
        module, found = _attempt(remaining, lines)
        if module is not None:
            return module, errors
        errors += found
        span = found[0].span
        blanked = remaining if span is None else _without(remaining, lines, span.start)
        if blanked == remaining:
            break
        remaining = blanked
    return None, errors


def _attempt(source: str, lines: Lines) -> tuple[tree.Module | None, list[Diagnostic]]:
    """One reading of the text: the module, or what is wrong first."""
    from lark.exceptions import UnexpectedCharacters, UnexpectedInput

    try:
        return cast(tree.Module, lalr().parse(source)), []
    except EmmError as error:
        return None, list(error.diagnostics)
    except UnexpectedInput as error:
        from emdsl.syntax.mistakes.characters import unexpected_character
        from emdsl.syntax.mistakes.failure import failure_of
        from emdsl.syntax.mistakes.rules import diagnose

        failure = failure_of(error, source, lines)
        wrong = unexpected_character if isinstance(error, UnexpectedCharacters) else diagnose
        return None, [wrong(failure)]


def _without(source: str, lines: Lines, offset: int) -> str:
    """The text with the declaration at `offset` as blanks (it ends before the next line in the first column)."""
    tops = [start for start, _ in lines if start == 0 or source[start - 1] == "\n"]
    first = max((start for start in tops if start <= offset), default=0)
    last = min((start for start in tops if start > offset), default=len(source))
    blank = "".join("\n" if c == "\n" else " " for c in source[first:last])
    return source[:first] + blank + source[last:]
