"""The most probable path against all paths written out."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from emdsl.plan.posterior import posterior
from emdsl.runtime.chains import chain_layout
from emdsl.runtime.viterbi import viterbi
from tests.laws.bound_models import take


def path_score(first, step, emit, rows, path) -> float:
    """The log of the product of the factors of one path of one chain in one outer cell."""
    total = first[path[0]] + emit[path[0], rows[0]]
    for t in range(1, len(rows)):
        table = step if step.ndim == 2 else step[..., rows[t]]
        total += table[path[t - 1], path[t]] + emit[path[t], rows[t]]
    return float(total)


@pytest.mark.parametrize("by_row", [False, True])
@pytest.mark.parametrize("own_first", [False, True])
def test_best_of_all_paths(by_row: bool, own_first: bool) -> None:
    rng = np.random.default_rng(3)
    lengths, outer, states = [3, 1, 0, 5, 2], 2, 3
    starts = np.concatenate([[0], np.cumsum(lengths)])
    rows = int(starts[-1])
    first = np.log(rng.random((outer, states, len(lengths)) if own_first else (outer, states)))
    step = rng.random((outer, states, states, rows) if by_row else (outer, states, states))
    step = np.where(rng.random(step.shape) < 0.3, -np.inf, np.log(step))
    emit = np.log(rng.random((outer, states, rows)))
    found = viterbi(first, step, emit, chain_layout(starts))
    for o in range(outer):
        for c, length in enumerate(lengths):
            if not length:
                continue
            here = list(range(int(starts[c]), int(starts[c + 1])))
            begin = first[o, :, c] if own_first else first[o]
            scores = {
                p: path_score(begin, step[o], emit[o], here, p) for p in product(range(states), repeat=length)
            }  # fmt: skip
            assert tuple(found[o, here]) == max(scores, key=lambda p: scores[p])


def test_a_chain_without_a_possible_path_has_none() -> None:
    first, step = np.log([[1.0, 1e-9]]), np.array([[[0.0, -np.inf], [-np.inf, 0.0]]])
    emit = np.zeros((1, 2, 4))
    emit[0, :, 1] = -1e300
    assert viterbi(first, step, emit, chain_layout(np.array([0, 2, 4]))).tolist() == [[-1, -1, 0, 0]]


def test_without_emissions() -> None:
    first, step = np.log([[0.4, 0.6]]), np.log([[[0.9, 0.1], [0.6, 0.4]]])
    assert viterbi(first, step, None, chain_layout(np.array([0, 3]))).tolist() == [[0, 0, 0]]


CHAINS = """
index state = {fair, loaded}
index face = {a, b}
index table = {t, u}
param share : simplex[table]
param start[table] : simplex[state]
param A[table, state] : simplex[state]
param emit[state] : simplex[face]
for each evening:
    latent table ~ Categorical(share)
    for each roll in sequence:
        latent die ~ Markov(start[table], A[table])
        observed face ~ Categorical(emit[die])
"""


def test_a_chain_under_an_outer_variable_is_followed_given_its_most_probable_value() -> None:
    rng = np.random.default_rng(0)
    columns: dict[str, Any] = {"evening": [1, 2, 1, 2, 2, 1, 3], "face": ["a", "b", "b", "b", None, "a", "a"]}
    taken = take(CHAINS, columns)
    theta = {
        "share": np.array([0.4, 0.6]), "start": rng.dirichlet([1, 1], 2), "A": rng.dirichlet([1, 1], (2, 2)),
        "emit": rng.dirichlet([2, 2], 2),
    }  # fmt: skip
    found = posterior(taken.compiled.derivation, taken.bound, theta)
    assert found.notes == ("the most probable path of die is the one given the most probable table",)
    table, die = found.marginals
    assert die.path is not None and table.path is None
    codes = np.array(taken.bound.values["face"].array)
    emit = np.where(codes < 2, np.log(theta["emit"])[:, np.minimum(codes, 1)], 0.0)
    level = taken.bound.levels[2]
    for chain, t in enumerate(table.best):
        rows = list(range(level.starts[chain], level.starts[chain + 1]))
        scores = {
            p: path_score(np.log(theta["start"][t]), np.log(theta["A"][t]), emit, rows, p)
            for p in product(range(2), repeat=len(rows))
        }
        assert tuple(die.path[rows]) == max(scores, key=lambda p: scores[p])


def test_genotypes_in_a_chain_have_a_path_of_pairs() -> None:
    text = """
index allele = {A, B, C}
param p : simplex[allele]
param stay : unit
for each line:
    for each generation in sequence:
        latent g ~ HardyWeinberg(p) first, HardyWeinberg(softmax(k in allele: copies(prev(g), k))) after
        observed x ~ Normal(copies(g, A), 1)
"""
    taken = take(text.replace("param stay : unit\n", ""), {"line": [1, 1, 1, 2], "x": [2.1, -0.2, 0.9, 1.1]})
    theta = {"p": np.array([0.5, 0.2, 0.3])}
    found = posterior(taken.compiled.derivation, taken.bound, theta)
    (g,) = found.marginals
    assert g.labels == ("A/A", "A/B", "A/C", "B/B", "B/C", "C/C")
    assert g.path is not None
    pairs = list(product(range(3), repeat=2))
    copies = np.array([[(a == k) + (b == k) for k in range(3)] for a, b in pairs], dtype=float)
    x = np.asarray(taken.bound.values["x"].array)
    emit = -((x - copies[:, :1]) ** 2) / 2
    shares = np.exp(copies) / np.exp(copies).sum(axis=1, keepdims=True)
    step = np.log([[shares[k, a] * shares[k, b] for a, b in pairs] for k in range(len(pairs))])
    first = np.log([theta["p"][a] * theta["p"][b] for a, b in pairs])
    for rows in ([0, 1, 2], [3]):
        scores = {p: path_score(first, step, emit, rows, p) for p in product(range(9), repeat=len(rows))}
        best = max(scores.values())
        named = ["/".join("ABC"[k] for k in sorted(pair)) for pair in pairs]
        allowed = {tuple(named[k] for k in p) for p, score in scores.items() if score > best - 1e-9}
        assert tuple(g.labels[k] for k in g.path[rows]) in allowed
