"""Predictions of cells that other cells tell of: vectors seen in part, hidden arrays, joint draws, conditions of units;
and of values of which data show a part.
"""

from __future__ import annotations

from itertools import product
from textwrap import dedent
from typing import Any

import numpy as np
import pytest
from scipy import stats

from emdsl.plan.number_laws import NumberLaw
from emdsl.predict.laws import Law
from emdsl.predict.normal_laws import is_normal, normal_law
from emdsl.request import FitRequest
from emdsl.simulate.evaluation import as_drawn
from tests.laws.bound_models import compiled
from tests.predict.references import conditional, one, predicted


def test_empty_elements_of_a_vector_are_told_by_the_others() -> None:
    text = """
    index dim = {a, b, c}
    index kind = {u, v}
    param p : simplex[kind]
    param m[kind, dim] : real
    param S[kind] : covariance[dim]
    for each row:
        latent z ~ Categorical(p)
        observed x[dim] ~ MVNormal(m[z], S[z])
    """
    rng = np.random.default_rng(2)
    m = np.array([[0.0, 1.0, -1.0], [3.0, 0.0, 2.0]])
    roots = rng.normal(0, 1, (2, 3, 3))
    S = roots @ np.swapaxes(roots, 1, 2) + np.eye(3)
    x = np.array([[1.0, np.nan, 2.0], [np.nan, np.nan, 0.5], [0.3, 1.0, 0.1], [np.nan] * 3])
    found = predicted(text, dict(zip("abc", x.T, strict=True)), {"p": [0.3, 0.7], "m": m, "S": S}, level=0.9)
    for row in range(4):
        known = ~np.isnan(x[row])
        weight = np.array([0.3, 0.7])
        if known.any():
            block = np.ix_(known, known)
            weight = weight * [stats.multivariate_normal(m[k][known], S[k][block]).pdf(x[row][known]) for k in (0, 1)]
        weight /= weight.sum()
        told = [conditional(m[k], S[k], x[row]) for k in (0, 1)]
        for j, label in enumerate("abc"):
            # a seen element is predicted as that of another vector
            laws = [stats.norm(m[k][j], np.sqrt(S[k][j, j])) for k in (0, 1)]
            if not known[j]:
                laws = [stats.norm(mean[j], np.sqrt(cov[j, j])) for mean, cov in told]
            own = one(found, f"x[{label}]")
            assert own.expected[row] == pytest.approx(sum(w * law.mean() for w, law in zip(weight, laws, strict=True)))
            for end, tail in ((own.low[row], 0.05), (own.high[row], 0.95)):
                reached = sum(w * law.cdf(end) for w, law in zip(weight, laws, strict=True))
                assert reached == pytest.approx(tail, abs=1e-8)


def test_a_vector_around_a_hidden_one() -> None:
    """The law of the empty elements, over the posterior of the hidden vector that the seen ones give."""
    text = """
    index dim = {a, b, c}
    param m[dim] : real
    param T : covariance[dim]
    param S : covariance[dim]
    for each row:
        latent h[dim] ~ MVNormal(m, T)
        observed x[dim] ~ MVNormal(h, S)
    """
    m, S = np.array([0.0, 1.0, 2.0]), np.array([[1.0, 0.3, 0.1], [0.3, 0.8, 0.2], [0.1, 0.2, 0.5]])
    T = np.array([[2.0, 1.0, 0.0], [1.0, 1.5, 0.4], [0.0, 0.4, 1.0]])
    x = np.array([[1.0, np.nan, 2.5], [2.0, 2.0, 2.0]])
    model = compiled(dedent(text))
    bound = model.bind(dict(zip("abc", x.T, strict=True)), FitRequest())
    statement = next(f for f in model.model.factors if f.target is not None and f.target.name == "x")
    law = Law(model.model, bound, {"m": m, "T": T, "S": S}, statement, as_drawn(model.model, bound), np.arange(2))
    joint = np.kron(np.ones((2, 2)), T) + np.kron(np.diag([0.0, 1.0]), S)
    told = [conditional(np.tile(m, 2), joint, np.concatenate([np.full(3, np.nan), row])) for row in x]
    known = NumberLaw(
        tuple(("h", (k,), 0) for k in range(3)), (), np.stack([mean[:3] for mean, _ in told], axis=-1),
        np.stack([covariance[:3, :3] for _, covariance in told], axis=-1),
    )  # fmt: skip
    (branch,) = statement.branches
    assert is_normal(law, branch, frozenset({"h"}))
    mean, sd = normal_law(law, branch, known)
    # the empty element: what the seen ones say of it by both ways; a seen one: that of another vector
    assert mean[0, 1, 0] == pytest.approx(told[0][0][4]) and sd[0, 1, 0] ** 2 == pytest.approx(told[0][1][4, 4])
    for unit, k in ((0, 0), (0, 2), (1, 0), (1, 1), (1, 2)):
        assert mean[0, k, unit] == pytest.approx(told[unit][0][k])
        assert sd[0, k, unit] ** 2 == pytest.approx(told[unit][1][k, k] + S[k, k])


DINA = """
    index skill = {add, carry}
    index item = columns(q1, q2, q3)
    const needs[item, skill] = [[1, 0], [0, 1], [1, 1]]
    param has[skill] : unit
    param slip[item] : unit
    param guess[item] : unit
    for each pupil:
        latent skills[skill] ~ Bernoulli(has[skill])
        let master[i in item] = prod(s in skill: skills[s]^needs[i, s])
        observed y[item] ~ Bernoulli(master[item]*(1 - slip[item]) + (1 - master[item])*guess[item])
"""


def test_hidden_arrays() -> None:
    has, slip, guess = np.array([0.7, 0.4]), np.array([0.1, 0.2, 0.05]), np.array([0.2, 0.1, 0.3])
    needs = np.array([[1, 0], [0, 1], [1, 1]])
    y = np.array([[1, np.nan, 0], [np.nan] * 3, [1, 1, np.nan]])
    theta = {"has": has, "slip": slip, "guess": guess}
    found = predicted(DINA, dict(zip(("q1", "q2", "q3"), y.T, strict=True)), theta)
    states = np.array(list(product((0, 1), repeat=2)))
    right = np.array([[1 - slip[i] if (s >= needs[i]).all() else guess[i] for i in range(3)] for s in states])
    prior = np.prod(np.where(states, has, 1 - has), axis=1)
    for row in range(3):
        known = ~np.isnan(y[row])
        weight = prior * np.prod(np.where(y[row] == 1, right, 1 - right)[:, known], axis=1)
        for k, item in enumerate(("q1", "q2", "q3")):
            wanted = weight @ right[:, k] / weight.sum()
            assert one(found, f"y[{item}]").probabilities[1, row] == pytest.approx(wanted, rel=1e-10)


def test_open_cells_of_an_array() -> None:
    text = """
    index k = {u, v}
    index item = {a, b}
    index label = {x, y, z}
    param p : simplex[k]
    param q[k, item] : simplex[label]
    for each row:
        latent c ~ Categorical(p)
        observed w[item] : label ~ Categorical(q[c, item])
        observed n ~ Poisson(case w[a]: x -> 1; y -> 3; z -> 9)
    """
    text = text.replace("case w[a]: x -> 1; y -> 3; z -> 9", "1 + 2*(w[a] == y) + 8*(w[a] == z)")
    q = np.array([[[0.7, 0.2, 0.1], [0.5, 0.3, 0.2]], [[0.1, 0.3, 0.6], [0.2, 0.2, 0.6]]])
    found = predicted(text, {"a": ["x", None, "y|z"], "b": ["y", None, "z"], "n": [2, 5, 1]}, {"p": [0.4, 0.6], "q": q})
    rate = np.array([1.0, 3.0, 9.0])
    for row, n, allowed, other in ((1, 5, [0, 1, 2], None), (2, 1, [1, 2], 2)):
        joint = np.array([0.4, 0.6])[:, None] * q[:, 0] * stats.poisson(rate).pmf(n)
        if other is not None:
            joint = joint * q[:, 1, other][:, None]
        shares = np.where(np.isin(np.arange(3), allowed), joint.sum(axis=0), 0.0)
        assert one(found, "w[a]").probabilities[:, row] == pytest.approx(shares / shares.sum(), rel=1e-9)
    # seen: another draw, given the class alone
    weight = np.array([0.4, 0.6]) * q[:, 0, 0] * q[:, 1, 1]
    assert one(found, "w[a]").probabilities[:, 0] == pytest.approx(weight @ q[:, 0] / weight.sum(), rel=1e-9)


def test_a_joint_draw() -> None:
    text = """
    index a = {no, yes}
    index b = {low, middle, high}
    param p : simplex[a, b]
    for each row:
        observed x, y ~ Categorical(p)
    """
    p = np.array([[0.1, 0.2, 0.05], [0.3, 0.05, 0.3]])
    found = predicted(text, {"x": ["no", None, "yes"], "y": ["high", "low", None]}, {"p": p})
    x, y = one(found, "x").probabilities.T, one(found, "y").probabilities.T
    assert x[0] == pytest.approx(p.sum(axis=1)) and y[0] == pytest.approx(p.sum(axis=0))
    assert x[1] == pytest.approx(p[:, 0] / p[:, 0].sum())
    assert y[2] == pytest.approx(p[1] / p[1].sum())


def test_an_empty_cell_meets_the_condition_of_its_unit() -> None:
    text = """
    param q : unit
    for each family:
        latent carrier ~ Bernoulli(0.5)
        observed first ~ Bernoulli(carrier*q)
        observed second ~ Bernoulli(carrier*q)
        given first == 1 or second == 1
    """
    found = predicted(text, {"first": [1, 0, None], "second": [None, 1, None]}, {"q": 0.3})
    second, first = one(found, "second").probabilities[1], one(found, "first").probabilities[1]
    # some child is affected, so the family carries: P(first | first or second)
    assert first[2] == pytest.approx(0.3 / (1 - 0.7**2)) == second[2]
    assert second[0] == pytest.approx(0.3)
    assert first[1] == pytest.approx(0.3)  # seen: what a further child would be


def test_what_is_censored_is_predicted_whole_and_what_is_truncated_as_it_is_left() -> None:
    text = "param m : real\nfor each row:\n    observed y ~ Normal(m, 2) censored above unless seen\n"
    found = one(predicted(text, {"y": [1.0, 4.0], "seen": [1, 0]}, {"m": 3}), "y")
    assert found.expected == pytest.approx([3.0, 3.0])
    assert found.high == pytest.approx([3 + 2 * stats.norm.ppf(0.975)] * 2)
    text = "param m : real\nfor each row:\n    observed y ~ Normal(m, 2) truncated to (4, inf)\n"
    found = one(predicted(text, {"y": [5.0, 7.0]}, {"m": 3}), "y")
    law = stats.truncnorm(0.5, np.inf, 3, 2)
    check(found, law)
    text = "param r : positive\nfor each row:\n    observed n ~ Poisson(r) truncated to (1, inf)\n"
    found = one(predicted(text, {"n": [5, 7]}, {"r": 1.7}), "n")
    counts = np.arange(1, 60)
    shares = stats.poisson(1.7).pmf(counts) / stats.poisson(1.7).sf(0)
    assert found.expected == pytest.approx(counts @ shares, rel=1e-9)
    assert found.low.tolist() == [1.0, 1.0] and found.high.tolist() == [counts[np.cumsum(shares) >= 0.975][0]] * 2
    text = "param m : real\nfor each row:\n    observed y between lo and hi ~ Normal(m, 2)\n"
    found = one(predicted(text, {"lo": [1.0, None], "hi": [4.0, 9.0]}, {"m": 3}), "y")
    assert found.expected == pytest.approx([3.0, 3.0])


def check(found: Any, law: Any) -> None:
    assert found.expected == pytest.approx(law.mean(), rel=1e-7)
    assert found.low == pytest.approx(law.ppf(0.025), rel=1e-6)
    assert found.high == pytest.approx(law.ppf(0.975), rel=1e-6)
