"""Fits with draws of hidden shares: from a search on wide draws to the maximum on draws around each unit's posterior.

Draws that are held make a likelihood whose maximum EM and Newton's method find. There they are made anew and the
climb goes on, until it gains nothing more; then there are as many as the simulation error of the log-likelihood asks
for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from emdsl.data.bound import Bound
from emdsl.data.counting import unit_weights
from emdsl.ir.derivation import Derivation
from emdsl.ir.model import Model
from emdsl.plan.arrange import order_not_invariant
from emdsl.plan.crossing import level_of
from emdsl.plan.monte_carlo import BATCHES
from emdsl.plan.problem import BoundProblem
from emdsl.plan.share_draws import effective, shares_from, some_draws, with_draws
from emdsl.plan.share_proposals import drawn_shares, wide_draws
from emdsl.plan.simulated import MOST_NUMBERS, WANTED, covariance_of, errors_of_estimates, is_met, said
from emdsl.runtime.fitting import FitState, Simulation, StartsReport
from emdsl.runtime.problem import Array, Theta
from emdsl.runtime.starts import Search

#: Draws of each unit to begin with, once starts have been run, and at most.
FIRST_DRAWS, MOST_DRAWS = 400, 6400
#: How often draws are made anew at most, and the gain of a climb below which they need not be.
MOST_ROUNDS, STILL = 15, 0.01
#: Other draws have another error: so much of the one that is asked for is climbed with.
ENOUGH = 0.8
#: Differences of log-likelihoods on different draws that are no more than so many times their error say nothing.
DOUBT = 6.0


@dataclass(frozen=True)
class DrawnFit:
    """How a fit is made with given draws.

    `problem` makes the program on data with draws. `search` runs starts on it; `climb` goes from where the problem
    begins to the maximum, `roughly` without standard errors and not to the last digit; `arrange` puts labels in order.
    `given`: the user says where to begin. `stay`: the fit is not to look for the maximum.
    """

    derivation: Derivation
    problem: Callable[[Bound], BoundProblem]
    search: Callable[[BoundProblem], Search]
    climb: Callable[[BoundProblem, bool], FitState]
    arrange: Callable[[BoundProblem, Theta], Theta]
    given: bool
    stay: bool


def fit_on_draws(bound: Bound, make: DrawnFit) -> tuple[BoundProblem, Bound, FitState]:
    """The fit on draws that represent the posteriors at its estimates."""
    bound = wide_draws(make.derivation, bound)
    problem = make.problem(bound)
    theta: Theta = problem.initial()
    starts: StartsReport | None = None
    if not make.given:
        found = make.search(problem)
        if found.best is not None and found.best.iterate is not None:
            theta = found.best.iterate.theta
            best = found.best.iterate.value
            starts = StartsReport(len(found.starts), max(1, found.at_best(best)), found.logliks, ())
    count, iterations, settled = FIRST_DRAWS, 0, make.stay
    for number in range(MOST_ROUNDS):
        bound = with_draws(make.derivation, bound, theta, count)
        problem = make.problem(bound).starting_at(theta)
        if settled:
            break
        before = problem.expect(theta).loglik
        state = make.climb(problem, True)
        theta, iterations = state.theta, iterations + state.iterations
        error = loglik_error(problem, theta)
        if error > ENOUGH * WANTED and _fits(bound, make.derivation, 2 * count):
            count = 2 * count
        elif state.loglik - before <= STILL + error**2 and number + 1 < MOST_ROUNDS:
            settled, theta = True, make.arrange(problem, theta)
    if settled and not make.stay:
        _check_order(problem, state, error, make.derivation.model)
    state = make.climb(problem, False)
    simulation = simulation_of(problem, bound, state, make)
    told = (*state.warnings, *said(simulation))
    converged = state.converged and simulation.met and settled
    state = replace(
        state, starts=starts or state.starts, iterations=iterations + state.iterations, simulation=simulation,
        warnings=told, converged=converged,
    )  # fmt: skip
    return problem, bound, state


def _check_order(problem: BoundProblem, state: FitState, error: float, model: Model) -> None:
    """Raises `order-not-invariant` where draws for labels in order have another likelihood than those before."""
    after = problem.expect(problem.initial()).loglik
    if model.orders and not abs(after - state.loglik) <= DOUBT * (WANTED + error):
        raise order_not_invariant(model, state.loglik, after, digits=3)


def _fits(bound: Bound, derivation: Derivation, count: int) -> bool:
    """Whether so many draws may be made."""
    size = max(len(bound.indexes[derivation.model.variable(name).axes[-1]]) for name in drawn_shares(derivation))
    return count <= MOST_DRAWS and count * size * bound.levels[-1].size <= MOST_NUMBERS


def unit_shares(problem: BoundProblem, theta: Theta) -> dict[str, Array]:
    """The posterior of the draws in each unit."""
    return shares_from(problem.program, problem.expect(theta).statistics)


def loglik_error(problem: BoundProblem, theta: Theta) -> float:
    """The simulation error of the log-likelihood, as a standard deviation (delta method, unit by unit)."""
    total = 0.0
    for name, share in unit_shares(problem, theta).items():
        weights = unit_weights(problem.program.bound, level_of(name, problem.derivation.model, problem.program.bound))
        total += float((((share**2).sum(axis=0) - 1.0 / len(share)) * weights**2).sum())
    return float(np.sqrt(max(total, 0.0)))


def simulation_of(problem: BoundProblem, bound: Bound, state: FitState, make: DrawnFit) -> Simulation:
    """What the draws alone may move: the log-likelihood, and the estimates by `I^-1 V I^-1`, V the variance of the
    score between batches of draws.
    """
    theta = state.theta
    shares = unit_shares(problem, theta)
    draws = max(len(share) for share in shares.values())
    least = min(float(effective(share).min(initial=float(draws))) for share in shares.values())
    error = loglik_error(problem, theta)
    met = is_met(error, least, draws)
    if state.uncertainty is None:
        return Simulation(draws, error, None, least, WANTED, met)
    coordinates, scores = state.uncertainty.coordinates, []
    for batch in range(BATCHES):
        part = make.problem(some_draws(make.derivation, bound, batch, BATCHES))
        statistics = part.expect(theta).statistics
        scores.append(coordinates.pullback(theta, part.gradient(theta, statistics)))
    errors = errors_of_estimates(state.uncertainty, theta, covariance_of(scores) / BATCHES)
    return Simulation(draws, error, errors, least, WANTED, met)
