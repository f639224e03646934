"""Binding through the real front end: models as a user writes them."""

from __future__ import annotations

from typing import Any

import numpy as np

from emdsl.data.binding import BindOptions, bind
from emdsl.data.bound import Bound
from emdsl.data.reading import read_table
from emdsl.graph.resolve import resolve
from emdsl.syntax.parser import parse


def bound(text: str, data: dict[str, Any], **options: Any) -> Bound:
    return bind(resolve(parse(text)), read_table(data), BindOptions(**options))


def test_dawid_skene() -> None:
    found = bound(
        """
index label = levels
index annotator = levels
param prevalence : simplex[label]
param confusion[annotator, label] : simplex[label]
for each item:
    latent truth ~ Categorical(prevalence)
    for each response:
        input annotator : annotator
        observed answer ~ Categorical(confusion[annotator, truth])
""",
        {"item": [1, 1, 2, 10, 2], "annotator": ["b", "a", "a", "b", "b"], "answer": [4, 3, 10, None, 4]},
    )
    assert found.indexes == {"label": ("3", "4", "10"), "annotator": ("a", "b")}
    assert found.units["item"].tolist() == ["1", "2", "10"]
    assert found.values["annotator"].array.tolist() == [1, 0, 0, 1, 1]
    assert found.values["answer"].array.tolist() == [1, 0, 2, 1, 3]
    assert found.missing == {"answer": 1}


def test_casino() -> None:
    found = bound(
        """
index state = {fair, loaded}
index face = 1..6
param start : simplex[state]
param A[state] : simplex[state]
param emit[state] : simplex[face]
for each visit:
    for each roll in sequence:
        latent   die  ~ Markov(start, A)
        observed face ~ Categorical(emit[die])
""",
        {"visit": ["x", "y", "x"], "face": [6, 1, 3]},
    )
    assert found.values["face"].array.tolist() == [5, 2, 0]
    assert found.levels[2].parent.tolist() == [0, 0, 1]


def test_haplotypes() -> None:
    found = bound(
        """
index haplotype = {h11, h12, h21, h22}
index locus = columns(snp1, snp2)
const carries[haplotype, locus] = [[0, 0], [0, 1], [1, 0], [1, 1]]
param p : simplex[haplotype]
for each person:
    latent   mother ~ Categorical(p)
    latent   father ~ Categorical(p)
    observed dose[locus] = carries[mother, locus] + carries[father, locus]
""",
        {"id": ["a", "b"], "snp1": [0, 2], "snp2": [1, None]},
    )
    np.testing.assert_array_equal(found.constants["carries"], [[0, 0], [0, 1], [1, 0], [1, 1]])
    np.testing.assert_array_equal(found.values["dose"].array, [[0, 2], [1, np.nan]])


def test_item_response_with_bare_columns() -> None:
    text = """
index item = columns
const K = 2
index class = 1..K
param share : simplex[class]
param p[class, item] : unit
for each person:
    latent   z ~ Categorical(share)
    observed y[item] ~ Bernoulli(p[z, item])
"""
    data = {"person": [1, 2], "name": ["u", "v"], "q1": [1, 0], "q2": [0, None]}
    found = bound(text, data, set={"K": 3})
    assert found.leftover == {"item": ("q1", "q2")}
    assert found.values["y"].array.tolist() == [[1, 0], [0, 2]]
    assert found.indexes["class"] == ("1", "2", "3")
    assert bound(text, data, columns={"item": ("q2",)}).indexes["item"] == ("q2",)
