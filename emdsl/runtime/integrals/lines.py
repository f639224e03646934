"""Points along a line over the law of one number, known by its log-density up to a constant.

The line is `centre + spread * sinh(t)`: fine around the centre and as long as the tails ask for, be they those of a
normal law or of an exponential one. The trapezoidal rule in `t` converges faster than any power of its step (Trefethen
and Weideman 2014).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from emdsl.runtime.problem import Array

#: A log-density so far below its peak is left out: a share of 1e-18.
DROP = 41.0
#: How far out ends are looked for, and in how many steps: sinh(14) spreads.
REACH, LOOKS = 14.0, 141
#: Newton steps towards the mode, and the step (in spreads) that is near enough to lay a line.
MOST_STEPS, NEAR = 100, 1e-2


def line(log_density: Callable[[Array], Array], centre: Array, spread: Array, count: int) -> tuple[Array, Array]:
    """Points `(*cells, count, units)` and shares that sum to 1, around `centre` and `spread` `(*cells, units)`.

    `log_density` is evaluated at points `(*cells, points, units)`; a value that is no number counts as impossible.
    """
    t = np.linspace(-REACH, REACH, LOOKS)[:, None]
    logs = _logs(log_density, centre, spread, t)
    high = logs > logs.max(axis=-2, keepdims=True) - DROP
    first = np.argmax(high, axis=-2)
    last = LOOKS - 1 - np.argmax(high[..., ::-1, :], axis=-2)
    step = 2.0 * REACH / (LOOKS - 1)
    low = -REACH + step * (first - 1)[..., None, :]
    width = step * (last - first + 2)[..., None, :]
    fine = low + width * np.linspace(0.0, 1.0, count)[:, None]
    logs = _logs(log_density, centre, spread, fine)
    shares = np.exp(logs - logs.max(axis=-2, keepdims=True))
    with np.errstate(invalid="ignore"):
        return _points(centre, spread, fine), shares / shares.sum(axis=-2, keepdims=True)


def mode_of(log_density: Callable[[Array], Array], centre: Array, spread: Array) -> tuple[Array, Array]:
    """The mode and the inverse root of the curvature there, `(*cells, units)`, of a log-concave law; roughly, by
    Newton's method."""
    offsets = np.array([-1.0, 0.0, 1.0])[:, None]
    for _ in range(MOST_STEPS):
        width = 1e-2 * spread
        down, here, up = np.moveaxis(log_density(centre[..., None, :] + width[..., None, :] * offsets), -2, 0)
        slope, bend = (up - down) / (2 * width), ((up - here) - (here - down)) / width**2
        fresh = np.where(bend < 0, 1.0 / np.sqrt(np.abs(bend)), 2.0 * spread)
        step = np.clip(np.where(bend < 0, slope * fresh**2, np.sign(slope) * spread), -3 * fresh, 3 * fresh)
        centre, spread = centre + np.nan_to_num(step), np.where(np.isfinite(fresh), fresh, spread)
        if not (np.abs(step) > NEAR * spread).any():
            break
    return centre, spread


def _points(centre: Array, spread: Array, t: Array) -> Array:
    return np.asarray(centre[..., None, :] + spread[..., None, :] * np.sinh(t))


def _logs(log_density: Callable[[Array], Array], centre: Array, spread: Array, t: Array) -> Array:
    """The log-density of `t`."""
    with np.errstate(all="ignore"):
        found = log_density(_points(centre, spread, t)) + np.log(np.cosh(t))
    return np.where(np.isnan(found), -np.inf, found)
