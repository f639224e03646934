"""The exponential of a quadratic on an interval: its integral, mean and variance, with all their digits in the tails.

`f(x) = g x - c x^2 / 2` for x between `low` and `high`, either of which may be infinite. Where the peak of `f` lies
outside, what counts is the end next to it: the integral is taken relative to `f` there, by Mills' ratio (Johnson, Kotz
& Balakrishnan 1994, section 10.1), whose continued fraction (Laplace) gives the moments without cancellation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emdsl.runtime.integrals.gaussian import LOG_2PI
from emdsl.runtime.problem import Array

#: From so many standard deviations beyond the peak on moments come from the continued fraction, cut off at DEPTH.
TAIL, DEPTH = 3.0, 40
#: A curvature below this share of the squared slope makes no difference to the integral: the law is exponential.
FLAT = 1e-18
#: A curvature below minus this share of the squared slope is no rounding: there is no finite integral.
CONVEX = 1e-9
#: An interval on which f varies by less than this is integrated by Gauss-Legendre, exact to rounding.
LEVEL, NODES = 30.0, 48


@dataclass(frozen=True)
class Moments:
    """Log-integral, mean and variance, each of the shape of the coefficients."""

    log_integral: Array
    mean: Array
    variance: Array


def integrate_interval(g: Array, c: Array, low: Array, high: Array) -> Moments:
    """The integral of `exp(g x - c x^2 / 2)` between `low` and `high`. Raises LinAlgError where it is infinite, or
    where `f` is convex and varies by more than LEVEL.
    """
    g, c, low, high = np.broadcast_arrays(g, c, low, high)
    with np.errstate(all="ignore"):
        width = high - low
        at_low, at_high = g - c * low, g - c * high
        varies = np.maximum(np.abs(at_low), np.abs(at_high)) * width
        flat = np.isfinite(width) & (varies <= LEVEL)
        found = [np.full(g.shape, np.nan) for _ in range(3)]
        for place, part in (
            (flat, _level),
            (~flat & np.isfinite(low) & (at_low <= 0), _beyond),
            (~flat & np.isfinite(high) & (at_high >= 0), _before),
        ):
            some = place & np.isnan(found[0])
            if some.any():
                _put(found, some, part(g[some], c[some], low[some], high[some]))
        rest = np.isnan(found[0]) & (c > 0)
        if rest.any():
            _put(found, rest, _around(g[rest], c[rest], low[rest], high[rest]))
    if not np.isfinite(found[0]).all():
        raise np.linalg.LinAlgError("the law of a hidden variable has no finite integral on its interval")
    return Moments(*found)


def _put(found: list[Array], place: Array, part: Moments) -> None:
    for whole, some in zip(found, (part.log_integral, part.mean, part.variance), strict=True):
        whole[place] = some


def _level(g: Array, c: Array, low: Array, high: Array) -> Moments:
    """A short interval, by Gauss-Legendre nodes."""
    x, w = np.polynomial.legendre.leggauss(NODES)
    middle, half = (low + high) / 2, (high - low) / 2
    offset = half[..., None] * x
    slope = g - c * middle
    exponent = slope[..., None] * offset - 0.5 * c[..., None] * offset**2
    top = exponent.max(axis=-1)
    density = w * np.exp(exponent - top[..., None])
    total = density.sum(axis=-1)
    shift = (density * offset).sum(axis=-1) / total
    variance = (density * (offset - shift[..., None]) ** 2).sum(axis=-1) / total
    value = g * middle - 0.5 * c * middle**2 + top + np.log(half * total)
    return Moments(value, middle + shift, variance)


def _beyond(g: Array, c: Array, low: Array, high: Array) -> Moments:
    """The peak lies at or below `low`."""
    slope = c * low - g
    start = g * low - 0.5 * c * low**2
    log_integral, mean, variance = _falling(slope, c)
    bounded = np.isfinite(high)
    if bounded.any():
        # Less what lies beyond the upper end, which is small: f has fallen by LEVEL / 2 at least.
        width = np.where(bounded, high - low, 0.0)
        last, beyond, spread = _falling(slope + c * width, c)
        share = np.where(bounded, np.exp(last - slope * width - 0.5 * c * width**2 - log_integral), 0.0)
        second = (mean**2 + variance - share * ((width + beyond) ** 2 + spread)) / (1.0 - share)
        mean = (mean - share * (width + beyond)) / (1.0 - share)
        variance = np.where(share > 0, second - mean**2, variance)
        log_integral = log_integral + np.log1p(-share)
    return Moments(start + log_integral, low + mean, variance)


def _before(g: Array, c: Array, low: Array, high: Array) -> Moments:
    """The peak lies at or above `high`: the mirror image."""
    found = _beyond(-g, c, -high, -low)
    return Moments(found.log_integral, -found.mean, found.variance)


def _around(g: Array, c: Array, low: Array, high: Array) -> Moments:
    """The peak lies inside."""
    from scipy.special import ndtr

    sd = 1.0 / np.sqrt(c)
    peak = g / c
    a, b = (low - peak) / sd, (high - peak) / sd
    inside = 1.0 - ndtr(a) - ndtr(-b)
    at_a, at_b = (np.exp(-0.5 * z**2 - 0.5 * LOG_2PI) for z in (a, b))
    ends = np.where(np.isfinite(a), a, 0.0) * at_a - np.where(np.isfinite(b), b, 0.0) * at_b
    shift = (at_a - at_b) / inside
    value = 0.5 * g * peak + 0.5 * LOG_2PI + np.log(sd) + np.log(inside)
    return Moments(value, peak + sd * shift, sd**2 * (1.0 + ends / inside - shift**2))


def _falling(slope: Array, c: Array) -> tuple[Array, Array, Array]:
    """Log-integral, mean and variance of `exp(-slope y - c y^2 / 2)` for `y >= 0`, with a slope of 0 or more."""
    from scipy.special import erfcx

    infinite = c < -CONVEX * slope**2
    c = np.maximum(c, FLAT * slope**2)
    sd = 1.0 / np.sqrt(c)
    z = slope * sd
    near = np.minimum(z, TAIL)
    ratio = np.sqrt(np.pi / 2) * erfcx(z / np.sqrt(2.0))  # (1 - Phi(z)) / phi(z)
    hazard = 1.0 / (np.sqrt(np.pi / 2) * erfcx(near / np.sqrt(2.0)))
    first, second = _fractions(np.maximum(z, TAIL))
    far = z > TAIL
    mean = np.where(far, first, hazard - near)
    variance = np.where(far, first * (second - first), 1.0 - hazard * (hazard - near))
    log_integral = np.where(infinite, np.nan, np.log(ratio) + np.log(sd))
    return log_integral, sd * mean, sd**2 * variance


def _fractions(z: Array) -> tuple[Array, Array]:
    """`r1 = 1/(z + r2)` and `r2 = 2/(z + 3/(z + ...))`: the hazard of a normal law at z is `z + r1`, and the variance
    beyond z is `1 - (z + r1) r1 = r1 (r2 - r1)`.
    """
    rest = np.zeros_like(z)
    for k in range(DEPTH, 1, -1):
        rest = k / (z + rest)
    return 1.0 / (z + rest), rest
