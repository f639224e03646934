"""Newton's step for thousands of parameters: conjugate gradients, with products of the Hessian by differences of the
gradient, so that no matrix is built."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from emdsl.runtime.problem import Array

#: Products with the Hessian that one step may take.
MOST_PRODUCTS = 40
#: A step is good enough where what is left of the gradient is this share of it (an inexact Newton method).
FORCING = 0.05
#: How far the differences of the gradient reach, in the largest coordinate.
REACH = 1e-4


def conjugate_ascent(gradient_at: Callable[[Array], Array], u: Array, gradient: Array) -> Array:
    """A direction of ascent at `u`, `(size,)`: about `-H^-1 g` (Steihaug 1983, without a radius).

    It ends early where the Hessian bends upwards along the way, with what there is by then, or the gradient itself.
    """
    step = np.zeros_like(gradient)
    residual = np.where(np.isfinite(gradient), gradient, 0.0)
    wanted = FORCING * float(np.sqrt(residual @ residual))
    direction, size = residual.copy(), float(residual @ residual)
    for _ in range(MOST_PRODUCTS):
        reach = REACH / max(float(np.abs(direction).max(initial=0.0)), 1e-300)
        product = (gradient_at(u - reach * direction) - gradient_at(u + reach * direction)) / (2 * reach)
        bend = float(direction @ product)
        if not np.isfinite(bend) or bend <= 0:
            return step if step.any() else direction
        length = size / bend
        step = step + length * direction
        residual = residual - length * product
        following = float(residual @ residual)
        if np.sqrt(following) <= wanted:
            break
        direction = residual + (following / size) * direction
        size = following
    return step
