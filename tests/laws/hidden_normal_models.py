"""Models whose hidden numbers are jointly normal, by dense algebra."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import stats

from tests.laws.hidden_number_models import GROUPS, Draws, IntegralCase, Table, Theta, by_unit, column
from tests.laws.tables import Cell

DRAWS = Draws(np.random.default_rng(77))
reals, table_of = DRAWS.reals, DRAWS.table_of


def normal_vector(y: Any, mean: Any, covariance: Any) -> float:
    """The log-density of one normal vector."""
    return float(stats.multivariate_normal.logpdf(np.asarray(y), mean, np.asarray(covariance), allow_singular=False))


def _intercepts(p: Theta, table: Table) -> float:
    total = 0.0
    for rows in by_unit(table, "g").values():
        y, x = column(table, "y", rows), column(table, "x", rows)
        seen = ~np.isnan(y)
        y, x = y[seen], x[seen]
        if len(y):
            covariance = p["tau"] ** 2 + p["sigma"] ** 2 * np.eye(len(y))
            total += normal_vector(y, p["mu"] + p["b"] * x, covariance)
    return total


INTERCEPTS = """\
param mu : real
param b : real
param tau : positive
param sigma : positive
for each g:
    latent u ~ Normal(0, tau)
    for each row:
        input    x : real
        observed y ~ Normal(mu + b*x + u, sigma)
"""


def _vectors(p: Theta, table: Table) -> float:
    total = 0.0
    for rows in by_unit(table, "g").values():
        y, x = column(table, "y", rows), column(table, "x", rows)
        design = np.stack([np.ones(len(x)), x], axis=1)
        covariance = design @ p["T"] @ design.T + p["sigma"] ** 2 * np.eye(len(y))
        total += normal_vector(y, design @ p["m"], covariance)
    return total


VECTORS = """\
index effect = {level, slope}
param m[effect] : real
param T : covariance[effect]
param sigma : positive
for each g:
    latent u[effect] ~ MVNormal(m, T)
    for each row:
        input    x : real
        observed y ~ Normal(u[level] + u[slope]*x, sigma)
"""


def _factors(p: Theta, table: Table) -> float:
    items = ("i1", "i2", "i3")
    y = np.array([column(table, item) for item in items]).T
    total = 0.0
    for row in y:
        seen = ~np.isnan(row)
        load = p["load"][seen]
        if seen.any():
            covariance = load @ load.T + np.diag(p["psi"][seen] ** 2)
            total += normal_vector(row[seen], p["nu"][seen], covariance)
    return total


FACTORS = """\
index factor = 1..2
index item = {i1, i2, i3}
param nu[item] : real
param load[item, factor] : real
param psi[item] : positive
for each row:
    latent   h[factor] ~ Normal(0, 1)
    observed y[item] ~ Normal(nu[item] + sum(k in factor: load[item, k]*h[k]), psi[item])
"""


def _factors_of_groups(p: Theta, table: Table) -> float:
    y = np.array([column(table, item) for item in ("i1", "i2", "i3")]).T
    total = 0.0
    for row in y:
        parts = [
            np.log(p["share"][k])
            + normal_vector(row, p["nu"][k], np.outer(p["load"][k], p["load"][k]) + np.diag(p["psi"] ** 2))
            for k in range(2)
        ]
        total += float(np.logaddexp(*parts))
    return total


FACTORS_OF_GROUPS = """\
index group = 1..2
index item = {i1, i2, i3}
param share : simplex[group]
param nu[group, item] : real
param load[group, item] : real
param psi[item] : positive
for each row:
    latent   z ~ Categorical(share)
    latent   h ~ Normal(0, 1)
    observed y[item] ~ Normal(nu[z, item] + load[z, item]*h, psi[item])
"""


def _walks(p: Theta, table: Table) -> float:
    total = 0.0
    for rows in by_unit(table, "g").values():
        y = column(table, "y", rows)
        n = len(y)
        # x[t] = a x[t-1] + q e[t]
        powers = np.tril(p["a"] ** np.maximum(np.subtract.outer(np.arange(n), np.arange(n)), 0))
        shocks = np.diag([4.0, *[float(p["q"]) ** 2] * (n - 1)])
        covariance = powers @ shocks @ powers.T + p["r"] ** 2 * np.eye(n)
        seen = ~np.isnan(y)
        if seen.any():
            total += normal_vector(y[seen], np.full(seen.sum(), float(p["mu"])), covariance[np.ix_(seen, seen)])
    return total


WALKS = """\
param mu : real
param a : real
param q : positive
param r : positive
for each g:
    for each t in sequence:
        latent   x ~ Normal(0, 2) first, Normal(a*prev(x), q) after
        observed y ~ Normal(mu + x, r)
"""


def _second_order(p: Theta, table: Table) -> float:
    y = column(table, "y")
    n = len(y)
    # B x = e, with the first two by themselves
    step = np.eye(n)
    for t in range(2, n):
        step[t, t - 1], step[t, t - 2] = -p["a"], -p["b"]
    inverse = np.linalg.inv(step)
    shocks = np.diag([9.0, 9.0, *[float(p["q"]) ** 2] * (n - 2)])
    return normal_vector(y, np.zeros(n), inverse @ shocks @ inverse.T + p["r"] ** 2 * np.eye(n))


SECOND_ORDER = """\
param a : real
param b : real
param q : positive
param r : positive
for each t in sequence:
    latent   x ~ Normal(0, 3) first, Normal(a*prev(x) + b*prev(x, 2), q) after
    observed y ~ Normal(x, r)
"""


def _crossed(p: Theta, table: Table) -> float:
    y = column(table, "y")
    rows, samples = (np.array(table[name]) for name in ("plate", "sample"))
    covariance = p["tp"] ** 2 * (rows[:, None] == rows) + p["ts"] ** 2 * (samples[:, None] == samples)
    return normal_vector(y, np.full(len(y), float(p["mu"])), covariance + p["sigma"] ** 2 * np.eye(len(y)))


CROSSED = """\
index plate = levels
index sample = levels
param mu : real
param tp : positive
param ts : positive
param sigma : positive
latent u[plate] ~ Normal(0, tp)
latent v[sample] ~ Normal(0, ts)
for each row:
    input    plate : plate
    input    sample : sample
    observed y ~ Normal(mu + u[plate] + v[sample], sigma)
"""


def _nested(p: Theta, table: Table) -> float:
    y = column(table, "y")
    outer, inner = np.array(table["g"]), np.array(table["h"])
    same = outer[:, None] == outer
    covariance = p["tp"] ** 2 * same + p["ts"] ** 2 * (same & (inner[:, None] == inner))
    return normal_vector(y, np.full(len(y), float(p["mu"])), covariance + p["sigma"] ** 2 * np.eye(len(y)))


NESTED = """\
param mu : real
param tp : positive
param ts : positive
param sigma : positive
for each g:
    latent u ~ Normal(0, tp)
    for each h:
        latent v ~ Normal(0, ts)
        for each row:
            observed y ~ Normal(mu + u + v, sigma)
"""


def _with_hole(cells: list[Cell], *rows: int) -> list[Cell]:
    return [None if row in rows else cell for row, cell in enumerate(cells)]


_ITEMS: Table = {name: reals(6) for name in ("i1", "i2", "i3")}
NORMAL = (
    IntegralCase("an intercept by group", INTERCEPTS, table_of(reals(8)), _intercepts, "gaussian"),
    IntegralCase(
        "an intercept by group, missing cells", INTERCEPTS, table_of(_with_hole(reals(8), 1, 5)), _intercepts,
        "gaussian",
    ),
    IntegralCase("a vector by group", VECTORS, table_of(reals(8)), _vectors, "gaussian"),
    IntegralCase("two factors", FACTORS, _ITEMS, _factors, "gaussian"),
    IntegralCase(
        "two factors, missing cells", FACTORS,
        {"i1": _with_hole(_ITEMS["i1"], 2), "i2": _with_hole(_ITEMS["i2"], 2, 4), "i3": _with_hole(_ITEMS["i3"], 2)},
        _factors, "gaussian",
    ),
    IntegralCase("a factor of each group", FACTORS_OF_GROUPS, _ITEMS, _factors_of_groups, "gaussian"),
    IntegralCase("chains", WALKS, {"g": list(GROUPS), "t": list(range(8)), "y": reals(8)}, _walks, "gaussian"),
    IntegralCase(
        "chains, missing cells", WALKS, {"g": list(GROUPS), "t": list(range(8)), "y": _with_hole(reals(8), 0, 3, 5)},
        _walks, "gaussian",
    ),
    IntegralCase(
        "a chain of second order", SECOND_ORDER, {"t": list(range(9)), "y": reals(9)}, _second_order, "gaussian"
    ),
    IntegralCase(
        "crossed effects", CROSSED,
        {"plate": list("aabbbccd"), "sample": list("xyxyzzxy"), "y": reals(8)}, _crossed, "gaussian",
    ),
    IntegralCase(
        "nested effects", NESTED, {"g": list("aaabbbcc"), "h": list("kklkkmkk"), "y": reals(8)}, _nested, "gaussian"
    ),
)  # fmt: skip
