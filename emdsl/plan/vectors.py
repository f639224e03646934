"""Normal laws of vectors whose mean or covariance is an expression, bound to data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from types import ModuleType

import numpy as np

from emdsl.ir.derivation import Piece
from emdsl.ir.expressions import ParameterRef, walk
from emdsl.plan.binding import PieceBinder
from emdsl.plan.layout import BoundPiece
from emdsl.runtime.assembly import make_place
from emdsl.runtime.gaussian_missing import patterns_of
from emdsl.runtime.vector_density import Addend, VectorDensity


def parts_of(piece: Piece) -> Iterator[tuple[Piece, int]]:
    """The addends of a vector law's mean (1) and covariance (2), under names of their own."""
    if piece.vector is None:
        return
    for event, kind, parts in ((1, "mean", piece.vector.mean_parts), (2, "covariance", piece.vector.covariance_parts)):
        for number, part in enumerate(parts, start=1):
            yield replace(part, name=f"{piece.name} {kind} {number}"), event


def bind_vector(item: BoundPiece, binder: PieceBinder, module: ModuleType) -> VectorDensity:
    """The columns of a vector observation with the terms of its mean and covariance."""
    vector = item.piece.vector
    assert vector is not None
    values = np.asarray(binder.bound.values[vector.variable.name].array, dtype=np.float64)
    shown = ~np.isnan(values)
    if item.data.row_mask is not None:
        shown = shown & item.data.row_mask
    addends: dict[int, list[Addend]] = {1: [], 2: []}
    for part, event in parts_of(item.piece):
        bound = binder.bind(part, (part,))
        own = bound.axes.hidden
        addends[event].append(
            Addend(
                data=bound.data,
                value=getattr(module, f"density_{bound.name}"),
                slopes=getattr(module, f"gradient_{bound.name}"),
                places=tuple(make_place(bound.data, i, binder.layout.offsets) for i in range(len(part.atoms))),
                hidden=tuple(item.axes.sizes[axis] if axis in own else 1 for axis in item.axes.hidden),
                event=event,
            )
        )
    evaluator = binder.plain
    return VectorDensity(
        name=item.piece.name, x=values, patterns=patterns_of(shown), hidden=item.axes.shape(item.axes.hidden),
        constant=0.0 if vector.constant is None else float(evaluator.value(vector.constant).array),
        mean=tuple(addends[1]), covariance=tuple(addends[2]),
        names=frozenset(n.name for n in walk((vector.mean, vector.covariance)) if isinstance(n, ParameterRef)),
        outside=item.data.outside,
    )  # fmt: skip
