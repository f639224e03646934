"""Sums and differences of numbers that are given by their logarithms, without overflow or cancellation."""

from __future__ import annotations

from typing import Any

import numpy as np

from emdsl.runtime.functions import LOG_ZERO

log_add = np.logaddexp


def log1mexp(h: Any) -> Any:
    """log(1 - exp(-h)) for h >= 0, -1e300 at 0 and below (Mächler 2012)."""
    h = np.asarray(h, dtype=np.float64)
    with np.errstate(all="ignore"):
        found = np.where(h < np.log(2), np.log(-np.expm1(-h)), np.log1p(-np.exp(-h)))
        return np.where(h > 0, np.maximum(found, LOG_ZERO), np.where(h <= 0, LOG_ZERO, np.nan))


def log_subtract(u: Any, v: Any) -> Any:
    """log(exp(u) - exp(v)); -1e300 where v >= u."""
    with np.errstate(all="ignore"):
        return np.where(np.asarray(v) < u, np.maximum(u + log1mexp(np.subtract(u, v)), LOG_ZERO), LOG_ZERO)


def log_interval(below: Any, before: Any, after: Any, above: Any) -> Any:
    """log(F(b) - F(a)) from log F(b), log F(a), log S(a) and log S(b), by whichever tail is the smaller."""
    lower = np.asarray(below) < after
    return np.where(lower, log_subtract(below, before), log_subtract(after, above))


def _shares(logarithms: tuple[Any, ...]) -> list[Any]:
    """The derivative of `log_interval` in each argument, along the tail that it was taken from: `exp(u - r)` for log
    F(b) or log S(a), `-exp(v - r)` for the other one, 0 for those of the other tail."""
    below, _, after, _ = logarithms
    lower = np.asarray(below) < after
    total = log_interval(*logarithms)
    found = []
    for i, logarithm in enumerate(logarithms):
        share = np.exp(np.minimum(np.subtract(logarithm, total), 700.0))
        found.append(np.where(lower if i < 2 else ~lower, share if i in (0, 2) else -share, 0.0))
    return found


def _weighted(shares: list[Any], values: tuple[Any, ...]) -> Any:
    """`sum share * value`; what has no share counts for nothing, whatever its value."""
    return sum(share * np.where(share == 0.0, 0.0, value) for share, value in zip(shares, values, strict=True))


def interval_slope(*args: Any) -> Any:
    """The derivative of `log_interval` in some x: of its four arguments, then their derivatives in x."""
    with np.errstate(all="ignore"):
        return _weighted(_shares(args[:4]), args[4:])


def interval_bend(*args: Any) -> Any:
    """The second derivative of `log_interval` in x and y: of its four arguments, their derivatives in x, in y and in
    both. With r = log sum_k s_k exp(u_k), r_xy = sum_k share_k (u_xy + u_x u_y) - r_x r_y."""
    with np.errstate(all="ignore"):
        shares = _shares(args[:4])
        first, second, both = args[4:8], args[8:12], args[12:]
        mixed = tuple(b + x * y for b, x, y in zip(both, first, second, strict=True))
        return _weighted(shares, mixed) - _weighted(shares, first) * _weighted(shares, second)
