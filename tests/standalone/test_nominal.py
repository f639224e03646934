"""Planning without data: made sizes and values give the program that real data give."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import emdsl
from emdsl.ir.model import Model
from emdsl.plan.program import Program
from emdsl.request import FitRequest
from emdsl.standalone.nominal import nominal_bound

#: Models with a table for each, and what a user says beside it.
MODELS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "levels of columns": (
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
        {"item": [1, 1, 2, 2, 3], "response": [1, 2, 1, 2, 1], "annotator": list("abcab"), "answer": list("xyxxz")},
        {},
    ),
    "a table of constants over columns": (
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
        {"snp1": [0, 1, 2, 1], "snp2": [1, 1, 0, 2]},
        {},
    ),
    "a table whose size only the data know": (
        """
index item = columns
const weight_of[item] = [1, 2, 4]
param b : real
for each person:
    observed y[item] ~ Normal(b*weight_of[item], 1)
""",
        {"a": [0.1, 1.0], "b": [2.0, 1.5], "c": [4.0, 3.5]},
        {},
    ),
    "constants without a value": (
        """
const K
const scale[class]
index class = 1..K
param share : simplex[class]
param mu[class] : real
for each row:
    latent   z ~ Categorical(share)
    observed x ~ Normal(mu[z], scale[z])
""",
        {"x": [0.1, 1.0, 5.0]},
        {"set": {"K": 2}, "const": {"scale": [1.0, 2.0]}},
    ),
    "labels that the model names": (
        """
index group = levels(g)
param low : real
param high : real
for each row:
    input    g : group
    observed x ~ case g:
        control -> Normal(low, 1)
        _       -> Normal(high, 1)
""",
        {"g": ["control", "a", "b"], "x": [0.1, 1.0, 5.0]},
        {},
    ),
    "a chain in each unit": (
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
        {"visit": [1, 1, 1, 2, 2], "roll": [1, 2, 3, 1, 2], "face": [1, 6, 6, 2, 3]},
        {},
    ),
    "a hidden value that multiplies": (
        """
param psi : unit
param d : unit
for each site:
    latent occupied ~ Bernoulli(psi)
    for each survey:
        observed seen ~ Bernoulli(occupied*d)
""",
        {"site": [1, 1, 2, 2], "survey": [1, 2, 1, 2], "seen": [0, 1, 0, 0]},
        {},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_made_sizes_give_the_program_of_real_data(name: str) -> None:
    text, data, options = MODELS[name]
    compiled = emdsl.loads(text).compiled
    bound = nominal_bound(compiled.model)
    request = FitRequest(**options)
    real = compiled.problem(compiled.bind(data, request), request).program
    assert Program(compiled.derivation, bound).source == real.source


@pytest.mark.parametrize("name", MODELS)
def test_a_nominal_bound_has_the_shapes_of_a_real_one(name: str) -> None:
    text, data, options = MODELS[name]
    compiled = emdsl.loads(text).compiled
    made, real = nominal_bound(compiled.model), compiled.bind(data, FitRequest(**options))
    assert list(made.values) == list(real.values) and list(made.constants) == list(real.constants)
    assert {*real.indexes} <= {*made.indexes} and [level.plate for level in made.levels] == [
        level.plate for level in real.levels
    ]
    units = {level.plate: level.size for level in made.levels}
    for variable in compiled.model.variables:
        if variable.kind == "latent":
            continue
        array, other = made.values[variable.name].array, real.values[variable.name].array
        assert array.dtype == other.dtype and array.ndim == other.ndim
        assert array.shape == (*(len(made.indexes[axis]) for axis in variable.axes), units[variable.plate])
    for number, level in enumerate(made.levels[1:], start=1):
        assert np.array_equal(np.repeat(np.arange(made.levels[number - 1].size), np.diff(level.starts)), level.parent)


def test_labels_are_those_that_the_model_names() -> None:
    def indexes(name: str) -> dict[str, tuple[str, ...]]:
        return dict(nominal_bound(emdsl.loads(MODELS[name][0]).compiled.model).indexes)

    assert indexes("labels that the model names")["group"] == ("control", "1")
    assert indexes("a table whose size only the data know")["item"] == ("1", "2", "3")
    assert indexes("a table of constants over columns")["locus"] == ("snp1", "snp2")
    assert indexes("constants without a value")["class"] == ("1", "2", "3")


def test_values_lie_in_their_domains() -> None:
    model = emdsl.loads(
        """
param mu : real
for each row:
    weight   w
    input    a : positive
    input    b : unit
    input    c : interval(-2, 3)
    input    d : natural
    input    e : interval(1, inf)
    input    f : interval(-inf, -1)
    observed y ~ Normal(mu, 1)
"""
    ).compiled.model
    made = {name: np.asarray(values.array) for name, values in nominal_bound(model).values.items()}
    assert (made["a"] > 0).all() and ((made["b"] > 0) & (made["b"] < 1)).all()
    assert ((made["c"] > -2) & (made["c"] < 3)).all() and (made["d"] == np.round(made["d"])).all()
    assert (made["e"] > 1).all() and (made["f"] < -1).all()
    assert list(nominal_bound(model).weights) == ["row"]


def from_to(low: str) -> Model:
    """A model whose index set ends with a constant that only the user knows."""
    text = f"""
const K
index k = {low}..K
param m[k] : real
for each row:
    input    z : k
    observed x ~ Normal(m[z], 1)
"""
    return emdsl.loads(text).compiled.model


def test_an_unknown_constant_takes_a_value_that_makes_sense() -> None:
    assert nominal_bound(from_to("1")).indexes["k"] == ("1", "2", "3")
    assert nominal_bound(from_to("10")).indexes["k"] == ("10", "11", "12")
    with pytest.raises(emdsl.EmmError, match=r"index `k` is empty: 500\.\.100") as caught:
        nominal_bound(from_to("500"))
    assert caught.value.help == "to compile the model, give `K` a value in it: const K = …"
