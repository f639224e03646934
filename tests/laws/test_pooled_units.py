"""Units of one precision, which a few stand for: the same sums as of all units, and where this is not done."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.laws.bound_models import ROOT, Taken, random_theta, take
from tests.laws.tables import Columns

FACTORS = (ROOT / "models" / "factor_analysis.emm").read_text(encoding="utf-8")
COMPONENTS = (ROOT / "models" / "probabilistic_pca.emm").read_text(encoding="utf-8")
INTERCEPTS = """\
param mu : real
param b : real
param tau : positive
param sigma : positive
for each g:
    latent u ~ Normal(mu, tau)
    for each row:
        input    x : real
        observed y ~ Normal(b*x + u, sigma)
"""
LINES = """\
index effect = {level, slope}
param b[effect] : real
param T : covariance[effect]
param sigma : positive
for each g:
    latent r[effect] ~ MVNormal(b, T)
    for each row:
        input    t : real
        observed y ~ Normal(r[level] + r[slope]*t, sigma)
"""


def _items(units: int, missing: bool = False, offset: float = 0.0) -> Columns:
    rng = np.random.default_rng(1)
    loadings = rng.normal(0, 1, (4, 2))
    values = offset + rng.normal(0, 1, (units, 2)) @ loadings.T + rng.normal(0, 0.6, (units, 4))
    table: dict[str, Any] = {f"y{k}": values[:, k].tolist() for k in range(4)}
    if missing:
        for row in range(0, units, 3):
            table["y1"][row] = None
    return table


def _grouped(sizes: list[int]) -> Columns:
    rng = np.random.default_rng(2)
    g = [f"g{k}" for k, size in enumerate(sizes) for _ in range(size)]
    t = [float(i) for size in sizes for i in range(size)]
    return {"g": g, "t": t, "x": rng.normal(0, 1, len(g)).tolist(), "y": rng.normal(1, 1, len(g)).tolist()}


CASES: dict[str, tuple[str, Columns, dict[str, Any], int]] = {
    "factors": (FACTORS, _items(300), {"set": {"Q": 2}}, 1),
    "factors with two patterns": (FACTORS, _items(300, missing=True), {"set": {"Q": 2}}, 2),
    "far from 0": (FACTORS, _items(300, offset=1e4), {"set": {"Q": 1}}, 1),
    "components": (COMPONENTS, _items(300), {"set": {"Q": 2}}, 1),
    "intercepts": (INTERCEPTS, _grouped([3] * 150 + [5] * 100), {}, 2),
    "lines": (LINES, _grouped([4] * 250), {}, 1),
    "weighted": (FACTORS.replace("for each person:", "for each person:\n    weight w"),
                 {**_items(300), "w": [1 + k % 3 for k in range(300)]}, {"set": {"Q": 2}}, 1),
}  # fmt: skip


def _both(name: str) -> tuple[Taken, Taken, int]:
    text, table, options, groups = CASES[name]
    few, all_ = take(text, table, **options), take(text, table, **options)
    all_.problem.program.pooled.clear()
    return few, all_, groups


@pytest.mark.parametrize("name", CASES)
def test_sums_are_those_of_all_units(name: str) -> None:
    few, every, groups = _both(name)
    (pooled,) = few.problem.program.pooled.values()
    assert pooled.groups == groups and len(pooled.weights) < 100
    for seed in range(3):
        theta = random_theta(few.problem.spaces, np.random.default_rng(seed), few.problem.initial())
        one, other = few.problem.expect(theta), every.problem.expect(theta)
        assert one.loglik == pytest.approx(other.loglik, rel=1e-11)
        slopes = (problem.gradient(theta, found.statistics)
                  for problem, found in ((few.problem, one), (every.problem, other)))  # fmt: skip
        ours, theirs = slopes
        new, wanted = few.problem.maximize(theta, one.statistics), every.problem.maximize(theta, other.statistics)
        for key in theta:
            scale = np.abs(theirs[key]).max()
            np.testing.assert_allclose(ours[key], theirs[key], rtol=1e-9, atol=1e-9 * scale)
            np.testing.assert_allclose(new[key], wanted[key], rtol=1e-8, atol=1e-9)


def test_every_unit_keeps_its_own_score_and_posterior() -> None:
    few, every, _ = _both("factors")
    theta = random_theta(few.problem.spaces, np.random.default_rng(0), few.problem.initial())
    one, other = few.problem.unit_gradients(theta)[0], every.problem.unit_gradients(theta)[0]
    for key, value in one.items():
        np.testing.assert_array_equal(value, other[key])
    total = few.problem.gradient(theta, few.problem.expect(theta).statistics)
    np.testing.assert_allclose(one["load"].sum(axis=0), total["load"], rtol=1e-8, atol=1e-7)


@pytest.mark.parametrize(
    ("text", "table", "options"),
    [
        (FACTORS, _items(100), {"set": {"Q": 2}}),
        (INTERCEPTS, _grouped(list(range(1, 60)) * 4), {}),
        (LINES.replace("r[slope]*t", "r[slope]*x").replace("input    t", "input    x"), _grouped([3] * 250), {}),
        (INTERCEPTS.replace("for each g:", "for each g:\n    input    z : real").replace("Normal(mu, tau)",
         "Normal(mu*z, tau)"), {**_grouped([2] * 250), "z": [float(k // 2) for k in range(500)]}, {}),
    ],
    ids=["few units", "many precisions", "precisions by data", "laws by unit"],
)  # fmt: skip
def test_where_units_differ_they_are_visited(text: str, table: Columns, options: dict[str, Any]) -> None:
    assert not take(text, table, **options).problem.program.pooled


def test_check_says_so() -> None:
    import emdsl

    lines = emdsl.loads("model M\n" + INTERCEPTS).check(CASES["intercepts"][1])
    assert "2 groups of units with one precision: fitted from second moments, which are summed once" in lines
