"""Fits of vectors with hidden numbers in their laws, against direct maximisation of dense normal densities."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import emdsl
from tests.laws.hidden_vector_models import REGRESSION_OF_VECTORS, every, same
from tests.laws.hidden_vector_ties import VECTOR_AUTOREGRESSION
from tests.models.comparison import disagreements
from tests.models.direct_maximisation import Array, Block, Point, maximise
from tests.models.hidden_numbers_likelihoods import dense_normal

K = ("y1", "y2")
ROOT = ("a", "b", "c")


def root_of(numbers: Array) -> Array:
    """A covariance by its root."""
    a, b, c = numbers
    root = np.array([[np.exp(a), 0.0], [b, np.exp(c)]])
    return np.asarray(root @ root.T)


def seen_density(y: Array, mean: Array, covariance: Array) -> float:
    """The log-density of what a vector shows."""
    shown = ~np.isnan(y)
    return dense_normal(y[shown], mean[shown], covariance[np.ix_(shown, shown)]) if shown.any() else 0.0


def with_roots(found: dict[str, Any], reference: Any, names: dict[str, str]) -> None:
    """The covariances of a fit against those whose roots were maximised, which then leave the reference."""
    for name, root in names.items():
        here = np.array([[found["params"][name][a][b] for b in K] for a in K])
        there = root_of(np.array([reference.estimates[root][part] for part in ROOT]))
        assert here == pytest.approx(there, abs=1e-5), name
        reference.estimates.pop(root)
        reference.errors.pop(root)


def test_a_regression_of_hidden_vectors_with_missing_cells() -> None:
    rng = np.random.default_rng(12)
    groups, size = 25, 3
    x = rng.normal(size=groups)
    between, within = np.array([[1.0, 0.4], [0.4, 0.8]]), np.array([[0.5, 0.2], [0.2, 0.3]])
    level = x[:, None] * [0.5, -1.0] + rng.multivariate_normal([0, 0], between, groups)
    y = np.repeat(level, size, axis=0) + rng.multivariate_normal([0, 0], within, groups * size)
    y[rng.random(y.shape) < 0.15] = np.nan

    def log_likelihood(p: Point) -> float:
        covariance = same(root_of(p["t"]), size) + every(root_of(p["s"]), size)
        rows = y.reshape(groups, 2 * size)
        return sum(seen_density(rows[g], np.tile(p["gamma"] * x[g], size), covariance) for g in range(groups))

    blocks = Block("gamma", "real", (K,)), Block("t", "real", (ROOT,)), Block("s", "real", (ROOT,))
    reference = maximise(log_likelihood, blocks, [{"gamma": [0.5, -1.0], "t": [0.0, 0.3, 0.0], "s": [-0.3, 0.2, -0.6]}])
    labels = [f"g{row // size}" for row in range(groups * size)]
    data = {"g": labels, "x": np.repeat(x, size), "y1": y[:, 0], "y2": y[:, 1]}
    found = emdsl.loads(REGRESSION_OF_VECTORS).fit(data, starts=2).to_dict()
    with_roots(found, reference, {"T": "t", "S": "s"})
    assert disagreements(found, reference) == []


def test_a_hidden_vector_autoregression() -> None:
    rng = np.random.default_rng(13)
    chains, steps = 3, 14
    move, shocks = np.array([[0.7, 0.3], [-0.2, 0.6]]), 0.6 * np.array([[1.0, 0.4], [0.4, 1.0]])
    y = np.empty((chains, steps, 2))
    for chain in range(chains):
        level = rng.multivariate_normal([0, 0], [[4.0, 1.0], [1.0, 4.0]])
        for step in range(steps):
            y[chain, step] = level + rng.normal(0, 0.4, 2)
            level = move @ level + rng.multivariate_normal([0, 0], shocks)
    y[rng.random(y.shape) < 0.1] = np.nan

    def log_likelihood(p: Point) -> float:
        lower = np.kron(np.eye(steps, k=-1), p["A"])
        inverse = np.linalg.inv(np.eye(2 * steps) - lower)
        noise = every(p["s"] ** 2 * np.array([[1.0, p["r"]], [p["r"], 1.0]]), steps)
        noise[:2, :2] = [[4.0, 1.0], [1.0, 4.0]]
        covariance = inverse @ noise @ inverse.T + p["e"] ** 2 * np.eye(2 * steps)
        return sum(seen_density(y[chain].ravel(), np.zeros(2 * steps), covariance) for chain in range(chains))

    blocks = (
        Block("A", "real", (K, K)), Block("s", "positive"), Block("r", "unit"), Block("e", "positive"),
    )  # fmt: skip
    reference = maximise(log_likelihood, blocks, [{"A": move, "s": 0.8, "r": 0.4, "e": 0.4}])
    labels = [f"g{row // steps}" for row in range(chains * steps)]
    flat = y.reshape(-1, 2)
    data = {"g": labels, "t": np.tile(np.arange(steps), chains), "y1": flat[:, 0], "y2": flat[:, 1]}
    found = emdsl.loads(VECTOR_AUTOREGRESSION).fit(data, starts=2).to_dict()
    assert disagreements(found, reference) == []
