"""Truncated laws are drawn within their bounds; data with bounds for cells are refused."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

import emdsl
from tests.simulate.test_families import LEVEL, drawn


def test_draws_of_a_truncated_normal_have_its_law() -> None:
    y = drawn("for each r:\n    observed y ~ Normal(1, 2) truncated to (0, 2.5)\n")["y"]
    law = stats.truncnorm(-0.5, 0.75, loc=1, scale=2)
    assert y.min() >= 0 and y.max() <= 2.5
    assert stats.kstest(y, law.cdf).pvalue > LEVEL


def test_bounds_may_differ_by_row_and_belong_to_counts() -> None:
    text = "for each r:\n    input low : real\n    observed n ~ Poisson(2) truncated to (low, inf)\n"
    table = emdsl.loads(text).simulate(None, {}, seed=3, design={"low": [0, 1, 3] * 500})
    n, low = np.asarray(table["n"], dtype=float), np.tile([0, 1, 3], 500)
    assert (n >= low).all() and (n[low == 3] == 3).any()


def test_a_law_with_nothing_inside_is_refused() -> None:
    with pytest.raises(emdsl.EmmError, match="fell within its bounds"):
        emdsl.loads("for each r:\n    observed y ~ Normal(0, 1) truncated to (40, inf)\n").simulate(3, {})


@pytest.mark.parametrize("law", ["t ~ Exponential(1) censored above unless e", "t between a and b ~ Exponential(1)"])
def test_bounds_are_not_simulated(law: str) -> None:
    with pytest.raises(emdsl.EmmError) as raised:
        emdsl.loads(f"for each r:\n    observed {law}\n").simulate(3, {})
    assert raised.value.code == "cannot-simulate"
