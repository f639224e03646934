"""Predictions over every kind of integral: numbers on an interval, shares, kernels in powers, numbers on laid and on
standardised nodes, and finite variables that rows of different units look at; against sums that are written out here.
"""

from __future__ import annotations

from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest
from scipy import integrate, stats

from emdsl.diagnostics.errors import EmmError
from emdsl.runtime.integrals.shares import SharesLaw
from tests.predict.references import one, predicted, quantile


def normal_mixture(found: Any, unit: int, weight: Any, centre: Any, sd: Any) -> None:
    """A prediction is that of normal laws with these weights."""
    weight = weight / weight.sum()
    assert found.expected[unit] == pytest.approx((weight * centre).sum(), rel=1e-5, abs=1e-6)
    for end, tail in ((found.low[unit], 0.025), (found.high[unit], 0.975)):
        wanted = quantile(lambda x, t=tail: (weight * stats.norm.cdf(x, centre, sd)).sum(), tail, -50, 50)
        assert end == pytest.approx(wanted, rel=1e-4, abs=1e-5)


def trapezoid(low: float, high: float, count: int) -> tuple[Any, Any]:
    """Points and weights."""
    points = np.linspace(low, high, count)
    weights = np.ones(count)
    weights[[0, -1]] = 0.5
    return points, weights


# --- numbers on an interval -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ends", "low", "high"), [("(0, inf)", 0, 14), ("(-inf, 1)", -14, 1), ("(-1, 2)", -1, 2)])
def test_a_number_on_an_interval_is_no_normal_one(ends: str, low: float, high: float) -> None:
    text = f"""
    param tau : positive
    for each farm:
        latent u ~ Normal(0, tau) truncated to {ends}
        observed y ~ Normal(1 - u, 0.4)
    """
    seen = np.array([np.nan, 0.3, 6.0, -4.0])
    found = one(predicted(text, {"y": seen}, {"tau": 1.5}), "y")
    u, ends_ = trapezoid(low, high, 40_001)
    for unit, y in enumerate(seen):
        weight = ends_ * stats.norm.pdf(u, 0, 1.5) * (1 if np.isnan(y) else stats.norm.pdf(y, 1 - u, 0.4))
        normal_mixture(found, unit, weight, 1 - u, 0.4)


def test_numbers_beside_one_on_an_interval() -> None:
    text = """
    param tau : positive
    for each g:
        latent u ~ Normal(0, tau) truncated to (0, inf)
        latent v ~ Normal(0, 0.7)
        for each row:
            observed y ~ Normal(1 - u + v, 0.6)
    """
    found = one(predicted(text, {"g": [1, 1, 2], "y": [0.2, np.nan, np.nan]}, {"tau": 0.9}), "y")
    u, ends = trapezoid(0, 8, 2001)
    u, v = u[:, None], np.linspace(-5, 5, 301)
    prior = ends[:, None] * stats.norm.pdf(u, 0, 0.9) * stats.norm.pdf(v, 0, 0.7)
    for unit, seen in ((1, stats.norm.pdf(0.2, 1 - u + v, 0.6)), (2, 1.0)):
        normal_mixture(found, unit, prior * seen, 1 - u + v, 0.6)


# --- shares -----------------------------------------------------------------------------------------------------------

ALPHA = np.array([0.4, 1.0, 2.0])


def test_labels_drawn_from_hidden_shares() -> None:
    text = """
    index kind = {a, b, c}
    index group = {g, h}
    param alpha[group, kind] : positive
    param w : simplex[group]
    for each doc:
        latent z ~ Categorical(w)
        latent p[kind] ~ Dirichlet(alpha[z])
        for each word:
            observed y ~ Categorical(p)
    """
    alpha, w = np.array([ALPHA, [3.0, 1.0, 0.5]]), np.array([0.6, 0.4])
    data = {"doc": ["x", "x", "z"], "y": ["a", None, None]}
    found = one(predicted(text, data, {"alpha": alpha, "w": w}), "y")
    means = alpha / alpha.sum(axis=1, keepdims=True)
    told = w * means[:, 0] / (w @ means[:, 0])
    after = (alpha + np.array([1, 0, 0])) / (alpha.sum(axis=1, keepdims=True) + 1)
    assert found.probabilities[:, 1] == pytest.approx(told @ after, rel=1e-9)
    assert found.probabilities[:, 2] == pytest.approx(w @ means, rel=1e-9)


def test_counts_over_hidden_shares_have_their_means() -> None:
    text = """
    index kind = {a, b, c}
    param alpha[kind] : positive
    for each sample:
        input n : natural
        latent p[kind] ~ Dirichlet(alpha)
        observed y[kind] ~ Multinomial(n, p)
    """
    data = {"n": [10, 8], "y_a": [3, np.nan], "y_b": [3, np.nan], "y_c": [4, np.nan]}
    prediction = predicted(text, data, {"alpha": ALPHA})
    after = ALPHA + np.array([3, 3, 4])
    for place, kind in enumerate("abc"):
        wanted = [10 * after[place] / after.sum(), 8 * ALPHA[place] / ALPHA.sum()]
        assert one(prediction, f"y[{kind}]").expected == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize("alpha", [(0.4, 1.5), (0.02, 30.0), (0.4, 1.0, 2.0)])
def test_points_over_shares_hold_the_law_of_each(alpha: tuple[float, ...]) -> None:
    law = SharesLaw(np.array(alpha)[None, :, None])
    points, weights = law.quantiles(97)
    for place, a in enumerate(alpha):
        own, rest = points[0, place, :, 0], sum(alpha) - a
        found = [weights @ stats.binom(9, own).pmf(k) for k in range(10)]
        assert found == pytest.approx(stats.betabinom(9, a, rest).pmf(np.arange(10)), rel=1e-6, abs=1e-9)
    if len(alpha) == 2:
        assert points.sum(axis=1) == pytest.approx(np.ones(points.shape[2:])[None], abs=1e-12)


def test_laws_of_several_shares_at_once_are_refused() -> None:
    text = """
    family Both(a : unit, b : unit) for x : natural:
        logpmf = x*log(a) + 3*log(b)
    index kind = {a, b, c}
    param alpha[kind] : positive
    for each sample:
        latent p[kind] ~ Dirichlet(alpha)
        observed y ~ Both(p[a], p[b])
    """
    with pytest.raises(EmmError, match="looks at several of the hidden shares `p` at once"):
        predicted(text, {"y": [3, 1]}, {"alpha": ALPHA})


# --- kernels in powers ------------------------------------------------------------------------------------------------


def test_a_hidden_scale_with_a_kernel_in_its_reciprocal() -> None:
    text = """
    param a : positive
    for each row:
        latent s ~ InverseGamma(a, 2)
        observed y ~ Normal(1, 1.5*s)
    """
    found = one(predicted(text, {"y": [np.nan, 4.0]}, {"a": 3.0}), "y")
    for unit, y in enumerate((None, 4.0)):

        def total(x: float, seen: float | None = y) -> float:
            def density(s: float) -> float:
                told = 1.0 if seen is None else stats.norm.pdf(seen, 1, 1.5 * s)
                return float(stats.invgamma(3.0, scale=2).pdf(s) * told * stats.norm.cdf(x, 1, 1.5 * s))

            return float(integrate.quad(density, 0, 2)[0] + integrate.quad(density, 2, np.inf)[0])

        assert found.expected[unit] == pytest.approx(1.0, abs=1e-9)
        assert total(found.low[unit]) / total(1e6) == pytest.approx(0.025, rel=1e-5)
        assert total(found.high[unit]) / total(1e6) == pytest.approx(0.975, rel=1e-6)


# --- numbers on nodes -------------------------------------------------------------------------------------------------


def test_a_standardised_number_is_predicted_with_as_itself() -> None:
    text = """
    param mu : real
    param tau : positive
    for each g:
        latent u ~ Normal(mu, tau)
        observed w ~ Normal(2*u, 0.5)
        for each row:
            latent z ~ Bernoulli(logistic(u))
            observed y ~ Normal(u + 2*z, 0.7)
    """
    data = {"g": [1, 1, 2], "w": [1.0, 1.0, np.nan], "y": [0.3, np.nan, np.nan]}
    prediction = predicted(text, data, {"mu": 0.4, "tau": 0.6})
    u = np.linspace(-4, 5, 2001)
    p = 1 / (1 + np.exp(-u))
    prior = stats.norm.pdf(u, 0.4, 0.6)
    own = np.stack([(1 - p) * stats.norm.pdf(0.3, u, 0.7), p * stats.norm.pdf(0.3, u + 2, 0.7)])
    told = prior * stats.norm.pdf(1.0, 2 * u, 0.5) * own.sum(axis=0)
    for unit, weight in enumerate((told, prior)):
        normal_mixture(one(prediction, "w"), unit, weight, 2 * u, 0.5)
    centres, among = np.stack([u, u + 2]), np.stack([1 - p, p])
    for unit, weight in enumerate((told * own / own.sum(axis=0), told * among, prior * among)):
        normal_mixture(one(prediction, "y"), unit, weight, centres, 0.7)


def test_numbers_of_plates_in_each_other_on_standardised_nodes() -> None:
    text = """
    param tau : positive
    for each g:
        latent u ~ Normal(0, tau)
        for each h:
            latent v ~ Normal(u, 0.6)
            for each row:
                latent z ~ Bernoulli(logistic(v))
                observed y ~ Normal(u + 2*z, 0.7)
    """
    found = one(predicted(text, {"g": [1, 1], "h": [1, 1], "y": [0.3, np.nan]}, {"tau": 0.4}), "y")
    u, v = np.linspace(-3, 3, 151)[:, None], np.linspace(-6, 6, 301)
    p = 1 / (1 + np.exp(-v))
    told = p * stats.norm.pdf(0.3, u + 2, 0.7) + (1 - p) * stats.norm.pdf(0.3, u, 0.7)
    weight = stats.norm.pdf(u, 0, 0.4) * stats.norm.pdf(v, u, 0.6) * told
    both = np.stack([weight * (1 - p), weight * p])
    normal_mixture(found, 1, both, np.stack([u + 0 * v, u + 2 + 0 * v]), 0.7)


def test_a_number_with_any_law_on_laid_nodes() -> None:
    text = """
    param a : positive
    for each g:
        latent u ~ Gamma(a, 1)
        for each row:
            latent z ~ Bernoulli(u/(1 + u))
            observed y ~ Poisson(0.5 + u*z)
    """
    found = one(predicted(text, {"g": [1, 1, 2], "y": [3, np.nan, np.nan]}, {"a": 2.0}), "y")
    u = np.linspace(1e-4, 40, 40_001)
    p, prior = u / (1 + u), stats.gamma.pdf(u, 2)
    told = prior * (p * stats.poisson.pmf(3, 0.5 + u) + (1 - p) * stats.poisson.pmf(3, 0.5))
    wanted = [weight @ (0.5 + u * p) / weight.sum() for weight in (told, prior)]
    assert found.expected[1:] == pytest.approx(wanted, rel=1e-6)


def test_a_chain_on_laid_nodes_is_filtered() -> None:
    text = """
    param q : positive
    for each t in sequence:
        latent x ~ Normal(0, 1) first, Normal(0.9*prev(x), q) after
        observed y ~ Normal(0, exp(x/2))
    """
    seen = np.array([0.3, -2.0, np.nan])
    x = np.linspace(-6, 6, 601)
    step = stats.norm.pdf(x[None], 0.9 * x[:, None], 0.4)
    told = [np.ones(len(x)) if np.isnan(y) else stats.norm.pdf(y, 0, np.exp(x / 2)) for y in seen]
    forward = [stats.norm.pdf(x) * told[0]]
    for own in told[1:]:
        forward.append((forward[-1] @ step) * own)
    smoothed = forward[0] * (step @ told[1])
    for filtered, first in ((True, forward[0]), (False, smoothed)):
        found = one(predicted(text, {"y": seen}, {"q": 0.4}, filtered=filtered), "y")
        for unit, weight in enumerate((first, forward[1], forward[2])):
            normal_mixture(found, unit, weight, 0.0 * x, np.exp(x / 2))


# --- finite variables that rows of different units look at ------------------------------------------------------------


def test_hidden_elements_that_rows_choose() -> None:
    text = """
    index a = levels
    index b = levels
    param p : unit
    latent z[a] ~ Bernoulli(p)
    latent v[b] ~ Bernoulli(0.4)
    for each row:
        input a : a
        input b : b
        observed y ~ Normal(z[a] + 2*v[b], 0.8)
    """
    a, b, y = [1, 0, 0, 1], [0, 1, 0, 1], [np.nan, 2.4, 0.2, 3.0]
    data = {"a": [str(k) for k in a], "b": [str(k) for k in b], "y": y}
    found = one(predicted(text, data, {"p": 0.3}), "y")
    weights, centres = [], []
    for state in product((0, 1), repeat=4):
        z, v = state[:2], state[2:]
        weight = np.prod([0.3 if k else 0.7 for k in z]) * np.prod([0.4 if k else 0.6 for k in v])
        own = np.array([z[i] + 2 * v[j] for i, j in zip(a, b, strict=True)])
        weights.append(weight * np.nanprod(stats.norm.pdf(y, own, 0.8)))
        centres.append(own)
    for unit in range(4):
        normal_mixture(found, unit, np.array(weights), np.array(centres)[:, unit], 0.8)


def test_hidden_elements_that_units_choose_one_of() -> None:
    text = """
    index person = levels
    param p : unit
    latent z[person] ~ Bernoulli(p)
    for each row:
        input person : person
        observed y ~ Normal(z[person], 0.5)
    """
    found = one(predicted(text, {"person": list("baba"), "y": [0.2, 1.4, np.nan, np.nan]}, {"p": 0.3}), "y")
    for unit, y in enumerate((0.2, 1.4, 0.2, 1.4)):
        weight = np.array([0.7 * stats.norm.pdf(y, 0, 0.5), 0.3 * stats.norm.pdf(y, 1, 0.5)])
        normal_mixture(found, unit, weight, np.array([0.0, 1.0]), 0.5)


def test_a_condition_along_a_chain() -> None:
    text = """
    param s : unit
    for each t in sequence:
        latent x ~ Bernoulli(0.5) first, Bernoulli(s + 0.6*prev(x)) after
        observed seen ~ Bernoulli(0.1 + 0.6*x)
        observed k ~ Poisson(1 + 3*x)
        given seen == 1
    """
    found = one(predicted(text, {"seen": [1, 1, None], "k": [2, np.nan, np.nan]}, {"s": 0.2}), "k")
    total: Any = 0.0
    mean = np.zeros(3)
    for x in product((0, 1), repeat=3):
        steps = [0.2 + 0.6 * one if two else 0.8 - 0.6 * one for one, two in pairwise(x)]
        weight = np.prod(steps) * np.prod([0.1 + 0.6 * k for k in x]) * stats.poisson.pmf(2, 1 + 3 * x[0])
        total, mean = total + weight, mean + weight * (1 + 3 * np.array(x))
    assert found.expected == pytest.approx(mean / total, rel=1e-9)


def test_finite_variables_around_numbers_of_nested_plates() -> None:
    text = """
    index k = {a, b}
    param m[k] : real
    for each g:
        latent c ~ Categorical({a: 0.3, b: 0.7})
        latent u ~ Normal(m[c], 0.5)
        for each h:
            latent v ~ Normal(0, 0.6)
            for each row:
                observed y ~ Normal(u + v, 0.7)
    """
    found = one(predicted(text, {"g": [1, 1], "h": [1, 1], "y": [0.3, np.nan]}, {"m": [0.0, 2.0]}), "y")
    u, v = np.linspace(-3, 5, 201)[:, None], np.linspace(-4, 4, 201)
    prior = 0.3 * stats.norm.pdf(u, 0, 0.5) + 0.7 * stats.norm.pdf(u, 2, 0.5)
    weight = prior * stats.norm.pdf(v, 0, 0.6) * stats.norm.pdf(0.3, u + v, 0.7)
    normal_mixture(found, 1, weight, u + v, 0.7)
