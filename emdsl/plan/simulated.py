"""Fits whose likelihood is simulated: its maximum by Newton's method, and what the draws alone may move.

The draws follow the joint mode as theta moves, by the same random numbers: the simulated likelihood is smooth, but its
slope is not the mean of the complete-data score over the draws (that slope is of draws held fixed, whose weights
degenerate as theta moves away, and the information by it is lost in the noise of a difference). It is climbed with
differences of its own values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from emdsl.plan.monte_carlo import BATCHES, MonteCarlo
from emdsl.plan.problem import BoundProblem
from emdsl.runtime.domains import Coordinates
from emdsl.runtime.fitting import FitState, Simulation
from emdsl.runtime.problem import Array, Expectation, Space, Theta

#: The simulation error of the log-likelihood that is asked for, as a standard deviation; draws are doubled for it.
WANTED = 0.1
#: Step of the differences, in free coordinates.
STEP = 1e-3


@dataclass(frozen=True)
class SimulatedProblem:
    """A problem with the slope of its simulated likelihood by central differences."""

    inner: BoundProblem

    @property
    def spaces(self) -> tuple[Space, ...]:
        """The parameters."""
        return self.inner.spaces

    @property
    def has_latent(self) -> bool:
        """Whether anything is hidden."""
        return True

    def initial(self) -> dict[str, Array]:
        """Where the fit begins."""
        return self.inner.initial()

    def expect(self, theta: Theta) -> Expectation:
        """The E-step."""
        return self.inner.expect(theta)

    def random_expectation(self, rng: np.random.Generator, theta: Theta) -> Expectation:
        """A random first E-step."""
        return self.inner.random_expectation(rng, theta)

    def maximize(self, theta: Theta, statistics: Any) -> dict[str, Array]:
        """Theta as it is: an M-step raises the likelihood of draws held fixed, and Newton's method climbs this one."""
        return {name: np.asarray(value, dtype=float) for name, value in theta.items()}

    def log_prior(self, theta: Theta) -> float:
        """Log-density of the priors."""
        return float(self.inner.log_prior(theta))

    def degenerate(self, theta: Theta, statistics: Any) -> str | None:
        """Why a state is degenerate."""
        return self.inner.degenerate(theta, statistics)

    def gradient(self, theta: Theta, statistics: Any) -> dict[str, Array]:
        """The slope in the array elements, as far as they are free to move."""
        coordinates = Coordinates(self.spaces, {name: np.asarray(value) for name, value in theta.items()})
        u = coordinates.free(theta)
        slope = np.empty(len(u))
        for k in range(len(u)):
            moved = np.zeros(len(u))
            moved[k] = STEP
            slope[k] = (self._value(coordinates.theta(u + moved)) - self._value(coordinates.theta(u - moved))) / (
                2 * STEP
            )
        jacobian = coordinates.jacobian(theta)
        elements = np.linalg.pinv(jacobian.T) @ slope if len(u) else np.zeros(len(jacobian))
        return _by_parameter(elements, coordinates)

    def _value(self, theta: Theta) -> float:
        return float(self.inner.expect(theta).loglik) + float(self.inner.log_prior(theta))


@dataclass(frozen=True)
class Maker:
    """Makes the problem with so many times the usual number of draws, and climbs it from theta."""

    problem: Callable[[int, Theta], BoundProblem]
    climb: Callable[[SimulatedProblem], FitState]
    most: int


def samplers(problem: BoundProblem) -> list[MonteCarlo]:
    """The integrals of a problem that are simulated."""
    return [item.taken for item in problem.program.integrals.values() if isinstance(item.taken, MonteCarlo)]


def at_simulated_maximum(state: FitState, make: Maker) -> FitState:
    """The maximum of the simulated likelihood near an estimate, with as many draws as its error asks for."""
    nodes, total, starts = 1, 0, state.starts
    while True:
        problem = make.problem(nodes, state.theta)
        total += state.iterations
        state = make.climb(SimulatedProblem(problem))
        problem.expect(state.theta)
        error = float(np.sqrt(sum(item.variance for item in samplers(problem))))
        if error <= WANTED or nodes >= make.most:
            break
        nodes *= 2
    simulation = simulation_error(problem, state, error)
    warnings = (*state.warnings, said(simulation))
    return replace(
        state, starts=starts, iterations=total + state.iterations, simulation=simulation, warnings=warnings
    )  # fmt: skip


def simulation_error(problem: BoundProblem, state: FitState, error: float) -> Simulation:
    """Standard deviations that come of the draws alone: of the log-likelihood, and of the estimates by `I^-1 V I^-1`,
    V the variance of the score between batches of draws.
    """
    found = samplers(problem)
    draws = max(2 * item.pairs for item in found)
    uncertainty = state.uncertainty
    if uncertainty is None:
        return Simulation(draws, error, None)
    coordinates = uncertainty.coordinates
    scores = []
    for batch in range(BATCHES):
        for item in found:
            item.batch = batch
        scores.append(coordinates.pullback(state.theta, SimulatedProblem(problem).gradient(state.theta, None)))
    for item in found:
        item.batch = None
    variance = np.cov(np.array(scores).T, ddof=1).reshape(coordinates.size, coordinates.size) / BATCHES
    spread = uncertainty.free_covariance @ variance @ uncertainty.free_covariance
    jacobian = coordinates.jacobian(state.theta)
    errors = np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", jacobian, spread, jacobian), 0.0))
    return Simulation(draws, error, _by_parameter(errors, coordinates))


def _by_parameter(elements: Array, coordinates: Coordinates) -> dict[str, Array]:
    parts, at = {}, 0
    for space in coordinates.spaces:
        size = int(np.prod(space.shape))
        parts[space.name] = elements[at : at + size].reshape(space.shape)
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
