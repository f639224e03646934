"""Parameters to cells and back: gathering elements for each cell, summing cells into elements."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emdsl.runtime.problem import Array


@dataclass(frozen=True)
class Address:
    """Where each cell of an array finds its parameter element.

    `shape` is the parameter's; `axes` are the positions of the cell axes (of `cells`) that the element depends on. If
    `permutation` is given, every index is a whole axis by itself: parameter axis k is cell axis `permutation[k]`.
    Otherwise `flat`, over the cell axes in `axes`, holds positions in the flattened parameter.
    """

    parameter: str
    shape: tuple[int, ...]
    cells: tuple[int, ...]
    axes: tuple[int, ...]
    flat: NDArray[np.intp]
    permutation: tuple[int, ...] | None
    summed: tuple[int, ...]

    def gather(self, parameter: Array) -> Array:
        """The element for each cell, as an array that broadcasts to `cells`."""
        if self.permutation is not None:
            order = sorted(range(len(self.permutation)), key=self.permutation.__getitem__)
            values = parameter.transpose(order)
        else:
            values = parameter.ravel()[self.flat]
        shape = [self.cells[k] if k in self.axes else 1 for k in range(len(self.cells))]
        return values.reshape(shape)

    def scatter(self, values: Array) -> Array:
        """Sums of `values` (broadcast to `cells`) over the cells of each element: an array of the parameter's shape."""
        if values.shape != self.cells:
            values = np.broadcast_to(values, self.cells)
        total = values.sum(axis=self.summed) if self.summed else values
        if self.permutation is not None:
            position = [self.axes.index(axis) for axis in self.permutation]
            return total.transpose(position)
        size = int(np.prod(self.shape))
        sums = np.bincount(self.flat.ravel(), weights=total.ravel(), minlength=size)
        return np.asarray(sums, dtype=np.float64).reshape(self.shape)


def address(
    parameter: str,
    shape: tuple[int, ...],
    cells: tuple[int, ...],
    axes: tuple[int, ...],
    flat: NDArray[np.intp],
) -> Address:
    """An `Address` from the flat positions over the cell axes `axes`; a plain permutation of axes is recognised."""
    permutation: tuple[int, ...] | None = None
    if len(axes) == len(shape) and flat.size == int(np.prod(shape)):
        permutation = _permutation(shape, axes, flat)
    summed = tuple(k for k in range(len(cells)) if k not in axes)
    return Address(parameter, shape, cells, axes, flat, permutation, summed)


def _permutation(shape: tuple[int, ...], axes: tuple[int, ...], flat: NDArray[np.intp]) -> tuple[int, ...] | None:
    if not shape:
        return ()
    positions = np.unravel_index(flat, shape)
    found: list[int] = []
    for k, codes in enumerate(positions):
        for place, axis in enumerate(axes):
            line = np.arange(flat.shape[place]).reshape([-1 if p == place else 1 for p in range(flat.ndim)])
            if (
                flat.shape[place] == shape[k]
                and axis not in found
                and np.array_equal(codes, np.broadcast_to(line, flat.shape))
            ):
                found.append(axis)
                break
        else:
            return None
    return tuple(found)
