"""Panels that every fit has: estimates with their intervals by parameter, and the way to the maximum."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from emdsl.results.plots.panels import Climbing, Intervals
from emdsl.results.terms import terms

if TYPE_CHECKING:
    from emdsl.results.result import Fit

#: Elements of one parameter that a panel shows.
MOST_ELEMENTS = 40
#: Domains in which 0 is an inner point.
_UNBOUNDED = ("real", "contrast", "ordered")


def estimates(fit: Fit) -> Iterator[Intervals]:
    """A panel for each parameter; of a long array its first elements."""
    for parameter in fit.outcome.model.parameters:
        found = list(terms(fit, parameter, fit.outcome.state.interval))
        shown = found[:MOST_ELEMENTS]
        if not shown:
            continue
        notes = [f"the first {len(shown)} of {len(found)} elements"] * (len(shown) < len(found))
        if not any(np.isfinite(term.low) for term in shown):
            notes.append("no intervals")
        title = parameter.name + (f": {parameter.description}" if parameter.description else "")
        estimate, low, high = (
            np.array([getattr(term, part) for term in shown]) for part in ("estimate", "low", "high")
        )
        labels = tuple(", ".join(term.labels) or parameter.name for term in shown)
        zero = parameter.domain.kind in _UNBOUNDED
        yield Intervals(title, ", ".join(notes), labels, estimate, low, high, parameter.name, zero)


def climbing(fit: Fit) -> Climbing:
    """The log-likelihood (with the log prior, where there is one) still to be gained, by iteration."""
    state = fit.outcome.state
    at, values = (np.array(part, dtype=float) for part in zip(*state.trace, strict=True)) if state.trace else (
        np.zeros(0), np.zeros(0)
    )  # fmt: skip
    top = float(np.max([*values[np.isfinite(values)], state.penalized_loglik]))
    gap = top - values
    shown = np.isfinite(gap) & (gap > 0.0)
    what = "log-likelihood" if fit.estimator == "ML" else "log-likelihood and log prior"
    note = f"up to {top:.6g}" if shown.any() else f"{top:.6g} from the first iteration on"
    return Climbing(f"{what} still to gain", note, at[shown], gap[shown])
