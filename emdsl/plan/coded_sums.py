"""Hidden variables of rows whose laws are tables by code: summed out once for each code in place of each row.

Where `z` is looked at by tables without rows (`P(z | p)`, the same for all) and by one law of what rows show (`P(w |
z)`), of which there are few different things, its sum is a function of the code and of what is around: the matrix product of both tables over z. Rows then look it up. In
reverse come the expected counts of codes, which the same products share out among the values of z.
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
from emdsl.runtime.kernels import LOG_IMPOSSIBLE
from emdsl.runtime.pieces import PieceData
from emdsl.runtime.problem import Array

#: Codes a row, at most, for which the sum by code pays.
MOST_CODES_A_ROW = 0.5
#: Numbers in the table of the sums at most.
MOST_NUMBERS = 1 << 25

Pieces = Mapping[str, BoundPiece]


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
    if isinstance(leaf, Affine):
        if leaf.piece not in codes:
            codes[leaf.piece] = _row_codes(pieces[leaf.piece])
        found = codes[leaf.piece]
        return None if found is None else len(found.rows)
    own = [pieces[name] for name in leaf.pieces]
    if any(term.statistic != "1" for item in own for term in item.piece.terms):
        return None
    return own[0].data.columns if int(np.prod(own[0].data.elements)) == 1 else None


def _row_codes(item: BoundPiece) -> RowCodes | None:
    """Codes of what rows show of a law, if they show few different things."""
    data, piece = item.data, item.piece
    if piece.shifts:  # squares of what is standardised: continuous data
        return None
    shape = (*data.elements, data.rows)
    seen = [np.broadcast_to(data.knowns[known.symbol], shape) for known in piece.knowns if known.by_row]
    if data.row_mask is not None:
        seen = [np.where(data.row_mask, values, 0.0) for values in (*seen, data.row_mask.astype(float))]
    if not seen or any(np.isnan(values).any() for values in seen):
        return None
    shown = np.stack(seen).reshape(-1, data.rows)
    _, rows, code = np.unique(shown, axis=1, return_index=True, return_inverse=True)
    return RowCodes(code.reshape(-1), rows)


def coded_data(node: CodedLogSumExp, pieces: Pieces, codes: Codes) -> PieceData:
    """The data that rows are looked up by."""
    data = pieces[_names(node)[0]].data
    if isinstance(node.leaf, Take):
        return data
    found = codes[node.leaf.piece]
    assert found is not None
    return replace(data, statistics=None, code=found.code[None], columns=len(found.rows), elements=(), local={})


def _names(node: CodedLogSumExp) -> tuple[str, ...]:
    return node.leaf.pieces if isinstance(node.leaf, Take) else (node.leaf.piece,)


@dataclass(frozen=True)
class CodedSums:
    """The sums `table` `(*axes, 1, columns)` at one theta, with what the reverse needs: both factors as probabilities,
    `outer` `(outside, over)` and `inner` `(over, inside * columns)`, each relative to its largest, and their product.
    `law` is the table of the law by code.
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
    law = _law_by_code(node, pieces, etas, codes)
    by_code = law.transpose([*(node.leaf.axes.index(axis) for axis in (*node.over, *inside)), law.ndim - 1])
    k = int(np.prod([sizes[axis] for axis in node.over]))
    shape = tuple(sizes[axis] for axis in node.axes)
    full = np.broadcast_to(still, tuple(sizes[axis] for axis in (*outside, *node.over))).reshape(-1, k)
    outer, first = _relative(full, 1)
    inner, second = _relative(by_code.reshape(k, -1), 0)
    total = outer @ inner
    with np.errstate(divide="ignore"):
        table = np.log(total) + first + second
    return CodedSums(table.reshape(*shape, 1, -1), outer, inner, total, law)


def _law_by_code(node: CodedLogSumExp, pieces: Pieces, etas: Mapping[str, Array], codes: Codes) -> Array:
    """The table of the law `(*axes, columns)`."""
    if isinstance(node.leaf, Take):
        return coded_table(node.leaf, pieces, etas)[..., 0, :]
    data, found = pieces[node.leaf.piece].data, codes[node.leaf.piece]
    assert data.statistics is not None and found is not None
    table: Array = etas[node.leaf.piece].reshape(*data.hidden, -1) @ data.statistics[:, found.rows]
    return table


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
    if isinstance(node.leaf, Take):
        statistics = leaf_statistics(node.leaf, back[..., None, :], found.law[..., None, :], pieces, {})
    else:
        data, rows = pieces[node.leaf.piece].data, codes[node.leaf.piece]
        assert data.statistics is not None and rows is not None
        statistics = leaf_statistics(node.leaf, back @ data.statistics[:, rows.rows].T, None, pieces, {})
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
