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
from emdsl.plan.crossed import Place
from emdsl.plan.crossed_layout import Layout
from emdsl.plan.latent_pieces import LatentPiece, Rows, Site
from emdsl.plan.open_pieces import KNOWN, Cells, OpenPiece, StandIn, stand_in
from emdsl.runtime.problem import Array

Codes = NDArray[np.intp]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class UnitCells:
    """The hidden numbers of units, each in its own order: the place `ranks` of every number among them, by unit of the
    plate of its variable, their `kinds` and limits `(numbers, units)`, and which a unit has (`hidden`), if not all.
    `parents` are those of the units of each level.
    """

    ranks: Mapping[Key, Codes]
    kinds: tuple[str, ...]
    low: Array
    high: Array
    hidden: Flags
    parents: tuple[Codes, ...]


def cells_of_units(integral: Integral, model: Model, bound: Bound, home: int) -> UnitCells:
    """The hidden numbers of each unit of level `home`, or stretch of a chain, in its own order."""
    numbers = numbers_of(integral.latents, model, bound, home)
    count = bound.levels[home].size
    rank = np.arange(len(numbers.owner)) - np.searchsorted(numbers.owner, np.arange(count))[numbers.owner]
    sizes = {level.plate: level.size for level in bound.levels}
    ranks: dict[Key, Codes] = {}
    for number, (name, element) in enumerate(numbers.keys):
        own = np.full(sizes[model.variable(name).plate], KNOWN, dtype=np.intp)
        chosen = numbers.key == number
        own[numbers.unit[chosen]] = rank[chosen]
        ranks[name, element] = own
    size = int(rank.max()) + 1
    low, high = np.full((size, count), -np.inf), np.full((size, count), np.inf)
    low[rank, numbers.owner], high[rank, numbers.owner] = numbers.low, numbers.high
    hidden = np.zeros((size, count), dtype=bool)
    hidden[rank, numbers.owner] = True
    fullest = numbers.owner == int(np.argmax(hidden.sum(axis=0)))
    return UnitCells(
        ranks, tuple(str(kind) for kind in numbers.kind[fullest]), low, high, hidden,
        tuple(level.parent for level in bound.levels),
    )  # fmt: skip


def spare_numbers(cells: UnitCells) -> tuple[StandIn, ...]:
    """The same for units that have fewer hidden numbers than others."""
    size = cells.hidden.shape[-1]
    found = stand_in(range(len(cells.hidden)), ~cells.hidden, Rows(np.arange(size + 1), None, None), whole=True)
    return () if found is None else (found,)


def known_numbers(
    integral: Integral, order: Mapping[Site, int], model: Model, bound: Bound, rows: Rows
) -> tuple[StandIn, ...]:
    """The laws that stand for those numbers of units, or steps, that are known."""
    (plate,) = {model.variable(name).plate for name in integral.latents}
    level = bound.level_of(plate)
    known = _known(integral.latents, model, bound, level)
    sites = sorted(order, key=lambda site: order[site])
    rows = Rows(np.arange(bound.levels[level].size + 1), None, None, rows.whole)
    found = stand_in(sites, np.stack([known[name, element] for name, element, _ in sites]), rows)
    return () if found is None else (found,)


def _known(latents: tuple[str, ...], model: Model, bound: Bound, level: int) -> dict[Key, Flags]:
    """`(units,)` of each number: where it is known."""
    numbers = numbers_of(latents, model, bound, level)
    known = np.ones((len(numbers.keys), bound.levels[level].size), dtype=bool)
    known[numbers.key, numbers.unit] = False
    return dict(zip(numbers.keys, known, strict=True))


# --- across the whole data set ----------------------------------------------------------------------------------------


def known_anywhere(integral: Integral, layout: Layout, binder: PieceBinder) -> tuple[StandIn, ...]:
    """The same for hidden numbers of several plates, variable by variable."""
    found = []
    for name in integral.latents:
        if not binder.model.variable(name).cell_of:
            continue
        plate = binder.model.variable(name).plate
        level = binder.bound.level_of(plate)
        known = _known((name,), binder.model, binder.bound, level)
        size = binder.bound.levels[level].size
        sites = [
            Place(name, element, 0, layout.place(name, np.arange(size), number))
            for number, (_, element) in enumerate(known)
        ]
        rows = Rows(np.arange(size + 1), None, None, np.zeros(size, dtype=np.intp))
        found.append(stand_in(sites, np.stack(list(known.values())), rows))
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
