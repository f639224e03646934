"""A fit as a text: what was fitted to what, the evidence that it is the maximum, the estimates."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from emdsl.ir.model import Report
from emdsl.results.elements import Element
from emdsl.results.table import Column, measured, number, pairs, table
from emdsl.results.terms import Term, ends, terms

if TYPE_CHECKING:
    from emdsl.results.result import Fit

#: Elements of one parameter that a table shows unless everything is asked for.
MOST_ELEMENTS = 40


def summary(fit: Fit, *, everything: bool, warnings: bool) -> str:
    """The whole text, without a line end at its end. See `Fit.summary`."""
    model = fit.outcome.model
    blocks = [[model.name + (f": {model.description}" if model.description else "")], pairs(list(_facts(fit)))]
    blocks += [part for part in (_estimates(fit, everything), _reports(fit)) if part]
    if warnings and fit.warnings:
        blocks.append([f"warning: {text}" for text in fit.warnings])
    return "\n\n".join("\n".join(block) for block in blocks)


def _facts(fit: Fit) -> Iterator[tuple[str, str]]:
    outcome, state = fit.outcome, fit.outcome.state
    source = f"{outcome.bound.source}: " if outcome.bound.source else ""
    rows = counted(outcome.bound.rows, "row")
    units = "" if outcome.units == outcome.bound.rows else f", {counted(outcome.units, 'unit')}"
    yield "data", source + rows + units
    if fit.missing:
        cells = ", ".join(f"{column} {count}" for column, count in fit.missing.items())
        yield "missing cells", f"{sum(fit.missing.values())} ({cells})"
    yield "estimator", "maximum likelihood" if fit.estimator == "ML" else "posterior mode (MAP)"
    yield "log-likelihood", full(fit.loglik)
    if fit.penalized_loglik is not None:
        yield "with log prior", full(fit.penalized_loglik)
    yield "free parameters", str(fit.parameters)
    if fit.aic is not None and fit.bic is not None:
        yield "AIC, BIC", f"{fit.aic:.3f}, {fit.bic:.3f} (n = {outcome.bic_n:g})"
    yield "converged", _evidence(fit)
    if math.isfinite(state.decrement):
        left = "less than 1e-12" if abs(state.decrement) < 1e-12 else f"{state.decrement:.2g}"
        yield "still to gain", f"{left} of log-likelihood"
    if state.starts.run > 1:
        yield "starts", f"{state.starts.at_best} of {state.starts.run} reached this log-likelihood"
    if state.se_method != "none":
        yield "standard errors", state.se_method


def full(value: float) -> str:
    """A log-likelihood to six decimals."""
    return f"{value:.6f}" if math.isfinite(value) else str(value)


def _evidence(fit: Fit) -> str:
    """Whether it converged, why it ended, and after how long."""
    from emdsl.results.result import ENDED

    state = fit.outcome.state
    why = ENDED.get(state.stopped_by, state.stopped_by)
    return f"{'yes, ' if fit.converged else 'no: '}{why}, after {counted(fit.iterations, 'iteration')}"


def counted(count: float, noun: str) -> str:
    """`1 row`, `3 rows`."""
    return f"{count:g} {noun}{'' if count == 1 else 's'}" if count < 1e6 else f"{count:.0f} {noun}s"


# --- estimates --------------------------------------------------------------------------------------------------------


def _estimates(fit: Fit, everything: bool) -> list[str]:
    rows: list[Term] = []
    remarks: list[str] = []
    hidden = 0
    state = fit.outcome.state
    noted = dict.fromkeys(state.boundary, "at the boundary")
    noted |= dict.fromkeys(state.unidentified, "not determined by the data")
    for parameter in fit.outcome.model.parameters:
        elements = list(terms(fit, parameter, state.interval))
        shown = elements if everything else elements[:MOST_ELEMENTS]
        hidden += len(elements) - len(shown)
        rows += shown
        said = [noted.get(term.name, "") for term in shown]
        remarks += [", ".join(filter(None, (parameter.description, said[0]))), *said[1:]] if said else []
    if not rows:
        return []
    numbers = [(term.name, term.estimate, term.se, term.low, term.high) for term in rows]
    lines = _table("parameter", numbers, remarks, fit)
    if hidden:
        lines.append(f"and {hidden} more elements: --verbose shows all of them")
    return lines


def _reports(fit: Fit) -> list[str]:
    rows: list[tuple[str, float, float, float, float]] = []
    remarks: list[str] = []
    for report in fit.outcome.model.reports:
        found = list(report_rows(fit, report))
        rows += found
        remarks += [report.description, *[""] * (len(found) - 1)] if found else []
    return _table("report", rows, remarks, fit) if rows else []


def report_rows(fit: Fit, report: Report) -> Iterator[tuple[str, float, float, float, float]]:
    """The elements of a report: a name, estimate, standard error, and the ends of the interval; NaN for none."""
    estimate, se, interval = fit.outcome.reports[report.name]
    labels = [fit.outcome.bound.indexes[binder.index_set] for binder in report.binders]
    for place in product(*(range(len(axis)) for axis in labels)):
        name = str(Element(report.name, tuple(axis[at] for axis, at in zip(labels, place, strict=True))))
        error = math.nan if se is None else float(np.asarray(se)[place])
        low, high = (math.nan, math.nan) if interval is None else np.asarray(interval)[place].tolist()
        yield name, float(np.asarray(estimate)[place]), error, low, high


def _table(
    title: str, rows: list[tuple[str, float, float, float, float]], remarks: list[str], fit: Fit
) -> list[str]:  # fmt: skip
    """Estimates with as many digits as their standard errors support. Without any error those columns are left out."""
    columns = [
        Column(title, tuple(row[0] for row in rows)),
        Column("estimate", tuple(measured(row[1], row[2]) for row in rows), "point"),
    ]
    if any(math.isfinite(row[2]) for row in rows):
        low, high = ends(fit.outcome.level)
        columns += [
            Column("std. error", tuple(number(row[2], 3) for row in rows), "point"),
            Column(low, tuple(measured(row[3], row[2]) for row in rows), "point"),
            Column(high, tuple(measured(row[4], row[2]) for row in rows), "point"),
        ]
    return table([*columns, Column("", tuple(remarks))])
