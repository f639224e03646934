"""Laws of the loop: exactly N iterations, never downhill, the score vanishes at the end."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from emdsl.diagnostics.errors import FitError
from emdsl.runtime.acceleration import accelerated_em
from emdsl.runtime.domains import Coordinates
from emdsl.runtime.em import em_step, evaluate, plain_em
from emdsl.runtime.fitting import FitOptions, fit
from emdsl.runtime.information import observed_information, score
from emdsl.runtime.problem import Expectation
from tests.runtime.hand_written import (
    AlleleCounts,
    FactorModel,
    Logistic,
    NormalMixture,
    PartlySeenNormal,
    PoissonChain,
    PoissonMixture,
    RandomIntercepts,
    numeric_gradient,
)  # fmt: skip

RNG = np.random.default_rng(20)
NORMAL = np.concatenate([RNG.normal(0, 1, 60), RNG.normal(5, 2, 40)])


def vectors(rows=60):
    x = RNG.normal(size=(rows, 3)) @ np.array([[2.0, 0.3, 0.1], [0, 1, 0.4], [0, 0, 0.5]]) + [1, 2, 3]
    x[::7, 1] = np.nan
    return x


def inside(problem, seed=0):
    """A point inside the domains, away from symmetry."""
    coordinates = Coordinates(problem.spaces, problem.initial())
    move = 0.3 * np.random.default_rng(seed).normal(size=coordinates.size)
    return coordinates.theta(coordinates.free(problem.initial()) + move)


PROBLEMS: dict[str, Any] = {
    "Poisson mixture": PoissonMixture(np.arange(8.0), np.array([30, 60, 70, 60, 40, 20, 12, 5.0]), 2),
    "Normal mixture": NormalMixture(NORMAL, 2),
    "gene counting with a prior": AlleleCounts(
        np.array([[[1, 1], [1, 0]], [[0, 0], [0, 1.0]]]), np.array([30.0, 25.0]), prior=np.array([3.0, 2.0])
    ),
    "chain": PoissonChain(RNG.poisson(np.repeat([3, 9, 4, 11], 15)).astype(float), 2),
    "covariance": PartlySeenNormal(vectors()),
    "random intercepts": RandomIntercepts(RNG.normal(size=(8, 5)) + RNG.normal(size=(8, 1))),
    "logistic": Logistic(np.column_stack([np.ones(50), RNG.normal(size=50)]), (RNG.random(50) < 0.4).astype(float)),
    "factors": FactorModel(RNG.normal(size=(80, 2)) @ RNG.normal(size=(2, 6)) + RNG.normal(size=(80, 6)), 2),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_score_is_the_derivative_of_the_log_likelihood(name):
    problem = PROBLEMS[name]
    theta = inside(problem)
    analytic = score(problem, Coordinates(problem.spaces, theta), theta)
    slopes = numeric_gradient(problem, theta)
    numeric = Coordinates(problem.spaces, theta).pullback(theta, slopes)
    np.testing.assert_allclose(analytic, numeric, rtol=1e-5, atol=1e-4)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # `fit` switches NumPy's warnings off, these pieces do not
@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("method", ["none", "anderson", "squarem"])
def test_the_log_likelihood_never_falls(name, method):
    problem = PROBLEMS[name]
    start = evaluate(problem, inside(problem))
    run = accelerated_em(problem, Coordinates(problem.spaces, start.theta), start, method, 40)
    values = [start.loglik, *(value for _, value in run.trace)]
    if name != "gene counting with a prior":  # where it is the penalised one that never falls
        assert (np.diff(values) >= -1e-12 * (1 + abs(values[-1]))).all()
    assert run.fell == 0 and not run.broke and run.iterations == 40
    assert run.iterate.value >= start.value
    assert [iteration for iteration, _ in run.trace] == list(range(1, 41))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", PROBLEMS)
def test_at_the_end_the_score_vanishes_and_em_stays(name):
    problem = PROBLEMS[name]
    state = fit(problem, FitOptions(starts=3))
    assert state.converged and state.stopped_by == "decrement"
    assert state.uncertainty is not None
    coordinates = state.uncertainty.coordinates
    u = coordinates.free(state.theta)
    errors = np.sqrt(1 / np.diag(observed_information(problem, coordinates, state.theta)))
    assert np.abs(score(problem, coordinates, state.theta) * errors).max() < 1e-5
    stepped = em_step(problem, evaluate(problem, state.theta))
    assert np.abs((coordinates.free(stepped.theta) - u) / errors).max() < 1e-5


@pytest.mark.parametrize("name", PROBLEMS)
def test_information_agrees_with_differences_of_the_log_likelihood(name):
    problem = PROBLEMS[name]
    theta = inside(problem)
    coordinates = Coordinates(problem.spaces, theta)
    u, size = coordinates.free(theta), coordinates.size
    information = observed_information(problem, coordinates, theta)
    coarse = observed_information(problem, coordinates, theta, order=2)
    unit = 1 / np.sqrt(np.maximum(np.abs(np.diag(information)), 1e-3))
    np.testing.assert_allclose(coarse * np.outer(unit, unit), information * np.outer(unit, unit), atol=2e-3)
    h = 0.02 * unit

    def value(move):
        return evaluate(problem, coordinates.theta(u + move)).value

    for i in range(min(size, 4)):
        a = h * np.eye(size)[i]
        second = (-value(2 * a) + 16 * value(a) - 30 * value(0 * a) + 16 * value(-a) - value(-2 * a)) / (12 * h[i] ** 2)
        assert -second * unit[i] ** 2 == pytest.approx(information[i, i] * unit[i] ** 2, abs=1e-5)


def test_exactly_n_plain_iterations_and_nothing_else():
    problem = PROBLEMS["Poisson mixture"]
    calls = {"expect": 0, "maximize": 0, "gradient": 0}
    counted = PoissonMixture(problem.y, problem.w)
    for name in calls:
        plain = getattr(counted, name)

        def count(*arguments, name=name, plain=plain):
            calls[name] += 1
            return plain(*arguments)

        setattr(counted, name, count)
    state = fit(counted, FitOptions(tol=0, max_iter=7, accelerate="none", starts=1))
    assert calls == {"expect": 8, "maximize": 7, "gradient": 0}
    current = evaluate(problem, problem.initial())
    for _ in range(7):
        current = em_step(problem, current)
    assert state.loglik == current.loglik
    np.testing.assert_array_equal(state.theta["rate"], current.theta["rate"])
    assert state.iterations == 7 == len(state.trace) and state.stopped_by == "iterations" and not state.converged
    assert state.se is None and state.se_method == "none" and state.warnings == ()


def test_no_iterations_evaluate_the_start():
    problem = PROBLEMS["Poisson mixture"]
    state = fit(problem, FitOptions(max_iter=0))
    assert state.iterations == 0 and state.trace == () and state.loglik == problem.expect(problem.initial()).loglik
    np.testing.assert_array_equal(state.theta["rate"], problem.initial()["rate"])


def test_the_limit_of_iterations_is_said():
    state = fit(PROBLEMS["Poisson mixture"], FitOptions(max_iter=3, starts=1, accelerate="none"))
    assert not state.converged and state.stopped_by == "iterations" and state.iterations == 3
    assert any("limit of 3 iterations" in text and "--max-iter 30" in text for text in state.warnings)


def test_a_step_downhill_is_reported():
    class Downhill(NormalMixture):
        def maximize(self, theta, statistics):
            better = super().maximize(theta, statistics)
            return {**better, "sigma": better["sigma"] * 1.5}

    run = plain_em(Downhill(NORMAL, 2), evaluate(PROBLEMS["Normal mixture"], inside(PROBLEMS["Normal mixture"])), 5)
    assert run.fell > 1
    state = fit(Downhill(NORMAL, 2), FitOptions(starts=1, tol=0, max_iter=5, accelerate="none"))
    assert any("fell by" in text for text in state.warnings)


def test_impossible_data_are_an_error_with_the_state():
    class Impossible(PoissonMixture):
        def expect(self, theta):
            return Expectation(-np.inf, super().expect(theta).statistics)

    with pytest.raises(FitError, match="starting values is -inf") as caught:
        fit(Impossible(np.arange(3.0), np.ones(3)), FitOptions(starts=3))
    assert caught.value.state.loglik == -np.inf and not caught.value.state.converged


def test_options_out_of_range_say_what_is_expected():
    for options, words in [
        (FitOptions(accelerate="fast"), "unknown acceleration 'fast'; expected one of auto, squarem"),
        (FitOptions(se="jackknife"), "standard errors by 'jackknife'"),
        (FitOptions(tol=-1), "tolerance"),
        (FitOptions(level=1.5), "level"),
        (FitOptions(starts=0), "starts"),
    ]:
        with pytest.raises(ValueError, match=words):
            fit(PROBLEMS["Poisson mixture"], options)


def test_progress_is_told_every_iteration():
    told = []
    options = FitOptions(starts=2, progress=lambda stage, iteration, iterate: told.append((stage, iteration)))
    state = fit(PROBLEMS["Poisson mixture"], options)
    assert [item for item in told if item[0] == "start"] == [("start", 1), ("start", 2)]
    assert {stage for stage, _ in told} == {"start", "em", "newton"}
    assert max(iteration for stage, iteration in told if stage == "newton") == state.iterations
