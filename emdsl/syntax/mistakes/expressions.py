"""Mistakes in expressions, many of them habits from other languages."""

from __future__ import annotations

import re

from emdsl.diagnostics.errors import Diagnostic
from emdsl.syntax.mistakes.characters import number_or_dots, run_at
from emdsl.syntax.mistakes.expectations import expected_phrase, found_phrase
from emdsl.syntax.mistakes.failure import LINE_END, NAME, NUMBER, TEXT, Failure

_COMPARISONS = ("==", "!=", "<", "<=", ">", ">=")
_VALUE = re.compile(r'[\w")\]}]')


def foreign_operator(f: Failure) -> Diagnostic | None:
    """`**`, `//`, `||`, `=` for `==`."""
    if f.word() == "*" and f.word(-1) == "*":
        return _operator(f, "`**` is no operator; a power is `^`", f.replaced(f.at - 1, f.at + 1, "^"))
    if f.word() == "/" and f.word(-1) == "/":
        return Diagnostic(
            "foreign-operator", "`//` is no operator", f.span,
            f"a comment begins with `#`: write `{f.line(0, f.at - 1)}  # ...`",
        )  # fmt: skip
    if f.word() == "|" and f.expects("or"):
        last = f.at + 2 if f.word(1) == "|" else f.at + 1
        return _operator(f, f"`{f.line(f.at, last)}` is no operator", f.replaced(f.at, last, " or ").replace("  ", " "))
    if f.word() == "=" and f.expects("=="):
        return _operator(f, "`=` defines; `==` compares", f.replaced(f.at, f.at + 1, "=="))
    return None


def _operator(f: Failure, message: str, fixed: str) -> Diagnostic:
    return Diagnostic("foreign-operator", message, f.span, f"write `{fixed}`")


def chained_comparison(f: Failure) -> Diagnostic | None:
    """`0 < x < 1`."""
    if f.word() not in _COMPARISONS or not f.expects("and") or f.expects("=="):
        return None
    if f.word(-2) in _COMPARISONS and f.word(-1):
        help = f"write `{f.replaced(f.at, f.at + 1, f'and {f.word(-1)} {f.word()}')}`"
    else:
        help = "join two comparisons with `and`"
    return Diagnostic("chained-comparison", "comparisons do not chain", f.span, help)


def index_of_index(f: Failure) -> Diagnostic | None:
    """`a[i][j]`."""
    if f.word() != "[" or f.word(-1) not in ("]", ")"):
        return None
    if f.word(-1) == ")":
        return Diagnostic(
            "index-of-index", "only a name or a function's result can be indexed", f.span,
            "give the expression a name with `let` and index that",
        )  # fmt: skip
    return Diagnostic(
        "index-of-index", "all indices stand in one pair of brackets", f.span,
        f"write `{f.replaced(f.at - 1, f.at + 1, ', ')}`",
    )  # fmt: skip


def foreign_expression(f: Failure) -> Diagnostic | None:
    """Python's and R's ways of writing what is written otherwise here."""
    if f.word() == "for" and f.expects("*"):
        return Diagnostic("foreign-syntax", "a sum names its index first", f.span, "write `sum(i in idx: expression)`")
    if f.word() == "if" and f.expects("*"):
        return Diagnostic(
            "foreign-syntax", "a choice is written with `where`", f.span, "write `where(condition, value, other_value)`"
        )
    if f.word(-1) == "in" and f.expected == {NAME}:
        return Diagnostic(
            "not-an-index-set", f"after `in` stands the name of an index set, found {found_phrase(f)}", f.span,
            "declare `index k = 1..3` and write `in k`",
        )  # fmt: skip
    if f.word(-1) == "case" and f.kind != LINE_END and f.expects("*"):
        return Diagnostic(
            "case-inside", "a `case` stands alone after `=`, `~` or `->`", f.span,
            f"give it a name of its own: `let v = case {f.word()}:`",
        )  # fmt: skip
    if f.word(-1) == "not" and f.expects("*"):
        return Diagnostic(
            "not-inside", "`not` binds less than arithmetic and comparisons", f.span, f"write `(not {f.word()})`"
        )
    return None


def missing_operator(f: Failure) -> Diagnostic | None:
    """`2 x`, `(a) (b)`, `Normal(mu sigma)`."""
    if not f.expects("*") or f.kind == TEXT or not _VALUE.match(f.word(-1)[-1:]) or not re.match(r"[\w(]", f.word()):
        return None
    product = f.inserted(f.at, "*")
    comma = f", or `{f.inserted(f.at, ', ')}`" if f.expects(",") else ""
    return Diagnostic(
        "missing-operator", f"expected an operator between `{f.word(-1)}` and `{f.word()}`", f.span,
        f"write `{product}`{comma}",
    )  # fmt: skip


def unfinished_line(f: Failure) -> Diagnostic | None:
    """The line ends where a value is missing."""
    if f.kind != LINE_END or not f.expects(NAME, NUMBER, "("):
        return None
    return Diagnostic(
        "syntax", f"expected {expected_phrase(f.expected)} after `{f.word(-1)}`, found the end of the line", f.span,
        "a long line may break inside brackets only: `( ... )`",
    )  # fmt: skip


def dotted(f: Failure) -> Diagnostic | None:
    """`1.2.3`, `p.1`."""
    run = run_at(f.source, f.offset) if f.word() == "." else None
    return number_or_dots(f, *run) if run is not None else None
