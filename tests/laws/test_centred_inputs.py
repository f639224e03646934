"""Inputs far from 0: the same fit as with inputs near 0, but for where the intercept is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import emdsl
from tests.laws.bound_models import Array, random_theta, take
from tests.laws.tables import Columns

LINE = """\
param b0 : real
param b1 : real
param s : positive
for each r:
    input x : real
    observed y ~ Normal(b0 + b1*x, s)
"""
MODELS: dict[str, str] = {
    "line": LINE,
    "logistic": LINE.replace("param s : positive\n", "").replace("y ~ Normal(b0 + b1*x, s)",
                                                                "z ~ Bernoulli(logistic(b0 + b1*x))"),
    "counts": LINE.replace("param s : positive\n", "").replace("y ~ Normal(b0 + b1*x, s)",
                                                              "n ~ Poisson(exp(b0 + b1*x))"),
    "mixture": """\
index k = {a, b}
param w : simplex[k]
param b0[k] : real
param b1 : real
param s : positive
for each r:
    input x : real
    latent c ~ Categorical(w)
    observed y ~ Normal(b0[c] + b1*x, s)
order k by b0
""",
    "intercepts": """\
param b0 : real
param b1 : real
param tau : positive
param s : positive
for each g:
    latent u ~ Normal(0, tau)
    for each r:
        input x : real
        observed y ~ Normal(b0 + b1*x + u, s)
""",
}  # fmt: skip


def _table(offset: float) -> Columns:
    rng = np.random.default_rng(0)
    n = 120
    x = np.round(rng.normal(0, 1, n), 3)
    high = rng.random(n) < 0.4
    y = np.where(high, 4.0, 0.0) + 0.5 * x + rng.normal(0, 1, n) + 2.0 * (np.arange(n) % 12 >= 6)
    table: dict[str, Any] = {"x": (x + offset).tolist(), "y": np.round(y, 4).tolist()}
    table["z"] = (rng.random(n) < 1 / (1 + np.exp(-0.5 * x))).astype(int).tolist()
    table["n"] = rng.poisson(np.exp(0.3 + 0.3 * x)).tolist()
    table["g"] = [f"g{k // 6}" for k in range(n)]
    return table


def _fit(name: str, offset: float) -> Any:
    table = {key: value for key, value in _table(offset).items() if f" {key}" in MODELS[name]}
    init = {"b0": {"a": -offset * 0.5, "b": 4.0 - offset * 0.5}, "b1": 0.5} if name == "mixture" else None
    return emdsl.loads("model M\n" + MODELS[name]).fit(table, starts=1, init=init)


@pytest.mark.parametrize("name", MODELS)
def test_estimates_and_errors_do_not_depend_on_the_origin(name: str) -> None:
    near = _fit(name, 0.0)
    for offset, digits in ((1e3, 1e-9), (1e6, 1e-7), (1e8, 1e-5)):  # the inputs themselves are rounded
        far = _fit(name, offset)
        assert far.converged and not far.warnings, offset
        assert far.loglik == pytest.approx(near.loglik, abs=max(1e-9, 1e-16 * offset * 200)), offset
        assert far.params["b1"] == pytest.approx(near.params["b1"], rel=digits), offset
        assert far.se["b1"] == pytest.approx(near.se["b1"], rel=1e-4), offset
        if name in ("line", "intercepts"):
            assert far.se["s"] == pytest.approx(near.se["s"], rel=1e-4)
        if name != "mixture":
            assert far.params["b0"] + offset * far.params["b1"] == pytest.approx(
                near.params["b0"], abs=max(1e-7, 1e-15 * offset * 10)
            )
            # b0 is the mean at x = 0, so far away that its error is that of the slope
            assert far.se["b0"] == pytest.approx(offset * far.se["b1"], rel=1e-2)


@pytest.mark.parametrize("name", MODELS)
def test_the_score_is_the_slope(name: str) -> None:
    """In the parameters as the user has them, along directions in which the likelihood is no cliff."""
    table = {key: value for key, value in _table(500.0).items() if f" {key}" in MODELS[name]}
    problem = take(MODELS[name], table).problem
    assert problem.program.centring is not None
    theta = random_theta(problem.spaces, np.random.default_rng(3), problem.initial())
    theta["b0"] = theta["b0"] - 500.0 * theta["b1"]
    gradient = problem.gradient(theta, problem.expect(theta).statistics)

    def value(step: float) -> float:
        moved: dict[str, Array] = {**theta, "b1": theta["b1"] + step, "b0": theta["b0"] - 500.0 * step}
        return float(problem.expect(moved).loglik)

    along = float(np.sum(gradient["b1"]) - 500.0 * np.sum(gradient["b0"]))
    difference = (8 * (value(1e-4) - value(-1e-4)) - (value(2e-4) - value(-2e-4))) / 12e-4
    assert along == pytest.approx(difference, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (LINE.replace("param b0 : real", "param b0 : real ~ Normal(0, 10)"), "a prior"),
        (LINE.replace("x, s)", "x, s*exp(b0))"), "it stands elsewhere"),
        (LINE.replace("param b0 : real", "param b0 : positive"), "bounds"),
        (LINE + "    observed z ~ Normal(b0, s)\n", "another predictor without the input"),
    ],
    ids=lambda item: item if len(item) < 40 else "",
)
def test_intercepts_that_stand_elsewhere_stay(text: str, why: str) -> None:
    table = {key: value for key, value in _table(1e4).items() if key in ("x", "y", "z")}
    assert take(text, table).problem.program.centring is None, why


def test_a_fixed_intercept_stays() -> None:
    table = {key: value for key, value in _table(1e4).items() if key in ("x", "y")}
    bound = take(LINE, table, fix={"b0": 1.0})
    assert bound.problem.program.centring is None
    assert take(LINE, table).problem.program.centring is not None
