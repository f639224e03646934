"""Shares that sum to 1: `exp(sum_j a_j log p_j)` integrated over all of them, a Dirichlet law."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emdsl.runtime.functions import digamma, lgamma, logistic
from emdsl.runtime.problem import Array

#: A point whose logarithms are below this would be lost to underflow.
LOWEST = 500.0
#: How far nodes for the probability below a share reach: but for 1e-18 of it.
NODES_REACH = 3.27
#: A share below this counts as this one, as its logarithm has to be a number.
TINY = 1e-300


@dataclass(frozen=True)
class SharesLaw:
    """Dirichlet laws with exponents `concentration - 1`, `(groups, shares, *cells, units)`."""

    concentration: Array

    @property
    def log_integral(self) -> Array:
        """`sum_j lgamma(c_j) - lgamma(sum_j c_j)`, of all groups together: `(*cells, units)`; minus infinity where some
        integral is not finite.
        """
        c = np.where(self.concentration > 0, self.concentration, np.nan)
        value = (lgamma(c).sum(axis=1) - lgamma(c.sum(axis=1))).sum(axis=0)
        return np.where(np.isnan(value), -np.inf, value)

    @property
    def mean_log(self) -> Array:
        """`E[log p_j]`, of the shape of the concentration."""
        c = np.where(self.concentration > 0, self.concentration, np.nan)
        return np.asarray(digamma(c) - digamma(c.sum(axis=1, keepdims=True)))

    def moments(self) -> tuple[Array, Array]:
        """Means and variances of the shares."""
        c = np.where(self.concentration > 0, self.concentration, np.nan)
        total = c.sum(axis=1, keepdims=True)
        mean = c / total
        return mean, mean * (1.0 - mean) / (total + 1.0)

    def quantiles(self, count: int) -> tuple[Array, Array]:
        """Points `(groups, shares, *cells, count, units)` and their shares `(count,)`: each share by itself has its own
        law, a beta law, over them. Two shares sum to 1 at every point, more do not: their points go up together.

        The nodes are those of the double exponential rule for the probability below (Takahasi and Mori 1974).
        """
        from scipy.special import betainccinv, betaincinv

        t = np.linspace(-NODES_REACH, NODES_REACH, count)
        below, above = logistic(np.pi * np.sinh(t)), logistic(-np.pi * np.sinh(t))
        c = np.where(self.concentration > 0, self.concentration, np.nan)[..., None, :]
        rest = c.sum(axis=1, keepdims=True) - c
        low = np.repeat(below[None], c.shape[1], axis=0)
        high = np.repeat(above[None], c.shape[1], axis=0)
        if len(low) == 2:
            low[1], high[1] = above, below
        shape = (c.shape[1], *(1,) * (c.ndim - 4), count, 1)
        low, high = low.reshape(shape), high.reshape(shape)
        found = np.where(low <= high, betaincinv(c, rest, low), betainccinv(c, rest, high))
        weights = np.cosh(t) * below * above
        return np.clip(found, TINY, 1.0), weights / weights.sum()

    def draw(self, rng: np.random.Generator) -> Array:
        """One draw of each, no share so small that its logarithm is lost."""
        drawn = np.maximum(rng.standard_gamma(np.maximum(np.nan_to_num(self.concentration), 1e-3)), 1e-100)
        return np.asarray(drawn / drawn.sum(axis=1, keepdims=True))


def points_of(mean_log: Array) -> tuple[Array, Array]:
    """Weighted points whose logarithms have these means `(slots, ..., units)`: `(slots, ..., points, units)` and
    weights `(..., points, units)`.

    One point is enough for functions that are linear in logarithms. Where a share is so small that the point would be
    0, a second one at 1 makes up for a point nearer to it; one of the weights is then negative.
    """
    stretch = np.maximum(1.0, np.ceil(np.nan_to_num(-mean_log, nan=0.0).max(axis=0) / LOWEST))
    near = np.exp(mean_log / stretch)
    if (stretch == 1.0).all():
        return near[..., None, :], np.ones((*stretch.shape[:-1], 1, stretch.shape[-1]))
    points = np.stack([near, np.ones_like(near)], axis=-2)
    return points, np.stack([stretch, 1.0 - stretch], axis=-2)
