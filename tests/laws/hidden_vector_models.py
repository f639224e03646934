"""Models in which normal laws of vectors and hidden numbers meet, by dense algebra: means and covariances that are
formulas, vectors that are seen or hidden, cells that are missing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from tests.laws.bound_models import Array
from tests.laws.hidden_normal_models import normal_vector
from tests.laws.hidden_number_models import Draws, IntegralCase, Table, Theta, by_unit, column
from tests.laws.tables import Cell

DRAWS = Draws(np.random.default_rng(2024))
reals = DRAWS.reals
Y = ("y1", "y2")


def seen_normal(y: Array, mean: Array, covariance: Array) -> float:
    """The log-density of what a vector shows."""
    shown = ~np.isnan(y)
    if not shown.any():
        return 0.0
    return normal_vector(y[shown], mean[shown], covariance[np.ix_(shown, shown)])


def stacked(table: Table, names: tuple[str, ...], rows: list[int]) -> Array:
    """The columns of some rows in one vector, row by row."""
    return np.array([column(table, name, rows) for name in names]).T.ravel()


def every(block: Array, n: int) -> Array:
    """One block in each of n rows."""
    return np.asarray(np.kron(np.eye(n), block))


def same(block: Array, n: int) -> Array:
    """One block between any two of n rows."""
    return np.asarray(np.kron(np.ones((n, n)), block))


def _studies(p: Theta, table: Table) -> float:
    total = 0.0
    for rows in by_unit(table, "study").values():
        n = len(rows)
        covariance = same(p["T"], n) + every(p["S"], n)
        total += seen_normal(stacked(table, Y, rows), np.tile(p["mu"], n), covariance)
    return total


STUDIES = """\
index k = columns(y1, y2)
param mu[k] : real
param T : covariance[k]
param S : covariance[k]
for each study:
    latent theta[k] ~ MVNormal(mu, T)
    for each lab:
        observed y[k] ~ MVNormal(theta, S)
"""


def _known_errors(p: Theta, table: Table) -> float:
    y = np.array([column(table, name) for name in Y]).T
    v1, v2, c = (column(table, name) for name in ("v1", "v2", "c"))
    within = [np.array([[v1[i], c[i]], [c[i], v2[i]]]) for i in range(len(y))]
    return sum(seen_normal(y[i], p["mu"], p["T"] + within[i]) for i in range(len(y)))


KNOWN_ERRORS = """\
index k = columns(y1, y2)
param mu[k] : real
param T : covariance[k]
for each study:
    input v1 : positive
    input v2 : positive
    input c : real
    let S[i in k, j in k] = where(i == j, where(i == y1, v1, v2), c)
    latent theta[k] ~ MVNormal(mu, T)
    observed y[k] ~ MVNormal(theta, S)
"""


def _one_factor(p: Theta, table: Table) -> float:
    names = ("y1", "y2", "y3")
    y, x = np.array([column(table, name) for name in names]).T, column(table, "x")
    covariance = np.outer(p["load"], p["load"]) + p["S"]
    return sum(seen_normal(y[i], p["mu"] + p["b"] * x[i], covariance) for i in range(len(y)))


ONE_FACTOR = """\
index k = columns(y1, y2, y3)
param mu[k] : real
param b[k] : real
param load[k] : real
param S : covariance[k]
for each row:
    input x : real
    latent f ~ Normal(0, 1)
    let m[i in k] = mu[i] + b[i]*x + load[i]*f
    observed y[k] ~ MVNormal(m, S)
"""


def _slopes(p: Theta, table: Table) -> float:
    total = 0.0
    symmetric = p["s"] ** 2 * ((1 - p["r"]) * np.eye(2) + p["r"])
    for rows in by_unit(table, "g").values():
        x, n = column(table, "x", rows), len(rows)
        turned = np.kron(x[:, None], np.eye(2))
        covariance = turned @ (p["t"] ** 2 * np.eye(2)) @ turned.T + every(symmetric, n)
        total += seen_normal(stacked(table, Y, rows), np.tile(p["a"], n) + np.kron(x, p["b"]), covariance)
    return total


SLOPES = """\
index k = columns(y1, y2)
param a[k] : real
param b[k] : real
param t : positive
param s : positive
param r : unit
let S[i in k, j in k] = where(i == j, s^2, r*s^2)
for each g:
    latent u[k] ~ Normal(0, t)
    for each row:
        input x : real
        let m[i in k] = a[i] + b[i]*x + u[i]*x
        observed y[k] ~ MVNormal(m, S)
"""


def _levels(p: Theta, table: Table) -> float:
    total = 0.0
    within = p["s"] ** 2 * np.array([[1.0, p["r"]], [p["r"], 1.0]])
    for rows in by_unit(table, "g").values():
        inner = [table["h"][row] for row in rows]
        alike = np.equal.outer(np.array(inner), np.array(inner)).astype(float)
        n, x = len(rows), column(table, "x", rows)
        between = np.kron(np.ones((n, n)), p["T"]) + np.kron(alike, within)
        mean = np.kron(x, p["gamma"])
        total += seen_normal(stacked(table, Y, rows), np.asarray(mean), between + every(p["S"], n))
    return total


LEVELS = """\
index k = columns(y1, y2)
param gamma[k] : real
param T : covariance[k]
param s : positive
param r : unit
param S : covariance[k]
let C[i in k, j in k] = where(i == j, s^2, r*s^2)
for each g:
    latent a[k] ~ MVNormal(0, T)
    for each h:
        input x : real
        let m[i in k] = a[i] + gamma[i]*x
        latent b[k] ~ MVNormal(m, C)
        for each row:
            observed y[k] ~ MVNormal(b, S)
"""


def _growth(p: Theta, table: Table) -> float:
    total = 0.0
    second = np.array([[p["s0"] ** 2, p["r"] * p["s0"] * p["s1"]], [p["r"] * p["s0"] * p["s1"], p["s1"] ** 2]])
    for rows in by_unit(table, "g").values():
        t, x = column(table, "t", rows), column(table, "x", rows)
        design = np.stack([np.ones(len(t)), t], axis=1)
        mean = design @ (p["m"] + p["gamma"] * x[0])
        covariance = design @ second @ design.T + p["sigma"] ** 2 * np.eye(len(t))
        total += seen_normal(column(table, "y", rows), mean, covariance)
    return total


GROWTH = """\
index effect = {level, slope}
param m[effect] : real
param gamma[effect] : real
param s0 : positive
param s1 : positive
param r : unit
param sigma : positive
let C[i in effect, j in effect] = where(i == j, where(i == level, s0^2, s1^2), r*s0*s1)
for each g:
    input x : real
    let centre[i in effect] = m[i] + gamma[i]*x
    latent u[effect] ~ MVNormal(centre, C)
    for each row:
        input t : real
        observed y ~ Normal(u[level] + u[slope]*t, sigma)
"""


def _regression_of_vectors(p: Theta, table: Table) -> float:
    total = 0.0
    for rows in by_unit(table, "g").values():
        n, x = len(rows), column(table, "x", rows)
        covariance = same(p["T"], n) + every(p["S"], n)
        total += seen_normal(stacked(table, Y, rows), np.tile(p["gamma"] * x[0], n), covariance)
    return total


REGRESSION_OF_VECTORS = """\
index k = columns(y1, y2)
param gamma[k] : real
param T : covariance[k]
param S : covariance[k]
for each g:
    input x : real
    let m[i in k] = gamma[i]*x
    latent b[k] ~ MVNormal(m, T)
    for each row:
        observed y[k] ~ MVNormal(b, S)
"""


def _of_two_kinds(p: Theta, table: Table) -> float:
    total = 0.0
    for rows in by_unit(table, "study").values():
        n = len(rows)
        kinds = [
            np.log(p["share"][z])
            + seen_normal(
                stacked(table, Y, rows), np.tile(p["mu"][z], n), same(p["T"], n) + every(p["S"][z], n)
            )
            for z in range(2)
        ]  # fmt: skip
        total += float(np.logaddexp(*kinds))
    return total


OF_TWO_KINDS = """\
index k = columns(y1, y2)
index kind = 1..2
param share : simplex[kind]
param mu[kind, k] : real
param T : covariance[k]
param S[kind] : covariance[k]
for each study:
    latent z ~ Categorical(share)
    latent theta[k] ~ MVNormal(mu[z], T)
    for each lab:
        observed y[k] ~ MVNormal(theta, S[z])
"""


def holes(table: Table, gaps: Mapping[str, tuple[int, ...]]) -> Table:
    """The table with some cells empty."""
    return {
        name: [None if row in gaps.get(name, ()) else cell for row, cell in enumerate(cells)]
        for name, cells in table.items()
    }


def vectors(keys: Mapping[str, list[Cell]], n: int, names: tuple[str, ...] = Y) -> Table:
    return {**keys, **{name: reals(n) for name in names}}


def case_of(
    name: str, text: str, marginal: Callable[[Theta, Table], float], table: Table,
    gaps: Mapping[str, tuple[int, ...]],
    method: str = "gaussian",
) -> tuple[IntegralCase, IntegralCase]:  # fmt: skip
    """A case, and the same with missing cells."""
    return (
        IntegralCase(name, text, table, marginal, method),
        IntegralCase(f"{name}, missing cells", text, holes(table, gaps), marginal, method),
    )


GAPS = {"y1": (1, 4), "y2": (2, 4)}
_STUDY: list[Cell] = list("aaabbccc")
G: list[Cell] = list("aaabbbcc")
H: list[Cell] = list("kklkkmkk")
_X: dict[str, list[Cell]] = {"x": reals(8, 0.7)}
_BY_GROUP: dict[str, list[Cell]] = {"x": [0.3, 0.3, 0.3, -1.0, -1.0, -1.0, 0.8, 0.8]}
_BY_H: dict[str, list[Cell]] = {"x": [0.3, 0.3, -0.4, -1.0, -1.0, 0.7, 0.8, 0.8]}
_ERRORS: dict[str, list[Cell]] = {"v1": [0.5, 0.4, 1.0, 0.7, 0.3, 0.9], "v2": [0.2, 0.6, 0.8, 0.4, 0.5, 1.1],
                                  "c": [0.1, -0.2, 0.5, 0.3, 0.0, 0.2]}  # fmt: skip
VECTORS_OF_NUMBERS: tuple[IntegralCase, ...] = (
    *case_of("studies", STUDIES, _studies, vectors({"study": _STUDY}, 8), GAPS),
    *case_of("known errors", KNOWN_ERRORS, _known_errors, vectors(_ERRORS, 6), GAPS),
    *case_of("a factor beside a covariance", ONE_FACTOR, _one_factor,
           vectors({"x": reals(7)}, 7, ("y1", "y2", "y3")), {**GAPS, "y3": (0, 4)}),
    *case_of("slopes and compound symmetry", SLOPES, _slopes, vectors({"g": G, **_X}, 8), GAPS),
    *case_of("three levels", LEVELS, _levels, vectors({"g": G, "h": H, **_BY_H}, 8), GAPS),
    *case_of("growth", GROWTH, _growth, {"g": G, "t": reals(8), **_BY_GROUP, "y": reals(8)}, {"y": (1, 3)}),
    *case_of("a regression of hidden vectors", REGRESSION_OF_VECTORS, _regression_of_vectors,
           vectors({"g": G, **_BY_GROUP}, 8), GAPS),
    *case_of("studies of two kinds", OF_TWO_KINDS, _of_two_kinds, vectors({"study": _STUDY}, 8), GAPS),
)  # fmt: skip
