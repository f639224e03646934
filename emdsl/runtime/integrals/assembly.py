"""Gradient and Hessian of Q where continuous hidden variables enter a piece: at the points of their posterior."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdsl.runtime.assembly import Assembly, make_place
from emdsl.runtime.integrals.points import PointWeights
from emdsl.runtime.pieces import PieceData
from emdsl.runtime.problem import Array, Theta

_Formula = Callable[[Theta, Array, PieceData, Any], tuple[Any, ...]]


@dataclass(frozen=True)
class PointAssembly:
    """One piece's part of Q; its data come with the statistics. Fields as of `Assembly`."""

    data: PieceData
    names: tuple[tuple[str, ...], ...]
    formulas: tuple[_Formula, _Formula, _Formula]
    hessian_entries: tuple[tuple[int, int], ...]
    reduced: bool
    sign: int
    offsets: Mapping[str, int]

    def touches(self, parameters: set[str]) -> bool:
        """Whether some of these parameters occur in the piece."""
        return any(set(names) & parameters for names in self.names)

    def _at(self, statistics: PointWeights) -> Assembly:
        kept = statistics.assembled
        if self.formulas not in kept:
            data = statistics.data
            kept[self.formulas] = Assembly(
                data=data,
                names=self.names,
                formulas=self.formulas,
                hessian_entries=self.hessian_entries,
                places=tuple(make_place(data, i, self.offsets) for i in range(len(self.names))),
                reduced=self.reduced,
                sign=self.sign,
            )
        found: Assembly = kept[self.formulas]
        return found

    def value(self, theta: Theta, v: Array, statistics: PointWeights) -> float:
        """The piece's part of Q."""
        return self._at(statistics).value(theta, v, statistics.weights)

    def gradient(self, theta: Theta, v: Array, statistics: PointWeights, out: Array) -> None:
        """Adds the gradient in all parameters to `out`."""
        self._at(statistics).gradient(theta, v, statistics.weights, out)

    def hessian(
        self, theta: Theta, v: Array, statistics: PointWeights, local: NDArray[np.intp], out: Array,
        cache: dict[Any, Any],
    ) -> None:  # fmt: skip
        """Adds second derivatives to `out`. A start has one point, an E-step several: each number has its places."""
        places = cache.setdefault((self.data.name, "points", statistics.data.hidden), {})
        self._at(statistics).hessian(theta, v, statistics.weights, local, out, places)


def split_points(statistics: Mapping[str, Any], data: Mapping[str, PieceData]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Statistics as plain arrays, and the pieces' data with those at points in place."""
    plain = {name: item.weights if isinstance(item, PointWeights) else item for name, item in statistics.items()}
    at = {name: item.data for name, item in statistics.items() if isinstance(item, PointWeights)}
    return plain, {**data, **at}
