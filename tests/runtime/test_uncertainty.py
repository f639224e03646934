"""Standard errors, intervals, and derived quantities, against formulas."""

from __future__ import annotations

import numpy as np
import pytest

from emdsl.runtime.domains import Coordinates
from emdsl.runtime.fitting import FitOptions, fit
from emdsl.runtime.uncertainty import bounded_interval, delta_method, normal_quantile, uncertainty
from tests.runtime.hand_written import (
    AlleleCounts,
    Logistic,
    NormalMixture,
    PartlySeenNormal,
    PoissonMixture,
    RandomIntercepts,
)  # fmt: skip

RNG = np.random.default_rng(14)
COUNTS = PoissonMixture(np.arange(9.0), np.array([60, 75, 70, 60, 40, 25, 18, 9, 6.0]), 2)
BOTH_SEEN = AlleleCounts(np.array([[[1, 0], [0, 0]], [[0, 1], [1, 0]], [[0, 0], [0, 1.0]]]), np.array([20, 50, 30.0]))


def test_a_sample_of_vectors_has_the_textbook_errors():
    x = RNG.normal(size=(70, 2)) @ np.array([[2.0, 1.0], [0.0, 0.7]]) + [100.0, 0.001]
    state = fit(PartlySeenNormal(x))
    assert state.se is not None and state.uncertainty is not None
    sigma, n = state.theta["Sigma"], 70
    np.testing.assert_allclose(state.se["mu"], np.sqrt(np.diag(sigma) / n), rtol=1e-8)
    wishart = np.sqrt((np.outer(np.diag(sigma), np.diag(sigma)) + sigma**2) / n)
    np.testing.assert_allclose(state.se["Sigma"], wishart, rtol=1e-8)
    assert state.uncertainty.names == ("mu.1", "mu.2", "Sigma.1.1", "Sigma.1.2", "Sigma.2.2")
    matrix = state.uncertainty.covariance
    np.testing.assert_allclose(matrix, matrix.T, rtol=1e-12)
    assert matrix[2, 3] == pytest.approx(2 * sigma[0, 0] * sigma[0, 1] / n, rel=1e-7)


def test_no_hidden_variable_gives_the_binomial_error():
    state = fit(BOTH_SEEN)
    p = 90 / 200
    assert state.theta["p"] == pytest.approx([p, 1 - p], abs=1e-12)
    assert state.se is not None and state.interval is not None
    se = np.sqrt(p * (1 - p) / 200)
    assert state.se["p"] == pytest.approx([se, se], rel=1e-9)
    logit, half = np.log(p / (1 - p)), normal_quantile(0.95) * se / (p * (1 - p))
    assert state.interval["p"][0] == pytest.approx(
        [1 / (1 + np.exp(-(logit - half))), 1 / (1 + np.exp(-(logit + half)))]
    )


@pytest.mark.parametrize("level", [0.5, 0.95, 0.99])
def test_intervals_lie_inside_the_domain_at_every_scale(level):
    quantile = normal_quantile(level)
    value, se = np.array([0.3, 0.9]), np.array([0.4, 0.2])
    for low, high in [(0.0, 1.0), (0.0, np.inf), (-np.inf, 1.0), (-np.inf, np.inf), (-1.0, 1.0)]:
        interval = bounded_interval(value, se, quantile, low, high)
        assert (interval[:, 0] < value).all() and (value < interval[:, 1]).all()
        assert (interval >= low).all() and (interval <= high).all()
    plain = bounded_interval(value, se, quantile, -np.inf, np.inf)
    np.testing.assert_allclose(plain, np.stack([value - quantile * se, value + quantile * se], axis=1))
    log = bounded_interval(value, se, quantile, 0.0, np.inf)
    np.testing.assert_allclose(np.log(log).mean(axis=1), np.log(value))
    assert np.isnan(bounded_interval(value, np.array([np.nan, 0.2]), quantile, 0.0, 1.0)[0]).all()


@pytest.mark.parametrize("method", ["louis", "sem"])
def test_other_roads_to_the_observed_information(method):
    observed, other = (fit(COUNTS, FitOptions(starts=3, se=se)) for se in ("observed", method))
    assert observed.se is not None and other.se is not None and other.se_method == method
    for name in ("share", "rate"):
        np.testing.assert_allclose(other.se[name], observed.se[name], rtol=1e-5)


def test_outer_products_and_the_sandwich():
    state = {se: fit(COUNTS, FitOptions(starts=3, se=se)) for se in ("observed", "opg", "sandwich")}
    theta = state["observed"].theta
    coordinates = Coordinates(COUNTS.spaces, theta)
    gradients, weights = COUNTS.unit_gradients(theta)
    scores = np.stack(
        [coordinates.pullback(theta, {name: rows[i] for name, rows in gradients.items()}) for i in range(len(weights))]
    )
    assert np.abs(weights @ scores).max() < 1e-5
    jacobian = coordinates.jacobian(theta)
    opg = jacobian @ np.linalg.inv((scores * weights[:, None]).T @ scores) @ jacobian.T
    found = state["opg"].se
    assert found is not None
    np.testing.assert_allclose(np.concatenate([found["share"], found["rate"]]), np.sqrt(np.diag(opg)), rtol=1e-5)
    # the sandwich lies between for a model that is nearly right
    errors = [state[se].se for se in ("observed", "opg", "sandwich")]
    for a, b, c in zip(*(error["rate"] for error in errors if error is not None), strict=True):
        assert 0.5 < a / b < 2 and 0.5 < a / c < 2


def test_scores_of_units_that_are_not_there_are_an_error():
    x = np.column_stack([np.ones(30), RNG.normal(size=30)])
    with pytest.raises(ValueError, match="need the score of each unit"):
        fit(Logistic(x, (RNG.random(30) < 0.5).astype(float)), FitOptions(se="opg"))


def test_no_standard_errors_where_none_are_asked_for():
    state = fit(COUNTS, FitOptions(starts=1, se="none"))
    assert state.se is None and state.interval is None and state.se_method == "none" and state.converged


def test_derived_quantities_by_the_delta_method():
    state = fit(COUNTS, FitOptions(starts=5))
    spread = state.uncertainty
    assert spread is not None
    values = lambda theta: {  # noqa: E731
        "mean": np.asarray(theta["share"] @ theta["rate"]),
        "log rate": np.log(theta["rate"]),
        "one": np.asarray(theta["share"].sum()),
    }
    found = delta_method(values, state.theta, spread)
    y, w = COUNTS.y, COUNTS.w
    mean = float(y @ w / w.sum())
    assert float(found["mean"][0]) == pytest.approx(mean, rel=1e-9)  # a Poisson mixture fits the mean exactly
    gradient = np.concatenate([state.theta["rate"], state.theta["share"]])
    assert float(found["mean"][1]) == pytest.approx(np.sqrt(gradient @ spread.covariance @ gradient), rel=1e-7)
    np.testing.assert_allclose(found["log rate"][1], spread.se["rate"] / state.theta["rate"], rtol=1e-8)
    assert found["log rate"][2].shape == (2, 2) and float(found["one"][1]) == pytest.approx(0, abs=1e-9)


def test_a_derived_quantity_holds_what_lies_at_a_boundary():
    y = RNG.normal(size=(8, 5))
    y -= y.mean(axis=1, keepdims=True)
    state = fit(RandomIntercepts(y), FitOptions(starts=1))
    assert state.boundary == ("tau",) and state.uncertainty is not None
    found = delta_method(
        lambda theta: {"total": theta["tau"] ** 2 + theta["sigma"] ** 2}, state.theta, state.uncertainty
    )
    assert float(found["total"][1]) == pytest.approx(y.var() * np.sqrt(2 / 40), rel=1e-6)


def test_errors_do_not_depend_on_the_unit_of_the_data():
    x = np.concatenate([RNG.normal(0, 1, 50), RNG.normal(5, 1.5, 40)])
    errors = {}
    for unit in (1e-6, 1.0, 1e6):
        state = fit(NormalMixture(x * unit, 2), FitOptions(starts=5, arrange=by_mean))
        assert state.converged and state.se is not None
        errors[unit] = np.concatenate([state.se["share"], state.se["mu"] / unit, state.se["sigma"] / unit])
    np.testing.assert_allclose(errors[1e-6], errors[1.0], rtol=1e-6)
    np.testing.assert_allclose(errors[1e6], errors[1.0], rtol=1e-6)


def by_mean(theta):
    order = np.argsort(theta["mu"])
    return {name: value[order] for name, value in theta.items()}


def test_the_level_is_that_of_the_interval():
    state = fit(COUNTS, FitOptions(starts=2, level=0.5))
    again = uncertainty(COUNTS, Coordinates(COUNTS.spaces, state.theta), state.theta, level=0.5)
    assert state.interval is not None and state.uncertainty is not None and state.uncertainty.level == 0.5
    np.testing.assert_allclose(again.interval["rate"], state.interval["rate"], rtol=1e-9)
    ratio = np.log(state.interval["rate"][:, 1] / state.theta["rate"]) * state.theta["rate"] / again.se["rate"]
    np.testing.assert_allclose(ratio, 0.6744897501960817, rtol=1e-9)
