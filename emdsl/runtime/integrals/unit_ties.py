"""Hidden numbers that are tied within each of many units: small dense systems, all units at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from emdsl.runtime.integrals import innovations
from emdsl.runtime.integrals.gaussian import UnitGaussian, covariance_root, integrate
from emdsl.runtime.integrals.innovations import Innovations, Multipliers, WhitenedUnits
from emdsl.runtime.problem import Array

Site = tuple[str, tuple[int, ...], int]


@dataclass(frozen=True)
class UnitTies:
    """`order` gives each hidden number its place among the d of a unit; `shape` is `(d, *cells, units)`."""

    order: Mapping[Site, int]
    shape: tuple[int, ...]

    def gather(self, values: Array, sites: tuple[Site, ...]) -> Array:
        """Those of one piece."""
        return values[[self.order[site] for site in sites]]

    def total(self, values: Array) -> Array:
        """The units are those of the integral."""
        return values

    def of_units(self, values: Array) -> Array:
        """The units are those of the integral."""
        return values

    def integrate(self, centre: Array, parts: list[tuple[tuple[Site, ...], Any]]) -> tuple[Array, UnitLaw]:
        """Sums of the pieces' quadratics, integrated unit by unit."""
        evidence, law = integrate(centre, *self.summed(parts))
        return evidence, UnitLaw(self.order, law)

    def integrate_innovations(
        self, centre: Array, spread: Array, parts: list[tuple[tuple[Site, ...], Any]], laws: Innovations
    ) -> tuple[Array, UnitLaw]:
        """The same with laws by mean and variance."""
        evidence, law = innovations.integrate(centre, *self.summed(parts), laws)
        return evidence, UnitLaw(self.order, law)

    def summed(self, parts: list[tuple[tuple[Site, ...], Any]]) -> tuple[Array, Array, Array]:
        """Value `(*cells, units)`, gradient `(d, *cells, units)` and Hessian `(d, d, *cells, units)` of all pieces."""
        d = self.shape[0]
        value, gradient = np.zeros(self.shape[1:]), np.zeros(self.shape)
        hessian = np.zeros((d, *self.shape))
        for sites, own in parts:
            slots = [self.order[site] for site in sites]
            value += own.value
            for i, first in enumerate(slots):
                gradient[first] += own.gradient[i]
                for j, second in enumerate(slots):
                    hessian[first, second] += own.hessian[i, j]
        return value, gradient, hessian


@dataclass(frozen=True)
class UnitLaw:
    """The posterior of the numbers of each unit."""

    order: Mapping[Site, int]
    law: UnitGaussian

    @property
    def mean(self) -> Array:
        """`(d, *cells, units)`."""
        return self.law.mean

    @property
    def spread(self) -> Array:
        """`(d, *cells, units)`."""
        return self.law.spread

    def marginal(self, sites: tuple[Site, ...]) -> tuple[Array, Array]:
        """Of one piece."""
        slots = [self.order[site] for site in sites]
        return self.law.mean[slots], self.law.covariance[np.ix_(slots, slots)]

    @property
    def width(self) -> Array:
        """How far a number may move before what is seen says so, `(d, *cells, units)`."""
        return self._whitened.width

    @property
    def _whitened(self) -> WhitenedUnits:
        assert isinstance(self.law, WhitenedUnits)
        return self.law

    def innovations(self, slots: Sequence[int], sites: tuple[Site, ...]) -> Multipliers:
        """The multipliers of the laws of some slots, and how some numbers go with them."""
        found, own, looked = self._whitened.multipliers, list(slots), [self.order[site] for site in sites]
        return Multipliers(
            found.mean[own], found.curvature[np.ix_(own, own)], found.cross[np.ix_(looked, own)]
        )  # fmt: skip

    def sample(self, noise: Array) -> Array:
        """Draws of `noise` `(d, *cells, draws, units)`."""
        root = covariance_root(self.law.covariance)
        return np.asarray(self.law.mean[..., None, :] + np.einsum("ij...u,j...su->i...su", root, noise))

    def draw(self, rng: np.random.Generator) -> Array:
        """One draw of everything."""
        return self.law.draw(rng)
