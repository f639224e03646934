"""Hidden variables of rows whose laws are tables by code: summed out once for each code in place of each row.

Where `z` is looked at by tables without rows (`P(z | p)`, the same for all) and by one table by code (`P(w | z)`), its
sum is a function of the code and of what is around: the matrix product of both tables over z. Rows then look it up. In
reverse come the expected counts of codes, which the same products share out among the values of z.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from emdsl.data.bound import Bound
from emdsl.ir.grids import index_set_of
from emdsl.plan.layout import BoundPiece
from emdsl.plan.leaves import coded_table, leaf_statistics, static_table
from emdsl.plan.named import START, union
from emdsl.plan.nodes import CodedLogSumExp, Node, Table, Take
from emdsl.runtime.kernels import LOG_IMPOSSIBLE
from emdsl.runtime.problem import Array

#: Codes a row, at most, for which the sum by code pays.
MOST_CODES_A_ROW = 0.5
#: Numbers in the table of the sums at most.
MOST_NUMBERS = 1 << 25

Pieces = Mapping[str, BoundPiece]


def coded_sum(
    number: int, tables: Sequence[Node], over: tuple[str, ...], pieces: Pieces, sizes: Mapping[str, int], bound: Bound
) -> CodedLogSumExp | None:
    """The node that sums `over` out of these tables by code; None where they are not of that form, or it does not
    pay. Only around nodes of hidden numbers: products of probabilities may fall below the smallest number, and there a
    node that loses its sum so has no part in the posterior.
    """
    takes = [node for node in tables if isinstance(node, Take)]
    still = [node for node in tables if isinstance(node, Table)]
    if len(takes) != 1 or not still or len(still) + 1 != len(tables):
        return None
    (take,) = takes
    data = pieces[take.pieces[0]].data
    outside = [axis for axis in union(*(node.axes for node in still)) if axis not in over]
    inside = [axis for axis in take.axes if axis not in over]
    if not any(index_set_of(axis) in bound.indexes for axis in outside):
        return None
    if data.statistics is not None or set(outside) & set(inside) or START in (*outside, *inside):
        return None
    if any(term.statistic != "1" for name in take.pieces for term in pieces[name].piece.terms):
        return None
    if int(np.prod(data.elements)) != 1 or data.columns > MOST_CODES_A_ROW * bound.levels[take.level].size:
        return None
    axes = (*outside, *inside)
    if data.columns * int(np.prod([sizes[axis] for axis in axes])) > MOST_NUMBERS:
        return None
    return CodedLogSumExp(number, axes, take.level, True, tuple(still), take, over)


@dataclass(frozen=True)
class CodedSums:
    """The sums `table` `(*axes, 1, columns)` at one theta, with what the reverse needs: both factors as probabilities,
    `outer` `(outside, over)` and `inner` `(over, inside * columns)`, each relative to its largest, and their product.
    `take` is the table by code itself.
    """

    table: Array
    outer: Array
    inner: Array
    total: Array
    take: Array


def coded_sums(
    node: CodedLogSumExp, pieces: Pieces, etas: Mapping[str, Array], sizes: Mapping[str, int]
) -> CodedSums:
    """The sums at one theta."""
    outside, inside = _apart(node)
    still: Any = 0.0
    for item in node.still:
        still = still + _aligned(static_table(item, pieces, etas, sizes), item.axes, (*outside, *node.over))
    take = coded_table(node.take, pieces, etas)
    by_code = np.moveaxis(take[..., 0, :], [node.take.axes.index(axis) for axis in (*node.over, *inside)],
                          range(len(node.take.axes)))  # fmt: skip
    k = int(np.prod([sizes[axis] for axis in node.over]))
    shape = tuple(sizes[axis] for axis in node.axes)
    full = np.broadcast_to(still, tuple(sizes[axis] for axis in (*outside, *node.over))).reshape(-1, k)
    outer, first = _relative(full, 1)
    inner, second = _relative(by_code.reshape(k, -1), 0)
    total = outer @ inner
    with np.errstate(divide="ignore"):
        table = np.log(total) + first + second
    return CodedSums(table.reshape(*shape, 1, -1), outer, inner, total, take)


def coded_statistics(node: CodedLogSumExp, counts: Array, found: CodedSums, pieces: Pieces, sizes: Mapping[str, int]
) -> dict[str, Any]:  # fmt: skip
    """The expected statistics of the pieces of all tables, from the counts `(*axes, 1, columns)` of the sums."""
    outside, inside = _apart(node)
    ratio = np.divide(counts.reshape(found.total.shape), found.total, out=np.zeros_like(found.total),
                      where=found.total > 0)  # fmt: skip
    outer = (found.outer * (ratio @ found.inner.T)).reshape([sizes[axis] for axis in (*outside, *node.over)])
    inner = found.inner * (found.outer.T @ ratio)
    inner = inner.reshape(*(sizes[axis] for axis in (*node.over, *inside)), -1)
    back = np.moveaxis(inner, range(len(node.take.axes)), [node.take.axes.index(a) for a in (*node.over, *inside)])
    statistics = leaf_statistics(node.take, np.ascontiguousarray(back)[..., None, :], found.take, pieces, {})
    for item in node.still:
        axes = (*outside, *node.over)
        summed = outer.sum(axis=tuple(k for k, axis in enumerate(axes) if axis not in item.axes))
        kept = [axis for axis in axes if axis in item.axes]
        sums = summed.transpose([kept.index(axis) for axis in item.axes])
        statistics |= leaf_statistics(item, sums, None, pieces, {})
    return statistics


def _apart(node: CodedLogSumExp) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The axes that tables without rows have, and those that the table by code has, besides those summed out."""
    inside = tuple(axis for axis in node.take.axes if axis not in node.over)
    return tuple(axis for axis in node.axes if axis not in inside), inside


def _aligned(table: Array, own: tuple[str, ...], axes: tuple[str, ...]) -> Array:
    order = [own.index(axis) for axis in axes if axis in own]
    return table.transpose(order)[tuple(slice(None) if axis in own else None for axis in axes)]


def _relative(logs: Array, axis: int) -> tuple[Array, Array]:
    """Exponentials relative to the largest along an axis, and its logarithm; where all are impossible, 0 and 0."""
    top = logs.max(axis=axis, keepdims=True)
    top = np.where(top <= LOG_IMPOSSIBLE, 0.0, top)
    return np.exp(logs - top), top
