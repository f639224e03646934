"""Mistakes in the branches of a `case` and in lists of labels."""

from __future__ import annotations

from emdsl.diagnostics.errors import Diagnostic
from emdsl.syntax.mistakes.failure import Failure
from emdsl.syntax.printer import quoted


def arm_arrow(f: Failure) -> Diagnostic | None:
    """`a => x`, `a: x`, `a = x`."""
    if not f.expects("->") or f.word() not in ("=", ":", "~"):
        return None
    last = f.at + 2 if f.word() + f.word(1) == "=>" else f.at + 1
    return Diagnostic(
        "wrong-sign", f"a branch is `pattern -> value`: expected `->`, found `{f.line(f.at, last)}`", f.span,
        f"write `{f.replaced(f.at, last, ' -> ')}`".replace("  ", " "),
    )  # fmt: skip


def label_to_quote(f: Failure) -> Diagnostic | None:
    """`{non-smoker, smoker}`, `AB+ -> x`."""
    in_pattern = f.expects("->") or (f.keyword != "index" and f.expected == {":"} and "{" in f.line(0, f.at))
    in_list = f.keyword == "index" and "{" in f.line(0, f.at) and f.expects("}", ",")
    if not (in_pattern or in_list):
        return None
    if f.word() == "..":
        fixed = f.line().translate(str.maketrans("", "", "{}"))
        return Diagnostic("index-source", "a range stands without braces", f.span, f"write `{fixed}`")
    stops = {"{", "}", ",", "|", "->", "/", ":"} if in_pattern else {"{", "}", ","}
    first = last = f.at
    while first > 0 and f.words[first - 1].text not in stops:
        first -= 1
    while last < len(f.words) and f.words[last].text not in stops:
        last += 1
    if last == f.at or first == f.at:
        return None
    label = f.line(first, last)
    return Diagnostic(
        "label-to-quote", f"`{label}` is no name: such a label stands in quotes", f.span,
        f"write `{f.replaced(first, last, quoted(label))}`",
    )  # fmt: skip
