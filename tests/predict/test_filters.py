"""Filters of whatever is hidden in a chain or around it: against chains that end there, and fast ones against slow."""

from __future__ import annotations

from textwrap import dedent
from typing import Any

import numpy as np
import pytest

from emdsl.plan.posterior import PosteriorProgram, _by_moments, posterior
from emdsl.predict.prediction import predict
from tests.laws.bound_models import random_theta, take

MODELS: dict[str, tuple[str, dict[str, list[Any]]]] = {
    "a mixture of hidden chains": (
        """
        index kind = {calm, wild}
        index state = {low, high}
        param p : simplex[kind]
        param start[kind] : simplex[state]
        param A[kind, state] : simplex[state]
        param m[state] : real
        for each g:
            latent c ~ Categorical(p)
            for each t in sequence:
                latent z ~ Markov(start[c], A[c])
                observed y ~ Normal(m[z], 1)
        """,
        {"g": list("aaaabbb"), "y": [0.1, 1.2, None, 2.0, -0.5, 0.3, 1.1]},
    ),
    "a chain of second order": (
        """
        index state = {low, high}
        param start : simplex[state]
        param A[state, state] : simplex[state]
        param m[state] : real
        for each t in sequence:
            latent z ~ Categorical(start) first, Categorical(A[prev(z, 2), prev(z)]) after
            observed y ~ Normal(m[z], 1)
        """,
        {"y": [0.1, 1.2, None, 2.0, -0.5]},
    ),
    "a mixture of chains that are seen": (
        """
        index kind = {calm, wild}
        index page = {home, news}
        param p : simplex[kind]
        param A[kind, page] : simplex[page]
        for each g:
            latent c ~ Categorical(p)
            for each t in sequence:
                observed page ~ Categorical(A[c, prev(page)])
        """,
        {"g": list("aaaabbb"), "page": ["home", "news", "news", "home", "news", "news", "news"]},
    ),
    "an effect around a chain": (
        """
        param q : positive
        for each g:
            latent u ~ Normal(0, 1)
            for each t in sequence:
                input x : real
                observed y ~ Normal(u*x, q)
        """,
        {"g": list("aaab"), "x": [1.0, 2.0, -1.0, 0.5], "y": [0.1, 1.2, None, 2.0]},
    ),
    "levels chosen by a hidden kind": (
        """
        index kind = {calm, wild}
        param p : simplex[kind]
        param q[kind] : positive
        for each g:
            latent c ~ Categorical(p)
            for each t in sequence:
                latent level ~ Normal(0, 1) first, Normal(prev(level), q[c]) after
                observed y ~ Normal(level, 0.5)
        """,
        {"g": list("aaaabb"), "y": [0.1, 1.2, None, 2.0, -0.5, 0.3]},
    ),
    "a hidden rate": (
        """
        param a : positive
        for each g:
            latent r ~ Gamma(a, 1)
            for each t in sequence:
                observed n ~ Poisson(r)
        """,
        {"g": list("aaab"), "n": [2, None, 4, 1]},
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_what_is_filtered_is_what_a_chain_that_ends_there_says(name: str) -> None:
    text, columns = MODELS[name]
    taken = take(dedent(text), columns)
    theta = random_theta(taken.problem.spaces, np.random.default_rng(8), taken.problem.initial())
    derivation = taken.compiled.derivation
    filtered = posterior(derivation, taken.bound, theta, filtered=True)
    expected = predict(derivation, taken.bound, theta, filtered=True)
    groups = columns.get("g", ["a"] * len(next(iter(columns.values()))))
    place = [groups[:k].count(g) for k, g in enumerate(groups)]
    for moment in range(max(place) + 1):
        rows = [k for k, at in enumerate(place) if at <= moment]
        cut = take(dedent(text), {key: [cells[k] for k in rows] for key, cells in columns.items()})
        there = [(k, rows.index(k)) for k, at in enumerate(place) if at == moment]
        part, alone = posterior(derivation, cut.bound, theta), predict(derivation, cut.bound, theta)
        level = len(taken.bound.levels) - 1
        for marginal, other in zip(filtered.marginals, part.marginals, strict=True):
            if marginal.level == level:
                compare(marginal, other, ("probabilities",), there)
        for number, same in zip(filtered.numbers, part.numbers, strict=True):
            if number.level == level:
                compare(number, same, ("mean", "sd"), there)
        for whole, own in zip(expected.variables, alone.variables, strict=True):
            numbers = whole.probabilities is None
            compare(whole, own, ("expected", "low", "high") if numbers else ("probabilities",), there)


def compare(whole: Any, own: Any, fields: tuple[str, ...], there: list[tuple[int, int]]) -> None:
    for field in fields:
        for unit, place in there:
            mine, theirs = getattr(whole, field)[..., unit], getattr(own, field)[..., place]
            assert mine == pytest.approx(theirs, rel=1e-6, abs=1e-9, nan_ok=True)


FAST: dict[str, tuple[str, dict[str, list[Any]]]] = {
    "a local trend": (
        """
        param s : positive
        for each g:
            for each t in sequence:
                latent slope ~ Normal(0.5, 1) first, Normal(prev(slope), s) after
                latent level ~ Normal(1, 2) first, Normal(prev(level) + prev(slope), 0.3) after
                observed y ~ Normal(level, 0.4)
        """,
        {"g": list("aaaaabbb"), "y": [0.1, 1.2, None, 2.0, -0.5, 0.3, 1.1, None]},
    ),
    "a law that looks two units back": (
        """
        param s : positive
        for each t in sequence:
            latent x ~ Normal(0, 1) first, Normal(0.5*prev(x) + 0.3*prev(x, 2), s) after
            observed y ~ Normal(x, 0.4)
        """,
        {"y": [0.1, 1.2, None, 2.0, -0.5]},
    ),
    "hidden states": (
        """
        index state = {low, high}
        param start : simplex[state]
        param A[state] : simplex[state]
        param m[state] : real
        for each t in sequence:
            latent z ~ Markov(start, A)
            observed y ~ Normal(m[z], 1)
        """,
        {"y": [0.1, 1.2, None, 2.0, -0.5]},
    ),
}


@pytest.mark.parametrize("name", FAST)
def test_one_sweep_says_what_the_data_up_to_each_moment_say(name: str) -> None:
    text, columns = FAST[name]
    taken = take(dedent(text), columns)
    theta = random_theta(taken.problem.spaces, np.random.default_rng(3), taken.problem.initial())
    program = PosteriorProgram(taken.compiled.derivation, taken.bound)
    assert program.filters_at_once
    fast = program.run(theta, filtered=True)
    slow = _by_moments(program.run(theta), taken.compiled.derivation, taken.bound, theta)
    for one, other in zip(fast.marginals, slow.marginals, strict=True):
        assert one.probabilities == pytest.approx(other.probabilities, rel=1e-9)
    for here, there in zip(fast.numbers, slow.numbers, strict=True):
        assert here.mean == pytest.approx(there.mean, rel=1e-8, abs=1e-10)
        assert here.sd == pytest.approx(there.sd, rel=1e-8)


def test_a_chain_across_columns() -> None:
    text = """
    index kind = {u, v}
    index wave = columns(y1, y2, y3)
    param p : simplex[kind]
    param m[kind] : real
    for each person:
        latent c ~ Categorical(p)
        for each t over wave in sequence:
            observed y ~ Normal(m[c], 1)
    """
    rows = [[0.1, 2.0, 3.0], [4.0, -1.0, 0.0]]
    theta = {"p": np.array([0.3, 0.7]), "m": np.array([0.0, 3.0])}
    taken = take(dedent(text), dict(zip(("y1", "y2", "y3"), zip(*rows, strict=True), strict=True)))
    (found,) = predict(taken.compiled.derivation, taken.bound, theta, filtered=True).variables
    for k, y in enumerate(rows):
        weight = theta["p"].copy()
        for t in range(3):
            weight = weight * np.exp(-0.5 * (y[t] - theta["m"]) ** 2)
            assert found.expected is not None
            assert found.expected[3 * k + t] == pytest.approx(weight @ theta["m"] / weight.sum(), rel=1e-9)
