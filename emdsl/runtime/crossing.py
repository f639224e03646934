"""Finite hidden variables that the rows of different units tie together: their sum as a sequence of small tables.

Every variable is summed out of the product of the tables that look at it, in an order chosen beforehand (bucket
elimination, Dechter 1999); the largest table on the way is what the exact sum costs. Sums of the same form are taken at
once. In reverse the posterior share of each cell comes back to the tables (Lauritzen and Spiegelhalter 1988).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emdsl.runtime.kernels import Softmax, log_sum_exp, log_sum_exp_reverse, segment_sum
from emdsl.runtime.problem import Array

Places = NDArray[np.intp]


@dataclass(frozen=True)
class Gathered:
    """Rows of one of the given tables, summed where they look at the same variables.

    `table` is which of the given tables it is; with `by_row` it has rows, else it is the same for all of them. `rows`
    are the rows in the order of their groups, `starts` `(groups + 1,)` where these begin. `weights` `(rows,)` is how
    often each row counts, more than 0. `merged` pairs an axis with an earlier one that stands for the same variable in
    all of these rows: the table's diagonal counts.
    """

    table: int
    by_row: bool
    rows: Places
    starts: Places
    weights: Array | None
    merged: tuple[tuple[int, int], ...]

    def forward(self, table: Array) -> Array:
        """`(starts, *cells, groups)` of `(starts, *cells, rows)`, or of `(starts, *cells)`."""
        if not self.by_row:
            summed = table[..., None] * self._counts
        else:
            values = table[..., self.rows]
            summed = segment_sum(values if self.weights is None else values * self.weights, self.starts)
        for later, earlier in self.merged:
            summed = np.moveaxis(np.diagonal(summed, axis1=1 + earlier, axis2=1 + later), -1, 1 + earlier)
        return summed

    def reverse(self, adjoint: Array, out: Array) -> None:
        """Adds the adjoint `(starts, *cells, groups)` to that of the table."""
        for later, earlier in reversed(self.merged):
            adjoint = _off_diagonal(adjoint, 1 + earlier, 1 + later)
        if not self.by_row:
            out += (adjoint * self._counts).sum(axis=-1)
            return
        values = np.repeat(adjoint, np.diff(self.starts), axis=-1)
        out[..., self.rows] += values if self.weights is None else values * self.weights

    @property
    def _counts(self) -> Array:
        ones = np.ones(len(self.rows)) if self.weights is None else self.weights
        return segment_sum(ones, self.starts)


def _off_diagonal(adjoint: Array, earlier: int, later: int) -> Array:
    """The adjoint of a diagonal: `later` is put back as an axis, with nothing off the diagonal."""
    size = adjoint.shape[earlier]
    full = np.zeros((*adjoint.shape[:later], size, *adjoint.shape[later:]))
    view = np.moveaxis(full, (earlier, later), (0, 1))
    view[np.arange(size), np.arange(size)] = np.moveaxis(adjoint, earlier, 0)
    return full


@dataclass(frozen=True)
class Factor:
    """Some members of a pool of tables of one form: `members` one for each sum; `order` is the place of each of the
    sum's axes among the table's, None where it has none such.
    """

    pool: int
    members: Places
    order: tuple[int | None, ...]

    def forward(self, pool: Array) -> Array:
        """`(starts, *axes of the sum, sums)`."""
        chosen = pool[..., self.members]
        kept = [axis for axis in self.order if axis is not None]
        moved = chosen.transpose(0, *(1 + axis for axis in kept), chosen.ndim - 1)
        places = tuple(slice(None) if axis is not None else None for axis in self.order)
        return moved[(slice(None), *places, slice(None))]

    def reverse(self, adjoint: Array, out: Array) -> None:
        """Sets the adjoint of the members."""
        absent = tuple(1 + k for k, axis in enumerate(self.order) if axis is None)
        summed = adjoint.sum(axis=absent)
        if out.shape[0] == 1 and summed.shape[0] > 1:
            summed = summed.sum(axis=0, keepdims=True)
        kept = [axis for axis in self.order if axis is not None]
        back = [kept.index(axis) for axis in range(len(kept))]
        out[..., self.members] = summed.transpose(0, *(1 + axis for axis in back), summed.ndim - 1)


@dataclass(frozen=True)
class Sums:
    """Variables that are each summed out of a product of tables of the same form, the first axis of each product."""

    factors: tuple[Factor, ...]


@dataclass(frozen=True)
class CrossedSum:
    """The whole: `gathered` are the first pools, one more comes from each of `steps`. Axes of starts come first. All
    products together have so many `cells`, the largest of them `largest`.
    """

    gathered: tuple[Gathered, ...]
    steps: tuple[Sums, ...]
    cells: int = 0
    largest: int = 0

    def forward(self, tables: Sequence[Array], starts: Sequence[bool]) -> tuple[Array, CrossedTape]:
        """The log of the sum over everything, `(1,)`, or `(starts, 1)` where some table has an axis of starts."""
        given = [table if own else table[None] for table, own in zip(tables, starts, strict=True)]
        pools = [item.forward(given[item.table]) for item in self.gathered]
        shares: list[Softmax] = []
        for step in self.steps:
            total = step.factors[0].forward(pools[step.factors[0].pool])
            for factor in step.factors[1:]:
                total = total + factor.forward(pools[factor.pool])
            value, share = log_sum_exp(np.array(total), (1,))
            pools.append(value)
            shares.append(share)
        whole = sum((pool.sum(axis=-1) for pool in pools if pool.ndim == 2), start=np.zeros(1))
        shapes = [pool.shape for pool in pools], [table.shape for table in given]
        tape = CrossedTape(self, shapes[0], shares, shapes[1], tuple(starts))
        return (whole[:, None] if any(starts) else whole), tape


@dataclass(frozen=True)
class CrossedTape:
    """What the reverse of one forward pass needs."""

    sum: CrossedSum
    pools: list[tuple[int, ...]]
    shares: list[Softmax]
    tables: list[tuple[int, ...]]
    starts: tuple[bool, ...]

    def reverse(self, adjoint: Array) -> list[Array]:
        """The adjoints of the given tables, in their own shapes."""
        whole = np.reshape(adjoint, (-1, 1))
        pools = [np.zeros(shape) for shape in self.pools]
        for pool in pools:
            if pool.ndim == 2:
                pool += whole if len(pool) == len(whole) else whole.sum()
        first = len(self.sum.gathered)
        for place in range(len(self.shares) - 1, -1, -1):
            back = log_sum_exp_reverse(self.shares[place], pools[first + place])
            for factor in self.sum.steps[place].factors:
                factor.reverse(back, pools[factor.pool])
        found = [np.zeros(shape) for shape in self.tables]
        for item, pool in zip(self.sum.gathered, pools, strict=False):
            item.reverse(pool, found[item.table])
        return [out if own else out[0] for out, own in zip(found, self.starts, strict=True)]
