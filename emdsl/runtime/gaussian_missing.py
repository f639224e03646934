"""Gaussian pieces whose vectors are seen in part: each row by the marginal law of what it shows.

Rows are grouped by pattern, the set of columns that they show. The evidence of a row is the normal density of its seen
block; the expected monomials of the whole vector follow from those of the seen block by regression (Dempster, Laird &
Rubin 1977, section 4.1; Little & Rubin 2002, section 11.2), once for each pattern and cell, not for each row.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from emdsl.runtime.gaussian import GaussianData, cholesky_where_possible
from emdsl.runtime.problem import Array

#: Rows whose monomials are formed at a time.
ROWS_AT_ONCE = 8192


@dataclass(frozen=True)
class Pattern:
    """The rows `rows` show the columns `seen` and leave `open` those of `missing`."""

    seen: NDArray[np.intp]
    missing: NDArray[np.intp]
    rows: NDArray[np.intp]


def patterns_of(shown: NDArray[np.bool_]) -> tuple[Pattern, ...]:
    """The patterns of `shown` `(d, rows)`; rows that show nothing belong to none."""
    distinct, number = np.unique(shown, axis=1, return_inverse=True)
    number = np.ravel(number)
    order = np.argsort(number, kind="stable")
    ends = np.searchsorted(number[order], np.arange(distinct.shape[1] + 1))
    return tuple(
        Pattern(np.flatnonzero(column), np.flatnonzero(~column), order[ends[k] : ends[k + 1]])
        for k, column in enumerate(distinct.T)
        if column.any()
    )


@dataclass
class PartlySeenTable:
    """A Gaussian piece with missing cells at one theta: `mean` `(*hidden, d)` and `covariance` `(*hidden, d, d)` in the
    units of `data`'s centre and scale.

    `blank`: the log-density is left out (the first E-step of a random start). `outside` `(*hidden)`: cells whose guards
    do not hold.
    """

    data: GaussianData
    patterns: tuple[Pattern, ...]
    mean: Array
    covariance: Array
    blank: bool = False
    outside: NDArray[np.bool_] | None = None
    values: Array = field(init=False)

    def __post_init__(self) -> None:
        """The log-densities of all rows, pattern by pattern."""
        hidden = self.data.hidden
        self.values = np.zeros((*hidden, self.data.x.shape[1]))
        if self.blank:
            return
        for pattern in self.patterns:
            part = self._part(pattern)
            seen = pattern.seen
            eta = part.eta(self.mean[..., seen], self.covariance[..., seen[:, None], seen])
            if self.outside is not None:
                eta = np.where(self.outside[..., None], 0.0, eta)
            flat = eta.reshape(-1, part.monomials)
            for rows, monomials in self._monomials(part, pattern):
                self.values[..., rows] = (flat @ monomials).reshape(*hidden, len(rows))

    def _part(self, pattern: Pattern) -> GaussianData:
        """The seen block as data of its own, already standardised but for the constant of its scale."""
        seen = pattern.seen
        constant = self.data.constant + 0.5 * (self.data.d - len(seen)) * math.log(2 * math.pi)
        constant -= float(np.log(self.data.scale[seen]).sum())
        # Rows are taken later, some at a time; `x` only says how many columns there are.
        return GaussianData(self.data.x[seen, :0], np.zeros(len(seen)), np.ones(len(seen)), self.data.hidden, constant)

    def _monomials(self, part: GaussianData, pattern: Pattern) -> Iterator[tuple[NDArray[np.intp], Array]]:
        for begin in range(0, len(pattern.rows), ROWS_AT_ONCE):
            rows = pattern.rows[begin : begin + ROWS_AT_ONCE]
            x = self.data.x[np.ix_(pattern.seen, rows)]
            some = GaussianData(x, part.centre, part.scale, part.hidden, part.constant)
            yield rows, some.statistics(slice(None))

    def forward(self, rows: slice) -> Array:
        """Log-densities `(*hidden, rows)`, an array that the caller may change."""
        return np.array(self.values[..., rows])

    def accumulator(self) -> Array:
        """What `collect` adds to: the posterior weight of each cell in each row."""
        return np.zeros_like(self.values)

    def collect(self, sums: Array, adjoint: Array, rows: slice) -> None:
        """Keeps the weights of some rows."""
        sums[..., rows] = adjoint

    def expected(self, sums: Array) -> Array:
        """Expected monomials of the whole vectors, `(*hidden, monomials)`."""
        total = np.zeros((*self.data.hidden, self.data.monomials))
        for pattern in self.patterns:
            part = self._part(pattern)
            seen = np.zeros((*self.data.hidden, part.monomials))
            for rows, monomials in self._monomials(part, pattern):
                weights = sums[..., rows]
                seen += (weights.reshape(-1, len(rows)) @ monomials.T).reshape(seen.shape)
            n, first, second = part.moments(seen)
            whole, squares = completed_moments(pattern, self.mean, self.covariance, n, first, second)
            rows_, columns = np.triu_indices(self.data.d)
            total += np.concatenate([n[..., None], whole, squares[..., rows_, columns]], axis=-1)
        return total


def completed_moments(
    pattern: Pattern, mean: Array, covariance: Array, n: Array, first: Array, second: Array
) -> tuple[Array, Array]:
    """First and second moments of the whole vector from those of its seen block o, with `x_m = a + B x_o + e`, `e` of
    covariance V: `B = C_mo C_oo^-1`, `a = m_m - B m_o`, `V = C_mm - B C_om`.

    `mean` `(*hidden, d)`, `covariance` `(*hidden, d, d)`, `n` `(*hidden)`, `first` `(*hidden, o)`, `second` `(*hidden,
    o, o)`.
    """
    o, m = pattern.seen, pattern.missing
    c = covariance
    factor, _ = cholesky_where_possible(np.ascontiguousarray(c[..., o[:, None], o]))
    half = np.linalg.solve(factor, c[..., o[:, None], m])
    slope = np.swapaxes(np.linalg.solve(np.swapaxes(factor, -1, -2), half), -1, -2)
    left = c[..., m[:, None], m] - np.swapaxes(half, -1, -2) @ half
    start = mean[..., m] - (slope @ mean[..., o, None])[..., 0]
    turned = (slope @ first[..., None])[..., 0]
    d = mean.shape[-1]
    whole, squares = np.empty((*n.shape, d)), np.empty((*n.shape, d, d))
    whole[..., o], whole[..., m] = first, n[..., None] * start + turned
    cross = start[..., :, None] * first[..., None, :] + slope @ second
    both = start[..., :, None] * turned[..., None, :]
    count = n[..., None, None]
    squares[..., o[:, None], o] = second
    squares[..., m[:, None], o] = cross
    squares[..., o[:, None], m] = np.swapaxes(cross, -1, -2)
    squares[..., m[:, None], m] = (
        count * (start[..., :, None] * start[..., None, :] + left)
        + both + np.swapaxes(both, -1, -2) + slope @ second @ np.swapaxes(slope, -1, -2)
    )  # fmt: skip
    return whole, squares
