"""Hidden numbers that are tied across units: nested and crossed effects, effects outside plates, chains beside them.

The hidden numbers of one group, whose units are tied to others and not to each other, or each to the next along a
chain, are eliminated first. What is left, the Schur complement, falls into components that are dense. Entries of the
inverse are formed only for pairs that some law looks at together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdsl.runtime.integrals.crossed_system import Numbering, Solved, System
from emdsl.runtime.integrals.gaussian import LOG_2PI
from emdsl.runtime.problem import Array

Codes = NDArray[np.intp]


@dataclass(frozen=True)
class CrossedTies:
    """`places` gives for the hidden numbers of a piece their places in the row, by row of the piece, `(rows,)`.

    `cells` are the lengths of the axes of finite hidden variables around everything. `owner` `(numbers,)` is the unit
    of the integral, of `units`, that each number belongs to (None: there is one).
    """

    numbering: Numbering
    places: Callable[[Any], Codes]
    cells: tuple[int, ...] = ()
    owner: Codes | None = None
    units: int = 1

    @property
    def shape(self) -> tuple[int, ...]:
        """`(1, *cells, numbers)`."""
        return (1, *self.cells, self.numbering.size)

    def gather(self, values: Array, sites: Any) -> Array:
        """Those of one piece, `(q, ..., rows)`."""
        return np.stack([values[0][..., self.places(site)] for site in sites])

    def total(self, values: Array) -> Array:
        """Values by row, summed."""
        return np.asarray(values.sum(axis=-1, keepdims=True))

    def of_units(self, values: Array) -> Array:
        """Values by unit of the integral, for each number."""
        return values if self.owner is None else np.asarray(values[..., self.owner])

    def integrate(self, centre: Array, parts: list[tuple[Any, Any]]) -> tuple[Array, CrossedLaw]:
        """The log-integral `(*cells, units)`, and the law."""
        evidence = np.empty((*self.cells, self.units))
        mean = np.empty(self.shape)
        solved: list[Solved] = []
        for cell in np.ndindex(self.cells):
            evidence[cell], shift, own = self._solve(cell, parts)
            mean[(0, *cell)] = centre[(0, *cell)] + shift
            solved.append(own)
        return evidence, CrossedLaw(self, mean, tuple(solved))

    def _solve(self, cell: tuple[int, ...], parts: list[tuple[Any, Any]]) -> tuple[Array, Array, Solved]:
        """The same in one cell: evidence by unit, the shift of every number, and the inverse."""
        number = self.numbering
        system = System(number)
        evidence = np.zeros(self.units)
        for sites, own in parts:
            places = [self.places(site) for site in sites]
            evidence += self._by_unit(own.value[cell], places[0])
            for i, first in enumerate(places):
                system.slope += np.bincount(first, weights=own.gradient[(i, *cell)], minlength=number.size)
                for j, second in enumerate(places):
                    system.add(first, second, -own.hessian[(i, j, *cell)])
        solved = system.solve()
        terms = 0.5 * (system.slope * solved.mean + LOG_2PI - solved.log_pivots)
        return evidence + self._by_unit(terms, np.arange(number.size)), solved.mean, solved

    def _by_unit(self, values: Array, numbers: Codes) -> Array:
        """Values that go with these numbers, summed in each unit of the integral."""
        if self.owner is None:
            return np.asarray(values.sum(keepdims=True))
        return np.asarray(np.bincount(self.owner[numbers], weights=values, minlength=self.units), dtype=np.float64)

    def integrate_innovations(self, centre: Array, spread: Array, parts: Any, laws: Any) -> None:
        """Precisions serve as well."""


@dataclass(frozen=True)
class CrossedLaw:
    """The posterior of all hidden numbers, `mean` `(1, *cells, numbers)`; `solved` is its inverse cell by cell."""

    ties: CrossedTies
    mean: Array
    solved: tuple[Solved, ...]

    @cached_property
    def spread(self) -> Array:
        """`(1, *cells, numbers)`."""
        places = np.arange(self.ties.numbering.size)
        variances = np.stack([own.between(places, places) for own in self.solved])
        return np.sqrt(np.maximum(variances, 0.0)).reshape(self.mean.shape)

    def marginal(self, sites: Any) -> tuple[Array, Array]:
        """Of one piece in each of its rows."""
        places = [self.ties.places(site) for site in sites]
        mean = self.ties.gather(self.mean, sites)
        covariance = np.empty((len(places), *mean.shape))
        for i, first in enumerate(places):
            for j in range(i, len(places)):
                between = np.stack([own.between(first, places[j]) for own in self.solved])
                covariance[i, j] = covariance[j, i] = between.reshape(mean.shape[1:])
        return mean, covariance

    def sample(self, noise: Array) -> Array:
        """Draws of `noise` `(1, *cells, draws, numbers)`: the rest, then the inner numbers given the rest."""
        out = np.empty_like(noise)
        for cell, own in zip(np.ndindex(self.ties.cells), self.solved, strict=True):
            out[(0, *cell)] = own.sample(noise[(0, *cell)])
        return np.asarray(self.mean[..., None, :] + out)

    def draw(self, rng: np.random.Generator) -> Array:
        """Draws with each number's own mean and variance; for starts, which need no more."""
        return np.asarray(self.mean + self.spread * rng.standard_normal(self.mean.shape))
