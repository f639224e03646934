"""The value, gradient and Hessian of a quadratic from its values at a few points, which is exact up to rounding."""

from __future__ import annotations

import numpy as np

from emdsl.runtime.problem import Array


def stencil(q: int) -> Array:
    """`(points, q)`: offsets at which a quadratic in q variables is to be known: 0, +1, -1 in each, pairs of +1."""
    offsets = [np.zeros(q)]
    for i in range(q):
        for sign in (1.0, -1.0):
            offset = np.zeros(q)
            offset[i] = sign
            offsets.append(offset)
    for i in range(q):
        for j in range(i + 1, q):
            offset = np.zeros(q)
            offset[i] = offset[j] = 1.0
            offsets.append(offset)
    return np.array(offsets)


def quadratic(values: Array, spread: Array) -> tuple[Array, Array, Array]:
    """`values` `(*cells, points, units)` at the stencil, scaled by `spread` `(q, *cells, units)`: the value `(*cells,
    units)`, the gradient `(q, *cells, units)` and the Hessian `(q, q, *cells, units)` at its centre.
    """
    q = len(spread)
    at = [values[..., k, :] for k in range(values.shape[-2])]
    centre = at[0]
    gradient = np.empty(spread.shape)
    hessian = np.empty((q, *spread.shape))
    for i in range(q):
        up, down = at[1 + 2 * i], at[2 + 2 * i]
        gradient[i] = (up - down) / (2 * spread[i])
        hessian[i, i] = ((up - centre) + (down - centre)) / spread[i] ** 2
    k = 1 + 2 * q
    for i in range(q):
        for j in range(i + 1, q):
            bend = (at[k] - at[1 + 2 * i]) - (at[1 + 2 * j] - centre)
            hessian[i, j] = hessian[j, i] = bend / (spread[i] * spread[j])
            k += 1
    return centre, gradient, hessian
