"""Normal laws of vectors with hidden numbers in them: climbing, twins that say the same in another way, boundaries."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import emdsl
from tests.laws.bound_models import random_theta, take
from tests.laws.hidden_number_models import IntegralCase
from tests.laws.hidden_vector_models import (
    GAPS,
    GROWTH,
    KNOWN_ERRORS,
    LEVELS,
    STUDIES,
    VECTORS_OF_NUMBERS,
    every,
    holes,
    reals,
    same,
    seen_normal,
    stacked,
    vectors,
)
from tests.laws.hidden_vector_ties import NESTED_VECTORS, STATE_SPACE, TIED_VECTORS

CASES = (*VECTORS_OF_NUMBERS, *TIED_VECTORS)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_em_never_falls(case: IntegralCase) -> None:
    problem = take(case.text, case.table).problem
    theta = random_theta(problem.spaces, np.random.default_rng(8), problem.initial())
    found = problem.expect(theta)
    for _ in range(4):
        theta = problem.maximize(theta, found.statistics)
        later = problem.expect(theta)
        assert later.loglik >= found.loglik - 1e-9 * abs(found.loglik)
        found = later


# --- twins ------------------------------------------------------------------------------------------------------------

_DATA = vectors({"study": list("aaabbbccc")}, 9)
_CHAIN = vectors({"g": list("aaaabbbbb"), "t": list(range(9))}, 9)
TWINS = {
    "studies": (STUDIES, "S", _DATA),
    "studies, missing cells": (STUDIES, "S", holes(_DATA, GAPS)),
    "a hidden vector": (STUDIES, "T", holes(_DATA, GAPS)),
    "a vector around a vector": (NESTED_VECTORS, "U", vectors({"g": list("aaabbbbcc"), "h": list("kklkkmmkk")}, 9)),
    "a chain": (STATE_SPACE, "Q", holes(_CHAIN, GAPS)),
}


@pytest.mark.parametrize("name", TWINS)
def test_a_covariance_that_is_written_out_is_that_covariance(name: str) -> None:
    """Its closed update by moments of the residual, and Newton's method at points of the posterior."""
    text, matrix, table = TWINS[name]
    written = f"let F[i in k, j in k] = {matrix}[i, j]*exp(0*mu[i])\nfor each"
    other = text.replace("for each", written, 1).replace(f", {matrix})", ", F)")
    assert other.count("F)") == 1
    one, two = take(text, table).problem, take(other, table).problem
    theta = random_theta(one.spaces, np.random.default_rng(3), one.initial())
    first, second = one.expect(theta), two.expect(theta)
    assert first.loglik == pytest.approx(second.loglik, rel=1e-12)
    left, right = one.gradient(theta, first.statistics), two.gradient(theta, second.statistics)
    for key in theta:
        assert left[key] == pytest.approx(right[key], rel=1e-9, abs=1e-10), key
    rules = {name: [u.rule for u in p.derivation.updates if matrix in u.parameters] for name, p in
             (("moments", one), ("points", two))}  # fmt: skip
    assert rules == {"moments": ["matrix"], "points": ["newton"]}


def test_numbers_one_by_one_are_a_vector_without_correlation() -> None:
    plain = """\
index k = columns(y1, y2)
param mu[k] : real
param t[k] : positive
param s[k] : positive
for each g:
    latent b[k] ~ Normal(mu[k], t[k])
    for each row:
        input x : real
        observed y[k] ~ Normal(b[k]*x, s[k])
"""
    as_vectors = plain.replace(
        "for each g",
        """\
let T[i in k, j in k] = where(i == j, t[i]^2, 0)
let S[i in k, j in k] = where(i == j, s[i]^2, 0)
for each g""",
    ).replace("b[k] ~ Normal(mu[k], t[k])", "b[k] ~ MVNormal(mu, T)")
    as_vectors = as_vectors.replace(
        "observed y[k] ~ Normal(b[k]*x, s[k])", "let m[i in k] = b[i]*x\n        observed y[k] ~ MVNormal(m, S)"
    )  # fmt: skip
    table = holes(vectors({"g": list("aaabbbcc"), "x": reals(8)}, 8), GAPS)
    one, two = take(plain, table).problem, take(as_vectors, table).problem
    start = random_theta(one.spaces, np.random.default_rng(3), one.initial())
    for scale in (1.0, 1e-6, 0.0):  # variances of 0 are ordinary
        theta = {**start, "t": scale * start["t"]}
        assert two.expect(theta).loglik == pytest.approx(one.expect(theta).loglik, rel=1e-11), scale
        if scale:
            continue
        left = one.gradient(theta, one.expect(theta).statistics)
        right = two.gradient(theta, two.expect(theta).statistics)
        for name in ("mu", "s"):
            assert left[name] == pytest.approx(right[name], rel=1e-9, abs=1e-9)


# --- boundaries -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("small", [0.0, 1e-9, 1e-4])
def test_evidence_where_a_structured_covariance_vanishes(small: float) -> None:
    case = next(item for item in VECTORS_OF_NUMBERS if item.text == GROWTH)
    problem = take(case.text, case.table).problem
    theta = random_theta(problem.spaces, np.random.default_rng(2), problem.initial())
    theta = {**theta, "s0": np.asarray(small), "s1": np.asarray(small / 2)}
    assert problem.expect(theta).loglik == pytest.approx(case.marginal(theta, case.table), rel=1e-10)


def test_studies_that_do_not_differ_are_at_the_boundary() -> None:
    """Effects that are all alike: the covariance between studies is 0, the mean that of one normal law."""
    errors = {"v1": [0.5] * 8, "v2": [0.3] * 8, "c": [0.1] * 8}
    y = {"y1": [1.0, 1.1, 0.9, 1.0, 1.05, 0.95, 1.0, 1.0], "y2": [2.0, 1.9, 2.1, 2.0, 1.95, 2.05, 2.0, 2.0]}
    found = emdsl.loads(KNOWN_ERRORS).fit({**errors, **y}, starts=2).to_dict()
    assert found["converged"]
    assert {name.split(".")[0] for name in found["boundary"]} == {"T"}
    assert found["params"]["mu"] == pytest.approx({"y1": 1.0, "y2": 2.0}, abs=1e-9)
    law = np.array([[0.5, 0.1], [0.1, 0.3]])
    exact = sum(seen_normal(np.array(row), np.array([1.0, 2.0]), law) for row in zip(*y.values(), strict=True))
    assert found["loglik"] == pytest.approx(exact, abs=1e-8)


# --- predictions ------------------------------------------------------------------------------------------------------


def test_missing_cells_are_predicted_by_everything_that_is_seen() -> None:
    """Other rows of the study, and the other column of the same row: against the dense conditional law."""
    p: dict[str, Any] = {
        "mu": {"y1": 1.0, "y2": 2.0},
        "T": {"y1": {"y1": 1.0, "y2": 0.4}, "y2": {"y1": 0.4, "y2": 0.8}},
        "S": {"y1": {"y1": 0.5, "y2": 0.3}, "y2": {"y1": 0.3, "y2": 0.4}},
    }  # fmt: skip
    names = ("y1", "y2")
    mean, between, within = np.array([1.0, 2.0]), np.array([[1.0, 0.4], [0.4, 0.8]]), np.array([[0.5, 0.3], [0.3, 0.4]])
    data = {name: [np.nan if cell is None else cell for cell in cells] for name, cells in holes(_DATA, GAPS).items()}
    found = emdsl.loads(STUDIES).fit(data, init=p, max_iter=0, se="none", starts=1).predict(data)
    for study in range(3):
        rows = list(range(3 * study, 3 * study + 3))
        y = stacked(holes(_DATA, GAPS), names, rows)
        covariance, shown = same(between, 3) + every(within, 3), ~np.isnan(y)
        weights = covariance[:, shown] @ np.linalg.inv(covariance[np.ix_(shown, shown)])
        middle = np.tile(mean, 3) + weights @ (y - np.tile(mean, 3))[shown]
        rest = covariance - weights @ covariance[shown]
        for place in np.flatnonzero(~shown):
            row, name = rows[place // 2], f"y[{names[place % 2]}]"
            assert found[name][row] == pytest.approx(middle[place], abs=1e-9)
            wide = (found[f"high({name})"][row] - found[f"low({name})"][row]) / (2 * 1.959963984540054)
            assert wide == pytest.approx(np.sqrt(rest[place, place]), abs=1e-9)


def test_three_levels_are_written_down() -> None:
    """The derivation names the closed updates, and the expectation in those that are climbed."""
    text = str(emdsl.loads(LEVELS).derive())
    assert "S = R/N" in text and "dQ/dm = E[C^-1*r]" in text


# --- what stands in a formula -----------------------------------------------------------------------------------------


def test_a_softmax_in_a_mean_is_written_out() -> None:
    text = """\
index k = {y1, y2}
param e[k] : real
param S : covariance[k]
for each row:
    let m[i in k] = log(softmax(j in k: e[j])[i])
    observed y[k] ~ MVNormal(m, S)
"""
    table = vectors({}, 5)
    problem = take(text, table).problem
    theta = random_theta(problem.spaces, np.random.default_rng(4), problem.initial())
    mean = theta["e"] - np.logaddexp(*theta["e"])
    y = np.array([table[name] for name in ("y1", "y2")], dtype=float).T
    exact = sum(seen_normal(row, mean, theta["S"]) for row in y)
    assert problem.expect(theta).loglik == pytest.approx(exact, rel=1e-12)
    with pytest.raises(emdsl.EmmError) as raised:
        emdsl.loads(text.replace("{y1, y2}", "columns(y1, y2)")).fit(table)
    assert raised.value.code == "written-labels"


def test_a_prior_on_a_covariance_beside_a_formula_keeps_the_data() -> None:
    """The update of the covariance must climb what the data say of it too."""
    text = """\
index k = columns(y1, y2)
const R[k, k] = [[1, 0], [0, 1]]
param b[k] : real
param S : covariance[k] ~ InverseWishart(5, R)
for each row:
    input x : real
    let m[i in k] = b[i]*x
    observed y[k] ~ MVNormal(m, S)
"""
    taken = take(text, vectors({"x": reals(7)}, 7))
    theta = random_theta(taken.problem.spaces, np.random.default_rng(4), taken.problem.initial())
    value = taken.value(theta)
    for _ in range(3):
        theta = taken.problem.maximize(theta, taken.problem.expect(theta).statistics)
        assert taken.value(theta) >= value - 1e-9
        value = taken.value(theta)


OPEN_COVARIATE = """\
index k = columns(y1, y2)
param a[k] : real
param c : real
param S : covariance[k]
for each row:
    observed x ~ Normal(c, 1)
    let m[i in k] = a[i]*x
    observed y[k] ~ MVNormal(m, S)
"""
LAWS_BY_ELEMENT = """\
index k = columns(y1, y2)
index g = levels
param mu[g] : real
param t : positive
let C[i in k, j in k] = where(i == j, t^2, t^2/2)
let m[h in g, i in k] = mu[h]
latent u[g, k] ~ MVNormal(m[g], C)
for each row:
    input g : g
    observed y[k] ~ Normal(u[g, k], 1)
"""


@pytest.mark.parametrize(
    ("text", "table", "said"),
    [
        (OPEN_COVARIATE, vectors({"x": [0.5, None, 1.0]}, 3), "looks at open cells of `x`"),
        (LAWS_BY_ELEMENT, vectors({"g": list("aab")}, 3), "differ by more than their values"),
    ],
)
def test_what_has_no_plan_says_so(text: str, table: Any, said: str) -> None:
    with pytest.raises(emdsl.EmmError) as raised:
        take(text, table)
    assert raised.value.code == "not-supported-yet" and said in raised.value.message and raised.value.help
