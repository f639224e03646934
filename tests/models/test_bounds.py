"""Parameters that bound the support: their maximum-likelihood estimates are order statistics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.stats import gamma, norm

import emdsl

RNG = np.random.default_rng(4)
N = 120
NOISE = RNG.random(N) < 0.3
TABLE = {
    "u": RNG.uniform(2, 5, N).tolist(),
    "p": (1.5 * (1 + RNG.pareto(2.5, N))).tolist(),
    "e": (2 + RNG.exponential(1.5, N)).tolist(),
    "v": np.where(NOISE, RNG.uniform(-6, 6, N), RNG.normal(0, 0.5, N)).tolist(),
    "g": [f"g{k % 3}" for k in range(N)],
    "w": RNG.integers(0, 3, N).tolist(),
}
UNIFORM = "model M\nparam a : real\nparam b : real\nfor each row:\n    observed u ~ Uniform(a, b)\n"


def test_a_uniform_law_has_the_extremes_as_bounds() -> None:
    fit: Any = emdsl.loads(UNIFORM).fit(TABLE)
    u = np.array(TABLE["u"])
    assert fit.converged and fit.parameters == 2
    assert (fit.params["a"], fit.params["b"]) == (u.min(), u.max())
    assert fit.loglik == pytest.approx(-N * np.log(u.max() - u.min()), abs=1e-9)
    assert fit.se == {"a": None, "b": None} and fit.to_dict()["boundary"] == ["a", "b"]
    assert any("least or largest" in warning for warning in fit.warnings)


def test_the_derivation_says_so() -> None:
    text = str(emdsl.loads(UNIFORM).derive())
    assert "a = min(u)" in text and "b = max(u)" in text


def test_a_pareto_law() -> None:
    text = "model M\nparam k : positive\nparam m : positive\nfor each row:\n    observed p ~ Pareto(k, m)\n"
    fit: Any = emdsl.loads(text).fit(TABLE)
    p = np.array(TABLE["p"])
    shape = N / np.log(p / p.min()).sum()
    assert fit.converged
    assert fit.params == pytest.approx({"k": shape, "m": p.min()}, rel=1e-9)
    assert fit.se["k"] == pytest.approx(shape / np.sqrt(N), rel=1e-6) and fit.se["m"] is None


def test_rows_of_weight_0_do_not_count() -> None:
    fit: Any = emdsl.loads(UNIFORM).fit(TABLE, weight="w")
    counted = np.array(TABLE["u"])[np.array(TABLE["w"]) > 0]
    assert (fit.params["a"], fit.params["b"]) == (counted.min(), counted.max())


def test_each_group_has_its_own_bound_and_the_other_may_be_known() -> None:
    text = """model M
index g = levels
param b[g] : positive
for each row:
    input g : g
    observed u ~ Uniform(0, b[g])
"""
    fit: Any = emdsl.loads(text).fit(TABLE)
    u, group = np.array(TABLE["u"]), np.array(TABLE["g"])
    assert fit.params["b"] == {label: u[group == label].max() for label in ("g0", "g1", "g2")}


def test_a_family_of_ones_own_and_a_held_bound() -> None:
    text = """model M
family Shifted(rate : positive, start : real) for x : real:
    logpdf = where(x >= start, log(rate) - rate*(x - start), -inf)
param rate : positive
param start : real
for each row:
    observed e ~ Shifted(rate, start)
"""
    e = np.array(TABLE["e"])
    fit: Any = emdsl.loads(text).fit(TABLE)
    assert fit.params == pytest.approx({"rate": 1 / (e.mean() - e.min()), "start": e.min()}, rel=1e-9)
    held: Any = emdsl.loads(text).fit(TABLE, fix={"start": 1.0})
    assert held.params == pytest.approx({"rate": 1 / (e.mean() - 1), "start": 1.0}, rel=1e-9)
    assert held.parameters == 1


def test_in_a_mixture_the_bounds_are_those_of_the_posterior_support() -> None:
    text = """model M
index kind = {noise, peak}
param share : simplex[kind]
param a : real
param b : real
param m : real
param s : positive
for each row:
    latent z ~ Categorical(share)
    observed v ~ case z:
        noise -> Uniform(a, b)
        peak -> Normal(m, s)
"""
    fit: Any = emdsl.loads(text).fit(TABLE, starts=5)
    v = np.array(TABLE["v"])
    p = fit.params
    assert (p["a"], p["b"]) == (v.min(), v.max())
    peak = np.exp(-(((v - p["m"]) / p["s"]) ** 2) / 2) / (p["s"] * np.sqrt(2 * np.pi))
    evidence = p["share"]["noise"] / (p["b"] - p["a"]) + p["share"]["peak"] * peak
    assert fit.loglik == pytest.approx(np.log(evidence).sum(), abs=1e-8)
    assert any("only tightens" in warning for warning in fit.warnings)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (
            "family Odd(c : positive) for x : positive:\n"
            "    logpdf = where(x <= c, log(2) + log(c - x) - 2*log(c), -inf)\n"
            "param c : positive\nfor each row:\n    observed u ~ Odd(c)\n",
            "the density is not monotone in it",
        ),
        (
            "param c : positive ~ Gamma(2, 1)\nfor each row:\n    observed u ~ Uniform(0, c)\n",
            "more than the law of the data depends on it",
        ),
        (
            "index g = levels\nparam t : positive\nparam m[g] : real ~ Uniform(0, t)\nfor each row:\n    input g : g\n"
            "    observed u ~ Normal(m[g], 1)\n",
            "other than as a bound of data",
        ),
    ],
)
def test_other_supports_are_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(emdsl.EmmError) as caught:
        emdsl.loads("model M\n" + text).fit(TABLE)
    assert caught.value.code == "not-supported-yet" and why in caught.value.message
    assert "--fix" in (caught.value.help or "")


# --- bounds of a truncation -------------------------------------------------------------------------------------------

TRUNCATED = {
    "y": [x for x in RNG.normal(0.5, 1.0, 400) if -0.5 < x < 1.6][:80],
    "x": RNG.normal(size=80).tolist(),
}  # fmt: skip


def best(log_likelihood: Callable[[float, float], float]) -> float:
    """The maximum over a mean and a standard deviation."""

    def objective(v: NDArray[np.float64]) -> float:
        return -log_likelihood(float(v[0]), float(np.exp(v[1])))

    found: Any = minimize(objective, np.array([0.5, 0.0]))
    return -float(found.fun)


@pytest.mark.parametrize(
    ("ends", "low", "high"), [("lo, inf", "min", None), ("lo, hi", "min", "max"), ("-hi, hi", None, "max")]
)
def test_bounds_of_a_truncation_are_the_extremes(ends: str, low: str | None, high: str | None) -> None:
    """Inside the support the density rises with a bound, whatever the other parameters."""
    y = np.array(TRUNCATED["y"])
    declared = f"{'param lo : real' if low else ''}\n{'param hi : positive' if high else ''}\n"
    text = f"model M\nparam m : real\nparam s : positive\n{declared}for each row:\n"
    fit: Any = emdsl.loads(f"{text}    observed y ~ Normal(m, s) truncated to ({ends})\n").fit(TRUNCATED)
    top = np.inf if high is None else float(np.abs(y).max() if low is None else y.max())
    bottom = -top if low is None else float(y.min())

    def log_likelihood(m: float, s: float) -> float:
        inside = norm.cdf((top - m) / s) - norm.cdf((bottom - m) / s)
        return float(norm.logpdf(y, m, s).sum() - len(y) * np.log(inside))

    expected = best(log_likelihood)
    assert fit.converged
    assert fit.loglik == pytest.approx(expected, abs=1e-6)
    assert fit.params.get("lo", bottom) == bottom and fit.params.get("hi", top) == top
    assert fit.to_dict()["boundary"] == [name for name, side in (("lo", low), ("hi", high)) if side]


def test_bounds_of_a_truncated_positive_law() -> None:
    text = "model M\nparam r : positive\nparam lo : real\nfor each row:\n"
    text += "    observed e ~ Gamma(2, r) truncated to (lo, inf)"
    e = np.array(TABLE["e"])
    fit: Any = emdsl.loads(f"{text}\n").fit(TABLE)
    r = fit.params["r"]
    assert fit.params["lo"] == e.min()
    expected = gamma.logpdf(e, 2, scale=1 / r).sum() - N * gamma.logsf(e.min(), 2, scale=1 / r)
    assert fit.loglik == pytest.approx(expected, abs=1e-9)


def test_a_bound_that_moves_with_data_is_held() -> None:
    text = "model M\nparam b : real\nparam c : real\nfor each row:\n    input x : real\n"
    model = emdsl.loads(f"{text}    observed y ~ Normal(0, 1) truncated to (b + c*x, inf)\n")
    with pytest.raises(emdsl.EmmError, match="other than as a bound of data"):
        model.fit(TRUNCATED)
    fit: Any = model.fit(TRUNCATED, fix={"b": -9, "c": 0.5})
    y, x = np.array(TRUNCATED["y"]), np.array(TRUNCATED["x"])
    assert fit.loglik == pytest.approx(norm.logpdf(y).sum() - norm.logsf(-9 + 0.5 * x).sum(), abs=1e-9)


def test_a_bound_that_its_domain_keeps_from_the_data_is_no_estimate() -> None:
    """A probability cannot be the end of data that go beyond 1."""
    model = emdsl.loads("model M\nparam a : unit\nfor each row:\n    observed x ~ Uniform(0, a)\n")
    with pytest.raises(emdsl.EmmError) as raised:
        model.fit({"x": [0.5, 3.0, 0.2]})
    assert raised.value.code == "impossible-data"
    assert model.fit({"x": [0.5, 0.3, 0.2]}, se="none").params["a"] == 0.5
