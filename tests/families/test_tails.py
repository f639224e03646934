"""Logarithms of distribution functions and their derivatives, against arithmetic with 30 digits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath as mp
import numpy as np
import pytest

from emdsl.runtime import tails
from emdsl.runtime.log_sums import interval_bend, interval_slope, log1mexp, log_interval, log_subtract


def log_gammap(a: Any, x: Any) -> Any:
    return mp.log(mp.gammainc(a, 0, x, regularized=True))


def log_gammaq(a: Any, x: Any) -> Any:
    return mp.log(mp.gammainc(a, x, mp.inf, regularized=True))


def log_betainc(a: Any, b: Any, x: Any) -> Any:
    return mp.log(mp.betainc(a, b, 0, x, regularized=True))


def log_student(df: Any, z: Any) -> Any:
    tail = mp.betainc(df / 2, mp.mpf(1) / 2, 0, df / (df + z * z), regularized=True) / 2
    return mp.log(tail if z < 0 else 1 - tail)


def log_laplace(z: Any) -> Any:
    return z - mp.log(2) if z < 0 else mp.log(1 - mp.exp(-z) / 2)


def log_betabinomial(k: Any, n: Any, a: Any, b: Any) -> Any:
    return mp.log(sum(mp.binomial(n, j) * mp.beta(j + a, n - j + b) / mp.beta(a, b) for j in range(int(k) + 1)))


#: The exact function, which of its arguments have derivatives, and points: the middle, both tails, far tails, extremes.
CASES: dict[str, tuple[Callable[..., Any], tuple[int, ...], tuple[tuple[float, ...], ...]]] = {
    "log_gammap": (log_gammap, (0, 1), (
        (2.5, 2.0), (0.3, 0.05), (0.05, 3.0), (40.0, 38.0), (40.0, 5.0), (150.0, 0.5), (2000.0, 2040.0), (3.0, 25.0),
    )),
    "log_gammaq": (log_gammaq, (0, 1), (
        (2.5, 2.0), (0.3, 0.05), (0.05, 3.0), (40.0, 38.0), (40.0, 150.0), (2.0, 900.0), (2000.0, 1950.0), (8.0, 0.4),
    )),
    "log_betainc": (log_betainc, (0, 1, 2), (
        (2.0, 3.0, 0.4), (0.4, 0.3, 0.9), (50.0, 80.0, 0.35), (50.0, 80.0, 0.01), (300.0, 2.0, 0.05), (1.0, 7.0, 1e-6),
        (0.05, 5.0, 0.3), (900.0, 1100.0, 0.46),
    )),
    "log_student": (log_student, (0, 1), (
        (4.0, -1.3), (4.0, 1.3), (0.7, -20.0), (3.0, 0.01), (30.0, -9.0), (2.5, 40.0), (80.0, -2.0),
    )),
    "log_laplace": (log_laplace, (0,), ((-40.0,), (-0.3,), (0.4,), (30.0,))),
    "log_betabinomial": (log_betabinomial, (2, 3), (
        (2, 7, 0.5, 2.0), (0, 4, 3.0, 3.0), (12, 20, 8.0, 1.5), (19, 20, 0.4, 0.3),
    )),
}  # fmt: skip

POINTS = [(name, point) for name, (_, _, points) in CASES.items() for point in points]


def exact(name: str, point: tuple[float, ...], orders: dict[int, int]) -> float:
    """A (partial) derivative; `orders` by argument."""
    with mp.workdps(40):
        function = CASES[name][0]
        arguments = [mp.mpf(value) for value in point]
        if not orders:
            return float(function(*arguments))
        free = sorted(orders)

        def along(*values: Any) -> Any:
            moved = list(arguments)
            for i, value in zip(free, values, strict=True):
                moved[i] = value
            return function(*moved)

        at = tuple(arguments[i] for i in free)
        order = tuple(orders[i] for i in free)
        return float(mp.diff(along, at if len(at) > 1 else at[0], order if len(at) > 1 else order[0]))


@pytest.mark.parametrize(("name", "point"), POINTS, ids=str)
def test_the_logarithm_is_exact(name: str, point: tuple[float, ...]) -> None:
    found = getattr(tails, name)(*point)
    np.testing.assert_allclose(found, exact(name, point, {}), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("name", "point"), POINTS, ids=str)
def test_slopes_are_as_accurate_as_they_say(name: str, point: tuple[float, ...]) -> None:
    for i in CASES[name][1]:
        found = getattr(tails, f"slope_{name}")(i, *point)
        np.testing.assert_allclose(found, exact(name, point, {i: 1}), rtol=1e-9, atol=1e-10, err_msg=f"argument {i}")


@pytest.mark.parametrize(("name", "point"), POINTS, ids=str)
def test_bends_are_as_accurate_as_they_say(name: str, point: tuple[float, ...]) -> None:
    free = CASES[name][1]
    for i, j in ((i, j) for i in free for j in free if i <= j):
        found = getattr(tails, f"bend_{name}")(i, j, *point)
        wanted = exact(name, point, {i: 2} if i == j else {i: 1, j: 1})
        np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-8, err_msg=f"arguments {i}, {j}")


@pytest.mark.parametrize("h", [1e-300, 1e-9, 0.3, 0.7, 2.0, 700.0])
def test_differences_from_one(h: float) -> None:
    with mp.workdps(340):
        wanted = float(mp.log(1 - mp.exp(-mp.mpf(h))))
    assert float(log1mexp(h)) == pytest.approx(wanted, rel=1e-13, abs=1e-310)


def test_differences_of_what_is_given_by_its_logarithm() -> None:
    assert float(log_subtract(-1000.0, -1001.0)) == pytest.approx(-1000 + np.log1p(-np.exp(-1)), rel=1e-14)
    assert float(log_subtract(-3.0, -3.0)) <= -1e299


@pytest.mark.parametrize(("low", "high"), [(-0.5, 1.0), (-38.0, -37.5), (38.0, 45.0), (-3.0, 9.0), (1.0, 1.001)])
def test_an_interval_of_a_normal_law_and_its_derivatives(low: float, high: float) -> None:
    """In the place of the law, m: log(Phi(b - m) - Phi(a - m)) at m = 0."""

    def exact(m: Any) -> Any:
        side = 1 if low < 0 else -1  # the smaller tail
        return mp.log(side * (mp.ncdf(side * (high - m)) - mp.ncdf(side * (low - m))))

    def logarithm(z: float) -> tuple[float, float, float]:
        value, slope, bend = mp.log(mp.ncdf(z)), mp.npdf(z) / mp.ncdf(z), mp.mpf(0)
        bend = -z * slope - slope**2
        return float(value), float(slope), float(bend)

    with mp.workdps(60):
        wanted = [float(exact(mp.mpf(0))), float(mp.diff(exact, 0)), float(mp.diff(exact, 0, 2))]
        parts = [logarithm(high), logarithm(low), logarithm(-low), logarithm(-high)]
    signs = (-1, -1, 1, 1)
    values = [part[0] for part in parts]
    slopes = [sign * part[1] for sign, part in zip(signs, parts, strict=True)]
    bends = [part[2] for part in parts]
    assert float(log_interval(*values)) == pytest.approx(wanted[0], rel=1e-12)
    assert float(interval_slope(*values, *slopes)) == pytest.approx(wanted[1], rel=1e-9)
    assert float(interval_bend(*values, *slopes, *slopes, *bends)) == pytest.approx(wanted[2], rel=1e-6)
