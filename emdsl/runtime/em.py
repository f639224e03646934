"""The EM algorithm itself: one step, and many, with a watch on the log-likelihood."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from emdsl.runtime.problem import Array, Problem, Theta


@dataclass(frozen=True, slots=True)
class Iterate:
    """A point with its E-step done. `value` is the log-likelihood and the log prior together: what EM raises."""

    theta: dict[str, Array]
    statistics: Any
    loglik: float
    value: float

    @property
    def usable(self) -> bool:
        """Whether the objective is a number."""
        return bool(np.isfinite(self.value))


#: Called as `progress(stage, iteration, iterate)`.
Progress = Callable[[str, int, Iterate], None]


@dataclass(frozen=True, slots=True)
class Run:
    """Some iterations. `settled`: the gains fell below what was asked; `fell`: the largest fall of the objective beyond
    rounding, 0 if none; `broke`: the run stopped because the next point cannot be computed (a singular matrix) or has
    no finite objective; `collapse` names
    elements that fall to a bound while the objective rises without end; `trace` holds `(iteration, log-likelihood)`."""

    iterate: Iterate
    iterations: int
    settled: bool
    fell: float
    broke: bool
    trace: tuple[tuple[int, float], ...]
    collapse: tuple[str, ...] = ()


def rounding(value: float) -> float:
    """How far two evaluations of the same log-likelihood may differ by the order of a sum."""
    return 1e-13 * (1.0 + abs(value))


def worth_having(value: float) -> float:
    """A gain in log-likelihood that is no rounding error."""
    return max(1e-9, 1e3 * rounding(value))


def evaluate(problem: Problem, theta: Theta) -> Iterate:
    """The E-step at theta."""
    expectation = problem.expect(theta)
    loglik = float(expectation.loglik)
    return Iterate(dict(theta), expectation.statistics, loglik, loglik + problem.log_prior(theta))


def evaluate_if_possible(problem: Problem, theta: Theta) -> Iterate | None:
    """The E-step at a point that nobody vouches for: None where it has no finite objective, or a matrix cannot be
    factored."""
    try:
        found = evaluate(problem, theta)
    except (np.linalg.LinAlgError, FloatingPointError):
        return None
    return found if found.usable else None


def em_step(problem: Problem, iterate: Iterate) -> Iterate:
    """One M-step and the E-step at the point it gives."""
    return evaluate(problem, problem.maximize(iterate.theta, iterate.statistics))


def plain_em(
    problem: Problem,
    start: Iterate,
    limit: int,
    *,
    gain: float = 0.0,
    done: int = 0,
    stage: str = "em",
    progress: Progress | None = None,
) -> Run:
    """At most `limit` EM iterations; with `gain` > 0, until three in a row each gain less than that.

    `done` iterations have gone before (for the trace).
    """
    current, fell, quiet, broke = start, 0.0, 0, False
    following: Iterate | None
    trace: list[tuple[int, float]] = []
    for iteration in range(done + 1, done + limit + 1):
        try:
            following = em_step(problem, current)
        except np.linalg.LinAlgError:
            following = None
        if following is None or not following.usable:
            broke = True
            break
        rise = following.value - current.value
        if rise < 0:
            fell = max(fell, -rise)
        current = following
        trace.append((iteration, current.loglik))
        if progress is not None:
            progress(stage, iteration, current)
        quiet = quiet + 1 if rise < gain and gain > 0 else 0
        if quiet == 3:
            break
    beyond = fell if fell > 1e-10 * (1.0 + abs(current.value)) else 0.0
    return Run(current, len(trace), quiet == 3, beyond, broke, tuple(trace))
