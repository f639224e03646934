"""Distribution functions themselves, where their logarithm is not wanted: what is far in a tail is 0, at no cost.

By the name of the logarithm (`emdsl.runtime.tails`), with its arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from emdsl.runtime.problem import Array


def gammap(a: Any, x: Any) -> Array:
    """P(a, x), the regularised lower incomplete gamma function; 0 at x <= 0, and 1 at a = 0."""
    from scipy.special import gammainc

    return np.asarray(gammainc(a, np.maximum(x, 0)))


def gammaq(a: Any, x: Any) -> Array:
    """Q(a, x) = 1 - P(a, x)."""
    from scipy.special import gammaincc

    return np.asarray(gammaincc(a, np.maximum(x, 0)))


def betainc(a: Any, b: Any, x: Any) -> Array:
    """I_x(a, b), the regularised incomplete beta function; 1 where a <= 0, and 0 where b <= 0."""
    from scipy import special

    inside = (np.asarray(a) > 0) & (np.asarray(b) > 0)
    found = special.betainc(np.where(inside, a, 1.0), np.where(inside, b, 1.0), np.clip(x, 0, 1))
    return np.asarray(np.where(inside, found, np.where(np.asarray(a) <= 0, 1.0, np.where(np.isnan(b), np.nan, 0.0))))


def student(df: Any, z: Any) -> Array:
    """Student's distribution function at z."""
    from scipy.special import stdtr

    return np.asarray(stdtr(df, z))


PROBABILITIES: dict[str, Callable[..., Array]] = {
    "log_gammap": gammap, "log_gammaq": gammaq, "log_betainc": betainc, "log_student": student,
}  # fmt: skip
