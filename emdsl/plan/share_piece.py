"""Pieces of the log-joint that are linear in the logarithms of hidden shares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from emdsl.ir.expressions import VariableRef
from emdsl.ir.latents import continuous_latents
from emdsl.plan.binding import PieceBinder
from emdsl.plan.evaluation import Evaluator
from emdsl.plan.latent_pieces import Rows, Site
from emdsl.plan.layout import BoundPiece
from emdsl.plan.named import POINT, ROW, Named
from emdsl.runtime.functions import LOG_ZERO
from emdsl.runtime.integrals.points import PointWeights
from emdsl.runtime.pieces import PieceData
from emdsl.runtime.problem import Array, Theta

#: The logarithm at which the coefficient of a share's is read off: the larger, the less the constant blurs it.
FAR = 512.0


@dataclass(frozen=True)
class SharePiece:
    """A piece by row. `places` are the references to the shares in it, each with its place among all shares of a unit,
    `(*cells, *elements, rows)` with axes of length 1 where it does not vary; `hidden` are the lengths of the cells.
    """

    name: str
    bound: BoundPiece
    binder: PieceBinder
    density: Callable[..., Array]
    sites: tuple[Site, ...]
    hidden: tuple[int, ...]
    rows: Rows
    places: tuple[tuple[VariableRef, NDArray[np.intp]], ...]
    known: list[tuple[Array, Array]] = field(default_factory=list, repr=False)

    # --- E-step -------------------------------------------------------------------------------------------------------

    def exponents(self, theta: Theta, v: Array, units: int) -> tuple[Array, Array]:
        """What is left where all logarithms are 0, `(*cells, units)`, and the coefficient of the logarithm of each
        share, `(shares, *cells, units)`; both summed in each unit.
        """
        if self.known:
            return self.known[0]
        count = len(self.places)
        far = np.where(np.eye(count + 1, count, k=-1) > 0, np.exp(FAR), 1.0)  # (points, references)
        rows = self.bound.data.rows
        points = {
            reference: Named((POINT, ROW), np.broadcast_to(far[:, [k]], (count + 1, rows)))
            for k, (reference, _) in enumerate(self.places)
        }
        values = self._values(theta, v, self.binder.at(self.bound, points))
        values = np.moveaxis(values, len(self.hidden), 0)  # (points, *cells, *elements, rows)
        constant = values[0].sum(axis=tuple(range(len(self.hidden), values.ndim - 2)))
        found = np.zeros((len(self.sites), *self.hidden, units))
        for (_, place), value in zip(self.places, values[1:], strict=True):
            self._add(found, place, (value - values[0]) / FAR)
        made = self.rows.summed(constant), found
        if not self.bound.piece.atoms:
            self.known.append(made)
        return made

    def _values(self, theta: Theta, v: Array, data: PieceData) -> Array:
        """The log-density `(*cells, points, *elements, rows)`, 0 where the piece does not apply."""
        values = np.broadcast_to(self.density(theta, v, data), (*data.cells, data.rows))
        if data.impossible is not None:
            values = np.where(data.impossible, LOG_ZERO, values)
        if data.row_mask is not None:
            values = np.where(data.row_mask, values, 0.0)
        if data.outside is not None:
            values = np.where(data.outside[..., None], 0.0, values)
        return np.maximum(values, LOG_ZERO)

    def _add(self, found: Array, place: NDArray[np.intp], coefficient: Array) -> None:
        """Adds coefficients `(*cells, *elements, rows)` to those of their shares and units."""
        if self.rows.weights is not None:
            coefficient = np.where(self.rows.weights > 0, coefficient, 0.0) * self.rows.weights
        shares, units = len(found), found.shape[-1]
        cells = int(np.prod(self.hidden))
        cell = np.arange(cells).reshape(*self.hidden, *(1,) * (coefficient.ndim - len(self.hidden)))
        unit = np.arange(units) if self.rows.unit is None else self.rows.unit
        flat = np.broadcast_to((place * cells + cell) * units + unit, coefficient.shape)
        total = np.bincount(flat.ravel(), weights=coefficient.ravel(), minlength=shares * cells * units)
        found += total.reshape(found.shape)

    # --- M-step -------------------------------------------------------------------------------------------------------

    def statistics(self, values: Array, weights: Array) -> PointWeights:
        """The posterior for the M-step: points `(shares, *cells, points, units)` and weights `(*cells, points,
        units)`.
        """
        points = {reference: self._chosen(place, values) for reference, place in self.places}
        data = self.binder.at(self.bound, points)
        by_row = self.rows.spread(weights)
        if self.rows.weights is not None:
            by_row = by_row * self.rows.weights
        return PointWeights(np.broadcast_to(by_row, (*data.hidden, data.rows)), data)

    def _chosen(self, place: NDArray[np.intp], values: Array) -> Named:
        """The value of a reference, `(*cells, points, *elements, rows)`, from those of all shares."""
        axes = self.bound.axes
        cells, elements = len(self.hidden), len(axes.elements)
        points, units = values.shape[-2:]
        unit = np.arange(units) if self.rows.unit is None else self.rows.unit
        index: list[NDArray[np.intp]] = [np.expand_dims(place, cells)]
        for k, size in enumerate((*self.hidden, points)):
            index.append(np.arange(size).reshape(*(1,) * k, size, *(1,) * (cells - k + elements + 1)))
        index.append(unit)
        return Named((*axes.hidden, *axes.elements, ROW), values[tuple(index)])

    @property
    def is_pooled(self) -> bool:
        """Whether the sums over units of weights and logarithms are all that the M-step takes: nothing else in the
        piece, and no choice of its parameters or shares, varies by unit.
        """
        data, piece = self.bound.data, self.bound.piece
        chosen = any(place is None for place in data.addresses)
        other = any(known.by_row and not isinstance(known.value, VariableRef) for known in piece.knowns)
        references = {reference for reference, _ in self.places}
        other = other or any(known.by_row and known.value not in references for known in piece.knowns)
        fixed = all(place.shape[-1] == 1 for _, place in self.places)
        return fixed and not chosen and not other and data.row_mask is None and self.rows.unit is None

    def pooled(self, values: Array, weights: Array) -> PointWeights:
        """`statistics` of one made-up unit, its points as rows: `values` `(shares, *cells, points, 1)`, `weights`
        `(*cells, points, 1)`.
        """
        cells = len(self.hidden)
        points = {}
        for reference, place in self.places:
            chosen = self._chosen(place, values)
            array = np.expand_dims(np.moveaxis(chosen.array[..., 0], cells, -1), cells)
            points[reference] = Named(chosen.axes, array)
        data = self.binder.at_columns(self.bound, points, self.hidden, values.shape[-2])
        return PointWeights(np.swapaxes(weights, -1, -2), data)


def share_piece(
    item: BoundPiece, binder: PieceBinder, density: Callable[..., Array], sites: tuple[Site, ...],
    hidden: tuple[int, ...], rows: Rows,
) -> SharePiece:  # fmt: skip
    """A piece with the places of its references among the shares `sites` of a unit."""
    evaluator = Evaluator(binder.model, binder.bound, level=item.level)
    names = (*(axis for axis in item.axes.hidden if axis != POINT), *item.axes.elements, ROW)
    places = []
    for reference in dict.fromkeys(continuous_latents(item.piece.knowns, binder.model)):
        sizes = [len(binder.bound.indexes[axis]) for axis in binder.model.variable(reference.name).axes]
        place = np.zeros((1,) * len(names), dtype=np.intp)
        for index, size in zip(reference.indices, sizes, strict=True):
            code = np.asarray(evaluator.code(index).aligned(names), dtype=np.intp)
            place = place * size + np.clip(code, 0, size - 1)  # a cell that is missing does not count
        places.append((reference, place))
    return SharePiece(item.piece.name, item, binder, density, sites, hidden, rows, tuple(places))
