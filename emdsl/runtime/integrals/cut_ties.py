"""One hidden number in each unit, normal up to a bound or from one on: censored values that other laws look at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from emdsl.runtime.functions import log_Phi
from emdsl.runtime.integrals.gaussian import LOG_2PI, UnitGaussian, integrate
from emdsl.runtime.problem import Array


@dataclass(frozen=True)
class CutTies:
    """`shape` is `(1, *cells, units)`; `low` and `high` `(units,)` are the bounds, one of which is infinite."""

    shape: tuple[int, ...]
    low: Array
    high: Array

    def gather(self, values: Array, sites: Any) -> Array:
        """Every piece looks at the one number."""
        return values

    def total(self, values: Array) -> Array:
        """The units are those of the integral."""
        return values

    def of_units(self, values: Array) -> Array:
        """The units are those of the integral."""
        return values

    def integrate(self, centre: Array, parts: list[tuple[Any, Any]]) -> tuple[Array, CutLaw]:
        """Sums of the pieces' quadratics, integrated between the bounds."""
        value, gradient = np.zeros(self.shape[1:]), np.zeros(self.shape)
        hessian = np.zeros((1, *self.shape))
        for _, own in parts:
            value = value + own.value
            gradient += own.gradient
            hessian += own.hessian
        evidence, law = integrate(centre, value, gradient, hessian)
        mean, spread = law.mean[0], np.sqrt(law.covariance[0, 0])
        # Seen from the bound: the number lies below `edge` standard deviations of a standard normal one.
        side = np.where(np.isfinite(self.high), 1.0, -1.0)
        bound = np.where(np.isfinite(self.high), self.high, self.low)
        edge = side * (bound - mean) / spread
        log_share = log_Phi(edge)
        hazard = np.exp(-0.5 * edge**2 - 0.5 * LOG_2PI - log_share)
        inside = mean - side * spread * hazard
        variance = np.maximum(1.0 - hazard * (hazard + edge), 0.0) * spread**2
        return evidence + log_share, CutLaw(UnitGaussian(inside[None], variance[None, None]))


@dataclass(frozen=True)
class CutLaw:
    """A law by its mean and variance, which is all that quadratics need to know of it."""

    law: UnitGaussian

    @property
    def mean(self) -> Array:
        """`(1, *cells, units)`."""
        return self.law.mean

    @property
    def spread(self) -> Array:
        """`(1, *cells, units)`."""
        return self.law.spread

    def marginal(self, sites: Any) -> tuple[Array, Array]:
        """Of every piece."""
        return self.law.mean, self.law.covariance

    def sample(self, noise: Array) -> Array:
        """A closed integral is not simulated."""
        raise AssertionError("a number between bounds is not drawn from a normal law")

    def draw(self, rng: np.random.Generator) -> Array:
        """One draw with the mean and variance; for starts, which need no more."""
        return self.law.draw(rng)
