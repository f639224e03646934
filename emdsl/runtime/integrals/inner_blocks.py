"""The hidden numbers that are eliminated first: blocks that are tied to others and not to each other, or chains of
blocks, each tied to the next.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from emdsl.runtime.integrals.block_tridiagonal import BlockLaw, backwards, draws, solve
from emdsl.runtime.integrals.components import inverse
from emdsl.runtime.problem import Array

Codes = NDArray[np.intp]


class Eliminated(Protocol):
    """The inner numbers once they are eliminated.

    `mean` `(inner,)` is what they are by themselves, `log_pivots` `(inner,)` sum to the log-determinant of their own
    precision. `gain` (inner by rest, sparse) is how much less of them each other number makes.
    """

    @property
    def mean(self) -> Array: ...

    @property
    def log_pivots(self) -> Array: ...

    @property
    def gain(self) -> Any: ...

    def between(self, first: Codes, second: Codes) -> Array:
        """Entries of the inverse of their own precision, for pairs that some law looks at."""
        ...

    def sample(self, noise: Array) -> Array:
        """Draws `(draws, inner)` with this inverse as their covariance."""
        ...


@dataclass(frozen=True)
class Blocks:
    """Blocks by themselves: `inverse` `(units, width, width)`."""

    inverse: Array
    mean: Array
    log_pivots: Array
    gain: Any

    def between(self, first: Codes, second: Codes) -> Array:
        """Of numbers of one unit."""
        width = self.inverse.shape[-1]
        return np.asarray(self.inverse[first // width, first % width, second % width])

    def sample(self, noise: Array) -> Array:
        """Unit by unit."""
        units, width, _ = self.inverse.shape
        own = noise.reshape(len(noise), units, width)
        drawn = np.einsum("uij,suj->sui", np.linalg.cholesky(self.inverse), own)
        return np.asarray(drawn.reshape(len(noise), -1))


def eliminate_blocks(precision: Array, slope: Array, tied: Any) -> Blocks:
    """`precision` `(units, width, width)`, `slope` `(inner,)`, `tied` (inner by rest, sparse)."""
    found, logdet = inverse(precision)
    units, width, _ = precision.shape
    mean = (found @ slope.reshape(units, width, 1))[..., 0].ravel()
    pivots = np.repeat(logdet / max(width, 1), width)
    return Blocks(found, mean, pivots, (_block_diagonal(found) @ tied).tocsr())


def _block_diagonal(blocks: Array) -> Any:
    from scipy.sparse import bsr_matrix

    units, width, _ = blocks.shape
    return bsr_matrix(
        (blocks, np.arange(units), np.arange(units + 1)), shape=(units * width, units * width)
    ).tocsr()  # fmt: skip


@dataclass(frozen=True)
class ChainShape:
    """Chains of units of `width` numbers; `starts` `(chains + 1,)` are where each begins. Laws look back at most `lag`
    units: so many make a block. `keys` are the pairs chain * rest + other number that are tied, in order.
    """

    starts: Codes
    width: int
    lag: int
    rest: int
    keys: Codes

    @property
    def size(self) -> int:
        """Numbers of a block."""
        return self.width * self.lag

    @property
    def inner(self) -> int:
        """All numbers."""
        return int(self.starts[-1]) * self.width

    @property
    def blocks(self) -> int:
        """How many blocks there are; the last one may be filled up."""
        return -(-self.inner // self.size)

    @cached_property
    def chain(self) -> Codes:
        """The chain of each number."""
        counts = np.diff(self.starts) * self.width
        return np.repeat(np.arange(len(counts)), counts)

    @cached_property
    def _first(self) -> Codes:
        """Where the keys of each chain begin."""
        chains = len(self.starts) - 1
        return np.searchsorted(self.keys, np.arange(chains + 1) * self.rest).astype(np.intp)

    @cached_property
    def most(self) -> int:
        """How many other numbers a chain is tied to, at most."""
        return int(np.diff(self._first).max(initial=0))

    def column(self, numbers: Codes, rest: Codes) -> Codes:
        """The place of other numbers among those that the chain of a number is tied to."""
        chain = self.chain[numbers]
        return np.asarray(np.searchsorted(self.keys, chain * self.rest + rest) - self._first[chain])

    def tied_to(self) -> tuple[Codes, Codes, Codes]:
        """Of every tie of a number of a chain to another: row, column among those of the chain, and the other
        number."""
        counts = np.diff(self._first)[self.chain]
        rows = np.repeat(np.arange(self.inner), counts)
        column = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        return rows, column, self.keys[self._first[self.chain[rows]] + column] % max(self.rest, 1)


@dataclass(frozen=True)
class Chains:
    """Chains of blocks, solved as one block-tridiagonal system."""

    shape: ChainShape
    law: BlockLaw
    mean: Array
    log_pivots: Array
    gain: Any
    kept: dict[str, Array] = field(default_factory=dict, repr=False)

    def between(self, first: Codes, second: Codes) -> Array:
        """Of numbers of one block, or of one and the next."""
        size = self.shape.size
        at, row, to, column = first // size, first % size, second // size, second % size
        inside = self.law.covariance[at, row, column]
        low, high = np.minimum(at, to), np.maximum(at, to)
        following = self.law.next_covariance
        across = np.where(at <= to, following[low, row, column], following[low, column, row])
        return np.where(low == high, inside, across)

    def sample(self, noise: Array) -> Array:
        """Chain by chain, from the last block back."""
        shape = self.shape
        padded = np.zeros((len(noise), shape.blocks * shape.size))
        padded[:, : shape.inner] = noise
        found = draws(padded.reshape(len(noise), shape.blocks, shape.size), *backwards(self.law))
        return found.reshape(len(noise), -1)[:, : shape.inner]


def eliminate_chains(
    shape: ChainShape, diagonal: Array, upper: Array, slope: Array, ties: tuple[Codes, Codes, Array]
) -> Chains:
    """`diagonal` and `upper` `(blocks, size, size)` as of `solve`; `ties` are numbers, other numbers and the entries of
    the precision between them.
    """
    from scipy.sparse import csr_matrix

    inner, rest, most = shape.inner, shape.rest, shape.most
    full = shape.blocks * shape.size
    right = np.zeros((1 + most, full))
    right[0, :inner] = slope
    rows, others, values = ties
    if len(rows):
        flat = (1 + shape.column(rows, others)) * full + rows
        right += np.bincount(flat, weights=values, minlength=right.size).reshape(right.shape)
    spare = np.arange(inner - (shape.blocks - 1) * shape.size, shape.size)
    diagonal[-1, spare, spare] = 1.0
    law = solve(diagonal, upper, right.reshape(1 + most, shape.blocks, shape.size))
    found = law.mean.reshape(1 + most, full)[:, :inner]
    at, column, other = shape.tied_to()
    gain = csr_matrix((found[1 + column, at], (at, other)), shape=(inner, rest))
    return Chains(shape, law, found[0], law.log_pivots.reshape(-1)[:inner], gain)
