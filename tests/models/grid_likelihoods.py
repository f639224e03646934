"""Likelihoods of the models whose hidden numbers are summed over nodes, coded directly, with more nodes than the engine
takes. Nothing here uses emdsl.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import expit, logsumexp

from tests.models.direct_maximisation import Array, Block, Optimum, Point, maximise
from tests.models.hidden_numbers_likelihoods import POSITIVE, REAL, scalars, standard_normal
from tests.models.likelihoods import log_normal, numbers


def site_occupancy() -> Optimum:
    """Plots occupied or not under a Normal number of their site; 60 sites of 5 plots of 3 surveys, in order."""
    (seen,) = numbers("plots.csv", "seen")
    hits = seen.reshape(60, 5, 3).sum(axis=2)
    nodes, logs = standard_normal(101)

    def log_likelihood(p: Point) -> float:
        psi = expit(p["b"] + p["tau"] * nodes)[:, None, None]
        plots = psi * p["d"] ** hits * (1 - p["d"]) ** (3 - hits) + (1 - psi) * (hits == 0)
        return float(logsumexp(np.log(plots).sum(axis=2) + logs[:, None], axis=0).sum())

    return maximise(
        log_likelihood, scalars({"b": REAL, "tau": POSITIVE, "d": "unit"}), [{"b": 0.0, "tau": 1.0, "d": 0.45}]
    )


def filtered(first: Array, steps: Callable[[Array], Array], emitted: Array) -> float:
    """The log-likelihood of a chain from the law of its first state, its steps, and `(rows, *states)` log-densities."""
    message, total = first, 0.0
    for row, log_density in enumerate(emitted):
        message = (steps(message) if row else message) * np.exp(log_density - log_density.max())
        total += float(np.log(message.sum()) + log_density.max())
        message = message / message.sum()
    return total


def stochastic_volatility() -> Optimum:
    """A log variance that follows an autoregression, on 240 nodes (Kitagawa 1987)."""
    (change,) = numbers("returns.csv", "change")
    nodes = np.linspace(-7.0, 6.0, 240)
    apart = nodes[1] - nodes[0]
    emitted = log_normal(change[:, None], 0.0, np.exp(nodes / 2))

    def log_likelihood(p: Point) -> float:
        if abs(p["phi"]) >= 1:
            return -np.inf
        spread = p["tau"] / np.sqrt(1 - p["phi"] ** 2)
        first = np.exp(log_normal(nodes, p["mu"], spread)) * apart
        law = np.exp(log_normal(nodes[None], p["mu"] + p["phi"] * (nodes[:, None] - p["mu"]), p["tau"])) * apart
        return filtered(first, lambda message: message @ law, emitted)

    blocks = scalars({"mu": REAL, "phi": REAL, "tau": POSITIVE})
    return maximise(log_likelihood, blocks, [{"mu": 0.2, "phi": 0.95, "tau": 0.26}])


def switching_level() -> Optimum:
    """A level with steps of two regimes, on 160 nodes."""
    (reading,) = numbers("gauge.csv", "reading")
    nodes = np.linspace(-8.0, 11.0, 160)
    apart = nodes[1] - nodes[0]

    def log_likelihood(p: Point) -> float:
        laws = [np.exp(log_normal(nodes[None], nodes[:, None], q)) * apart for q in p["q"]]
        first = np.full((2, 1), 0.5) * np.exp(log_normal(nodes, 0.0, 3.0)) * apart

        def steps(message: Array) -> Array:
            return np.stack([mixed @ law for mixed, law in zip(p["A"].T @ message, laws, strict=True)])

        emitted = np.broadcast_to(log_normal(reading[:, None, None], nodes, p["r"]), (len(reading), 2, len(nodes)))
        return filtered(first, steps, emitted)

    regimes = ("calm", "wild")
    blocks = (Block("A", "simplex", (regimes, regimes)), Block("q", POSITIVE, (regimes,)), Block("r", POSITIVE))
    start = {"A": [[0.98, 0.02], [0.1, 0.9]], "q": [0.4, 2.7], "r": 0.5}
    return maximise(log_likelihood, blocks, [start])


#: Models whose hidden numbers are summed over nodes, by name.
ON_GRIDS = {found.__name__: found for found in (site_occupancy, stochastic_volatility, switching_level)}
