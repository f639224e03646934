"""Models with one hidden number in each unit that is not normal, by a rule over the line."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from scipy import stats

from tests.laws.hidden_number_models import Draws, IntegralCase, Table, Theta, by_unit, column

DRAWS = Draws(np.random.default_rng(78))
reals, positives, counts, table_of = DRAWS.reals, DRAWS.positives, DRAWS.counts, DRAWS.table_of


def log_integral(log_joint: Callable[[float], float], domain: str) -> float:
    """The logarithm of an integral over `real`, `positive` or `unit`, taken on the line: around the highest of many
    points, in parts.
    """

    def on_line(x: float) -> float:
        match domain:
            case "positive":
                return log_joint(float(np.exp(x))) + x
            case "unit":
                return log_joint(1 / (1 + float(np.exp(-x)))) - float(np.logaddexp(0, x) + np.logaddexp(0, -x))
        return log_joint(x)

    low, high = (-250.0, 60.0) if domain == "positive" else (-30.0, 30.0)
    grid = np.linspace(low, high, 3101)
    values = np.array([on_line(float(x)) for x in grid])
    values = np.where(np.isfinite(values), values, -np.inf)
    top = float(values.max())
    near = grid[values > top - 40]
    assert near[0] > -30 and near[-1] < 30, "the integrand reaches beyond the range"
    edges = np.linspace(near[0] - 0.1, near[-1] + 0.1, 7)
    nodes, weights = np.polynomial.legendre.leggauss(60)
    middle, half = 0.5 * (edges[1:] + edges[:-1]), 0.5 * np.diff(edges)
    points = middle[:, None] + half[:, None] * nodes
    heights = np.array([[on_line(float(x)) for x in row] for row in points])
    return top + float(np.log((np.exp(heights - top) * weights * half[:, None]).sum()))


def _joint(own: Any, seen: Any, p: Theta, table: Table, rows: list[int], u: float) -> float:
    return float(own.logpdf(u)) + float(seen(p, u, table, rows))


def one_number(law: Any, seen: Any, domain: str = "positive") -> Callable[[Theta, Table], float]:
    """The marginal of one hidden number in each unit of `g`: `law(p)` has its `logpdf`, `seen(p, u, table, rows)` the
    log-density of the unit's rows.
    """

    def marginal(p: Theta, table: Table) -> float:
        own = law(p)
        total = 0.0
        for rows in by_unit(table, "g").values():
            total += log_integral(partial(_joint, own, seen, p, table, rows), domain)
        return total

    return marginal


def _kernel(name: str, parameters: str, latent: str, observed: str, marginal: Any, table: Table, method: str) -> Any:
    head = "".join(f"param {item}\n" for item in parameters.split("; "))
    text = f"{head}for each g:\n    latent   {latent}\n    for each row:\n        input    x : real\n"
    return IntegralCase(name, f"{text}        observed {observed}\n", table, marginal, method)


def _poisson(p: Theta, u: float, table: Table, rows: list[int]) -> float:
    rate = u * np.exp(p["c"] + p["k"] * column(table, "x", rows))
    return float(np.sum(stats.poisson.logpmf(column(table, "y", rows), rate)))


def _normal_precision(p: Theta, u: float, table: Table, rows: list[int]) -> float:
    mean = p["c"] + p["k"] * column(table, "x", rows)
    return float(np.sum(stats.norm.logpdf(column(table, "y", rows), mean, p["s"] / np.sqrt(u))))


def _normal_variance(p: Theta, u: float, table: Table, rows: list[int]) -> float:
    mean = p["c"] + p["k"] * column(table, "x", rows)
    return float(np.sum(stats.norm.logpdf(column(table, "y", rows), mean, np.sqrt(u))))


def _skewed(p: Theta, u: float, table: Table, rows: list[int]) -> float:
    mean = p["c"] + p["k"] * u
    return float(np.sum(stats.norm.logpdf(column(table, "y", rows), mean, np.sqrt(u))))


def _tosses(p: Theta, u: float, table: Table, rows: list[int]) -> float:
    return float(np.sum(stats.binom.logpmf(column(table, "y", rows), 9, u)))


def _weibull(p: Theta, u: float, table: Table, rows: list[int]) -> float:
    scale = (u * np.exp(p["c"] * column(table, "x", rows))) ** (-1 / p["s"])
    return float(np.sum(stats.weibull_min.logpdf(column(table, "y", rows), p["s"], scale=scale)))


def _log_normal_rate(p: Theta, u: float, table: Table, rows: list[int]) -> float:
    rate = np.exp(p["c"] + p["k"] * column(table, "x", rows) + u)
    return float(np.sum(stats.poisson.logpmf(column(table, "y", rows), rate)))


def _choices(p: Theta, u: float, table: Table, rows: list[int]) -> float:
    eta = p["c"] + p["k"] * column(table, "x", rows) * u
    y = column(table, "y", rows)
    return float((-np.logaddexp(0, -eta) * y - np.logaddexp(0, eta) * (1 - y)).sum())


def _gamma(p: Theta) -> Any:
    return stats.gamma(p["a"], scale=1 / p["b"])


REGRESSION = "a : positive; b : positive; c : real; k : real"
ONE_NUMBER = (
    _kernel(
        "gamma, counts with a regression", REGRESSION, "u ~ Gamma(a, b)", "y ~ Poisson(u*exp(c + k*x))",
        one_number(_gamma, _poisson), table_of(counts(8)), "kernel",
    ),
    _kernel(
        "gamma, precisions", f"{REGRESSION}; s : positive", "u ~ Gamma(a, b)", "y ~ Normal(c + k*x, s/sqrt(u))",
        one_number(_gamma, _normal_precision), table_of(reals(8)), "kernel",
    ),
    _kernel(
        "gamma, hazards", "a : positive; b : positive; c : real; s : positive", "u ~ Gamma(a, b)",
        "y ~ Weibull(s, (u*exp(c*x))^(-1/s))", one_number(_gamma, _weibull), table_of(positives(8)), "kernel",
    ),
    _kernel(
        "inverse gamma, variances", REGRESSION, "u ~ InverseGamma(a, b)", "y ~ Normal(c + k*x, sqrt(u))",
        one_number(lambda p: stats.invgamma(p["a"], scale=p["b"]), _normal_variance), table_of(reals(8)), "kernel",
    ),
    _kernel(
        "generalised inverse Gaussian, mean and variance", REGRESSION, "u ~ Gamma(a, b)",
        "y ~ Normal(c + k*u, sqrt(u))",
        one_number(_gamma, _skewed), table_of(reals(8)), "kernel",
    ),
    _kernel(
        "generalised inverse Gaussian, variances", "b : positive; c : real; k : real", "u ~ Exponential(b)",
        "y ~ Normal(c + k*x, sqrt(u))", one_number(lambda p: stats.expon(scale=1 / p["b"]), _normal_variance),
        table_of(reals(8)), "kernel",
    ),
    _kernel(
        "beta, tosses", "a : positive; b : positive", "u ~ Beta(a, b)", "y ~ Binomial(9, u)",
        one_number(lambda p: stats.beta(p["a"], p["b"]), _tosses, "unit"), table_of(counts(8, 9)), "kernel",
    ),
    _kernel(
        "log-normal rates", "c : real; k : real; s : positive", "u ~ Normal(0, s)", "y ~ Poisson(exp(c + k*x + u))",
        one_number(lambda p: stats.norm(0, p["s"]), _log_normal_rate, "real"), table_of(counts(8)), "quadrature",
    ),
    _kernel(
        "choices that depend on a trait", "c : real; k : real; s : positive", "u ~ Normal(0, s)",
        "y ~ Bernoulli(logistic(c + k*x*u))", one_number(lambda p: stats.norm(0, p["s"]), _choices, "real"),
        table_of(counts(8, 2)), "quadrature",
    ),
)  # fmt: skip
