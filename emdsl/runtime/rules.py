"""The ends of simplex and closed-form updates: shares of counts, and values held where they are fixed."""

from __future__ import annotations

import numpy as np

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
    inside = np.isfinite(value)
    if space.kind in ("positive", "unit", "interval"):
        low = 0.0 if space.kind in ("positive", "unit") else space.low
        high = 1.0 if space.kind == "unit" else space.high
        inside &= (value >= low) & (value <= high)
    return np.where(inside & ~space.fixed, value, old)
