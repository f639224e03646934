"""Arrays with named axes, and the axes that finite indices span."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: The axis of units (rows) of a plate; always last.
ROW = "row"
#: The axis of several starts that run at once; always first.
START = "start"
#: The axis of the points at which continuous hidden variables are evaluated (no name of a variable has an asterisk).
POINT = "point*"


@dataclass(frozen=True)
class Named:
    """An array and the names of its axes, in order. Axes: a latent variable (`z`, `z@1` for the unit before), a bound
    index (`item`), the code of a finite datum (`#x`), or `row`.
    """

    axes: tuple[str, ...]
    array: NDArray[Any]

    def aligned(self, axes: Sequence[str]) -> NDArray[Any]:
        """The array with exactly these axes in this order; axes that it lacks have length 1."""
        order = [self.axes.index(axis) for axis in axes if axis in self.axes]
        array = self.array.transpose(order) if order != list(range(len(order))) else self.array
        shape, position = [], 0
        for axis in axes:
            if axis in self.axes:
                shape.append(array.shape[position])
                position += 1
            else:
                shape.append(1)
        return array.reshape(shape)


def union(*groups: Sequence[str]) -> tuple[str, ...]:
    """All axes in order of first appearance, `start` first and `row` last."""
    seen = dict.fromkeys(axis for group in groups for axis in group if axis not in (ROW, START))
    row = (ROW,) if any(ROW in group for group in groups) else ()
    start = (START,) if any(START in group for group in groups) else ()
    return (*start, *seen, *row)


def combine(function: Any, *items: Named) -> Named:
    """An elementwise function of arrays with different axes."""
    axes = union(*(item.axes for item in items))
    return Named(axes, np.asarray(function(*(item.aligned(axes) for item in items))))
