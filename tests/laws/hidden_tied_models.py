"""Models whose hidden numbers are tied across plates: chains beside other effects, finite variables around them."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.laws.bound_models import Array
from tests.laws.hidden_normal_models import normal_vector
from tests.laws.hidden_number_models import Draws, IntegralCase, Table, Theta, by_unit, column
from tests.laws.tables import Cell

DRAWS = Draws(np.random.default_rng(78))
reals = DRAWS.reals


def _seen(y: Array, mean: Any, covariance: Array) -> float:
    """The log-density of the numbers that are seen."""
    seen = ~np.isnan(y)
    if not seen.any():
        return 0.0
    return normal_vector(y[seen], np.broadcast_to(mean, y.shape)[seen], covariance[np.ix_(seen, seen)])


def autoregression(n: int, back: tuple[float, ...], first: float, shock: float) -> Array:
    """The covariance of `h[t] = sum back[k] h[t - 1 - k] + shock e`, the first ones by themselves."""
    step = np.eye(n)
    for t in range(len(back), n):
        for k, slope in enumerate(back):
            step[t, t - 1 - k] = -slope
    inverse = np.linalg.inv(step)
    shocks = [first**2] * min(len(back), n) + [shock**2] * max(n - len(back), 0)
    return np.asarray(inverse @ np.diag(shocks) @ inverse.T)


def same(labels: list[Cell]) -> Array:
    """1 where two rows have the same label."""
    array = np.array([str(label) for label in labels])
    return np.asarray((array[:, None] == array).astype(float))


PERSONS: list[Cell] = list("aaabbbbbcc")
PANEL = """\
param mu : real
param phi : interval(-1, 1)
param tau : positive
param s0 : positive
param s : positive
param r : positive
for each person:
    latent u ~ Normal(0, tau)
    for each t in sequence:
        latent   h ~ Normal(0, s0) first, Normal(phi*prev(h), s) after
        observed y ~ Normal(mu + u + h, r)
"""


def _panel(p: Theta, table: Table) -> float:
    total = 0.0
    for rows in by_unit(table, "person").values():
        y = column(table, "y", rows)
        chain = autoregression(len(y), (float(p["phi"]),), float(p["s0"]), float(p["s"]))
        total += _seen(y, p["mu"], chain + p["tau"] ** 2 + p["r"] ** 2 * np.eye(len(y)))
    return total


GROWTH = """\
index effect = {level, slope}
param m[effect] : real
param T : covariance[effect]
param a : real
param b : real
param s : positive
param r : positive
for each person:
    latent u[effect] ~ MVNormal(m, T)
    for each t in sequence:
        input    x : real
        latent   h ~ Normal(0, 1) first, Normal(a*prev(h) + b*prev(h, 2), s) after
        observed y ~ Normal(u[level] + u[slope]*x + h, r)
"""


def _growth(p: Theta, table: Table) -> float:
    total = 0.0
    for rows in by_unit(table, "person").values():
        y, x = column(table, "y", rows), column(table, "x", rows)
        design = np.stack([np.ones(len(x)), x], axis=1)
        chain = autoregression(len(y), (float(p["a"]), float(p["b"])), 1.0, float(p["s"]))
        covariance = design @ p["T"] @ design.T + chain + p["r"] ** 2 * np.eye(len(y))
        total += _seen(y, design @ p["m"], covariance)
    return total


SERIES = """\
index series = levels
param a : real
param q : positive
param tau : positive
param r : positive
latent v[series] ~ Normal(0, tau)
for each t in sequence:
    latent level ~ Normal(1, 2) first, Normal(a*prev(level), q) after
    for each row:
        input    series : series
        observed y ~ Normal(level + v[series], r)
"""


def _series(p: Theta, table: Table) -> float:
    y = column(table, "y")
    time = np.array(table["t"], dtype=int)
    chain = autoregression(int(time.max()) + 1, (float(p["a"]),), 2.0, float(p["q"]))
    covariance = chain[np.ix_(time, time)] + p["tau"] ** 2 * same(table["series"]) + p["r"] ** 2 * np.eye(len(y))
    return _seen(y, p["a"] ** time, covariance)


MIXED = """\
param share : unit
param mu[c] : real
param tau[c] : positive
param phi : interval(-1, 1)
param s : positive
param r : positive
for each person:
    latent   z : c ~ Categorical({low: share, high: 1 - share})
    observed seen ~ Bernoulli(1/3 + (z == high)/3)
    latent   u ~ Normal(mu[z], tau[z])
    for each t in sequence:
        latent   h ~ Normal(0, 1) first, Normal(phi*prev(h), s) after
        observed y ~ Normal(u + h, r)
"""


def _mixed(p: Theta, table: Table) -> float:
    total = 0.0
    for rows in by_unit(table, "person").values():
        y = column(table, "y", rows)
        seen = int(str(table["seen"][rows[0]]))
        chain = autoregression(len(y), (float(p["phi"]),), 1.0, float(p["s"])) + p["r"] ** 2 * np.eye(len(y))
        parts = []
        for k, share in enumerate((float(p["share"]), 1 - float(p["share"]))):
            chance = (1 + k) / 3
            parts.append(
                np.log(share * (chance if seen else 1 - chance)) + _seen(y, p["mu"][k], chain + p["tau"][k] ** 2)
            )
        total += float(np.logaddexp(*parts))
    return total


REGIMES = """\
index regime = {calm, wild}
index plate = levels
index sample = levels
param share : simplex[regime]
param tp : positive
param ts : positive
param sigma[regime] : positive
latent g ~ Categorical(share)
latent u[plate] ~ Normal(0, tp)
latent v[sample] ~ Normal(0, ts)
for each row:
    input    plate : plate
    input    sample : sample
    observed y ~ Normal(u[plate] + v[sample], sigma[g])
"""


def _regimes(p: Theta, table: Table) -> float:
    y = column(table, "y")
    effects = p["tp"] ** 2 * same(table["plate"]) + p["ts"] ** 2 * same(table["sample"])
    parts = [
        np.log(p["share"][k]) + _seen(y, 0.0, effects + p["sigma"][k] ** 2 * np.eye(len(y))) for k in range(2)
    ]
    return float(np.logaddexp(*parts))


CLASSES = """\
index kind = {mild, steep}
param share : simplex[kind]
param mu[kind] : real
param tp : positive
param ts : positive
param sigma : positive
for each g:
    latent z ~ Categorical(share)
    latent u ~ Normal(mu[z], tp)
    for each h:
        latent v ~ Normal(0, ts)
        for each row:
            weight   w
            observed y ~ Normal(u + v, sigma)
"""


def _classes(p: Theta, table: Table) -> float:
    total = 0.0
    for rows in by_unit(table, "g").values():
        y = np.repeat(column(table, "y", rows), [int(str(table["w"][row])) for row in rows])
        inner = [table["h"][row] for row in rows for _ in range(int(str(table["w"][row])))]
        covariance = p["tp"] ** 2 + p["ts"] ** 2 * same(inner) + p["sigma"] ** 2 * np.eye(len(y))
        parts = [np.log(p["share"][k]) + _seen(y, p["mu"][k], covariance) for k in range(2)]
        total += float(np.logaddexp(*parts))
    return total


BY_COLUMN = """\
index condition = {u, v}
param T : covariance[condition]
param m[condition] : real
param s : positive
for each g:
    latent u[condition] ~ MVNormal(0, T)
    for each row:
        input    k : condition
        observed y ~ Normal(m[k] + u[k], s)
"""


def _by_column(p: Theta, table: Table) -> float:
    total = 0.0
    for rows in by_unit(table, "g").values():
        place = np.array(["uv".index(str(table["k"][row])) for row in rows])
        y = column(table, "y", rows)
        total += _seen(y, p["m"][place], p["T"][np.ix_(place, place)] + p["s"] ** 2 * np.eye(len(y)))
    return total


SLOPES = """\
index effect = {level, slope}
index person = levels
index word = levels
param T : covariance[effect]
param tw : positive
param s : positive
latent u[person, effect] ~ MVNormal(0, T)
latent v[word] ~ Normal(0, tw)
for each row:
    input    person : person
    input    word : word
    input    x : real
    observed y ~ Normal(u[person, level] + u[person, slope]*x + v[word], s)
"""


def _slopes(p: Theta, table: Table) -> float:
    y, x = column(table, "y"), column(table, "x")
    design = np.stack([np.ones(len(x)), x], axis=1)
    covariance = (design @ p["T"] @ design.T) * same(table["person"]) + p["tw"] ** 2 * same(table["word"])
    return _seen(y, 0.0, covariance + p["s"] ** 2 * np.eye(len(y)))


FACTORS_BY_NAME = """\
index person = levels
index factor = 1..2
index item = {i1, i2}
param load[item, factor] : real
param tau[item] : positive
param psi[item] : positive
latent h[person, factor] ~ Normal(0, 1)
latent e[person, item] ~ Normal(0, tau[item])
for each row:
    input    person : person
    observed y[item] ~ Normal(sum(k in factor: load[item, k]*h[person, k]) + e[person, item], psi[item])
"""


def _factors_by_name(p: Theta, table: Table) -> float:
    y = np.concatenate([column(table, item) for item in ("i1", "i2")])
    rows = len(table["person"])
    item = np.repeat([0, 1], rows)
    person = same([*table["person"], *table["person"]])
    covariance = person * (p["load"] @ p["load"].T)[np.ix_(item, item)]
    covariance = covariance + person * (item[:, None] == item) * p["tau"][item] ** 2
    return _seen(y, 0.0, covariance + np.diag(p["psi"][item] ** 2))


def _with_hole(cells: list[Cell], *rows: int) -> list[Cell]:
    return [None if row in rows else cell for row, cell in enumerate(cells)]


TIED = (
    IntegralCase("chains beside an intercept", PANEL, {"person": PERSONS, "y": reals(10)}, _panel, "gaussian"),
    IntegralCase(
        "chains beside an intercept, missing cells", PANEL,
        {"person": PERSONS, "y": _with_hole(reals(10), 0, 4, 8, 9)}, _panel, "gaussian",
    ),
    IntegralCase(
        "chains of second order beside a vector", GROWTH,
        {"person": PERSONS, "x": reals(10), "y": _with_hole(reals(10), 5)}, _growth, "gaussian",
    ),
    IntegralCase(
        "a common chain beside series", SERIES,
        {"t": [0, 0, 1, 1, 1, 2, 3, 3, 4], "series": list("xyxyzzxyx"), "y": reals(9)}, _series, "gaussian",
    ),
    IntegralCase(
        "effects that a column chooses", BY_COLUMN,
        {"g": list("aaabbbcc"), "k": list("uvuuvvuv"), "y": reals(8)}, _by_column, "gaussian",
    ),
    IntegralCase(
        "crossed levels and slopes", SLOPES,
        {"person": list("aabbbccd"), "word": list("xyxyzzxy"), "x": reals(8), "y": reals(8)}, _slopes, "gaussian",
    ),
    IntegralCase(
        "factors of those who are named in a column", FACTORS_BY_NAME,
        {"person": list("aabbc"), "i1": reals(5), "i2": _with_hole(reals(5), 2)}, _factors_by_name, "gaussian",
    ),
    IntegralCase(
        "chains and intercepts of hidden classes", "index c = {low, high}\n" + MIXED,
        {"person": PERSONS, "seen": [0, 0, 0, 1, 1, 1, 1, 1, 0, 0], "y": reals(10)}, _mixed, "gaussian",
    ),
    IntegralCase(
        "crossed effects in a hidden regime", REGIMES,
        {"plate": list("aabbbccd"), "sample": list("xyxyzzxy"), "y": reals(8)}, _regimes, "gaussian",
    ),
    IntegralCase(
        "nested effects of hidden classes, weighted rows", CLASSES,
        {"g": list("aaabbbcc"), "h": list("kklkkmkk"), "w": [1, 2, 0, 1, 3, 1, 2, 1], "y": reals(8)}, _classes,
        "gaussian",
    ),
)  # fmt: skip
