"""Units that show the same, counted: repeated rows of few-level data become one weighted row each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdsl.data.bound import Bound, Level, Values
from emdsl.ir.model import Model

Codes = NDArray[np.intp]

#: Fewer units are not worth counting.
FEWEST_UNITS = 2_000
#: Units are merged if at most this share of them is distinct; if more than `HOPELESS` of `SAMPLE` units spread over the
#: data are, the rest is not looked at.
WORTH_SHARE = 0.5
HOPELESS = 0.9
SAMPLE = 20_000


def merged_units(model: Model, bound: Bound) -> Bound:
    """The same data with equal units of the only plate counted, or `bound` itself where that does not pay.

    The units of a chain are not exchangeable, and those of several plates are left as they are. Weights that are not
    whole numbers are no counts: rows that bear them stay apart.
    """
    if len(bound.levels) != 2 or bound.levels[1].size < FEWEST_UNITS:
        return bound
    plate = bound.levels[1].plate
    ordered = any(item.name == plate and item.ordered for item in model.plates)
    weights = bound.weights.get(plate or "")
    if plate is None or ordered or (weights is not None and bool((weights != np.round(weights)).any())):
        return bound
    own = {name: item for name, item in bound.values.items() if model.variable(name).plate == plate}
    columns = list(_columns({name: item for name, item in own.items() if model.variable(name).kind != "weight"}))
    step = max(1, bound.levels[1].size // SAMPLE)
    sample = [column[::step] for column in columns]
    if not columns or _distinct(sample, int(HOPELESS * len(sample[0]))) is None:
        return bound
    found = _distinct(columns, int(WORTH_SHARE * bound.levels[1].size))
    return bound if found is None else _counted(bound, plate, own, *found)


def _columns(values: dict[str, Values]) -> Iterator[NDArray[Any]]:
    for item in values.values():
        yield from np.asarray(item.array).reshape(-1, item.array.shape[-1])


def _distinct(columns: list[NDArray[Any]], most: int) -> tuple[Codes, Codes] | None:
    """The first unit of each distinct kind, in order, and the kind of each unit; None where there are more than
    `most`.
    """
    kind: Codes = np.zeros(len(columns[0]), dtype=np.intp)
    size = 1
    for column in columns:
        if np.issubdtype(column.dtype, np.floating):
            values, code = np.unique(column, return_inverse=True)
            width = len(values)
        else:
            low = int(column.min())
            code, width = column - low, int(column.max()) - low + 1
        if width > most:
            return None
        kind = kind * width + code.ravel()
        size *= width
        if size > 4 * len(kind):
            values, kind = np.unique(kind, return_inverse=True)
            size = len(values)
            if size > most:
                return None
    _, first, kind = np.unique(kind, return_index=True, return_inverse=True)
    if len(first) > most:
        return None
    order = np.argsort(first)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    return first[order], place[kind.ravel()]


def _counted(bound: Bound, plate: str, own: dict[str, Values], first: Codes, kind: Codes) -> Bound:
    counts = np.bincount(kind, weights=bound.weights.get(plate), minlength=len(first)).astype(np.float64)
    level = Level(plate, len(first), np.zeros(len(first), dtype=np.intp), np.array([0, len(first)], dtype=np.intp))
    kept = {name: replace(item, array=item.array[..., first]) for name, item in own.items()}
    return replace(
        bound,
        levels=(bound.levels[0], level),
        values={**bound.values, **kept},
        weights={**bound.weights, plate: counts},
        order=bound.order[first],
    )
