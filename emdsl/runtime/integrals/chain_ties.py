"""Hidden numbers that are tied from one step of a chain to the next: block-tridiagonal systems.

All chains stand behind each other in one long system, without ties between the end of one and the beginning of the
next. It is solved by cyclic reduction (Buzbee, Golub and Nielson 1970): every other block is eliminated at once, so
that N blocks take log2 N rounds of array operations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdsl.runtime.integrals.block_tridiagonal import BlockLaw, backwards, solve
from emdsl.runtime.integrals.block_tridiagonal import draws as block_draws
from emdsl.runtime.integrals.chain_innovations import Augmented, Solved
from emdsl.runtime.integrals.gaussian import LOG_2PI
from emdsl.runtime.integrals.innovations import Innovations, Multipliers
from emdsl.runtime.kernels import segment_sum
from emdsl.runtime.problem import Array

Site = tuple[str, tuple[int, ...], int]
#: A law whose variance is this share of that of the posterior is taken by mean and variance: its precision would cost
#: digits.
NEAR = 1e-2


@dataclass(frozen=True)
class ChainTies:
    """`order` gives each hidden number (of lag 0) its place among the b of a step; `shape` is `(b, *cells, steps)`;
    `starts` `(chains + 1,)` are the offsets of the chains; laws look back at most `lag` steps.
    """

    order: Mapping[Site, int]
    shape: tuple[int, ...]
    starts: NDArray[np.intp]
    lag: int

    @cached_property
    def _blocks(self) -> int:
        """The number of blocks: `lag` steps make one, so that only neighbours are tied."""
        return -(-self.shape[-1] // self.lag)

    def _place(self, site: Site) -> int:
        return self.order[site[0], site[1], 0]

    def _step(self, lag: int) -> NDArray[np.intp]:
        return np.maximum(np.arange(self.shape[-1]) - lag, 0)

    def gather(self, values: Array, sites: tuple[Site, ...]) -> Array:
        """Those of one piece; before a chain began stands what comes first (nothing is said of it)."""
        out = np.empty((len(sites), *values.shape[1:]))
        for k, site in enumerate(sites):
            self.back(values[self._place(site)], site[2], out[k])
        return out

    @staticmethod
    def back(values: Array, lag: int, out: Array) -> None:
        """Values by step of `lag` steps before."""
        if lag:
            out[..., lag:] = values[..., :-lag]
            out[..., :lag] = values[..., :1]
        else:
            out[...] = values

    def total(self, values: Array) -> Array:
        """Values by step, summed in each chain."""
        return segment_sum(values, self.starts)

    def of_units(self, values: Array) -> Array:
        """Values by chain, for each step."""
        return np.repeat(values, np.diff(self.starts), axis=-1)

    def integrate(self, centre: Array, parts: list[tuple[tuple[Site, ...], Any]]) -> tuple[Array, ChainLaw]:
        """Sums of the pieces' quadratics over each chain, integrated."""
        b, cells, steps, lag = self.shape[0], self.shape[1:-1], self.shape[-1], self.lag
        size, blocks = b * lag, self._blocks
        diagonal = np.zeros((*cells, blocks, size, size))
        upper = np.zeros((*cells, blocks, size, size))
        right = np.zeros((*cells, blocks, size))
        value = np.zeros((*cells, steps))
        for sites, own in parts:
            value += own.value
            for i, first in enumerate(sites):
                self._add(right, first, own.gradient[i])
                for j, second in enumerate(sites):
                    self._tie(diagonal, upper, (first, second), -own.hessian[i, j])
        self._pad(diagonal)
        law = solve(diagonal, upper, right)
        shift = self._by_step(law.mean)
        return self._evidence(value, right, law, shift), ChainLaw(self, centre + shift, law)

    def integrate_innovations(
        self, centre: Array, spread: Array, parts: list[tuple[tuple[Site, ...], Any]], laws: Innovations
    ) -> tuple[Array, ChainLaw] | None:
        """The same with laws by mean and variance, where some variance is next to nothing beside what is not known of
        the number; laws that look back further have precisions alone.
        """
        least = laws.variances.reshape(self.shape[0], -1).min(axis=-1)
        known = (spread**2).reshape(self.shape[0], -1).max(axis=-1)
        if self.lag > 1 or not (least < NEAR * known).any():
            return None
        b, cells, steps = self.shape[0], self.shape[1:-1], self.shape[-1]
        system = Augmented(b, cells, steps)
        value = np.zeros((*cells, steps)) + laws.constant
        for sites, own in parts:
            value += own.value
            for i, first in enumerate(sites):
                self._add(system.right, first, own.gradient[i])
                for j, second in enumerate(sites):
                    self._tie(system.diagonal, system.upper, (first, second), -own.hessian[i, j])
        found = system.solve(laws, centre)
        evidence = segment_sum(value + found.evidence, self.starts)
        return evidence, InnovationChainLaw(self, centre + self._by_step(found.law.mean), found.law, found)

    def _add(self, right: Array, site: Site, slope: Array) -> None:
        if self.lag == 1:
            back = site[2]
            right[..., : right.shape[-2] - back, self._place(site)] += slope[..., back:]
        else:
            place: Any = (..., *self._address(site))
            np.add.at(right, place, slope)

    def _tie(self, diagonal: Array, upper: Array, pair: tuple[Site, Site], curvature: Array) -> None:
        """Adds second derivatives in two numbers, by step: to the block of both, or to the tie of one to the next."""
        first, second = pair
        if self.lag == 1:
            steps = diagonal.shape[-3]
            back, row, column = first[2], self._place(first), self._place(second)
            if first[2] == second[2]:
                diagonal[..., : steps - back, row, column] += curvature[..., back:]
            elif first[2] > second[2]:
                upper[..., : steps - 1, row, column] += curvature[..., 1:]
            return
        at, row_ = self._address(first)
        to, column_ = self._address(second)
        same, after = at == to, to == at + 1
        for target, chosen in ((diagonal, same), (upper, after)):
            place: Any = (..., at[chosen], row_[chosen], column_[chosen])
            np.add.at(target, place, curvature[..., chosen])

    def _address(self, site: Site) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Block and row of a piece's hidden number, `(steps,)` each."""
        step = self._step(site[2])
        return step // self.lag, (step % self.lag) * self.shape[0] + self._place(site)

    def _pad(self, diagonal: Array) -> None:
        """Steps that fill up the last block are standard normal by themselves."""
        spare = self._blocks * self.lag - self.shape[-1]
        for row in range(self.shape[0] * (self.lag - spare), self.shape[0] * self.lag):
            diagonal[..., -1, row, row] = 1.0

    def _by_step(self, values: Array) -> Array:
        """`(*cells, blocks, size)` as `(b, *cells, steps)`."""
        cells = values.shape[:-2]
        steps = values.reshape(*cells, self._blocks * self.lag, self.shape[0])[..., : self.shape[-1], :]
        return np.moveaxis(steps, -1, 0)

    def _evidence(self, value: Array, right: Array, law: BlockLaw, shift: Array) -> Array:
        gradient = self._by_step(right)
        logdet = self._by_step(law.log_pivots)
        steps = value + (0.5 * gradient * shift + 0.5 * LOG_2PI - 0.5 * logdet).sum(axis=0)
        return segment_sum(steps, self.starts)


@dataclass(frozen=True)
class ChainLaw:
    """The posterior of the numbers of each step."""

    ties: ChainTies
    mean: Array
    law: BlockLaw

    @cached_property
    def spread(self) -> Array:
        """`(b, *cells, steps)`."""
        variances = np.diagonal(self.law.covariance, axis1=-2, axis2=-1)
        return np.sqrt(np.maximum(self.ties._by_step(variances), 0.0))

    def marginal(self, sites: tuple[Site, ...]) -> tuple[Array, Array]:
        """Of one piece at every step."""
        mean = self.ties.gather(self.mean, sites)
        covariance = np.empty((len(sites), *mean.shape))
        for i, first in enumerate(sites):
            for j, second in enumerate(sites):
                if self.ties.lag == 1:
                    self._beside(first, second, covariance[i, j])
                else:
                    covariance[i, j] = self._between(first, second)
        return mean, covariance

    def _beside(self, first: Site, second: Site, out: Array) -> None:
        """Covariances where a block is a step: of the same step, or of one and the next."""
        row, column = self.ties._place(first), self.ties._place(second)
        if first[2] == second[2]:
            self.ties.back(self.law.covariance[..., row, column], first[2], out)
        elif first[2] > second[2]:
            self.ties.back(self.law.next_covariance[..., row, column], 1, out)
        else:
            self.ties.back(self.law.next_covariance[..., column, row], 1, out)

    def _between(self, first: Site, second: Site) -> Array:
        at, row = self.ties._address(first)
        to, column = self.ties._address(second)
        inside = self.law.covariance[..., at, row, column]
        low, high = np.minimum(at, to), np.maximum(at, to)
        across = np.where(
            at <= to, self.law.next_covariance[..., low, row, column], self.law.next_covariance[..., low, column, row]
        )
        return np.where(low == high, inside, across)

    def sample(self, noise: Array) -> Array:
        """Draws of `noise` `(b, *cells, draws, steps)`, from the last block back to the first (Carter, Kohn 1994)."""
        ties, law = self.ties, self.law
        blocks, size = ties._blocks, law.mean.shape[-1]
        cells, draws = noise.shape[1:-2], noise.shape[-2]
        padded = np.zeros((*cells, draws, blocks * ties.lag, ties.shape[0]))
        padded[..., : ties.shape[-1], :] = np.moveaxis(noise, 0, -1)
        out = block_draws(padded.reshape(*cells, draws, blocks, size), *self._backwards)
        steps = out.reshape(*cells, draws, blocks * ties.lag, ties.shape[0])[..., : ties.shape[-1], :]
        return np.asarray(self.mean[..., None, :] + np.moveaxis(steps, -1, 0))

    @cached_property
    def _backwards(self) -> tuple[Array, Array]:
        return backwards(self.law)

    def draw(self, rng: np.random.Generator) -> Array:
        """Draws with each step's own mean and variance; for starts, which need no more."""
        return np.asarray(self.mean + self.spread * rng.standard_normal(self.mean.shape))


@dataclass(frozen=True)
class InnovationChainLaw(ChainLaw):
    """The same from a system with multipliers, `solved`."""

    solved: Solved

    @property
    def width(self) -> Array:
        """How far a number may move before what is seen says so, `(b, *cells, steps)`."""
        own = self.solved.precisions
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(own > 0, 1.0 / np.sqrt(own), np.where(self.spread > 0, self.spread, 1.0))

    def innovations(self, slots: Sequence[int], sites: tuple[Site, ...]) -> Multipliers:
        """The multipliers of the laws of some slots at each step, and how numbers of the step, or of the one before,
        go with them.
        """
        mean, curvature = self.solved.multipliers(slots)
        cross = np.empty((len(sites), *mean.shape))
        for k, site in enumerate(sites):
            for t, slot in enumerate(slots):
                values = self.solved.cross(self.ties._place(site), slot, site[2])
                self.ties.back(values, site[2], cross[k, t])
        return Multipliers(mean, curvature, cross)
