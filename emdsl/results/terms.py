"""The elements of all parameters as rows: for tables, data frames and summaries."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from emdsl.diagnostics.errors import EmmError
from emdsl.ir.model import Parameter
from emdsl.results.elements import Element

if TYPE_CHECKING:
    from emdsl.results.result import Fit

Array = NDArray[np.float64]

#: Domains in which 0 is an inner point, so that a Wald test against 0 means something.
_UNBOUNDED = ("real", "contrast", "ordered")


@dataclass(frozen=True)
class Term:
    """One element of a parameter; NaN where there is no number."""

    name: str
    parameter: Parameter
    estimate: float
    se: float
    low: float
    high: float
    labels: tuple[str, ...] = ()


def all_terms(fit: Fit, intervals: Mapping[str, Array] | None = None) -> list[Term]:
    """The elements of all parameters, in order of declaration; `intervals`, `(*shape, 2)`, stand for the fit's own."""
    chosen = fit.outcome.state.interval if intervals is None else intervals
    return [term for parameter in fit.outcome.model.parameters for term in terms(fit, parameter, chosen)]


def terms(fit: Fit, parameter: Parameter, intervals: Mapping[str, Array] | None) -> Iterator[Term]:
    """The elements of a parameter in order; of a symmetric matrix, those on and above the diagonal."""
    state, indexes = fit.outcome.state, fit.outcome.bound.indexes
    value = np.asarray(state.estimates[parameter.name], dtype=float)
    se = np.full(value.shape, np.nan) if state.se is None else state.se[parameter.name]
    interval = np.full((*value.shape, 2), np.nan) if intervals is None else intervals[parameter.name]
    labels = [indexes[axis] for axis in parameter.array_axes]
    symmetric = parameter.domain.kind in ("covariance", "correlation")
    for place in product(*map(range, value.shape)):
        if symmetric and place[-2] > place[-1]:
            continue
        here = tuple(axis[at] for axis, at in zip(labels, place, strict=True))
        low, high = interval[place].tolist()
        name = str(Element(parameter.name, here))
        yield Term(name, parameter, float(value[place]), float(se[place]), low, high, here)


def tidy_columns(fit: Fit) -> dict[str, list[Any]]:
    """The columns of broom's `tidy`."""
    rows = all_terms(fit)
    tested = [_wald(row) for row in rows]
    return {
        "term": [row.name for row in rows],
        "estimate": [row.estimate for row in rows],
        "std.error": [row.se for row in rows],
        "statistic": [statistic for statistic, _ in tested],
        "p.value": [p for _, p in tested],
        "conf.low": [row.low for row in rows],
        "conf.high": [row.high for row in rows],
    }


def _wald(term: Term) -> tuple[float, float]:
    """z = estimate / se, and P(|Z| > |z|) for a standard Normal Z."""
    if term.parameter.domain.kind not in _UNBOUNDED or not term.se > 0:
        return math.nan, math.nan
    z = term.estimate / term.se
    return z, math.erfc(abs(z) / math.sqrt(2))


def interval_columns(fit: Fit, level: float | None = None) -> dict[str, list[Any]]:
    """Terms and the ends of their intervals; for another level they are worked out anew on the same scale."""
    if level is not None and not 0 < level < 1:
        raise EmmError("bad-option", f"expected a number between 0 and 1, found `{level!r}`", place="level")
    chosen = fit.outcome.level if level is None else level
    rows = all_terms(fit, None if level is None else _intervals(fit, level))
    low, high = ends(chosen)
    return {"term": [row.name for row in rows], low: [row.low for row in rows], high: [row.high for row in rows]}


def ends(level: float) -> tuple[str, str]:
    """`2.5 %` and `97.5 %` of 0.95."""
    tail = round(50 * (1 - level), 10)
    return f"{tail:g} %", f"{100 - tail:g} %"


def _intervals(fit: Fit, level: float) -> dict[str, Array] | None:
    """The intervals of another level; None where there are no standard errors."""
    from emdsl.runtime.uncertainty import natural_interval, normal_quantile

    spread, theta = fit.outcome.state.uncertainty, fit.outcome.state.theta
    if spread is None:
        return None
    return {
        space.name: natural_interval(
            space, np.asarray(theta[space.name], dtype=float), spread.se[space.name], normal_quantile(level)
        )
        for space in spread.coordinates.spaces
    }
