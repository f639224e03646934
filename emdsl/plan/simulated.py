"""Fits whose likelihood is simulated: draws held fixed while it climbs, made anew where it ended, and their error."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from emdsl.plan.monte_carlo import BATCHES, MonteCarlo
from emdsl.plan.problem import BoundProblem
from emdsl.runtime.domains import Coordinates
from emdsl.runtime.fitting import FitState, Simulation
from emdsl.runtime.problem import Array, Theta

#: Fits with draws made anew at the last estimate, at most.
ROUNDS = 10
#: An estimate that moves by less than this share of its standard error (or by less than its simulation error) when its
#: draws are made anew has settled.
SETTLED = 0.02
#: The simulation error of the log-likelihood that is asked for, as a standard deviation; draws are doubled for it.
WANTED = 0.1


@dataclass(frozen=True)
class Maker:
    """Makes the problem with so many times the usual number of draws, and fits it from theta."""

    problem: Callable[[int, Theta], BoundProblem]
    fit: Callable[[BoundProblem], FitState]
    most: int


def samplers(problem: BoundProblem) -> list[MonteCarlo]:
    """The integrals of a problem that are simulated."""
    return [item.method for item in problem.program.integrals.values() if isinstance(item.method, MonteCarlo)]


def with_settled_draws(state: FitState, make: Maker) -> FitState:
    """The fit at an estimate that reproduces itself: draws made there lead back to it, and are many enough."""
    nodes, total = 1, state.iterations
    starts = state.starts
    for _ in range(ROUNDS):
        problem = make.problem(nodes, state.theta)
        _freeze(problem, state.theta)
        before = state.theta
        state = make.fit(problem)
        total += state.iterations
        simulation = simulation_error(problem, state)
        settled = _moved(before, state, simulation) < 1.0
        if simulation.loglik_error > WANTED and nodes < make.most:
            nodes *= 2
        elif settled:
            break
    else:
        state = replace(
            state, converged=False, warnings=(*state.warnings, "the estimates still move when draws are made anew")
        )
    return replace(state, starts=starts, iterations=total, simulation=simulation,
                   warnings=(*state.warnings, said(simulation)))  # fmt: skip


def _freeze(problem: BoundProblem, theta: Theta) -> None:
    for item in samplers(problem):
        item.frozen = None
    problem.expect(theta)
    for item in samplers(problem):
        item.freeze()


def _moved(before: Theta, state: FitState, simulation: Simulation) -> float:
    """The largest step of an estimate, in units of what draws may move it by: its simulation error, or SETTLED of its
    standard error (of its own size, where it has none).
    """
    largest = 0.0
    for name, old in before.items():
        new = np.asarray(state.theta[name], dtype=float)
        size = np.maximum(np.abs(new), 1e-3)
        if state.se is not None:
            size = np.where(np.isfinite(state.se[name]) & (state.se[name] > 0), state.se[name], size)
        allowed = SETTLED * size
        if simulation.errors is not None:
            allowed = np.maximum(allowed, simulation.errors[name])
        largest = max(largest, float(np.max(np.abs(new - np.asarray(old)) / allowed, initial=0.0)))
    return largest


def simulation_error(problem: BoundProblem, state: FitState) -> Simulation:
    """Standard deviations that come of the draws alone: of the log-likelihood, and of the estimates by `I^-1 V I^-1`,
    V the variance of the score between batches of draws.
    """
    found = samplers(problem)
    problem.expect(state.theta)
    error = float(np.sqrt(sum(item.variance for item in found)))
    draws = max(2 * item.pairs for item in found)
    uncertainty = state.uncertainty
    if uncertainty is None:
        return Simulation(draws, error, None)
    coordinates = uncertainty.coordinates
    scores = []
    for batch in range(BATCHES):
        for item in found:
            item.batch = batch
        gradient = problem.gradient(state.theta, problem.expect(state.theta).statistics)
        scores.append(coordinates.pullback(state.theta, gradient))
    for item in found:
        item.batch = None
    variance = np.cov(np.array(scores).T, ddof=1).reshape(coordinates.size, coordinates.size) / BATCHES
    spread = uncertainty.free_covariance @ variance @ uncertainty.free_covariance
    return Simulation(draws, error, _by_element(coordinates, state.theta, spread))


def _by_element(coordinates: Coordinates, theta: Theta, covariance: Array) -> dict[str, Array]:
    jacobian = coordinates.jacobian(theta)
    errors = np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", jacobian, covariance, jacobian), 0.0))
    parts, at = {}, 0
    for space in coordinates.spaces:
        size = int(np.prod(space.shape))
        parts[space.name] = errors[at : at + size].reshape(space.shape)
        at += size
    return parts


def said(simulation: Simulation) -> str:
    """A sentence for the reader."""
    text = (
        f"the likelihood is simulated with {simulation.draws} draws: the log-likelihood has a simulation error of "
        f"{simulation.loglik_error:.2g}"
    )
    errors: Mapping[str, Array] = simulation.errors or {}
    largest = max((float(np.max(value, initial=0.0)) for value in errors.values()), default=None)
    return text if largest is None else f"{text}, the estimates of at most {largest:.2g}"
