"""Laws that look at open cells, in the units where some of them are hidden: the others are known there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdsl.ir.expressions import VariableRef
from emdsl.ir.open_cells import mask_name
from emdsl.plan.binding import PieceBinder
from emdsl.plan.cell_limits import Key
from emdsl.plan.evaluation import Evaluator, lagged
from emdsl.plan.latent_pieces import LatentPiece, Rows, VectorPiece, by_stencil
from emdsl.plan.named import ROW
from emdsl.runtime.integrals.gaussian import LOG_2PI, sigma_points
from emdsl.runtime.integrals.quadratic import Quadratic
from emdsl.runtime.problem import Array, Theta

Codes = NDArray[np.intp]
#: The place of a number that is known.
KNOWN = -1


@dataclass(frozen=True)
class Cells:
    """The numbers that a piece looks at, row by row. `place` `(slots, rows)` is where each stands among the numbers
    that the piece is evaluated at, KNOWN where it is no hidden one; `known` `(slots, rows)` its value there.
    """

    place: Codes
    known: Array

    def filled(self, values: Array) -> Array:
        """`values` `(numbers, *cells, points, rows)` as the piece sees them, `(slots, *cells, points, rows)`."""
        out = np.empty((len(self.place), *values.shape[1:]))
        for slot, (place, known) in enumerate(zip(self.place, self.known, strict=True)):
            out[slot] = known
            for number in np.unique(place[place != KNOWN]):
                here = place == number
                if here.all():
                    out[slot] = values[number]
                else:
                    out[slot][..., here] = values[number][..., here]
        return out


@dataclass(frozen=True)
class OpenPiece(LatentPiece):
    """A piece by row that looks at open cells."""

    cells: Cells

    def at(self, values: Array) -> Any:
        """The piece's data with the hidden numbers, and those that are known, in place."""
        return super().at(self.cells.filled(values))


@dataclass(frozen=True)
class OpenVector(VectorPiece):
    """The normal law of a vector some of whose numbers are hidden."""

    cells: Cells

    def log_density(self, theta: Theta, v: Array, values: Array) -> Array:
        """`(*cells, points, rows)`, 0 where the piece does not count."""
        found = super().log_density(theta, v, self.cells.filled(values))
        mask = self.bound.data.row_mask
        return found if mask is None else np.where(mask, found, 0.0)

    def quadratic(self, theta: Theta, v: Array, centre: Array, spread: Array) -> Quadratic:
        """By its values: only some of the numbers are free in each row."""
        return by_stencil(self, theta, v, centre, spread)

    def posterior(self, mean: Array, covariance: Array, weights: Array, *, by_row: bool = True) -> Array:
        """Expected monomials `(*cells, monomials)` of the whole vector."""
        points = sigma_points(mean, covariance)
        share = np.broadcast_to(weights[..., None, :] / points.shape[-2], points.shape[1:])
        return self.statistics(points, share)

    def statistics(self, values: Array, weights: Array) -> Array:
        """Expected monomials `(*cells, monomials)`."""
        filled = self.cells.filled(self.rows.spread(values))
        by_row = self.rows.spread(weights)
        if self.bound.data.row_mask is not None:
            by_row = by_row * self.bound.data.row_mask
        alone = replace(self.rows, unit=None)
        plain = VectorPiece(self.name, self.bound, self.gaussian, self.sites, self.hidden, alone, self.offsets)
        return plain.statistics(filled, by_row)


@dataclass(frozen=True)
class StandIn:
    """Standard normal laws of the numbers that are known, whose hidden values nothing looks at: so that every unit has
    the same numbers. Their integral is 1.

    `known` `(sites, units)`.
    """

    sites: tuple[Any, ...]
    rows: Rows
    known: NDArray[np.bool_]
    name: str = "known cells"

    @property
    def bound(self) -> Any:
        """It belongs to no piece."""
        raise AssertionError("known cells have no piece")

    def summed(self, theta: Theta, v: Array, values: Array) -> Array:
        """`(*cells, points, units)` at `(sites, *cells, points, units)`."""
        known = self.known.reshape(len(self.known), *(1,) * (values.ndim - 2), -1)
        return np.asarray((known * (-0.5 * values**2 - 0.5 * LOG_2PI)).sum(axis=0))

    def quadratic(self, theta: Theta, v: Array, centre: Array, spread: Array) -> Quadratic:
        """Exactly."""
        known = self.known.reshape(len(self.known), *(1,) * (centre.ndim - 2), -1)
        full = np.broadcast_to(known, centre.shape)
        bend = np.zeros((len(centre), *centre.shape))
        for site in range(len(centre)):
            bend[site, site] = -full[site].astype(float)
        return Quadratic((known * (-0.5 * centre**2 - 0.5 * LOG_2PI)).sum(axis=0), -centre * full, bend)

    def posterior(self, mean: Array, covariance: Array, weights: Array, *, by_row: bool) -> None:
        """The M-step takes nothing of them."""

    def statistics(self, values: Array, weights: Array) -> None:
        """The M-step takes nothing of them."""


def with_cells(piece: Any, binder: PieceBinder, ranks: Mapping[Key, Codes] | None) -> Any:
    """The piece where it looks at open cells. `ranks`: the place of each number among those of its unit `(units,)` of
    the plate of the hidden numbers, KNOWN where it is none (None: the places are the piece's own slots).
    """
    model = binder.model
    if ranks is None and not any(model.variable(site[0]).cell_of for site in piece.sites):
        return piece
    cells = _cells(piece, binder, ranks)
    if isinstance(piece, VectorPiece):
        return OpenVector(
            piece.name, piece.bound, piece.gaussian, piece.sites, piece.hidden, piece.rows, piece.offsets, cells
        )  # fmt: skip
    return OpenPiece(
        piece.name, piece.bound, piece.binder, piece.density, piece.sites, piece.hidden, piece.rows, cells
    )  # fmt: skip


def _cells(piece: Any, binder: PieceBinder, ranks: Mapping[Key, Codes] | None) -> Cells:
    model, bound, level = binder.model, binder.bound, piece.bound.level
    rows = bound.levels[level].size
    evaluator = Evaluator(model, bound, level=level)
    place = np.empty((len(piece.sites), rows), dtype=np.intp)
    known = np.zeros((len(piece.sites), rows))
    for slot, (name, element, lag) in enumerate(piece.sites):
        variable = model.variable(name)
        if ranks is None:
            place[slot] = slot
        else:
            own: Any = ranks[name, element].astype(np.float64)
            if lag:
                own = lagged(own, VariableRef(name, (), lag), model, bound)
            place[slot] = np.nan_to_num(evaluator._repeated(own, variable.plate), nan=float(KNOWN))
        if variable.cell_of:
            hidden = _of(mask_name(variable.cell_of), element, lag, evaluator)
            place[slot] = np.where(np.nan_to_num(hidden, nan=0.0) != 0, place[slot], KNOWN)
            known[slot] = np.nan_to_num(_of(variable.cell_of, element, lag, evaluator), nan=0.0)
    return Cells(place, known)


def _of(name: str, element: tuple[int, ...], lag: int, evaluator: Evaluator) -> Array:
    """The values of one element by row."""
    value = evaluator.value(VariableRef(name, (), lag))
    assert value.axes[-1] == ROW
    return np.asarray(value.array[element])


def stand_in(
    sites: Sequence[Any], known: NDArray[np.bool_], rows: Rows, *, whole: bool = False
) -> StandIn | None:  # fmt: skip
    """Laws for the numbers that are known somewhere; None where none is. `whole`: it is evaluated at all numbers."""
    somewhere = known.any(axis=1)
    if not somewhere.any():
        return None
    if whole:
        return StandIn(tuple(sites), rows, known)
    chosen = tuple(sites[place] for place in np.flatnonzero(somewhere).tolist())
    return StandIn(chosen, rows, known[somewhere])
