"""The line on which a number of an interval is unbounded: itself, a logarithm, or a logit.

Ends are numbers or `(*cells, units)`, either of them infinite; values along the line have an axis of points before the
last one, `(*cells, points, units)`.
"""

from __future__ import annotations

import numpy as np

from emdsl.runtime.functions import logistic
from emdsl.runtime.problem import Array


def interval_value(x: Array, low: Array, high: Array) -> Array:
    """A number on the line as one between `low` and `high`."""
    if _unbounded(low, high):
        return x
    below, above = _by_point(low), _by_point(high)
    with np.errstate(all="ignore"):
        inside = below + (above - below) * logistic(x)
        one_end = np.where(np.isfinite(below), below + np.exp(x), above - np.exp(x))
    ends = np.isfinite(below).astype(int) + np.isfinite(above)
    return np.asarray(np.where(ends == 2, inside, np.where(ends == 1, one_end, x)))


def interval_log_slope(x: Array, low: Array, high: Array) -> Array:
    """The logarithm of the derivative of `interval_value`."""
    if _unbounded(low, high):
        return np.zeros(x.shape)
    below, above = _by_point(low), _by_point(high)
    with np.errstate(all="ignore"):
        inside = np.log(above - below) - np.logaddexp(0.0, x) - np.logaddexp(0.0, -x)
    ends = np.isfinite(below).astype(int) + np.isfinite(above)
    return np.asarray(np.where(ends == 2, inside, np.where(ends == 1, x, 0.0)))


def interval_place(value: Array, low: Array, high: Array) -> Array:
    """Where numbers `(*cells, units)` inside of the interval stand on the line."""
    with np.errstate(all="ignore"):
        below, above = np.log(value - low), np.log(high - value)
        one_end = np.where(np.isfinite(low), below, above)
    ends = np.isfinite(low).astype(int) + np.isfinite(high)
    return np.asarray(np.where(ends == 2, below - above, np.where(ends == 1, one_end, value)))


def _unbounded(low: Array, high: Array) -> bool:
    return bool(np.isneginf(low).all() and np.isposinf(high).all())


def _by_point(end: Array) -> Array:
    """An end `(*cells, units)` with an axis of points."""
    return end[..., None, :] if end.ndim else end
