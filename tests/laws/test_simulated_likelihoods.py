"""Simulated likelihoods: their slope is that of their values, they agree with other ways within the error that they
state, and the error is as large as it is said to be.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm, poisson

import emdsl
from emdsl.plan.methods import with_plan
from emdsl.plan.problem import BoundProblem
from emdsl.plan.simulated import SimulatedProblem, effective, samplers
from emdsl.request import FitRequest
from emdsl.runtime.domains import Coordinates

RNG = np.random.default_rng(8)
ITEMS = """
index item = columns
param a[item] : real
param b[item] : real
for each person:
    latent t ~ Normal(0, 1)
    observed y[item] ~ Bernoulli(logistic(a[item]*t - b[item]))
"""
CROSSED = """
index person = levels
index item = levels
param b : real
param s : positive
param t : positive
latent u[person] ~ Normal(0, s)
latent w[item] ~ Normal(0, t)
for each row:
    input person : person
    input item : item
    observed y ~ Bernoulli(logistic(b + u[person] + w[item]))
"""
VOLATILITY = """
param m : real
param phi : unit
param s : positive
for each t in sequence:
    latent h ~ Normal(m, s/sqrt(1 - phi^2)) first, Normal(m + phi*(prev(h) - m), s) after
    observed y ~ {}
"""
BOUNDED = """
param a : positive
param r : positive
param s : positive
for each g:
    latent u ~ Gamma(a, r)
    latent v ~ Beta(2, 3)
    for each row:
        observed y ~ Normal(u*v, s)
"""
MIXED = """
index k = {p, q}
param w : simplex[k]
param m[k] : real
param s : positive
for each g:
    latent z ~ Categorical(w)
    latent u ~ Normal(0, s)
    for each row:
        observed y ~ Poisson(exp(m[z] + u))
"""
GROUPS = np.repeat(np.arange(8), 3)
RETURNS = VOLATILITY.format("Normal(0, exp(h/2))")
COUNTS = VOLATILITY.format("Poisson(exp(h))")
CHAIN = {"m": np.array(0.3), "phi": np.array(0.9), "s": np.array(0.4)}
Case = tuple[str, dict[str, Any], dict[str, Any]]
CASES: dict[str, Case] = {
    "items": (
        ITEMS, {"i1": RNG.integers(0, 2, 40), "i2": RNG.integers(0, 2, 40)},
        {"a": np.array([1.0, 0.7]), "b": np.array([0.3, -0.2])},
    ),
    "crossed": (
        CROSSED,
        {"person": np.repeat(np.arange(12), 5), "item": np.tile(np.arange(5), 12), "y": RNG.integers(0, 2, 60)},
        {"b": np.array(0.2), "s": np.array(0.8), "t": np.array(0.6)},
    ),
    "volatility": (RETURNS, {"y": RNG.normal(size=50)}, CHAIN),
    "bounded": (
        BOUNDED, {"g": GROUPS, "y": RNG.gamma(2.0, 0.5, 24)},
        {"a": np.array(2.0), "r": np.array(1.5), "s": np.array(0.7)},
    ),
    "mixed": (
        MIXED, {"g": GROUPS, "y": RNG.poisson(2, 24)},
        {"w": np.array([0.4, 0.6]), "m": np.array([0.2, 1.0]), "s": np.array(0.5)},
    ),
}  # fmt: skip


def problem(text: str, data: dict[str, Any], plan: str = "monte-carlo", seed: int = 0, nodes: int = 1) -> BoundProblem:
    compiled = emdsl.loads(text).compiled
    compiled = compiled.for_draws() if plan == "monte-carlo" else compiled
    bound = replace(compiled.bind(data, FitRequest()), seed=seed, nodes=nodes)
    return BoundProblem(with_plan(compiled.derivation, plan), bound)


def simulated(text: str, data: dict[str, Any], theta: dict[str, Any], seed: int = 0) -> tuple[float, float]:
    """The simulated log-likelihood and the error that it states."""
    found = problem(text, data, seed=seed)
    loglik = float(found.expect(theta).loglik)
    seen = [item.last for item in samplers(found) if item.last is not None]
    return loglik, float(np.sqrt(sum(evidence.variance(weights) for evidence, weights in seen)))


@pytest.mark.parametrize("name", CASES)
def test_the_slope_is_that_of_the_values(name: str) -> None:
    text, data, theta = CASES[name]
    found = SimulatedProblem(problem(text, data))
    coordinates = Coordinates(found.spaces, theta)
    slope = coordinates.pullback(theta, found.gradient(theta, found.expect(theta).statistics))
    u, step = coordinates.free(theta), 1e-4

    def value(at: Any) -> float:
        return float(found.expect(coordinates.theta(at)).loglik)

    moves = step * np.eye(len(u))
    differences = [(value(u + move) - value(u - move)) / (2 * step) for move in moves]
    assert slope == pytest.approx(differences, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("name", ["items", "bounded", "mixed"])
def test_draws_agree_with_nodes(name: str) -> None:
    text, data, theta = CASES[name]
    nodes = problem(text, data, plan="auto", nodes=2).expect(theta).loglik
    draws, error = simulated(text, data, theta)
    assert 0.0 < error < 0.5
    assert abs(draws - nodes) < 4 * error


def filtered(y: Any, density: Any, m: float, phi: float, s: float) -> float:
    """The log-likelihood of a chain by sums over a fine grid of its states (Kitagawa 1987)."""
    sd = s / np.sqrt(1 - phi**2)
    x = np.linspace(m - 7 * sd, m + 7 * sd, 601)
    width = x[1] - x[0]
    step = norm.pdf(x[:, None], m + phi * (x - m), s) * width
    state, total = norm.pdf(x, m, sd) * width, 0.0
    for number, value in enumerate(y):
        state = (step @ state if number else state) * density(value, x)
        total += float(np.log(state.sum()))
        state = state / state.sum()
    return total


@pytest.mark.parametrize("name", ["returns", "counts"])
def test_a_chain_agrees_with_a_filter_on_a_grid(name: str) -> None:
    m, phi, s = (float(CHAIN[key]) for key in ("m", "phi", "s"))
    rng, h = np.random.default_rng(3), np.empty(150)
    h[0] = rng.normal(m, s / np.sqrt(1 - phi**2))
    for t in range(1, len(h)):
        h[t] = m + phi * (h[t - 1] - m) + s * rng.normal()
    if name == "returns":
        text = RETURNS
        y: Any = rng.normal(size=len(h)) * np.exp(h / 2)
        exact = filtered(y, lambda value, x: norm.pdf(value, 0, np.exp(x / 2)), m, phi, s)
    else:
        text = COUNTS
        y = rng.poisson(np.exp(h))
        exact = filtered(y, lambda value, x: poisson.pmf(value, np.exp(x)), m, phi, s)
    draws, error = simulated(text, {"y": y}, CHAIN)
    assert error < 0.2
    assert abs(draws - exact) < 4 * error


@pytest.mark.parametrize("name", CASES)
def test_the_error_is_as_large_as_it_says(name: str) -> None:
    found = [simulated(*CASES[name], seed=seed) for seed in range(25)]
    logliks, errors = np.array(found).T
    # the spread of 25 values of a normal law lies within these bounds of the truth with probability 0.999
    assert 0.55 < logliks.std(ddof=1) / np.sqrt((errors**2).mean()) < 1.55


def test_a_seed_decides_all_digits() -> None:
    text, data, theta = CASES["crossed"]
    assert simulated(text, data, theta, 5) == simulated(text, data, theta, 5) != simulated(text, data, theta, 6)


def test_degenerate_weights_are_not_called_converged() -> None:
    """Steps with heavy tails beside exact data: no normal law is like the posterior."""
    rng = np.random.default_rng(1)
    text = "param m : real\nfor each t in sequence:\n"
    text += "    latent h ~ StudentT(1.5, 0, 1) first, StudentT(1.5, prev(h), 1) after\n"
    text += "    observed y ~ Poisson(exp(m + h/4))\n"
    y = rng.poisson(2.0, 400)
    found = problem(text, {"y": y})
    found.expect({"m": np.array(0.5)})
    (sampler,) = samplers(found)
    assert effective(sampler) < 20
