"""Plates three and four deep: against the enumeration of all hidden states, and what must change nothing."""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np
import pytest

from emdsl.plan import blocks
from tests.laws.agreement import check_agreement
from tests.laws.bound_models import Taken, random_theta, take, take_if_planned
from tests.laws.nested_models import NAMES, nested_model, renamed, reordered
from tests.laws.random_parts import RandomModel
from tests.laws.test_invariance import same_step, smallest_blocks

#: How many models the default suite looks at, and how many more the slow one.
GRAPHS, MORE = 80, 700

seeds = pytest.mark.parametrize(
    "seed", [pytest.param(seed, marks=[pytest.mark.slow] if seed >= GRAPHS else []) for seed in range(GRAPHS + MORE)]
)


def planned(seed: int) -> tuple[RandomModel, Taken]:
    """A model of the generator that the engine has a plan for."""
    model = nested_model(seed)
    if model.text.rstrip().endswith(":"):
        pytest.skip("the generator drew plates with nothing in them")
    bound = take_if_planned(model.text, model.columns)
    if bound is None:
        pytest.skip("no plan yet")
    return model, bound


def test_the_generator_reaches_what_it_is_for() -> None:
    models = [nested_model(seed) for seed in range(60)]
    text = "".join(model.text for model in models)
    for word in ("for each region", "over wave:", "over wave in sequence", "in sequence by school_number", "Markov"):
        assert word in text, word
    assert any(len(re.findall("weight", model.text)) >= 2 for model in models)
    assert any(len(re.findall("latent", model.text)) >= 4 for model in models)
    apart = [model for model in models if not _together(model)]
    assert len(apart) > 20
    assert sum(take_if_planned(model.text, model.columns) is not None for model in models) >= 55


def _together(model: RandomModel) -> bool:
    outer = next(name for name in NAMES if name in model.columns)
    column = model.columns[outer]
    return sum(a != b for a, b in pairwise(column)) == len(set(column)) - 1


@seeds
def test_nested_model(seed: int) -> None:
    """Everything about one model in one test, for the derivation is what takes the time."""
    model, bound = planned(seed)
    rng = np.random.default_rng(seed)
    check_agreement(bound, model.columns, rng)
    check_agreement(bound, model.columns, rng, boundary=True)
    theta = random_theta(bound.problem.spaces, rng, bound.problem.initial())
    size = len(next(iter(model.columns.values())))
    # A chain has a column that orders it, so that nothing hangs on the order of rows.
    shuffled = take(bound.compiled, reordered(model.columns, rng.permutation(size).tolist()))
    same_step(bound, shuffled, theta)
    same_step(bound, take(bound.compiled, renamed(model.columns)), theta)


@pytest.mark.parametrize("seed", range(1000, 1015))
def test_size_of_blocks(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model, bound = planned(seed)
    smallest_blocks(monkeypatch)
    monkeypatch.setattr(blocks, "FEWEST_ROWS", 1)
    cut = take(bound.compiled, model.columns)
    outer = next(name for name in NAMES if name in model.columns)
    assert len(cut.problem.program.blocks) == len(set(model.columns[outer]))
    same_step(bound, cut, random_theta(bound.problem.spaces, np.random.default_rng(seed), bound.problem.initial()))


@pytest.mark.parametrize("seed", range(2000, 2020))
def test_marginals_sum_to_one(seed: int) -> None:
    """The posterior probabilities of every hidden variable, unit by unit, also where nothing was seen."""
    _, bound = planned(seed)
    theta = random_theta(bound.problem.spaces, np.random.default_rng(seed), bound.problem.initial())
    if not np.isfinite(bound.problem.expect(theta).loglik):
        pytest.skip("impossible data")
    posterior = bound.compiled.posterior(bound.bound, theta)
    assert posterior.marginals
    for marginal in posterior.marginals:
        assert np.allclose(marginal.probabilities.sum(axis=0), 1.0, rtol=0, atol=1e-12)
        assert (marginal.probabilities >= 0).all()


@pytest.mark.parametrize("seed", range(3000, 3060))
def test_equal_first_and_after_are_a_plate(seed: int) -> None:
    """A hidden chain whose laws are one law without `prev` is no chain: its units are exchangeable."""
    text, columns = nested_model(seed).text, nested_model(seed).columns
    found = re.search(r"latent (z\d+) ~ (?:Markov\((start\d+), \w+\)|Categorical\((start.*)\) first, .* after)", text)
    if found is None or text.replace(found[0], "").count("prev"):
        pytest.skip("no hidden chain, or something else looks back along it")
    name, law = found[1], found[2] or found[3]
    chain = text.replace(found[0], f"latent {name} ~ Categorical({law}) first, Categorical({law}) after")
    plate = re.sub(r" in sequence(?: by \w+)?", "", text).replace(found[0], f"latent {name} ~ Categorical({law})")
    one, two = take(chain, columns), take(plate, columns)
    theta = random_theta(one.problem.spaces, np.random.default_rng(seed), one.problem.initial())
    same_step(one, two, theta)
