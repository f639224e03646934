"""How many units and rows there are, counted by their weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from emdsl.data.bound import Bound
from emdsl.ir.model import CELLS, EMPTY, Model


def weighted_units(bound: Bound) -> float:
    """The number of outermost units, counted by their weights."""
    if len(bound.levels) < 2:
        return 0.0
    level = bound.levels[1]
    weights = bound.weights.get(level.plate or "")
    return float(level.size if weights is None else weights.sum())


def weighted_rows(model: Model, bound: Bound) -> float:
    """The number of rows with an observed cell, counted by all weights around them. The columns that a plate runs over
    are of one row."""
    across = {plate.name for plate in model.plates if plate.over is not None}
    row_level = max(k for k, level in enumerate(bound.levels) if level.plate not in across)
    weights = np.ones(bound.levels[row_level].size)
    parent = np.arange(len(weights))
    for number in range(row_level, 0, -1):
        own = bound.weights.get(bound.levels[number].plate or "")
        if own is not None:
            weights = weights * own[parent]
        parent = bound.levels[number].parent[parent]
    seen: Any = np.zeros(len(weights), dtype=bool)
    for variable in model.variables:
        if not (variable.kind == "observed" or variable.cut) or variable.name not in bound.values:
            continue
        values = bound.values[variable.name]
        present: Any = ~values.unseen
        if variable.cut is not None:  # a bound is an observation too
            present = np.asarray(values.array) != CELLS.index(EMPTY)
        present = present.reshape(-1, present.shape[-1]).any(axis=0)
        level = next(k for k, item in enumerate(bound.levels) if item.plate == variable.plate)
        for number in range(level, row_level, -1):
            present = np.bincount(bound.levels[number].parent[present], minlength=bound.levels[number - 1].size) > 0
        place = np.arange(len(weights))
        for number in range(row_level, level, -1):
            place = bound.levels[number].parent[place]
        seen = seen | present[place]
    return float(weights[seen].sum())
