"""Sums over finite hidden variables whose probabilities are shares that are drawn, unit by unit: matrix products."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from emdsl.runtime.functions import LOG_ZERO
from emdsl.runtime.kernels import LOG_IMPOSSIBLE
from emdsl.runtime.problem import Array


@dataclass(frozen=True)
class DrawnShares:
    """The shares at the draws of each unit, `(units, draws, values)`, and the unit of each row, never decreasing."""

    values: Array
    unit: NDArray[np.intp]

    def runs(self, rows: slice) -> list[tuple[int, int, int]]:
        """The units of some rows, each with its first row among these and the end of its rows."""
        unit = self.unit[rows]
        begin = np.flatnonzero(np.diff(unit, prepend=-1))
        return [(int(unit[a]), int(a), int(b)) for a, b in zip(begin, [*begin[1:], len(unit)], strict=True)]


@dataclass
class DrawnSum:
    """What the reverse needs: probabilities of the table relative to the largest of each row, `(cells, values, rows)`,
    and their sums `(draws, cells, rows)`.
    """

    shares: DrawnShares
    rows: slice
    shape: tuple[int, ...]
    inner: Array
    total: Array = field(repr=False)


def drawn_log_sum_exp(table: Array, axis: int, shares: DrawnShares, rows: slice) -> tuple[Array, DrawnSum]:
    """`log sum over values of share*exp(table)` at every draw: `table` `(*cells, rows)` with the values on one axis;
    returns `(draws, *cells without it, rows)`.
    """
    moved = np.moveaxis(table, axis, -2)
    shape = moved.shape
    flat = moved.reshape(-1, *shape[-2:])
    top = flat.max(axis=-2, keepdims=True)
    top = np.where(top <= LOG_IMPOSSIBLE, 0.0, top)
    inner = np.exp(flat - top)
    draws = shares.values.shape[1]
    total = np.empty((draws, len(flat), shape[-1]))
    for unit, begin, end in shares.runs(rows):
        for cell in range(len(flat)):
            np.matmul(shares.values[unit], inner[cell, :, begin:end], out=total[:, cell, begin:end])
    with np.errstate(divide="ignore"):
        value = np.log(total)
    value += top[None, :, 0, :]
    np.maximum(value, LOG_ZERO, out=value)
    return value.reshape(draws, *shape[:-2], shape[-1]), DrawnSum(shares, rows, shape, inner, total)


def drawn_log_sum_exp_reverse(found: DrawnSum, axis: int, adjoint: Array) -> Array:
    """The adjoint of the table."""
    ratio = np.divide(adjoint.reshape(found.total.shape), found.total, out=np.zeros_like(found.total),
                      where=found.total > 0)  # fmt: skip
    back = np.empty_like(found.inner)
    for unit, begin, end in found.shares.runs(found.rows):
        for cell in range(len(back)):
            np.matmul(found.shares.values[unit].T, ratio[:, cell, begin:end], out=back[cell, :, begin:end])
    back *= found.inner
    return np.ascontiguousarray(np.moveaxis(back.reshape(found.shape), -2, axis))
