"""Items under joint codes against items one by one: one model, one table, the same numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from emdsl.plan.nodes import Fused
from emdsl.plan.program import Program
from emdsl.request import FitRequest
from tests.laws.bound_models import Taken, random_theta, take, take_if_planned
from tests.laws.random_models import random_model
from tests.laws.tables import Cell
from tests.laws.test_pruning import close

ITEMS = """
index class = {k1, k2, k3}
index item = {a, b, c, d}
index level = {low, middle, high}
index bit = {no, yes}
param share : simplex[class]
param law[class, item] : simplex[level]
param other[class] : simplex[bit]
param hit[class] : unit
param deep[class, level] : simplex[bit]
for each row:
    input h : level
    latent z ~ Categorical(share)
    observed y[item] ~ Categorical(law[z, item])
    observed t ~ Categorical(other[z])
    observed s ~ Bernoulli(hit[z])
    observed u ~ Categorical(deep[z, h])
"""


def rows(count: int) -> dict[str, list[Cell]]:
    """Answers, some missing, some coarse."""
    rng = np.random.default_rng(0)
    levels: list[Cell] = ["low", "middle", "high", None, "low|high"]
    columns: dict[str, list[Cell]] = {"h": [levels[k] for k in rng.integers(3, size=count)]}
    for item in "abcd":
        columns[f"y_{item}"] = [levels[k] for k in rng.choice(5, p=[0.4, 0.2, 0.2, 0.1, 0.1], size=count)]
    bits: list[Cell] = ["no", "yes", None]
    columns["t"] = [bits[k] for k in rng.integers(3, size=count)]
    columns["s"] = [int(k) for k in rng.integers(2, size=count)]
    columns["u"] = [bits[k] for k in rng.integers(3, size=count)]
    return columns


def agree(taken: Taken, one: Program, other: Program, seed: int) -> None:
    """The same log-likelihood, statistics and first E-step of a start."""
    rng = np.random.default_rng(seed)
    theta = random_theta(taken.problem.spaces, rng, taken.problem.initial(), boundary=seed % 2 == 1)
    first, second = one.expect(theta), other.expect(theta)
    assert first[0] == pytest.approx(second[0], rel=1e-12, abs=1e-10), taken.compiled.text
    close(first[1], second[1], taken.compiled.text)
    potentials = {name: rng.normal(size=(size, taken.bound.levels[level].size)) for name, level, size in one.latents}
    multiplier = tuple(rng.uniform(0.1, 1.0, level.size) for level in taken.bound.levels)
    start = one.expect_random(theta, potentials, multiplier, rng)
    close(start, other.expect_random(theta, potentials, multiplier, rng), taken.compiled.text)


def program(taken: Taken, fuse: Any) -> Program:
    """The program of one plan."""
    return Program(taken.compiled.derivation, taken.bound, fuse=fuse)


@pytest.mark.parametrize("seed", range(4))
def test_all_tables_of_one_scope_share_codes(seed: int) -> None:
    """Items, other variables, those that look at an input too: missing and coarse cells are codes like others."""
    taken = take(ITEMS, rows(60))
    fused = program(taken, "always")
    (node,) = (node for node in fused.nodes if isinstance(node, Fused))
    assert {name for take in node.takes for name in take.pieces} >= {"y", "t", "u"}
    agree(taken, fused, program(taken, "never"), seed)


def test_it_is_done_where_it_pays() -> None:
    """Many rows of few-level items, not few rows."""
    many, few = take(ITEMS, rows(4000)), take(ITEMS, rows(500))
    assert any(codes is not None for codes in many.problem.program.passes.joint.values())
    assert all(codes is None for codes in few.problem.program.passes.joint.values())
    agree(many, many.problem.program, program(many, "never"), 0)
    said = "\n".join(many.compiled.check(rows(4000), FitRequest()))
    assert "6 items read under" in said
    assert "values that occur)" in said


@pytest.mark.parametrize("seed", range(40))
def test_random_graphs(seed: int) -> None:
    """Whatever shares its hidden axes, in nested plates and chains."""
    model = random_model(seed)
    taken = take_if_planned(model.text, model.columns)
    if taken is None:
        pytest.skip("no plan for it")
    fused = program(taken, "always")
    if all(codes is None for codes in fused.passes.joint.values()):
        pytest.skip("nothing to fuse")
    agree(taken, fused, program(taken, "never"), seed)
