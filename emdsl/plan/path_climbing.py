"""Fits whose evidence is a sum over drawn paths of a switching chain (Monte Carlo EM; Wei and Tanner 1990).

In rounds: paths are drawn at theta and held, and EM climbs the likelihood that they make, which is smooth. As long as
it goes so far that the paths no longer represent the posterior there, it is stopped halfway and they are drawn again
(Booth and Hobert 1999 judge by the Monte Carlo error, here the weights of the paths tell). The last round ends at the
maximum with Newton's method; then another set of draws, made there, gives the log-likelihood.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np

from emdsl.plan.problem import BoundProblem
from emdsl.plan.simulated import WANTED, covariance_of, errors_of_estimates, said
from emdsl.plan.switching import RUNS, SwitchingChain
from emdsl.runtime.domains import Coordinates
from emdsl.runtime.fitting import FitState, Simulation
from emdsl.runtime.problem import Array, Theta

#: Rounds of drawing paths with one number of them.
MOST_ROUNDS = 40
#: The share of the paths that must be worth as much where EM stops, and at the last maximum.
ENOUGH_TO_MOVE, ENOUGH_TO_END = 0.3, 0.7
#: The log-likelihood that the estimates may fall short of the maximum by, on the average, because of the draws: with
#: five parameters a simulation error of a tenth of the standard errors.
SHORTFALL = 0.025
#: The EM steps of a round before the paths are looked at.
ROUND = 10


@dataclass(frozen=True)
class PathMaker:
    """Makes the problem with so many times the usual number of paths, climbs it by some EM steps, or to its maximum."""

    problem: Callable[[int, Theta], BoundProblem]
    steps: Callable[[BoundProblem, int], FitState]
    climb: Callable[[BoundProblem], FitState]
    most: int


def switching(problem: BoundProblem) -> tuple[SwitchingChain, ...]:
    """The chains of a problem whose paths are drawn."""
    return problem.program.switching


@contextmanager
def few_paths(problem: BoundProblem) -> Iterator[None]:
    """Inside the block few paths are drawn, anew at every theta."""
    for item in switching(problem):
        item.few = True
    try:
        yield
    finally:
        for item in switching(problem):
            item.few = False


def at_maximum_by_paths(
    state: FitState, make: PathMaker, arrange: Callable[[Theta], dict[str, Array]] | None
) -> FitState:  # fmt: skip
    """The maximum by as many paths as its simulation error asks for. Not converged where that is never reached.
    `arrange` puts labels in order, before paths are held.
    """
    if arrange is not None:
        state = replace(state, theta=arrange(state.theta))
    nodes, starts, iterations, rounds = 1, state.starts, state.iterations, 0
    while True:
        problem, state, used, settled = _rounds(state, make, nodes, rounds)
        iterations += used
        rounds += MOST_ROUNDS
        simulation, loglik = path_error(problem, state, rounds)
        if simulation.met or nodes >= make.most:
            break
        nodes *= 2
    penalty = state.penalized_loglik - state.loglik
    said_too = () if settled else ("the estimates still moved when the paths were drawn for the last time",)
    return replace(
        state, starts=starts, iterations=iterations, simulation=simulation, loglik=loglik,
        penalized_loglik=loglik + penalty, converged=state.converged and simulation.met and settled,
        warnings=(*state.warnings, *said(simulation, "paths"), *said_too),
    )  # fmt: skip


def _rounds(state: FitState, make: PathMaker, nodes: int, done: int) -> tuple[BoundProblem, FitState, int, bool]:
    """Rounds until the maximum of the held paths is one that they represent; the problem with these paths held."""
    used = 0
    for number in range(MOST_ROUNDS):
        problem = make.problem(nodes, state.theta)
        draw(problem, state.theta, done + number)
        moved = make.steps(problem, ROUND)
        used += moved.iterations
        if worth(problem, moved.theta) >= ENOUGH_TO_END:
            ended = make.climb(problem)
            used += ended.iterations
            if worth(problem, ended.theta) >= ENOUGH_TO_END:
                return problem, ended, used, True
            moved = ended
        state = replace(moved, theta=_halfway(problem, state.theta, moved.theta))
    ended = make.climb(problem)
    return problem, ended, used + ended.iterations, False


def draw(problem: BoundProblem, theta: Theta, number: int) -> float:
    """Draws paths at theta, and holds them; the log-likelihood there."""
    for item in switching(problem):
        item.round, item.held, item.few = number, False, False
    problem.expect(theta)  # where the numbers are
    loglik = problem.expect(theta).loglik
    for item in switching(problem):
        item.held = True
    return float(loglik)


def worth(problem: BoundProblem, theta: Theta) -> float:
    """The share of the paths that have equal weight and are worth as much as all of them, where they are worth least:
    relative to where they were drawn, where the runs had the weights that their evidence gave them.
    """
    problem.expect(theta)
    least = 1.0
    for item in switching(problem):
        for paths, share in zip(item.paths, item.shares, strict=True):
            if paths.exact or not len(share):
                continue
            before = paths.drawn_share
            least = min(least, float(1.0 / (share**2 / before).sum()))
    return least


def _halfway(problem: BoundProblem, before: Theta, after: Theta) -> dict[str, Array]:
    """The farthest of 1, 1/2, 1/4, … of the way that the paths still represent."""
    coordinates = Coordinates(problem.spaces, {name: np.asarray(value) for name, value in after.items()})
    start, end = coordinates.free(before), coordinates.free(after)
    share = 1.0
    for _ in range(12):
        theta = coordinates.theta(start + share * (end - start))
        if worth(problem, theta) >= ENOUGH_TO_MOVE:
            break
        share /= 2
    return theta


def path_error(problem: BoundProblem, state: FitState, number: int) -> tuple[Simulation, float]:
    """The simulation error of the estimates, from the runs that the held paths came from, and the log-likelihood at the
    estimates with its own, from paths drawn there anew.
    """
    found = switching(problem)
    exact = all(paths.exact for item in found for paths in item.paths)
    draws = max(len(paths.states) for item in found for paths in item.paths)
    effective = worth(problem, state.theta) * draws
    errors, shortfall = _errors_of_estimates(problem, state, exact)
    loglik = draw(problem, state.theta, number)
    variance = sum(_variance(paths.evidence) for item in found for paths in item.paths if not paths.exact)
    error = float(np.sqrt(variance))
    met = error <= WANTED and shortfall <= SHORTFALL
    return Simulation(draws, error, errors, effective, WANTED, met), loglik


def at_start_by_paths(problem: BoundProblem, state: FitState) -> FitState:
    """A fit that was not to look for the maximum, with the log-likelihood of paths drawn at its end and its error."""
    loglik = draw(problem, state.theta, 0)
    paths = [own for item in switching(problem) for own in item.paths]
    error = float(np.sqrt(sum(_variance(own.evidence) for own in paths if not own.exact)))
    draws = max(len(own.states) for own in paths)
    simulation = Simulation(draws, error, None, float(draws), WANTED, error <= WANTED)
    return replace(
        state, simulation=simulation, loglik=loglik, penalized_loglik=loglik + state.penalized_loglik - state.loglik,
        warnings=(*state.warnings, *said(simulation, "paths")),
    )  # fmt: skip


def doubt(problem: BoundProblem) -> float:
    """How far two simulations of one log-likelihood may differ: six standard deviations, 0 where none is simulated."""
    found = switching(problem)
    own = [_variance(paths.evidence) for item in found for paths in item.paths if not paths.exact]
    return 6.0 * float(np.sqrt(2.0 * sum(own)))


def _variance(evidence: Array) -> float:
    """Of the logarithm of the mean of independent estimates (delta method)."""
    shares = np.exp(evidence - evidence.max())
    shares /= shares.mean()
    return float(shares.var(ddof=1) / len(shares))


def _errors_of_estimates(
    problem: BoundProblem, state: FitState, exact: bool
) -> tuple[dict[str, Array] | None, float]:  # fmt: skip
    """By `I^-1 V I^-1`, V the variance of the score; and half the trace of `I^-1 V`, the log-likelihood that the
    estimates fall short of the maximum by on the average. In each chain the score is a mean of those of the runs,
    weighted by their evidence there: its variance is that of the jackknife (Efron 1982), without one run after the
    other in all chains.
    """
    spread = state.uncertainty
    if spread is None:
        return None, 0.0
    coordinates = spread.coordinates
    size = coordinates.size
    variance = np.zeros((size, size))
    if not exact:
        scores = []
        for run in range(RUNS):
            for item in switching(problem):
                item.without_run = run
            plain = problem.expect(state.theta).statistics
            scores.append(coordinates.pullback(state.theta, problem.gradient(state.theta, plain)))
        for item in switching(problem):
            item.without_run = None
        variance = covariance_of(scores) * (RUNS - 1) ** 2 / RUNS
    errors = errors_of_estimates(spread, state.theta, variance)
    return errors, 0.5 * float(np.trace(spread.free_covariance @ variance))
