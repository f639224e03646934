"""Likelihoods of the models whose hidden shares are summed over nodes, by a rule that is exact: given the shares the
chance of what a unit shows is a polynomial in them, and Gauss-Jacobi integrates polynomials against a Dirichlet law of
two shares without error. Nothing here uses emdsl.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import roots_jacobi

from tests.models.direct_maximisation import Array, Block, Optimum, Point, maximise
from tests.models.hidden_numbers_likelihoods import POSITIVE
from tests.models.likelihoods import columns


def shares(a: float, b: float, count: int) -> tuple[Array, Array]:
    """Nodes of the first of two shares under Dirichlet(a, b), and their weights, exact up to degree `2*count - 1`."""
    x, weights = roots_jacobi(count, b - 1, a - 1)
    return (1 + x) / 2, weights / weights.sum()


def counted(rows: Sequence[str], columns: Sequence[str], counts: Sequence[float]) -> tuple[Array, tuple[str, ...]]:
    """A table of sums by row and column, and the labels of its columns in order."""
    units, kinds = sorted(set(rows)), tuple(sorted(set(columns)))
    table = np.zeros((len(units), len(kinds)))
    np.add.at(table, ([units.index(r) for r in rows], [kinds.index(c) for c in columns]), counts)
    return table, kinds


def topics() -> Optimum:
    """Two topics of documents (Blei, Ng and Jordan 2003)."""
    text = columns("words.csv")
    table, kinds = counted(text["document"], text["word"], [float(n) for n in text["count"]])

    def log_likelihood(p: Point) -> float:
        first, weights = shares(float(p["alpha"][0]), float(p["alpha"][1]), 24)
        law = np.log(np.outer(first, p["phi"][0]) + np.outer(1 - first, p["phi"][1]))
        return float(np.log(np.exp(table @ law.T) @ weights).sum())

    start = [[0.25, 0.02, 0.36, 0.33, 0.01, 0.03], [0.19, 0.2, 0.02, 0.02, 0.32, 0.25]]
    blocks = (Block("alpha", POSITIVE, (("1", "2"),)), Block("phi", "simplex", (("1", "2"), kinds)))
    return maximise(log_likelihood, blocks, [{"alpha": [0.8, 0.6], "phi": start}])


def admixture() -> Optimum:
    """Ancestry in two populations (Pritchard, Stephens and Donnelly 2000)."""
    text = columns("alleles.csv")
    people, loci = text["person"], text["locus"]
    seen, kinds = counted(people, loci, [float(n) for n in text["allele"]])
    copies, _ = counted(people, loci, [1.0] * len(loci))

    def log_likelihood(p: Point) -> float:
        first, weights = shares(float(p["alpha"]), float(p["alpha"]), 12)
        chance = np.outer(first, p["f"][0]) + np.outer(1 - first, p["f"][1])
        logs = seen @ np.log(chance).T + (copies - seen) @ np.log1p(-chance).T
        return float(np.log(np.exp(logs) @ weights).sum())

    start = [[0.24, 0.73, 0.43, 0.86, 0.17, 0.45, 0.49, 0.92], [0.84, 0.28, 0.68, 0.3, 0.65, 0.85, 0.18, 0.69]]
    blocks = (Block("alpha", POSITIVE), Block("f", "unit", (("first", "second"), kinds)))
    return maximise(log_likelihood, blocks, [{"alpha": 0.1, "f": start}])


#: The models with their references.
WITH_SHARES = {found.__name__: found for found in (topics, admixture)}
