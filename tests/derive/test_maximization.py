"""The M-step of every shipped model on statistics of its own data.

Q does not fall, its gradient is 0 where an update has been, and no general optimiser finds more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize

from emdsl.compiler import CompiledModel
from emdsl.ir.derivation import Update
from emdsl.plan.problem import BoundProblem
from emdsl.request import FitRequest
from emdsl.runtime.domains import Coordinates
from emdsl.runtime.problem import Array
from tests.derive.models import SHIPPED, USER_FAMILY, data_of, derived

Theta = dict[str, Array]


def problem_of(text: str, data: Any) -> BoundProblem:
    compiled = CompiledModel(text, None, derived(text))
    request = FitRequest()
    bound = compiled.bind(data, request)
    return compiled.on(bound).problem(bound, request)


def q(problem: BoundProblem, theta: Mapping[str, Array], statistics: Any) -> float:
    """Q, but for terms that no parameter is in."""
    v = problem.program.vector(theta)
    total = sum(item.value(theta, v, statistics[item.data.name]) for item in problem.assemblies)
    for name, piece in problem.program.gaussians.items():
        eta = piece.data.eta(piece.mean_of(theta), piece.covariance_of(theta))
        total += float((eta * statistics[name]).sum())
    return float(total)


def somewhere(problem: BoundProblem) -> tuple[Theta, Any]:
    """Parameters that are no maximum of anything, and the statistics there."""
    rng = np.random.default_rng(3)
    spread = problem.random_expectation(rng, problem.initial())
    theta = problem.maximize(problem.initial(), spread.statistics)
    coordinates = Coordinates(problem.spaces, problem.initial())
    u = coordinates.free(theta)
    theta = coordinates.theta(u + 0.1 * rng.normal(size=len(u)))
    return theta, problem.expect(theta).statistics


def run(problem: BoundProblem, update: Update, theta: Theta, statistics: Any) -> Theta:
    """One update alone, as `maximize` runs it."""
    whole = problem.derivation
    problem.derivation = replace(whole, updates=(update,))
    try:
        return problem.maximize(theta, statistics)
    finally:
        problem.derivation = whole


def block(problem: BoundProblem, update: Update, theta: Theta) -> Coordinates:
    spaces = tuple(space for space in problem.spaces if space.name in update.parameters)
    return Coordinates(spaces, {name: theta[name] for name in update.parameters})


def gradient(problem: BoundProblem, coordinates: Coordinates, theta: Theta, statistics: Any) -> Array:
    return coordinates.pullback(theta, problem.gradient(theta, statistics))


def settled(problem: BoundProblem, update: Update, theta: Theta, statistics: Any) -> Theta:
    """Newton's method stops after some steps; here it goes on."""
    for _ in range(6 if update.rule == "newton" else 0):
        theta = run(problem, update, theta, statistics)
    return theta


GUSTS = {"speed": np.random.default_rng(5).rayleigh(np.repeat([1.0, 4.0], 150))}
CASES = [pytest.param(path.read_text(encoding="utf-8"), str(data_of(path)), id=path.stem) for path in SHIPPED]
CASES.append(pytest.param(USER_FAMILY, GUSTS, id="user_family"))


@pytest.mark.parametrize(("text", "data"), CASES)
def test_no_update_lowers_q_and_each_is_the_maximum_of_its_block(text: str, data: Any) -> None:
    problem = problem_of(text, data)
    theta, statistics = somewhere(problem)
    seen: set[str] = set()
    for update in problem.derivation.updates:
        before, after = theta, run(problem, update, theta, statistics)
        seen |= set(update.parameters)
        coordinates = block(problem, update, after)
        low, high = q(problem, before, statistics), q(problem, after, statistics)
        assert high >= low - 1e-9 * (1 + abs(low)), update.parameters
        best = settled(problem, update, after, statistics)
        start = gradient(problem, coordinates, before, statistics)
        end = gradient(problem, coordinates, best, statistics)
        assert np.abs(end).max(initial=0.0) <= 1e-6 * (1 + np.abs(start).max(initial=0.0)), update.parameters
        found = searched(problem, coordinates, before, statistics)
        assert q(problem, best, statistics) >= found - 1e-7 * (1 + abs(low)), update.parameters
        theta = after
    assert seen == {space.name for space in problem.spaces}


def searched(problem: BoundProblem, coordinates: Coordinates, theta: Theta, statistics: Any) -> float:
    """The best Q that a general optimiser finds in the coordinates of a block, the rest of theta held."""

    def at(u: Array) -> Theta:
        return {**theta, **coordinates.theta(u)}

    def loss(u: Array) -> tuple[float, Array]:
        value = q(problem, at(u), statistics)
        if not np.isfinite(value):
            return 1e30, np.zeros_like(u)
        return -value, -gradient(problem, coordinates, at(u), statistics)

    found = minimize(loss, coordinates.free(theta), jac=True, method="L-BFGS-B", options={"maxiter": 300})
    return -float(found.fun)


@pytest.mark.parametrize(("text", "data"), CASES)
def test_the_score_is_the_gradient_of_q(text: str, data: Any) -> None:
    """So that `gradient`, against which the updates are held, is not itself taken on trust."""
    problem = problem_of(text, data)
    theta, statistics = somewhere(problem)
    coordinates = Coordinates(problem.spaces, theta)
    u = coordinates.free(theta)
    direction = np.random.default_rng(8).normal(size=len(u))
    analytic = float(coordinates.pullback(theta, problem.gradient(theta, statistics)) @ direction)
    h = 1e-5
    up, down = (q(problem, coordinates.theta(u + s * h * direction), statistics) for s in (1, -1))
    assert (up - down) / (2 * h) == pytest.approx(analytic, rel=2e-5, abs=1e-5)
