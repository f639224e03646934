"""Standard errors and intervals other than those of the observed information, against formulas and direct maximisation.

The references are closed forms, or finite differences of likelihoods written with SciPy; nothing in them uses emdsl.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import brentq, minimize
from scipy.stats import chi2, norm, poisson

import emdsl

Array = NDArray[np.float64]
RNG = np.random.default_rng(5)
X = RNG.normal(1.0, 2.0, 80) + RNG.exponential(1.0, 80)
W = RNG.uniform(0.2, 3.0, 80)
SITES = np.repeat(np.arange(16), 5)
COUNTS = RNG.poisson(np.exp(0.4 + 0.3 * X / 2 + RNG.normal(0, 0.4, 16)[SITES]))
PEAKS = np.concatenate([RNG.normal(0, 1, 50), RNG.normal(3, 1, 30)])
TABLE = {
    "z2": PEAKS.tolist(),
    "x": X.tolist(), "w": W.tolist(), "site": [f"s{k}" for k in SITES], "y": COUNTS.tolist(),
    "v": np.repeat(RNG.uniform(0.5, 2, 16), 5).tolist(),
}  # fmt: skip
NORMAL = "model M\nparam m : real\nparam s : positive\nfor each row:\n    observed x ~ Normal(m, s)\n"
POISSON = """model M
param a : real
param b : real
for each site:
    for each row:
        input x : real
        observed y ~ Poisson(exp(a + b*x))
"""


def derivative(function: Callable[[Array], Array], at: Array, step: float = 1e-5) -> Array:
    """Central differences, the last axis the inputs."""
    shifts = np.eye(len(at)) * step
    return np.stack([(function(at + h) - function(at - h)) / (2 * step) for h in shifts], axis=-1)


def sandwich(per_unit: Callable[[Array], Array], at: Array, weights: Array) -> Array:
    """Standard errors by Huber's formula from the log-likelihood of each unit, `(units,)`."""
    scores = derivative(per_unit, at)
    bread = -derivative(lambda u: weights @ derivative(per_unit, u, 1e-4), at, 1e-4)
    inverse = np.linalg.inv(0.5 * (bread + bread.T))
    meat = (scores * weights[:, None] ** 2).T @ scores
    return np.sqrt(np.diag(inverse @ meat @ inverse))


def test_weights_that_are_not_whole_numbers_get_the_sandwich() -> None:
    fit: Any = emdsl.loads(NORMAL).fit(TABLE, weight="w")
    mean = W @ X / W.sum()
    spread = np.sqrt(W @ (X - mean) ** 2 / W.sum())
    assert fit.to_dict()["se_method"] == "sandwich"
    assert fit.params["m"] == pytest.approx(mean, rel=1e-9)
    assert fit.se["m"] == pytest.approx(np.sqrt((W**2 * (X - mean) ** 2).sum()) / W.sum(), rel=1e-6)
    expected = sandwich(lambda u: norm.logpdf(X, u[0], u[1]), np.array([mean, spread]), W)
    assert [fit.se["m"], fit.se["s"]] == pytest.approx(expected.tolist(), rel=1e-4)
    assert any("AIC and BIC" in warning for warning in fit.warnings)


def test_whole_weights_count_units() -> None:
    counts = RNG.integers(1, 4, 80)
    counted: Any = emdsl.loads(NORMAL).fit({**TABLE, "n": counts.tolist()}, weight="n", se="sandwich")
    repeated: Any = emdsl.loads(NORMAL).fit({"x": np.repeat(X, counts).tolist()}, se="sandwich")
    assert counted.se["s"] == pytest.approx(repeated.se["s"], rel=1e-7)
    assert emdsl.loads(NORMAL).fit({**TABLE, "n": counts.tolist()}, weight="n").to_dict()["se_method"] == "observed"


@pytest.mark.parametrize("weight", [None, "v"])
def test_the_sandwich_is_by_outermost_unit(weight: str | None) -> None:
    fit: Any = emdsl.loads(POISSON).fit(TABLE, se="sandwich", weight=weight)
    weights = np.ones(16) if weight is None else np.array(TABLE["v"], dtype=float)[::5]

    def by_site(u: Array) -> Array:
        return np.asarray(np.bincount(SITES, poisson.logpmf(COUNTS, np.exp(u[0] + u[1] * X))), dtype=float)

    at = np.array([fit.params["a"], fit.params["b"]])
    assert [fit.se["a"], fit.se["b"]] == pytest.approx(sandwich(by_site, at, weights).tolist(), rel=1e-4)


def test_outer_products_of_a_mixture() -> None:
    text = """model M
index k = 1..2
param p : simplex[k]
param m[k] : real
for each row:
    latent z ~ Categorical(p)
    observed z2 ~ Normal(m[z], 1)
order k by m
"""
    fit: Any = emdsl.loads(text).fit(TABLE, se="opg", starts=5)

    def per_row(u: Array) -> Array:
        return np.logaddexp(np.log(u[0]) + norm.logpdf(PEAKS, u[1], 1), np.log1p(-u[0]) + norm.logpdf(PEAKS, u[2], 1))

    scores = derivative(per_row, np.array([fit.params["p"]["1"], fit.params["m"]["1"], fit.params["m"]["2"]]))
    expected = np.sqrt(np.diag(np.linalg.inv(scores.T @ scores)))
    found = [fit.se["p"]["1"], fit.se["m"]["1"], fit.se["m"]["2"]]
    assert found == pytest.approx(expected.tolist(), rel=1e-5)


def test_units_of_one_chain_have_no_scores_of_their_own() -> None:
    text = "model M\nparam r : real\nfor each row in sequence:\n    observed x ~ Normal(r*prev(x), 1)\n"
    with pytest.raises(emdsl.EmmError) as caught:
        emdsl.loads(text).fit(TABLE, se="sandwich")
    assert caught.value.code == "standard-errors"
    assert "follow each other in one chain" in caught.value.message


def test_the_bootstrap_is_over_units_drawn_with_replacement() -> None:
    fit: Any = emdsl.loads(NORMAL).fit(TABLE, se="bootstrap", bootstrap_repeats=60, seed=3)
    drawn = [np.random.default_rng([3, 7, k]).multinomial(80, np.full(80, 1 / 80)) for k in range(60)]
    means = np.array([w @ X / 80 for w in drawn])
    spreads = np.array([np.sqrt(w @ (X - m) ** 2 / 80) for w, m in zip(drawn, means, strict=True)])
    assert fit.to_dict()["se_method"] == "bootstrap"
    assert fit.se["m"] == pytest.approx(means.std(ddof=1), rel=1e-5)
    assert fit.se["s"] == pytest.approx(spreads.std(ddof=1), rel=1e-5)
    covariance = fit.to_dict()["covariance"]["matrix"]
    assert covariance[0][1] == pytest.approx(np.cov(means, spreads)[0, 1], rel=1e-4)


def test_profile_intervals_of_a_normal_sample() -> None:
    fit: Any = emdsl.loads(NORMAL).fit(TABLE, interval="profile", level=0.9)
    n, mean, spread, quantile = 80, X.mean(), X.std(), chi2.ppf(0.9, 1)
    half = spread * np.sqrt(np.expm1(quantile / n))
    assert fit.interval["m"] == pytest.approx([mean - half, mean + half], rel=1e-6)

    def fall(s: float) -> float:
        return 2 * n * (np.log(s / spread) + (spread**2 / s**2 - 1) / 2) - quantile

    ends = [brentq(fall, 0.5 * spread, spread, xtol=1e-12), brentq(fall, spread, 2 * spread, xtol=1e-12)]
    assert fit.interval["s"] == pytest.approx(ends, rel=1e-6)


def test_profile_interval_of_a_share_of_a_mixture() -> None:
    text = """model M
index k = 1..2
param p : simplex[k]
param m[k] : real
for each row:
    latent z ~ Categorical(p)
    observed z2 ~ Normal(m[z], 1)
order k by m
"""
    fit: Any = emdsl.loads(text).fit(TABLE, interval="profile", starts=5)

    def profile(p: float) -> float:
        def cost(u: Array) -> float:
            low, high = norm.logpdf(PEAKS, u[0], 1), norm.logpdf(PEAKS, u[1], 1)
            return -float(np.logaddexp(np.log(p) + low, np.log1p(-p) + high).sum())

        return -float(minimize(cost, [fit.params["m"]["1"], fit.params["m"]["2"]], tol=1e-12).fun)

    for end in fit.interval["p"]["1"]:
        assert 2 * (fit.loglik - profile(end)) == pytest.approx(chi2.ppf(0.95, 1), abs=1e-4)
    mirrored = [1 - end for end in fit.interval["p"]["1"][::-1]]
    assert fit.interval["p"]["2"] == pytest.approx(mirrored, abs=1e-5)
