"""Far-off data, components of very different width, nothing seen, nothing possible: numbers, and never NaN."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import norm

from emdsl.diagnostics.errors import EmmError, FitError
from emdsl.request import FitRequest
from tests.laws.bound_models import compiled, take
from tests.laws.tables import Cell

Table = dict[str, list[Cell]]

TWO = "index two = {u, v}\nparam p : simplex[two]\n"
NORMALS = (
    TWO
    + """param mu[two] : real
param sd[two] : positive
for each row:
    latent z ~ Categorical(p)
    observed y ~ Normal(mu[z], sd[z])
"""
)
ONE_WIDTH = (
    TWO
    + """param mu[two] : real
param sd : positive
for each row:
    latent z ~ Categorical(p)
    observed y ~ Normal(mu[z], sd)
"""
)
KNOWN_WIDTH = (
    TWO
    + """param mu[two] : real
for each row:
    latent z ~ Categorical(p)
    observed y ~ Normal(mu[z], 1)
"""
)
LINES = (
    TWO
    + """param mu[two] : real
param b : real
param sd[two] : positive
for each row:
    input x : real
    latent z ~ Categorical(p)
    observed y ~ Normal(mu[z] + b*x, sd[z])
"""
)
ITEMS = (
    TWO
    + """index item = {i1, i2}
param mu[item, two] : real
param sd[item] : positive
for each row:
    latent z ~ Categorical(p)
    observed y[item] ~ Normal(mu[item, z], sd[item])
"""
)
SITES = (
    TWO
    + """index site = {s, t}
param mu[two, site] : real
param sd[two] : positive
for each row:
    input h : site
    latent z ~ Categorical(p)
    observed y ~ Normal(mu[z, h], sd[z])
"""
)
VECTORS = (
    TWO
    + """index dim = columns(y_i1, y_i2)
param mu[two, dim] : real
param S[two] : covariance[dim]
for each row:
    latent z ~ Categorical(p)
    observed x[dim] ~ MVNormal(mu[z], S[z])
"""
)
CHAIN = (
    TWO
    + """param A[two] : simplex[two]
param mu[two] : real
param sd[two] : positive
for each row in sequence:
    latent z ~ Markov(p, A)
    observed y ~ Normal(mu[z], sd[z])
"""
)
MODELS = {
    "normals": NORMALS, "one width": ONE_WIDTH, "known width": KNOWN_WIDTH, "lines": LINES, "items": ITEMS,
    "sites": SITES, "vectors": VECTORS, "chain": CHAIN,
}  # fmt: skip


def table(offset: float = 0.0, rows: int = 60) -> Table:
    """Two heaps of data on a grid of binary fractions, so that an offset loses no digits."""
    rng = np.random.default_rng(4)

    def column() -> list[Cell]:
        heap = np.where(np.arange(rows) % 3 == 0, -2.0, 1.5)
        return [float(np.round(x * 1024) / 1024) + offset for x in heap + rng.normal(0, 0.7, rows)]

    return {
        "y": column(), "y_i1": column(), "y_i2": column(), "x": [float(k % 5) for k in range(rows)],
        "h": ["st"[k % 2] for k in range(rows)],
    }  # fmt: skip


def place(name: str, offset: float = 0.0) -> dict[str, np.ndarray]:
    """Parameters near the data of `table`."""
    mu = np.array([-1.5, 1.0]) + offset
    found = {
        "p": np.array([0.4, 0.6]), "sd": np.array([0.8, 1.1]), "b": np.asarray(0.1),
        "A": np.array([[0.7, 0.3], [0.2, 0.8]]), "mu": mu,
        "S": np.array([[[1.0, 0.2], [0.2, 0.8]], [[0.7, -0.1], [-0.1, 1.2]]]),
    }  # fmt: skip
    found["sd"] = np.asarray(0.9) if name == "one width" else found["sd"]
    found["mu"] = np.stack([mu, mu]) if name in ("items", "vectors", "sites") else mu
    if name in ("vectors", "sites"):
        found["mu"] = found["mu"].T
    return found


def known(text: str, theta: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The parameters that a model has."""
    return {name: value for name, value in theta.items() if f"param {name}" in text}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("offset", [2.0**20, -(2.0**30)])
def test_far_from_zero(name: str, offset: float) -> None:
    """Data and means a million away: the same log-likelihood, the same next step."""
    text = MODELS[name]
    near, far = take(text, table()), take(text, table(offset))
    here, there = known(text, place(name)), known(text, place(name, offset))
    first, second = near.problem.expect(here), far.problem.expect(there)
    # a predictor is itself rounded to the digits that a number of this size has
    tolerance = 1e-9 + (1e-17 * abs(offset) if name == "lines" else 0.0)
    assert second.loglik == pytest.approx(first.loglik, rel=tolerance)
    left, right = near.problem.maximize(here, first.statistics), far.problem.maximize(there, second.statistics)
    shifted = {**left, "mu": left["mu"] + offset}
    for parameter, value in right.items():
        assert np.allclose(value, shifted[parameter], rtol=1e-12 if parameter == "mu" else 1e-7, atol=1e-9), parameter


@pytest.mark.parametrize("ratio", [1e2, 1e4, 1e6, 1e8])
@pytest.mark.parametrize("name", ["normals", "sites", "chain"])
def test_far_narrower_component(name: str, ratio: float) -> None:
    """One component as narrow as a spike on one value, beside one that holds all the rest."""
    rng = np.random.default_rng(6)
    spike = rng.normal(0.3, 1.0 / ratio, 20)
    y = np.concatenate([rng.normal(0.0, 1.0, 40), spike])
    text = MODELS[name]
    bound = take(text, {"y": [float(v) for v in y], "h": ["s"] * 60})
    mu, sd = np.array([0.1, 0.3]), np.array([1.2, 1.0 / ratio])
    theta = {"p": np.array([0.7, 0.3]), "mu": mu, "sd": sd, "A": np.array([[0.7, 0.3], [0.7, 0.3]])}
    if name == "sites":
        theta["mu"] = np.stack([mu, mu], axis=1)
    theta = known(text, theta)
    density = norm.logpdf(y[:, None], mu, sd) + np.log([0.7, 0.3])
    exact = float(logsumexp(density, axis=1).sum())
    expectation = bound.problem.expect(theta)
    assert expectation.loglik == pytest.approx(exact, rel=1e-7)
    weight = np.exp(density - logsumexp(density, axis=1, keepdims=True))
    new = bound.problem.maximize(theta, expectation.statistics)
    mean = (weight * y[:, None]).sum(axis=0) / weight.sum(axis=0)
    spread = np.sqrt((weight * (y[:, None] - mean) ** 2).sum(axis=0) / weight.sum(axis=0))
    found = new["mu"][:, 0] if name == "sites" else new["mu"]
    assert np.abs(found - mean).max() < 1e-5 / ratio
    assert np.allclose(new["sd"], spread, rtol=1e-4)


def test_narrow_component_is_found() -> None:
    """A fit across four orders of magnitude."""
    rng = np.random.default_rng(8)
    y = np.concatenate([rng.normal(0.0, 1.0, 300), rng.normal(0.5, 1e-4, 200)])
    model = compiled(NORMALS)
    fit = model.fit(
        {"y": y}, FitRequest(init={"mu": {"u": 0.0, "v": 0.5}, "sd": {"u": 1.0, "v": 1e-3}}, starts=1, se="none")
    )
    assert float(fit.state.theta["sd"][1]) == pytest.approx(1e-4, rel=0.2)
    assert fit.state.converged


# --- little or nothing seen -------------------------------------------------------------------------------------------

COUNTS = (
    TWO
    + """param r[two] : positive
for each row:
    latent z ~ Categorical(p)
    observed y ~ Poisson(r[z])
"""
)
LABELS = (
    TWO
    + """index face = {a, b, c}
param e[two] : simplex[face]
for each row:
    latent z ~ Categorical(p)
    observed y ~ Categorical(e[z])
"""
)
SEEN = (
    TWO
    + """param q[two] : unit
for each row:
    latent z ~ Categorical(p)
    observed y ~ Bernoulli(q[z])
"""
)


def climbed(text: str, columns: Table, steps: int = 30) -> tuple[float, dict[str, Any]]:
    """The log-likelihood after some EM steps from a given place, every number on the way finite."""
    bound = take(text, columns)
    problem = bound.problem
    theta: dict[str, Any] = problem.initial()
    theta["p"] = np.array([0.3, 0.7])
    for name in ("r", "q", "mu"):
        if name in theta:
            theta[name] = np.array([0.4, 0.9])
    value = -math.inf
    for _ in range(steps):
        expectation = problem.expect(theta)
        assert np.isfinite(expectation.loglik)
        assert expectation.loglik >= value - 1e-9
        value = expectation.loglik
        theta = dict(problem.maximize(theta, expectation.statistics))
        assert all(np.isfinite(array).all() for array in theta.values()), theta
    return value, theta


def test_all_counts_zero() -> None:
    value, theta = climbed(COUNTS, {"y": [0, 0, 0]})
    assert value == pytest.approx(0.0, abs=1e-6)
    assert np.allclose(theta["r"], 0.0, atol=1e-6)


def test_all_answers_alike() -> None:
    value, theta = climbed(SEEN, {"y": [1, 1, 1, 1]})
    assert value == pytest.approx(0.0, abs=1e-9)
    assert np.allclose(theta["q"], 1.0)


def test_a_label_that_never_occurs() -> None:
    value, theta = climbed(LABELS, {"y": ["a", "a", "b"]})
    assert value == pytest.approx(2 * math.log(2 / 3) + math.log(1 / 3), abs=1e-6)
    assert np.array_equal(theta["e"][:, 2], [0.0, 0.0])


@pytest.mark.parametrize("text", [COUNTS, LABELS, SEEN, KNOWN_WIDTH])
def test_rows_with_nothing_seen(text: str) -> None:
    """They say nothing about any emission, and have log-likelihood 0."""
    cells: list[Cell] = ["a", "b", "a"] if text is LABELS else [1, 0, 1]
    full, _ = climbed(text, {"y": cells}, 5)
    more, _ = climbed(text, {"y": [None, *cells, None]}, 1)
    one, _ = climbed(text, {"y": cells}, 1)
    assert more == pytest.approx(one, rel=1e-12)
    assert full >= one


@pytest.mark.parametrize("text", [COUNTS, SEEN, KNOWN_WIDTH, NORMALS, CHAIN])
def test_nothing_seen_at_all(text: str) -> None:
    """Every cell empty: log-likelihood 0 everywhere."""
    bound = take(text, {"y": [None, None, None]})
    expectation = bound.problem.expect(bound.problem.initial())
    assert expectation.loglik == pytest.approx(0.0, abs=1e-12)
    new = bound.problem.maximize(bound.problem.initial(), expectation.statistics)
    assert all(np.isfinite(value).all() for value in new.values())


def test_one_row() -> None:
    assert np.isfinite(climbed(COUNTS, {"y": [3]})[0])


@pytest.mark.parametrize("text", [COUNTS, NORMALS, CHAIN])
def test_no_rows(text: str) -> None:
    with pytest.raises(EmmError):
        take(text, {"y": []})


# --- nothing possible -------------------------------------------------------------------------------------------------

IMPOSSIBLE: dict[str, tuple[str, Table]] = {
    "a map": (
        TWO + "for each row:\n    latent z ~ Categorical(p)\n    observed y : two = case z:\n        _ -> u\n",
        {"y": ["u", "v"]},
    ),
    "labels": ("index two = {u, v}\nfor each row:\n    observed y ~ Categorical({u: 1, v: 0})\n", {"y": ["u", "v"]}),
    "a point": (
        TWO + "for each row:\n    latent z ~ Categorical(p)\n    observed y ~ case z:\n"
        "        u -> Point(0)\n        v -> Point(1)\n",
        {"y": [0, 2]},
    ),
    "a chain": (
        "index state = {a, b, c}\nparam s : simplex[state]\n"
        "param A[i in state] : simplex[j in state] only i == j\nfor each row in sequence:\n"
        "    latent z ~ Markov(s, A)\n    observed y : state = case z:\n"
        "        a -> a\n        b -> b\n        c -> c\n",
        {"y": ["a", "b"]},
    ),
    "a group": (
        TWO + "for each g:\n    weight w\n    latent z ~ Categorical(p)\n    for each row:\n"
        "        observed y : two = case z:\n            u -> u\n            v -> v\n",
        {"g": ["1", "1", "2"], "y": ["u", "v", "u"], "w": [1.0, 1.0, 2.0]},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_impossible_data(name: str) -> None:
    text, columns = IMPOSSIBLE[name]
    bound = take(text, columns)
    expectation = bound.problem.expect(bound.problem.initial())
    assert expectation.loglik == -math.inf
    assert all(np.isfinite(value).all() for value in expectation.statistics.values())
    with pytest.raises((FitError, EmmError)) as caught:
        bound.compiled.fit(columns, FitRequest())
    assert "impossible" in str(caught.value)


def test_impossible_at_a_boundary_only() -> None:
    """A probability of 0 for what was seen: minus infinity there, a number beside it."""
    bound = take(LABELS, {"y": ["a", "b"]})
    shares: Callable[[float], np.ndarray] = lambda b: np.array([[1 - b, b, 0.0], [1 - b, b, 0.0]])  # noqa: E731
    half = np.array([0.5, 0.5])
    at, beside = (bound.problem.expect({"p": half, "e": shares(b)}) for b in (0.0, 1e-300))
    assert at.loglik == -math.inf
    assert beside.loglik == pytest.approx(math.log(1e-300))
    assert all(np.isfinite(value).all() for value in at.statistics.values())


@pytest.mark.parametrize("y", [1e8, -1e12])
def test_an_outlier_that_no_component_explains(y: float) -> None:
    """Densities that underflow everywhere still have a ratio."""
    bound = take(NORMALS, {"y": [0.0, 1.0, y]})
    theta = {"p": np.array([0.5, 0.5]), "mu": np.array([0.0, 1.0]), "sd": np.array([1.0, 2.0])}
    density = norm.logpdf(np.array([0.0, 1.0, y])[:, None], theta["mu"], theta["sd"]) + math.log(0.5)
    expectation = bound.problem.expect(theta)
    assert expectation.loglik == pytest.approx(float(logsumexp(density, axis=1).sum()), rel=1e-9)
    assert np.isfinite(bound.problem.maximize(theta, expectation.statistics)["mu"]).all()
