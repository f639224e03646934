"""The linear system of hidden numbers that are tied across units, and the entries of its inverse that are wanted."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from emdsl.runtime.integrals.components import Components, inverse
from emdsl.runtime.integrals.inner_blocks import ChainShape, Eliminated, eliminate_blocks, eliminate_chains
from emdsl.runtime.problem import Array

Codes = NDArray[np.intp]
#: Numbers of a gathered array at once.
AT_ONCE = 4_000_000
#: Where each inner number is tied to more others than this, and there are so many numbers in the product at most, the
#: product of all ties with the covariance of the others is formed once.
MANY_TIES, LARGEST_PRODUCT = 8, 50_000_000


@dataclass(frozen=True)
class Numbering:
    """Hidden numbers in one row: first the `units * width` of the group that is eliminated, unit by unit, then `rest`
    others, which fall into `components` (None: one). `chains`: units of the group that follow each other are tied.
    """

    units: int
    width: int
    rest: int
    components: Components | None = None
    chains: ChainShape | None = None

    @property
    def inner(self) -> int:
        """How many are eliminated."""
        return self.units * self.width

    @property
    def size(self) -> int:
        """All of them."""
        return self.inner + self.rest

    @cached_property
    def parts(self) -> Components:
        """The components of the others."""
        return self.components or Components(np.zeros(self.rest, dtype=np.intp))


@dataclass
class System:
    """The precision, in its parts: the inner numbers by themselves, their ties to the rest, the rest."""

    number: Numbering
    slope: Array = field(init=False)
    blocks: Array = field(init=False)
    upper: Array = field(init=False)
    rest: Array = field(init=False)
    ties: list[tuple[Codes, Codes, Array]] = field(default_factory=list)

    def __post_init__(self) -> None:
        n = self.number
        size, count = self._block
        self.slope = np.zeros(n.size)
        self.blocks = np.zeros(count * size * size)
        self.upper = np.zeros(count * size * size if n.chains is not None else 0)
        self.rest = np.zeros(n.parts.flat_size)

    @property
    def _block(self) -> tuple[int, int]:
        """Size and number of the blocks."""
        n = self.number
        return (n.width, n.units) if n.chains is None else (n.chains.size, n.chains.blocks)

    def add(self, first: Codes, second: Codes, values: Array) -> None:
        """Adds entries of the precision."""
        n = self.number
        values = np.broadcast_to(values, first.shape)
        inner_first, inner_second = first < n.inner, second < n.inner
        both = inner_first & inner_second
        if both.any():
            self._add_inside(first[both], second[both], values[both])
        none = ~inner_first & ~inner_second
        if none.any():
            place = n.parts.place(first[none] - n.inner, second[none] - n.inner)
            self.rest += np.bincount(place, weights=values[none], minlength=len(self.rest))
        across = inner_first & ~inner_second
        if across.any():
            self.ties.append((first[across], second[across] - n.inner, values[across]))

    def _add_inside(self, first: Codes, second: Codes, values: Array) -> None:
        size, _ = self._block
        at, row, to, column = first // size, first % size, second // size, second % size
        flat = (at * size + row) * size + column
        if self.number.chains is None:
            self.blocks += np.bincount(flat, weights=values, minlength=len(self.blocks))
            return
        for target, chosen in ((self.blocks, at == to), (self.upper, to == at + 1)):
            target += np.bincount(flat[chosen], weights=values[chosen], minlength=len(target))

    def solve(self) -> Solved:
        """The inverse, as far as it is wanted. Raises LinAlgError where the precision is not positive definite."""
        from scipy.sparse import csr_matrix

        n = self.number
        ties = self._tied()
        rows, columns, values = ties
        tied = csr_matrix((values, (rows, columns)), shape=(n.inner, n.rest))
        size, count = self._block
        blocks, slope = self.blocks.reshape(count, size, size), self.slope[: n.inner]
        inner: Eliminated
        if n.chains is None:
            inner = eliminate_blocks(blocks, slope, tied)
        else:
            inner = eliminate_chains(n.chains, blocks, self.upper.reshape(count, size, size), slope, ties)
        schur = (tied.T @ inner.gain).tocoo()
        flat = self.rest - np.bincount(
            n.parts.place(schur.row, schur.col), weights=schur.data, minlength=len(self.rest)
        )  # fmt: skip
        covariance, pivots, outer = np.zeros_like(flat), np.zeros(n.rest), np.zeros(n.rest)
        left = self.slope[n.inner :] - inner.gain.T @ slope
        for members, own in n.parts.blocks(flat):
            found, logdet = inverse(own)
            covariance[n.parts.place(members[:, :, None], members[:, None, :])] = found
            pivots[members] = logdet[:, None] / members.shape[1]
            outer[members] = (found @ left[members][..., None])[..., 0]
        mean = np.concatenate([inner.mean - inner.gain @ outer, outer])
        return Solved(n, mean, np.concatenate([inner.log_pivots, pivots]), inner, covariance)

    def _tied(self) -> tuple[Codes, Codes, Array]:
        if not self.ties:
            none = np.zeros(0, dtype=np.intp)
            return none, none, np.zeros(0)
        rows, columns, values = zip(*self.ties, strict=True)
        return np.concatenate(rows), np.concatenate(columns), np.concatenate(values)


@dataclass(frozen=True)
class Solved:
    """The mean, the logarithms of the pivots of the precision, number by number, and the parts from which entries of
    its inverse are formed: what is eliminated, and the covariance of the rest, a flat array of its components.
    """

    number: Numbering
    mean: Array
    log_pivots: Array
    inner: Eliminated
    covariance: Array

    @cached_property
    def _padded(self) -> tuple[Codes, Array]:
        """The nonzero entries of each row of the gain, padded to one length: columns and values."""
        gain = self.inner.gain
        counts = np.diff(gain.indptr)
        longest = int(counts.max(initial=0))
        slot = np.arange(gain.nnz) - np.repeat(gain.indptr[:-1], counts)
        row = np.repeat(np.arange(len(counts)), counts)
        columns = np.zeros((len(counts), longest), dtype=np.intp)
        values = np.zeros((len(counts), longest))
        columns[row, slot], values[row, slot] = gain.indices, gain.data
        return columns, values

    @cached_property
    def _product(self) -> Array | None:
        """`gain @ covariance`, where it pays to have it."""
        n = self.number
        small = n.inner * n.rest <= LARGEST_PRODUCT
        if n.parts.largest < n.rest or self._padded[0].shape[1] <= MANY_TIES or not small:
            return None
        every = np.arange(n.rest)
        return np.asarray(self.inner.gain @ self._of_rest(every[:, None], every[None, :]))

    def _of_rest(self, first: Codes, second: Codes) -> Array:
        return self.number.parts.read(self.covariance, first, second)

    def between(self, first: Codes, second: Codes) -> Array:
        """Covariances of pairs of hidden numbers by their places."""
        out = np.empty(len(first))
        width = max(1, self._padded[0].shape[1]) if self.number.rest else 1
        pairs = max(1, AT_ONCE // (width**2 if self._product is None else width))
        for begin in range(0, len(first), pairs):
            some = slice(begin, begin + pairs)
            out[some] = self._some(first[some], second[some])
        return out

    def _some(self, first: Codes, second: Codes) -> Array:
        inner = self.number.inner
        swap = (first >= inner) & (second < inner)
        first, second = np.where(swap, second, first), np.where(swap, first, second)
        out = np.zeros(len(first))
        none, both = first >= inner, second < inner
        across = ~none & ~both
        out[none] = self._of_rest(first[none] - inner, second[none] - inner)
        if across.any():
            columns, values = self._padded
            own = self._of_rest(columns[first[across]], (second[across] - inner)[:, None])
            out[across] = -(values[first[across]] * own).sum(axis=1)
        if both.any():
            out[both] = self._inside(first[both], second[both])
        return out

    def _inside(self, first: Codes, second: Codes) -> Array:
        own = self.inner.between(first, second)
        if not self.number.rest:
            return np.asarray(own)
        columns, values = self._padded
        if self._product is not None:
            return np.asarray(own + (self._product[first[:, None], columns[second]] * values[second]).sum(axis=1))
        middle = self._of_rest(columns[first][:, :, None], columns[second][:, None, :])
        return np.asarray(own + np.einsum("ri,rij,rj->r", values[first], middle, values[second]))

    def sample(self, noise: Array) -> Array:
        """Draws with mean 0 of `noise` `(draws, numbers)`."""
        n = self.number
        out = np.empty_like(noise)
        for members, own in n.parts.blocks(self.covariance):
            z = noise[:, n.inner + members]
            out[:, n.inner + members] = np.einsum("cij,scj->sci", np.linalg.cholesky(own), z)
        own = self.inner.sample(noise[:, : n.inner])
        out[:, : n.inner] = own - (self.inner.gain @ out[:, n.inner :].T).T
        return out
