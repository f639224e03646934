"""Predictions where hidden numbers are jointly normal with what is observed: against conditional normal laws written
out over all cells of the data, and against Kalman's filter.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from tests.predict.references import conditional, kalman, one, predicted

RNG = np.random.default_rng(3)
Z = stats.norm.ppf(0.975)


def is_normal(found: Any, mean: Any, sd: Any) -> None:
    assert found.expected == pytest.approx(mean, rel=1e-8, abs=1e-8)
    assert found.high == pytest.approx(np.asarray(mean) + Z * np.asarray(sd), rel=1e-8, abs=1e-8)
    assert found.low == pytest.approx(np.asarray(mean) - Z * np.asarray(sd), rel=1e-8, abs=1e-8)


SLOPES = """
    index effect = {level, slope}
    param b0 : real
    param b1 : real
    param Tau : covariance[effect]
    param sigma : positive
    for each g:
        latent r[effect] ~ MVNormal(0, Tau)
        for each row:
            input x : real
            observed y ~ Normal(b0 + r[level] + (b1 + r[slope])*x, sigma)
"""


def test_random_slopes_are_the_best_linear_unbiased_predictions() -> None:
    g = np.repeat(np.arange(4), 5)
    x = RNG.normal(0, 1, 20)
    y = 2 + x + RNG.normal(0, 1, 4)[g] + RNG.normal(0, 0.7, 20)
    y[[2, 7, 9]] = np.nan
    y[15:] = np.nan  # a group of which nothing is seen
    tau, sigma = np.array([[1.0, 0.3], [0.3, 0.4]]), 0.7
    found = one(predicted(SLOPES, {"g": g, "x": x, "y": y}, {"b0": 2, "b1": 1, "Tau": tau, "sigma": sigma}), "y")
    for group in range(4):
        own = g == group
        design = np.stack([np.ones(5), x[own]], axis=1)
        values = design @ tau @ design.T
        # the hidden value of each row, and the rows that are seen
        joint = np.block([[values, values], [values, values + sigma**2 * np.eye(5)]])
        mean = np.tile(2 + x[own], 2)
        m, v = conditional(mean, joint, np.concatenate([np.full(5, np.nan), y[own]]))
        rows = np.flatnonzero(own)
        part = {name: getattr(found, name)[rows] for name in ("expected", "low", "high")}
        is_normal(type("Part", (), part), m[:5], np.sqrt(np.diag(v)[:5] + sigma**2))


CROSSED = """
    index plate = levels
    index sample = levels
    param mu : real
    param sigma : positive
    latent u[plate] ~ Normal(0, 1.5)
    latent v[sample] ~ Normal(0, 0.8)
    for each row:
        input plate : plate
        input sample : sample
        observed y ~ Normal(mu + u[plate] + v[sample], sigma)
"""


def test_crossed_effects() -> None:
    plate, sample = RNG.integers(0, 4, 18), RNG.integers(0, 3, 18)
    y = 5 + RNG.normal(0, 2, 18)
    y[[0, 4, 11]] = np.nan
    columns = {"plate": plate.astype(str), "sample": sample.astype(str), "y": y}
    found = one(predicted(CROSSED, columns, {"mu": 5, "sigma": 0.5}), "y")
    values = 1.5**2 * np.equal.outer(plate, plate) + 0.8**2 * np.equal.outer(sample, sample)
    joint = np.block([[values, values], [values, values + 0.25 * np.eye(18)]])
    m, v = conditional(np.full(36, 5.0), joint, np.concatenate([np.full(18, np.nan), y]))
    is_normal(found, m[:18], np.sqrt(np.diag(v)[:18] + 0.25))


LEVEL = """
    param q : positive
    param r : positive
    for each t in sequence:
        latent level ~ Normal(3, 2) first, Normal(prev(level), q) after
        observed y ~ Normal(level, r)
"""
FLOW = np.array([3.2, 2.9, np.nan, 4.4, 4.0, np.nan, np.nan])


def test_a_level_is_interpolated_and_forecast_with_growing_variance() -> None:
    q, r, n = 0.6, 0.4, len(FLOW)
    levels = 4 + q**2 * np.minimum.outer(np.arange(n), np.arange(n))
    joint = np.block([[levels, levels], [levels, levels + r**2 * np.eye(n)]])
    m, v = conditional(np.full(2 * n, 3.0), joint, np.concatenate([np.full(n, np.nan), FLOW]))
    found = one(predicted(LEVEL, {"y": FLOW}, {"q": q, "r": r}), "y")
    sd = np.sqrt(np.diag(v)[:n] + r**2)
    is_normal(found, m[:n], sd)
    assert sd[4] < sd[5] < sd[6] and found.high[6] - found.low[6] == pytest.approx(2 * Z * sd[6])


def test_filtered_is_kalmans_filter() -> None:
    q, r = 0.6, 0.4
    start = np.array([3.0]), np.array([[4.0]])
    means, covariances = kalman(FLOW, start, np.eye(1), np.array([[q**2]]), np.ones(1), r)
    found = one(predicted(LEVEL, {"y": FLOW}, {"q": q, "r": r}, filtered=True), "y")
    is_normal(found, np.ravel(means), np.sqrt(np.ravel(covariances) + r**2))


TREND = """
    param s : positive
    param r : positive
    for each g:
        for each t in sequence:
            latent slope ~ Normal(0.5, 1) first, Normal(prev(slope), s) after
            latent level ~ Normal(1, 2) first, Normal(prev(level) + prev(slope), 0.3) after
            observed y ~ Normal(level, r)
"""


def test_filtered_trends_of_several_series() -> None:
    y = np.concatenate([RNG.normal(2, 1, 6), [np.nan], RNG.normal(3, 2, 4)])
    g = np.repeat(["a", "b"], [7, 4])
    found = one(predicted(TREND, {"g": g, "y": y}, {"s": 0.2, "r": 0.5}, filtered=True), "y")
    transition = np.array([[1.0, 1.0], [0.0, 1.0]])
    noise, start = np.diag([0.09, 0.04]), (np.array([1.0, 0.5]), np.diag([4.0, 1.0]))
    for name in ("a", "b"):
        rows = np.flatnonzero(g == name)
        means, covariances = kalman(y[rows], start, transition, noise, np.array([1.0, 0.0]), 0.5)
        m = np.array([mean[0] for mean in means])
        sd = np.sqrt(np.array([c[0, 0] for c in covariances]) + 0.25)
        part = {key: getattr(found, key)[rows] for key in ("expected", "low", "high")}
        is_normal(type("Part", (), part), m, sd)


def test_a_law_that_looks_two_units_back_is_filtered() -> None:
    text = LEVEL.replace("Normal(prev(level), q) after", "Normal(0.9*prev(level) + 0.1*prev(level, 2), q) after")
    q, r = 0.6, 0.4
    found = one(predicted(text, {"y": FLOW}, {"q": q, "r": r}, filtered=True), "y")
    n = len(FLOW)
    # levels from their innovations: the first two are drawn by the first law
    roots = np.eye(n)
    for k in range(2, n):
        roots[k] = 0.9 * roots[k - 1] + 0.1 * roots[k - 2]
        roots[k, k] = 1.0
    scale = np.array([2.0, 2.0] + [q] * (n - 2))
    mean = roots @ np.array([3.0, 3.0] + [0.0] * (n - 2))
    levels = (roots * scale**2) @ roots.T
    for k in range(n):
        seen = np.where(np.arange(n) <= k, FLOW, np.nan)
        joint = np.block([[levels, levels], [levels, levels + r**2 * np.eye(n)]])
        m, v = conditional(np.tile(mean, 2), joint, np.concatenate([np.full(n, np.nan), seen]))
        assert found.expected[k] == pytest.approx(m[k], rel=1e-8)
        assert found.high[k] == pytest.approx(m[k] + Z * np.sqrt(v[k, k] + r**2), rel=1e-8)


FACTORS = """
    index factor = {f, g}
    index item = columns(a, b, c)
    param load[item, factor] : real
    param psi[item] : positive
    for each row:
        latent h[factor] ~ Normal(0, 1)
        observed y[item] ~ Normal(1 + sum(k in factor: load[item, k]*h[k]), psi[item])
"""


def test_an_item_that_is_empty_is_told_by_the_others_through_the_factors() -> None:
    load, psi = RNG.normal(0, 1, (3, 2)), np.array([0.5, 1.0, 0.8])
    y = RNG.normal(1, 1, (4, 3))
    y[1, 0] = y[2, 1] = y[3] = np.nan
    theta = {"load": load, "psi": psi}
    found = predicted(FACTORS, dict(zip("abc", y.T, strict=True)), theta)
    values = load @ load.T
    joint = np.block([[values, values], [values, values + np.diag(psi**2)]])
    for row in range(4):
        m, v = conditional(np.ones(6), joint, np.concatenate([np.full(3, np.nan), y[row]]))
        for k, item in enumerate("abc"):
            own = one(found, f"y[{item}]")
            assert own.expected[row] == pytest.approx(m[k], rel=1e-8)
            assert own.low[row] == pytest.approx(m[k] - Z * np.sqrt(v[k, k] + psi[k] ** 2), rel=1e-7)


def test_a_finite_variable_chooses_among_normal_posteriors() -> None:
    text = """
    index kind = {low, high}
    param p : simplex[kind]
    param m[kind] : real
    for each g:
        latent z ~ Categorical(p)
        latent u ~ Normal(m[z], 1)
        for each row:
            observed y ~ Normal(u, 0.5)
    """
    y = np.array([0.2, -0.1, 3.9, np.nan, np.nan])
    found = one(predicted(text, {"g": list("aabbc"), "y": y}, {"p": [0.4, 0.6], "m": [0.0, 4.0]}, level=0.8), "y")
    for rows in ([0, 1], [2, 3], [4]):
        seen = y[rows][~np.isnan(y[rows])]
        n = len(seen)
        weights, laws = [], []
        for share, mean in ((0.4, 0.0), (0.6, 4.0)):
            spread = np.ones((n, n)) + 0.25 * np.eye(n)
            weights.append(share * (stats.multivariate_normal(np.full(n, mean), spread).pdf(seen) if n else 1.0))
            precision = 1 + n / 0.25
            laws.append(stats.norm((mean + seen.sum() / 0.25) / precision, np.sqrt(1 / precision + 0.25)))
        w = np.array(weights) / np.sum(weights)
        for row in rows:
            assert found.expected[row] == pytest.approx(sum(a * law.mean() for a, law in zip(w, laws, strict=True)))
            for end, tail in ((found.low[row], 0.1), (found.high[row], 0.9)):
                assert sum(a * law.cdf(end) for a, law in zip(w, laws, strict=True)) == pytest.approx(tail, abs=1e-9)


def test_a_lognormal_law_over_a_normal_posterior() -> None:
    text = """
    param mu : real
    for each g:
        latent u ~ Normal(0, 0.8)
        for each row:
            observed y ~ LogNormal(mu + u, 0.5)
    """
    y = np.array([1.5, 2.5, np.nan, np.nan])
    found = one(predicted(text, {"g": list("aabb"), "y": y}, {"mu": 0.3}), "y")
    for rows in ([0, 1], [2, 3]):
        seen = np.log(y[rows][~np.isnan(y[rows])]) - 0.3
        precision = 1 / 0.64 + len(seen) / 0.25
        law = stats.lognorm(np.sqrt(1 / precision + 0.25), scale=np.exp(0.3 + seen.sum() / 0.25 / precision))
        assert found.expected[rows] == pytest.approx(law.mean(), rel=1e-7)
        assert found.low[rows] == pytest.approx(law.ppf(0.025), rel=1e-6)
        assert found.high[rows] == pytest.approx(law.ppf(0.975), rel=1e-6)
