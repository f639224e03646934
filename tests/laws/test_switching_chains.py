"""Chains of normal numbers that a finite chain switches: equal to the sum over all paths where that can be taken, and
within the error that they state where it cannot.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

import emdsl
from emdsl.diagnostics.errors import EmmError
from emdsl.plan.methods import with_plan
from emdsl.plan.path_climbing import doubt, draw, switching
from emdsl.plan.problem import BoundProblem
from emdsl.request import FitRequest
from emdsl.runtime.domains import Coordinates

LEVEL = """
index regime = {calm, rough}
param start : simplex[regime]
param A[regime] : simplex[regime]
param q[regime] : positive
param r : positive
for each t in sequence:
    latent s ~ Markov(start, A)
    latent x ~ Normal(0, 2) first, Normal(prev(x), q[s]) after
    observed y ~ Normal(x, r)
"""
INDEPENDENT = """
param p : unit
param q : positive
param r : positive
for each t in sequence:
    latent s ~ Bernoulli(p)
    latent x ~ Normal(0, 2) first, Normal(prev(x), q) after
    observed y ~ Normal(x, r*(1 + 4*s))
"""
TREND = """
index regime = {calm, rough}
param A[regime] : simplex[regime]
param q : positive
param r[regime] : positive
param m[regime] : real
for each series:
    for each t in sequence:
        latent s ~ Categorical({calm: 1/2, rough: 1/2}) first, Categorical(A[prev(s)]) after
        latent b ~ Normal(0, 1) first, Normal(prev(b) + m[prev(s)], q) after
        latent x ~ Normal(0, 2) first, Normal(prev(x) + prev(b), 0.3) after
        observed y ~ Normal(x, r[s])
"""
Theta = dict[str, Any]
THETAS: dict[str, Theta] = {
    LEVEL: {
        "start": np.array([0.7, 0.3]), "A": np.array([[0.9, 0.1], [0.3, 0.7]]), "q": np.array([0.2, 1.5]),
        "r": np.array(0.4),
    },
    INDEPENDENT: {"p": np.array(0.2), "q": np.array(0.5), "r": np.array(0.4)},
    TREND: {
        "A": np.array([[0.9, 0.1], [0.3, 0.7]]), "q": np.array(0.4), "r": np.array([0.2, 1.1]),
        "m": np.array([0.1, -0.5]),
    },
}  # fmt: skip
RNG = np.random.default_rng(1)
SERIES = [RNG.normal(size=4).cumsum(), 2 * RNG.normal(size=3)]


def level(path: Any, p: Theta) -> tuple[float, Any, Any]:
    """Log-probability of a path, mean and covariance of what is observed along it."""
    chance = np.log(p["start"][path[0]]) + np.log(p["A"][path[:-1], path[1:]]).sum()
    steps = np.cumsum([4.0, *p["q"][path[1:]] ** 2])
    return chance, np.zeros(len(path)), np.minimum.outer(steps, steps) + p["r"] ** 2 * np.eye(len(path))


def independent(path: Any, p: Theta) -> tuple[float, Any, Any]:
    steps = 4.0 + p["q"] ** 2 * np.arange(len(path))
    noise = (p["r"] * (1 + 4 * path)) ** 2
    chance = np.log(np.where(path == 1, p["p"], 1 - p["p"])).sum()
    return chance, np.zeros(len(path)), np.minimum.outer(steps, steps) + np.diag(noise)


def trend(path: Any, p: Theta) -> tuple[float, Any, Any]:
    """Slope and level as combinations of independent shocks, two a step."""
    length = len(path)
    slope, value = np.zeros((length, 2 * length)), np.zeros((length, 2 * length))
    slope_mean, value_mean = np.zeros(length), np.zeros(length)
    slope[0, 0], value[0, 1] = 1.0, 2.0
    for t in range(1, length):
        slope[t], value[t] = slope[t - 1], value[t - 1] + slope[t - 1]
        slope[t, 2 * t], value[t, 2 * t + 1] = p["q"], 0.3
        slope_mean[t] = slope_mean[t - 1] + p["m"][path[t - 1]]
        value_mean[t] = value_mean[t - 1] + slope_mean[t - 1]
    chance = np.log(0.5) + np.log(p["A"][path[:-1], path[1:]]).sum()
    return chance, value_mean, value @ value.T + np.diag(p["r"][path] ** 2)


def by_all_paths(y: Any, p: Theta, law: Callable[[Any, Theta], tuple[float, Any, Any]]) -> float:
    """The log-likelihood of one series."""
    logs = []
    for path in product(range(2), repeat=len(y)):
        chance, mean, covariance = law(np.array(path), p)
        logs.append(chance + multivariate_normal.logpdf(y, mean, covariance))
    return float(logsumexp(logs))


def problem(text: str, data: dict[str, Any], seed: int = 0) -> BoundProblem:
    compiled = emdsl.loads(text).compiled.for_draws()
    bound = replace(compiled.bind(data, FitRequest()), seed=seed)
    return BoundProblem(with_plan(compiled.derivation, "monte-carlo"), bound)


def slope(found: BoundProblem, theta: Theta) -> Any:
    coordinates = Coordinates(found.spaces, theta)
    return coordinates.pullback(theta, found.gradient(theta, found.expect(theta).statistics))


def differences(value: Callable[[Theta], float], coordinates: Coordinates, theta: Theta) -> Any:
    u, step = coordinates.free(theta), 1e-5
    sides = [[value(coordinates.theta(u + sign * step * e)) for sign in (1, -1)] for e in np.eye(len(u))]
    return np.array([(up - down) / (2 * step) for up, down in sides])


@pytest.mark.parametrize(
    ("text", "law"), [(LEVEL, level), (INDEPENDENT, independent), (TREND, trend)], ids=["level", "independent", "trend"]
)
def test_few_paths_are_summed_exactly(text: str, law: Any) -> None:
    if text == TREND:
        data: dict[str, Any] = {"series": [1] * 4 + [2] * 3, "y": np.concatenate(SERIES)}
    else:
        data = {"y": SERIES[0]}
    found, theta = problem(text, data), THETAS[text]

    def exact(p: Theta) -> float:
        return sum(by_all_paths(y, p, law) for y in (SERIES if text == TREND else SERIES[:1]))

    assert found.expect(theta).loglik == pytest.approx(exact(theta), abs=1e-9)
    expected = differences(exact, Coordinates(found.spaces, theta), theta)
    assert slope(found, theta) == pytest.approx(expected, abs=1e-6)
    assert doubt(found) == 0.0  # and nothing is simulated


def test_particles_agree_with_all_paths_within_the_error_that_they_state() -> None:
    y, theta = np.random.default_rng(4).normal(size=8).cumsum(), THETAS[LEVEL]
    exact = by_all_paths(y, theta, level)
    found = problem(LEVEL, {"y": y})
    own, errors, slopes = [], [], []
    for number in range(12):
        own.append(draw(found, theta, number))
        errors.append(doubt(found) / (6 * np.sqrt(2)))
        slopes.append(slope(found, theta))
    away = (np.array(own) - exact) / np.array(errors)
    # twelve squares of a standard normal law sum to between 2.2 and 33 with probability 0.998
    assert 2.2 < (away**2).sum() < 33
    expected = differences(lambda p: by_all_paths(y, p, level), Coordinates(found.spaces, theta), theta)
    scatter = np.std(slopes, axis=0, ddof=1)
    assert (np.abs(np.mean(slopes, axis=0) - expected) < 5 * scatter / np.sqrt(12)).all()


def test_held_paths_make_a_likelihood_whose_slope_is_known() -> None:
    """Fisher's identity; and EM raises what it climbs."""
    y, theta = np.random.default_rng(4).normal(size=20).cumsum(), THETAS[LEVEL]
    found = problem(LEVEL, {"y": y})
    at = draw(found, theta, 0)
    assert found.expect(theta).loglik == pytest.approx(at, abs=1e-8)
    expected = differences(lambda p: found.expect(p).loglik, Coordinates(found.spaces, theta), theta)
    assert slope(found, theta) == pytest.approx(expected, abs=1e-5)
    new = found.maximize(theta, found.expect(theta).statistics)
    assert found.expect(new).loglik > at
    assert switching(found)[0].held


def test_a_switching_chain_is_drawn_only_where_that_is_asked_for() -> None:
    with pytest.raises(EmmError) as caught:
        emdsl.loads(TREND).fit({"series": ["a"] * 3, "y": [1.0, 2.0, 3.0]})
    assert caught.value.code == "not-supported-yet"
    assert caught.value.help == "--plan monte-carlo"


def test_a_finite_chain_that_looks_back_two_units_is_refused() -> None:
    law = "Categorical(start) first, Categorical(A[prev(s, 2)]) after"
    with pytest.raises(EmmError) as caught:
        emdsl.loads(LEVEL.replace("Markov(start, A)", law)).fit({"y": [1.0, 2.0, 3.0]}, plan="monte-carlo")
    assert caught.value.code == "not-supported-yet"
    assert "look back one unit" in caught.value.message


@pytest.mark.slow
def test_a_fit_states_its_simulation_error() -> None:
    rng, s, x, y = np.random.default_rng(5), 0, 0.0, []
    for t in range(120):
        if t:
            s = rng.choice(2, p=[[0.95, 0.05], [0.15, 0.85]][s])
        x = x + rng.normal(0, [0.15, 1.5][s]) if t else rng.normal(0, 2)
        y.append(x + rng.normal(0, 0.4))
    model = emdsl.loads(LEVEL + "order regime by q\n")
    first = model.fit({"y": y}, plan="monte-carlo", starts=2)
    again = model.fit({"y": y}, plan="monte-carlo", starts=2)
    # There is a maximum for each state of the first unit: the other seed begins at the one that was found.
    apart = model.fit({"y": y}, plan="monte-carlo", init=first.params, starts=1, seed=1)
    fits = [fit.to_dict() for fit in (first, again, apart)]
    assert fits[0]["params"] == fits[1]["params"] and fits[0]["loglik"] == fits[1]["loglik"]
    assert all(fit["converged"] and fit["simulation"]["met"] for fit in fits)
    own, other = fits[0], fits[2]
    error = np.hypot(own["simulation"]["loglik_error"], other["simulation"]["loglik_error"])
    assert abs(own["loglik"] - other["loglik"]) < 4 * error
    gap = abs(own["params"]["r"] - other["params"]["r"])
    assert gap < 4 * np.hypot(own["simulation"]["errors"]["r"], other["simulation"]["errors"]["r"])
