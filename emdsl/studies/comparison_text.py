"""A comparison as a text: a table with a row for each model, then what failed, then the tests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from emdsl.results.table import ABSENT, Column, number, pairs, table
from emdsl.studies.criteria import CRITERIA, Row

if TYPE_CHECKING:
    from emdsl.studies.comparison import Comparison

#: What stands behind the best value of a criterion.
BEST = "*"


def comparison_text(found: Comparison) -> str:
    """The whole text, without a line end at its end."""
    blocks = [pairs(list(_facts(found))), _rows(found)]
    marked = [name.upper() for name, row in found.best.items() if row is not None]
    if marked:
        blocks[-1].append(f"{BEST} the smallest {', '.join(marked)}")
    failed = [f"{row.name}: {row.reason}" for row in found.rows if row.fit is None]
    blocks += [part for part in (failed, _tests(found)) if part]
    blocks += [[f"note: {text}" for text in found.notes]] if found.notes else []
    return "\n\n".join("\n".join(block) for block in blocks)


def _facts(found: Comparison) -> Iterator[tuple[str, str]]:
    source = f"{found.source}: " if found.source else ""
    yield "data", f"{source}{found.data_rows} row{'' if found.data_rows == 1 else 's'}"
    if found.explained.columns:
        columns = sorted(found.explained.columns)
        shown = ", ".join(columns[:12])
        yield "explained", shown if len(columns) <= 12 else f"{shown} and {len(columns) - 12} more"


def _rows(found: Comparison) -> list[str]:
    rows, best = found.rows, found.best
    entropies = any(row.certainty.entropy is not None for row in rows)
    columns = [
        Column("model", tuple(row.name for row in rows)),
        Column("log-likelihood", tuple(_fixed(None if r.fit is None else r.fit.loglik, 4) for r in rows), "point"),
        Column("parameters", tuple(ABSENT if row.fit is None else str(row.fit.parameters) for row in rows), "point"),
    ]
    for name in CRITERIA:
        if name != "icl" or entropies:
            columns.append(Column(name.upper(), tuple(_marked(row, name, best[name]) for row in rows), "point"))
    if entropies:
        columns += [
            Column("entropy", tuple(number(row.certainty.entropy, 5) for row in rows), "point"),
            Column("relative entropy", tuple(_fixed(row.certainty.relative, 4) for row in rows), "point"),
        ]
    return table([
        *columns,
        Column("converged", tuple(_converged(row) for row in rows)),
        Column("starts at best", tuple(_starts(row) for row in rows)),
    ])  # fmt: skip


def _fixed(value: float | None, decimals: int) -> str:
    return ABSENT if value is None else f"{value:.{decimals}f}"


def _marked(row: Row, name: str, best: str | None) -> str:
    value = row.criterion(name)
    return ABSENT if value is None else f"{value:.3f}{BEST if row.name == best else ''}"


def _converged(row: Row) -> str:
    if row.fit is None:
        return "failed"
    return "yes" if row.fit.converged else "no"


def _starts(row: Row) -> str:
    if row.fit is None:
        return ABSENT
    starts = row.fit.outcome.state.starts
    return f"{starts.at_best} of {starts.run}"


def _tests(found: Comparison) -> list[str]:
    """The tests, with a line that says what they are."""
    tests = found.tests
    if not tests:
        return []
    lines = table([
        Column("null", tuple(test.null for test in tests)),
        Column("alternative", tuple(test.alternative for test in tests)),
        Column("2 log LR", tuple(_fixed(test.statistic, 4) for test in tests), "point"),
        Column("p-value", tuple(number(test.p_value, 3) for test in tests), "point"),
        Column("replicates", tuple(str(len(test.statistics)) for test in tests), "point"),
        Column("failed", tuple(str(test.failed) for test in tests), "point"),
    ])  # fmt: skip
    return ["likelihood-ratio tests by parametric bootstrap: data drawn from the null model, both fitted again", *lines]
