"""Open cells among the hidden numbers of a unit, of a chain, of the whole data set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emdsl.data.bound import Bound
from emdsl.ir.derivation import Integral
from emdsl.ir.model import Model
from emdsl.ir.open_cells import mask_name
from emdsl.plan.binding import PieceBinder
from emdsl.plan.cell_limits import Key, numbers_of
from emdsl.plan.crossed import Layout, Place
from emdsl.plan.latent_pieces import LatentPiece, Rows, Site
from emdsl.plan.open_pieces import KNOWN, Cells, OpenPiece, StandIn, stand_in
from emdsl.runtime.problem import Array

Codes = NDArray[np.intp]


@dataclass(frozen=True)
class UnitCells:
    """As many hidden numbers in every unit: the place `ranks` of each number among them, by unit of the plate of the
    numbers, and their `kinds` and limits `(numbers, units)`.
    """

    ranks: Mapping[Key, Codes]
    kinds: tuple[str, ...]
    low: Array
    high: Array


def cells_of_units(integral: Integral, model: Model, bound: Bound) -> UnitCells:
    """The hidden numbers of each unit, or stretch of a chain, in its own order."""
    numbers = numbers_of(integral.latents, model, bound)
    (plate,) = {model.variable(name).plate for name in integral.latents}
    level = next(item for item in bound.levels if item.plate == plate)
    unit = level.parent if integral.lag else np.arange(level.size)
    count = int(unit[-1]) + 1
    hidden = numbers.hidden.T  # one unit, or step, after the other
    step, key = np.nonzero(hidden)
    owner = unit[step]
    first = np.searchsorted(owner, np.arange(count))
    rank = np.arange(len(owner)) - first[owner]
    ranks = np.full(numbers.hidden.shape, KNOWN, dtype=np.intp)
    ranks[key, step] = rank
    size = int(rank.max()) + 1
    low, high = np.empty((size, count)), np.empty((size, count))
    low[rank, owner], high[rank, owner] = numbers.low[key, step], numbers.high[key, step]
    kinds = numbers.kinds[key[:size], step[:size]]
    return UnitCells(dict(zip(numbers.keys, ranks, strict=True)), tuple(str(kind) for kind in kinds), low, high)


def known_numbers(
    integral: Integral, order: Mapping[Site, int], model: Model, bound: Bound, rows: Rows
) -> tuple[StandIn, ...]:
    """The laws that stand for those numbers of units, or steps, that are known."""
    numbers = numbers_of(integral.latents, model, bound)
    sites = sorted(order, key=lambda site: order[site])
    known = np.stack([~numbers.hidden[numbers.keys.index((name, element))] for name, element, _ in sites])
    size = known.shape[-1]
    alone = Rows(np.arange(size + 1), None, None, rows.whole)
    found = stand_in(sites, known, alone)
    return () if found is None else (found,)


# --- across the whole data set ----------------------------------------------------------------------------------------


def known_anywhere(integral: Integral, layout: Layout, binder: PieceBinder) -> tuple[StandIn, ...]:
    """The same for hidden numbers of several plates, variable by variable."""
    found = []
    for name in integral.latents:
        if not binder.model.variable(name).cell_of:
            continue
        numbers = numbers_of((name,), binder.model, binder.bound)
        size = numbers.hidden.shape[-1]
        sites = [
            Place(name, element, 0, layout.place(name, np.arange(size), number))
            for number, (_, element) in enumerate(numbers.keys)
        ]
        rows = Rows(np.arange(size + 1), None, None, np.zeros(size, dtype=np.intp))
        found.append(stand_in(sites, ~numbers.hidden, rows))
    return tuple(item for item in found if item is not None)


def with_cells_anywhere(piece: LatentPiece, layout: Layout, binder: PieceBinder) -> LatentPiece:
    """The piece where it looks at open cells, wherever in the data set they stand."""
    model, bound = binder.model, binder.bound
    names = {site.name for site in piece.sites if model.variable(site.name).cell_of}
    if not names:
        return piece
    size = layout.numbering.size
    hidden, known = np.ones(size, dtype=bool), np.zeros(size)
    for name in names:
        observed = model.variable(name).cell_of
        mask = np.asarray(bound.values[mask_name(observed)].array)
        value = np.asarray(bound.values[observed].array)
        units = mask.shape[-1]
        elements = np.arange(mask.size // units)[:, None]
        places = layout.place(name, np.arange(units), elements)
        hidden[places] = mask.reshape(-1, units) != 0
        known[places] = np.nan_to_num(value.reshape(-1, units), nan=0.0)
    at = [np.where(hidden[site.places], slot, KNOWN) for slot, site in enumerate(piece.sites)]
    cells = Cells(np.stack(at), np.stack([known[site.places] for site in piece.sites]))
    return OpenPiece(
        piece.name, piece.bound, piece.binder, piece.density, piece.sites, piece.hidden, piece.rows, cells
    )  # fmt: skip
