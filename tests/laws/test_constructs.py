"""Constructs of the language, one small model each, against the enumeration of all hidden states."""

from __future__ import annotations

from textwrap import dedent

import numpy as np
import pytest

from tests.laws.agreement import check_agreement
from tests.laws.bound_models import take, take_if_planned
from tests.laws.constructs import CONSTRUCTS, SETS, Construct
from tests.laws.constructs_of_chains import CHAINS
from tests.laws.constructs_of_crossing import CROSSING
from tests.laws.constructs_of_givens import GIVENS
from tests.laws.constructs_of_open_cells import OPEN
from tests.laws.constructs_of_order import DRIVEN, ORDERS
from tests.laws.tables import Cell

ALL = [*CONSTRUCTS, *CROSSING, *GIVENS, *CHAINS, *OPEN, *ORDERS, *DRIVEN]


@pytest.mark.parametrize("construct", ALL, ids=lambda construct: construct.name)
def test_construct(construct: Construct) -> None:
    bound = take(SETS + dedent(construct.text), construct.columns)
    rng = np.random.default_rng(len(construct.name))
    check_agreement(bound, construct.columns, rng)
    if construct.boundary:
        check_agreement(bound, construct.columns, rng, boundary=True)


# --- what cannot be done must be said ---------------------------------------------------------------------------------

LOOKED_AT: dict[str, tuple[str, dict[str, list[Cell]]]] = {
    "the value before": (
        """
        param r : real
        for each row in sequence:
            observed y ~ Normal(0, 1) first, Normal(r*prev(y), 1) after
        """,
        {"y": [0.5, None, 2.0]},
    ),
    "another variable": (
        """
        param r : real
        for each row:
            observed x ~ Normal(0, 1)
            observed y ~ Normal(r*x, 1)
        """,
        {"x": [0.5, None], "y": [1.0, 2.0]},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LOOKED_AT)
def test_missing_number_that_another_law_looks_at(name: str) -> None:
    """It is integrated out or refused; to leave out both laws would change the likelihood of what is seen."""
    text, columns = LOOKED_AT[name]
    bound = take_if_planned(dedent(text), columns)
    if bound is None:
        return
    r = 0.7
    if name == "the value before":
        seen = [(0.5, 0.0, 1.0), (2.0, r * r * 0.5, 1 + r * r)]
    else:
        seen = [(0.5, 0.0, 1.0), (1.0, 0.5 * r, 1.0), (2.0, 0.0, 1 + r * r)]
    exact = sum(-0.5 * np.log(2 * np.pi * variance) - (x - mean) ** 2 / (2 * variance) for x, mean, variance in seen)
    assert bound.problem.expect({"r": np.asarray(r)}).loglik == pytest.approx(exact)
