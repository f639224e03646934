"""Vectors and hidden numbers that are tied further than within a unit: along chains, over nested and crossed plates,
over places, under one branch of a case; by dense algebra.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import stats
from scipy.special import logsumexp

from tests.laws.hidden_number_models import IntegralCase, Table, Theta, by_unit, column
from tests.laws.hidden_vector_models import (
    GAPS,
    G,
    H,
    Y,
    case_of,
    every,
    reals,
    same,
    seen_normal,
    stacked,
    vectors,
)
from tests.laws.tables import Cell


def _state_space(p: Theta, table: Table) -> float:
    total = 0.0
    for rows in by_unit(table, "g").values():
        n = len(rows)
        step = every(np.eye(2), n)
        for t in range(1, n):
            step[2 * t : 2 * t + 2, 2 * t - 2 : 2 * t] = -np.eye(2)
        inverse = np.linalg.inv(step)
        shocks = every(p["Q"], n)
        shocks[:2, :2] = 4 * np.eye(2)
        covariance = inverse @ shocks @ inverse.T + every(p["S"], n)
        total += seen_normal(stacked(table, Y, rows), np.tile(p["mu"], n), covariance)
    return total


STATE_SPACE = """\
index k = columns(y1, y2)
const first[k, k] = [[4, 0], [0, 4]]
param mu[k] : real
param Q : covariance[k]
param S : covariance[k]
for each g:
    for each t in sequence:
        latent   level[k] ~ MVNormal(0, first) first, MVNormal(prev(level), Q) after
        let m[i in k] = mu[i] + level[i]
        observed y[k] ~ MVNormal(m, S)
"""


def _vector_autoregression(p: Theta, table: Table) -> float:
    total = 0.0
    for rows in by_unit(table, "g").values():
        n = len(rows)
        step = every(np.eye(2), n)
        for t in range(1, n):
            step[2 * t : 2 * t + 2, 2 * t - 2 : 2 * t] = -p["A"]
        inverse = np.linalg.inv(step)
        shocks = every(p["s"] ** 2 * np.array([[1.0, p["r"]], [p["r"], 1.0]]), n)
        shocks[:2, :2] = np.array([[4.0, 1.0], [1.0, 4.0]])
        covariance = inverse @ shocks @ inverse.T + p["e"] ** 2 * np.eye(2 * n)
        total += seen_normal(stacked(table, Y, rows), np.zeros(2 * n), covariance)
    return total


VECTOR_AUTOREGRESSION = """\
index k = columns(y1, y2)
const first[k, k] = [[4, 1], [1, 4]]
param A[k, k] : real
param s : positive
param r : unit
param e : positive
let Q[i in k, j in k] = where(i == j, s^2, r*s^2)
for each g:
    for each t in sequence:
        let m[i in k] = sum(j in k: A[i, j]*prev(level[j]))
        latent   level[k] ~ MVNormal(0, first) first, MVNormal(m, Q) after
        observed y[k] ~ Normal(level[k], e)
"""

PLACES = np.array([0.0, 0.4, 1.0, 1.1, 2.5])


def _field(p: Theta, table: Table) -> float:
    y, site = column(table, "y"), np.array([int(str(label)[1:]) - 1 for label in table["site"]])
    apart = np.abs(np.subtract.outer(PLACES[site], PLACES[site]))
    covariance = p["s"] ** 2 * np.exp(-apart / p["reach"]) + p["sigma"] ** 2 * np.eye(len(y))
    return seen_normal(y, np.full(len(y), float(p["mu"])), covariance)


FIELD = """\
index site = {p1, p2, p3, p4, p5}
const at[site] = [0, 0.4, 1.0, 1.1, 2.5]
param mu : real
param s : positive
param reach : positive
param sigma : positive
let K[i in site, j in site] = s^2*exp(-abs(at[i] - at[j])/reach)
latent f[site] ~ MVNormal(0, K)
for each row:
    input    site : site
    observed y ~ Normal(mu + f[site], sigma)
"""


def _crossed_vectors(p: Theta, table: Table) -> float:
    names, n = Y, len(table["g"])
    rows, samples = (np.array(table[name]) for name in ("g", "sample"))
    of_rows = np.kron((rows[:, None] == rows).astype(float), p["tp"] ** 2 * np.ones((2, 2)))
    of_samples = np.kron((samples[:, None] == samples).astype(float), p["ts"] ** 2 * np.outer(p["load"], p["load"]))
    y = stacked(table, names, list(range(n)))
    return seen_normal(y, np.tile(p["mu"], n), of_rows + of_samples + every(p["S"], n))


CROSSED_VECTORS = """\
index k = columns(y1, y2)
index g = levels
index sample = levels
param mu[k] : real
param load[k] : real
param tp : positive
param ts : positive
param S : covariance[k]
latent u[g] ~ Normal(0, tp)
latent v[sample] ~ Normal(0, ts)
for each row:
    input g : g
    input sample : sample
    let m[i in k] = mu[i] + u[g] + load[i]*v[sample]
    observed y[k] ~ MVNormal(m, S)
"""


def _nested_vectors(p: Theta, table: Table) -> float:
    total = 0.0
    for rows in by_unit(table, "g").values():
        inner = np.array([table["h"][row] for row in rows])
        alike, n = (inner[:, None] == inner).astype(float), len(rows)
        covariance = same(p["T"], n) + np.kron(alike, p["U"]) + every(p["S"], n)
        total += seen_normal(stacked(table, Y, rows), np.tile(p["mu"], n), covariance)
    return total


NESTED_VECTORS = """\
index k = columns(y1, y2)
param mu[k] : real
param T : covariance[k]
param U : covariance[k]
param S : covariance[k]
for each g:
    latent a[k] ~ MVNormal(mu, T)
    for each h:
        latent b[k] ~ MVNormal(a, U)
        for each row:
            observed y[k] ~ MVNormal(b, S)
"""


def _chosen(p: Theta, table: Table) -> float:
    n, g = len(table["g"]), np.array(table["g"])
    alike = (g[:, None] == g).astype(float)
    covariance = np.kron(alike, p["T"]) + every(p["S"], n)
    return seen_normal(stacked(table, Y, list(range(n))), np.tile(p["mu"], n), covariance)


CHOSEN = """\
index k = columns(y1, y2)
index g = levels
param mu[k] : real
param T : covariance[k]
param S : covariance[k]
latent u[g, k] ~ MVNormal(0, T)
for each row:
    input g : g
    let m[i in k] = mu[i] + u[g, i]
    observed y[k] ~ MVNormal(m, S)
"""


def _structured(p: Theta, table: Table) -> float:
    y, g, x = column(table, "y"), np.array(table["g"]), column(table, "x")
    second = np.array([[p["s0"] ** 2, p["r"] * p["s0"] * p["s1"]], [p["r"] * p["s0"] * p["s1"], p["s1"] ** 2]])
    design = np.stack([np.ones(len(y)), x], axis=1)
    covariance = (design @ second @ design.T) * (g[:, None] == g) + p["sigma"] ** 2 * np.eye(len(y))
    return seen_normal(y, design @ p["m"], covariance)


STRUCTURED = """\
index effect = {level, slope}
index g = levels
param m[effect] : real
param s0 : positive
param s1 : positive
param r : unit
param sigma : positive
let C[i in effect, j in effect] = where(i == j, where(i == level, s0^2, s1^2), r*s0*s1)
latent u[g, effect] ~ MVNormal(m, C)
for each row:
    input g : g
    input x : real
    observed y ~ Normal(u[g, level] + u[g, slope]*x, sigma)
"""


def _one_branch(p: Theta, table: Table) -> float:
    y = np.array([column(table, name) for name in Y]).T
    total = 0.0
    for row in y:
        kinds = seen_normal(row, np.zeros(2), p["T"] + p["S"]), seen_normal(row, p["mu"], p["S"])
        total += float(np.logaddexp(*(np.log(p["share"]) + np.array(kinds))))
    return total


ONE_BRANCH = """\
index k = columns(y1, y2)
index kind = {a, b}
param share : simplex[kind]
param mu[k] : real
param T : covariance[k]
param S : covariance[k]
for each row:
    latent z ~ Categorical(share)
    latent u[k] ~ MVNormal(0, T)
    observed y[k] ~ case z:
        a -> MVNormal(u, S)
        b -> MVNormal(mu, S)
"""


def _one_sided(p: Theta, table: Table) -> float:
    """Skew normal vectors, by a product of normal laws in u."""
    y = np.array([column(table, name) for name in Y]).T
    total = 0.0
    for row in y:
        seen = ~np.isnan(row)
        if not seen.any():
            continue
        inverse = np.linalg.inv(p["S"][np.ix_(seen, seen)])
        precision = 1 / p["tau"] ** 2 + p["a"][seen] @ inverse @ p["a"][seen]
        middle = p["a"][seen] @ inverse @ (row - p["mu"])[seen] / precision
        whole = seen_normal(row, p["mu"], p["S"] + p["tau"] ** 2 * np.outer(p["a"], p["a"]))
        total += whole + np.log(2) + float(stats.norm.logcdf(middle * np.sqrt(precision)))
    return total


ONE_SIDED = """\
index k = columns(y1, y2)
param mu[k] : real
param a[k] : real
param tau : positive
param S : covariance[k]
for each row:
    latent u ~ Normal(0, tau) truncated to (0, inf)
    let m[i in k] = mu[i] + a[i]*u
    observed y[k] ~ MVNormal(m, S)
"""


def _student(p: Theta, table: Table) -> float:
    """Student t vectors of whole groups, by the density of the family."""
    total = 0.0
    for rows in by_unit(table, "g").values():
        y, n, x = stacked(table, Y, rows), len(rows), column(table, "x", rows)
        shown = ~np.isnan(y)
        if shown.any():
            mean, shape = np.tile(p["mu"], n) + np.kron(x, p["b"]), every(p["S"], n)
            inside = shape[np.ix_(shown, shown)]
            df: Any = 2 * float(p["a"])
            total += float(stats.multivariate_t.logpdf(y[shown], mean[shown], inside, df=df))
    return total


STUDENT = """\
index k = columns(y1, y2)
param mu[k] : real
param b[k] : real
param a : positive
param S : covariance[k]
for each g:
    latent u ~ Gamma(a, a)
    for each row:
        input x : real
        let m[i in k] = mu[i] + b[i]*x
        let C[i in k, j in k] = S[i, j]/u
        observed y[k] ~ MVNormal(m, C)
"""


def _mixed_by_variance(p: Theta, table: Table) -> float:
    """Normal inverse Gaussian vectors, by a rule in the logarithm of the hidden number."""
    y = np.array([column(table, name) for name in Y]).T
    nodes = np.linspace(-10, 10, 601)
    u, step = np.exp(nodes), nodes[1] - nodes[0]
    law = 0.5 * (np.log(2 / (2 * np.pi)) - 3 * nodes) - 2 * (u - 1) ** 2 / (2 * u)
    total = 0.0
    for row in y:
        seen = ~np.isnan(row)
        if seen.any():
            inside = [seen_normal(row, p["mu"] + p["b"] * point, p["S"] * point) for point in u]
            total += float(logsumexp(law + nodes + np.array(inside)) + np.log(step))
    return total


MIXED_BY_VARIANCE = """\
index k = columns(y1, y2)
param mu[k] : real
param b[k] : real
param S : covariance[k]
for each row:
    latent u ~ InverseGaussian(1, 2)
    let m[i in k] = mu[i] + b[i]*u
    let C[i in k, j in k] = S[i, j]*u
    observed y[k] ~ MVNormal(m, C)
"""


_X: list[Cell] = [0.3, -0.4, 1.1, 0.6, -1.0, 0.2, 0.8, 0.5]
TIED_VECTORS: tuple[IntegralCase, ...] = (
    *case_of("levels along a chain", STATE_SPACE, _state_space, vectors({"g": G, "t": list(range(8))}, 8), GAPS),
    *case_of("a hidden vector autoregression", VECTOR_AUTOREGRESSION, _vector_autoregression,
           vectors({"g": G, "t": list(range(8))}, 8), GAPS),
    *case_of("a field over places", FIELD, _field,
           {"site": ["p1", "p2", "p3", "p4", "p5", "p1", "p2"], "y": reals(7)}, {"y": (1, 3)}),
    *case_of("crossed effects on vectors", CROSSED_VECTORS, _crossed_vectors,
           vectors({"g": list("aabbbccd"), "sample": list("xyxyzzxy")}, 8), GAPS),
    *case_of("nested vectors", NESTED_VECTORS, _nested_vectors, vectors({"g": G, "h": H}, 8), GAPS),
    *case_of("vectors that data choose", CHOSEN, _chosen, vectors({"g": list("aabbbcca")}, 8), GAPS),
    *case_of("an array of vectors with a structure", STRUCTURED, _structured,
             {"g": list("aabbbcca"), "x": _X, "y": reals(8)}, {"y": (1, 3)}),
    *case_of("a vector in one branch", ONE_BRANCH, _one_branch, vectors({}, 6), GAPS),
    *case_of("vectors with a one-sided number", ONE_SIDED, _one_sided, vectors({}, 6), GAPS, method="kernel"),
    *case_of("Student t vectors by group", STUDENT, _student, vectors({"g": list("aabbbcca"), "x": _X}, 8), GAPS,
             method="kernel"),
    *case_of("vectors mixed by mean and variance", MIXED_BY_VARIANCE, _mixed_by_variance, vectors({}, 3), {"y1": (1,)},
             method="kernel"),
)  # fmt: skip
