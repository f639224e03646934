"""Filtering of chains of jointly normal hidden numbers: the law of those of a step and of the steps that laws look back
to, given what is said up to that step (Kalman 1960; in the form of precisions, Anderson and Moore 1979, section 6.3).

All chains go forward in lockstep. A window holds the numbers of a step and of the `lag` steps before it; the oldest are
integrated out, the new ones come in, and the log-density of the step is added.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from emdsl.runtime.integrals.chain_ties import ChainTies, Site
from emdsl.runtime.problem import Array


@dataclass(frozen=True)
class FilteredLaw:
    """The filtered law of every step: `windows` `(*cells, steps, (lag + 1) b)` are means, the step's own numbers first,
    and `covariances` theirs.
    """

    ties: ChainTies
    windows: Array
    covariances: Array

    @property
    def mean(self) -> Array:
        """`(b, *cells, steps)`."""
        return np.moveaxis(self.windows[..., : self.ties.shape[0]], -1, 0)

    @property
    def spread(self) -> Array:
        """`(b, *cells, steps)`."""
        variances = np.diagonal(self.covariances, axis1=-2, axis2=-1)[..., : self.ties.shape[0]]
        return np.moveaxis(np.sqrt(np.maximum(variances, 0.0)), -1, 0)

    def marginal(self, sites: tuple[Site, ...]) -> tuple[Array, Array]:
        """Mean `(q, *cells, steps)` and covariance `(q, q, *cells, steps)` of some numbers at every step."""
        places = [_place(self.ties, site) for site in sites]
        chosen = self.covariances[..., np.array(places)[:, None], np.array(places)]
        return np.moveaxis(self.windows[..., places], -1, 0), np.moveaxis(chosen, (-2, -1), (0, 1))

    def draw(self, rng: np.random.Generator) -> Array:
        """There is no joint law of all steps to draw from."""
        raise AssertionError("steps are filtered one by one")

    def sample(self, noise: Array) -> Array:
        """There is no joint law of all steps to draw from."""
        raise AssertionError("steps are filtered one by one")


def _place(ties: ChainTies, site: Site) -> int:
    return site[2] * ties.shape[0] + ties.order[site[0], site[1], 0]


def filtered(ties: ChainTies, centre: Array, parts: Sequence[tuple[tuple[Site, ...], Any]]) -> FilteredLaw:
    """The law of every step from the pieces' quadratics around `centre`, each known by the step that it belongs to."""
    b, cells, steps = ties.shape[0], ties.shape[1:-1], ties.shape[-1]
    size = b * (ties.lag + 1)
    slope, bend = np.zeros((*cells, steps, size)), np.zeros((*cells, steps, size, size))
    for sites, own in parts:
        places = [_place(ties, site) for site in sites]
        for i, first in enumerate(places):
            slope[..., first] += own.gradient[i]
            for j, second in enumerate(places):
                bend[..., first, second] -= own.hessian[i, j]
    shifts, covariances = _forward(ties, slope, bend)
    around = [np.moveaxis(_before(ties, centre, lag), 0, -1) for lag in range(ties.lag + 1)]
    return FilteredLaw(ties, shifts + np.concatenate(around, axis=-1), covariances)


def _before(ties: ChainTies, values: Array, lag: int) -> Array:
    out = np.empty_like(values)
    ties.back(values, lag, out)
    return out


def _forward(ties: ChainTies, slope: Array, bend: Array) -> tuple[Array, Array]:
    """Means relative to the centre, and covariances, of every window."""
    b, size = ties.shape[0], slope.shape[-1]
    shifts, covariances = np.empty_like(slope), np.empty_like(bend)
    lengths = np.diff(ties.starts)
    # what lies before a chain is standard normal by itself, and tied to nothing
    precision = np.broadcast_to(np.eye(size), (*slope.shape[:-2], len(lengths), size, size)).copy()
    told = np.zeros((*slope.shape[:-2], len(lengths), size))
    for step in range(int(lengths.max(initial=0))):
        chains = np.flatnonzero(lengths > step)
        rows = ties.starts[:-1][chains] + step
        before, known = precision[..., chains, :, :], told[..., chains, :]
        kept, oldest = slice(0, size - b), slice(size - b, size)
        gain = np.linalg.solve(before[..., oldest, oldest], before[..., oldest, kept])
        after, fresh = bend[..., rows, :, :].copy(), slope[..., rows, :].copy()
        after[..., b:, b:] += before[..., kept, kept] - before[..., kept, oldest] @ gain
        fresh[..., b:] += known[..., kept] - (known[..., None, oldest] @ gain)[..., 0, :]
        after[..., b:, b:] = 0.5 * (after[..., b:, b:] + np.swapaxes(after[..., b:, b:], -1, -2))
        scale = np.sqrt(np.diagonal(after, axis1=-2, axis2=-1))
        outer = scale[..., :, None] * scale[..., None, :]
        covariance = np.linalg.inv(after / outer) / outer
        covariances[..., rows, :, :] = covariance
        shifts[..., rows, :] = (covariance @ fresh[..., None])[..., 0]
        precision[..., chains, :, :], told[..., chains, :] = after, fresh
    return shifts, covariances
