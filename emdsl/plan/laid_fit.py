"""Fits whose nodes are laid where the posterior lies: found from a coarse fit, and laid again until they stand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from emdsl.data.bound import Bound
from emdsl.ir.derivation import Derivation
from emdsl.plan.laying import afresh, doubled, laid_names, with_laid_nodes
from emdsl.plan.narrow_laws import narrow_reason, too_narrow
from emdsl.plan.problem import BoundProblem
from emdsl.runtime.fitting import FitState, fit_failure
from emdsl.runtime.problem import Theta

#: How often nodes are laid anew at most.
MOST_LAYINGS = 12


@dataclass(frozen=True)
class LaidFit:
    """How a fit is made at given nodes.

    `problem` makes the program on data with nodes. `search` runs all starts on it, roughly; `climb` goes from theta to
    the maximum. `given`: the user says where to begin, so that nodes are laid for that point.
    """

    derivation: Derivation
    problem: Callable[[Bound, Theta | None], BoundProblem]
    search: Callable[[BoundProblem], FitState]
    climb: Callable[[BoundProblem], FitState]
    given: bool


def fit_on_laid_nodes(bound: Bound, make: LaidFit) -> tuple[BoundProblem, Bound, FitState]:
    """The fit on nodes that stand where its posterior lies."""
    first = make.problem(bound, None)
    theta = first.initial()
    bound = with_laid_nodes(make.derivation, bound, theta, finely=make.given)
    found = _found(bound, make, theta)
    state, iterations = found, found.iterations
    bound = afresh(make.derivation, bound) if not make.given else bound
    for _ in range(MOST_LAYINGS):
        bound = with_laid_nodes(make.derivation, bound, state.theta)
        problem = make.problem(bound, state.theta)
        state = make.climb(problem)
        iterations += state.iterations
        state = replace(state, starts=found.starts, iterations=iterations)
        if not state.converged or with_laid_nodes(make.derivation, bound, state.theta).laid == bound.laid:
            return problem, bound, state
    said = f"the nodes of {', '.join(laid_names(make.derivation))} do not come to rest"
    return problem, bound, replace(state, converged=False, warnings=(*state.warnings, said))


def _found(bound: Bound, make: LaidFit, theta: Theta) -> FitState:
    """The best of all starts, on nodes so many that none of them fell between the nodes."""
    while True:
        problem = make.problem(bound, theta)
        state = make.search(problem)
        narrow = {narrow_reason(name) for name in laid_names(make.derivation)}
        lost = any(reason in narrow for _, reason in state.starts.dropped)
        if not lost and too_narrow(problem.program, state.theta) is None:
            return state
        finer = doubled(make.derivation, bound)
        if finer is None:
            if too_narrow(problem.program, state.theta) is None:
                return state
            reason = too_narrow(problem.program, state.theta)
            raise fit_failure(f"{reason}, however many there are: it may not vary at all", state)
        bound = finer
