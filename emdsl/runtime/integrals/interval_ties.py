"""Hidden numbers of a unit that are jointly normal but for one, which lies in an interval.

The unbounded ones are integrated out first, which leaves the exponential of a quadratic of the bounded one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from emdsl.runtime.integrals.gaussian import UnitGaussian, integrate
from emdsl.runtime.integrals.interval_line import interval_log_slope, interval_place, interval_value
from emdsl.runtime.integrals.interval_normal import integrate_interval
from emdsl.runtime.integrals.lines import line, mode_of
from emdsl.runtime.integrals.unit_ties import Site, UnitLaw, UnitTies
from emdsl.runtime.problem import Array


@dataclass(frozen=True)
class IntervalTies(UnitTies):
    """`bounded` is the place of the number that lies between `low` and `high`, each `(*cells, units)` or a number."""

    bounded: int
    low: Array
    high: Array

    def integrate(self, centre: Array, parts: list[tuple[tuple[Site, ...], Any]]) -> tuple[Array, UnitLaw]:
        """The log-integral in each unit, with mean and covariance of the law that remains."""
        value, gradient, hessian = self.summed(parts)
        here, others = self.bounded, [i for i in range(self.shape[0]) if i != self.bounded]
        g, c = gradient[here], -hessian[here, here]
        covariance = np.zeros(hessian.shape)
        if others:
            inner = hessian[np.ix_(others, others)]
            zero = np.zeros(centre[others].shape)
            value, law = integrate(zero, value, gradient[others], inner)
            # Given the bounded number, off its centre by x, the others are normal with mean `at + x slope`.
            at, covariance[np.ix_(others, others)] = law.mean, law.covariance
            slope = np.einsum("ij...,j...->i...", law.covariance, hessian[others, here])
            g = g + (hessian[here, others] * at).sum(axis=0)
            c = c - (hessian[here, others] * slope).sum(axis=0)
        found = integrate_interval(g, c, self.low - centre[here], self.high - centre[here])
        mean = centre.copy()
        mean[here] += found.mean
        covariance[here, here] = found.variance
        if others:
            mean[others] += at + slope * found.mean
            covariance[others, here] = covariance[here, others] = slope * found.variance
            between = slope[:, None] * slope[None, :] * found.variance
            covariance[np.ix_(others, others)] += between
        law = UnitGaussian(mean, covariance)
        exponent = (g, c, centre[here])
        return value + found.log_integral, IntervalLaw(self.order, law, here, self.low, self.high, exponent)


@dataclass(frozen=True)
class IntervalLaw(UnitLaw):
    """Mean and covariance of the numbers of each unit, one of which lies between `low` and `high`: the logarithm of its
    density is `g (u - centre) - c (u - centre)^2 / 2` there, `exponent` being g, c and the centre, and the others are
    normal given it.
    """

    bounded: int
    low: Array
    high: Array
    exponent: tuple[Array, Array, Array]

    def line(self, count: int) -> tuple[Array, Array]:
        """Points `(*cells, count, units)` over the number on the interval, whose shares are right for any smooth
        function.
        """
        g, c, centre = (item[..., None, :] for item in self.exponent)

        def log_density(x: Array) -> Array:
            off = interval_value(x, self.low, self.high) - centre
            return np.asarray(g * off - 0.5 * c * off**2 + interval_log_slope(x, self.low, self.high))

        mean = self.law.mean[self.bounded]
        with np.errstate(all="ignore"):
            start = interval_place(mean, self.low, self.high)
            start = np.where(np.isfinite(start), start, 0.0)
            points, shares = line(log_density, *mode_of(log_density, start, np.ones(mean.shape)), count)
        return interval_value(points, self.low, self.high), shares

    def others(self, slots: Sequence[int], values: Array) -> tuple[Array, Array]:
        """Of other numbers given `values` `(*cells, points, units)` of the one on the interval: means `(slots, *cells,
        points, units)` and the covariance `(slots, slots, *cells, units)`, which is the same for all values.
        """
        mean, own, here = self.law.mean, list(slots), self.bounded
        spread = self.law.covariance[here, here]
        slope = self.law.covariance[own, here] / spread
        left = self.law.covariance[np.ix_(own, own)] - slope[:, None] * slope[None, :] * spread
        off = values - mean[here][..., None, :]
        return mean[own][..., None, :] + slope[..., None, :] * off, left

    def draw(self, rng: np.random.Generator) -> Array:
        """Values of about the right size, which is all that a start takes: normal draws, turned back at the ends."""
        values = self.law.draw(rng)
        values[self.bounded] = turned_back(values[self.bounded], self.low, self.high)
        return values


def turned_back(x: Array, low: Array, high: Array) -> Array:
    """Values mirrored at the end of the interval that they lie beyond; well inside where they are too far off."""
    x = np.where(x < low, 2 * low - x, x)
    x = np.where(x > high, 2 * high - x, x)
    with np.errstate(invalid="ignore"):
        return np.where((x < low) | (x > high), (low + high) / 2, x)
