"""What the claim "converged" rests on: saddle points, boundaries, flat directions, runaways, no Hessian."""

from __future__ import annotations

import numpy as np
import pytest

from emdsl.runtime import convergence
from emdsl.runtime.fitting import FitOptions, fit
from tests.runtime.hand_written import (
    FactorModel,
    Logistic,
    NormalMixture,
    PartlySeenNormal,
    PoissonChain,
    PoissonMixture,
    RandomIntercepts,
    space,
)  # fmt: skip

RNG = np.random.default_rng(8)
TWO_HILLS = np.concatenate([RNG.normal(0, 1, 80), RNG.normal(6, 1, 60)])
SKEWED = RNG.gamma(2.0, size=200)
MIXED_COUNTS = PoissonMixture(np.arange(8.0), np.array([30, 60, 70, 60, 40, 20, 12, 5.0]), 2)


@pytest.mark.parametrize("accelerate", ["auto", "squarem", "none"])
@pytest.mark.parametrize("x", [TWO_HILLS, SKEWED], ids=["two hills", "skewed"])
def test_a_symmetric_start_is_a_saddle_point_and_is_left(x, accelerate):
    best = fit(NormalMixture(x, 2), FitOptions(starts=20))
    state = fit(NormalMixture(x, 2), FitOptions(starts=1, accelerate=accelerate))
    assert state.converged and state.loglik == pytest.approx(best.loglik, abs=1e-6)


def test_a_saddle_point_that_cannot_be_left_is_no_convergence(monkeypatch):
    monkeypatch.setattr(convergence, "escape", lambda *arguments: None)
    state = fit(NormalMixture(SKEWED, 2), FitOptions(starts=1))
    assert not state.converged and any("saddle point" in text for text in state.warnings)
    assert state.se is None


def test_a_variance_component_at_zero():
    y = RNG.normal(size=(8, 5))
    y -= 0.9 * y.mean(axis=1, keepdims=True)
    for starts in (1, 5):
        state = fit(RandomIntercepts(y), FitOptions(starts=starts))
        assert state.converged and float(state.theta["tau"]) == 0.0 and state.boundary == ("tau",)
        assert state.se is not None and np.isnan(state.se["tau"])
        # what is left is one Normal sample: sd / sqrt(n) and sd / sqrt(2 n)
        assert float(state.theta["sigma"]) == pytest.approx(y.std(), rel=1e-8)
        assert float(state.se["mu"]) == pytest.approx(y.std() / np.sqrt(40), rel=1e-6)
        assert float(state.se["sigma"]) == pytest.approx(y.std() / np.sqrt(80), rel=1e-6)


def test_a_zero_that_the_start_holds_is_given_back_if_the_likelihood_rises():
    problem = PoissonChain(RNG.poisson(np.tile([2, 2, 2, 9, 9, 9], 12)).astype(float), 2)
    problem.start = {
        "start": np.array([0.5, 0.5]), "A": np.array([[0.7, 0.3], [0.0, 1.0]]), "rate": np.array([3.0, 7.0])
    }  # fmt: skip
    best = fit(problem, FitOptions(starts=10))
    state = fit(problem, FitOptions(starts=1, init_given=True))
    assert state.loglik == pytest.approx(best.loglik, abs=1e-8) and state.theta["A"].min() > 0.01
    kept = fit(problem, FitOptions(starts=1, tol=0, max_iter=50, accelerate="none"))
    assert kept.theta["A"][1, 0] == 0.0  # plain EM never leaves a zero


def test_rotations_of_factors_are_not_determined_but_the_rest_is():
    y = RNG.normal(size=(300, 2)) @ RNG.normal(size=(2, 7)) + RNG.normal(size=(300, 7))
    state = fit(FactorModel(y, 2), FitOptions(starts=2))
    assert state.converged and state.se is not None and state.uncertainty is not None
    assert len(state.unidentified) == 14 and all(name.startswith("load.") for name in state.unidentified)
    assert np.isnan(state.se["load"]).all() and (state.se["psi"] > 0).all()
    assert state.uncertainty.names == tuple(f"psi.{i}" for i in range(1, 8))
    assert any("not determined by the data" in text for text in state.warnings)


def test_separated_classes_have_no_maximum_and_it_is_said():
    x = np.column_stack([np.ones(10), np.arange(10.0)])
    state = fit(Logistic(x, (np.arange(10) > 4).astype(float)))
    assert any("running off to infinity" in text and "w.2" in text for text in state.warnings)
    assert state.loglik > -1e-6


def test_a_diagonal_covariance_keeps_its_zeros():
    x = RNG.normal(size=(90, 3)) * [1, 10, 0.1]
    state = fit(PartlySeenNormal(x, ~np.eye(3, dtype=bool)))
    np.testing.assert_allclose(np.diag(state.theta["Sigma"]), x.var(axis=0), rtol=1e-9)
    assert state.parameters == 6 and state.converged and state.se is not None
    variances = x.var(axis=0)
    np.testing.assert_allclose(np.diag(state.se["Sigma"]), variances * np.sqrt(2 / 90), rtol=1e-7)
    assert np.isnan(state.se["Sigma"][0, 1])


@pytest.mark.parametrize("accelerate", ["auto", "squarem", "anderson", "none"])
def test_without_a_hessian_the_score_and_the_rate_decide(monkeypatch, accelerate):
    exact = fit(MIXED_COUNTS, FitOptions(starts=1))
    monkeypatch.setattr(convergence, "MOST_COORDINATES", 1)
    state = fit(MIXED_COUNTS, FitOptions(starts=1, accelerate=accelerate, se="none", max_iter=100_000))
    assert state.converged and state.stopped_by == "score" and state.decrement < 1e-10
    assert state.loglik == pytest.approx(exact.loglik, abs=2e-10)


def test_everything_fixed_needs_no_iterations():
    problem = PoissonMixture(MIXED_COUNTS.y, MIXED_COUNTS.w)
    held = np.ones(2, dtype=bool)
    problem.spaces = (space("share", "simplex", (2,), 1, fixed=held), space("rate", "positive", (2,), fixed=held))
    state = fit(problem)
    assert state.converged and state.iterations == 0 and state.parameters == 0 and state.boundary == ()
    assert state.loglik == problem.expect(problem.start).loglik
    assert state.se is not None and np.isnan(state.se["rate"]).all()


def test_labels_are_put_in_order_before_the_standard_errors():
    def by_rate(theta):
        order = np.argsort(theta["rate"])
        return {name: value[order] for name, value in theta.items()}

    plain, ordered = fit(MIXED_COUNTS), fit(MIXED_COUNTS, FitOptions(arrange=by_rate))
    order = np.argsort(plain.theta["rate"])
    assert plain.se is not None and ordered.se is not None
    np.testing.assert_array_equal(ordered.theta["rate"], plain.theta["rate"][order])
    np.testing.assert_allclose(ordered.se["rate"], plain.se["rate"][order], rtol=1e-7)
    assert ordered.theta["rate"][0] < ordered.theta["rate"][1]
