"""Pieces whose parameters enter as whole vectors and matrices, bound to data: Gaussian and stationary laws."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from emdsl.diagnostics.errors import EmmError
from emdsl.ir.arrays import element
from emdsl.ir.derivation import Piece
from emdsl.ir.expressions import Binder, BinderRef, ParameterRef, Tabulate, VariableRef, walk
from emdsl.plan.binding import PieceBinder
from emdsl.plan.evaluation import Evaluator, axis_of
from emdsl.plan.layout import Axes, BoundPiece
from emdsl.plan.named import POINT
from emdsl.plan.vectors import law_constant, shown_cells
from emdsl.runtime.gaussian import GaussianData, GaussianTable
from emdsl.runtime.gaussian_missing import PartlySeenTable, Pattern, patterns_of
from emdsl.runtime.problem import Array, Theta
from emdsl.runtime.scatter import Address
from emdsl.runtime.stationary import StationaryPart


class GaussianPiece:
    """A Gaussian piece's data with the addresses of its mean and covariance; `patterns` where cells are missing or rows
    left out, `outside` the cells whose guards do not hold.
    """

    def __init__(
        self, data: GaussianData, mean: Address | Array, covariance: Address, mean_name: str,
        patterns: tuple[Pattern, ...] | None = None, outside: NDArray[np.bool_] | None = None,
    ) -> None:  # fmt: skip
        self.data, self.mean, self.covariance, self.mean_name = data, mean, covariance, mean_name
        self.patterns, self.outside = patterns, outside

    def mean_of(self, theta: Theta) -> Array:
        """`(*hidden or 1s, d)`."""
        if isinstance(self.mean, Address):
            return self.mean.gather(np.asarray(theta[self.mean.parameter]))
        return self.mean

    def covariance_of(self, theta: Theta) -> Array:
        """`(*hidden or 1s, d, d)`."""
        return self.covariance.gather(np.asarray(theta[self.covariance.parameter]))

    def table(self, theta: Theta, *, blank: bool) -> GaussianTable | PartlySeenTable:
        """The piece at one theta; `blank`: without its log-density, so that missing cells are filled in by what all
        rows show of their column (the first E-step of a random start).
        """
        data = self.data
        if self.patterns is not None:
            shape = (*data.hidden, data.d)
            mean, covariance = np.zeros(data.d), np.eye(data.d)
            if not blank:
                mean = (self.mean_of(theta) - data.centre) / data.scale
                covariance = self.covariance_of(theta) / (data.scale[:, None] * data.scale)
            mean, covariance = np.broadcast_to(mean, shape), np.broadcast_to(covariance, (*shape, data.d))
            return PartlySeenTable(data, self.patterns, mean, covariance, blank, self.outside)
        eta = np.zeros((*data.hidden, data.monomials))
        if not blank:
            eta = data.eta(self.mean_of(theta), self.covariance_of(theta))
            if self.outside is not None:
                eta = np.where(self.outside[..., None], 0.0, eta)
        return GaussianTable(data, eta)


def bind_gaussian(item: BoundPiece, binder: PieceBinder, weights: Array | None) -> GaussianPiece:
    """The columns of a vector observation, and the addresses of its mean and covariance. `weights` are those of its
    rows.
    """
    vector, axes = item.piece.vector, item.axes
    assert vector is not None
    values, shown = shown_cells(item, binder)
    centre, scale = _pooled(values, shown, weights)
    evaluator = binder.plain
    constant = law_constant(item, binder)
    rows, columns = Binder("vector 1", vector.axis), Binder("vector 2", vector.axis)
    if not isinstance(vector.covariance, ParameterRef):
        raise EmmError("internal", "a covariance that is a formula has parts")
    covariance = partial_address(binder, vector.covariance, (rows, columns), axes)
    mean: Address | Array
    name = ""
    if isinstance(vector.mean, ParameterRef):
        mean, name = partial_address(binder, vector.mean, (rows,), axes), vector.mean.name
    elif any(isinstance(node, VariableRef | ParameterRef) for node in walk(vector.mean)):
        raise EmmError("internal", "a mean vector that is a formula has parts")
    else:
        known = evaluator.value(element(vector.mean, (BinderRef(rows),))).aligned((*axes.hidden, rows.name))
        mean = np.broadcast_to(known, (*(1,) * len(axes.hidden), len(values)))
    hidden = axes.shape(axes.hidden)
    data = GaussianData((values - centre[:, None]) / scale[:, None], centre, scale, hidden, constant)
    patterns = None if shown.all() else patterns_of(shown)
    return GaussianPiece(data, mean, covariance, name, patterns, item.data.outside)


def _pooled(values: Array, shown: NDArray[np.bool_], weights: Array | None) -> tuple[Array, Array]:
    """Mean and standard deviation of what each column shows, `(d,)`; 0 and 1 where that is nothing."""
    counted = shown * (1.0 if weights is None else weights)
    total = np.maximum(counted.sum(axis=1), 1e-300)
    centre = (counted * np.where(shown, values, 0.0)).sum(axis=1) / total
    apart = np.where(shown, values - centre[:, None], 0.0)
    scale = np.sqrt((counted * apart**2).sum(axis=1) / total)
    return centre, np.where(scale > 0, scale, 1.0)


def bind_hidden_gaussian(piece: Piece, axes: Axes, binder: PieceBinder, data: GaussianData) -> GaussianPiece:
    """The addresses of mean and covariance of the law of a hidden vector; `data` has no rows."""
    vector = piece.vector
    assert vector is not None
    evaluator = Evaluator(binder.model, binder.bound)
    if vector.constant is not None:
        data.constant = float(evaluator.value(vector.constant).array)
    finite = replace(axes, hidden=tuple(axis for axis in axes.hidden if axis != POINT))
    rows, columns = Binder("vector 1", vector.axis), Binder("vector 2", vector.axis)
    assert isinstance(vector.covariance, ParameterRef)
    covariance = partial_address(binder, vector.covariance, (rows, columns), finite)
    if isinstance(vector.mean, ParameterRef):
        return GaussianPiece(data, partial_address(binder, vector.mean, (rows,), finite), covariance, vector.mean.name)
    body, axis = (vector.mean.body, vector.mean.binders[0].name) if isinstance(vector.mean, Tabulate) else (
        vector.mean, rows.name
    )  # fmt: skip
    mean = evaluator.value(body).aligned((*finite.hidden, axis))
    return GaussianPiece(data, np.broadcast_to(mean, (*mean.shape[:-1], data.d)), covariance, "")


def bind_stationary(piece: Piece, axes: Axes, binder: PieceBinder) -> StationaryPart:
    """The stationary law of a transition matrix, with the address of the matrix."""
    law = piece.stationary
    assert law is not None and isinstance(law.state, VariableRef)
    parameter = binder.model.parameter(law.matrix.name)
    binders = tuple(Binder(f"state {k}", axis) for k, axis in enumerate(parameter.array_axes[-2:]))
    leading = Axes(tuple(a for a in axes.hidden if a != axis_of(law.state)), (), (), axes.sizes)
    if axes.hidden != (*leading.hidden, axis_of(law.state)):
        raise EmmError(
            "not-supported-yet", "the stationary law of a matrix that depends on later variables has no plan yet"
        )
    place = partial_address(binder, law.matrix, binders, leading)
    return StationaryPart(piece.name, place, binder.layout.offsets[law.matrix.name])


def partial_address(binder: PieceBinder, reference: ParameterRef, binders: tuple[Binder, ...], axes: Axes) -> Address:
    """Where the vector or matrix that a partial reference stands for lies, the axes `binders` behind the cells."""
    full = ParameterRef(reference.name, reference.indices + tuple(BinderRef(b) for b in binders))
    sizes = {**axes.sizes, **{b.name: len(binder.bound.indexes[b.index_set]) for b in binders}}
    place = binder.address(full, Axes(axes.hidden, tuple(b.name for b in binders), (), sizes))
    assert place is not None
    return place
