"""What the normal laws of hidden numbers have in common: a law at one theta, and what a posterior knows of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from emdsl.plan.latent_pieces import Site
from emdsl.runtime.integrals.innovations import Multipliers
from emdsl.runtime.problem import Array

Codes = NDArray[np.intp]


class MultiplierLaw(Protocol):
    """A posterior that knows the multipliers of the laws."""

    def marginal(self, sites: tuple[Site, ...]) -> tuple[Array, Array]: ...

    def innovations(self, slots: Sequence[int], sites: tuple[Site, ...]) -> Multipliers:
        """The multipliers of the laws of some slots, and how some hidden numbers go with them."""
        ...


def pulled_points(here: Array, found: Multipliers, pulls: Array, weights: Array) -> tuple[Array, Array]:
    """Points `(sites, *cells, points, n)` and shares `(t, *cells, points, n)` with which derivatives of means add up to
    `E[r dm(h)]`: these are affine in the hidden numbers h, so that it is `(r - 1) dm(h) + dm(h + Cov(h, r))` at
    posterior means. `here` `(sites, *cells, 1, n)` are these, `pulls` `(t, *cells, n)` the weighted multipliers r of
    the laws.
    """
    count = len(pulls)
    points = np.concatenate([here, *(here + found.cross[:, k][..., None, :] for k in range(count))], axis=-2)
    shares = np.zeros((count, *points.shape[1:]))
    shares[..., 0, :] = pulls - weights
    for k in range(count):
        shares[k, ..., k + 1, :] = weights
    return points, shares


@dataclass(frozen=True)
class Part:
    """One law at one theta: the `slots` `(t,)` of its targets, `mean` `(t, *cells, n)`, `covariance` `(t, t, *cells,
    n)`, `ties` to hidden numbers by site, each `(t, *cells, n)`, `constant` `(*cells, n)`; n may be 1.
    """

    slots: Codes
    mean: Array
    covariance: Array
    ties: dict[Site, Array]
    constant: Array
