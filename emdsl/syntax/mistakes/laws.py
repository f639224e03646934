"""Mistakes after `~`."""

from __future__ import annotations

from emdsl.diagnostics.errors import Diagnostic
from emdsl.syntax.mistakes.expectations import found_phrase
from emdsl.syntax.mistakes.failure import LINE_END, NAME, Failure


def law_without_arguments(f: Failure) -> Diagnostic | None:
    """`~ Normal`, `~ 3`."""
    if f.expected == {"("} and "~" in [w.text for w in f.words[: f.at]]:
        return Diagnostic(
            "law-without-arguments", f"expected `(` and the arguments of `{f.word(-1)}`, found {found_phrase(f)}",
            f.span, f"write `{f.line(0, f.at)}(...)`",
        )  # fmt: skip
    if f.expects("~") and f.kind == LINE_END and f.keyword in ("latent", "observed"):
        return Diagnostic(
            "missing-law", f"expected `~` and the distribution of `{f.word(1 - f.at)}`, found the end of the line",
            f.span, f"write `{f.line()} ~ Distribution(...)`",
        )  # fmt: skip
    if f.expected == {NAME, "case"}:
        return Diagnostic(
            "not-a-law", f"expected a distribution after `~`, found {found_phrase(f)}", f.span,
            "write a distribution as `Normal(mean, sd)`; `=` gives a value that is computed",
        )  # fmt: skip
    return None


def chain_law(f: Failure) -> Diagnostic | None:
    """`~ A first`, `~ A first B after`, `~ A first, B`, `~ A first,` and B on the next line."""
    if f.word(-1) == "," and f.word(-2) == "first" and f.kind == LINE_END:
        return Diagnostic(
            "chain-law", f"expected the law that comes after, found {found_phrase(f)}", f.span,
            f"go on in the same line, `{f.line()} Distribution(...) after`, or break the line inside brackets",
        )  # fmt: skip
    if f.word(-1) == "first" and f.expected == {","}:
        rest = f.line(f.at) or "Distribution(...) after"
        fixed = f"{f.line(0, f.at)}, {rest}"
    elif f.expects("after") and f.kind == LINE_END:
        fixed = f.line() + " after"
    else:
        return None
    missing = "," if f.expects(",") else "after"
    return Diagnostic(
        "chain-law", f"a chain's law is `D1 first, D2 after`: expected `{missing}`, found {found_phrase(f)}",
        f.span, f"write `{fixed}`",
    )  # fmt: skip


def law_in_arithmetic(f: Failure) -> Diagnostic | None:
    """`~ Normal(0, 1) + e`."""
    if f.word() not in ("+", "-", "*", "/") or not f.expects("truncated", "censored"):
        return None
    return Diagnostic(
        "law-in-arithmetic", f"a distribution is no number: `{f.word()}` cannot follow it", f.span,
        "put the term into its arguments, as in `Normal(a + b, sd)`; a mixture is a `latent` and `case`",
    )  # fmt: skip
