"""The table of common mistakes: the first rule that fits speaks, and where none fits, the plain message."""

from __future__ import annotations

import re
from collections.abc import Callable

from emdsl.diagnostics.errors import Diagnostic
from emdsl.diagnostics.suggest import closest
from emdsl.syntax.mistakes import blocks, expressions, headings, labels, laws
from emdsl.syntax.mistakes.expectations import plain
from emdsl.syntax.mistakes.failure import NAME, Failure
from emdsl.syntax.mistakes.openings import opening

Rule = Callable[[Failure], Diagnostic | None]


def diagnose(failure: Failure) -> Diagnostic:
    """The message for a failure of the grammar."""
    for rule in RULES:
        if (found := rule(failure)) is not None:
            return found
    return plain(failure)


def misspelt_keyword(f: Failure) -> Diagnostic | None:
    """`for eech x:`, `Normal(0, 1) frist`."""
    if not re.match(r"[^\W\d]", f.word()) or f.expects(NAME):
        return None
    words = sorted(kind for kind in f.expected if kind.islower())
    near = closest(f.word(), words)
    if near is not None:
        return Diagnostic(
            "unknown-word", f"expected `{near}`, found `{f.word()}`", f.span,
            f"write `{f.replaced(f.at, f.at + 1, near)}`",
        )  # fmt: skip
    if len(f.expected) == 1 and words:
        missing = words[0] in ("each", "by")
        fixed = f.inserted(f.at, f" {words[0]} ") if missing else f.replaced(f.at, f.at + 1, words[0])
        return Diagnostic(
            "unknown-word", f"expected `{words[0]}`, found `{f.word()}`", f.span,
            f"write `{fixed}`",
        )  # fmt: skip
    return None


RULES: tuple[Rule, ...] = (
    blocks.empty_block,
    blocks.unexpected_indentation,
    blocks.missing_colon,
    blocks.block_on_one_line,
    opening,
    headings.several_names,
    headings.missing_domain,
    headings.assignment_sign,
    headings.equals_for_tilde,
    headings.tilde_for_equals,
    headings.index_source,
    headings.quoted_variable,
    headings.family_definition,
    headings.const_domain,
    headings.early_description,
    expressions.dotted,
    laws.chain_law,
    laws.law_without_arguments,
    laws.law_in_arithmetic,
    labels.arm_arrow,
    labels.label_to_quote,
    expressions.chained_comparison,
    expressions.foreign_operator,
    expressions.index_of_index,
    expressions.foreign_expression,
    misspelt_keyword,
    expressions.missing_operator,
    expressions.unfinished_line,
)
