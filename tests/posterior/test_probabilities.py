"""Posterior probabilities of random graphs against the enumeration of all hidden states."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from emdsl.diagnostics.errors import EmmError
from emdsl.ir.model import Variable
from emdsl.plan.posterior import posterior, reported
from emdsl.results.posterior import posterior_tables
from tests.laws.bound_models import Taken, random_theta, take
from tests.laws.enumeration import Enumeration
from tests.laws.interpreter import World
from tests.laws.random_models import random_model

GRAPHS, MORE = 60, 400

seeds = pytest.mark.parametrize(
    "seed", [pytest.param(seed, marks=[pytest.mark.slow] if seed >= GRAPHS else []) for seed in range(GRAPHS + MORE)]
)


class Shares:
    """The posterior of each reported variable, or element of an array, in each unit, by the value's label; a genotype's
    by `A/B`."""

    def __init__(self, enumeration: Enumeration) -> None:
        self.enumeration, self.model = enumeration, enumeration.model
        self.columns = {
            name: (variable, element)
            for variable in reported(self.model)
            for element in enumeration.table.elements(variable)
            for name in [self._column(variable, element)]
        }
        self.found: dict[str, list[tuple[Any, dict[str, float]]]] = {name: [] for name in self.columns}

    def _column(self, variable: Variable, element: tuple[int, ...]) -> str:
        labels = [self.enumeration.table.indexes[axis][k] for axis, k in zip(variable.axes, element, strict=True)]
        return variable.name + (f"[{', '.join(labels)}]" if labels else "")

    def __call__(self, world: World, weights: Any) -> None:
        for column, (variable, element) in self.columns.items():
            if variable.plate != world.unit.plate:
                continue
            labels = self.enumeration.table.indexes[variable.values or ""]
            names = variable.components or (variable.name,)
            codes = [np.broadcast_to(world.hidden[name, world.unit, element], len(weights)) for name in names]
            shares: dict[str, float] = {}
            for state, weight in enumerate(weights):
                value = "/".join(labels[place] for place in sorted(int(code[state]) for code in codes))
                shares[value] = shares.get(value, 0.0) + float(weight)
            self.found[column].append(((min(world.unit.rows), world.unit.position), shares))

    def in_order(self, column: str) -> list[dict[str, float]]:
        """The shares of each unit, units in the order of their first rows."""
        return [shares for _, shares in sorted(self.found[column], key=lambda item: item[0])]


def differences(taken: Taken, columns: Any, theta: Any) -> list[str]:
    """Where the tables differ from enumeration, in words."""
    model = taken.compiled.model
    with np.errstate(all="ignore"):
        enumeration = Enumeration(model, columns, theta)
        shares = Shares(enumeration)
        enumeration.visit(shares)
    tables = posterior_tables(model, taken.bound, posterior(taken.compiled.derivation, taken.bound, theta))
    wrong = []
    for column, (variable, _) in shares.columns.items():
        table = tables[variable.plate or ""]
        for unit, expected in enumerate(shares.in_order(column)):
            total = sum(expected.values())
            if total <= 0:  # a weight of 0 or impossible data: enumeration by weight says nothing
                continue
            own = {key: table[f"P({column}={key})"][unit] for key in expected}
            if any(not abs((own[key] or 0.0) - value / total) < 1e-9 for key, value in expected.items()):
                wrong.append(f"{column} of unit {unit}: {own} is not {expected}")
            best = table[column][unit]
            if expected.get(best, 0.0) < max(expected.values()) - 1e-9 * total:
                wrong.append(f"{best} is not the most probable {column} of unit {unit}: {expected}")
    return wrong


def taken_or_skipped(text: str, columns: Any) -> Taken:
    try:
        return take(text, columns)
    except EmmError as error:
        if error.code != "not-supported-yet":
            raise
        pytest.skip("no plan yet")


@seeds
def test_random_graph(seed: int) -> None:
    model = random_model(seed)
    taken = taken_or_skipped(model.text, model.columns)
    rng = np.random.default_rng(seed)
    start = taken.problem.initial()
    assert differences(taken, model.columns, random_theta(taken.problem.spaces, rng, start)) == []
    assert differences(taken, model.columns, random_theta(taken.problem.spaces, rng, start, boundary=True)) == []


NESTED_GENOTYPES = """
index allele = {A, B, O}
index kind = {k, l}
param share : simplex[kind]
param p[kind] : simplex[allele]
param F : unit
for each family:
    latent kind ~ Categorical(share)
    for each child:
        latent g ~ HardyWeinberg(p[kind], F)
        observed blood = case g:
            A/A | A/O -> A
            B/B | B/O -> B
            A/B -> AB
            O/O -> O
"""


def test_genotypes_under_an_outer_variable() -> None:
    """The two draws depend on each other, and the children of a family too: marginals alone would not do."""
    columns: dict[str, Any] = {"family": [1, 1, 2, 2, 2, 1], "blood": ["A", "AB", "O", "A|B", None, "B"]}
    taken = take(NESTED_GENOTYPES, columns)
    theta = {
        "share": np.array([0.3, 0.7]), "p": np.array([[0.5, 0.2, 0.3], [0.1, 0.6, 0.3]]), "F": np.array(0.2),
    }  # fmt: skip
    assert [v.name for v in reported(taken.compiled.model)] == ["kind", "g", "g.ibd"]
    assert differences(taken, columns, theta) == []


WEIGHTED = """
index kind = {k, l}
param share : simplex[kind]
param rate[kind] : positive
for each group:
    weight w
    latent kind ~ Categorical(share)
    for each row:
        weight v
        latent z ~ Bernoulli(1/4)
        observed y ~ Poisson(rate[kind]*(1 + z))
"""


def test_weights() -> None:
    """An outermost weight changes no posterior; a weight of 0 further in leaves the unit its own."""
    theta = {"share": np.array([0.3, 0.7]), "rate": np.array([1.0, 3.0])}
    data = {"group": [1, 1, 2, 2], "w": [1, 1, 1, 1], "v": [1, 2, 0, 1], "y": [0, 4, 2, 5]}
    reference = take(WEIGHTED, data)
    assert differences(reference, data, theta) == []
    tables = []
    for outer in ([1, 1, 1, 1], [0, 0, 5, 5]):
        taken = take(WEIGHTED, {**data, "w": outer})
        found = posterior(taken.compiled.derivation, taken.bound, theta)
        tables.append(posterior_tables(taken.compiled.model, taken.bound, found))
    assert tables[0] == tables[1]
    # row 3, of weight 0: z given y = 2 and what the rest of its group says of `kind`
    alone = take(WEIGHTED, {"group": [2], "w": [1], "v": [1], "y": [5]})
    kind = posterior(alone.compiled.derivation, alone.bound, theta).marginals[0].probabilities[:, 0]
    rates = np.outer(theta["rate"], [1.0, 2.0])
    joint = rates**2 * np.exp(-rates) * [0.75, 0.25]
    joint = kind[:, None] * joint / joint.sum(axis=1, keepdims=True)
    assert tables[0]["row"]["P(z=1)"][2] == pytest.approx(joint[:, 1].sum(), rel=1e-12)


def test_impossible_data_are_empty_and_noted() -> None:
    text = (
        "index s = {a, b}\nparam p : simplex[s]\nfor each r:\n    latent z ~ Categorical(p)\n"
        "    observed y = case z:\n        a -> u\n        b -> v\n"
    )
    taken = take(text, {"y": ["u", "v", "u"]})
    found = posterior(taken.compiled.derivation, taken.bound, {"p": np.array([1.0, 0.0])})
    assert found.notes == (
        "the data of 1 of 3 units of `r` are impossible at these parameters; their posterior is empty",
    )
    table = posterior_tables(taken.compiled.model, taken.bound, found)["r"]
    assert table == {"row": [1, 2, 3], "z": ["a", None, "a"], "P(z=a)": [1.0, None, 1.0], "P(z=b)": [0.0, None, 0.0]}
