"""Hidden variables of rows whose laws are tables by code: summed out once for each code in place of each row.

Where `z` is looked at by tables without rows (`P(z | p)`, the same for all) and by one law of what rows show (`P(w |
z)`), of which there are few different things, its sum is a function of the code and of what is around: the matrix
product of both tables over z. Rows then look it up. In reverse come the expected counts of codes, which the same
products share out among the values of z.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdsl.data.bound import Bound
from emdsl.ir.grids import index_set_of
from emdsl.plan.layout import BoundPiece
from emdsl.plan.leaves import coded_table, leaf_statistics, static_table
from emdsl.plan.named import START, union
from emdsl.plan.nodes import Affine, CodedLogSumExp, Node, Table, Take
from emdsl.runtime.carriers import Block, affine, affine_reverse, take, take_reverse
from emdsl.runtime.kernels import LOG_IMPOSSIBLE
from emdsl.runtime.pieces import PieceData
from emdsl.runtime.problem import Array

#: Codes a row, at most, for which the sum by code pays.
MOST_CODES_A_ROW = 0.5
#: Numbers in the table of the sums at most.
MOST_NUMBERS = 1 << 25

Pieces = Mapping[str, BoundPiece]
#: Statistics of a fit's own data count as they are.
UNWEIGHTED = Block((), (), (), (), (), ())


@dataclass(frozen=True)
class RowCodes:
    """What rows show of a law as one code: `code` `(rows,)`, and a row that shows each, `rows` `(codes,)`."""

    code: NDArray[np.intp]
    rows: NDArray[np.intp]


#: The codes of laws that have none by themselves, by their pieces; None where nearly every row shows something else.
Codes = dict[str, RowCodes | None]


def coded_sum(
    number: int, tables: Sequence[Node], over: tuple[str, ...], pieces: Pieces, sizes: Mapping[str, int], bound: Bound,
    codes: Codes,
) -> CodedLogSumExp | None:  # fmt: skip
    """The node that sums `over` out of these tables by code; None where they are not of that form, or it does not
    pay. Only around nodes of hidden numbers: products of probabilities may fall below the smallest number, and there a
    node that loses its sum so has no part in the posterior.
    """
    leaves = [node for node in tables if isinstance(node, Take | Affine)]
    still = [node for node in tables if isinstance(node, Table)]
    if len(leaves) != 1 or not still or len(still) + 1 != len(tables):
        return None
    (leaf,) = leaves
    outside = [axis for axis in union(*(node.axes for node in still)) if axis not in over]
    inside = [axis for axis in leaf.axes if axis not in over]
    if not any(index_set_of(axis) in bound.indexes for axis in outside):
        return None
    if set(outside) & set(inside) or START in (*outside, *inside):
        return None
    columns = _columns(leaf, pieces, codes)
    if columns is None or columns > MOST_CODES_A_ROW * bound.levels[leaf.level].size:
        return None
    axes = (*outside, *inside)
    if columns * int(np.prod([sizes[axis] for axis in axes])) > MOST_NUMBERS:
        return None
    return CodedLogSumExp(number, axes, leaf.level, True, tuple(still), leaf, over)


def _columns(leaf: Take | Affine, pieces: Pieces, codes: Codes) -> int | None:
    """How many codes the table of a law has; None where it has none."""
    names = _names(leaf)
    data = pieces[names[0]].data
    if _is_by_code(leaf, pieces):
        return data.columns
    if names[0] not in codes:
        codes[names[0]] = _row_codes(pieces[names[0]])
    found = codes[names[0]]
    return None if found is None else len(found.rows)


def _names(leaf: Take | Affine) -> tuple[str, ...]:
    return leaf.pieces if isinstance(leaf, Take) else (leaf.piece,)


def _is_by_code(leaf: Take | Affine, pieces: Pieces) -> bool:
    """Whether a law is a table by one code already."""
    own = [pieces[name] for name in _names(leaf)]
    constant = all(term.statistic == "1" for item in own for term in item.piece.terms)
    return isinstance(leaf, Take) and constant and int(np.prod(own[0].data.elements)) == 1


def _row_codes(item: BoundPiece) -> RowCodes | None:
    """Codes of what rows show of a law, if they show few different things."""
    data, piece = item.data, item.piece
    if piece.shifts:  # squares of what is standardised: continuous data
        return None
    shape = (*data.elements, data.rows)
    seen = [np.broadcast_to(data.knowns[known.symbol], shape) for known in piece.knowns if known.by_row]
    if data.row_mask is not None:
        seen = [np.where(data.row_mask, values, 0.0) for values in (*seen, data.row_mask.astype(float))]
    shown = [values.reshape(-1, data.rows) for values in seen]
    if data.code is not None:
        shown.append(data.code.astype(float))
    if not shown or any(np.isnan(values).any() for values in shown):
        return None
    _, rows, code = np.unique(np.concatenate(shown), axis=1, return_index=True, return_inverse=True)
    return RowCodes(code.reshape(-1), rows)


def _at_rows(leaf: Take | Affine, pieces: Pieces, codes: Codes) -> PieceData:
    """The data of a law at one row for each code."""
    data, found = pieces[_names(leaf)[0]].data, codes[_names(leaf)[0]]
    assert found is not None
    code = None if data.code is None else data.code[:, found.rows]
    statistics = None if data.statistics is None else data.statistics[..., found.rows]
    return replace(data, code=code, statistics=statistics, rows=len(found.rows), local={})


def coded_data(node: CodedLogSumExp, pieces: Pieces, codes: Codes) -> PieceData:
    """The data that rows are looked up by."""
    name = _names(node.leaf)[0]
    data = pieces[name].data
    if _is_by_code(node.leaf, pieces):
        return data
    found = codes[name]
    assert found is not None
    return replace(data, statistics=None, code=found.code[None], columns=len(found.rows), elements=(), local={})


@dataclass(frozen=True)
class CodedSums:
    """The sums `table` `(*axes, 1, columns)` at one theta, with what the reverse needs: both factors as probabilities,
    `outer` `(outside, over)` and `inner` `(over, inside * columns)`, each relative to its largest, and their product.
    `law` is the table that the law is looked up in.
    """

    table: Array
    outer: Array
    inner: Array
    total: Array
    law: Array


def coded_sums(
    node: CodedLogSumExp, pieces: Pieces, etas: Mapping[str, Array], sizes: Mapping[str, int], codes: Codes
) -> CodedSums:
    """The sums at one theta."""
    outside, inside = _apart(node)
    still: Any = 0.0
    for item in node.still:
        still = still + _aligned(static_table(item, pieces, etas, sizes), item.axes, (*outside, *node.over))
    law, looked_up = _law_by_code(node, pieces, etas, codes)
    by_code = law.transpose([*(node.leaf.axes.index(axis) for axis in (*node.over, *inside)), law.ndim - 1])
    k = int(np.prod([sizes[axis] for axis in node.over]))
    shape = tuple(sizes[axis] for axis in node.axes)
    full = np.broadcast_to(still, tuple(sizes[axis] for axis in (*outside, *node.over))).reshape(-1, k)
    outer, first = _relative(full, 1)
    inner, second = _relative(by_code.reshape(k, -1), 0)
    total = outer @ inner
    with np.errstate(divide="ignore"):
        table = np.log(total) + first + second
    return CodedSums(table.reshape(*shape, 1, -1), outer, inner, total, looked_up)


def _law_by_code(node: CodedLogSumExp, pieces: Pieces, etas: Mapping[str, Array], codes: Codes) -> tuple[Array, Array]:
    """The table of the law `(*axes, columns)`, and what it is looked up in."""
    leaf = node.leaf
    if isinstance(leaf, Take):
        table = coded_table(leaf, pieces, etas)
        if _is_by_code(leaf, pieces):
            return table[..., 0, :], table
        data = _at_rows(leaf, pieces, codes)
        return take(table, data, slice(0, data.rows)), table
    data = _at_rows(leaf, pieces, codes)
    table = etas[leaf.piece].reshape(*data.hidden, -1)
    return affine(table, data, slice(0, data.rows)), table


def _law_statistics(node: CodedLogSumExp, weights: Array, table: Array, pieces: Pieces, codes: Codes) -> dict[str, Any]:
    """The statistics of the law's pieces, from expected counts `(*axes, columns)`."""
    leaf = node.leaf
    if _is_by_code(leaf, pieces):
        return leaf_statistics(leaf, weights[..., None, :], table, pieces, {})
    data = _at_rows(leaf, pieces, codes)
    every = slice(0, data.rows)
    if isinstance(leaf, Affine):
        return leaf_statistics(leaf, affine_reverse(weights, data, every, UNWEIGHTED), None, pieces, {})
    sums = np.zeros_like(table)
    take_reverse(weights, data, every, UNWEIGHTED, sums)
    return leaf_statistics(leaf, sums, table, pieces, {})


def coded_statistics(
    node: CodedLogSumExp, counts: Array, found: CodedSums, pieces: Pieces, sizes: Mapping[str, int], codes: Codes
) -> dict[str, Any]:
    """The expected statistics of the pieces of all tables, from the counts `(*axes, 1, columns)` of the sums."""
    outside, inside = _apart(node)
    ratio = np.divide(counts.reshape(found.total.shape), found.total, out=np.zeros_like(found.total),
                      where=found.total > 0)  # fmt: skip
    outer = (found.outer * (ratio @ found.inner.T)).reshape([sizes[axis] for axis in (*outside, *node.over)])
    inner = found.inner * (found.outer.T @ ratio)
    inner = inner.reshape(*(sizes[axis] for axis in (*node.over, *inside)), -1)
    own = (*node.over, *inside)
    back = np.ascontiguousarray(inner.transpose([*(own.index(axis) for axis in node.leaf.axes), inner.ndim - 1]))
    statistics = _law_statistics(node, back, found.law, pieces, codes)
    for item in node.still:
        axes = (*outside, *node.over)
        summed = outer.sum(axis=tuple(k for k, axis in enumerate(axes) if axis not in item.axes))
        kept = [axis for axis in axes if axis in item.axes]
        sums = summed.transpose([kept.index(axis) for axis in item.axes])
        statistics |= leaf_statistics(item, sums, None, pieces, {})
    return statistics


def _apart(node: CodedLogSumExp) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The axes that tables without rows have, and those that the law has, besides those summed out."""
    inside = tuple(axis for axis in node.leaf.axes if axis not in node.over)
    return tuple(axis for axis in node.axes if axis not in inside), inside


def _aligned(table: Array, own: tuple[str, ...], axes: tuple[str, ...]) -> Array:
    order = [own.index(axis) for axis in axes if axis in own]
    return table.transpose(order)[tuple(slice(None) if axis in own else None for axis in axes)]


def _relative(logs: Array, axis: int) -> tuple[Array, Array]:
    """Exponentials relative to the largest along an axis, and its logarithm; where all are impossible, 0 and 0."""
    top = logs.max(axis=axis, keepdims=True)
    top = np.where(top <= LOG_IMPOSSIBLE, 0.0, top)
    return np.exp(logs - top), top
