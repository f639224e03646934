"""Spelling."""

from __future__ import annotations

from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from emdsl.diagnostics.suggest import closest, edit_distance

words = st.text("abc", max_size=6)


def test_a_near_name_is_found() -> None:
    assert closest("allel", ["allele", "phenotype"]) == "allele"
    assert closest("obsevred", ["observed", "latent"]) == "observed"
    assert closest("Normla", ["Normal", "LogNormal"]) == "Normal"
    assert closest("PARAM", ["param", "const"]) == "param"
    assert closest("sigma", ["σ", "sigma2"]) == "sigma2"


def test_a_far_name_is_not() -> None:
    assert closest("x", ["y", "z"]) is None
    assert closest("mu", ["tau", "sigma"]) is None
    assert closest("genotype", []) is None
    assert closest("genotype", ["genotype"]) is None


def test_the_order_of_the_candidates_does_not_matter() -> None:
    assert {closest("bat", order) for order in permutations(["bar", "cat", "bad"])} == {"bad"}


@given(words, words, words)
def test_the_distance_is_symmetric_and_tells_equality(a: str, b: str, c: str) -> None:
    assert edit_distance(a, b) == edit_distance(b, a)
    assert (edit_distance(a, b) == 0) == (a == b)
    assert edit_distance(a + c, b + c) <= edit_distance(a, b)
    assert abs(len(a) - len(b)) <= edit_distance(a, b) <= max(len(a), len(b))
