"""Likelihoods of the models with hidden shares and hidden numbers above 0, by known laws. Nothing here uses emdsl."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import stats
from scipy.special import gammaln, log_ndtr

from tests.models.direct_maximisation import Block, Optimum, Point, maximise
from tests.models.hidden_numbers_likelihoods import POSITIVE, REAL, scalars
from tests.models.likelihoods import columns, numbers


def dirichlet_multinomial() -> Optimum:
    """Polya's law of counts (Mosimann 1962)."""
    names = ("pine", "fir", "oak", "alder")
    y = np.array(numbers("pollen.csv", *names)).T
    n = y.sum(axis=1)
    ways = float((gammaln(n + 1) - gammaln(y + 1).sum(axis=1)).sum())

    def log_likelihood(p: Point) -> float:
        a = p["a"]
        total = gammaln(a.sum()) - gammaln(a.sum() + n)
        return ways + float(total.sum() + (gammaln(a + y) - gammaln(a)).sum())

    return maximise(log_likelihood, (Block("a", POSITIVE, (names,)),), [{"a": [9.0, 1.5, 2.5, 0.8]}])


def stochastic_frontier() -> Optimum:
    """Residuals are skew normal (Aigner, Lovell & Schmidt 1977)."""
    labour, land, y = numbers("farms.csv", "log_labour", "log_land", "log_output")

    def log_likelihood(p: Point) -> float:
        s = np.hypot(p["sigma"], p["tau"])
        z = (y - p["b0"] - p["b_labour"] * labour - p["b_land"] * land) / s
        own = np.log(2) - np.log(s) - 0.5 * np.log(2 * np.pi) - 0.5 * z**2 + log_ndtr(-z * p["tau"] / p["sigma"])
        return float(own.sum())

    blocks = scalars({"b0": REAL, "b_labour": REAL, "b_land": REAL, "tau": POSITIVE, "sigma": POSITIVE})
    return maximise(log_likelihood, blocks, [{"b0": 1.0, "b_labour": 0.5, "b_land": 0.4, "tau": 0.6, "sigma": 0.2}])


def response_times() -> Optimum:
    """The sum of a normal and an exponential number."""
    table = columns("response_times.csv")
    time = np.array(table["time"], float)
    code = np.array([("easy", "hard").index(label) for label in table["condition"]])

    def log_likelihood(p: Point) -> float:
        mu, tau, sigma = p["mu"][code], p["tau"][code], p["sigma"]
        return float(np.sum(stats.exponnorm.logpdf(time, tau / sigma, loc=mu, scale=sigma)))

    two = ("easy", "hard")
    blocks = (Block("mu", REAL, (two,)), Block("sigma", POSITIVE), Block("tau", POSITIVE, (two,)))
    return maximise(log_likelihood, blocks, [{"mu": [0.45, 0.55], "sigma": 0.06, "tau": [0.12, 0.25]}])


BOUNDED_NUMBERS: dict[str, Callable[[], Optimum]] = {
    function.__name__: function for function in (dirichlet_multinomial, stochastic_frontier, response_times)
}
