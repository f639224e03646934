"""What a fit may claim: no maximum where the likelihood has none, and a certificate at a kink."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import emdsl

RNG = np.random.default_rng(8)
ODD, EVEN = RNG.laplace(1.0, 2.0, 41), RNG.laplace(1.0, 2.0, 40)
HEAD = "model M\n"
LAPLACE = HEAD + "param m : real\nparam s : positive\nfor each row:\n    observed x ~ Laplace(m, s)\n"
NORMAL = HEAD + "param m : real\nparam s : positive\nfor each row:\n    observed x ~ Normal(m, s)\n"


def said(fit: Any) -> str:
    """All warnings as one text."""
    return "\n".join(fit.warnings)


@pytest.mark.parametrize("x", [ODD, EVEN], ids=["odd", "even"])
def test_a_laplace_location_is_certified_at_the_median(x: np.ndarray) -> None:
    fit: Any = emdsl.loads(LAPLACE).fit({"x": x.tolist()})
    scale = np.abs(x - np.median(x)).mean()
    assert fit.converged
    assert fit.loglik == pytest.approx(-len(x) * (np.log(2 * scale) + 1), abs=1e-8)
    low, high = np.sort(x)[[(len(x) - 1) // 2, len(x) // 2]]
    assert low - 1e-7 <= fit.params["m"] <= high + 1e-7
    assert fit.params["s"] == pytest.approx(scale, rel=1e-8)
    assert fit.se["m"] is None and fit.se["s"] == pytest.approx(scale / np.sqrt(len(x)), rel=1e-5)
    assert "at a kink of the likelihood" in said(fit) and fit.to_dict()["boundary"] == []


def test_least_absolute_deviations() -> None:
    text = """model M
param a : real
param b : real
param s : positive
for each row:
    input z : real
    observed x ~ Laplace(a + b*z, s)
"""
    z = RNG.normal(size=41)
    x = 1 + 2 * z + ODD / 3
    fit: Any = emdsl.loads(text).fit({"x": x.tolist(), "z": z.tolist()})
    # The optimum passes through two of the points: all lines through two points are tried.
    best = np.inf
    for i in range(41):
        for j in range(i):
            slope = (x[i] - x[j]) / (z[i] - z[j])
            best = min(best, np.abs(x - x[i] - slope * (z - z[i])).mean())
    assert fit.loglik == pytest.approx(-41 * (np.log(2 * best) + 1), abs=1e-6) or not fit.converged


@pytest.mark.parametrize("x", [[2.0] * 20, [3.0]], ids=["constant", "one row"])
def test_data_without_spread_get_one_clear_sentence(x: list[float]) -> None:
    fit: Any = emdsl.loads(NORMAL).fit({"x": x})
    assert not fit.converged
    why = "where the likelihood grows without limit: the data do not vary enough to estimate it"
    assert fit.warnings == (f"the next step sets s to 0, {why}",)


def test_an_infinite_prior_density_at_a_bound_is_no_mode() -> None:
    text = HEAD + "param p : unit ~ Beta(0.5, 0.5)\nfor each row:\n    observed y ~ Bernoulli(p)\n"
    fit: Any = emdsl.loads(text).fit({"y": [0] * 30})
    assert not fit.converged and "grows without limit" in said(fit)
    both: Any = emdsl.loads(text).fit({"y": [0] * 15 + [1] * 15})
    assert both.converged and both.params["p"] == pytest.approx(0.5)


def test_a_hierarchical_prior_that_closes_on_its_mean() -> None:
    text = """model M
index g = levels
param t : positive ~ Exponential(1)
param q : contrast[g] ~ Normal(0, t)
param m : real
for each row:
    input g : g
    observed x ~ Normal(m + q[g], 1)
"""
    x = RNG.normal(size=60)
    fit: Any = emdsl.loads(text).fit({"x": x.tolist(), "g": [f"g{k % 3}" for k in range(60)]})
    assert not fit.converged and fit.iterations < 500
    assert "t is running into a bound where the likelihood grows without limit" in said(fit)


def test_components_that_collapse_on_points_are_no_maximum() -> None:
    text = """model M
index k = 1..2
param w : simplex[k]
param m[k] : real
param s[k] : positive
for each row:
    latent z ~ Categorical(w)
    observed x ~ Normal(m[z], s[z])
"""
    fit: Any = emdsl.loads(text).fit({"x": [1.0, 1.0, 1.0, 2.0, 2.0, 3.0]}, starts=5)
    assert not fit.converged and "degenerate optimum" in said(fit)


def test_rounding_that_hides_the_maximum_is_told() -> None:
    text = HEAD + "param a : positive\nparam b : positive\nfor each row:\n    observed x ~ InverseGamma(a, b)\n"
    fit: Any = emdsl.loads(text).fit({"x": (10 + 1e-4 * RNG.normal(size=60)).tolist()})
    assert not fit.converged and "rounding moves the log-likelihood" in said(fit)


def test_a_symmetric_start_is_no_maximum() -> None:
    text = """model M
index k = 1..2
param w : simplex[k]
param m[k] : real
param s : positive
for each row:
    latent z ~ Categorical(w)
    observed x ~ Normal(m[z], s)
"""
    bimodal = np.concatenate([RNG.normal(-3, 1, 30), RNG.normal(3, 1, 30)])
    fit: Any = emdsl.loads(text).fit({"x": bimodal.tolist()}, starts=1)
    # Either it finds its way off the saddle, or it does not say that it converged.
    if fit.converged:
        assert fit.params["m"]["1"] != pytest.approx(fit.params["m"]["2"], abs=1.0)
    else:
        assert "saddle point" in said(fit)


def test_states_reached_by_a_logistic_transition_are_not_taken_for_empty() -> None:
    # The first law alone says how many chains begin in a state; the units that a state holds are all of its rows.
    text = """model M
index s = {low, high}
param start : simplex[s]
param b[s] : real
param m[s] : real
param d : positive
for each g:
    for each row in sequence:
        let up = logistic(b[prev(z)])
        latent z ~ Categorical(start) first, Categorical({low: 1 - up, high: up}) after
        observed x ~ Normal(m[z], d)
"""
    table = (
        "model M\nindex s = {low, high}\nparam start : simplex[s]\nparam A[s] : simplex[s]\nparam m[s] : real\n"
        "param d : positive\nfor each g:\n    for each row in sequence:\n        latent z ~ Markov(start, A)\n"
        "        observed x ~ Normal(m[z], d)\n"
    )
    rng = np.random.default_rng(3)
    z = np.repeat([0, 1, 0, 1, 1, 0], 12)
    data = {"g": ["a"] * 36 + ["b"] * 36, "x": rng.normal(4.0 * z, 1.0).tolist()}
    fit: Any = emdsl.loads(text).fit(data, starts=4)
    assert fit.converged and "dropped" not in said(fit)
    assert fit.loglik == pytest.approx(emdsl.loads(table).fit(data, starts=4).loglik, abs=1e-6)


def test_too_few_nodes_do_not_end_a_fit() -> None:
    # With abilities so far apart the first nodes are too few, EM on them falls, and more nodes must be taken.
    text = """model M
index item = columns("y*")
param b[item] : real
param s : positive
for each person:
    weight   n
    latent   theta ~ Normal(0, s)
    observed y[item] ~ Bernoulli(logistic(theta - b[item]))
"""
    patterns = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (1, 0, 1), (0, 1, 1), (1, 1, 1)]
    counts = [103, 13, 3, 9, 21, 26, 6, 181]
    data = {f"y{j}": [row[j] for row in patterns] for j in range(3)} | {"n": counts}
    fit: Any = emdsl.loads(text).fit(data, starts=2)
    x = np.linspace(-9.0, 9.0, 6001)
    law = np.exp(-(x**2) / 2) * (x[1] - x[0]) / np.sqrt(2 * np.pi)
    z = fit.params["s"] * x[:, None] - np.array(list(fit.params["b"].values()))
    chance = np.array([np.exp(-np.logaddexp(0.0, np.where(row, -z, z)).sum(axis=1)) @ law for row in patterns])
    assert fit.converged
    assert fit.loglik == pytest.approx(float(np.array(counts) @ np.log(chance)), abs=1e-5)


LOGISTIC = "model M\nindex g = levels\nparam a : real\nparam b : contrast[g]\nfor each row:\n    input g : g\n"


def test_a_group_without_failures_runs_off_and_leaves_the_others_their_errors() -> None:
    text = LOGISTIC + "    observed y ~ Bernoulli(logistic(a + b[g]))\n"
    fit: Any = emdsl.loads(text).fit({"g": ["u"] * 5 + ["v"] * 5, "y": [0, 1, 0, 1, 1] + [1] * 5})
    assert not fit.converged and "b.v is running off to infinity" in said(fit)
    assert fit.se["a"] == pytest.approx((5 * 0.6 * 0.4) ** -0.5, rel=1e-4)
    assert fit.se["b"] == {"u": None, "v": None} and fit.to_dict()["boundary"] == []


def test_a_group_that_counts_nothing_runs_off_and_leaves_the_others_their_errors() -> None:
    text = "index g = levels\nparam b[g] : real\nfor each row:\n    input g : g\n    observed y ~ Poisson(exp(b[g]))\n"
    fit: Any = emdsl.loads(text).fit({"g": ["u"] * 5 + ["v"] * 5, "y": [0, 1, 0, 2, 1] + [0] * 5})
    assert not fit.converged and "b.v is running off to infinity" in said(fit)
    assert fit.se["b"] == {"u": pytest.approx(0.5, rel=1e-6), "v": None}


def test_a_direction_that_runs_off_is_no_maximum() -> None:
    # After `inc` always `cor`: the likelihood rises with a, and a + b is told by what follows `cor`.
    text = """model M
index answer = {inc, cor}
param a : real
param b : real
for each row in sequence:
    observed y : answer ~ Categorical(softmax(k in answer: (k == cor)*(a + b*(prev(y) == cor))))
"""
    fit: Any = emdsl.loads(text).fit({"y": ["cor", "inc", "cor", "cor", "inc", "cor", "inc", "cor"]})
    assert not fit.converged and "a and b are running off to infinity" in said(fit)
    assert fit.loglik == pytest.approx(3 * np.log(3 / 4) + np.log(1 / 4), abs=1e-6)


def test_what_the_data_do_not_determine_does_not_run_off() -> None:
    text = "model M\nparam a : real init 5\nparam b : real init 4\nparam s : positive\nfor each row:\n"
    fit: Any = emdsl.loads(text + "    observed x ~ Normal(a*b, s)\n").fit({"x": ODD.tolist()})
    assert "running off" not in said(fit) and "not determined by the data" in said(fit)
