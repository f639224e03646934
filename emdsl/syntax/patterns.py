"""Patterns of a `case` arm: what stands before `->`, as alternatives of one pattern for each subject."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

from emdsl.diagnostics.errors import EmmError
from emdsl.diagnostics.spans import Span
from emdsl.syntax import tree

#: More alternatives than this are refused in one arm (a product over the parts of a tuple may explode).
MOST_ALTERNATIVES = 10_000

Row = tuple[tree.Pattern, ...]


@dataclass(frozen=True)
class Branches:
    """Patterns or groups in parentheses, with `,` and `|` between them."""

    parts: tuple[tree.Pattern | Branches | str, ...]
    span: Span


def expand(branches: Branches, subjects: int) -> tuple[Row, ...]:
    """The alternatives, each with one pattern for each subject.

    `a, b | c, d` is two pairs, `a | b, c` is `a, c` or `b, c`: of the two readings the one that fits the number of
    subjects is meant, and no text fits both. A single `_` stands for all subjects.
    """
    rows = _rows(branches, subjects)
    if subjects > 1 and len(rows) == 1 and isinstance(rows[0][0], tree.AnyPattern) and len(rows[0]) == 1:
        rows = [rows[0] * subjects]
    wrong = next((row for row in rows if len(row) != subjects), None)
    if wrong is not None:
        things = "1 variable" if subjects == 1 else f"{subjects} variables"
        raise EmmError(
            "pattern-size",
            f"this pattern has {len(wrong)} part{'s' * (len(wrong) != 1)}, but the case looks at {things}",
            span=branches.span, label="pattern",
            help=f"write `{', '.join(['_'] * subjects)} -> ...` with a label in place of each `_` that matters",
        )  # fmt: skip
    return tuple(rows)


def _rows(branches: Branches, subjects: int | None) -> list[Row]:
    """All alternatives; with `subjects` unknown (a group inside) a `|` divides more than a `,`."""
    by_bar = _split(branches.parts, "|")
    if subjects is not None and len(by_bar) > 1:
        by_comma = _split(branches.parts, ",")
        if len(by_comma) == subjects > 1:
            return _product(
                [[row for p in _split(part, "|") for row in _sequence(p, branches)] for part in by_comma], branches
            )
    return [row for part in by_bar for row in _sequence(part, branches)]


def _sequence(parts: Parts, branches: Branches) -> list[Row]:
    """`p, q, ...` as rows: groups multiply out."""
    choices = [_rows(part, None) if isinstance(part, Branches) else [(part,)] for (part,) in _split(parts, ",")]
    return _product(choices, branches)  # type: ignore[arg-type]


def _product(choices: list[list[Row]], branches: Branches) -> list[Row]:
    count = 1
    for choice in choices:
        count *= len(choice)
    if count > MOST_ALTERNATIVES:
        raise EmmError(
            "pattern-size", f"this pattern stands for {count} alternatives, more than {MOST_ALTERNATIVES}",
            span=branches.span, help="use _ for what does not matter",
        )  # fmt: skip
    return [tuple(p for row in rows for p in row) for rows in product(*choices)]


Parts = tuple[tree.Pattern | Branches | str, ...]


def _split(parts: Parts, separator: str) -> list[Parts]:
    found: list[list[tree.Pattern | Branches | str]] = [[]]
    for part in parts:
        if part == separator:
            found.append([])
        else:
            found[-1].append(part)
    return [tuple(group) for group in found]
