"""Hidden values that have the same law: a fit in which the data do not tell them apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from emdsl.plan.program import Program
from emdsl.runtime.problem import Array

#: What a second direction may have of the first, in the statistics of hidden values that the data do not tell apart.
NO_DIRECTION = 1e-5


def is_merged(program: Program, statistics: Mapping[str, Any]) -> bool:
    """Whether every unit has the same posterior of what is hidden: the expected statistics of all laws that look at it
    and at data are then the same for each hidden value, but for a factor."""
    found = [
        statistics[name].reshape(int(np.prod(item.data.hidden)), -1)
        for name, item in program.pieces.items()
        if item.axes.hidden and item.carrier in ("affine", "coded", "rows")
        and isinstance(statistics.get(name), np.ndarray)
    ]  # fmt: skip
    return bool(found) and all(_is_of_rank_one(table) for table in found)


def _is_of_rank_one(table: Array) -> bool:
    """Whether the rows of a table are multiples of each other."""
    if min(table.shape) < 2 or not np.isfinite(table).all():
        return False
    # The second singular value, from the smaller of the two Gram matrices.
    gram = table @ table.T if len(table) <= table.shape[1] else table.T @ table
    values = np.linalg.eigvalsh(gram)
    return bool(values[-2] <= NO_DIRECTION**2 * values[-1])
