"""The score of every shipped model, and that plain EM never lowers the log-likelihood and log prior."""

from __future__ import annotations

import numpy as np
import pytest

from emdsl.plan.simulated import samplers
from tests.laws.bound_models import (
    Array,
    Taken,
    own_size,
    random_theta,
    shipped,
    slope,
    take,
    take_if_planned,
    take_shipped,
)
from tests.laws.random_models import random_model
from tests.laws.test_maximisation import CASES

each_shipped = pytest.mark.parametrize("name", shipped())


def some_way_up(bound: Taken, rng: np.random.Generator) -> dict[str, Array]:
    """A place that a random start reaches in one step: inside every domain, and no optimum."""
    problem = bound.problem
    start = problem.initial()
    if not problem.has_latent:
        return random_theta(problem.spaces, rng, start)
    theta = dict(problem.maximize(start, problem.random_expectation(rng, start).statistics))
    for space in problem.spaces:
        if space.kind in ("simplex", "unit"):
            # a first step may land on a boundary, where there is no slope
            inside = random_theta((space,), rng, start)[space.name]
            theta[space.name] = 0.5 * theta[space.name] + 0.5 * inside
    return theta


@each_shipped
def test_score_of_shipped_model(name: str) -> None:
    bound, rng = take_shipped(name), np.random.default_rng(5)
    if samplers(bound.problem):
        pytest.skip("a simulated likelihood has another slope than the mean score of its draws")
    theta = some_way_up(bound, rng)
    value = bound.value(theta)
    gradient = bound.problem.gradient(theta, bound.problem.expect(theta).statistics)
    # The nodes of a quadrature move with theta: its sum has the score of the integral to the accuracy of the sum.
    moving = any(integral.method == "quadrature" for integral in bound.compiled.derivation.integrals)
    rel = 1e-4 if moving else 1e-6
    for space in bound.problem.spaces:
        step = own_size(space, np.asarray(theta[space.name]), rng)
        found = slope(bound.value, theta, {space.name: step}, 3e-4)
        promised = float(np.sum(np.where(space.fixed, 0.0, gradient[space.name]) * step))
        assert promised == pytest.approx(found, rel=rel, abs=1e-9 * (1 + abs(value))), space.name


def climb(bound: Taken, theta: dict[str, Array], steps: int) -> None:
    """Plain EM; the objective may not fall by more than the rounding of its sum. A spread that shrinks to nothing, as
    few rows allow, ends it: the likelihood has no bound there."""
    value = bound.value(theta)
    positive = [space.name for space in bound.problem.spaces if space.kind == "positive"]
    for number in range(steps):
        expectation = bound.problem.expect(theta)
        theta = dict(bound.problem.maximize(theta, expectation.statistics))
        if any(np.min(theta[name], initial=1.0) < 1e-4 for name in positive):
            return
        before, value = value, bound.value(theta)
        assert value >= before - 1e-10 * (1 + abs(before)), f"step {number + 1} of\n{bound.compiled.text}"


@each_shipped
def test_shipped_model_never_falls(name: str) -> None:
    bound = take_shipped(name)
    for seed in range(3):
        theta = some_way_up(bound, np.random.default_rng(seed))
        climb(bound, theta, 25)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_small_model_never_falls(case: object) -> None:
    bound = take(case.model(), case.data(), fix=case.fix)  # type: ignore[attr-defined]
    theta = random_theta(bound.problem.spaces, np.random.default_rng(7), bound.problem.initial())
    climb(bound, theta, 15)


@pytest.mark.parametrize("seed", [*range(1000, 1020), 1031])
def test_random_model_never_falls(seed: int) -> None:
    model = random_model(seed)
    bound = take_if_planned(model.text, model.columns)
    if bound is None:
        pytest.skip("no plan yet")
    theta = random_theta(bound.problem.spaces, np.random.default_rng(seed), bound.problem.initial())
    if np.isfinite(bound.value(theta)):
        climb(bound, theta, 6)


def test_a_wrong_score_would_be_seen() -> None:
    """The comparison has teeth: a score that forgets one row in a thousand does not pass."""
    bound, rng = take_shipped("univariate_mixture"), np.random.default_rng(5)
    theta = some_way_up(bound, rng)
    space = next(space for space in bound.problem.spaces if space.name == "mu")
    steps = {"mu": own_size(space, theta["mu"], rng)}
    gradient = bound.problem.gradient(theta, bound.problem.expect(theta).statistics)
    found = slope(bound.value, theta, steps, 3e-4)
    wrong = float(np.sum(gradient["mu"] * steps["mu"])) * 0.999
    assert wrong != pytest.approx(found, rel=1e-6, abs=1e-9 * (1 + abs(bound.value(theta))))
