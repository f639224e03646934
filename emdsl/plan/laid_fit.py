"""Fits whose nodes are laid where the posterior lies: found from a coarse fit, and laid again until they stand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from emdsl.data.bound import Bound
from emdsl.diagnostics.errors import EmmError
from emdsl.ir.derivation import Derivation
from emdsl.plan.laying import afresh, as_fine, doubled, laid_names, on_most_nodes, stand, with_laid_nodes
from emdsl.plan.problem import BoundProblem
from emdsl.runtime.fitting import FitState, StartsReport, fit_failure
from emdsl.runtime.problem import Array, Theta
from emdsl.runtime.starts import Search

#: How often nodes are laid anew at most.
MOST_LAYINGS = 12
#: Starts by which the number of nodes is found that all of them can be run on.
SCOUTS = 2


@dataclass(frozen=True)
class LaidFit:
    """How a fit is made at given nodes.

    `problem` makes the program on data with nodes. `search` runs that many starts on it (None: all), `climb` goes from
    where the problem begins to the maximum. `given`: the user says where to begin, and nodes are laid for that point.
    """

    derivation: Derivation
    problem: Callable[[Bound], BoundProblem]
    search: Callable[[BoundProblem, int | None], Search]
    climb: Callable[[BoundProblem], FitState]
    given: bool


def fit_on_laid_nodes(bound: Bound, make: LaidFit) -> tuple[BoundProblem, Bound, FitState]:
    """The fit on nodes that stand where its posterior lies."""
    problem = make.problem(bound)
    theta: Theta = problem.initial()
    bound = with_laid_nodes(make.derivation, bound, theta, finely=make.given)
    starts: StartsReport | None = None
    if not make.given:
        theta, starts, bound = _found(bound, make)
        bound = afresh(make.derivation, bound)
    iterations = 0
    state: FitState | None = None
    for _ in range(MOST_LAYINGS):
        if not stand(make.derivation, bound, theta):
            try:
                bound = with_laid_nodes(make.derivation, bound, theta)
            except EmmError as error:
                if error.code != "too-fine" or state is None or not state.boundary:
                    raise
                return _at_the_boundary(make, bound, state, error)
        problem = make.problem(bound).starting_at(theta)
        state = make.climb(problem)
        theta, iterations = state.theta, iterations + state.iterations
        state = replace(state, starts=starts or state.starts, iterations=iterations)
        if stand(make.derivation, bound, theta):
            return problem, bound, state
    assert state is not None
    said = f"the nodes of {', '.join(laid_names(make.derivation))} do not come to rest"
    return problem, bound, replace(state, converged=False, warnings=(*state.warnings, said))


def _at_the_boundary(
    make: LaidFit, bound: Bound, state: FitState, error: EmmError
) -> tuple[BoundProblem, Bound, FitState]:  # fmt: skip
    """A law that shrinks to a point has a boundary for its estimate, and no nodes are ever fine enough: the estimate
    that is near enough to it for the log-likelihood to be known on the most nodes. Raises `too-fine` else.
    """
    found = on_most_nodes(make.derivation, bound, state.theta)
    if found is None:
        raise error
    bound, loglik, moved = found
    said = (
        f"{', '.join(state.boundary)} would go on towards the boundary if there were more nodes of "
        f"{', '.join(laid_names(make.derivation))}; the log-likelihood is known to {moved:.1g} where it was stopped"
    )
    penalized = state.penalized_loglik + loglik - state.loglik
    state = replace(state, loglik=loglik, penalized_loglik=penalized, warnings=(*state.warnings, said))
    return make.problem(bound).starting_at(state.theta), bound, state


def _found(bound: Bound, make: LaidFit) -> tuple[dict[str, Array], StartsReport, Bound]:
    """Where the best of all starts ends, on nodes so many that none of them fell between the nodes."""
    problem = make.problem(bound)
    while True:
        found = make.search(problem, SCOUTS)
        if found.best is not None and found.best.iterate is not None and not _lost(found):
            bound = as_fine(make.derivation, bound, found.best.iterate.theta)
            problem = make.problem(bound)
            found = make.search(problem, None)
        finer = doubled(make.derivation, bound) if _lost(found) else None
        if finer is None:
            break
        bound, problem = finer, make.problem(finer)
    dropped = tuple((start.number, start.reason) for start in found.starts if start.reason is not None)
    # Where nodes were never fine enough for all, the highest point that any start came to: from there on nodes follow.
    ends = [start.iterate for start in found.starts if start.iterate is not None and start.iterate.usable]
    if not ends:
        reasons = "; ".join(sorted({reason for _, reason in dropped}))
        raise fit_failure(f"no start came to an end, however many nodes there are ({reasons})")
    best = max(ends, key=lambda iterate: iterate.value)
    report = StartsReport(len(found.starts), max(1, found.at_best(best.value)), found.logliks, dropped)
    return best.theta, report, bound


def _lost(found: Search) -> bool:
    """Whether a start came to laws narrower than the nodes are apart: its likelihood is no number then."""
    return any(start.reason is not None and "finite" in start.reason for start in found.starts)
