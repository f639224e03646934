"""What must change nothing: the order of rows and groups, the number of blocks, names, copies against weights."""

from __future__ import annotations

import re
from textwrap import dedent
from typing import Any

import numpy as np
import pytest

from emdsl.plan import blocks
from tests.laws.bound_models import Array, Taken, random_theta, shipped, take, take_if_planned, take_shipped
from tests.laws.random_models import random_model
from tests.laws.tables import Cell

Table = dict[str, list[Cell]]


def both(text: str, first: Table, second: Table, seed: int) -> tuple[Taken, Taken, dict[str, Array]]:
    """One model on two tables, and a theta."""
    one = take(text, first)
    two = take(one.compiled, second)
    return one, two, random_theta(one.problem.spaces, np.random.default_rng(seed), one.problem.initial())


def same_step(one: Taken, two: Taken, theta: dict[str, Array], *, times: float = 1.0) -> None:
    """The same log-likelihood (`times` as high), score and M-step; Newton's method may stop elsewhere on its way."""
    first, second = one.problem.expect(theta), two.problem.expect(theta)
    assert second.loglik == pytest.approx(times * first.loglik, rel=1e-11, abs=1e-11)
    if not np.isfinite(first.loglik):
        return
    left, right = one.problem.gradient(theta, first.statistics), two.problem.gradient(theta, second.statistics)
    for space in one.problem.spaces:
        free = ~space.fixed
        scale = 1e-10 * (1 + np.abs(left[space.name][free]).max(initial=0.0))
        assert np.allclose(right[space.name][free], times * left[space.name][free], rtol=1e-9, atol=times * scale)
    left, right = one.problem.maximize(theta, first.statistics), two.problem.maximize(theta, second.statistics)
    scales = [space.name for space in one.problem.spaces if space.kind == "positive"]
    if any(np.min(side[name], initial=1.0) < 1e-6 for name in scales for side in (left, right)):
        # A scale has collapsed onto its data: what is left of it is rounding, a tiny number in one order and none in
        # another, where the old value stays.
        return
    newton = {
        name for update in one.problem.derivation.updates if update.rule == "newton" for name in update.parameters
    }
    closed = left.keys() - newton
    apart = [n for n in closed if not np.allclose(left[n], right[n], rtol=1e-6, atol=1e-8, equal_nan=True)]
    linear = {n for update in one.problem.derivation.updates if update.rule == "linear" for n in update.parameters}
    # What the data do not determine (an intercept and a slope at a single x) may end anywhere on a line of equals.
    assert set(apart) <= linear, apart
    if apart:
        assert one.value(left) == pytest.approx(one.value({**left, **{n: right[n] for n in linear}}), rel=1e-8)


def planned(seed: int) -> tuple[str, Table]:
    """A random model that the engine has a plan for."""
    model = random_model(seed)
    if take_if_planned(model.text, model.columns) is None:
        pytest.skip("no plan yet")
    return model.text, model.columns


def rows_of(columns: Table) -> int:
    """The number of rows."""
    return len(next(iter(columns.values())))


def picked(columns: Table, rows: Any) -> Table:
    """Some rows of a table, in this order."""
    return {name: [column[row] for row in rows] for name, column in columns.items()}


@pytest.mark.parametrize("seed", range(2000, 2015))
def test_order_of_rows(seed: int) -> None:
    """Rows in any order; where there is a chain, whole outermost units in any order."""
    text, columns = planned(seed)
    rng = np.random.default_rng(seed)
    order: Any = rng.permutation(rows_of(columns))
    if "in sequence" in text:
        if "group" not in columns:
            pytest.skip("a single chain has one order")
        if "for each group in sequence" in text:
            pytest.skip("the groups are a chain")
        names = list(dict.fromkeys(columns["group"]))
        rank = dict(zip(names, rng.permutation(len(names)), strict=True))
        order = sorted(range(rows_of(columns)), key=lambda row: rank[columns["group"][row]])
    same_step(*both(text, columns, picked(columns, order), seed))


def copied(columns: Table, times: int) -> Table:
    """The table several times below itself, outermost units renamed so that they stay apart."""
    found: Table = {name: [] for name in columns}
    for copy in range(times):
        for name, column in columns.items():
            found[name] += [f"{cell}.{copy}" for cell in column] if name == "group" else column
    return found


def smallest_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many blocks as there can be."""
    monkeypatch.setattr(blocks, "BLOCK_NUMBERS", 1)
    monkeypatch.setattr(blocks, "SCAN_ROWS", 1)


@pytest.mark.parametrize("seed", range(3000, 3018))
def test_number_of_blocks(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundreds of copies of a table in blocks as small as they get: each copy counts the same."""
    text, columns = planned(seed)
    if ("for each row in sequence" in text and "group" not in columns) or "for each group in sequence" in text:
        pytest.skip("a chain over the outermost units is one block")
    smallest_blocks(monkeypatch)
    times = 260 // rows_of(columns) + 1
    one, many, theta = both(text, columns, copied(columns, times), seed)
    assert len(many.problem.program.blocks) > 2
    same_step(one, many, theta, times=times)


@pytest.mark.parametrize("name", shipped())
def test_shipped_model_in_small_blocks(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    one = take_shipped(name)
    smallest_blocks(monkeypatch)
    many = take_shipped(name)
    assert len(many.problem.program.blocks) >= len(one.problem.program.blocks)
    theta = random_theta(one.problem.spaces, np.random.default_rng(1), one.problem.initial())
    same_step(one, many, theta)


@pytest.mark.parametrize("seed", range(4000, 4015))
def test_weight_is_a_number_of_copies(seed: int) -> None:
    """An outermost unit of weight 3 is three units."""
    text, columns = planned(seed)
    plate = "group" if "group" in columns else "row"
    if f"for each {plate} in sequence" in text:
        pytest.skip("a chain cannot be weighted")
    weighted = text.replace(f"for each {plate}:", f"for each {plate}:\n    weight copies", 1)
    if re.search(rf"for each {plate}:\n    weight w", text):
        pytest.skip("it has a weight already")
    rng = np.random.default_rng(seed)
    keys = columns["group"] if plate == "group" else list(range(rows_of(columns)))
    number = {key: int(rng.integers(0, 4)) for key in keys}
    number[keys[0]] = 2
    copies: Table = {name: [] for name in columns}
    for copy in range(3):
        rows = [row for row in range(rows_of(columns)) if copy < number[keys[row]]]
        for name, column in picked(columns, rows).items():
            copies[name] += [f"{cell}.{copy}" for cell in column] if name == "group" else column
    one = take(weighted, {**columns, "copies": [float(number[key]) for key in keys]})
    two = take(text, copies)
    theta = random_theta(one.problem.spaces, np.random.default_rng(seed), one.problem.initial())
    same_step(one, two, theta)


# --- names ------------------------------------------------------------------------------------------------------------

MIXTURES = (
    ("univariate_mixture", "component"), ("poisson_mixture", "component"), ("gaussian_mixture", "cluster"),
    ("regression_mixture", "curve"), ("regression_mixture_shared_slope", "curve"), ("earthquakes", "state"),
    ("earthquakes_stationary", "state"), ("ragged_chains", "state"), ("subject_classes", "class"),
    ("mixture_of_experts", "class"),
)  # fmt: skip


def relabelled(bound: Taken, theta: dict[str, Array], index_set: str, order: list[int]) -> dict[str, Array]:
    """Theta with the labels of an index set exchanged; a baseline category is subtracted again."""
    found = {}
    for parameter in bound.compiled.model.parameters:
        value = theta[parameter.name]
        for axis, name in enumerate(parameter.array_axes):
            if name == index_set:
                value = np.take(value, order, axis=axis)
        if parameter.domain.kind == "contrast" and parameter.domain.axes == (index_set,):
            value = value - value[..., :1]
        found[parameter.name] = value
    return found


@pytest.mark.parametrize(("name", "index_set"), MIXTURES)
def test_labels_of_hidden_values_are_names(name: str, index_set: str) -> None:
    bound = take_shipped(name, set={"K": 3})
    order = [2, 0, 1]
    theta = random_theta(bound.problem.spaces, np.random.default_rng(3), bound.problem.initial())
    other = relabelled(bound, theta, index_set, order)
    first, second = bound.problem.expect(theta), bound.problem.expect(other)
    assert second.loglik == pytest.approx(first.loglik, rel=1e-12)
    stepped = relabelled(bound, bound.problem.maximize(theta, first.statistics), index_set, order)
    for parameter, value in bound.problem.maximize(other, second.statistics).items():
        assert np.allclose(value, stepped[parameter], rtol=1e-6, atol=1e-8), parameter


#: Names that the generated code might want for itself.
AWKWARD = (
    "c", "t", "v", "p", "b", "S", "S0", "R0", "w", "k", "u", "m", "n0", "a0", "s0", "theta", "np", "exp_",
    "log_", "lgamma", "digamma", "centre", "scale", "code", "rows", "affine", "take", "weighted", "self",
    "lambda_", "E", "I", "pi_", "gamma", "beta", "zeta", "Symbol", "True_", "μ", "x_1", "eta_y", "update_t",
)  # fmt: skip


# Places three apart, and words five apart: every name gets its turn.
@pytest.mark.parametrize("position", range(0, len(AWKWARD), 3))
def test_names_mean_nothing(position: int) -> None:
    """Parameters and variables of any name: the same numbers."""
    plain = dedent("""
        index two = {u, v}
        param SHARE : simplex[two]
        param MEAN[two] : real
        param SD : positive
        param RATE[two] : positive
        for each row:
            input COV : real
            latent HIDDEN ~ Categorical(SHARE)
            observed SEEN ~ Normal(MEAN[HIDDEN] + COV*MEAN[HIDDEN], SD)
            observed COUNT ~ Poisson(RATE[HIDDEN])
            observed LIFE ~ Weibull(SD, RATE[HIDDEN])
    """)
    words = ("SHARE", "MEAN", "SD", "RATE", "COV", "HIDDEN", "SEEN", "COUNT", "LIFE")
    names = {word: AWKWARD[(position + 5 * place) % len(AWKWARD)] for place, word in enumerate(words)}
    text = re.sub("|".join(words), lambda match: names[match[0]], plain)
    columns: dict[str, list[Cell]] = {
        "COV": [0.5, -1.0, 2.0], "SEEN": [1.0, None, -0.5], "COUNT": [0, 3, 1], "LIFE": [0.3, 1.2, 2.0],
    }  # fmt: skip
    one, two = take(plain, columns), take(text, {names[word]: column for word, column in columns.items()})
    theta = random_theta(one.problem.spaces, np.random.default_rng(1), one.problem.initial())
    renamed = {names[word]: value for word, value in theta.items()}
    first, second = one.problem.expect(theta), two.problem.expect(renamed)
    assert second.loglik == first.loglik
    step = two.problem.maximize(renamed, second.statistics)
    for word, value in one.problem.maximize(theta, first.statistics).items():
        assert np.allclose(step[names[word]], value, rtol=1e-12), word
