"""Hidden numbers that are tied across the whole data set: nested and crossed effects, effects outside plates.

The hidden numbers of the largest group are tied to others and not to each other: they are eliminated unit by unit, and
what is left is a dense system over all others (the Schur complement). Entries of the inverse are formed only for pairs
that some law looks at together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdsl.runtime.integrals.gaussian import LOG_2PI
from emdsl.runtime.problem import Array

Codes = NDArray[np.intp]
#: Numbers of a gathered array at once.
AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Numbering:
    """Hidden numbers in one row: first the `units * width` of the group that is eliminated, unit by unit, then `rest`
    others.
    """

    units: int
    width: int
    rest: int

    @property
    def inner(self) -> int:
        """How many are eliminated."""
        return self.units * self.width

    @property
    def size(self) -> int:
        """All of them."""
        return self.inner + self.rest


@dataclass(frozen=True)
class CrossedTies:
    """`places` gives for the hidden numbers of a piece their places in the row, by row of the piece, `(rows,)`."""

    numbering: Numbering
    places: Callable[[Any], Codes]

    @property
    def shape(self) -> tuple[int, ...]:
        """`(1, numbers)`."""
        return (1, self.numbering.size)

    def gather(self, values: Array, sites: Any) -> Array:
        """Those of one piece, `(q, rows)`."""
        return np.stack([values[0][..., self.places(site)] for site in sites])

    def total(self, values: Array) -> Array:
        """Values by row, summed."""
        return np.asarray(values.sum(axis=-1, keepdims=True))

    def of_units(self, values: Array) -> Array:
        """One value for everything."""
        return values

    def integrate(self, centre: Array, parts: list[tuple[Any, Any]]) -> tuple[Array, CrossedLaw]:
        """The log-integral `(1,)` of everything, and the law."""
        number = self.numbering
        system = _System(number)
        value = 0.0
        for sites, own in parts:
            value += float(own.value.sum())
            places = [self.places(site) for site in sites]
            for i, first in enumerate(places):
                system.slope += np.bincount(first, weights=own.gradient[i], minlength=number.size)
                for j, second in enumerate(places):
                    system.add(first, second, -own.hessian[i, j])
        solved = system.solve()
        shift = solved.mean
        evidence = value + 0.5 * float(system.slope @ shift) + 0.5 * (number.size * LOG_2PI - solved.logdet)
        return np.array([evidence]), CrossedLaw(self, centre + shift[None], solved)

    def integrate_innovations(self, centre: Array, spread: Array, parts: Any, laws: Any) -> None:
        """Precisions serve as well."""


@dataclass
class _System:
    """The precision, in its four parts: blocks of the inner units, their ties to the rest, the rest."""

    number: Numbering
    slope: Array = field(init=False)
    blocks: Array = field(init=False)
    rest: Array = field(init=False)
    ties: list[tuple[Codes, Codes, Array]] = field(default_factory=list)

    def __post_init__(self) -> None:
        n = self.number
        self.slope = np.zeros(n.size)
        self.blocks = np.zeros(n.units * n.width * n.width)
        self.rest = np.zeros(n.rest * n.rest)

    def add(self, first: Codes, second: Codes, values: Array) -> None:
        """Adds entries of the precision."""
        n = self.number
        values = np.broadcast_to(values, first.shape)
        inner_first, inner_second = first < n.inner, second < n.inner
        both = inner_first & inner_second
        if both.any():
            unit, row, column = first[both] // n.width, first[both] % n.width, second[both] % n.width
            flat = (unit * n.width + row) * n.width + column
            self.blocks += np.bincount(flat, weights=values[both], minlength=len(self.blocks))
        none = ~inner_first & ~inner_second
        if none.any():
            flat = (first[none] - n.inner) * n.rest + second[none] - n.inner
            self.rest += np.bincount(flat, weights=values[none], minlength=len(self.rest))
        across = inner_first & ~inner_second
        if across.any():
            self.ties.append((first[across], second[across] - n.inner, values[across]))

    def solve(self) -> Solved:
        """The inverse, as far as it is wanted. Raises LinAlgError where the precision is not positive definite."""
        from scipy.sparse import csr_matrix

        n = self.number
        blocks = self.blocks.reshape(n.units, n.width, n.width)
        inverse, logdet = _inverse(blocks)
        slope = self.slope[: n.inner].reshape(n.units, n.width)
        inner = (inverse @ slope[..., None])[..., 0].ravel()
        if not n.rest:
            return Solved(n, inner, logdet, inverse, np.zeros((0, 0)), csr_matrix((n.inner, 0)))
        rows, columns, values = (np.concatenate(part) for part in zip(*self.ties, strict=True)) if self.ties else (
            np.zeros(0, dtype=np.intp), np.zeros(0, dtype=np.intp), np.zeros(0)
        )  # fmt: skip
        tied = csr_matrix((values, (rows, columns)), shape=(n.inner, n.rest))
        gain = _block_diagonal(inverse) @ tied
        schur = self.rest.reshape(n.rest, n.rest) - (tied.T @ gain).toarray()
        covariance, rest_logdet = _inverse(schur[None])
        outer = covariance[0] @ (self.slope[n.inner :] - gain.T @ self.slope[: n.inner])
        mean = np.concatenate([inner - gain @ outer, outer])
        return Solved(n, mean, logdet + rest_logdet, inverse, covariance[0], gain.tocsr())


def _inverse(blocks: Array) -> tuple[Array, float]:
    """Inverses, and the sum of the log-determinants."""
    if blocks.shape[-1] == 1:
        if not (blocks > 0).all():
            raise np.linalg.LinAlgError("not positive definite")
        return 1.0 / blocks, float(np.log(blocks).sum())
    scale = np.sqrt(np.maximum(np.diagonal(blocks, axis1=-2, axis2=-1), 1e-300))
    outer = scale[..., :, None] * scale[..., None, :]
    factor = np.linalg.cholesky(blocks / outer)
    root = np.linalg.inv(factor)
    logdet = 2 * (np.log(np.diagonal(factor, axis1=-2, axis2=-1)) + np.log(scale)).sum()
    return np.swapaxes(root, -1, -2) @ root / outer, float(logdet)


def _block_diagonal(blocks: Array) -> Any:
    from scipy.sparse import bsr_matrix

    units, width, _ = blocks.shape
    return bsr_matrix(
        (blocks, np.arange(units), np.arange(units + 1)), shape=(units * width, units * width)
    ).tocsr()  # fmt: skip


@dataclass(frozen=True)
class Solved:
    """The mean, the log-determinant of the precision, and the parts from which entries of its inverse are formed:
    inverses of the inner blocks, the covariance of the rest, and `gain` (inner block inverse times ties).
    """

    number: Numbering
    mean: Array
    logdet: float
    inverse: Array
    covariance: Array
    gain: Any

    @cached_property
    def _padded(self) -> tuple[Codes, Array]:
        """The nonzero entries of each row of `gain`, padded to one length: columns and values."""
        gain = self.gain
        counts = np.diff(gain.indptr)
        longest = int(counts.max(initial=0))
        slot = np.arange(gain.nnz) - np.repeat(gain.indptr[:-1], counts)
        row = np.repeat(np.arange(len(counts)), counts)
        columns = np.zeros((len(counts), longest), dtype=np.intp)
        values = np.zeros((len(counts), longest))
        columns[row, slot], values[row, slot] = gain.indices, gain.data
        return columns, values

    def between(self, first: Codes, second: Codes) -> Array:
        """Covariances of pairs of hidden numbers by their places."""
        inner = self.number.inner
        out = np.empty(len(first))
        width = max(1, self._padded[0].shape[1]) if self.number.rest else 1
        pairs = max(1, AT_ONCE // width**2)
        for begin in range(0, len(first), pairs):
            some = slice(begin, begin + pairs)
            out[some] = self._some(first[some], second[some], inner)
        return out

    def _some(self, first: Codes, second: Codes, inner: int) -> Array:
        swap = (first >= inner) & (second < inner)
        first, second = np.where(swap, second, first), np.where(swap, first, second)
        out = np.zeros(len(first))
        none, both = first >= inner, second < inner
        across = ~none & ~both
        out[none] = self.covariance[first[none] - inner, second[none] - inner]
        if across.any():
            columns, values = self._padded
            own = self.covariance[columns[first[across]], (second[across] - inner)[:, None]]
            out[across] = -(values[first[across]] * own).sum(axis=1)
        if both.any():
            out[both] = self._inside(first[both], second[both])
        return out

    def _inside(self, first: Codes, second: Codes) -> Array:
        width = self.number.width
        own = self.inverse[first // width, first % width, second % width]
        if not self.number.rest:
            return np.asarray(own)
        columns, values = self._padded
        middle = self.covariance[columns[first][:, :, None], columns[second][:, None, :]]
        return np.asarray(own + np.einsum("ri,rij,rj->r", values[first], middle, values[second]))


@dataclass(frozen=True)
class CrossedLaw:
    """The posterior of all hidden numbers, `mean` `(1, numbers)`."""

    ties: CrossedTies
    mean: Array
    solved: Solved

    @cached_property
    def spread(self) -> Array:
        """`(1, numbers)`."""
        places = np.arange(self.ties.numbering.size)
        return np.sqrt(np.maximum(self.solved.between(places, places), 0.0))[None]

    def marginal(self, sites: Any) -> tuple[Array, Array]:
        """Of one piece in each of its rows."""
        places = [self.ties.places(site) for site in sites]
        mean = np.stack([self.mean[0][place] for place in places])
        covariance = np.empty((len(places), *mean.shape))
        for i, first in enumerate(places):
            for j in range(i, len(places)):
                covariance[i, j] = covariance[j, i] = self.solved.between(first, places[j])
        return mean, covariance

    def sample(self, noise: Array) -> Array:
        """Draws of `noise` `(1, draws, numbers)`: the rest, then the inner units given the rest."""
        number, solved = self.ties.numbering, self.solved
        z = noise[0]
        out = np.empty_like(z)
        inner = z[:, : number.inner].reshape(len(z), number.units, number.width)
        own = np.einsum("uij,suj->sui", np.linalg.cholesky(solved.inverse), inner).reshape(len(z), -1)
        if number.rest:
            out[:, number.inner :] = z[:, number.inner :] @ np.linalg.cholesky(solved.covariance).T
            own = own - (solved.gain @ out[:, number.inner :].T).T
        out[:, : number.inner] = own
        return np.asarray(self.mean[:, None, :] + out[None])

    def draw(self, rng: np.random.Generator) -> Array:
        """Draws with each number's own mean and variance; for starts, which need no more."""
        return np.asarray(self.mean + self.spread * rng.standard_normal(self.mean.shape))
