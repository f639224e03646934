"""Some units of bound data by themselves: data like any other, with all that lies inside these units."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from emdsl.data.bound import Bound, Level, Share
from emdsl.ir.model import Model

Codes = NDArray[np.intp]


def share_of(model: Model, bound: Bound, share: Share) -> Bound:
    """The data of a share. Levels outside of it stay as they are, but for the units around stretches of chains, in
    whose place stand the stretches.
    """
    levels = list(bound.levels)
    own = bound.levels[share.level]
    if share.starts is None:
        above = bound.levels[share.level - 1].size if share.level else 1
        parent = own.parent[share.units]
        levels[share.level] = Level(own.plate, len(share.units), parent, _offsets(parent, above))
    else:
        _stretches(levels, share, own, share.starts)
    kept = units_of_share(bound, share)
    for number in range(share.level + 1, len(levels)):
        inner = bound.levels[number]
        counts = np.diff(inner.starts)[kept[number - 1]]
        starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.intp)
        levels[number] = Level(inner.plate, int(starts[-1]), np.repeat(np.arange(len(counts)), counts), starts)
    return _restricted(model, bound, tuple(levels), kept)


def units_of_share(bound: Bound, share: Share) -> dict[int, Codes]:
    """The units of each level that a share changes, in its order."""
    kept = {share.level: share.units}
    if share.starts is not None:
        kept[share.level - 1] = share.owner
    for number in range(share.level + 1, len(bound.levels)):
        inner = bound.levels[number]
        units = kept[number - 1]
        counts = np.diff(inner.starts)[units]
        begin = np.cumsum(counts) - counts
        kept[number] = np.repeat(inner.starts[units] - begin, counts) + np.arange(int(counts.sum()))
    return kept


def _stretches(levels: list[Level], share: Share, own: Level, starts: Codes) -> None:
    count = len(starts) - 1
    outer = levels[share.level - 1]
    above = levels[share.level - 2].size if share.level > 1 else 1
    parent = outer.parent[share.owner]
    levels[share.level - 1] = Level(outer.plate, count, parent, _offsets(parent, above))
    first = share.units[starts[:-1]]
    before = first - own.starts[share.owner]
    stretch = np.repeat(np.arange(count), np.diff(starts))
    levels[share.level] = Level(own.plate, len(share.units), stretch, starts, before)


def _offsets(parent: Codes, above: int) -> Codes:
    return np.searchsorted(parent, np.arange(above + 1)).astype(np.intp)


def _restricted(model: Model, bound: Bound, levels: tuple[Level, ...], kept: dict[int, Codes]) -> Bound:
    place = {level.plate: number for number, level in enumerate(levels)}
    values = dict(bound.values)
    for variable in model.variables:
        units = kept.get(place[variable.plate]) if variable.name in values else None
        if units is not None:
            item = values[variable.name]
            values[variable.name] = replace(item, array=item.array[..., units])
    weights = {
        plate: array if place[plate] not in kept else array[kept[place[plate]]]
        for plate, array in bound.weights.items()
    }
    last = max(kept)
    whole = len(bound.order) == bound.levels[last].size
    order = bound.order[kept[last]] if whole else bound.order
    return replace(bound, levels=levels, values=values, weights=weights, order=order, shares={})
