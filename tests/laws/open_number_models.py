"""Small models in which laws look at observed numbers with open cells, each with its likelihood coded by another way.

Normal models are one dense normal vector of everything observed, of which the empty cells are left out; others are sums
over fine grids of the values that an open cell may have.
"""

from __future__ import annotations

import numpy as np
from scipy import stats

from tests.laws.bound_models import Array
from tests.laws.hidden_number_models import IntegralCase, Table, Theta, column
from tests.laws.tables import Cell

NAN = None


def dense(values: Array, mean: Array, covariance: Array) -> float:
    """The log-density of what is seen of a normal vector."""
    seen = ~np.isnan(values)
    root = np.linalg.cholesky(covariance[np.ix_(seen, seen)])
    z = np.linalg.solve(root, (values - mean)[seen])
    return float(-0.5 * z @ z - np.log(np.diagonal(root)).sum() - 0.5 * seen.sum() * np.log(2 * np.pi))


def line(start: float, stop: float, count: int = 4001) -> tuple[Array, float]:
    """An even grid and the logarithm of its step."""
    grid = np.linspace(start, stop, count)
    return grid, float(np.log(grid[1] - grid[0]))


def added(logs: Array) -> float:
    """The logarithm of a sum."""
    return float(np.logaddexp.reduce(np.ravel(logs)))


# --- one covariate ----------------------------------------------------------------------------------------------------

X: list[Cell] = [0.3, NAN, 1.2, NAN, -0.7, 2.0, NAN, 0.4]
Y: list[Cell] = [0.1, 1.9, 1.5, NAN, -0.2, 2.2, 0.4, NAN]
REGRESSION = """
param m : real
param t : positive
param b : real
param c : real
param s : positive
for each row:
    observed x ~ Normal(m, t)
    observed y ~ Normal(b + c*x, s)
"""


def regression(p: Theta, table: Table) -> float:
    """Two columns, jointly normal."""
    m, t, b, c, s = (float(p[name]) for name in ("m", "t", "b", "c", "s"))
    mean, covariance = np.array([m, b + c * m]), np.array([[t * t, c * t * t], [c * t * t, c * c * t * t + s * s]])
    pairs = np.column_stack([column(table, "x"), column(table, "y")])
    return sum(dense(pair, mean, covariance) for pair in pairs)


LOGISTIC = REGRESSION.replace("param s : positive\n", "").replace("Normal(b + c*x, s)", "Bernoulli(logistic(b + c*x))")


def logistic(p: Theta, table: Table) -> float:
    """By a fine sum over the covariate."""
    m, t, b, c = (float(p[name]) for name in ("m", "t", "b", "c"))
    grid, step = line(m - 12 * t, m + 12 * t)
    total = 0.0
    for x, y in zip(column(table, "x"), column(table, "y"), strict=True):
        values, shift = (grid, step) if np.isnan(x) else (np.array([x]), 0.0)
        chance = np.zeros(len(values)) if np.isnan(y) else -np.logaddexp(0.0, -(2 * y - 1) * (b + c * values))
        total += added(stats.norm(m, t).logpdf(values) + chance + shift)
    return total


COUNT = REGRESSION.replace("param m : real\nparam t", "param t").replace("Normal(m, t)", "Poisson(t)")


def count(p: Theta, table: Table) -> float:
    """A count as covariate."""
    t, b, c, s = (float(p[name]) for name in ("t", "b", "c", "s"))
    total = 0.0
    for x, y in zip(column(table, "x"), column(table, "y"), strict=True):
        values = np.arange(400.0) if np.isnan(x) else np.array([x])
        density = 0.0 if np.isnan(y) else stats.norm(b + c * values, s).logpdf(y)
        total += added(stats.poisson(t).logpmf(values) + density)
    return total


GAMMA = """
param a : positive
param r : positive
param c : positive
for each row:
    observed x ~ Gamma(a, r)
    observed y ~ Poisson(c*x)
"""


def gamma(p: Theta, table: Table) -> float:
    """Where the rate is not seen, the count is negative binomial."""
    a, r, c = (float(p[name]) for name in ("a", "r", "c"))
    total = 0.0
    for x, y in zip(column(table, "x"), column(table, "y"), strict=True):
        if np.isnan(x):
            total += stats.nbinom(a, r / (r + c)).logpmf(y)
        else:
            total += stats.gamma(a, scale=1 / r).logpdf(x) + stats.poisson(c * x).logpmf(y)
    return total


MIXTURE = """
index k = {u, v}
param q : simplex[k]
param m[k] : real
param t : positive
param b[k] : real
param c : real
param s : positive
for each row:
    latent   z ~ Categorical(q)
    observed x ~ Normal(m[z], t)
    observed y ~ Normal(b[z] + c*x, s)
"""


def mixture(p: Theta, table: Table) -> float:
    """The two columns of each class, jointly normal."""
    t, c, s = float(p["t"]), float(p["c"]), float(p["s"])
    covariance = np.array([[t * t, c * t * t], [c * t * t, c * c * t * t + s * s]])
    total = 0.0
    for pair in np.column_stack([column(table, "x"), column(table, "y")]):
        classes = [
            np.log(p["q"][k]) + dense(pair, np.array([p["m"][k], p["b"][k] + c * p["m"][k]]), covariance)
            for k in range(2)
        ]
        total += added(np.array(classes))
    return total


# --- several ----------------------------------------------------------------------------------------------------------

VECTOR = """
index k = {x1, x2}
param mu[k] : real
param V : covariance[k]
param b : real
param c[k] : real
param s : positive
for each row:
    observed x[k] ~ MVNormal(mu, V)
    observed y ~ Normal(b + dot(c, x), s)
"""
ARRAY = VECTOR.replace("V : covariance[k]", "t[k] : positive").replace("MVNormal(mu, V)", "Normal(mu[k], t[k])")
TWO: Table = {
    "x1": [0.3, NAN, 1.2, NAN, -0.7, 2.0, NAN, 0.4],
    "x2": [NAN, 0.5, 0.1, NAN, 0.9, NAN, -1.1, 0.2],
    "y": [0.1, 1.9, 1.5, 0.4, -0.2, 2.2, NAN, 0.3],
}


def two(p: Theta, table: Table) -> float:
    """Three columns, jointly normal."""
    inner = np.diag(p["t"] ** 2) if "t" in p else np.asarray(p["V"])
    load = np.vstack([np.eye(2), p["c"]])
    mean = load @ p["mu"] + np.array([0.0, 0.0, float(p["b"])])
    covariance = load @ inner @ load.T + np.diag([0.0, 0.0, float(p["s"]) ** 2])
    return sum(dense(row, mean, covariance) for row in np.column_stack([column(table, n) for n in ("x1", "x2", "y")]))


FACTOR = """
param m : real
param t : positive
param w : positive
param c : real
param l : positive
param s : positive
for each row:
    latent   h ~ Normal(0, 1)
    observed v ~ Normal(h, w)
    observed x ~ Normal(m, t)
    observed y ~ Normal(c*x + l*h, s)
"""


def factor(p: Theta, table: Table) -> float:
    """A hidden number of the row beside an open cell."""
    m, t, w, c, load, s = (float(p[name]) for name in ("m", "t", "w", "c", "l", "s"))
    covariance = np.array([
        [1 + w * w, 0, load], [0, t * t, c * t * t], [load, c * t * t, c * c * t * t + load**2 + s * s]
    ])  # fmt: skip
    rows = np.column_stack([column(table, name) for name in ("v", "x", "y")])
    return sum(dense(row, np.array([0, m, c * m]), covariance) for row in rows)


# --- plates and chains ------------------------------------------------------------------------------------------------

GROUPS: list[Cell] = ["a", "a", "b", "b", "c", "c", "d", "d"]
INTERCEPTS = """
param m : real
param t : positive
param b : real
param c : real
param tau : positive
param s : positive
for each g:
    latent u ~ Normal(0, tau)
    for each row:
        observed x ~ Normal(m, t)
        observed y ~ Normal(b + u + c*x, s)
"""


def intercepts(p: Theta, table: Table) -> float:
    """The two columns of each group, jointly normal."""
    m, t, b, c, tau, s = (float(p[name]) for name in ("m", "t", "b", "c", "tau", "s"))
    total = 0.0
    for label in dict.fromkeys(table["g"]):
        rows = [row for row, other in enumerate(table["g"]) if other == label]
        n, one = len(rows), np.eye(len(rows))
        values = np.concatenate([column(table, "x", rows), column(table, "y", rows)])
        mean = np.concatenate([np.full(n, m), np.full(n, b + c * m)])
        across = c * c * t * t * one + s * s * one + tau * tau
        covariance = np.block([[t * t * one, c * t * t * one], [c * t * t * one, across]])
        total += dense(values, mean, covariance)
    return total


MIXED = INTERCEPTS.replace("param s : positive\n", "").replace(
    "Normal(b + u + c*x, s)", "Bernoulli(logistic(b + u + c*x))"
)


def mixed(p: Theta, table: Table) -> float:
    """By fine sums over the effect of the group and, for each row, its covariate."""
    m, t, b, c, tau = (float(p[name]) for name in ("m", "t", "b", "c", "tau"))
    grid, step = line(-9.0, 9.0, 601)
    u, law = tau * grid, stats.norm.logpdf(grid) + step
    total = 0.0
    for label in dict.fromkeys(table["g"]):
        logs = law.copy()
        for row in [row for row, other in enumerate(table["g"]) if other == label]:
            x, y = column(table, "x", [row])[0], column(table, "y", [row])[0]
            values = m + t * grid if np.isnan(x) else np.array([x])
            own = law if np.isnan(x) else stats.norm(m, t).logpdf(values)
            logs = logs + np.logaddexp.reduce(
                own - np.logaddexp(0.0, -(2 * y - 1) * (b + u[:, None] + c * values)), axis=1
            )
        total += added(logs)
    return total


OUTER = """
param m : real
param t : positive
param b : real
param c : real
param s : positive
for each g:
    observed x ~ Normal(m, t)
    for each row:
        observed y ~ Normal(b + c*x, s)
"""


def outer(p: Theta, table: Table) -> float:
    """A covariate of the group."""
    m, t, b, c, s = (float(p[name]) for name in ("m", "t", "b", "c", "s"))
    total = 0.0
    for label in dict.fromkeys(table["g"]):
        rows = [row for row, other in enumerate(table["g"]) if other == label]
        n = len(rows)
        values = np.concatenate([column(table, "x", rows[:1]), column(table, "y", rows)])
        load = np.concatenate([[1.0], np.full(n, c)])
        covariance = t * t * np.outer(load, load) + np.diag([0.0, *[s * s] * n])
        total += dense(values, np.concatenate([[m], np.full(n, b + c * m)]), covariance)
    return total


LEVEL = """
param q : positive
param r : positive
param m : real
param t : positive
param c : real
for each row in sequence:
    latent   l ~ Normal(0, 2) first, Normal(prev(l), q) after
    observed x ~ Normal(m, t)
    observed y ~ Normal(l + c*x, r)
"""


def level(p: Theta, table: Table) -> float:
    """A hidden level and a covariate with gaps: one normal vector."""
    q, r, m, t, c = (float(p[name]) for name in ("q", "r", "m", "t", "c"))
    n = len(table["x"])
    one, walk = np.eye(n), 4.0 + q * q * np.minimum.outer(np.arange(n), np.arange(n))
    covariance = np.block([[t * t * one, c * t * t * one], [c * t * t * one, (c * c * t * t + r * r) * one + walk]])
    values = np.concatenate([column(table, "x"), column(table, "y")])
    return dense(values, np.concatenate([np.full(n, m), np.full(n, c * m)]), covariance)


#: Sums over nodes.
NODES = 1e-6

OPEN_NUMBERS = (
    IntegralCase("a covariate", REGRESSION, {"x": X, "y": Y}, regression, "gaussian"),
    IntegralCase(
        "a covariate of a logistic regression", LOGISTIC, {"x": X, "y": [0, 1, 1, None, 0, 1, 0, None]}, logistic,
        "quadrature", NODES,
    ),
    IntegralCase(
        "a count", COUNT, {"x": [3, None, 5, None, 0, 2], "y": [1.1, 2.0, 1.7, None, 0.2, 0.4]}, count, "sum"
    ),
    IntegralCase("a gamma rate", GAMMA, {"x": [0.3, None, 1.2, None], "y": [1, 4, 2, 0]}, gamma, "kernel"),
    IntegralCase("a covariate in classes", MIXTURE, {"x": X, "y": Y}, mixture, "gaussian"),
    IntegralCase("a vector", VECTOR, TWO, two, "gaussian"),
    IntegralCase("an array", ARRAY, TWO, two, "gaussian"),
    IntegralCase(
        "beside a factor", FACTOR, {"x": X, "y": Y, "v": [0.2, 0.4, None, -1.0, 0.3, 0.9, -0.4, 0.1]}, factor,
        "gaussian",
    ),
    IntegralCase("beside an effect of the group", INTERCEPTS, {"g": GROUPS, "x": X, "y": Y}, intercepts, "gaussian"),
    IntegralCase(
        "beside an effect of the group in a logistic regression", MIXED,
        {"g": GROUPS, "x": [0.3, None, 1.2, 0.4, -0.7, 2.0, None, None], "y": [0, 1, 1, 0, 0, 1, 0, 1]}, mixed,
        "quadrature", 1e-5,
    ),
    IntegralCase(
        "of the group", OUTER,
        {"g": GROUPS, "x": [0.3, 0.3, None, None, -0.7, -0.7, None, None], "y": Y}, outer, "gaussian",
    ),
    IntegralCase("beside a hidden level", LEVEL, {"x": X, "y": Y}, level, "gaussian"),
)  # fmt: skip
