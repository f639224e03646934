"""Series with gaps, and values that are only known to lie between bounds, each with its likelihood by another way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import stats

from tests.laws.bound_models import Array
from tests.laws.hidden_number_models import IntegralCase, Table, Theta, column
from tests.laws.open_number_models import GAMMA, NAN, NODES, REGRESSION, added, dense, line, regression
from tests.laws.tables import Cell

SERIES: list[Cell] = [0.5, 0.9, NAN, 0.2, NAN, NAN, 1.1, 0.4, 0.3, NAN, 0.6, NAN]
AUTOREGRESSION = """
param a : real
param f : real
param s : positive
for each t in sequence:
    observed y ~ Normal(a, 1) first, Normal(a + f*prev(y), s) after
"""


def autoregression(p: Theta, table: Table) -> float:
    """The whole series as one normal vector."""
    a, f, s = (float(p[name]) for name in ("a", "f", "s"))
    n = len(table["y"])
    root = np.linalg.inv(np.eye(n) - f * np.eye(n, k=-1))
    noise = np.diag([1.0, *[s * s] * (n - 1)])
    return dense(column(table, "y"), root @ np.full(n, a), root @ noise @ root.T)


HEAVY = AUTOREGRESSION.replace("Normal(a + f", "StudentT(5, a + f")
CUT_SERIES = AUTOREGRESSION.replace(" first", " censored below unless seen first").replace(
    " after", " censored below unless seen after"
)


@dataclass(frozen=True)
class Rule:
    """Values that a number may have, and the logarithms of their weights in an integral."""

    values: Array
    weights: Array


def even(start: float, stop: float, count: int) -> Rule:
    """The trapezoidal rule, for what is next to nothing at both ends."""
    grid, step = line(start, stop, count)
    return Rule(grid, np.full(count, step))


def legendre(start: float, stop: float, count: int) -> Rule:
    """The Gauss-Legendre rule, for what breaks off at an end."""
    x, w = np.polynomial.legendre.leggauss(count)
    return Rule(0.5 * (start + stop) + 0.5 * (stop - start) * x, np.log(0.5 * (stop - start) * w))


def stepped(law: Callable[[Array, Array], Array], p: Theta, table: Table, empty: Rule, cut: Rule) -> float:
    """A first-order series by its law of a step, `law(y, before)`, forward over the values that a cell may have: by the
    rule `empty` where there is none, by `cut` where `seen` is 0."""
    values = column(table, "y")
    seen = table.get("seen", [1] * len(values))
    states, logs = np.zeros(1), np.zeros(1)
    for t, y in enumerate(values):
        now = empty if np.isnan(y) else cut if not seen[t] else Rule(np.array([y]), np.zeros(1))
        first = stats.norm(float(p["a"]), 1).logpdf(now.values)[None]
        own = first if t == 0 else law(now.values[None], states[:, None])
        logs = np.logaddexp.reduce(logs[:, None] + own, axis=0) + now.weights
        states = now.values
    return added(logs)


def heavy(p: Theta, table: Table) -> float:
    """Student's law of each step."""
    a, f, s = (float(p[name]) for name in ("a", "f", "s"))
    rule = even(-60.0, 60.0, 1201)
    return stepped(lambda y, before: np.asarray(stats.t.logpdf(y, 5, a + f * before, s)), p, table, rule, rule)


#: The limit of detection of every cell of the series that is below it.
LIMIT = 0.3


def cut_series(p: Theta, table: Table) -> float:
    """Values below a limit of detection."""
    a, f, s = (float(p[name]) for name in ("a", "f", "s"))
    rules = even(-20.0, 20.0, 801), legendre(LIMIT - 20.0, LIMIT, 400)
    return stepped(lambda y, before: np.asarray(stats.norm.logpdf(y, a + f * before, s)), p, table, *rules)


COUNTS = """
param a : real
param f : real
for each t in sequence:
    observed y ~ Poisson(exp(a + f*log1p(prev(y))))
"""


def counts(p: Theta, table: Table) -> float:
    """Counts that look back, the first conditioned on: forward over all counts where one is not seen."""
    a, f = float(p["a"]), float(p["f"])
    values = column(table, "y")
    states, logs = values[:1], np.zeros(1)
    for y in values[1:]:
        now = np.arange(3000.0) if np.isnan(y) else np.array([y])
        own = stats.poisson.logpmf(now[None, :], np.exp(a + f * np.log1p(states[:, None])))
        logs, states = np.logaddexp.reduce(logs[:, None] + own, axis=0), now
    return added(logs)


# --- bounds -----------------------------------------------------------------------------------------------------------

DETECTED = REGRESSION.replace("Normal(m, t)", "Normal(m, t) censored below unless seen")
LIMITS: Table = {
    "x": [0.3, NAN, 1.2, 0.1, 0.1, 2.0, 0.1, 0.4],
    "seen": [1, 1, 1, 0, 0, 1, 0, 1],
    "y": [0.1, 1.9, 1.5, NAN, -0.2, 2.2, 0.9, NAN],
}


def detected(p: Theta, table: Table) -> float:
    """Given y, an undetected x is normal below the limit."""
    m, t, b, c, s = (float(p[name]) for name in ("m", "t", "b", "c", "s"))
    whole = {**table, "x": [x if seen else NAN for x, seen in zip(table["x"], table["seen"], strict=True)]}
    total = regression(p, whole)
    for limit, y, seen in zip(column(table, "x"), column(table, "y"), table["seen"], strict=True):
        if seen:
            continue
        precision = 1 / t**2 + (0.0 if np.isnan(y) else c * c / s**2)
        slope = m / t**2 + (0.0 if np.isnan(y) else c * (y - b) / s**2)
        total += float(stats.norm.logcdf((limit - slope / precision) * np.sqrt(precision)))
    return total


GROUPED = GAMMA.replace("observed x ~", "observed x between lo and hi ~")
BETWEEN: Table = {
    "lo": [0.3, 0.5, 1.0, NAN, 1.5, 0.7],
    "hi": [0.3, 1.0, NAN, 0.5, 2.0, 0.7],
    "y": [1, 2, 5, 0, 3, 2],
}


def grouped(p: Theta, table: Table) -> float:
    """Given y, x is gamma between its bounds."""
    a, r, c = (float(p[name]) for name in ("a", "r", "c"))
    total = 0.0
    for low, high, y in zip(column(table, "lo"), column(table, "hi"), column(table, "y"), strict=True):
        if low == high:
            total += stats.gamma(a, scale=1 / r).logpdf(low) + stats.poisson(c * low).logpmf(y)
            continue
        given = stats.gamma(a + y, scale=1 / (r + c))
        share = given.cdf(np.inf if np.isnan(high) else high) - given.cdf(0.0 if np.isnan(low) else low)
        total += stats.nbinom(a, r / (r + c)).logpmf(y) + np.log(share)
    return total

OPEN_CHAINS = (
    IntegralCase("an autoregression", AUTOREGRESSION, {"y": SERIES}, autoregression, "gaussian"),
    IntegralCase(
        "an autoregression with heavy tails", HEAVY, {"y": [0.5, 0.9, None, 0.2, None, None, 1.1, None]}, heavy,
        "quadrature", NODES,
    ),
    IntegralCase("counts that look back", COUNTS, {"y": [4, 3, None, 6, 2, None, 5, None]}, counts, "sum"),
    IntegralCase("below a limit of detection", DETECTED, LIMITS, detected, "gaussian"),
    IntegralCase("between bounds", GROUPED, BETWEEN, grouped, "quadrature", NODES),
    IntegralCase(
        "a series with a limit of detection", CUT_SERIES,
        {"y": [0.5, 0.9, LIMIT, 0.7, LIMIT, LIMIT, 1.1, None, 0.8], "seen": [1, 1, 0, 1, 0, 0, 1, 1, 1]}, cut_series,
        "quadrature", 1e-5,
    ),
)  # fmt: skip
