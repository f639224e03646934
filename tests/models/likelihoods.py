"""Likelihoods of shipped models that no published case covers, coded directly from the models' definitions.

Each builder reads the model's data and returns the reference maximum. Nothing here uses emdsl.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
from scipy.special import gammaln, logsumexp

from tests.models.direct_maximisation import Array, Block, Optimum, Point, maximise

DATA = Path(__file__).resolve().parents[2] / "models" / "data"
TWO = ("1", "2")


def columns(name: str) -> dict[str, list[str]]:
    """The columns of a file in `models/data`, as text."""
    with (DATA / name).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {key: [row[key] for row in rows] for key in rows[0]}


def numbers(name: str, *wanted: str) -> list[Array]:
    """Some columns as floats."""
    table = columns(name)
    return [np.array(table[key], float) for key in wanted]


def univariate_mixture() -> Optimum:
    """A mixture of two Normals on one column."""
    (waiting,) = numbers("faithful.csv", "waiting")

    def log_likelihood(p: Point) -> float:
        return _mixture(np.log(p["share"]), log_normal(waiting[:, None], p["mu"], p["sigma"]))

    blocks = (Block("share", "simplex", (TWO,)), Block("mu", "real", (TWO,)), Block("sigma", "positive", (TWO,)))
    return maximise(log_likelihood, blocks, [{"share": [0.4, 0.6], "mu": [55, 80], "sigma": [6, 6]}])


def regression_mixture(*, shared: frozenset[str] = frozenset()) -> Optimum:
    """Two quadratic regressions; the parameters named in `shared` are scalars."""
    x, yn = numbers("npreg.csv", "x", "yn")

    def log_likelihood(p: Point) -> float:
        line = p["b0"] + p["b1"] * x[:, None] + p["b2"] * x[:, None] ** 2
        return _mixture(np.log(p["share"]), log_normal(yn[:, None], line, p["sigma"]))

    def labels(name: str) -> tuple[tuple[str, ...], ...]:
        return () if name in shared else (TWO,)

    blocks = [Block("share", "simplex", (TWO,))]
    blocks += [Block(name, "real", labels(name)) for name in ("b0", "b1", "b2")]
    blocks += [Block("sigma", "positive", labels("sigma"))]
    apart: Mapping[str, list[float]] = {
        "share": [0.5, 0.5], "b0": [0, 15], "b1": [5, 10], "b2": [0, -1], "sigma": [3.5, 3.5],
    }  # fmt: skip
    swapped: Mapping[str, list[float]] = {**apart, "b0": [-3, 21], "b1": [7, 7], "b2": [-0.15, -0.7]}
    starts = [
        {name: float(np.mean(value)) if name in shared else value for name, value in start.items()}
        for start in (apart, swapped)
    ]
    return maximise(log_likelihood, blocks, starts)


def mixture_of_experts() -> Optimum:
    """Two Poisson regressions whose class has a logit of its own."""
    art, ment, kid5 = numbers("biochemists.csv", "art", "ment", "kid5")

    def log_likelihood(p: Point) -> float:
        gate = p["g0"] + p["g1"] * ment[:, None]
        log_rate = p["a"] + p["b"] * kid5[:, None]
        log_density = art[:, None] * log_rate - np.exp(log_rate) - gammaln(art + 1)[:, None]
        return _mixture(gate - logsumexp(gate, axis=1, keepdims=True), log_density)

    domains = {"g0": "contrast", "g1": "contrast", "a": "real", "b": "real"}
    blocks = [Block(name, domain, (TWO,)) for name, domain in domains.items()]
    start = {"g0": [0, -2], "g1": [0, 0.1], "a": [0, 1.3], "b": [-0.1, 0]}
    return maximise(log_likelihood, blocks, [start])


def ragged_chains() -> Optimum:
    """Independent two-state Normal hidden Markov chains of different lengths."""
    table = columns("tracks.csv")
    animals = np.array(table["animal"])
    steps = np.array(table["log_step"], float)
    chains = [steps[animals == animal] for animal in dict.fromkeys(table["animal"])]

    def log_likelihood(p: Point) -> float:
        emissions = (log_normal(chain[:, None], p["mu"], p["sigma"]) for chain in chains)
        return sum((forward(p["start"], p["A"], log_emission) for log_emission in emissions), start=0.0)

    blocks = (
        Block("start", "simplex", (TWO,)), Block("A", "simplex", (TWO, TWO)),
        Block("mu", "real", (TWO,)), Block("sigma", "positive", (TWO,)),
    )  # fmt: skip
    start = {"start": [0.7, 0.3], "A": [[0.85, 0.15], [0.25, 0.75]], "mu": [1, 3], "sigma": [0.8, 0.5]}
    return maximise(log_likelihood, blocks, [start])


def subject_classes() -> Optimum:
    """Two classes of straight growth curves; all visits of a subject share its class."""
    table = columns("growth.csv")
    subjects = np.unique(table["subject"], return_inverse=True)[1]
    age, score = (np.array(table[key], float) for key in ("age", "score"))

    def log_likelihood(p: Point) -> float:
        visits = log_normal(score[:, None], p["b0"] + p["b1"] * age[:, None], p["sigma"])
        together = np.zeros((subjects.max() + 1, 2))
        np.add.at(together, subjects, visits)
        return _mixture(np.log(p["share"]), together)

    by_class = {"share": "simplex", "b0": "real", "b1": "real"}
    blocks = [*(Block(name, domain, (TWO,)) for name, domain in by_class.items()), Block("sigma", "positive")]
    return maximise(log_likelihood, blocks, [{"share": [0.35, 0.65], "b0": [10, 9], "b1": [0.8, 2], "sigma": 1.5}])


def log_normal(x: Array, mean: Array | float, sd: Array | float) -> Array:
    """The log-density of Normal(mean, sd) at x."""
    log_density: Array = -0.5 * np.log(2 * np.pi) - np.log(sd) - ((x - mean) / sd) ** 2 / 2
    return log_density


def forward(start: Array, transition: Array, log_emission: Array) -> float:
    """The log-likelihood of one chain `(steps, states)` by the scaled forward recursion (Rabiner 1989, section V.A)."""
    scale = log_emission.max(axis=1)
    emission = np.exp(log_emission - scale[:, None])
    alpha, total = start * emission[0], scale.sum()
    for step in range(1, len(emission)):
        mass = alpha.sum()
        total += np.log(mass)
        alpha = (alpha / mass) @ transition * emission[step]
    return float(total + np.log(alpha.sum()))


def _mixture(log_share: Array, log_density: Array) -> float:
    """Sum over rows of log sum over classes of share times density, both `(rows, classes)` (or as broadcast)."""
    return float(logsumexp(log_share + log_density, axis=1).sum())


#: The reference of each shipped model that has no published case.
DIRECT: dict[str, Callable[[], Optimum]] = {
    "univariate_mixture": univariate_mixture,
    "regression_mixture_shared_sigma": partial(regression_mixture, shared=frozenset({"sigma"})),
    "regression_mixture_shared_slope": partial(regression_mixture, shared=frozenset({"b1"})),
    "mixture_of_experts": mixture_of_experts,
    "ragged_chains": ragged_chains,
    "subject_classes": subject_classes,
}
