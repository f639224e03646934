"""How many units and rows there are, counted by their weights."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdsl.data.bound import Bound
from emdsl.ir.model import CELLS, EMPTY, Model


def weighted_units(bound: Bound) -> float:
    """The number of outermost units, counted by their weights."""
    if len(bound.levels) < 2:
        return 0.0
    level = bound.levels[1]
    weights = bound.weights.get(level.plate or "")
    return float(level.size if weights is None else weights.sum())


def weights_between(bound: Bound, outer: int, inner: int) -> NDArray[np.float64] | None:
    """`(units of inner,)`: the weight of each unit of level `inner` within its unit of level `outer`, the product over
    the plates between them; None where all count once.
    """
    total: NDArray[np.float64] | None = None
    for number in range(outer + 1, inner + 1):
        plate = bound.levels[number].plate
        if total is not None:
            total = total[bound.levels[number].parent]
        own = bound.weights.get(plate) if plate is not None else None
        if own is not None:
            total = own if total is None else total * own
    return total


def unit_weights(bound: Bound, level: int) -> NDArray[np.float64]:
    """`(units,)`: how often each unit of a level counts, by the weights of all plates around it and its own."""
    weights = weights_between(bound, 0, level)
    return np.ones(bound.levels[level].size) if weights is None else weights


def weighted_rows(model: Model, bound: Bound) -> float:
    """The number of rows with an observed cell, counted by all weights around them. The columns that a plate runs over
    are of one row."""
    across = {plate.name for plate in model.plates if plate.over is not None}
    row_level = max(k for k, level in enumerate(bound.levels) if level.plate not in across)
    weights = unit_weights(bound, row_level)
    seen: Any = np.zeros(len(weights), dtype=bool)
    for variable in model.variables:
        if not (variable.kind == "observed" or variable.cut) or variable.name not in bound.values:
            continue
        values = bound.values[variable.name]
        present: Any = ~values.unseen
        if variable.cut is not None:  # a bound is an observation too
            present = np.asarray(values.array) != CELLS.index(EMPTY)
        present = present.reshape(-1, present.shape[-1]).any(axis=0)
        level = bound.level_of(variable.plate)
        for number in range(level, row_level, -1):
            present = np.bincount(bound.levels[number].parent[present], minlength=bound.levels[number - 1].size) > 0
        place = np.arange(len(weights))
        for number in range(row_level, level, -1):
            place = bound.levels[number].parent[place]
        seen = seen | present[place]
    return float(weights[seen].sum())
