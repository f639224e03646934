"""What a fit claims, and on what evidence, in plain sentences."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from emdsl.results.summary import counted, full

if TYPE_CHECKING:
    from emdsl.results.result import Fit

#: Why a fit stopped, as the end of a sentence.
STOPPED = {
    "decrement": "the log-likelihood still to be gained, by the Newton decrement, fell below the tolerance",
    "score": "the score and the rate of EM say that next to nothing is left to be gained",
    "tolerance": "the log-likelihood stopped rising",
    "iterations": "the limit of iterations was reached",
}


def evidence(fit: Fit) -> Iterator[str]:
    """Sentences: whether it converged and why it stopped, what is left, the starts, the boundary."""
    state = fit.outcome.state
    what = "log-likelihood" if fit.estimator == "ML" else "log posterior density"
    after = f"after {counted(fit.iterations, 'iteration')}"
    why = STOPPED.get(state.stopped_by, state.stopped_by)
    if fit.converged:
        yield f"The fit converged to a maximum of the {what}: {after} {why}."
    else:
        yield f"The fit did not converge: it stopped {after} because {why}. What follows is where it stood then."
    if math.isfinite(state.decrement):
        left = "less than 1e-12" if abs(state.decrement) < 1e-12 else f"{state.decrement:.2g}"
        yield f"The {what} still to be gained nearby is {left}."
    starts = state.starts
    if starts.run > 1:
        yield f"Of {starts.run} random starts {starts.at_best} reached this {what}; none reached a higher one."
        dropped = sum(number for number, _ in starts.dropped)
        if dropped:
            reasons = "; ".join(f"{number}: {reason}" for number, reason in starts.dropped)
            yield f"{counted(dropped, 'start')} {'was' if dropped == 1 else 'were'} dropped ({reasons})."
    else:
        yield "There was one start."
    if state.boundary:
        yield f"At the edge of what they may be: {_listed(state.boundary)}; standard errors say nothing of these."
    if state.unidentified:
        yield f"The data do not determine {_listed(state.unidentified)}."


def _listed(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:12])
    return shown if len(names) <= 12 else f"{shown} and {len(names) - 12} more"


def criteria(fit: Fit) -> Iterator[tuple[str, str]]:
    """The value of the maximum and what is made of it to compare models."""
    yield "estimator", "maximum likelihood" if fit.estimator == "ML" else "posterior mode (MAP)"
    yield "log-likelihood", full(fit.loglik)
    if fit.penalized_loglik is not None:
        yield "with log prior", full(fit.penalized_loglik)
    yield "free parameters", str(fit.parameters)
    if fit.aic is not None:
        yield "AIC", f"{fit.aic:.3f}"
    if fit.bic is not None:
        yield "BIC", f"{fit.bic:.3f} (n = {fit.outcome.bic_n:g})"
    method = fit.outcome.state.se_method
    yield "standard errors", "none" if method == "none" else f"{method}, intervals of {100 * fit.outcome.level:g}%"
