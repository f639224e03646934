"""Sums, products and vectors that are written out element by element, and integers below 0, against direct sums."""

from __future__ import annotations

from itertools import product
from textwrap import dedent

import numpy as np
import pytest
from scipy import stats
from scipy.special import logsumexp

from emdsl.diagnostics.errors import EmmError
from emdsl.request import FitRequest
from tests.laws.agreement import check_score
from tests.laws.bound_models import random_theta, take
from tests.laws.tables import Cell


def test_a_softmax_of_what_hidden_elements_switch_on() -> None:
    text = """
    index three = {a, b, c}
    param g[three] : real
    param q[three] : unit
    for each row:
        latent on[three] ~ Bernoulli(q[three])
        observed y : three ~ Categorical(softmax(k in three: g[k]*on[k]))
    """
    seen: list[Cell] = ["a", "b", "c", "a", None]
    bound = take(dedent(text), {"y": seen})
    theta = random_theta(bound.problem.spaces, np.random.default_rng(1), bound.problem.initial())
    total = np.zeros(3)
    for on in product((0, 1), repeat=3):
        share = np.prod(np.where(on, theta["q"], 1 - theta["q"]))
        total += share * np.exp(theta["g"] * on) / np.exp(theta["g"] * on).sum()
    expected = sum(np.log(total["abc".index(str(label))]) for label in seen if label is not None)
    assert bound.problem.expect(theta).loglik == pytest.approx(expected, rel=1e-12)
    check_score(bound, theta, np.random.default_rng(2))


def test_a_mean_vector_of_hidden_elements() -> None:
    text = """
    index dim = {a, b}
    index two = {u, v}
    param mu[two, dim] : real
    param S : covariance[dim]
    param p[dim] : simplex[two]
    for each row:
        latent z[dim] ~ Categorical(p[dim])
        let m[i in dim] = mu[z[i], i]
        observed y[dim] ~ MVNormal(m, S)
    """
    bound = take(dedent(text), {"y_a": [1.0, 2.0, 3.0], "y_b": [1.0, 0.2, None]})
    theta = random_theta(bound.problem.spaces, np.random.default_rng(3), bound.problem.initial())
    p, mu, covariance = theta["p"], theta["mu"], theta["S"]
    expected = 0.0
    for y in ([1.0, 1.0], [2.0, 0.2]):
        parts = [
            np.log(p[0, i] * p[1, j])
            + stats.multivariate_normal.logpdf(y, [mu[i, 0], mu[j, 1]], covariance)
            for i, j in product((0, 1), repeat=2)
        ]
        expected += logsumexp(parts)
    alone = stats.norm.logpdf(3.0, mu[:, 0], np.sqrt(covariance[0, 0]))
    expected += logsumexp(np.log(p[0]) + alone)
    assert bound.problem.expect(theta).loglik == pytest.approx(expected, rel=1e-12)
    check_score(bound, theta, np.random.default_rng(4))


def test_a_hidden_integer_may_be_negative() -> None:
    text = """
    family Steps(a : positive) for x : integer:
        logpmf = -a*abs(x) + log((1 - exp(-a))/(1 + exp(-a)))
    param a : positive
    param s : positive
    for each row:
        latent   k ~ Steps(a)
        observed y ~ Normal(k, s)
    """
    seen: list[Cell] = [1.0, -2.0, 0.3, 5.0]
    bound = take(dedent(text), {"y": seen})
    theta = random_theta(bound.problem.spaces, np.random.default_rng(5), bound.problem.initial())
    a, s, k = float(theta["a"]), float(theta["s"]), np.arange(-300, 301)
    law = -a * np.abs(k) + np.log((1 - np.exp(-a)) / (1 + np.exp(-a)))
    expected = sum(logsumexp(law + stats.norm.logpdf(float(str(y)), k, s)) for y in seen)
    assert bound.problem.expect(theta).loglik == pytest.approx(expected, rel=1e-12)
    check_score(bound, theta, np.random.default_rng(6))


def test_a_hidden_integer_goes_as_far_on_both_sides_as_it_takes() -> None:
    text = """
    family Steps(a : positive) for x : integer:
        logpmf = -a*abs(x) + log((1 - exp(-a))/(1 + exp(-a)))
    param s : positive
    for each row:
        latent   k ~ Steps(1/40)
        observed y ~ Normal(k, s)
    """
    seen: list[Cell] = [-130.0, -130.5, 3.0, 2.5, -131.0, 4.0]
    bound = take(dedent(text), {"y": seen})
    request = FitRequest(fix={"s": 1.0}, se="none")
    outcome = bound.compiled.fit({"y": seen}, request)
    assert int(outcome.bound.indexes["k"][0]) == -int(outcome.bound.indexes["k"][-1])
    k = np.arange(-3000, 3001)
    law = -np.abs(k) / 40 + np.log((1 - np.exp(-1 / 40)) / (1 + np.exp(-1 / 40)))
    expected = sum(logsumexp(law + stats.norm.logpdf(float(str(y)), k, 1.0)) for y in seen)
    assert outcome.state.loglik == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (
            """
            index k = levels(x)
            param a[k] : positive
            param s : positive
            for each row:
                input x : k
                input t : real
                observed y ~ Normal(sum(j in k: exp(-a[j]*t)), s)
            """,
            "written-labels",
        ),
        (
            """
            param c : positive
            for each row:
                input t : real
                observed y ~ Poisson(floor(c*t) + 1)
            """,
            "no-derivative",
        ),
    ],
    ids=["labels of the data", "a step"],
)
def test_what_cannot_be_derived_says_why(text: str, code: str) -> None:
    with pytest.raises(EmmError) as caught:
        take(dedent(text), {"x": ["a", "b"], "t": [0.1, 0.2], "y": [1, 2]})
    assert caught.value.code == code
