"""Finite hidden variables whose law is the shares of a unit at its draws: their sums are matrix products."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from emdsl.data.bound import Bound
from emdsl.ir.expressions import VariableRef
from emdsl.ir.grids import logs_of, values_of
from emdsl.ir.model import Model
from emdsl.plan.layout import BoundPiece
from emdsl.plan.nodes import DrawnLogSumExp, Node, RowDensity
from emdsl.runtime.drawn import DrawnShares


def drawn_law(tables: Sequence[Node], over: tuple[str, ...], pieces: Mapping[str, BoundPiece]) -> RowDensity | None:
    """Among tables that are to be summed over one variable the law of it that is its drawn shares, where the others do
    not look at the draws; else None.
    """
    if len(over) != 1:
        return None
    for node in tables:
        if isinstance(node, RowDensity) and node.piece in pieces and _is_shares(pieces[node.piece], over[0]):
            name = _drawn(pieces[node.piece])
            if all(name not in other.axes for other in tables if other is not node):
                return node
    return None


def _is_shares(item: BoundPiece, name: str) -> bool:
    """Whether a piece is the logarithm of the share, at each draw, of the value of a variable."""
    piece, data = item.piece, item.data
    if piece.form != "rows" or piece.atoms or piece.guards or data.elements or data.row_mask is not None:
        return False
    if len(piece.knowns) != 1 or piece.log_density != piece.knowns[0].symbol:
        return False
    value = piece.knowns[0].value
    if not isinstance(value, VariableRef) or len(value.indices) != 2:
        return False
    draw, place = value.indices
    named = isinstance(draw, VariableRef) and isinstance(place, VariableRef) and value.name == logs_of(draw.name)
    return named and place == VariableRef(name) and set(item.axes.hidden) == {_drawn(item), name}


def _drawn(item: BoundPiece) -> str:
    """The shares whose draws a piece looks at."""
    value = item.piece.knowns[0].value
    assert isinstance(value, VariableRef) and isinstance(value.indices[0], VariableRef)
    return value.indices[0].name


def drawn_sum(number: int, law: RowDensity, source: Node, over: str, item: BoundPiece) -> DrawnLogSumExp:
    """The node that sums a variable out of the other tables, with its shares at each draw."""
    name = _drawn(item)
    axes = (name, *(axis for axis in source.axes if axis != over))
    return DrawnLogSumExp(number, axes, law.level, True, source, over, name)


def drawn_shares_of(node: DrawnLogSumExp, model: Model, bound: Bound) -> DrawnShares:
    """The shares of each unit at its draws, and the unit of each row."""
    values = np.asarray(bound.values[values_of(node.drawn)].array, dtype=np.float64)
    plate = model.variable(node.drawn).plate
    home = bound.level_of(plate)
    unit = np.arange(bound.levels[node.level].size)
    for number in range(node.level, home, -1):
        unit = bound.levels[number].parent[unit]
    return DrawnShares(np.ascontiguousarray(values.transpose(2, 0, 1)), unit)
