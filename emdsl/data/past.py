"""The data as they stood at each moment of their chains: what came later is left out, as if it had never been.

A moment is a place in a chain; where chains lie within the units of another chain, a place in that one and then in
them. Of several chains each is known up to the same place, so that what they share is known from all of them up to
then.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdsl.data.bound import Bound, Level, rows_level
from emdsl.ir.model import CELLS, EMPTY, Model, Variable

Codes = NDArray[np.intp]


@dataclass(frozen=True)
class Past:
    """The data up to a moment. By level: `kept`, the units of the whole data that are there, and `now`, the places
    among them of the units of this moment (none on the levels around the chain)."""

    bound: Bound
    kept: tuple[Codes, ...]
    now: tuple[Codes, ...]


def chain_level(model: Model, bound: Bound) -> int | None:
    """The innermost level whose units are chains; None where there is none."""
    ordered = {plate.name for plate in model.plates if plate.ordered}
    return max((number for number, level in enumerate(bound.levels) if level.plate in ordered), default=None)


def pasts(model: Model, bound: Bound) -> Iterator[Past]:
    """The data up to each moment, the first one first."""
    inner = chain_level(model, bound)
    if inner is None:
        return
    moments = _moments(model, bound, inner)
    for moment in range(int(moments.max(initial=-1)) + 1):
        yield _until(model, bound, inner, moments, moment)


def _moments(model: Model, bound: Bound, inner: int) -> Codes:
    """The number of the moment of each unit of the innermost chain."""
    ordered = {plate.name for plate in model.plates if plate.ordered}
    unit = np.arange(bound.levels[inner].size)
    places = []
    for number in range(inner, 0, -1):
        level = bound.levels[number]
        if level.plate in ordered:
            places.append(unit - level.starts[level.parent[unit]])
        unit = level.parent[unit]
    keys = np.stack(places[::-1], axis=-1)
    return np.unique(keys, axis=0, return_inverse=True)[1].reshape(-1)


def _until(model: Model, bound: Bound, inner: int, moments: Codes, moment: int) -> Past:
    across = {plate.name for plate in model.plates if plate.over is not None}
    if bound.levels[inner].plate in across:
        return _emptied(model, bound, inner, moments, moment)
    kept: list[Codes] = [np.zeros(0, dtype=np.intp)] * len(bound.levels)
    now: list[Codes] = [np.zeros(0, dtype=np.intp)] * len(bound.levels)
    inside = moments <= moment
    kept[inner], current = np.flatnonzero(inside), moments == moment
    now[inner] = np.flatnonzero(current[kept[inner]])
    for number in range(inner - 1, -1, -1):
        kept[number] = np.unique(bound.levels[number + 1].parent[kept[number + 1]])
    for number in range(inner + 1, len(bound.levels)):
        parent = bound.levels[number].parent
        inside, current = inside[parent], current[parent]
        kept[number] = np.flatnonzero(inside)
        now[number] = np.flatnonzero(current[kept[number]])
    levels = tuple(_level(level, number, kept) for number, level in enumerate(bound.levels))
    place = {level.plate: number for number, level in enumerate(bound.levels)}
    plates = {variable.name: variable.plate for variable in model.variables}
    values = {
        name: replace(item, array=item.array[..., kept[place[plates[name]]]]) for name, item in bound.values.items()
    }
    rows = rows_level(model, bound)
    order = bound.order[kept[rows]]
    part = replace(
        bound, levels=levels, values=values, rows=len(order), order=order,
        weights={plate: weight[kept[place[plate]]] for plate, weight in bound.weights.items()},
        units={plate: names[kept[place[plate]]] for plate, names in bound.units.items()},
    )  # fmt: skip
    return Past(part, tuple(kept), tuple(now))


def _emptied(model: Model, bound: Bound, inner: int, moments: Codes, moment: int) -> Past:
    """Units that are columns of the table stay, and nothing is seen in those that come later."""
    later, current = moments > moment, moments == moment
    kept = tuple(np.arange(level.size) for level in bound.levels)
    now: list[Codes] = [np.zeros(0, dtype=np.intp)] * inner
    values = dict(bound.values)
    for number in range(inner, len(bound.levels)):
        if number > inner:
            parent = bound.levels[number].parent
            later, current = later[parent], current[parent]
        now.append(np.flatnonzero(current))
        for variable in model.variables:
            if variable.kind == "observed" and variable.plate == bound.levels[number].plate:
                item = values.get(variable.name)
                if item is not None:
                    values[variable.name] = replace(item, array=_blank(item.array, later, variable))
    return Past(replace(bound, values=values), kept, tuple(now))


def _blank(array: NDArray[Any], later: NDArray[np.bool_], variable: Variable) -> NDArray[Any]:
    empty: Any = np.nan if np.issubdtype(array.dtype, np.floating) else -1
    if variable.cut is not None:
        empty = CELLS.index(EMPTY)
    return np.where(later, empty, array)


def _level(level: Level, number: int, kept: list[Codes]) -> Level:
    if number == 0:
        return level
    above = np.searchsorted(kept[number - 1], level.parent[kept[number]])
    starts = np.searchsorted(above, np.arange(len(kept[number - 1]) + 1))
    return Level(level.plate, len(kept[number]), above.astype(np.intp), starts.astype(np.intp))
