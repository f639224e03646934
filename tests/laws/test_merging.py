"""Equal rows counted against the rows one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import emdsl
from emdsl.data.counting import weighted_rows
from emdsl.plan.merging import merged_units
from emdsl.plan.problem import BoundProblem
from emdsl.request import FitRequest
from tests.laws.bound_models import compiled, random_theta
from tests.laws.tables import Cell
from tests.laws.test_pruning import close

MODEL = """
index class = {k1, k2}
index item = {a, b, c}
index level = {low, high}
param law[class, item] : simplex[level]
param rate[class] : positive
param g : contrast[class]
for each row:
    WEIGHT
    input x : real
    latent z ~ Categorical(softmax(k in class: g[k]*x))
    observed y[item] ~ Categorical(law[z, item])
    observed n ~ Poisson(rate[z])
"""


def rows(count: int, x: Any = None) -> dict[str, list[Cell]]:
    """Rows of which many are equal, with missing and coarse cells."""
    rng = np.random.default_rng(0)
    levels: list[Cell] = ["low", "high", None]
    columns: dict[str, list[Cell]] = {
        f"y_{item}": [levels[k] for k in rng.choice(3, p=[0.5, 0.4, 0.1], size=count)] for item in "abc"
    }
    columns["n"] = [None if k == 4 else int(k) for k in rng.integers(5, size=count)]
    columns["x"] = [float(k) for k in (rng.integers(3, size=count) if x is None else x)]
    columns["w"] = [float(k) for k in rng.integers(3, size=count)]
    return columns


def text(weighted: bool) -> str:
    """The model, its rows weighted or not."""
    return MODEL.replace("    WEIGHT\n", "    weight w\n" if weighted else "")


@pytest.mark.parametrize("weighted", [False, True])
def test_counts_are_the_rows(weighted: bool) -> None:
    """Log-likelihood, score and what a fit reports of its data."""
    model, columns = compiled(text(weighted)), rows(2500)
    request = FitRequest(starts=3, se="none")
    bound = model.bind(columns, request)
    merged, raw = model.problem(bound, request), BoundProblem(model.derivation, bound)
    assert merged.program.bound.levels[1].size <= 405
    assert merged.program.bound.weights["row"].sum() == (sum(columns["w"]) if weighted else 2500)  # type: ignore[arg-type]
    theta = random_theta(raw.spaces, np.random.default_rng(1), raw.initial())
    one, other = merged.expect(theta), raw.expect(theta)
    assert one.loglik == pytest.approx(other.loglik, rel=1e-12)
    close(merged.gradient(theta, one.statistics), raw.gradient(theta, other.statistics), model.text)
    size = merged.program.bound.levels[1].size
    said = "\n".join(model.check(columns, request))
    assert f"rows that show the same are counted: {size} of 2500 are distinct" in said
    fit = model.fit(columns, request)
    assert fit.bound.rows == 2500
    assert fit.units == merged.program.bound.weights["row"].sum()
    assert fit.bic_n == weighted_rows(model.model, bound)


def test_posterior_by_row() -> None:
    """Every row has its own line, and equal rows the same."""
    columns = {name: cells for name, cells in rows(2500).items() if name != "w"}
    fit = emdsl.loads(text(weighted=False)).fit(columns, starts=2, se="none")
    assert fit.to_dict()["data"]["rows"] == 2500
    table = fit.posterior(columns)
    assert len(table) == 2500


def test_what_is_left_apart() -> None:
    """Few rows, rows that differ, chains, several plates, weights that are no counts, standard errors by unit."""
    model, request = compiled(text(weighted=True)), FitRequest()
    few = model.bind(rows(1500), request)
    assert merged_units(model.model, few) is few
    differ = model.bind(rows(2500, np.random.default_rng(2).normal(size=2500)), request)
    assert merged_units(model.model, differ) is differ
    shares = model.bind({**rows(2500), "w": [0.5] * 2500}, request)
    assert merged_units(model.model, shares) is shares
    same = model.bind(rows(2500), request)
    assert merged_units(model.model, same) is not same
    by_unit = FitRequest(se="sandwich")
    assert model.problem(model.bind(rows(2500), by_unit), by_unit).program.bound.levels[1].size == 2500


def test_chains_and_nested_plates_stay() -> None:
    """Units that follow each other, or hold others, are not exchangeable rows."""
    law = "latent z ~ {law}\n{indent}observed y ~ Categorical(e[z])"
    head = "index s = {a, b}\nparam p : simplex[s]\nparam e[s] : simplex[s]\nparam A[s] : simplex[s]\n"
    chain = head + "for each row in sequence:\n    " + law.format(law="Markov(p, A)", indent="    ")
    nested = (
        head.replace("param A[s] : simplex[s]\n", "")
        + "for each group:\n    for each row:\n        "
        + law.format(law="Categorical(p)", indent="        ")
    )
    cells: list[Cell] = [str(k) for k in np.random.default_rng(0).choice(["a", "b"], size=2500)]
    columns: dict[str, list[Cell]] = {"y": cells, "group": [f"g{k // 5}" for k in range(2500)]}
    for source in (chain + "\n", nested + "\n"):
        model = compiled(source)
        bound = model.bind(columns, FitRequest())
        assert merged_units(model.model, bound) is bound
