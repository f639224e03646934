"""Continuous hidden variables: evidence against integration by hand, scores, and what must change nothing."""

from __future__ import annotations

import numpy as np
import pytest

from tests.laws.agreement import check_score
from tests.laws.bound_models import Array, Taken, compiled, random_theta, take
from tests.laws.hidden_bounded_models import BOUNDED
from tests.laws.hidden_normal_models import INTERCEPTS, NORMAL
from tests.laws.hidden_number_models import IntegralCase, Table
from tests.laws.hidden_one_number_models import ONE_NUMBER
from tests.laws.hidden_share_models import SHARES
from tests.laws.hidden_tied_models import TIED
from tests.laws.hidden_vector_models import VECTORS_OF_NUMBERS
from tests.laws.hidden_vector_ties import TIED_VECTORS
from tests.laws.test_invariance import picked, rows_of, same_step

INTEGRAL_CASES = (*NORMAL, *TIED, *VECTORS_OF_NUMBERS, *TIED_VECTORS, *ONE_NUMBER, *BOUNDED, *SHARES)
each_case = pytest.mark.parametrize("case", INTEGRAL_CASES, ids=lambda case: case.name)


def bound_at(case: IntegralCase, seed: int) -> tuple[Taken, dict[str, Array]]:
    """A case on its table, and a theta."""
    bound = take(case.text, case.table)
    return bound, random_theta(bound.problem.spaces, np.random.default_rng(seed), bound.problem.initial())


@each_case
def test_the_method_is_the_one_that_fits(case: IntegralCase) -> None:
    assert {integral.method for integral in compiled(case.text).derivation.integrals} == {case.method}


@each_case
def test_evidence_is_the_integral(case: IntegralCase) -> None:
    for seed in range(3):
        bound, theta = bound_at(case, seed)
        expected = case.marginal(theta, case.table)
        found = bound.problem.expect(theta).loglik
        accuracy = case.accuracy if case.method != "quadrature" else max(case.accuracy, 1e-4)
        assert found == pytest.approx(expected, rel=accuracy, abs=accuracy), seed


@each_case
def test_the_score_is_the_slope(case: IntegralCase) -> None:
    """Fisher's identity at the weighted points."""
    if case.method == "quadrature":
        pytest.skip("the slope of a sum over nodes that move with theta is not quite the sum's score")
    bound, theta = bound_at(case, 5)
    check_score(bound, theta, np.random.default_rng(6))


# --- what must change nothing -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", INTEGRAL_CASES, ids=lambda case: case.name)
def test_order_of_rows_and_groups(case: IntegralCase) -> None:
    """Rows in any order; where there is a chain, whole chains in any order."""
    rng = np.random.default_rng(3)
    order = rng.permutation(rows_of(case.table))
    if "in sequence" in case.text:
        groups = case.table.get("g", ["a"] * rows_of(case.table))
        turned = {label: rank for rank, label in enumerate(reversed(dict.fromkeys(groups)))}
        order = np.argsort([turned[label] for label in groups], kind="stable")
    bound, theta = bound_at(case, 4)
    same_step(bound, take(bound.compiled, picked(case.table, order)), theta)


def test_a_weight_is_so_many_copies() -> None:
    """Of groups, with a weight on the outer plate."""
    text = INTERCEPTS.replace("    latent u", "    weight   w\n    latent u")
    table: Table = {"g": list("aabcc"), "x": [0.1, 0.4, -0.3, 1.0, 0.2], "y": [1.0, 0.2, 0.5, -0.4, 2.0]}
    weighted: Table = {**table, "w": [2, 2, 1, 3, 3]}
    rows = [0, 1, 0, 1, 2, 3, 4, 3, 4, 3, 4]
    copied: Table = {**picked(table, rows), "g": list("aaAAbccddee"), "w": [1] * len(rows)}
    one = take(text, weighted)
    theta = random_theta(one.problem.spaces, np.random.default_rng(1), one.problem.initial())
    same_step(one, take(one.compiled, copied), theta)


def test_evidence_does_not_depend_on_the_last_one() -> None:
    """A spread that jumps by many orders of magnitude: integrals remember where they were taken."""
    case = INTEGRAL_CASES[0]
    for small in (1e-3, 1e-6, 1e-8, 1e-10):
        bound, theta = bound_at(case, 2)
        for tau in (0.1, small, 3.0, small):
            at = {**theta, "tau": np.asarray(tau)}
            expected = case.marginal(at, case.table)
            assert bound.problem.expect(at).loglik == pytest.approx(expected, abs=1e-9), (small, tau)


# --- one law written in two ways --------------------------------------------------------------------------------------

COUNTS: Table = {"x": [0.3, -0.5, 1.2, 0.0, 0.7], "y": [3, 0, 7, 1, 2]}
WITHOUT = "for each row:\n    input    x : real\n"
WRITTEN_OUT = {
    "negative binomial": (
        "param c : real\nparam k : real\nparam size : positive\n",
        "    latent   u ~ Gamma(size, size)\n    observed y ~ Poisson(u*exp(c + k*x))\n",
        "    observed y ~ NegativeBinomial(exp(c + k*x), size)\n",
    ),
    "student": (
        "param c : real\nparam k : real\nparam s : positive\nparam df : positive\n",
        "    latent   u ~ Gamma(df/2, df/2)\n    observed y ~ Normal(c + k*x, s/sqrt(u))\n",
        "    observed y ~ StudentT(df, c + k*x, s)\n",
    ),
    "beta binomial": (
        "param a : positive\nparam b : positive\n",
        "    latent   u ~ Beta(a, b)\n    observed y ~ Binomial(9, u)\n",
        "    observed y ~ BetaBinomial(9, a, b)\n",
    ),
    "two normals": (
        "param c : real\nparam k : real\nparam s : positive\n",
        "    latent   u ~ Normal(c + k*x, s)\n    observed y ~ Normal(u, 1/2)\n",
        "    observed y ~ Normal(c + k*x, sqrt(s^2 + 1/4))\n",
    ),
}


@pytest.mark.parametrize("holes", [(), (1, 3)], ids=["complete", "missing cells"])
@pytest.mark.parametrize("name", WRITTEN_OUT)
def test_a_law_written_out(name: str, holes: tuple[int, ...]) -> None:
    """With its hidden number and without: one log-likelihood, one score."""
    parameters, hidden, plain = WRITTEN_OUT[name]
    table: Table = {**COUNTS, "y": [None if row in holes else y for row, y in enumerate(COUNTS["y"])]}
    one, two = take(parameters + WITHOUT + hidden, table), take(parameters + WITHOUT + plain, table)
    for seed in range(3):
        theta = random_theta(one.problem.spaces, np.random.default_rng(seed), one.problem.initial())
        first, second = one.problem.expect(theta), two.problem.expect(theta)
        assert first.loglik == pytest.approx(second.loglik, rel=1e-11, abs=1e-11)
        left = one.problem.gradient(theta, first.statistics)
        right = two.problem.gradient(theta, second.statistics)
        for key in theta:
            assert left[key] == pytest.approx(right[key], rel=1e-7, abs=1e-8), key
