"""Finite variables that are hidden outside the plates: two ways to write a model, two plans, what does not fit."""

from __future__ import annotations

from textwrap import dedent

import numpy as np
import pytest

from emdsl.diagnostics.errors import EmmError
from emdsl.plan.posterior import posterior
from emdsl.plan.program import Program
from tests.laws.bound_models import random_theta, take
from tests.laws.constructs import SETS
from tests.laws.constructs_of_crossing import CROSSING
from tests.laws.tables import Cell

CLASSES = "index class = 1..2\nparam share : simplex[class]\nparam m[class] : real\nparam s : positive\n"
BY_COLUMN = """\
index person = levels
latent z[person] ~ Categorical(share)
for each row:
    input person : person
    observed y ~ Normal(m[z[person]], s)
"""
NESTED = """\
for each person:
    latent z ~ Categorical(share)
    for each row:
        observed y ~ Normal(m[z], s)
"""
TABLE: dict[str, list[Cell]] = {"person": list("badbaadcbb"), "y": [0.1, 2.0, -1.0, 0.3, 1.5, 1.9, 0.2, None, 0.4, 0.0]}


def test_a_column_of_persons_is_a_plate_of_persons() -> None:
    """The same likelihood, the same EM step, the same posterior of each person."""
    one, two = take(CLASSES + BY_COLUMN, TABLE), take(CLASSES + NESTED, TABLE)
    theta = random_theta(two.problem.spaces, np.random.default_rng(1), two.problem.initial())
    found, other = one.problem.expect(theta), two.problem.expect(theta)
    assert found.loglik == pytest.approx(other.loglik, rel=1e-13)
    step, again = one.problem.maximize(theta, found.statistics), two.problem.maximize(theta, other.statistics)
    for name, value in again.items():
        assert step[name] == pytest.approx(value, rel=1e-12)
    (own,) = posterior(one.compiled.derivation, one.bound, theta).marginals
    (nested,) = posterior(two.compiled.derivation, two.bound, theta).marginals
    order = [one.bound.indexes["person"].index(str(label)) for label in two.bound.units["person"]]
    assert own.probabilities[:, order] == pytest.approx(nested.probabilities, rel=1e-12)
    scores, weights = one.problem.unit_gradients(theta)
    assert len(weights) == 4
    assert scores["m"].sum(axis=0) == pytest.approx(one.problem.gradient(theta, found.statistics)["m"], rel=1e-10)


@pytest.mark.parametrize("construct", CROSSING, ids=lambda construct: construct.name)
def test_regrouping_changes_nothing(construct: object) -> None:
    """Rows put together by the element that they look at, and all elements summed out in the order of what rows tie."""
    text, columns = SETS + dedent(construct.text), construct.columns  # type: ignore[attr-defined]
    bound = take(text, columns)
    theta = random_theta(bound.problem.spaces, np.random.default_rng(2), bound.problem.initial())
    plain = Program(bound.compiled.derivation, bound.bound, regroup=False)
    assert plain.bound.regrouping is None
    assert plain.expect(theta)[0] == pytest.approx(bound.problem.expect(theta).loglik, rel=1e-12)


def test_the_posterior_is_in_the_order_of_the_data() -> None:
    """What is hidden in the rows of a table whose rows the planner has put together, against a table in that order."""
    text = CLASSES + BY_COLUMN.replace("    observed", "    latent k ~ Bernoulli(1/3)\n    observed").replace(
        "[z[person]]", "[z[person]] + k"
    )
    order = np.argsort(np.array(TABLE["person"]), kind="stable")
    one, two = take(text, TABLE), take(text, {name: [cells[k] for k in order] for name, cells in TABLE.items()})
    theta = random_theta(one.problem.spaces, np.random.default_rng(3), one.problem.initial())
    found = {m.name: m for m in posterior(one.compiled.derivation, one.bound, theta).marginals}
    other = {m.name: m for m in posterior(two.compiled.derivation, two.bound, theta).marginals}
    assert found["k"].probabilities[:, order] == pytest.approx(other["k"].probabilities, rel=1e-12)
    assert found["z"].probabilities == pytest.approx(other["z"].probabilities, rel=1e-12)
    assert (found["z"].level, found["k"].level) == (0, 1)


BLOCKS = """\
index kind = 1..2
index person = levels
index item = levels
param p : simplex[kind]
param m[kind, kind] : unit
latent r[person] ~ Categorical(p)
latent c[item] ~ Categorical(p)
for each answer:
    input person : person
    input item : item
    observed y ~ Bernoulli(m[r[person], c[item]])
"""


def _all_meet(size: int) -> dict[str, list[Cell]]:
    pairs = [(a, b) for a in range(size) for b in range(size)]
    return {"person": [f"p{a}" for a, _ in pairs], "item": [f"i{b}" for _, b in pairs], "y": [1] * len(pairs)}


def test_blocks_of_many_are_refused_with_their_numbers() -> None:
    with pytest.raises(EmmError) as caught:
        take(BLOCKS, _all_meet(40))
    assert caught.value.code == "too-large"
    assert "takes a table over 41 of them (2,199,023,255,552 cells)" in caught.value.message


def test_a_path_of_ties_is_cheap() -> None:
    """Two hundred nodes, each tied to the next, take tables of two."""
    text = """
    index kind = 1..3
    index node = levels
    param p : simplex[kind]
    param b[kind, kind] : unit
    latent z[node] ~ Categorical(p)
    for each tie:
        input from : node
        input to : node
        observed y ~ Bernoulli(b[z[from], z[to]])
    """
    rng = np.random.default_rng(4)
    nodes = [f"n{k:03d}" for k in range(200)]
    seen = rng.integers(0, 2, 199)
    bound = take(dedent(text), {"from": list(nodes[:-1]), "to": list(nodes[1:]), "y": seen.tolist()})
    theta = random_theta(bound.problem.spaces, rng, bound.problem.initial())
    forward = theta["p"]
    for tie in seen:
        forward = (forward @ np.where(tie, theta["b"], 1 - theta["b"])) * theta["p"]
    assert bound.problem.expect(theta).loglik == pytest.approx(np.log(forward.sum()), rel=1e-12)


@pytest.mark.parametrize(
    "text",
    [
        """
        param p : simplex[two]
        param m[two, two] : unit
        latent c[item] ~ Categorical(p)
        for each person:
            weight w
            latent r ~ Categorical(p)
            for each answer:
                input item : item
                observed y ~ Bernoulli(m[r, c[item]])
        """,
        """
        param tau : positive
        param s : positive
        for each person:
            latent u ~ Normal(0, tau)
            for each answer:
                weight w
                latent v ~ Normal(0, tau)
                observed y ~ Normal(u + v, s)
        """,
    ],
    ids=["finite", "numbers"],
)
def test_units_that_count_twice_have_hidden_variables_of_their_own(text: str) -> None:
    columns: dict[str, list[Cell]] = {
        "person": ["a", "a", "b"], "w": [2, 2, 1], "item": ["i1", "i2", "i1"], "y": [1, 0, 1]
    }  # fmt: skip
    with pytest.raises(EmmError) as caught:
        take("index two = {u, v}\nindex item = {i1, i2}\n" + dedent(text), columns)
    assert caught.value.code == "weighted-crossing"
