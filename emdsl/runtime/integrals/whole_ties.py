"""Hidden numbers of units each of which has its own, which every piece sees all of; and one hidden number in each unit,
normal up to a bound or from one on: censored values that other laws look at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from emdsl.runtime.functions import log_Phi
from emdsl.runtime.integrals.gaussian import LOG_2PI, UnitGaussian, covariance_root, integrate
from emdsl.runtime.problem import Array


@dataclass(frozen=True)
class WholeTies:
    """`shape` is `(d, *cells, units)`."""

    shape: tuple[int, ...]

    def gather(self, values: Array, sites: Any) -> Array:
        """Every piece looks at all numbers of the unit."""
        return values

    def total(self, values: Array) -> Array:
        """The units are those of the integral."""
        return values

    def of_units(self, values: Array) -> Array:
        """The units are those of the integral."""
        return values

    def integrate(self, centre: Array, parts: list[tuple[Any, Any]]) -> tuple[Array, WholeLaw]:
        """Sums of the pieces' quadratics, integrated unit by unit."""
        evidence, law = self._integrated(centre, parts)
        return evidence, WholeLaw(law)

    def integrate_innovations(self, centre: Array, spread: Array, parts: Any, laws: Any) -> None:
        """Precisions serve as well."""

    def _integrated(self, centre: Array, parts: list[tuple[Any, Any]]) -> tuple[Array, UnitGaussian]:
        value, gradient = np.zeros(self.shape[1:]), np.zeros(self.shape)
        hessian = np.zeros((self.shape[0], *self.shape))
        for _, own in parts:
            value = value + own.value
            gradient += own.gradient
            hessian += own.hessian
        return integrate(centre, value, gradient, hessian)


@dataclass(frozen=True)
class WholeLaw:
    """The posterior of the numbers of each unit; of cut ones by its mean and variance, which is all that quadratics
    need to know of it.
    """

    law: UnitGaussian

    @property
    def mean(self) -> Array:
        """`(d, *cells, units)`."""
        return self.law.mean

    @property
    def spread(self) -> Array:
        """`(d, *cells, units)`."""
        return self.law.spread

    def marginal(self, sites: Any) -> tuple[Array, Array]:
        """Of every piece."""
        return self.law.mean, self.law.covariance

    def sample(self, noise: Array) -> Array:
        """Draws of `noise` `(d, *cells, draws, units)`."""
        root = covariance_root(self.law.covariance)
        return np.asarray(self.law.mean[..., None, :] + np.einsum("ij...u,j...su->i...su", root, noise))

    def draw(self, rng: np.random.Generator) -> Array:
        """One draw of everything."""
        return self.law.draw(rng)


@dataclass(frozen=True)
class CutTies(WholeTies):
    """`shape` is `(1, *cells, units)`; `low` and `high` `(units,)` are the bounds, one of which is infinite."""

    low: Array
    high: Array

    def integrate(self, centre: Array, parts: list[tuple[Any, Any]]) -> tuple[Array, WholeLaw]:
        """Sums of the pieces' quadratics, integrated between the bounds."""
        evidence, law = self._integrated(centre, parts)
        mean, spread = law.mean[0], np.sqrt(law.covariance[0, 0])
        # Seen from the bound: the number lies below `edge` standard deviations of a standard normal one.
        side = np.where(np.isfinite(self.high), 1.0, -1.0)
        bound = np.where(np.isfinite(self.high), self.high, self.low)
        edge = side * (bound - mean) / spread
        log_share = log_Phi(edge)
        hazard = np.exp(-0.5 * edge**2 - 0.5 * LOG_2PI - log_share)
        inside = mean - side * spread * hazard
        variance = np.maximum(1.0 - hazard * (hazard + edge), 0.0) * spread**2
        return evidence + log_share, WholeLaw(UnitGaussian(inside[None], variance[None, None]))
