"""Logarithms of distribution functions, accurate far into the tails, and their derivatives in every argument.

`log_gammap(a, x)`          log P(a, x), the regularised lower incomplete gamma function
`log_gammaq(a, x)`          log Q(a, x) = log(1 - P(a, x))
`log_betainc(a, b, x)`      log I_x(a, b), the regularised incomplete beta function
`log_student(df, z)`        log of Student's distribution function at z
`log_laplace(z)`            log of the standard Laplace distribution function at z
`log_betabinomial(k, n, a, b)`  log P(X <= k) of a beta-binomial count

Each has `slope_NAME(i, *args)`, the derivative in argument i (from 0), and `bend_NAME(i, j, *args)`, the second one.
In the last argument of all but the last one the derivative is exact, a density over a probability. In shapes there is
no closed form: there they are central differences of eighth order of the logarithm itself, with steps in proportion to
the scale on which it changes. Against 30-digit arithmetic they are right to 1e-9 relative, or 1e-10 absolute where that
is more; second derivatives to 1e-6 relative or 1e-8 absolute (`tests/families/test_tails.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdsl.runtime.functions import LOG_ZERO, digamma, lgamma

Floats = NDArray[np.float64]

#: Probabilities below this one are worked out by series or continued fraction in logarithms.
_TINY = 1e-280
#: Terms of a series, and steps of a continued fraction, at most.
_MOST_STEPS = 20_000


def _arrays(*args: Any) -> list[Floats]:
    return [np.array(item, dtype=np.float64) for item in np.broadcast_arrays(*args)]


def _log(p: Any) -> Floats:
    return np.asarray(np.maximum(np.log(p), LOG_ZERO))


# --- incomplete gamma -------------------------------------------------------------------------------------------------


def log_gammap(a: Any, x: Any) -> Floats:
    """log P(a, x), a >= 0; P is 0 at x <= 0, and 1 at a = 0."""
    from scipy.special import gammainc

    a, x = _arrays(a, x)
    with np.errstate(all="ignore"):
        p = np.where(x > 0, gammainc(a, np.maximum(x, 0)), 0.0)
        found = _log(p)
        deep = (p < _TINY) & (x > 0) & (a > 0) & np.isfinite(a) & np.isfinite(x)
        if deep.any():
            found[deep] = _lower_series(a[deep], x[deep])
    return found


def log_gammaq(a: Any, x: Any) -> Floats:
    """log Q(a, x), a >= 0; Q is 1 at x <= 0, and 0 at a = 0."""
    from scipy.special import gammaincc

    a, x = _arrays(a, x)
    with np.errstate(all="ignore"):
        q = np.where(x > 0, gammaincc(a, np.maximum(x, 0)), 1.0)
        found = _log(q)
        deep = (q < _TINY) & (x > 0) & (a > 0) & np.isfinite(a) & np.isfinite(x)
        if deep.any():
            found[deep] = _upper_fraction(a[deep], x[deep])
    return found


def _lower_series(a: Floats, x: Floats) -> Floats:
    """log P by its power series (Abramowitz & Stegun 1964, 6.5.29), for x far below a."""
    term = np.ones_like(x)
    total = np.ones_like(x)
    for n in range(1, _MOST_STEPS):
        term = term * x / (a + n)
        total = total + term
        if not (term > 1e-17 * total).any():
            break
    return np.asarray(a * np.log(x) - x - lgamma(a + 1) + np.log(total))


def _upper_fraction(a: Floats, x: Floats) -> Floats:
    """log Q by Legendre's continued fraction (6.5.31, Lentz's algorithm), for x far above a."""
    b = x + 1 - a
    c = np.full_like(x, 1e300)
    d = 1 / b
    h = d.copy()
    for n in range(1, _MOST_STEPS):
        step = -n * (n - a)
        b = b + 2
        d = 1 / (step * d + b)
        c = b + step / c
        h = h * d * c
        if not (np.abs(d * c - 1) > 1e-16).any():
            break
    return np.asarray(a * np.log(x) - x - lgamma(a) + np.log(h))


# --- incomplete beta, Student -----------------------------------------------------------------------------------------


def log_betainc(a: Any, b: Any, x: Any) -> Floats:
    """log I_x(a, b) for x in [0, 1]; it is 0 where a <= 0, and minus infinity where b <= 0."""
    from scipy.special import betainc

    a, b, x = _arrays(a, b, x)
    with np.errstate(all="ignore"):
        inside = (a > 0) & (b > 0)
        p = betainc(np.where(inside, a, 1.0), np.where(inside, b, 1.0), np.clip(x, 0, 1))
        found = _log(p)
        deep = (p < _TINY) & (x > 0) & (x < 1) & inside
        if deep.any():
            found[deep] = _beta_fraction(a[deep], b[deep], x[deep])
    return np.asarray(np.where(inside, found, np.where(a <= 0, 0.0, np.where(b <= 0, LOG_ZERO, np.nan))))


def _beta_fraction(a: Floats, b: Floats, x: Floats) -> Floats:
    """log I_x(a, b) by its continued fraction (26.5.8, Lentz's algorithm), for x far below a / (a + b)."""
    c = np.ones_like(x)
    d = 1 / (1 - (a + b) * x / (a + 1))
    h = d.copy()
    for m in range(1, _MOST_STEPS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d = 1 / (1 + even * d)
        c = 1 + even / c
        h = h * d * c
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d = 1 / (1 + odd * d)
        c = 1 + odd / c
        h = h * d * c
        if not (np.abs(d * c - 1) > 1e-16).any():
            break
    return np.asarray(a * np.log(x) + b * np.log1p(-x) - np.log(a) - _log_beta(a, b) + np.log(h))


def _log_beta(a: Floats, b: Floats) -> Floats:
    return np.asarray(lgamma(a) + lgamma(b) - lgamma(a + b))


def log_student(df: Any, z: Any) -> Floats:
    """The logarithm of Student's distribution function (26.7.1)."""
    from scipy.special import betainc

    df, z = _arrays(df, z)
    with np.errstate(all="ignore"):
        square = z * z
        near = square < df
        # half of the probability within |z|, taken from whichever side is the smaller
        half = 0.5 * betainc(0.5, df / 2, square / (df + square))
        upper = np.where(near, 0.5 - half, 0.5 * betainc(df / 2, 0.5, df / (df + square)))
        tail = np.log(0.5) + log_betainc(df / 2, np.full_like(df, 0.5), df / (df + square))
        below = np.where(near, _log(0.5 - half), tail)
        return np.asarray(np.where(z < 0, below, np.log1p(-upper)))


# --- Laplace ----------------------------------------------------------------------------------------------------------


def log_laplace(z: Any) -> Floats:
    """`z - log 2` below 0, `log(1 - exp(-z)/2)` above."""
    z = np.asarray(z, dtype=np.float64)
    with np.errstate(all="ignore"):
        return np.asarray(np.where(z < 0, z - np.log(2), np.log1p(-np.exp(-np.abs(z)) / 2)))


def slope_log_laplace(i: int, z: Any) -> Floats:
    """The derivative of the standard Laplace log distribution function."""
    return _density_slope(log_laplace(z), -np.abs(z) - np.log(2), 1)


def bend_log_laplace(i: int, j: int, z: Any) -> Floats:
    """The second derivative of the standard Laplace log distribution function; 0 below 0."""
    slope = slope_log_laplace(0, z)
    return np.asarray(np.where(np.asarray(z) < 0, 0.0, -slope * (1 + slope)))


# --- beta-binomial ----------------------------------------------------------------------------------------------------


def log_betabinomial(k: Any, n: Any, a: Any, b: Any) -> Floats:
    """log P(X <= k) for a count of n whose probability is a Beta(a, b): the sum of its k + 1 terms."""
    k, n, a, b = _arrays(k, n, a, b)
    with np.errstate(all="ignore"):
        inside = (k >= 0) & (k < n)
        most = int(np.max(np.where(inside, k, 0.0), initial=0.0))
        constant = lgamma(n + 1) + lgamma(a + b) - lgamma(n + a + b) - lgamma(a) - lgamma(b)
        total = np.full_like(k, -np.inf)
        for j in range(most + 1):
            term = constant - lgamma(j + 1) - lgamma(n - j + 1) + lgamma(j + a) + lgamma(n - j + b)
            total = np.where(j <= k, np.logaddexp(total, term), total)
        return np.asarray(np.where(inside, np.minimum(total, 0.0), np.where(k < 0, LOG_ZERO, 0.0)))


# --- derivatives ------------------------------------------------------------------------------------------------------

_Function = Callable[..., Floats]

#: Weights of the central differences of eighth order, at 1, 2, 3 and 4 steps (Fornberg 1988, tables 1 and 2).
_FIRST = (4 / 5, -1 / 5, 4 / 105, -1 / 280)
_SECOND = (8 / 5, -1 / 5, 8 / 315, -1 / 560)
_SECOND_MIDDLE = -205 / 72
#: The step as a share of the scale on which a function changes.
_SHARE = 0.02


def _spread(shape: Floats) -> Floats:
    """The scale on which a distribution function changes with a shape: it, or its root where it is large."""
    return np.asarray(np.minimum(np.abs(shape), np.sqrt(np.abs(shape))) + 1e-300)


def _along(function: _Function, args: list[Floats], steps: dict[int, Floats]) -> Floats:
    """The second derivative at 0 in t of the function with `steps[i]*t` added to argument i."""
    total = _SECOND_MIDDLE * function(*args)
    for weight, n in zip(_SECOND, range(1, 5), strict=True):
        for sign in (n, -n):
            total = total + weight * function(*(x + sign * steps[i] if i in steps else x for i, x in enumerate(args)))
    return np.asarray(total)


def _difference(function: _Function, args: list[Floats], i: int, step: Floats) -> Floats:
    total = np.zeros_like(step)
    for weight, n in zip(_FIRST, range(1, 5), strict=True):
        up = function(*(x + n * step if k == i else x for k, x in enumerate(args)))
        down = function(*(x - n * step if k == i else x for k, x in enumerate(args)))
        total = total + weight * (up - down)
    return np.asarray(total / step)


def _slope(function: _Function, i: int, args: list[Floats], scale: Callable[[Floats], Floats]) -> Floats:
    with np.errstate(all="ignore"):
        return _difference(function, args, i, _SHARE * scale(args[i]))


def _bend(function: _Function, i: int, j: int, args: list[Floats], scale: Callable[[Floats], Floats]) -> Floats:
    with np.errstate(all="ignore"):
        first = _SHARE * scale(args[i])
        if i == j:
            return np.asarray(_along(function, args, {i: first}) / first**2)
        second = _SHARE * scale(args[j])
        both = _along(function, args, {i: first, j: second})
        apart = _along(function, args, {i: first}) + _along(function, args, {j: second})
        return np.asarray((both - apart) / (2 * first * second))


def _density_slope(value: Floats, log_density: Floats, sign: int) -> Floats:
    """The derivative of log F in its argument, `sign * f / F`; 0 where f is, whatever F."""
    with np.errstate(all="ignore"):
        return np.asarray(sign * np.where(log_density <= LOG_ZERO, 0.0, np.exp(log_density - value)))


def _gamma_density(a: Floats, x: Floats) -> Floats:
    inside = (x > 0) & (a > 0)
    return np.where(inside, (a - 1) * np.log(x) - x - lgamma(a), -np.inf)


def _gamma_slope(function: _Function, sign: int, i: int, a: Any, x: Any) -> Floats:
    a, x = _arrays(a, x)
    if i == 0:
        return _slope(function, 0, [a, x], _spread)
    with np.errstate(all="ignore"):
        return _density_slope(function(a, x), _gamma_density(a, x), sign)


def _gamma_bend(function: _Function, sign: int, i: int, j: int, a: Any, x: Any) -> Floats:
    a, x = _arrays(a, x)
    if i == j == 0:
        return _bend(function, 0, 0, [a, x], _spread)
    slope = _gamma_slope(function, sign, 1, a, x)
    with np.errstate(all="ignore"):
        if i == j:
            return np.asarray(slope * ((a - 1) / x - 1 - slope))
        return np.asarray(slope * (np.log(x) - digamma(a) - _gamma_slope(function, sign, 0, a, x)))


def slope_log_gammap(i: int, a: Any, x: Any) -> Floats:
    """The derivative of log P(a, x) in a (0) or x (1)."""
    return _gamma_slope(log_gammap, 1, i, a, x)


def bend_log_gammap(i: int, j: int, a: Any, x: Any) -> Floats:
    """The second derivative of log P(a, x)."""
    return _gamma_bend(log_gammap, 1, i, j, a, x)


def slope_log_gammaq(i: int, a: Any, x: Any) -> Floats:
    """The derivative of log Q(a, x) in a (0) or x (1)."""
    return _gamma_slope(log_gammaq, -1, i, a, x)


def bend_log_gammaq(i: int, j: int, a: Any, x: Any) -> Floats:
    """The second derivative of log Q(a, x)."""
    return _gamma_bend(log_gammaq, -1, i, j, a, x)


def slope_log_betainc(i: int, a: Any, b: Any, x: Any) -> Floats:
    """The derivative of log I_x(a, b) in a (0), b (1) or x (2)."""
    a, b, x = _arrays(a, b, x)
    if i < 2:
        return _slope(log_betainc, i, [a, b, x], _spread)
    with np.errstate(all="ignore"):
        inside = (a > 0) & (b > 0) & (x > 0) & (x < 1)
        density = (a - 1) * np.log(x) + (b - 1) * np.log1p(-x) - _log_beta(a, b)
        return _density_slope(log_betainc(a, b, x), np.where(inside, density, -np.inf), 1)


def bend_log_betainc(i: int, j: int, a: Any, b: Any, x: Any) -> Floats:
    """The second derivative of log I_x(a, b)."""
    a, b, x = _arrays(a, b, x)
    i, j = min(i, j), max(i, j)
    if j < 2:
        return _bend(log_betainc, i, j, [a, b, x], _spread)
    slope = slope_log_betainc(2, a, b, x)
    with np.errstate(all="ignore"):
        if i == 2:
            return np.asarray(slope * np.where(slope == 0, 0.0, (a - 1) / x - (b - 1) / (1 - x) - slope))
        own = np.log(x) - digamma(a) if i == 0 else np.log1p(-x) - digamma(b)
        return np.asarray(slope * (own + digamma(a + b) - slope_log_betainc(i, a, b, x)))


def _student_density(df: Floats, z: Floats) -> Floats:
    return np.asarray(
        lgamma((df + 1) / 2) - lgamma(df / 2) - np.log(np.pi * df) / 2 - (df + 1) / 2 * np.log1p(z * z / df)
    )


def slope_log_student(i: int, df: Any, z: Any) -> Floats:
    """The derivative of Student's log distribution function in df (0) or z (1)."""
    df, z = _arrays(df, z)
    if i == 0:
        return _slope(log_student, 0, [df, z], np.abs)
    return _density_slope(log_student(df, z), _student_density(df, z), 1)


def bend_log_student(i: int, j: int, df: Any, z: Any) -> Floats:
    """The second derivative of Student's log distribution function."""
    df, z = _arrays(df, z)
    if i == j == 0:
        return _bend(log_student, 0, 0, [df, z], np.abs)
    slope = slope_log_student(1, df, z)
    with np.errstate(all="ignore"):
        if i == j:
            return np.asarray(slope * (-(df + 1) * z / (df + z * z) - slope))
        square = z * z / df
        own = (digamma((df + 1) / 2) - digamma(df / 2) - 1 / df - np.log1p(square)) / 2
        own = own + (df + 1) / (2 * df) * square / (1 + square)
        return np.asarray(slope * (own - slope_log_student(0, df, z)))


def slope_log_betabinomial(i: int, k: Any, n: Any, a: Any, b: Any) -> Floats:
    """The derivative of a beta-binomial log P(X <= k) in a (2) or b (3)."""
    return _slope(log_betabinomial, i, _arrays(k, n, a, b), np.abs)


def bend_log_betabinomial(i: int, j: int, k: Any, n: Any, a: Any, b: Any) -> Floats:
    """The second derivative of a beta-binomial log P(X <= k) in a (2) and b (3)."""
    return _bend(log_betabinomial, i, j, _arrays(k, n, a, b), np.abs)
