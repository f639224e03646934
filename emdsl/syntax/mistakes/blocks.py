"""Mistakes of blocks: a missing colon, a body that is not there or stands on the same line."""

from __future__ import annotations

from emdsl.diagnostics.errors import Diagnostic
from emdsl.syntax.mistakes.failure import BLOCK, LINE_END, TEXT, Failure
from emdsl.syntax.scan import Places


def empty_block(f: Failure) -> Diagnostic | None:
    """Nothing is indented below `for each x:`."""
    if f.expected != {BLOCK} or not f.earlier:
        return None
    inner = "branches" if any(word.text == "case" for word in f.earlier) else "lines"
    header = Places(f.source).span(f.earlier[0].start, f.earlier[-1].end)
    return Diagnostic(
        "empty-block", f"no indented {inner} follow `{f.earlier_line}`", header,
        f"indent the {inner} that belong to it by 4 spaces", f"has no {inner}",
    )  # fmt: skip


def unexpected_indentation(f: Failure) -> Diagnostic | None:
    """A line goes deeper, but the one before it opens no block."""
    if f.kind != BLOCK:
        return None
    return Diagnostic(
        "unexpected-indentation", "this line is indented, but the line before it opens no block", f.span,
        f"align it with `{f.earlier_line}`; a long line may break inside brackets only",
    )  # fmt: skip


def missing_colon(f: Failure) -> Diagnostic | None:
    """`for each x` without `:`."""
    if not (f.expects(":") and f.kind in (LINE_END, TEXT)) or not _is_header(f):
        return None
    return Diagnostic(
        "missing-colon", f"expected `:` after `{f.line(0, f.at)}`", f.span, f"write `{f.inserted(f.at, ':')}`",
        "expected `:`",
    )  # fmt: skip


def block_on_one_line(f: Failure) -> Diagnostic | None:
    """`for each x: weight w`."""
    if not (f.word(-1) == ":" and f.expects(LINE_END, TEXT) and _is_header(f)):
        return None
    return Diagnostic(
        "block-on-one-line", "a block begins on the line after `:`", f.span,
        f"write\n{f.line(0, f.at)}\n    {f.line(f.at)}",
    )  # fmt: skip


def _is_header(f: Failure) -> bool:
    return f.keyword in ("for", "family") or any(word.text == "case" for word in f.words[: f.at])
