"""Vectors with missing cells, normal laws whose mean or covariance is an expression: laws, direct maximisation."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

import emdsl
from tests.models.comparison import disagreements
from tests.models.direct_maximisation import Array, Block, Point, maximise
from tests.models.vector_and_count_likelihoods import log_normal_of_seen, log_normal_rows

XY = ("x", "y")

ONE = """
index dim = columns({columns})
param mu[dim] : real
param S : covariance[dim]
for each row:
    observed v[dim] ~ MVNormal(mu, S)
"""

MIXTURE = """
index dim = columns(x, y)
index cluster = 1..2
param share : simplex[cluster]
param mu[cluster, dim] : real
param S[cluster] : covariance[dim]
for each row:
    latent z ~ Categorical(share)
    observed v[dim] ~ MVNormal(mu[z], S[z])
order cluster by mu[cluster, x]
"""

BY_CASE = """
index dim = columns(x, y)
index cluster = {low, high}
param share : simplex[cluster]
param m1[dim] : real
param S1 : covariance[dim]
param m2[dim] : real
param S2 : covariance[dim]
for each row:
    latent z ~ Categorical(share)
    observed v[dim] ~ case z:
        low  -> MVNormal(m1, S1)
        high -> MVNormal(m2, S2)
"""


def clusters(missing: float) -> Array:
    """160 points of two clusters, `(rows, 2)`, with cells missing at random (whole rows too)."""
    rng = np.random.default_rng(4)
    high = rng.random(160) < 0.4
    points = rng.normal(size=(160, 2)) @ np.array([[1.0, 0.6], [0.0, 0.8]]) + np.where(high, 4.0, 0.0)[:, None]
    points[rng.random(points.shape) < missing] = np.nan
    return points


def as_columns(points: Array, names: tuple[str, ...] = XY) -> dict[str, Array]:
    return dict(zip(names, points.T, strict=True))


def fit(text: str, data: dict[str, Any], **options: Any) -> dict[str, Any]:
    result: dict[str, Any] = emdsl.loads(text).fit(data, **options).to_dict()
    return result


def test_a_mixture_with_missing_cells_agrees_with_direct_maximisation() -> None:
    points = clusters(0.2)
    assert np.isnan(points).all(axis=1).any()

    def log_likelihood(p: Point) -> float:
        factors = [np.array([[np.exp(a), 0.0], [b, np.exp(c)]]) for a, b, c in p["root"]]
        law = [log_normal_rows(points, mean, root @ root.T) for mean, root in zip(p["mu"], factors, strict=True)]
        return float(logsumexp(np.log(p["share"])[:, None] + np.array(law), axis=0).sum())

    two = ("1", "2")
    blocks = (
        Block("share", "simplex", (two,)), Block("mu", "real", (two, XY)),
        Block("root", "real", (two, ("a", "b", "c"))),
    )  # fmt: skip
    start = {"share": [0.6, 0.4], "mu": [[0.0, 0.0], [4.0, 4.0]], "root": [[0.0, 0.5, -0.2]] * 2}
    reference = maximise(log_likelihood, blocks, [start])
    root = reference.estimates.pop("root")
    reference.errors.pop("root")
    found = fit(MIXTURE, as_columns(points))
    assert disagreements(found, reference) == []
    factor = np.array([[np.exp(root["1"]["a"]), 0.0], [root["1"]["b"], np.exp(root["1"]["c"])]])
    here = found["params"]["S"]["1"]
    assert np.array([[here[a][b] for b in XY] for a in XY]) == pytest.approx(factor @ factor.T, abs=1e-5)


@pytest.mark.parametrize("model", [MIXTURE, BY_CASE], ids=["indexed", "by case"])
def test_a_variable_that_is_never_seen_changes_nothing(model: str) -> None:
    points = clusters(0.2)
    plain = fit(model, as_columns(points))
    wider = fit(model.replace("columns(x, y)", "columns(x, y, w)"), {**as_columns(points), "w": [None] * len(points)})
    assert wider["loglik"] == pytest.approx(plain["loglik"], abs=1e-8)
    assert wider["params"]["share"] == pytest.approx(plain["params"]["share"], abs=1e-7)
    name = "mu" if model == MIXTURE else "m1"
    before, after = plain["params"][name], wider["params"][name]
    if model == MIXTURE:
        before, after = before["1"], after["1"]
    assert {k: after[k] for k in XY} == pytest.approx(before, abs=1e-6)
    assert any("not determined by the data" in line for line in wider["warnings"])


def test_the_path_for_missing_cells_equals_the_complete_one() -> None:
    """An empty row turns the path for missing cells on and weighs nothing itself."""
    points = clusters(0.0)
    whole = fit(MIXTURE, as_columns(points))
    with_gap = fit(MIXTURE, as_columns(np.vstack([points, [[np.nan, np.nan]]])))
    assert with_gap["loglik"] == pytest.approx(whole["loglik"], abs=1e-8)
    for k in ("1", "2"):
        assert with_gap["params"]["mu"][k] == pytest.approx(whole["params"]["mu"][k], abs=1e-6)
        for row in XY:
            assert with_gap["params"]["S"][k][row] == pytest.approx(whole["params"]["S"][k][row], abs=1e-6)
            assert with_gap["se"]["S"][k][row] == pytest.approx(whole["se"]["S"][k][row], rel=1e-4)


def test_the_branches_of_a_case_are_the_components_of_a_mixture() -> None:
    points = clusters(0.0)
    one, two = fit(MIXTURE, as_columns(points)), fit(BY_CASE, as_columns(points))
    assert two["loglik"] == pytest.approx(one["loglik"], abs=1e-8)


def test_one_em_iteration_never_falls_and_weights_are_counts() -> None:
    points = clusters(0.3)
    model = emdsl.loads(ONE.format(columns="x, y").replace("    observed", "    weight count\n    observed"))
    counts = np.arange(len(points)) % 3 + 0.0
    weighted = model.fit({**as_columns(points), "count": counts}).to_dict()
    repeated = fit(ONE.format(columns="x, y"), as_columns(np.repeat(points, counts.astype(int), axis=0)))
    assert weighted["loglik"] == pytest.approx(repeated["loglik"], abs=1e-8)
    assert weighted["params"]["mu"] == pytest.approx(repeated["params"]["mu"], abs=1e-7)
    logliks = [
        model.fit({**as_columns(points), "count": counts}, tol=0, max_iter=n, accelerate="none", starts=1).loglik
        for n in range(1, 8)
    ]
    assert all(later >= earlier - 1e-9 for earlier, later in pairwise(logliks))


def test_a_hidden_chain_with_missing_cells_agrees_with_enumeration() -> None:
    rng = np.random.default_rng(6)
    points = rng.normal(size=(6, 2)) + np.repeat([[0.0], [3.0]], 3, axis=0)
    points[1, 0] = points[3, 1] = points[4, 0] = points[4, 1] = np.nan
    text = MIXTURE.replace("param mu", "param A[cluster] : simplex[cluster]\nparam mu")
    text = text.replace("for each row:", "for each row in sequence:").replace("Categorical(share)", "Markov(share, A)")
    start: dict[str, Any] = {
        "share": {"1": 0.3, "2": 0.7}, "A": {"1": {"1": 0.8, "2": 0.2}, "2": {"1": 0.4, "2": 0.6}},
        "mu": {"1": {"x": 0.1, "y": -0.2}, "2": {"x": 2.5, "y": 3.0}},
        "S": {
            "1": {"x": {"x": 1.0, "y": 0.3}, "y": {"x": 0.3, "y": 0.8}},
            "2": {"x": {"x": 2.0, "y": -0.4}, "y": {"x": -0.4, "y": 1.0}},
        },
    }  # fmt: skip
    found = fit(text, as_columns(points), init=start, max_iter=0, starts=1)
    total = []
    for path in np.ndindex(*(2,) * 6):
        log = np.log(start["share"][str(path[0] + 1)])
        log += sum(np.log(start["A"][str(a + 1)][str(b + 1)]) for a, b in pairwise(path))
        for row, state in zip(points, path, strict=True):
            mean = np.array([start["mu"][str(state + 1)][k] for k in XY])
            law = np.array([[start["S"][str(state + 1)][a][b] for b in XY] for a in XY])
            log += log_normal_of_seen(row, mean, law)
        total.append(log)
    assert found["loglik"] == pytest.approx(float(logsumexp(total)), abs=1e-9)


# --- expressions ------------------------------------------------------------------------------------------------------

REGRESSION = """
index dim = columns(x, y)
param b0[dim] : real
param b1[dim] : real
param S : covariance[dim]
for each row:
    input t : real
    let m[i in dim] = b0[i] + b1[i]*t
    observed v[dim] ~ MVNormal(m, S)
"""


def test_a_regression_of_vectors_is_least_squares() -> None:
    rng = np.random.default_rng(8)
    t = rng.normal(size=80)
    points = np.column_stack([1 + 2 * t, 3 - t]) + rng.normal(size=(80, 2)) @ np.array([[1.0, 0.5], [0.0, 0.7]])
    found = fit(REGRESSION, {"t": t, **as_columns(points)})
    design = np.column_stack([np.ones(80), t])
    slopes = np.linalg.lstsq(design, points, rcond=None)[0]
    rest = points - design @ slopes
    law = rest.T @ rest / 80
    assert found["converged"]
    assert [found["params"][name][k] for name in ("b0", "b1") for k in XY] == pytest.approx(slopes.ravel(), abs=1e-8)
    assert [found["params"]["S"][a][b] for a in XY for b in XY] == pytest.approx(law.ravel(), abs=1e-8)
    expected = np.sqrt(np.kron(np.linalg.inv(design.T @ design), law).diagonal())
    assert [found["se"][name][k] for name in ("b0", "b1") for k in XY] == pytest.approx(expected, rel=1e-4)
    exact = sum(multivariate_normal.logpdf(row, np.zeros(2), law) for row in rest)
    assert found["loglik"] == pytest.approx(exact, abs=1e-8)


def test_a_saturated_expression_equals_the_closed_form() -> None:
    """A covariance that is written out as an expression of a covariance is that covariance."""
    points = clusters(0.2)
    plain = fit(ONE.format(columns="x, y"), as_columns(points))
    text = ONE.format(columns="x, y").replace("for each", "let T[i in dim, j in dim] = S[i, j]*exp(0*mu[i])\nfor each")
    written = fit(text.replace("MVNormal(mu, S)", "MVNormal(mu, T)"), as_columns(points))
    assert written["loglik"] == pytest.approx(plain["loglik"], abs=1e-9)
    for row in XY:
        assert written["params"]["S"][row] == pytest.approx(plain["params"]["S"][row], abs=1e-6)
        assert written["se"]["S"][row] == pytest.approx(plain["se"]["S"][row], rel=1e-4)


FACTOR = """
index item = columns(a, b, c, d)
index factor = 1..1
param nu[item] : real
param load[item, factor] : real init 0.5
param psi[item] : positive
let C[i in item, j in item] = sum(k in factor: load[i, k]*load[j, k]) + where(i == j, psi[i]^2, 0)
for each row:
    observed v[item] ~ MVNormal(nu, C)
"""


def test_a_factor_covariance_with_missing_cells_agrees_with_direct_maximisation() -> None:
    rng = np.random.default_rng(9)
    points = rng.normal(size=(120, 1)) * [1.0, 0.8, -0.6, 1.2] + rng.normal(size=(120, 4)) * 0.7 + [1.0, 2.0, 3.0, 4.0]
    points[rng.random(points.shape) < 0.15] = np.nan

    def log_likelihood(p: Point) -> float:
        law = np.outer(p["load"], p["load"]) + np.diag(p["psi"] ** 2)
        return float(log_normal_rows(points, p["nu"], law).sum())

    items = (tuple("abcd"),)
    blocks = Block("nu", "real", items), Block("load", "real", items), Block("psi", "positive", items)
    start = {"nu": [1.0, 2.0, 3.0, 4.0], "load": [1.0, 0.8, -0.6, 1.2], "psi": [0.7] * 4}
    reference = maximise(log_likelihood, blocks, [start])
    found = fit(FACTOR, as_columns(points, tuple("abcd")))
    turn = np.sign(found["params"]["load"]["a"]["1"])
    found["params"]["load"] = {k: turn * row["1"] for k, row in found["params"]["load"].items()}
    found["se"]["load"] = {k: row["1"] for k, row in found["se"]["load"].items()}
    assert disagreements(found, reference) == []


BY_GROUP = """
index dim = columns(x, y)
index group = {left, right}
index cluster = 1..2
param share : simplex[cluster]
param mu[group, dim] : real
param up[cluster] : real
param s : positive
param r : interval(-1, 1)
let C[i in dim, j in dim] = where(i == j, s^2, s^2*r)
for each row:
    input group : group
    latent z ~ Categorical(share)
    let m[i in dim] = mu[group, i] + up[z]
    observed v[dim] ~ MVNormal(m, C)
"""


def test_means_by_group_and_class_agree_with_the_likelihood_and_its_slopes() -> None:
    """Evaluated at a point; the score by Fisher's identity against differences of the log-likelihood."""
    points, group = clusters(0.25), np.arange(160) % 2
    at: dict[str, Any] = {
        "share": {"1": 0.35, "2": 0.65}, "mu": {"left": {"x": 0.2, "y": 0.1}, "right": {"x": -0.3, "y": 0.4}},
        "up": {"1": -0.5, "2": 3.0}, "s": 1.3, "r": 0.4,
    }  # fmt: skip
    law = 1.3**2 * np.array([[1.0, 0.4], [0.4, 1.0]])
    total = 0.0
    for row, g in zip(points, group, strict=True):
        mean = np.array([at["mu"][("left", "right")[g]][k] for k in XY])
        parts = [np.log(at["share"][k]) + log_normal_of_seen(row, mean + at["up"][k], law) for k in ("1", "2")]
        total += float(np.logaddexp(*parts))
    data = {"group": np.array(["left", "right"])[group], **as_columns(points)}
    assert fit(BY_GROUP, data, init=at, max_iter=0, starts=1)["loglik"] == pytest.approx(total, abs=1e-9)
    compiled = emdsl.loads(BY_GROUP).compiled
    from emdsl.request import FitRequest

    problem = compiled.problem(compiled.bind(data, FitRequest()), FitRequest(init=at))
    theta = problem.initial()
    score = problem.gradient(theta, problem.expect(theta).statistics)
    for name, array in theta.items():
        for place in np.ndindex(*array.shape):
            ends = []
            for step in (1e-5, -1e-5):
                moved = array.copy()
                moved[place] += step
                ends.append(problem.expect({**theta, name: moved}).loglik)
            assert score[name][place] == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-5, abs=1e-5)


# --- other laws of vectors --------------------------------------------------------------------------------------------

SHARES = """
index k = columns(a, b, c)
param q[k] : positive
for each row:
    observed x[k] ~ Dirichlet(q)
"""


def test_a_dirichlet_vector_is_seen_whole_or_not_at_all() -> None:
    rng = np.random.default_rng(2)
    shares = rng.dirichlet([2.0, 3.0, 4.0], size=30)
    plain = fit(SHARES, as_columns(shares, tuple("abc")))
    gap = fit(SHARES, as_columns(np.vstack([shares[:7], [[np.nan] * 3], shares[7:]]), tuple("abc")))
    assert gap["loglik"] == pytest.approx(plain["loglik"], abs=1e-9)
    assert gap["params"]["q"] == pytest.approx(plain["params"]["q"], abs=1e-7)


def test_a_multinomial_vector_with_one_missing_cell_is_refused() -> None:
    text = """
index k = columns(a, b, c)
param q : simplex[k]
for each row:
    input n : natural
    observed x[k] ~ Multinomial(n, q)
"""
    with pytest.raises(emdsl.EmmError) as caught:
        fit(text, {"n": [5, 6], "a": [1, None], "b": [2, 3], "c": [2, 3]})
    found = caught.value.diagnostics[0]
    assert found.code == "missing-part"
    assert "row 2" in found.place


def test_an_array_of_vectors_is_refused() -> None:
    text = "index g = {u, w}\n" + ONE.format(columns="x, y").replace("v[dim]", "v[g, dim]")
    with pytest.raises(emdsl.EmmError, match="array of vectors"):
        emdsl.loads(text)


def test_simulated_vectors_have_the_mean_and_covariance_of_the_expressions() -> None:
    law = {"x": {"x": 1.0, "y": 0.6}, "y": {"x": 0.6, "y": 2.0}}
    at = {"b0": {"x": 1.0, "y": -1.0}, "b1": {"x": 2.0, "y": 0.5}, "S": law}
    t = np.tile([0.0, 1.0], 4000)
    design = {"t": t, "x": t, "y": t + np.sin(np.arange(8000))}
    fitted = emdsl.loads(REGRESSION).fit(design, init=at, max_iter=0, se="none")
    drawn = fitted.simulate(seed=3)
    values = np.column_stack([np.asarray(drawn[k], dtype=float) for k in XY])
    error = 4 * np.sqrt(2.0 / 4000)
    assert values[t == 1].mean(axis=0) == pytest.approx([3.0, -0.5], abs=error)
    assert np.cov(values[t == 0].T) == pytest.approx(np.array([[1.0, 0.6], [0.6, 2.0]]), abs=3 * error)
