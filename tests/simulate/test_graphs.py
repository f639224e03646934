"""Simulated data of small models: frequencies as enumeration gives them, chains, genotypes, deterministic maps."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest
from scipy import stats

import emdsl

LEVEL = 1e-4


def simulated(text: str, n: int | None, params: Any, **options: Any) -> dict[str, list[Any]]:
    """Columns of simulated data."""
    table = emdsl.loads(text).simulate(n, params, **options)
    return {name: list(table[name]) for name in table}


def agrees(found: Counter[Any], expected: dict[Any, float]) -> bool:
    """Whether counts are those of these probabilities, by a chi-squared test; nothing impossible occurs."""
    total = sum(found.values())
    if set(found) - {value for value, share in expected.items() if share > 0}:
        return False
    possible = [value for value, share in expected.items() if share > 0]
    counts = [found[value] for value in possible]
    return bool(stats.chisquare(counts, [expected[value] * total for value in possible]).pvalue > LEVEL)


TINY = """
index a = {u, v}
index b = {k, l, m}
index item = {i, j}
param p : simplex[a]
param q[a] : simplex[b]
param r[item, b] : unit
for each row:
    latent x ~ Categorical(p)
    latent y ~ Categorical(q[x])
    observed s[item] ~ Bernoulli(r[item, y])
    observed t = case x, y:
        u, _ -> low
        v, k -> low
        _    -> high
"""


def test_joint_frequencies_of_a_tiny_model() -> None:
    rng = np.random.default_rng(1)
    p, q, r = rng.dirichlet([1, 1]), rng.dirichlet([1, 1, 1], 2), rng.random((2, 3))
    table = simulated(TINY.replace("_, _ ", "_ "), 5000, {"p": p, "q": q, "r": r}, latent=True, seed=4)
    expected = {}
    for x, y, i, j in product(range(2), range(3), range(2), range(2)):
        share = p[x] * q[x, y] * np.prod([r[k, y] if s else 1 - r[k, y] for k, s in ((0, i), (1, j))])
        t = "low" if x == 0 or y == 0 else "high"
        expected["uv"[x], "klm"[y], str(i), str(j), t] = float(share)
    names = ("x", "y", "i", "j", "t")
    assert list(table) == ["i", "j", "t", "x", "y"]
    assert agrees(Counter(zip(*(map(str, table[name]) for name in names), strict=True)), expected)


CHAIN = """
index state = {a, b, c}
param start : simplex[state]
param A[state] : simplex[state]
param m[state] : real
for each day in sequence:
    latent z ~ Markov(start, A)
    observed y ~ Normal(m[z], 0.1)
"""


def test_transitions_of_a_chain() -> None:
    rng = np.random.default_rng(2)
    A = rng.dirichlet([1, 1, 1], 3)
    params = {"start": [0, 1, 0], "A": A, "m": [0, 10, 20]}
    table = simulated(CHAIN, 6000, params, latent=True)
    z = table["z"]
    assert z[0] == "b"
    assert np.allclose(np.round(np.array(table["y"]) / 10), ["abc".index(state) for state in z])
    for k, state in enumerate("abc"):
        after = Counter(there for here, there in pairwise(z) if here == state)
        assert agrees(after, dict(zip("abc", A[k], strict=True)))


def test_a_finite_chain_is_drawn_as_any_other() -> None:
    """A chain with a second variable inside takes the steps one by one; its law is the same."""
    text = CHAIN.replace(
        "    latent z ~ Markov(start, A)\n",
        "    latent w ~ Bernoulli(1/2) first, Bernoulli(where(prev(z) == a, 1/4, 3/4)) after\n"
        "    latent z ~ Categorical(start) first, Categorical(A[case w: 1 -> prev(z); 0 -> b]) after\n",
    )
    text = text.replace("A[case w: 1 -> prev(z); 0 -> b]", "A[prev(z)]")
    A = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4]])
    table = simulated(text, 3000, {"start": [1, 0, 0], "A": A, "m": [0, 1, 2]}, latent=True)
    z, w = table["z"], [int(cell) for cell in table["w"]]
    for k, state in enumerate("abc"):
        after = Counter(there for here, there in pairwise(z) if here == state)
        assert agrees(after, dict(zip("abc", A[k], strict=True)))
    for state, share in (("a", 0.25), ("b", 0.75)):
        after_it = Counter(there for here, there in zip(z[:-1], w[1:], strict=True) if here == state)
        assert agrees(after_it, {1: share, 0: 1 - share})


def test_autoregression_begins_with_the_design() -> None:
    text = "param phi : real\nfor each t in sequence:\n    observed y ~ Normal(phi*prev(y), 0.001)\n"
    table = simulated(text, None, {"phi": 0.5}, design={"y": [8.0, None, None, None]})
    assert table["y"][0] == 8
    with pytest.raises(emdsl.EmmError) as error:
        simulated(text, 4, {"phi": 0.5})
    assert error.value.code == "design-needed"
    assert "--design FILE, with the columns y" in error.value.help


def test_genotypes_and_inbreeding() -> None:
    text = (
        "index allele = {A, B}\nparam p : simplex[allele]\nparam F : unit\nfor each r:\n"
        "    latent h ~ HardyWeinberg(p, F)\n    observed g = h\n    observed n = copies(h, B)\n"
    )
    table = simulated(text, 4000, {"p": [0.6, 0.4], "F": 0.25}, latent=True)
    expected = {"A/A": 0.36 * 0.75 + 0.6 * 0.25, "A/B": 0.48 * 0.75, "B/B": 0.16 * 0.75 + 0.4 * 0.25}
    assert agrees(Counter(table["g"]), expected)
    assert table["h"] == table["g"]
    assert [str(cell).count("B") for cell in table["g"]] == table["n"]


def test_ordinal_levels() -> None:
    text = (
        "index level = {low, mid, high}\nindex cut = 1..2\nparam cuts : ordered[cut]\nfor each r:\n"
        "    observed y : level ~ OrderedLogistic(0.5, cuts)\n"
    )
    table = simulated(text, 4000, {"cuts": [-1, 1]})
    below = 1 / (1 + np.exp(-(np.array([-1.0, 1.0]) - 0.5)))
    assert agrees(Counter(table["y"]), {"low": below[0], "mid": below[1] - below[0], "high": 1 - below[1]})


def test_joint_draw() -> None:
    text = (
        "index a = {u, v}\nindex b = {k, l}\nparam p : simplex[a, b]\nfor each r:\n    latent x, y ~ Categorical(p)\n"
        "    observed o = x\n    observed q = y\n"
    )
    p = np.array([[0.1, 0.2], [0.3, 0.4]])
    table = simulated(text, 4000, {"p": p})
    expected = {("uv"[i], "kl"[j]): float(p[i, j]) for i in range(2) for j in range(2)}
    assert agrees(Counter(zip(table["o"], table["q"], strict=True)), expected)


def test_mixtures_of_families() -> None:
    text = (
        "index kind = {structural, count}\nparam w : simplex[kind]\nparam rate : positive\nfor each r:\n"
        "    latent kind ~ Categorical(w)\n    observed y ~ case kind:\n"
        "        structural -> Point(0)\n        count -> Poisson(rate)\n"
    )
    table = simulated(text, 4000, {"w": [0.3, 0.7], "rate": 2}, latent=True)
    assert {y for y, kind in zip(table["y"], table["kind"], strict=True) if kind == "structural"} == {0}
    counts = Counter(min(y, 6) for y, kind in zip(table["y"], table["kind"], strict=True) if kind == "count")
    law = stats.poisson(2)
    assert agrees(counts, {**{k: law.pmf(k) for k in range(6)}, 6: law.sf(5)})


def test_factor_statements_cannot_be_simulated() -> None:
    text = (
        "index s = {a, b}\nparam p : simplex[s]\nfor each r:\n    input e : real\n    latent z ~ Categorical(p)\n"
        "    factor where(z == a, e, 0)\n"
    )
    with pytest.raises(emdsl.EmmError) as error:
        simulated(text, None, {"p": [0.5, 0.5]}, design={"e": [1.0, 2.0]})
    assert error.value.code == "cannot-simulate"
    assert "draws nothing" in error.value.message
