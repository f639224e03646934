"""Normal laws of vectors whose mean or covariance is an expression, bound to data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdsl.ir.derivation import Piece
from emdsl.ir.expressions import ParameterRef, walk
from emdsl.plan.binding import PieceBinder
from emdsl.plan.layout import BoundPiece
from emdsl.runtime.assembly import make_place
from emdsl.runtime.gaussian_missing import patterns_of
from emdsl.runtime.pieces import PieceData
from emdsl.runtime.problem import Array
from emdsl.runtime.vector_density import Addend, VectorDensity

#: How many axes of its elements a term of the mean, and one of the covariance, has.
MEAN, COVARIANCE = 1, 2


def parts_of(piece: Piece) -> Iterator[tuple[Piece, int]]:
    """The addends of a vector law's mean (1) and covariance (2), under names of their own."""
    if piece.vector is None:
        return
    for event, kind, parts in (
        (MEAN, "mean", piece.vector.mean_parts), (COVARIANCE, "covariance", piece.vector.covariance_parts),
    ):  # fmt: skip
        for number, part in enumerate(parts, start=1):
            yield replace(part, name=f"{piece.name} {kind} {number}"), event


def shown_cells(item: BoundPiece, binder: PieceBinder) -> tuple[Array, NDArray[np.bool_]]:
    """The columns of a vector observation `(d, rows)`, and which of their cells its law is about."""
    vector = item.piece.vector
    assert vector is not None
    values = np.asarray(binder.bound.values[vector.variable.name].array, dtype=np.float64)
    shown = ~np.isnan(values)
    if item.data.row_mask is not None:
        shown = shown & item.data.row_mask
    return values, shown


@dataclass(frozen=True)
class Term:
    """A term of a mean or covariance: the piece that it is, its formulas, and its data at no particular values of
    hidden numbers.
    """

    bound: BoundPiece
    formulas: tuple[Any, Any]
    event: int

    def addend(self, item: BoundPiece, binder: PieceBinder, data: PieceData | None = None) -> Addend:
        """As a term of the law `item`; `data` are those at values of hidden numbers."""
        own, data = self.bound.axes.hidden, data or self.bound.data
        sizes = dict(zip(own, data.hidden, strict=True))
        return Addend(
            data=data, value=self.formulas[0], slopes=self.formulas[1],
            places=tuple(make_place(data, i, binder.layout.offsets) for i in range(len(self.bound.piece.atoms))),
            hidden=tuple(sizes.get(axis, 1) for axis in item.axes.hidden), event=self.event,
        )  # fmt: skip


def bind_terms(item: BoundPiece, binder: PieceBinder, module: Any) -> tuple[Term, ...]:
    """The terms of the mean and covariance of a law; `binder` knows what finite variables they are to be told by."""
    found = []
    for part, event in parts_of(item.piece):
        bound = binder.bind(part, (part,))
        _without_needless_mask(bound, item)
        formulas = getattr(module, f"density_{bound.name}"), getattr(module, f"gradient_{bound.name}")
        found.append(Term(bound, formulas, event))
    return tuple(found)


def _without_needless_mask(term: BoundPiece, item: BoundPiece) -> None:
    """Rows that the law leaves out need not be left out of its terms: with a mask these would vary by row."""
    own, whole = term.data.row_mask, item.data.row_mask
    if own is None or whole is None:
        return
    finite = all(np.isfinite(value).all() for value in term.data.knowns.values())
    if finite and not (whole & ~own).any():
        term.data.row_mask = None


def law_constant(item: BoundPiece, binder: PieceBinder) -> float:
    """What the log-density of a whole vector has besides determinant and quadratic form."""
    assert item.piece.vector is not None
    constant = item.piece.vector.constant
    return 0.0 if constant is None else float(binder.plain.value(constant).array)


def parameters_of(piece: Piece) -> frozenset[str]:
    """The parameters that stand in mean or covariance."""
    assert piece.vector is not None
    parts = (piece.vector.mean, piece.vector.covariance)
    return frozenset(node.name for node in walk(parts) if isinstance(node, ParameterRef))


def bind_vector(item: BoundPiece, binder: PieceBinder, module: Any) -> VectorDensity:
    """The columns of a vector observation with the terms of its mean and covariance."""
    values, shown = shown_cells(item, binder)
    terms = bind_terms(item, binder, module)
    return VectorDensity(
        name=item.piece.name, x=values, patterns=patterns_of(shown), hidden=item.axes.shape(item.axes.hidden),
        constant=law_constant(item, binder),
        mean=tuple(term.addend(item, binder) for term in terms if term.event == MEAN),
        covariance=tuple(term.addend(item, binder) for term in terms if term.event == COVARIANCE),
        names=parameters_of(item.piece), outside=item.data.outside,
    )  # fmt: skip
