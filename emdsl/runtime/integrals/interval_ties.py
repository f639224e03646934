"""Hidden numbers of a unit that are jointly normal but for one, which lies in an interval.

The unbounded ones are integrated out first, which leaves the exponential of a quadratic of the bounded one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from emdsl.runtime.integrals.gaussian import UnitGaussian, integrate
from emdsl.runtime.integrals.interval_normal import integrate_interval
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
        return value + found.log_integral, IntervalLaw(self.order, law, here, self.low, self.high)


@dataclass(frozen=True)
class IntervalLaw(UnitLaw):
    """Mean and covariance of the numbers of each unit, one of which lies between `low` and `high`."""

    bounded: int
    low: Array
    high: Array

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
