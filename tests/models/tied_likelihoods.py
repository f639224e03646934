"""Likelihoods of the models in which rows of different units are tied, coded directly: dense normal laws, and a sum
over all states of the smaller of two crossed groups. Nothing here uses emdsl.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
from scipy.special import logsumexp

from tests.models.direct_maximisation import Block, Optimum, Point, maximise
from tests.models.hidden_numbers_likelihoods import POSITIVE, REAL, dense_normal, scalars
from tests.models.likelihoods import TWO, columns


def panel_autoregression() -> Optimum:
    """The days of each person as one normal vector."""
    table = columns("moods.csv")
    groups = np.array(table["person"])
    mood = np.array(table["mood"], float)
    persons = [mood[groups == name] for name in dict.fromkeys(table["person"])]

    def log_likelihood(p: Point) -> float:
        total, phi = 0.0, float(np.tanh(p["phi"]))
        for y in persons:
            n = len(y)
            root = np.linalg.inv(np.eye(n) - phi * np.eye(n, k=-1))
            shocks = np.diag([float(p["sd_first"]) ** 2] + [float(p["sd_day"]) ** 2] * (n - 1))
            covariance = root @ shocks @ root.T + p["sd_person"] ** 2 + p["sigma"] ** 2 * np.eye(n)
            total += dense_normal(y, np.full(n, float(p["mu"])), covariance)
        return total

    deviations = {"sd_person": POSITIVE, "sd_first": POSITIVE, "sd_day": POSITIVE, "sigma": POSITIVE}
    start = {"mu": 5.0, "phi": 1.1, "sd_person": 1.0, "sd_first": 1.0, "sd_day": 0.6, "sigma": 0.7}
    found = maximise(log_likelihood, scalars({"mu": REAL, "phi": REAL, **deviations}), [start])
    phi = float(np.tanh(found.estimates["phi"]))
    error = found.errors["phi"] * (1 - phi**2)  # delta method: tanh' = 1 - tanh^2
    return Optimum(found.loglik, {**found.estimates, "phi": phi}, {**found.errors, "phi": error})


def two_way_blocks() -> Optimum:
    """The kinds of the texts are enumerated; given these the judges are independent."""
    table = columns("verdicts.csv")
    judge, text = (np.unique(table[name], return_inverse=True)[1] for name in ("judge", "text"))
    approved = np.array(table["approved"], int)
    kinds = np.array(list(product((0, 1), repeat=int(text.max()) + 1)))

    def log_likelihood(p: Point) -> float:
        answer = np.where(approved[:, None, None], np.log(p["chance"]), np.log1p(-p["chance"]))
        rows = answer[np.arange(len(text)), :, kinds[:, text]]  # (states, rows, manner)
        by_judge = np.zeros((len(kinds), int(judge.max()) + 1, 2))
        np.add.at(by_judge.swapaxes(0, 1), judge, rows.swapaxes(0, 1))
        evidence = logsumexp(np.log(p["q"]) + by_judge, axis=2).sum(axis=1)
        return float(logsumexp(evidence + np.log(p["p"])[kinds].sum(axis=1)))

    blocks = (Block("q", "simplex", (TWO,)), Block("p", "simplex", (TWO,)), Block("chance", "unit", (TWO, TWO)))
    start = {"q": [0.35, 0.65], "p": [0.35, 0.65], "chance": [[0.4, 0.85], [0.7, 0.2]]}
    return maximise(log_likelihood, blocks, [start])


TIED: dict[str, Callable[[], Optimum]] = {
    function.__name__: function for function in (panel_autoregression, two_way_blocks)
}
