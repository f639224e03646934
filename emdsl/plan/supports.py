"""Where a piece gives no probability at all, and where a vector is seen."""

from __future__ import annotations

import numpy as np

from emdsl.data.bound import Level
from emdsl.diagnostics.errors import EmmError
from emdsl.ir.derivation import Piece
from emdsl.ir.expressions import VariableRef, walk
from emdsl.ir.model import Model
from emdsl.plan.evaluation import Evaluator
from emdsl.plan.named import Named
from emdsl.runtime.pieces import PieceData


def exclude_impossible(piece: Piece, data: PieceData, model: Model) -> None:
    """Mark the cells in which what is known of a hidden number and the data is not finite (`lgamma(N - y + 1)` for
    `N < y`): the law gives them no probability. Their known values are replaced, so that formulas stay finite.
    """
    for known in piece.knowns:
        values = data.knowns.get(known.symbol)  # none for what is integrated over
        nodes = (node for node in walk(known.value) if isinstance(node, VariableRef))
        if values is None or all(model.variable(node.name).kind != "latent" for node in nodes):
            continue
        lost = ~np.isfinite(values)
        if lost.any():
            data.knowns[known.symbol] = np.where(lost, 0.0, values)
            data.impossible = lost if data.impossible is None else data.impossible | lost
    separable = data.impossible is not None and piece.form == "separable" and bool(piece.terms)
    if separable and all(term.statistic != "1" for term in piece.terms):
        raise EmmError(
            "not-supported-yet", f"the support of `{piece.factor}` depends on what is hidden and has no plan yet"
        )


def seen_whole(piece: Piece, plain: Evaluator, level: Level) -> Named | None:
    """Where a vector is seen, all of it (None: everywhere). Raises EmmError where a part is: only a normal law has a
    law of that, and sees to its gaps itself.
    """
    assert piece.target is not None
    if piece.vector is not None:
        return None
    name, bound = piece.target.name, plain.bound
    value = plain.value(piece.target)
    event = tuple(k for k, axis in enumerate(value.axes) if axis.startswith(f"{name}:"))
    missing = np.isnan(value.array)
    some, every = missing.any(axis=event), missing.all(axis=event)
    partly = np.flatnonzero((some & ~every).reshape(-1, some.shape[-1]).any(axis=0))
    if len(partly):
        rows = np.sort(bound.order[partly] + 1) if level.size == len(bound.order) else partly + 1
        raise EmmError(
            "missing-part",
            f"`{name}` has missing cells in a row whose other cells are filled, and its law draws the columns together",
            place=f"{bound.source}, row {rows[0]}" + f" and {len(rows) - 1} more" * (len(rows) > 1),
            help="empty the whole row, which is then left out, or fill it; a normal vector may have gaps",
        )  # fmt: skip
    axes = tuple(axis for k, axis in enumerate(value.axes) if k not in event)
    return Named(axes, ~every) if every.any() else None
