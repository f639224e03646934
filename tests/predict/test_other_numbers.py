"""Predictions where hidden numbers are not normal given the data: against laws that are known, and against sums over a
line that is laid out without the engine.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import special, stats

from tests.predict.references import one, predicted, quantile

LINE = np.linspace(-9.0, 9.0, 3001)


def holds(found: Any, unit: int, law: Any, tail: float = 0.025) -> None:
    """Mean and interval are those of a frozen law of SciPy's."""
    assert found.expected[unit] == pytest.approx(law.mean(), rel=2e-6)
    assert found.low[unit] == pytest.approx(law.ppf(tail), rel=1e-5)
    assert found.high[unit] == pytest.approx(law.ppf(1 - tail), rel=1e-5)


def test_counts_over_a_gamma_rate_are_negative_binomial() -> None:
    text = """
    param a : positive
    param b : positive
    for each pump:
        latent rate ~ Gamma(a, b)
        for each row:
            input t : real
            observed y ~ Poisson(rate*t)
    """
    t, y = np.array([2.0, 3.0, 5.0, 900.0]), np.array([4, 1, np.nan, np.nan])
    found = one(predicted(text, {"pump": list("aabb"), "t": t, "y": y}, {"a": 1.5, "b": 0.7}), "y")
    for unit, shape, rate in ((0, 6.5, 5.7), (1, 6.5, 5.7), (2, 1.5, 0.7), (3, 1.5, 0.7)):
        holds(found, unit, stats.nbinom(shape, rate / (rate + t[unit])))


@pytest.mark.parametrize(("a", "b"), [(2.0, 3.0), (0.02, 0.05)])
def test_successes_over_a_beta_chance_are_beta_binomial(a: float, b: float) -> None:
    text = """
    param a : positive
    param b : positive
    for each litter:
        input n : natural
        latent p ~ Beta(a, b)
        observed y ~ Binomial(n, p)
    """
    found = one(predicted(text, {"n": [10, 8], "y": [3, np.nan]}, {"a": a, "b": b}, level=0.9), "y")
    for unit, law in enumerate((stats.betabinom(10, a + 3, b + 7), stats.betabinom(8, a, b))):
        assert found.expected[unit] == pytest.approx(law.mean(), rel=1e-6)
        assert (found.low[unit], found.high[unit]) == (law.ppf(0.05), law.ppf(0.95))


def test_a_normal_law_over_a_gamma_precision_is_students() -> None:
    text = """
    param mu : real
    param sigma : positive
    for each row:
        latent u ~ Gamma(2, 2)
        observed y ~ Normal(mu, sigma/sqrt(u))
    """
    found = one(predicted(text, {"y": [np.nan, 4.0]}, {"mu": 1, "sigma": 2}), "y")
    holds(found, 0, stats.t(4, 1, 2))
    # its own cell tells of the precision: Gamma(2 + 1/2, 2 + (y - mu)^2 / (2 sigma^2))
    holds(found, 1, stats.t(5, 1, 2 * np.sqrt((2 + 9 / 8) / 2.5)))


def test_a_wide_posterior_under_a_narrow_law_leaves_no_lumps() -> None:
    text = """
    param tau : positive
    for each row:
        latent u ~ Normal(0, tau)
        observed y ~ Poisson(exp(9 + u))
    """
    found = one(predicted(text, {"y": [np.nan]}, {"tau": 1.0}), "y")
    # a count of 8,000 has a spread of 1%: the quantiles are those of its rate but for about 1 part in 10,000
    law = stats.lognorm(1.0, scale=np.exp(9.0))
    assert found.expected[0] == pytest.approx(law.mean(), rel=1e-6)
    rates, shares = np.exp(9 + LINE), stats.norm.pdf(LINE)
    shares = shares / shares.sum()
    for end, tail in ((found.low[0], 0.025), (found.high[0], 0.975)):
        reached = [shares @ stats.poisson(rates).cdf(end + step) for step in (-1, 0)]
        assert reached[0] < tail <= reached[1]


def test_logistic_regression_with_an_effect_for_each_group() -> None:
    text = """
    param b : real
    param tau : positive
    for each g:
        latent u ~ Normal(0, tau)
        for each row:
            input x : real
            observed y ~ Bernoulli(logistic(b*x + u))
    """
    x, y = np.array([0.5, -1.0, 2.0, 1.0]), np.array([1.0, 0.0, np.nan, np.nan])
    found = one(predicted(text, {"g": list("aaab"), "x": x, "y": y}, {"b": 0.8, "tau": 1.7}), "y")
    u = 1.7 * LINE
    for rows in ([0, 1, 2], [3]):
        share = stats.norm.pdf(LINE)
        for row in rows:
            chance = special.expit(0.8 * x[row] + u)
            share = share * (1 if np.isnan(y[row]) else chance if y[row] else 1 - chance)
        for row in rows:
            wanted = (share * special.expit(0.8 * x[row] + u)).sum() / share.sum()
            assert found.probabilities[1, row] == pytest.approx(wanted, rel=1e-7)


def test_two_effects_that_multiply() -> None:
    text = """
    param tau : positive
    for each g:
        latent u ~ Normal(0, tau)
        latent v ~ Normal(0, 0.6)
        for each row:
            input x : real
            observed y ~ Poisson(exp(0.5 + u + v*x))
    """
    x, y = np.array([0.0, 1.0, 1.5]), np.array([2, 4, np.nan])
    found = one(predicted(text, {"g": list("aaa"), "x": x, "y": y}, {"tau": 0.9}, level=0.5), "y")
    z = np.linspace(-8, 8, 401)
    u, v = 0.9 * z[:, None], 0.6 * z
    share = stats.norm.pdf(z)[:, None] * stats.norm.pdf(z)
    for k in range(2):
        share = share * stats.poisson(np.exp(0.5 + u + v * x[k])).pmf(y[k])
    share /= share.sum()
    for k in range(3):
        rate = np.exp(0.5 + u + v * x[k])
        assert found.expected[k] == pytest.approx((share * rate).sum(), rel=1e-6)
        below = [(share * stats.poisson(rate).cdf(n)).sum() for n in range(60)]
        assert (found.low[k], found.high[k]) == (np.searchsorted(below, 0.25), np.searchsorted(below, 0.75))


def test_an_answer_is_told_by_the_ability() -> None:
    text = """
    index item = columns(q1, q2, q3)
    param a[item] : real
    param b[item] : real
    for each person:
        latent theta ~ Normal(0, 1)
        observed y[item] ~ Bernoulli(logistic(a[item]*theta - b[item]))
    """
    a, b = np.array([1.2, 0.7, 2.5]), np.array([0.0, -1.0, 0.5])
    y = np.array([[1, np.nan, 0], [np.nan, np.nan, np.nan]])
    found = predicted(text, dict(zip(("q1", "q2", "q3"), y.T, strict=True)), {"a": a, "b": b})
    chance = special.expit(np.outer(a, LINE) - b[:, None])
    for unit in range(2):
        share = stats.norm.pdf(LINE)
        for k in range(3):
            share = share * (1 if np.isnan(y[unit, k]) else chance[k] if y[unit, k] else 1 - chance[k])
        for k, item in enumerate(("q1", "q2", "q3")):
            wanted = (share * chance[k]).sum() / share.sum()
            assert one(found, f"y[{item}]").expected[unit] == pytest.approx(wanted, rel=1e-7)


FRAILTY = """
    param k : positive
    param v : positive
    for each g:
        latent u ~ Gamma(v, v)
        for each row:
            observed time ~ Weibull(k, 2*u^(-1/k)) censored above unless event
"""


def test_censored_times_under_a_frailty() -> None:
    k, v = 1.4, 2.0
    time, event = np.array([1.0, 3.0, np.nan]), np.array([1, 0, 1])
    columns = {"g": list("aaa"), "time": time, "event": event}
    found = one(predicted(FRAILTY, columns, {"k": k, "v": v}), "time")
    # u | data ~ Gamma(v + events, v + sum (t/2)^k), and S(t) = (1 + (t/2)^k / rate)^-shape
    shape, rate = v + 1, v + (1.0 / 2) ** k + (3.0 / 2) ** k
    survival = lambda t: (1 + (t / 2) ** k / rate) ** -shape  # noqa: E731
    for unit in range(3):
        for end, tail in ((found.low[unit], 0.025), (found.high[unit], 0.975)):
            assert end == pytest.approx(quantile(lambda t: 1 - survival(t), tail, 1e-9, 1e4), rel=1e-5)


def test_a_chain_of_rates_is_summed_over_laid_nodes() -> None:
    text = """
    param q : positive
    for each t in sequence:
        latent x ~ Normal(1, 0.5) first, Normal(prev(x), q) after
        observed y ~ Poisson(exp(x))
    """
    y = np.array([2, 4, np.nan])
    prediction = predicted(text, {"y": y}, {"q": 0.4})
    assert not prediction.notes
    z = np.linspace(-6, 6, 121)
    x1 = 1 + 0.5 * z[:, None]
    x2 = x1 + 0.4 * z
    share = stats.norm.pdf(z)[:, None] * stats.norm.pdf(z) * stats.poisson(np.exp(x1)).pmf(2)
    share = share * stats.poisson(np.exp(x2)).pmf(4)
    share /= share.sum()
    found = one(prediction, "y")
    wanted = [(share * np.exp(x1)).sum(), (share * np.exp(x2)).sum(), (share * np.exp(x2)).sum() * np.exp(0.4**2 / 2)]
    assert found.expected == pytest.approx(wanted, rel=1e-6)


def test_crossed_rates_are_simulated_and_that_is_said() -> None:
    text = """
    index s = levels
    index r = levels
    param tau : positive
    latent u[s] ~ Normal(0, tau)
    latent v[r] ~ Normal(0, 0.5)
    for each row:
        input s : s
        input r : r
        observed y ~ Poisson(exp(u[s] + v[r]))
    """
    prediction = predicted(text, {"s": ["a", "a", "a"], "r": ["c", "c", "d"], "y": [2, np.nan, 5]}, {"tau": 0.5})
    assert any("simulated" in note for note in prediction.notes)
    z = 0.5 * np.linspace(-7, 7, 201)
    u, c = z[:, None], z
    prior = stats.norm.pdf(c, 0, 0.5)
    inner = [prior * stats.poisson(np.exp(u + c)).pmf(y) for y in (2, 5)]
    whole = stats.norm.pdf(z, 0, 0.5) * inner[0].sum(axis=1) * inner[1].sum(axis=1)
    rates = [(part * np.exp(u + c)).sum(axis=1) / part.sum(axis=1) for part in inner]
    wanted = [whole @ rate / whole.sum() for rate in (rates[0], rates[0], rates[1])]
    # 3,200 draws of a rate whose deviation is about 50% of its mean: an error of 1%, taken three times
    assert one(prediction, "y").expected == pytest.approx(wanted, rel=0.03)
