"""Lists of possible states against tables of all of them: one model, one table, the same numbers."""

from __future__ import annotations

import tracemalloc
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emdsl.data.bound import Bound
from emdsl.ir.derivation import Derivation
from emdsl.plan.posterior import PosteriorProgram
from emdsl.plan.problem import BoundProblem
from emdsl.plan.program import Program
from emdsl.plan.unit_scores import unit_gradients
from emdsl.request import FitRequest
from tests.laws.agreement import check_agreement
from tests.laws.bound_models import Taken, random_theta, take, take_if_planned
from tests.laws.pruned_models import pruned_model
from tests.laws.random_models import random_model

#: How many random models the default suite looks at, and how many more the slow one.
MODELS, MORE = 60, 600

seeds = pytest.mark.parametrize(
    "seed", [pytest.param(seed, marks=[pytest.mark.slow] if seed >= MODELS else []) for seed in range(MODELS + MORE)]
)


def program(taken: Taken, prune: Any, batch: int | None = None) -> Program:
    """The program of one plan."""
    return Program(taken.compiled.derivation, taken.bound, batch, prune)


def close(one: Mapping[str, Any], other: Mapping[str, Any], text: str) -> None:
    """The same expected statistics, to 1e-9 of the largest."""
    assert one.keys() == other.keys()
    for name, value in one.items():
        scale = max(1.0, float(np.abs(other[name]).max(initial=0.0)))
        np.testing.assert_allclose(value, other[name], rtol=1e-9, atol=1e-9 * scale, err_msg=f"{name} of\n{text}")


def check(taken: Taken, seed: int) -> None:
    """Log-likelihood, statistics, the first E-step of a start and posterior of both plans; the enumeration, too."""
    text, rng = taken.compiled.text, np.random.default_rng(seed)
    listed, dense = program(taken, "always"), program(taken, "never")
    assert listed.prunings and not dense.prunings, text
    theta = random_theta(taken.problem.spaces, rng, taken.problem.initial())
    one, other = listed.expect(theta), dense.expect(theta)
    assert one[0] == pytest.approx(other[0], rel=1e-10, abs=1e-10), text
    close(one[1], other[1], text)
    potentials = {name: rng.normal(size=(size, taken.bound.levels[level].size)) for name, level, size in listed.latents}
    multiplier = tuple(rng.uniform(0.1, 1.0, level.size) for level in taken.bound.levels)
    start = listed.expect_random(theta, potentials, multiplier, rng)
    close(start, dense.expect_random(theta, potentials, multiplier, rng), text)
    close(marginals(taken, "always", theta), marginals(taken, "never", theta), text)


def marginals(taken: Taken, prune: Any, theta: Any) -> dict[str, Any]:
    """Posterior probabilities by hidden variable."""
    found = PosteriorProgram(taken.compiled.derivation, taken.bound, prune=prune).run(theta)
    return {item.name: np.nan_to_num(item.probabilities, nan=-1.0) for item in found.marginals}


@seeds
def test_listed_states_are_the_table(seed: int) -> None:
    """Models whose observations leave few states."""
    model = pruned_model(seed)
    taken = take(model.text, model.columns)
    check(taken, seed)
    if seed < 20:
        forced = Taken(taken.compiled, taken.bound, Forced(taken.compiled.derivation, taken.bound))
        assert forced.problem.program.prunings
        check_agreement(forced, model.columns, np.random.default_rng(seed))


class Forced(BoundProblem):
    """A problem whose program lists states wherever it can."""

    def __init__(self, derivation: Derivation, bound: Bound) -> None:
        super().__init__(derivation, bound)
        self.program = Program(derivation, bound, None, "always")
        self._data = {name: item.data for name, item in self.program.pieces.items()}
        self.assemblies = self._assemblies()


@pytest.mark.parametrize("seed", [seed for seed in range(200) if "HardyWeinberg" in random_model(seed).text])
def test_random_graphs(seed: int) -> None:
    """Genotypes in nested plates and chains: wherever a list of states can be made."""
    model = random_model(seed)
    taken = take_if_planned(model.text, model.columns)
    if taken is None:
        pytest.skip("no plan for it")
    if not program(taken, "always").prunings:
        pytest.skip("nothing to list")
    check(taken, seed)


def test_observations_of_inner_units() -> None:
    """Rows inside a unit together say which of its states are possible; those of weight 0 say nothing."""
    text = """
index hap = {a, b, c, d}
index half = {hap_low, hap_high}
const carries[hap] = [0, 1, 1, 2]
param p : simplex[hap]
for each person:
    latent m ~ Categorical(p)
    latent f ~ Categorical(p)
    for each visit:
        weight w
        observed dose = carries[m] + carries[f]
        observed side : half = case m:
            a | b -> hap_low
            c | d -> hap_high
"""
    columns = {
        "person": ["1", "1", "2", "2", "3", "3", "4"],
        "w": [1.0, 2.0, 1.0, 0.0, 1.0, 1.0, 3.0],
        "dose": [2, 2, 1, 4, None, 3, None],
        "side": ["hap_low", None, "hap_low", "hap_high", "hap_high", "hap_high", None],
    }
    check(take(text, columns), 0)  # type: ignore[arg-type]


def test_impossible_units() -> None:
    """A unit without a possible state has no likelihood, and its posterior is empty, whatever the plan."""
    text = """
index hap = {a, b}
const carries[hap] = [0, 1]
param p : simplex[hap]
for each person:
    latent m ~ Categorical(p)
    latent f ~ Categorical(p)
    observed dose = carries[m] + carries[f]
"""
    taken = take(text, {"dose": [0, 1, 5]})
    theta = taken.problem.initial()
    for plan in ("always", "never"):
        loglik, statistics = program(taken, plan).expect(theta)
        assert loglik == -np.inf
        assert all(np.isfinite(value).all() for value in statistics.values())
    close(marginals(taken, "always", theta), marginals(taken, "never", theta), text)


HAPLOTYPES = """
index haplotype = 1..{states}
index locus = columns({loci})
const carries[haplotype, locus]
param p : simplex[haplotype]
for each person:
    latent   mother ~ Categorical(p)
    latent   father ~ Categorical(p)
    observed dose[locus] = carries[mother, locus] + carries[father, locus]
"""


def haplotypes(loci: int, people: int) -> tuple[str, dict[str, list[Any]], list[list[Any]]]:
    """Haplotypes of two-allele loci: the model, doses of people with some missing cells, and the long table of
    `carries`.
    """
    rng = np.random.default_rng(1)
    alleles = np.array(list(np.ndindex(*[2] * loci)))
    pool = rng.choice(len(alleles), size=min(30, len(alleles)), replace=False)
    share = rng.dirichlet(np.ones(len(pool)))
    mothers, fathers = (alleles[pool[rng.choice(len(pool), p=share, size=people)]] for _ in range(2))
    dose = mothers + fathers
    seen = rng.random((people, loci)) > 0.03
    names = [f"snp{k + 1}" for k in range(loci)]
    columns = {
        name: [int(d) if s else None for d, s in zip(dose[:, k], seen[:, k], strict=True)]
        for k, name in enumerate(names)
    }
    carries = [[h + 1, names[k], int(alleles[h, k])] for h in range(len(alleles)) for k in range(loci)]
    return HAPLOTYPES.format(states=len(alleles), loci=", ".join(names)), columns, carries


def constant_file(folder: Path, carries: list[list[Any]]) -> dict[str, str]:
    """The table as `--const` takes it."""
    file = folder / "carries.csv"
    lines = ["haplotype,locus,value", *(",".join(map(str, row)) for row in carries)]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return {"carries": str(file)}


def test_four_loci(tmp_path: Path) -> None:
    """Chosen by structure, and the same as the table of all pairs."""
    text, columns, carries = haplotypes(4, 200)
    taken = take(text, columns, const=constant_file(tmp_path, carries))
    assert taken.problem.program.prunings
    check(taken, 0)
    states = taken.problem.program.prunings[0].possible
    assert states.total < 200 * 20
    (item,) = program(taken, "never").maps.values()
    possible = np.sum([item.table[..., element, code] for element, code in enumerate(item.code)], axis=0)
    np.testing.assert_array_equal((possible == 0).sum(axis=(0, 1)), np.diff(states.starts)[states.pattern])


def test_ten_loci(tmp_path: Path) -> None:
    """A table of a million cells a person is never made; what a check says of it."""
    text, columns, carries = haplotypes(10, 500)
    const = constant_file(tmp_path, carries)
    tracemalloc.start()
    taken = take(text, columns, const=const)
    taken.problem.expect(taken.problem.initial())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6
    said = "\n".join(taken.compiled.check(columns, FitRequest(const=const)))
    total, most = taken.problem.program.prunings[0].possible.total, taken.problem.program.prunings[0].possible.most
    assert f"{total} possible states in all (at most {most} in one) in place of 1048576 cells each" in said
    fit = taken.compiled.fit(columns, FitRequest(const=const, starts=5))
    assert fit.state.converged


def test_several_starts_at_once() -> None:
    """In a batch the axis of starts stays."""
    model = pruned_model(3)
    taken = take(model.text, model.columns)
    starts = [random_theta(taken.problem.spaces, np.random.default_rng(k), taken.problem.initial()) for k in range(3)]
    together = {name: np.stack([theta[name] for theta in starts]) for name in starts[0]}
    batch = program(taken, "always", 3).expect(together)
    for number, theta in enumerate(starts):
        alone = program(taken, "never").expect(theta)
        assert batch[0][number] == pytest.approx(alone[0], rel=1e-10)
        own = {name: value[number] for name, value in batch[1].items() if name in with_starts(taken)}
        close(own, {name: alone[1][name] for name in own}, taken.compiled.text)


def with_starts(taken: Taken) -> set[str]:
    """Pieces whose statistics have an axis of starts in a batch."""
    return {name for name, item in program(taken, "always", 3).pieces.items() if item.axes.hidden[:1] == ("start",)}


@pytest.mark.parametrize("seed", range(4))
def test_scores_unit_by_unit(seed: int) -> None:
    """Blocks of one unit read the lists of their units: the scores add up to that of the whole."""
    model = pruned_model(seed)
    taken = take(model.text, model.columns)
    problem = Forced(taken.compiled.derivation, taken.bound)
    theta = random_theta(problem.spaces, np.random.default_rng(seed), problem.initial())
    together = problem.gradient(theta, problem.expect(theta).statistics)
    scores, weights = unit_gradients(problem, theta)
    for name, total in together.items():
        np.testing.assert_allclose(np.tensordot(weights, scores[name], 1), total, rtol=1e-9, atol=1e-9)


def test_rows_in_another_order() -> None:
    """The lists follow their units."""
    model = pruned_model(5)
    order = np.random.default_rng(0).permutation(len(next(iter(model.columns.values()))))
    moved = replace(model, columns={name: [cells[k] for k in order] for name, cells in model.columns.items()})
    one, other = take(model.text, model.columns), take(moved.text, moved.columns)
    theta = random_theta(one.problem.spaces, np.random.default_rng(0), one.problem.initial())
    first, second = (program(taken, "always").expect(theta)[0] for taken in (one, other))
    assert first == pytest.approx(second, rel=1e-12)
