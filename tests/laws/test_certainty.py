"""The entropy of what is hidden, against sums over all hidden states and over points of hidden numbers, by hand."""

from __future__ import annotations

from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest
from scipy.integrate import trapezoid
from scipy.special import logsumexp
from scipy.stats import norm

import emdsl
from emdsl.plan.certainty import Certainty, _by_sweep, _by_unit, _in_outermost_units, finite_hidden
from emdsl.results.result import Fit
from tests.laws.bound_models import shipped, take_shipped

CHAIN = """
index s = 1..2
param start : simplex[s]
param A[s] : simplex[s]
param mu[s] : real
for each t in sequence:
    latent z ~ Markov(start, A)
    observed x ~ Normal(mu[z], 1)
"""

NESTED = """
index g = 1..3
index c = {a, b}
param share : simplex[g]
param inner[g] : simplex[c]
param p[c] : unit
for each school:
    latent u ~ Categorical(share)
    for each pupil:
        latent w ~ Categorical(inner[u])
        observed y ~ Bernoulli(p[w])
"""

CROSSED = """
index person = levels
index item = levels
index s = 1..2
param share : simplex[s]
param p[s, s] : unit
latent a[person] ~ Categorical(share)
latent b[item] ~ Categorical(share)
for each row:
    input person : person
    input item : item
    observed y ~ Bernoulli(p[a[person], b[item]])
"""

WITH_A_NUMBER = """
index c = 1..2
param share : simplex[c]
param b[c] : real
index item = columns(y1, y2, y3)
for each person:
    latent z ~ Categorical(share)
    latent u ~ Normal(0, 1)
    observed y[item] ~ Bernoulli(logistic(b[z] + u))
"""

GENOTYPES = """
index allele = {A, B}
param p : simplex[allele]
param mu[allele] : real
for each animal:
    weight count
    latent g ~ HardyWeinberg(p)
    latent sick ~ Bernoulli(0.3)
    observed x ~ Normal(copies(g, A)*mu[A] + sick, 1)
"""


def at(text: str, data: dict[str, Any], **init: Any) -> Fit:
    """The model as it is at these parameters."""
    return emdsl.loads(text).fit(data, init=init, max_iter=0, se="none")


def certainty(fit: Fit) -> Certainty:
    """How certain its hidden variables are."""
    outcome = fit.outcome
    assert outcome.compiled is not None
    return outcome.compiled.as_asked(outcome.bound, outcome.request).certainty(outcome.bound, outcome.state.theta)


def entropy(log_joint: Any) -> float:
    """Of the states with these unnormalised log-probabilities."""
    logs = np.ravel(log_joint) - logsumexp(log_joint)
    return float(-np.sum(np.exp(logs) * logs))


def test_paths_of_a_chain() -> None:
    x = np.array([0.3, -0.5, 1.2, 2.0, 0.7, 0.1, 1.9])
    start, A, mu = np.array([0.6, 0.4]), np.array([[0.8, 0.2], [0.3, 0.7]]), np.array([0.0, 1.5])
    logs = []
    for path in product(range(2), repeat=len(x)):
        steps = sum(np.log(A[a, b]) for a, b in pairwise(path))
        logs.append(np.log(start[path[0]]) + steps + np.sum(norm.logpdf(x, mu[list(path)], 1)))
    found = certainty(at(CHAIN, {"x": x}, start=start, A=A, mu=mu))
    assert found.entropy == pytest.approx(entropy(logs), rel=1e-10)
    assert found.most == pytest.approx(7 * np.log(2))
    assert found.relative == pytest.approx(1 - entropy(logs) / (7 * np.log(2)))


def test_nested_plates() -> None:
    y = np.array([[1, 0, 1], [0, 0, 1]])
    share, p = np.array([0.5, 0.3, 0.2]), np.array([0.9, 0.2])
    inner = np.array([[0.7, 0.3], [0.4, 0.6], [0.1, 0.9]])
    total = 0.0
    for row in y:
        states = product(range(3), *[range(2)] * 3)
        total += entropy([
            np.log(share[u]) + np.log(inner[u, ws]).sum() + np.log(np.where(row, p[ws], 1 - p[ws])).sum()
            for u, *ws in states
        ])  # fmt: skip
    data = {"school": np.repeat(["k", "l"], 3), "y": y.ravel()}
    found = certainty(at(NESTED, data, share=share, inner=inner, p=p))
    assert found.entropy == pytest.approx(total, rel=1e-10)
    assert found.most == pytest.approx(2 * np.log(3) + 6 * np.log(2))


def test_elements_that_cross() -> None:
    share, p = np.array([0.4, 0.6]), np.array([[0.9, 0.5], [0.3, 0.1]])
    rows = [("k", "i", 1), ("k", "j", 0), ("l", "i", 1), ("l", "j", 1), ("m", "i", 0), ("m", "j", 1)]
    places = {"k": 0, "l": 1, "m": 2, "i": 0, "j": 1}
    logs = []
    for a in product(range(2), repeat=3):
        for b in product(range(2), repeat=2):
            seen = sum(
                np.log(p[a[places[u]], b[places[v]]] if y else 1 - p[a[places[u]], b[places[v]]]) for u, v, y in rows
            )
            logs.append(np.log(share[list(a)]).sum() + np.log(share[list(b)]).sum() + seen)
    person, item, y = zip(*rows, strict=True)
    found = certainty(at(CROSSED, {"person": list(person), "item": list(item), "y": list(y)}, share=share, p=p))
    assert found.entropy == pytest.approx(entropy(logs), rel=1e-10)
    assert found.most == pytest.approx(5 * np.log(2))


def test_classes_beside_a_number_that_is_integrated_out() -> None:
    y = np.array([[1, 1, 0], [0, 0, 0], [1, 1, 1]])
    share, b = np.array([0.35, 0.65]), np.array([-1.0, 1.5])
    u = np.linspace(-9, 9, 4001)
    total = 0.0
    for row in y:
        p = 1 / (1 + np.exp(-(b[:, None] + u)))
        seen = np.prod([p if cell else 1 - p for cell in row], axis=0)
        total += entropy(np.log(share * trapezoid(seen * norm.pdf(u), u, axis=-1)))
    found = certainty(at(WITH_A_NUMBER, {f"y{k + 1}": y[:, k] for k in range(3)}, share=share, b=b))
    assert found.entropy == pytest.approx(total, rel=1e-7)


def test_the_order_of_a_genotype_is_no_hidden_value_and_weights_count() -> None:
    x, count = np.array([0.1, 1.0, 2.5]), np.array([2, 3, 1])
    p, mu = np.array([0.3, 0.7]), 0.9
    total = 0.0
    for cell, times in zip(x, count, strict=True):
        pairs = {2: p[0] ** 2, 1: 2 * p[0] * p[1], 0: p[1] ** 2}
        logs = [
            np.log(share) + np.log(0.3 if sick else 0.7) + norm.logpdf(cell, copies * mu + sick, 1)
            for copies, share in pairs.items() for sick in (0, 1)
        ]  # fmt: skip
        total += times * entropy(logs)
    found = certainty(at(GENOTYPES, {"x": x, "count": count}, p=p, mu={"A": mu, "B": 0.0}))
    assert found.entropy == pytest.approx(total, rel=1e-10)
    assert found.most == pytest.approx(6 * (np.log(3) + np.log(2)))


@pytest.mark.parametrize(
    "name", ["crime", "dina", "haplotypes", "latent_classes", "markov_mixture", "mover_stayer", "zero_inflated_poisson"]
)
def test_by_unit_and_by_sweep_agree(name: str) -> None:
    taken = take_shipped(name)
    derivation, bound = taken.compiled.derivation, taken.bound
    classes = finite_hidden(derivation.model)
    assert _in_outermost_units(classes, derivation.model, bound)
    rng = np.random.default_rng(1)
    theta = taken.problem.maximize(
        taken.problem.initial(), taken.problem.random_expectation(rng, taken.problem.initial()).statistics
    )
    unit = _by_unit(derivation, bound, theta, classes)
    assert unit > 0
    assert _by_sweep(derivation, bound, theta) == pytest.approx(unit, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("factor_analysis", "nothing finite is hidden"),
        ("n_mixture", "nothing finite is hidden"),
        ("site_occupancy", "`u` cannot be told apart from the finite hidden variables"),
    ],
)
def test_where_there_is_no_entropy(name: str, reason: str) -> None:
    file, data = shipped()[name]
    found = certainty(emdsl.load(str(file)).fit(str(data), max_iter=0, se="none"))
    assert found == Certainty(None, reason=reason)
    assert found.relative is None
