"""A study of recovery as a text: how many fits count, then a row for each element."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from emdsl.results.table import ABSENT, Column, measured, number, pairs, table

if TYPE_CHECKING:
    from emdsl.studies.recovery import Recovery

#: Reasons of fits that do not count that are written out.
MOST_REASONS = 5


def recovery_text(found: Recovery) -> str:
    """The whole text, without a line end at its end."""
    blocks = [[f"{found.model}: what becomes of the true values"], pairs(list(_facts(found))), _elements(found)]
    blocks += [[f"note: {text}" for text in found.notes]] if found.notes else []
    return "\n\n".join("\n".join(block) for block in blocks if block)


def _facts(found: Recovery) -> Iterator[tuple[str, str]]:
    run = len(found.replicates)
    yield "data sets", f"{run} of {found.units} units, seed {found.seed}"
    without = run - found.converged - found.failed
    left_out = [f"{without} did not converge"] * bool(without) + [f"{found.failed} failed"] * bool(found.failed)
    yield "fits", ", ".join([f"{found.converged} of {run} converged", *left_out])
    reasons = Counter(item.reason for item in found.replicates if item.reason)
    for reason, count in reasons.most_common(MOST_REASONS):
        yield "", f"{count}: {reason}"
    if found.matched:
        yield "labels", f"matched to the truth: {', '.join(found.matched)}"


def _elements(found: Recovery) -> list[str]:
    rows = found.summaries
    intervals = any(row.intervals for row in rows)
    columns = [
        Column("parameter", tuple(row.name for row in rows)),
        Column("true", tuple(number(row.true) for row in rows), "point"),
        Column("mean", tuple(measured(row.mean, row.bias_error) for row in rows), "point"),
        Column("bias", tuple(measured(row.bias, row.bias_error, 3) for row in rows), "point"),
        Column("(± MC)", tuple(number(row.bias_error, 2) for row in rows), "point"),
        Column("RMSE", tuple(number(row.rmse, 3) for row in rows), "point"),
        Column("sd", tuple(number(row.sd, 3) for row in rows), "point"),
    ]
    if any(row.mean_se is not None for row in rows):
        columns.append(Column("mean std. error", tuple(number(row.mean_se, 3) for row in rows), "point"))
    if intervals:
        level = f"{100 * found.level:g} % coverage"
        columns += [
            Column(level, tuple(_share(row.coverage) for row in rows), "point"),
            Column("(± MC)", tuple(_share(row.coverage_error) for row in rows), "point"),
        ]
        if any(0 < row.intervals < found.converged for row in rows):
            columns.append(Column("intervals", tuple(str(row.intervals) for row in rows), "point"))
    return table(columns)


def _share(value: float | None) -> str:
    return ABSENT if value is None else f"{value:.3f}"
