"""`x^(n - 1) exp(-a x - b x^2)` for positive x: a parabolic cylinder function (Gradshteyn & Ryzhik 2007, 3.462.1), the
law of a number between a gamma and a half-normal one (the modified half-normal law; Sun, Kong & Pal 2021).

With `x = exp(t)` the integrand is analytic and falls off on both sides, where the trapezoidal rule is exact to rounding
(Trefethen & Weideman 2014). For n below 1 it falls off slowly on the left: that integral is had from n + 1, by parts.
"""

from __future__ import annotations

import numpy as np

from emdsl.runtime.problem import Array

#: Nodes of the trapezoidal rule, and how far the logarithm of the integrand falls before it is cut off.
NODES, FALL = 400, 42.0
#: A quadratic coefficient below this share of the squared linear one makes no difference.
FLAT = 1e-24


def integrate_half_normal(n: Array, a: Array, b: Array) -> tuple[Array, Array]:
    """The log-integral, and the means of `log x`, `x` and `x^2` `(3, ...)`; NaN where the integral is not finite."""
    with np.errstate(all="ignore"):
        b = np.where(a > 0, np.maximum(b, FLAT * a**2), b)
        n, b = np.where(n > 0, n, np.nan), np.where(b > 0, b, np.nan)
        scale = np.sqrt(2.0 * b)
        value, log_mean, mean, square = _standard(n, a / scale)
        value = value - n * np.log(scale)
        return value, np.stack([log_mean - np.log(scale), mean / scale, square / scale**2])


def _standard(n: Array, z: Array) -> tuple[Array, Array, Array, Array]:
    """The same of `x^(n - 1) exp(-z x - x^2 / 2)`."""
    raised = n < 1.0
    value, log_mean, mean, square, product = _trapezoid(np.where(raised, n + 1.0, n), z)
    if raised.any():
        # n I(n) = I(n + 2) + z I(n + 1), and its derivative in n
        total = mean + z
        below = n / total
        log_below = (product + z * log_mean) / total - 1.0 / n
        value = np.where(raised, value + np.log(total / n), value)
        log_mean = np.where(raised, log_below, log_mean)
        square = np.where(raised, mean * below, square)
        mean = np.where(raised, below, mean)
    return value, log_mean, mean, square


def _trapezoid(n: Array, z: Array) -> tuple[Array, ...]:
    """The log-integral and the means of `log x`, `x`, `x^2` and `x log x`."""
    root = np.sqrt(z**2 + 4.0 * n)
    peak = np.log(np.where(z > 0, 2.0 * n / (z + root), (root - z) / 2.0))
    top = _log_integrand(n, z, peak)
    left, right = _cut_off(n, z, peak, top, -1.0), _cut_off(n, z, peak, top, 1.0)
    step = (right - left) / (NODES - 1)
    t = left[..., None] + step[..., None] * np.arange(NODES)
    density = np.exp(_log_integrand(n[..., None], z[..., None], t) - top[..., None])
    total = density.sum(axis=-1)
    density /= total[..., None]
    x = np.exp(t)
    means = [(density * of).sum(axis=-1) for of in (t, x, x**2, x * t)]
    return (top + np.log(total * step), *means)


def _log_integrand(n: Array, z: Array, t: Array) -> Array:
    x = np.exp(t)
    return np.asarray(n * t - z * x - 0.5 * x**2)


def _cut_off(n: Array, z: Array, peak: Array, top: Array, side: float) -> Array:
    """Where the logarithm of the integrand has fallen by FALL, on one side of its peak."""
    near = far = np.ones_like(peak) * 1e-12
    for _ in range(60):
        far = np.where(top - _log_integrand(n, z, peak + side * far) < FALL, 2.0 * np.maximum(far, 1e-6), far)
    for _ in range(30):
        middle = 0.5 * (near + far)
        inside = top - _log_integrand(n, z, peak + side * middle) < FALL
        near, far = np.where(inside, middle, near), np.where(inside, far, middle)
    return np.asarray(peak + side * far)
