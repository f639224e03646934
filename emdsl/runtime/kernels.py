"""Array kernels of the E-step and their reverses: log-sum-exp, segment sums, look-ups of codes in tables.

Every array is `(*cells, rows)`, C-contiguous: the axes of hidden states first, the units of a plate last. Impossible
evidence is a factor of minus infinity, or of -1e300 where it was multiplied on its way (NumPy's `0 * inf` is NaN):
going forward it gives minus infinity, in reverse 0, and never NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emdsl.runtime.functions import LOG_ZERO
from emdsl.runtime.problem import Array

#: Log-densities at or below this are impossible: no sum of finite ones comes near it.
LOG_IMPOSSIBLE = -1e290


def eta_log(values: Array | float) -> Array:
    """Logarithm with -1e300 for 0, so that a count of 0 times the logarithm of a zero is 0.

    A negative value is a caller's error, and gives NaN with NumPy's warning.
    """
    array = np.asarray(values, dtype=np.float64)
    return np.log(array, out=np.full(array.shape, LOG_ZERO), where=array != 0.0)


#: Sums of exponentials between 1 / SAFE and SAFE have lost nothing to the range of floats.
SAFE = 1e250


@dataclass(frozen=True)
class Softmax:
    """What the reverse of a log-sum-exp needs: `weights` is `exp(table)` up to a factor for each sum, the shape of the
    table; `total` is its sum over `axes`, kept as axes of length 1 (1 where every cell is impossible)."""

    weights: Array
    total: Array
    axes: tuple[int, ...]


def log_sum_exp(table: Array, axes: Sequence[int]) -> tuple[Array, Softmax]:
    """`log sum exp(table)` over `axes`; the table may be overwritten.

    `table`: `(*cells, rows)`, any axes of which may be summed. Returns the array without these axes, minus infinity
    where every cell is impossible, and what `log_sum_exp_reverse` needs.
    """
    summed = tuple(sorted(axis % table.ndim for axis in axes))
    with np.errstate(all="ignore"):
        weights = np.exp(table)
    total = np.add.reduce(weights, axis=summed, keepdims=True)
    # Most log-densities are small enough for their exponentials; else the largest of each sum is taken out first.
    if total.size and total.min() > 1.0 / SAFE and total.max() < SAFE:
        return np.log(total).reshape(_without(table.shape, summed)), Softmax(weights, total, summed)
    peak = np.maximum.reduce(table, axis=summed, keepdims=True)
    peak[peak <= LOG_IMPOSSIBLE] = 0.0
    np.subtract(table, peak, out=table)
    np.exp(table, out=table)
    np.add.reduce(table, axis=summed, keepdims=True, out=total)
    with np.errstate(divide="ignore"):
        out = np.log(total)
    out += peak
    total[total == 0.0] = 1.0
    return out.reshape(_without(table.shape, summed)), Softmax(table, total, summed)


def _without(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size for axis, size in enumerate(shape) if axis not in axes)


def log_sum_exp_reverse(soft: Softmax, adjoint: Array) -> Array:
    """Adjoint of the table of `log_sum_exp`: `softmax * adjoint`, 0 where every cell is impossible.

    `adjoint` has the shape of the sum. The weights held by `soft` are overwritten and returned, so it serves once.
    """
    outer = adjoint.reshape(soft.total.shape)
    return np.multiply(soft.weights, outer / soft.total, out=soft.weights)


def segment_sum(array: Array, starts: NDArray[np.intp]) -> Array:
    """Sums over contiguous segments of the last axis.

    `array`: `(*cells, rows)`; `starts`: `(segments + 1,)` offsets, the last of which is `rows`. Returns `(*cells,
    segments)`, 0 for an empty segment (`np.add.reduceat` would give the element that follows).
    """
    if len(starts) == 2:
        return np.add.reduce(array, axis=-1, keepdims=True)
    lengths = np.diff(starts)
    out_shape = (*array.shape[:-1], len(lengths))
    if array.shape[-1] == 0:
        return np.zeros(out_shape)
    first = int(lengths[0])
    if len(lengths) * first == array.shape[-1] and bool((lengths == first).all()):
        if first == 1:
            return array.copy()
        sums: Array = array.reshape(*out_shape, first) @ np.ones(first)
        return sums
    filled = lengths > 0
    if filled.all():
        summed: Array = np.add.reduceat(array, starts[:-1], axis=-1)
        return summed
    out = np.zeros(out_shape)
    out[..., filled] = np.add.reduceat(array, starts[:-1][filled], axis=-1)
    return out


def segment_sum_reverse(adjoint: Array, starts: NDArray[np.intp]) -> Array:
    """Adjoint of the array of `segment_sum`: `adjoint` `(*cells, segments)` repeated for each row of its segment."""
    if len(starts) == 2:
        return np.broadcast_to(adjoint, (*adjoint.shape[:-1], int(starts[1] - starts[0])))
    lengths = np.diff(starts)
    if len(lengths) and bool((lengths == lengths[0]).all()):
        return np.repeat(adjoint, int(lengths[0]), axis=-1)
    return np.repeat(adjoint, lengths, axis=-1)


def take_log(table: Array, codes: NDArray[np.intp]) -> Array:
    """The log-factor of each row's code.

    `table` `(*cells, codes)` with `codes` `(rows,)`, or `table` `(*cells, elements, codes)` with `codes` `(elements,
    rows)`, which is summed over the elements. Returns `(*cells, rows)`. Codes must lie inside the table: they are not
    checked here.
    """
    if codes.ndim == 1:
        taken: Array = np.take(table, codes, axis=-1, mode="clip")
        return taken
    if not len(codes):
        return np.zeros((*table.shape[:-2], codes.shape[1]))
    # mode="clip" spares the buffer with which NumPy leaves `out` untouched after an error
    out: Array = np.take(table[..., 0, :], codes[0], axis=-1, mode="clip")
    scratch = np.empty_like(out)
    for element in range(1, len(codes)):
        np.take(table[..., element, :], codes[element], axis=-1, out=scratch, mode="clip")
        out += scratch
    return out


def take_log_reverse(adjoint: Array, codes: NDArray[np.intp], size: int) -> Array:
    """Adjoint of the table of `take_log`: expected counts of each code, `(*cells, size)` or `(*cells, elements,
    size)`.

    `adjoint`: `(*cells, rows)`; `codes` as given to `take_log`; `size`: how many codes the table holds.
    """
    cells = adjoint.shape[:-1]
    flat = adjoint.reshape(-1, adjoint.shape[-1])
    if codes.ndim == 1:
        return _counts(flat, codes, size).reshape(*cells, size)
    out = np.empty((len(flat), len(codes), size))
    for element in range(len(codes)):
        out[:, element] = _counts(flat, codes[element], size)
    return out.reshape(*cells, len(codes), size)


def _counts(weights: Array, codes: NDArray[np.intp], size: int) -> Array:
    """Sums of `weights` `(cells, rows)` by code: `(cells, size)`.

    A product with an indicator matrix beats `bincount` (1.8 ns an element) only where many cells share few codes.
    """
    if len(weights) >= 16 and size <= 16:
        indicator = np.zeros((len(codes), size))
        indicator.reshape(-1)[np.arange(len(codes)) * size + codes] = 1.0
        return weights @ indicator
    out = np.empty((len(weights), size))
    for cell in range(len(weights)):
        out[cell] = np.bincount(codes, weights=weights[cell], minlength=size)
    return out


def extend_codes(table: Array, sets: NDArray[np.bool_]) -> Array:
    """Appends to a table of log-probabilities one column for each set of codes that a coarse or missing cell allows.

    `table`: `(*cells, codes)`; `sets`: `(n_sets, codes)`. Returns `(*cells, codes + n_sets)`; the column of a set is
    the log of the sum of the probabilities of its codes, minus infinity where none is possible.
    """
    size = table.shape[-1]
    extended = np.empty((*table.shape[:-1], size + len(sets)))
    extended[..., :size] = table
    for column, allowed in enumerate(sets):
        extended[..., size + column] = log_sum_exp(table[..., allowed], (-1,))[0] if allowed.any() else -np.inf
    return extended


def extend_codes_reverse(extended: Array, sets: NDArray[np.bool_], adjoint: Array) -> Array:
    """Adjoint of the table of `extend_codes`, `(*cells, codes)`: what fell to a set is shared among its codes by
    their probability.

    `extended` is what `extend_codes` returned, `adjoint` has its shape.
    """
    size = sets.shape[1]
    out = adjoint[..., :size].copy()
    for column, allowed in enumerate(sets, start=size):
        total = extended[..., column, None]
        possible = total > LOG_IMPOSSIBLE
        share = np.exp(np.where(possible, extended[..., :size][..., allowed], -np.inf) - np.where(possible, total, 0.0))
        out[..., allowed] += share * adjoint[..., column, None]
    return out
