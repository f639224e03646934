"""How pieces enter the E-step: products of statistics with eta tables, look-ups by code, densities by row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emdsl.runtime.chains import ChainLayout
from emdsl.runtime.functions import LOG_ZERO
from emdsl.runtime.kernels import log_sum_exp, take_log, take_log_reverse
from emdsl.runtime.pieces import PieceData
from emdsl.runtime.problem import Array, Theta

#: A table with so many times as many codes as a block has rows is added to code by code that occurs.
MANY_CODES = 8


@dataclass(frozen=True)
class Block:
    """Whole outermost units: for each level the range of rows, and within it the offsets of each parent's units.

    `starts[k]` and `counts[k]` are of the units of level k inside each unit of level k - 1; `first[k]` the place of
    each chain's first unit. `multiplier` weighs rows in the statistics of a random start.
    """

    rows: tuple[slice, ...]
    n: tuple[int, ...]
    starts: tuple[NDArray[np.intp], ...]
    counts: tuple[Array, ...]
    first: tuple[NDArray[np.intp], ...]
    layouts: tuple[ChainLayout | None, ...]
    multiplier: tuple[Array, ...] | None = None


def weighted(adjoint: Array, rows: slice, level: int, b: Block) -> Array:
    """The adjoint times the start's multiplier of each row `(rows)`, or `(starts, rows)`; the adjoint itself in a
    fit.
    """
    if b.multiplier is None:
        return adjoint
    weights = b.multiplier[level][..., rows]
    return adjoint * weights.reshape(*weights.shape[:-1], *(1,) * (adjoint.ndim - weights.ndim), weights.shape[-1])


def times_weight(table: Array, weights: Array) -> Array:
    """Log-evidence times the weight of each unit; a unit of weight 0 counts for nothing, even if it is impossible."""
    product: Array = table * weights
    product[..., weights == 0.0] = 0.0
    return product


def affine(table: Array | RowTable, c: PieceData, rows: slice) -> Array:
    """`eta @ T`: `table` `(*hidden, elements * terms)`, statistics `(elements * terms, rows)`; returns `(*hidden,
    rows)`. A `RowTable` in its place is evaluated row by row.
    """
    if isinstance(table, RowTable):
        return table.forward(rows)
    assert c.statistics is not None
    out: Array = table.reshape(-1, table.shape[-1]) @ c.statistics[:, rows]
    return out.reshape(*c.hidden, out.shape[-1])


def affine_reverse(adjoint: Array, c: PieceData, rows: slice, b: Block) -> Array:
    """Expected statistics `(*hidden, elements * terms)`."""
    assert c.statistics is not None
    level = c.level
    adjoint = weighted(adjoint, rows, level, b)
    out: Array = adjoint.reshape(-1, adjoint.shape[-1]) @ c.statistics[:, rows].T
    return out.reshape(*c.hidden, -1)


def take(table: Array | RowTable, c: PieceData, rows: slice) -> Array:
    """Entries by code: `table` `(*hidden, elements, codes)` for constant statistics, else `(*hidden, elements, codes,
    terms)`. A `RowTable` in its place is evaluated row by row.
    """
    if isinstance(table, RowTable):
        return table.forward(rows)
    assert c.code is not None
    code = c.code[:, rows]
    if c.statistics is None:
        return take_log(table, code)
    out = np.zeros((*c.hidden, code.shape[1]))
    for element in range(len(code)):
        for term in range(c.terms):
            out += table[..., element, :, term][..., code[element]] * c.statistics[element, term, rows]
    return out


def take_reverse(adjoint: Array, c: PieceData, rows: slice, b: Block, out: Array) -> None:
    """Adds expected statistics by code to `out`, which has the shape of `take`'s table.

    Where the table has many more codes than the block has rows (documents, words, annotators by the thousand), only
    those that occur in the block are touched: the cost is that of the rows, whatever the number of levels.
    """
    assert c.code is not None
    adjoint = weighted(adjoint, rows, c.level, b)
    weights = adjoint.reshape(-1, adjoint.shape[-1])
    many = c.columns > MANY_CODES * max(1, weights.shape[1])
    if c.statistics is None and not many:
        out += take_log_reverse(adjoint, c.code[:, rows], c.columns)
        return
    for element in range(len(c.code)):
        code, found = c.occurring(element, rows) if many else (c.code[element, rows], None)
        size = c.columns if found is None else len(found)
        for term in range(c.terms if c.statistics is not None else 1):
            factor = weights if c.statistics is None else weights * c.statistics[element, term, rows]
            counts = take_log_reverse(factor, code, size)
            target = out.reshape(len(weights), len(c.code), c.columns, -1)[:, element, :, term]
            if found is None:
                target += counts
            else:
                target[:, found] += counts


@dataclass
class RowTable:
    """A density by row at one theta: forward evaluates it for the rows of a block. `sign` and `reduced` are of a
    log-sum-exp.
    """

    c: PieceData
    density: Callable[..., Array]
    theta: Theta
    v: Array
    reduced: bool
    sign: int
    blank: bool = False

    def forward(self, rows: slice) -> Array:
        """`(*hidden, rows)`: the log-density, summed over elements, 0 where the piece does not apply."""
        view = self.c.view(rows)
        shape = (*self.c.hidden, view.rows)
        if self.blank:
            return np.zeros(shape)
        full = (*view.cells, view.rows)
        values = np.broadcast_to(self.density(self.theta, self.v, view), full)
        if view.impossible is not None:
            values = np.where(view.impossible, LOG_ZERO, values)
        elements, applies, outside = view.elements, view.row_mask, view.outside
        if self.reduced:
            # Whether a piece applies does not hang on the element that is summed out.
            values = self.sign * log_sum_exp(np.array(values), (len(view.cells) - 1,))[0]
            elements = elements[:-1]
            applies = None if applies is None else applies[..., 0, :]
            outside = None if outside is None else outside[..., 0]
        if applies is not None:
            values = np.where(applies, values, 0.0)
        if outside is not None:
            values = np.where(outside[..., None], 0.0, values)
        if elements:
            first = len(view.hidden)
            values = values.sum(axis=tuple(range(first, first + len(elements))))
        # Impossible is finite, as in eta tables: what is added to it or multiplied with it later stays a number.
        return np.maximum(values, LOG_ZERO)
