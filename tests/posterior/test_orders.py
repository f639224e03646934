"""Chains of higher order and chains that are driven: posteriors, paths, orders that agree, starts in step."""

from __future__ import annotations

from itertools import product
from textwrap import dedent
from typing import Any

import numpy as np
import pytest

from emdsl.diagnostics.errors import EmmError
from emdsl.plan.posterior import posterior
from emdsl.runtime.chains import chain_layout
from emdsl.runtime.scan import scan_forward, scan_reverse
from emdsl.runtime.scan_transitions import widened
from emdsl.runtime.viterbi import viterbi
from emdsl.simulate.ancestral import simulate
from tests.laws.bound_models import random_theta, take
from tests.laws.constructs import SETS, Construct
from tests.laws.constructs_of_order import DRIVEN, ORDERS
from tests.posterior.test_probabilities import differences


@pytest.mark.parametrize("construct", [*ORDERS, *DRIVEN], ids=lambda construct: construct.name)
def test_probabilities(construct: Construct) -> None:
    taken = take(SETS + dedent(construct.text), construct.columns)
    theta = random_theta(taken.problem.spaces, np.random.default_rng(5), taken.problem.initial())
    assert differences(taken, construct.columns, theta) == []


SECOND = """
index two = {u, v}
param p : simplex[two]
param A[two, two] : simplex[two]
param m[two] : real
for each g:
    for each row in sequence:
        latent z ~ Categorical(p) first, Categorical(A[prev(z, 2), prev(z)]) after
        observed y ~ Normal(m[z], 1)
"""
COLUMNS: dict[str, Any] = {
    "g": [1, 1, 1, 1, 1, 2, 2, 3, 4, 4, 4], "y": [0.0, None, 2.0, -1.0, 4.0, 1.0, 0.5, None, 1.5, 2.0, 0.3],
}  # fmt: skip


def second_theta(seed: int = 2) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {"p": rng.dirichlet([1, 1]), "A": rng.dirichlet([1, 1], (2, 2)), "m": np.array([0.0, 1.2])}


def test_the_path_of_a_chain_of_second_order_is_the_best_of_all() -> None:
    taken = take(SECOND, COLUMNS)
    theta = second_theta()
    (z,) = posterior(taken.compiled.derivation, taken.bound, theta).marginals
    assert z.path is not None
    y = np.asarray(taken.bound.values["y"].array)
    level = taken.bound.levels[2]
    for chain in range(4):
        rows = range(level.starts[chain], level.starts[chain + 1])
        scores = {}
        for path in product(range(2), repeat=len(rows)):
            score = 0.0
            for t, (row, state) in enumerate(zip(rows, path, strict=True)):
                law = theta["p"] if t < 2 else theta["A"][path[t - 2], path[t - 1]]
                score += np.log(law[state]) - np.nan_to_num((y[row] - theta["m"][state]) ** 2) / 2
            scores[path] = score
        assert tuple(z.path[list(rows)]) == max(scores, key=lambda path: scores[path])


def test_a_law_that_ignores_the_second_unit_before_is_one_of_first_order() -> None:
    first = SECOND.replace("param A[two, two]", "param A[two]").replace(
        "Categorical(p) first, Categorical(A[prev(z, 2), prev(z)]) after", "Markov(p, A)"
    )
    theta = second_theta()
    # `first` covers two units: that of the second must be the transition, so the start is the stationary law
    A = np.array([[0.7, 0.3], [0.7, 0.3]])
    theta["p"] = A[0]
    one = take(first, COLUMNS).problem.expect({**theta, "A": A})
    two = take(SECOND, COLUMNS).problem.expect({**theta, "A": np.stack([A, A])})
    assert two.loglik == pytest.approx(one.loglik, rel=1e-12)
    # an emission that looks back two units, and sees nothing there, leaves the chain as it is
    A = np.array([[0.7, 0.3], [0.2, 0.8]])
    law = "param b : real\n" + first.replace("index two = {u, v}", "index two = {0, 1}").replace(
        "Normal(m[z], 1)", "Normal(m[z], 1) first, Normal(m[z] + b*prev(z, 2), 1) after"
    )
    wider = take(law, COLUMNS).problem.expect({**theta, "A": A, "b": np.array(0.0)})
    assert wider.loglik == pytest.approx(take(first, COLUMNS).problem.expect({**theta, "A": A}).loglik, rel=1e-12)


def test_a_chain_that_looks_back_too_far_is_refused_with_the_size() -> None:
    text = SECOND.replace("index two = {u, v}", "index two = 1..30").replace("A[two, two]", "A[two]")
    with pytest.raises(EmmError, match="a step of the chain over `row` takes a table of 729,000,000 cells") as found:
        take(text.replace("A[prev(z, 2), prev(z)]", "A[prev(z, 5)]"), COLUMNS)
    assert found.value.code == "too-large" and "look back fewer units" in found.value.help


def test_starts_in_step_are_what_they_are_alone() -> None:
    problem = take(SECOND, COLUMNS).problem
    batch = problem.batched(3)
    assert batch is not None
    thetas = [second_theta(seed) for seed in range(3)]
    together = batch.expect({name: np.stack([theta[name] for theta in thetas]) for name in thetas[0]})
    alone = [problem.expect(theta) for theta in thetas]
    assert together.loglik == pytest.approx([item.loglik for item in alone], rel=1e-12)
    for name in batch.by_start:
        for k, item in enumerate(alone):
            assert together.statistics[name][k] == pytest.approx(item.statistics[name], rel=1e-9, abs=1e-12)


def test_what_is_simulated_follows_the_law() -> None:
    taken = take(SECOND, {"g": np.repeat(np.arange(400), 50).tolist(), "y": [0.0] * 20_000})
    theta = second_theta(7)
    drawn = simulate(taken.compiled.model, taken.bound, theta, np.random.default_rng(0))
    z = drawn["z"].reshape(400, 50)
    assert z[:, :2].mean() == pytest.approx(theta["p"][1], abs=0.06)
    for a, b in product(range(2), repeat=2):
        here = (z[:, :-2] == a) & (z[:, 1:-1] == b)
        assert z[:, 2:][here].mean() == pytest.approx(theta["A"][a, b, 1], abs=0.03)


# --- the kernel -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by_row", [False, True])
@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize("lengths", [[3, 1, 0, 5, 2], [400, 2, 90]])
def test_tuples_are_states_of_a_chain_with_zeros(by_row: bool, zeros: bool, lengths: list[int]) -> None:
    """A table from tuples to labels is a matrix over tuples in which all else is impossible."""
    rng = np.random.default_rng(11)
    outer, labels, states = 2, 2, 8
    layout = chain_layout(np.concatenate([[0], np.cumsum(lengths)]))
    first = np.log(rng.random((outer, states, len(lengths))))
    step = np.log(rng.random((outer, states, labels, *([layout.size] if by_row else []))))
    if zeros:
        step[rng.random(step.shape) < 0.2] = -np.inf
    emit = np.log(rng.random((outer, states, layout.size)))
    with np.errstate(all="ignore"):
        evidence, tape = scan_forward(first, step, emit, layout)
        full, full_tape = scan_forward(first, widened(step, -np.inf), emit, layout)
        adjoint = rng.random(evidence.shape)
        d, full_d = scan_reverse(tape, adjoint), scan_reverse(full_tape, adjoint)
        path, full_path = viterbi(first, step, emit, layout), viterbi(first, widened(step, -np.inf), emit, layout)
    assert evidence == pytest.approx(full, rel=1e-11)
    for own, expected in zip((d[0], widened(d[1], 0.0), d[2]), full_d, strict=True):
        assert own == pytest.approx(expected, rel=1e-8, abs=1e-11)
    assert (path == full_path).all()
