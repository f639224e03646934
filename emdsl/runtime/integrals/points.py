"""The posterior of the continuous hidden variables that a piece looks at, as the M-step takes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from emdsl.runtime.pieces import PieceData
from emdsl.runtime.problem import Array


@dataclass(frozen=True)
class PointWeights:
    """Weights `(*hidden, rows)` of a piece by row, points being its last hidden axis, and its data at these points.

    `assembled` keeps the assemblies that are made of them on first use, by their formulas.
    """

    weights: Array
    data: PieceData
    assembled: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)
