"""Fits whose likelihood is simulated: its maximum by Newton's method, and what the draws alone may move.

The draws follow the joint mode as theta moves, by the same random numbers: the simulated likelihood is smooth, and its
slope is known (`emdsl.plan.draw_slopes`). An M-step would raise the likelihood of draws held fixed, whose weights
degenerate as theta moves away, so Newton's method takes over from EM early.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from emdsl.plan.draw_slopes import movement
from emdsl.plan.monte_carlo import BATCHES, MonteCarlo
from emdsl.plan.problem import BoundProblem
from emdsl.runtime.domains import Coordinates
from emdsl.runtime.fitting import FitState, Simulation
from emdsl.runtime.problem import Array, Expectation, Space, Theta
from emdsl.runtime.uncertainty import Uncertainty

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The simulation error of the log-likelihood that is asked for, as a standard deviation; draws are doubled for it.
WANTED = 0.1
#: Weights of draws are degenerate where fewer of them than this share, or than this number, are worth as much: then
#: neither the likelihood nor its simulation error is known.
LEAST_SHARE, LEAST_DRAWS = 0.02, 20.0
#: Where so large a share of the draws is worth as much, a part of them has nearly the curvature of all.
EVEN = 0.8
#: How often draws are doubled for a fit that has not converged, and the steps of EM before the next climb: noise may
#: bend a flat likelihood upwards.
TRIES, STEPS = 2, 100
#: Numbers that the draws of all hidden variables, or what rows say of them, may take: 400 MB.
MOST_NUMBERS = 50_000_000


@dataclass(frozen=True)
class SimulatedProblem:
    """A problem with the slope of its simulated likelihood. `batch`: that of one part of the draws alone."""

    inner: BoundProblem
    batch: int | None = None

    @property
    def spaces(self) -> tuple[Space, ...]:
        """The parameters."""
        return self.inner.spaces

    @property
    def has_latent(self) -> bool:
        """Whether anything is hidden."""
        return True

    @property
    def coarse(self) -> SimulatedProblem:
        """A problem whose likelihood has nearly the same curvature, and costs less: this one where there is none."""
        found = samplers(self.inner)
        even = all(item.last is None or effective(item) > EVEN * 2 * item.pairs for item in found)
        return replace(self, batch=0) if even and self.batch is None else self

    def initial(self) -> dict[str, Array]:
        """Where the fit begins."""
        return self.inner.initial()

    def expect(self, theta: Theta) -> Expectation:
        """The E-step; with its statistics what was simulated."""
        with of_draws(self.inner, self.batch):
            found = self.inner.expect(theta)
        seen = tuple(item.last for item in samplers(self.inner))
        return Expectation(found.loglik, (found.statistics, seen))

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
        return self.inner.degenerate(theta, statistics[0])

    def holding(self, theta: Theta, masks: Mapping[str, NDArray[np.bool_]]) -> SimulatedProblem:
        """The same problem with the elements of the masks held where theta has them."""
        return replace(self, inner=self.inner.holding(theta, masks))

    def gradient(self, theta: Theta, statistics: Any) -> dict[str, Array]:
        """The slope in the array elements, as far as they are free to move."""
        plain, seen = statistics
        parts = self.inner.gradient(theta, plain)
        coordinates = Coordinates(self.spaces, {name: np.asarray(value) for name, value in theta.items()})
        if not coordinates.size:
            return parts
        slope = np.zeros(coordinates.size)
        with np.errstate(all="ignore"):
            for item, (found, weights) in zip(samplers(self.inner), seen, strict=True):
                slope += movement(item, found, weights, self.inner.program, coordinates, theta)
        elements = np.linalg.pinv(coordinates.jacobian(theta).T) @ slope
        return {name: parts[name] + value for name, value in by_parameter(elements, coordinates).items()}


@contextmanager
def of_draws(problem: BoundProblem, batch: int | None) -> Iterator[None]:
    """Inside the block this one of BATCHES parts of the draws is used, None: all of them."""
    for item in samplers(problem):
        item.batch = batch
    try:
        yield
    finally:
        for item in samplers(problem):
            item.batch = None


@dataclass(frozen=True)
class Maker:
    """Makes the problem with so many times the usual number of draws, climbs it from theta, and makes steps of EM."""

    problem: Callable[[int, Theta], BoundProblem]
    climb: Callable[[SimulatedProblem], FitState]
    steps: Callable[[BoundProblem, int], FitState]
    most: int


def samplers(problem: BoundProblem) -> list[MonteCarlo]:
    """The integrals of a problem that are simulated."""
    return [item.taken for item in problem.program.integrals.values() if isinstance(item.taken, MonteCarlo)]


def effective(item: MonteCarlo) -> float:
    """The effective number of draws of what was simulated last."""
    assert item.last is not None
    found, weights = item.last
    return found.effective(weights)


def _fits(problem: BoundProblem) -> bool:
    """Whether twice as many draws have room."""
    return all(4 * item.pairs * max(item.evaluations, int(np.prod(item.ties.shape))) <= MOST_NUMBERS
               for item in samplers(problem))  # fmt: skip


def at_simulated_maximum(state: FitState, make: Maker) -> FitState:
    """The maximum of the simulated likelihood near an estimate, with as many draws as its error asks for. Not converged
    where that is never reached.
    """
    nodes, total, starts, tries = 1, 0, state.starts, TRIES
    while True:
        problem = make.problem(nodes, state.theta)
        # near the maximum the error is what it is there: so many draws as it asks for are made before the climb
        while _error(problem, state.theta) > WANTED and nodes < make.most and _fits(problem):
            nodes *= 2
            problem = make.problem(nodes, state.theta)
        total += state.iterations
        if tries < TRIES:  # Newton's method does not leave a saddle point; EM goes uphill from there
            state = make.steps(problem, STEPS)
            total += state.iterations
            problem = make.problem(nodes, state.theta)
        state = make.climb(SimulatedProblem(problem))
        error = _error(problem, state.theta)
        enough = error <= WANTED and (state.converged or not tries)
        if enough or nodes >= make.most or not _fits(problem):
            break
        tries -= error <= WANTED
        nodes *= 2
    simulation = simulation_error(problem, state, error)
    return replace(
        state, starts=starts, iterations=total + state.iterations, simulation=simulation,
        converged=state.converged and simulation.met, warnings=(*state.warnings, *said(simulation)),
    )  # fmt: skip


def at_start(problem: BoundProblem, state: FitState) -> FitState:
    """A fit that was not to look for the maximum, with the simulation error of its log-likelihood."""
    error = _error(problem, state.theta)
    found = samplers(problem)
    draws = max(2 * item.pairs for item in found)
    least = min(effective(item) for item in found)
    simulation = Simulation(draws, error, None, least, WANTED, is_met(error, least, draws))
    return replace(state, simulation=simulation, warnings=(*state.warnings, *said(simulation)))


def is_met(error: float, least: float, draws: int) -> bool:
    """Whether the log-likelihood is as exact as is asked for, and rests on enough draws of those that were made."""
    return error <= WANTED and least >= max(LEAST_DRAWS, LEAST_SHARE * draws)


def _error(problem: BoundProblem, theta: Theta) -> float:
    """The simulation error of the log-likelihood at theta."""
    problem.expect(theta)
    found = [item.last for item in samplers(problem) if item.last is not None]
    return float(np.sqrt(sum(evidence.variance(weights) for evidence, weights in found)))


def simulation_error(problem: BoundProblem, state: FitState, error: float) -> Simulation:
    """Standard deviations that come of the draws alone: of the log-likelihood, and of the estimates by `I^-1 V I^-1`,
    V the variance of the score between batches of draws.
    """
    found = samplers(problem)
    draws = max(2 * item.pairs for item in found)
    least = min(effective(item) for item in found)
    met = is_met(error, least, draws)
    uncertainty = state.uncertainty
    if uncertainty is None:
        return Simulation(draws, error, None, least, WANTED, met)
    coordinates = uncertainty.coordinates
    scores = []
    for batch in range(BATCHES):
        part = SimulatedProblem(problem, batch)
        scores.append(
            coordinates.pullback(state.theta, part.gradient(state.theta, part.expect(state.theta).statistics))
        )
    errors = errors_of_estimates(uncertainty, state.theta, covariance_of(scores) / BATCHES)
    return Simulation(draws, error, errors, least, WANTED, met)


def covariance_of(scores: Sequence[Array]) -> Array:
    """The covariance `(n, n)` of scores `(n,)`."""
    size = len(scores[0])
    return np.asarray(np.cov(np.array(scores).T, ddof=1).reshape(size, size))


def errors_of_estimates(uncertainty: Uncertainty, theta: Theta, variance: Array) -> dict[str, Array]:
    """Standard deviations of the estimates by parameter, `I^-1 V I^-1`, that a score of this `variance` V brings."""
    coordinates = uncertainty.coordinates
    spread = uncertainty.free_covariance @ variance @ uncertainty.free_covariance
    jacobian = coordinates.jacobian(theta)
    errors = np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", jacobian, spread, jacobian), 0.0))
    return by_parameter(errors, coordinates)


def by_parameter(elements: Array, coordinates: Coordinates) -> dict[str, Array]:
    """Elements of all parameters in order, as arrays by parameter."""
    parts, at = {}, 0
    for space in coordinates.spaces:
        size = int(np.prod(space.shape))
        parts[space.name] = elements[at : at + size].reshape(space.shape)
        at += size
    return parts


def said(simulation: Simulation, what: str = "draws") -> tuple[str, ...]:
    """Sentences for the reader; `what` was drawn."""
    text = (
        f"the likelihood is simulated with {simulation.draws} {what}: the log-likelihood has a simulation error of "
        f"{simulation.loglik_error:.2g}"
    )
    errors: Mapping[str, Array] = simulation.errors or {}
    largest = max((float(np.max(value, initial=0.0)) for value in errors.values()), default=None)
    text = text if largest is None else f"{text}, the estimates of at most {largest:.2g}"
    if simulation.met:
        return (text,)
    why = f"the error is more than the {simulation.wanted:g} that is asked for"
    if simulation.loglik_error <= simulation.wanted:
        why = "they do not represent the posterior well enough for these errors to be relied on"
    worth = f"where they are worth least, these {what} are worth {simulation.effective:.3g} of equal weight"
    return (f"{text}; {worth}: {why}",)
