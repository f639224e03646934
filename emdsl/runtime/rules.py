"""The ends of simplex and closed-form updates: shares of counts, and values held where they are fixed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emdsl.runtime.domain_scalars import scalar_bounds
from emdsl.runtime.problem import Array, Space


def share(counts: Array, old: Array, space: Space) -> Array:
    """Shares of counts, simplex by simplex. Fixed elements are held and the others share what is left.

    `old` may have a leading axis of starts before the space's own. A simplex that no unit touches (all counts 0)
    stays as it was. Negative counts, which a prior with parameters below one may give, count as 0.
    """
    cells = int(np.prod(space.shape[len(space.shape) - space.event :]))
    shape = np.shape(old)
    flat = np.maximum(counts, 0.0).reshape(-1, cells)
    before = np.asarray(old).reshape(-1, cells)
    fixed = np.broadcast_to(space.fixed, shape).reshape(-1, cells)
    if not fixed.any():
        total = flat.sum(axis=1, keepdims=True)
        new = np.where(total > 0, flat / np.where(total > 0, total, 1.0), before)
        return np.asarray(new.reshape(shape))
    free = np.where(fixed, 0.0, flat)
    mass = 1.0 - np.where(fixed, before, 0.0).sum(axis=1, keepdims=True)
    total = free.sum(axis=1, keepdims=True)
    new = np.where(fixed | (total <= 0), before, mass * free / np.where(total > 0, total, 1.0))
    return np.asarray(new.reshape(shape))


def keep_fixed(value: Array, old: Array, space: Space) -> Array:
    """The new value, but the old one where an element is fixed, or where the formula gives no number inside the
    domain (no unit touches the element).
    """
    value = np.asarray(value, dtype=float)
    return np.where(inside(value, space) & ~space.fixed, value, old)


def inside(value: Array, space: Space) -> NDArray[np.bool_]:
    """Where values of a scalar parameter are numbers inside its domain, its ends included."""
    low, high = scalar_bounds(space.kind, space.low, space.high)
    return np.isfinite(value) & (value >= low) & (value <= high)
