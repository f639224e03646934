"""The leaves of a program: their tables from the eta tables of pieces, and the statistics of these pieces from what
comes back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from emdsl.plan.layout import BoundPiece
from emdsl.plan.nodes import Affine, Fused, Node, Quadratic, RowDensity, Table, Take
from emdsl.runtime.fused import FusedCodes, fused_counts
from emdsl.runtime.kernels import extend_codes, extend_codes_reverse
from emdsl.runtime.problem import Array

Pieces = Mapping[str, BoundPiece]
#: Joint codes by the pieces of the tables that share them, None where they do not.
Joint = Mapping[tuple[tuple[str, ...], ...], FusedCodes | None]


def static_table(node: Table, pieces: Pieces, etas: Mapping[str, Array], sizes: Mapping[str, int]) -> Array:
    """The sum of the eta tables of static pieces over their elements, `(*hidden)`; zeros where there is no piece."""
    if not node.pieces:
        return np.zeros(tuple(sizes[axis] for axis in node.axes))
    total: Any = 0.0
    for name in node.pieces:
        data = pieces[name].data
        axes = tuple(range(len(data.hidden), len(data.cells)))
        eta = etas[name][..., 0]
        total = total + (eta.sum(axis=axes) if axes else eta)
    return np.asarray(total)


def coded_table(node: Take, pieces: Pieces, etas: Mapping[str, Array]) -> Array:
    """The table of a look-up, `(*hidden, elements, columns)`: codes, then coarse and missing cells, then blank ones;
    with statistics that vary by row `(*hidden, elements, codes, terms)`.
    """
    data = pieces[node.pieces[0]].data
    elements, codes = int(np.prod(data.elements)), int(np.prod(data.codes))
    if data.statistics is not None:
        (name,) = node.pieces
        return etas[name].reshape(*data.hidden, elements, codes, data.terms)
    total = sum(etas[name][..., 0] for name in node.pieces)
    table: Array = np.asarray(total).reshape(*data.hidden, elements, codes)
    if data.sets is not None:
        table = extend_codes(table, data.sets)
    if data.blank:
        table = np.concatenate([table, np.zeros((*table.shape[:-1], 1))], axis=-1)
    return table


def codes_of(node: Fused, joint: Joint) -> FusedCodes:
    """The joint codes of a fused look-up."""
    found = joint[tuple(take.pieces for take in node.takes)]
    assert found is not None
    return found


def leaf_statistics(node: Node, sums: Any, table: Any, pieces: Pieces, joint: Joint) -> dict[str, Any]:
    """The expected statistics of the pieces of a leaf, `(*cells, terms)`, from what its reverse has summed; those by
    row as they are. Nothing for other nodes.
    """
    match node:
        case Table(pieces=names):
            return {name: _spread(pieces[name], sums) for name in names}
        case Affine(piece=name):
            return {name: _inside(pieces[name], sums.reshape(pieces[name].data.eta_shape))}
        case Take():
            return _uncoded(node, sums, table, pieces)
        case Fused(takes=takes):
            found: dict[str, Any] = {}
            counts = fused_counts(sums, table, codes_of(node, joint))
            for take, own, values in zip(takes, counts, table.own, strict=True):
                found |= _uncoded(take, own, values, pieces)
            return found
        case RowDensity(piece=name):
            return {name: sums}
        case Quadratic(piece=name):
            return {name: _inside(pieces[name], table.expected(sums))}
    return {}


def _spread(piece: BoundPiece, counts: Array) -> Array:
    data = piece.data
    spread = counts.reshape(*data.hidden, *(1,) * len(data.elements), 1)
    return _inside(piece, np.broadcast_to(spread, data.eta_shape))


def _uncoded(node: Take, counts: Array, table: Array, pieces: Pieces) -> dict[str, Array]:
    """The statistics of the pieces of a table by code, from the counts of its columns."""
    data = pieces[node.pieces[0]].data
    if data.statistics is None:
        if data.blank:
            counts, table = counts[..., :-1], table[..., :-1]
        if data.sets is not None:
            counts = extend_codes_reverse(table, data.sets, counts)
    return {name: _inside(pieces[name], counts.reshape(pieces[name].data.eta_shape)) for name in node.pieces}


def _inside(piece: BoundPiece, statistics: Array) -> Array:
    outside = piece.data.outside
    return statistics if outside is None else np.where(outside[..., None], 0.0, statistics)
