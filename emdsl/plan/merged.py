"""Hidden values that have the same law: a fit that does not tell them apart."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np

from emdsl.plan.program import Program
from emdsl.runtime.problem import Array

#: Directions in the space of expected statistics that differ by less are one.
NO_DIFFERENCE = 1e-5
#: More values are not compared pair by pair.
MOST_VALUES = 64


def is_merged(program: Program, statistics: Mapping[str, Any]) -> bool:
    """Whether two values of some hidden variable have the same law: the expected statistics of all laws that look at
    it and at data are then the same for both, but for a factor."""
    rows: dict[str, list[Array]] = {}
    for name, item in program.pieces.items():
        found = statistics.get(name)
        if item.carrier not in ("affine", "coded", "rows") or not isinstance(found, np.ndarray):
            continue
        for place, axis in enumerate(item.axes.hidden):
            rows.setdefault(axis, []).append(_directions(np.moveaxis(found, place, 0)))
    return any(_has_two_of_one(np.concatenate(tables, axis=1)) for tables in rows.values())


def _directions(table: Array) -> Array:
    """Each row of a table `(values, ...)` as a vector of length 1, `(values, n)`."""
    flat = table.reshape(len(table), -1)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    return np.asarray(flat / np.where(length > 0, length, 1.0))


def _has_two_of_one(directions: Array) -> bool:
    if not 2 <= len(directions) <= MOST_VALUES or not np.isfinite(directions).all():
        return False
    pairs = combinations(directions, 2)
    return any(float(np.abs(one - other).max()) <= NO_DIFFERENCE for one, other in pairs)
