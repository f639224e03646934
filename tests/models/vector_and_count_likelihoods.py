"""Likelihoods of models with vectors and with latent counts, coded from the models' definitions. Nothing here uses
emdsl."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import logsumexp
from scipy.stats import binom, poisson

from tests.models.direct_maximisation import Array, Block, Optimum, Point, maximise
from tests.models.likelihoods import columns

#: Far beyond what the posterior of a count reaches in these data.
LARGEST = 300


def table(name: str, *wanted: str) -> Array:
    """Columns of numbers as `(rows, columns)`, empty cells as NaN."""
    read = columns(name)
    return np.array([[float(cell) if cell else np.nan for cell in read[key]] for key in wanted]).T


def log_normal_of_seen(x: Array, mean: Array, covariance: Array) -> float:
    """The log-density of the cells of one vector that are not NaN; 0 if none is."""
    o = np.flatnonzero(~np.isnan(x))
    if not len(o):
        return 0.0
    law, apart = covariance[np.ix_(o, o)], x[o] - mean[o]
    distance = apart @ np.linalg.solve(law, apart)
    return float(-0.5 * (len(o) * np.log(2 * np.pi) + np.linalg.slogdet(law)[1] + distance))


def log_normal_rows(points: Array, mean: Array, covariance: Array) -> Array:
    """`log_normal_of_seen` of each row of `(rows, columns)`, all rows that show the same columns at once."""
    seen = ~np.isnan(points)
    out = np.zeros(len(points))
    for shown in np.unique(seen, axis=0):
        rows, o = np.flatnonzero((seen == shown).all(axis=1)), np.flatnonzero(shown)
        if len(o):
            law, apart = covariance[np.ix_(o, o)], points[np.ix_(rows, o)] - mean[o]
            distance = (apart * np.linalg.solve(law, apart.T).T).sum(axis=1)
            out[rows] = -0.5 * (len(o) * np.log(2 * np.pi) + np.linalg.slogdet(law)[1] + distance)
    return out


def counts_evidence(log_prior: Any, log_seen: Any, unit: Any) -> float:
    """The log-evidence of counts `(units, values)`, the rows' `(rows, values)` summed by their unit."""
    total = log_prior.copy()
    np.add.at(total, unit, log_seen)
    return float(logsumexp(total, axis=1).sum())


def n_mixture() -> Optimum:
    """Animals at a site summed over 0 to LARGEST, each survey a Binomial of them (Royle 2004)."""
    name = "point_counts.csv"
    site = np.unique(columns(name)["site"], return_inverse=True)
    forest, wind, counted = table(name, "forest", "wind", "counted").T
    of_site = forest[np.unique(site[1], return_index=True)[1]]
    animals = np.arange(LARGEST + 1)

    def log_likelihood(p: Point) -> float:
        prior = poisson.logpmf(animals, np.exp(p["a0"] + p["a1"] * of_site)[:, None])
        chance = 1 / (1 + np.exp(-(p["b0"] + p["b1"] * wind)))
        return counts_evidence(prior, binom.logpmf(counted[:, None], animals, chance[:, None]), site[1])

    blocks = tuple(Block(name, "real") for name in ("a0", "a1", "b0", "b1"))
    return maximise(log_likelihood, blocks, [{"a0": 1.3, "a1": 0.4, "b0": -0.4, "b1": -0.5}])


def serial_growth() -> Optimum:
    """Each child by the normal density of the heights that it shows."""
    name, visits = "heights.csv", range(1, 5)
    age = table(name, *(f"age_{k}" for k in visits))
    height = table(name, *(f"height_{k}" for k in visits))
    sex = np.array([["girl", "boy"].index(cell) for cell in columns(name)["sex"]])

    def log_likelihood(p: Point) -> float:
        apart = np.abs(age[:, :, None] - age[:, None, :])
        covariance = p["s"] ** 2 * p["rho"] ** apart + p["e"] ** 2 * np.eye(4)
        mean = p["start"][sex][:, None] + p["speed"][sex][:, None] * age
        return sum(log_normal_of_seen(*row) for row in zip(height, mean, covariance, strict=True))

    sexes = (("girl", "boy"),)
    blocks = (
        Block("start", "real", sexes), Block("speed", "real", sexes),
        Block("s", "positive"), Block("rho", "unit"), Block("e", "positive"),
    )  # fmt: skip
    start = {"start": [77.0, 79.0], "speed": [6.3, 6.3], "s": 3.0, "rho": 0.7, "e": 1.0}
    return maximise(log_likelihood, blocks, [start])
