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


def interval_share(i: int, below: Any, before: Any, after: Any, above: Any) -> Any:
    """The derivative of `log_interval` in its argument i, along the tail that it was taken from: `exp(u - r)` for log
    F(b) or log S(a), `-exp(v - r)` for the other, 0 for those of the other tail.

    The derivative of share i in argument j is `share_i (1{i = j} - share_j)`.
    """
    lower = np.asarray(below) < after
    total = log_interval(below, before, after, above)
    own = (below, before, after, above)[i]
    with np.errstate(all="ignore"):
        share = np.exp(np.minimum(np.subtract(own, total), 700.0))
    return np.where(lower if i < 2 else ~lower, share if i in (0, 2) else -share, 0.0)
