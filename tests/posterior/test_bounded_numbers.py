"""Posterior means and standard deviations of hidden shares, of numbers on an interval and of powers."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import dirichlet, gamma, invgamma, norm, truncexpon, truncnorm

from tests.posterior.test_numbers import agrees, by_quadrature, numbers

Y = np.array([0.4, -1.3, 2.2])


def test_shares_have_a_dirichlet_law() -> None:
    text = "index k = {a, b, c}\nparam alpha[k] : positive\nfor each row:\n    input n : natural\n"
    text += "    latent p[k] ~ Dirichlet(alpha)\n    observed y[k] ~ Multinomial(n, p)\n"
    alpha, counts = np.array([1.2, 0.4, 3.0]), np.array([[3.0, 0, 1], [0, 0, 7]])
    data = {"n": counts.sum(axis=1), **{name: counts[:, k] for k, name in enumerate("abc")}}
    found = numbers(text, data, {"alpha": dict(zip("abc", alpha, strict=True))})["p"]
    laws = [dirichlet(alpha + row) for row in counts]
    assert found.elements == (("a",), ("b",), ("c",))
    agrees(found, np.array([law.mean() for law in laws]).T, np.sqrt([law.var() for law in laws]).T)


def test_a_half_normal_number() -> None:
    text = "param b : real\nparam s : positive\nparam t : positive\nfor each row:\n"
    text += "    latent u ~ Normal(0, t) truncated to (0, inf)\n    observed y ~ Normal(b - u, s)\n"
    found = numbers(text, {"y": Y}, {"b": 0.5, "s": 0.7, "t": 1.1})["u"]
    variance = 1 / (1 / 0.7**2 + 1 / 1.1**2)
    mean, sd = variance * (0.5 - Y) / 0.7**2, np.sqrt(variance)
    law = truncnorm(-mean / sd, np.inf, loc=mean, scale=sd)
    agrees(found, law.mean(), law.std())


def test_ends_that_data_give() -> None:
    text = "param s : positive\nfor each row:\n    input low : real\n    input high : real\n"
    text += "    latent u ~ Normal(0, 2) truncated to (low, high)\n    observed y ~ Normal(u, s)\n"
    low, high = np.array([-1.0, 0.0, 1.0]), np.array([0.5, 9.0, 3.0])
    found = numbers(text, {"y": Y, "low": low, "high": high}, {"s": 0.7})["u"]
    variance = 1 / (1 / 0.7**2 + 1 / 4)
    mean, sd = variance * Y / 0.7**2, np.sqrt(variance)
    law = truncnorm((low - mean) / sd, (high - mean) / sd, loc=mean, scale=sd)
    agrees(found, law.mean(), law.std(), 1e-8)


def test_an_unseen_outcome_leaves_the_law_as_it_was() -> None:
    """Without data the log-joint has no square: an exponential law, whole or cut off."""
    text = "param t : positive\nfor each row:\n    latent u ~ Exponential(1/t){cut}\n    observed y ~ Normal(u, 1)\n"
    y = np.array([np.nan, 0.3])
    found = numbers(text.format(cut=""), {"y": y}, {"t": 1.7})["u"]
    assert np.allclose([found.mean[0, 0], found.sd[0, 0]], 1.7, rtol=1e-9)
    found = numbers(text.format(cut=" truncated to (0, 2)"), {"y": y}, {"t": 1.7})["u"]
    law = truncexpon(2 / 1.7, scale=1.7)
    assert np.allclose([found.mean[0, 0], found.sd[0, 0]], [law.mean(), law.std()], rtol=1e-9)


def test_powers() -> None:
    text = "param a : positive\nfor each row:\n    latent u ~ {law}\n    observed y ~ Normal(0, {sd})\n"
    cases = {"InverseGamma(a, 2)": invgamma(9.0, scale=2.0), "Gamma(a, 2)": gamma(9.0, scale=0.5)}
    for (law, own), sd in zip(cases.items(), ("u", "1/u"), strict=True):
        found = numbers(text.format(law=law, sd=sd), {"y": Y}, {"a": 9.0})["u"]
        for unit, seen in enumerate(Y):

            def log_joint(u: float, seen: float = float(seen), own: Any = own, sd: str = sd) -> float:
                return float(own.logpdf(u) + norm.logpdf(seen, 0, u if sd == "u" else 1 / u))

            mean, spread = by_quadrature(log_joint, 1e-6, 60.0)
            assert np.allclose([found.mean[0, unit], found.sd[0, unit]], [mean, spread], rtol=1e-7), (law, unit)
