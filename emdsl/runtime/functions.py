"""The functions that generated code may call. Those that NumPy lacks come from SciPy, imported when first called."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

#: The logarithm of 0 in tables of log-factors: finite, so that 0 times it is 0 and not NaN.
LOG_ZERO = -1e300

pi = np.pi
exp = np.exp
sqrt = np.sqrt
sin = np.sin
cos = np.cos
tan = np.tan
abs_ = np.abs
sign = np.sign
where = np.where
atan2 = np.arctan2
min_ = np.minimum
max_ = np.maximum


def at_most(x: Any, y: Any) -> Any:
    """1 where x <= y, else 0."""
    return np.less_equal(x, y) * 1.0


def below(x: Any, y: Any) -> Any:
    """1 where x < y, else 0."""
    return np.less(x, y) * 1.0


def log(x: Any) -> Any:
    """The logarithm, with log 0 = -1e300."""
    with np.errstate(divide="ignore"):
        return np.maximum(np.log(x), LOG_ZERO)


def logistic(x: Any) -> Any:
    """1 / (1 + exp(-x)), without overflow."""
    return np.exp(-np.logaddexp(0.0, -x))


def log_logistic(x: Any) -> Any:
    """log(1 / (1 + exp(-x))), without underflow."""
    return -np.logaddexp(0.0, -x)


def lgamma(x: Any) -> Any:
    """log |Gamma(x)|."""
    from scipy.special import gammaln

    return gammaln(x)


def digamma(x: Any) -> Any:
    """The derivative of lgamma."""
    from scipy.special import psi

    return psi(x)


def trigamma(x: Any) -> Any:
    """The second derivative of lgamma."""
    from scipy.special import polygamma as function

    return function(1, x)


def polygamma(order: int, x: Any) -> Any:
    """Derivative number `order + 1` of lgamma."""
    from scipy.special import polygamma as function

    return function(order, x)


def log1p(x: Any) -> Any:
    """log(1 + x), with log 0 = -1e300."""
    with np.errstate(divide="ignore"):
        return np.maximum(np.log1p(x), LOG_ZERO)


def multigammaln(a: Any, d: Any) -> Any:
    """The logarithm of the multivariate gamma function of `d` dimensions (Muirhead 1982, theorem 2.1.12)."""
    size = int(np.max(d))
    steps = sum(lgamma(np.asarray(a) - 0.5 * k) for k in range(size))
    return 0.25 * size * (size - 1) * np.log(np.pi) + steps


#: From here on differences of lgamma and its derivatives come from Stirling's series: taken one by one they cancel.
_LARGE = 1e3


def lgamma_step(x: Any, h: Any) -> Any:
    """lgamma(x + h) - lgamma(x) for x > 0, x + h > 0 (Abramowitz & Stegun 1964, 6.1.41)."""
    x, h = np.broadcast_arrays(np.asarray(x, dtype=float), np.asarray(h, dtype=float))
    series = (x + h - 0.5) * np.log1p(h / x) - h + h * np.log(x) + _stirling(x + h) - _stirling(x)
    return np.where((x > _LARGE) & (2 * h > -x), series, lgamma(x + h) - lgamma(x))


def _stirling(x: Any) -> Any:
    return 1 / (12 * x) - 1 / (360 * x**3)


def polygamma_step(order: int, x: Any, h: Any) -> Any:
    """polygamma(order, x + h) - polygamma(order, x); by series (6.3.18, 6.4.12) for large x and orders 0 and 1."""
    x, h = np.broadcast_arrays(np.asarray(x, dtype=float), np.asarray(h, dtype=float))
    direct = polygamma(order, x + h) - polygamma(order, x)
    if order > 1:
        return direct
    y = x + h
    first = -h / x / y
    second = first / x + first / y
    third = first / x / x + first / x / y + first / y / y
    series = np.log1p(h / x) - first / 2 - second / 12 if order == 0 else first + second / 2 + third / 6
    return np.where((x > _LARGE) & (2 * h > -x), series, direct)


def Phi(x: Any) -> Any:
    """The standard normal distribution function."""
    from scipy.special import ndtr

    return ndtr(x)


def log_Phi(x: Any) -> Any:
    """log(Phi(x)), without underflow."""
    from scipy.special import log_ndtr

    return log_ndtr(x)


def probit(x: Any) -> Any:
    """The inverse of Phi."""
    from scipy.special import ndtri

    return ndtri(x)


def log_i0(x: Any) -> Any:
    """log I0(x), the modified Bessel function of order 0."""
    from scipy.special import i0e

    return np.log(i0e(x)) + np.abs(x)


def i1_over_i0(x: Any) -> Any:
    """I1(x) / I0(x)."""
    from scipy.special import i0e, i1e

    return i1e(x) / i0e(x)


def _i0(x: Any) -> Any:
    from scipy.special import i0

    return i0(x)


def _logit(x: Any) -> Any:
    return np.log(x) - np.log1p(-x)


def _tail(name: str) -> Callable[..., Any]:
    """A function of `emdsl.runtime.tails`, which is loaded when it is first called."""

    def call(*args: Any) -> Any:
        from emdsl.runtime import tails

        return getattr(tails, name)(*args)

    return call


def _log_sum(name: str) -> Callable[..., Any]:
    """A function of `emdsl.runtime.log_sums`, likewise."""

    def call(*args: Any) -> Any:
        from emdsl.runtime import log_sums

        return getattr(log_sums, name)(*args)

    return call


#: The operations of `emdsl.ir.expressions`, on arrays.
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide, "^": np.power, "neg": np.negative,
    "==": lambda a, b: (a == b) * 1.0, "!=": lambda a, b: (a != b) * 1.0, "<": lambda a, b: (a < b) * 1.0,
    "<=": lambda a, b: (a <= b) * 1.0, ">": lambda a, b: (a > b) * 1.0, ">=": lambda a, b: (a >= b) * 1.0,
    "and": lambda a, b: ((a != 0) & (b != 0)) * 1.0, "or": lambda a, b: ((a != 0) | (b != 0)) * 1.0,
    "not": lambda a: (a == 0) * 1.0, "exp": np.exp, "log": log, "log1p": np.log1p, "sqrt": np.sqrt, "abs": np.abs,
    "sin": np.sin, "cos": np.cos, "logistic": logistic, "logit": _logit, "Phi": Phi, "probit": probit,
    "lgamma": lgamma, "multigammaln": multigammaln, "besseli0": _i0, "min": np.minimum, "max": np.maximum,
    "where": lambda c, a, b: np.where(c != 0, a, b), "floor": np.floor, "ceil": np.ceil,
    "log_gammap": _tail("log_gammap"), "log_gammaq": _tail("log_gammaq"), "log_betainc": _tail("log_betainc"),
    "log_student": _tail("log_student"), "log_betabinomial": _tail("log_betabinomial"),
    "log_laplace": _tail("log_laplace"), "logaddexp": np.logaddexp, "logsubexp": _log_sum("log_subtract"),
    "loginterval": _log_sum("log_interval"),
}  # fmt: skip
