"""Likelihoods of the models of censored, grouped and truncated data, with SciPy's own laws. Nothing here uses emdsl."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import stats

from tests.models.direct_maximisation import Array, Block, Optimum, Point, maximise
from tests.models.wider_likelihoods import answers, codes


def remission() -> Optimum:
    """Exponential survival by treatment."""
    time, event = answers("remission.csv", "time", "event").T
    treat = codes("remission.csv", "treat", ("6-MP", "control"))

    def log_likelihood(p: Point) -> float:
        law = stats.expon(scale=1 / p["rate"][treat])
        return float(np.where(event == 1, law.logpdf(time), law.logsf(time)).sum())

    return maximise(log_likelihood, (Block("rate", "positive", (("6-MP", "control"),)),), [{"rate": [0.05, 0.1]}])


FEATURES = ("age", "yearsmarried", "religiousness", "occupation", "rating")


def tobit() -> Optimum:
    """A Normal regression that is seen above 0."""
    x = answers("affairs.csv", *FEATURES)
    (y,) = answers("affairs.csv", "affairs").T

    def log_likelihood(p: Point) -> float:
        law = stats.norm(p["b0"] + x @ p["b"], p["sigma"])
        return float(np.where(y > 0, law.logpdf(y), law.logcdf(0.0)).sum())

    blocks = (Block("b0", "real"), Block("b", "real", (FEATURES,)), Block("sigma", "positive"))
    return maximise(log_likelihood, blocks, [{"b0": 8.0, "b": [-0.2, 0.5, -1.7, 0.3, -2.3], "sigma": 8.0}])


def inspections() -> Optimum:
    """Weibull failures between two inspections."""
    low, high = answers("inspections.csv", "sound", "failed").T
    make = codes("inspections.csv", "make", ("steel", "rubber"))

    def log_likelihood(p: Point) -> float:
        law = stats.weibull_min(p["shape"], scale=p["scale"][make])
        below = np.where(np.isnan(high), 1.0, law.cdf(np.nan_to_num(high, nan=1.0)))
        between = below - np.where(np.isnan(low), 0.0, law.cdf(np.nan_to_num(low, nan=1.0)))
        exact = low == high
        return float(np.where(exact, law.logpdf(high), np.log(np.where(exact, 1.0, between))).sum())

    blocks = (Block("shape", "positive"), Block("scale", "positive", (("steel", "rubber"),)))
    return maximise(log_likelihood, blocks, [{"shape": 1.5, "scale": [30.0, 20.0]}])


def group_sizes() -> Optimum:
    """Poisson counts of one and more."""
    size, count = answers("group_sizes.csv", "size", "count").T
    water = codes("group_sizes.csv", "water", ("calm", "rough"))

    def log_likelihood(p: Point) -> float:
        law = stats.poisson(p["rate"][water])
        return float((count * (law.logpmf(size) - law.logsf(0))).sum())

    return maximise(log_likelihood, (Block("rate", "positive", (("calm", "rough"),)),), [{"rate": [2.0, 1.0]}])


def cure() -> Optimum:
    """Weibull relapses of those who are not cured."""
    time, relapse = answers("relapses.csv", "time", "relapse").T

    def log_likelihood(p: Point) -> float:
        law = stats.weibull_min(p["shape"], scale=p["scale"])
        cured, susceptible = p["share"]
        seen = np.log(susceptible) + law.logpdf(time)
        return float(np.where(relapse == 1, seen, np.log(cured + susceptible * law.sf(time))).sum())

    blocks = (
        Block("share", "simplex", (("cured", "susceptible"),)), Block("shape", "positive"), Block("scale", "positive"),
    )  # fmt: skip
    return maximise(log_likelihood, blocks, [{"share": [0.3, 0.7], "shape": 1.5, "scale": 3.0}])


#: By the model's name.
CUT: dict[str, Callable[[], Optimum]] = {
    function.__name__: function for function in (remission, tobit, inspections, group_sizes, cure)
}


# --- models of the tests' own -----------------------------------------------------------------------------------------


def survival_table(seed: int = 1, rows: int = 500) -> dict[str, Array]:
    """Times of a mixture of two Weibulls, censored at random."""
    rng = np.random.default_rng(seed)
    time = np.where(rng.random(rows) < 0.4, rng.weibull(3.0, rows), 6 * rng.weibull(2.5, rows))
    limit = rng.uniform(0.5, 12, rows)
    return {"time": np.minimum(time, limit).round(4), "event": (time <= limit) * 1.0}


def weibull_mixture(table: dict[str, Array]) -> Optimum:
    """The mixture of that table."""
    two = (("1", "2"),)

    def log_likelihood(p: Point) -> float:
        law = stats.weibull_min(p["shape"], scale=p["scale"])
        time = table["time"][:, None]
        terms = np.log(p["share"]) + np.where(table["event"][:, None] == 1, law.logpdf(time), law.logsf(time))
        return float(np.logaddexp(terms[:, 0], terms[:, 1]).sum())

    blocks = (Block("share", "simplex", two), Block("shape", "positive", two), Block("scale", "positive", two))
    return maximise(log_likelihood, blocks, [{"share": [0.4, 0.6], "shape": [3.0, 2.5], "scale": [1.0, 6.0]}])


def counted(law: Any, table: dict[str, Array]) -> Array:
    """The log-likelihood of counts between bounds, both of them possible."""
    below = law.cdf(table["low"] - 1)
    return np.asarray(np.log(law.cdf(table["high"]) - below))


__all__ = ["CUT", "counted", "survival_table", "weibull_mixture"]
