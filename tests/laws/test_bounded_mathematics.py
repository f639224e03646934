"""Integrals on intervals against many digits, and models against the laws of SciPy that they are."""

from __future__ import annotations

from typing import Any

import mpmath as mp
import numpy as np
import pytest
from scipy import stats

import emdsl
from emdsl.diagnostics.errors import EmmError
from emdsl.runtime.integrals.half_normal import integrate_half_normal
from emdsl.runtime.integrals.interval_normal import integrate_interval
from emdsl.runtime.integrals.shares import SharesLaw, points_of
from tests.laws.bound_models import take

INTERVALS = [
    (1.0, 2.0, 0.0, np.inf), (-300.0, 0.5, 0.0, np.inf), (-3.0, 1e-9, 0.0, np.inf), (-3.0, 0.0, 1.0, np.inf),
    (400.0, 2.0, -1.0, np.inf), (50.0, 1.0, -np.inf, 0.5), (-2.0, 3.0, -np.inf, 0.5), (0.3, 1.0, -0.2, 0.1),
    (200.0, 3.0, -1.0, 4.0), (-80.0, 3.0, -1.0, 4.0), (9.0, 25.0, -1.0, 4.0), (0.4, -1.0, 0.0, 1.0),
    (0.0, 1e6, -1.0, 2.0),
]  # fmt: skip


@pytest.mark.parametrize(("g", "c", "low", "high"), INTERVALS)
def test_an_interval_against_many_digits(g: float, c: float, low: float, high: float) -> None:
    found = integrate_interval(*(np.array([item]) for item in (g, c, low, high)))
    with mp.workdps(60):
        middle = min(max(g / c if c > 0 else low, low), high)
        width = 1 / mp.sqrt(max(c, (g - c * middle) ** 2, 1e-3))
        ends = [middle + side * k * width for side in (-1, 1) for k in (0, 1, 3, 8, 20, 60, 140)]
        points = sorted({low, *(float(end) for end in ends if low < end < high), high})
        points = [point for point in points if np.isfinite(point)]

        def mean_of(power: int) -> Any:
            return mp.quad(lambda x: x**power * mp.exp(g * x - mp.mpf(c) * x**2 / 2), points)

        total, first, second = (mean_of(power) for power in (0, 1, 2))
        mean = first / total
        variance = second / total - mean**2
        assert found.log_integral[0] == pytest.approx(float(mp.log(total)), rel=1e-13, abs=1e-12)
        assert abs(found.mean[0] - float(mean)) < 1e-11 * float(mp.sqrt(variance))
        assert found.variance[0] == pytest.approx(float(variance), rel=1e-10)


def test_an_interval_without_end_has_no_integral() -> None:
    with pytest.raises(np.linalg.LinAlgError):
        integrate_interval(*(np.array([item]) for item in (1.0, 0.0, 0.0, np.inf)))


@pytest.mark.parametrize("b", [0.1, 4.0])
@pytest.mark.parametrize("a", [-12.0, -1.0, 0.0, 0.3, 40.0])
@pytest.mark.parametrize("n", [0.05, 0.7, 3.0, 250.0])
def test_half_normal_against_parabolic_cylinder_functions(n: float, a: float, b: float) -> None:
    value, means = integrate_half_normal(np.array([n]), np.array([a]), np.array([b]))
    with mp.workdps(40):

        def integral(order: Any) -> Any:
            z = mp.mpf(a) / mp.sqrt(2 * b)
            return (2 * mp.mpf(b)) ** (-order / 2) * mp.gamma(order) * mp.exp(z**2 / 4) * mp.pcfd(-order, z)

        order, h = mp.mpf(n), mp.mpf(10) ** -12
        slope = (mp.log(integral(order + h)) - mp.log(integral(order - h))) / (2 * h)
        assert value[0] == pytest.approx(float(mp.log(integral(order))), rel=1e-12, abs=1e-11)
        assert means[0, 0] == pytest.approx(float(slope), rel=1e-10, abs=1e-10)
        for power in (1, 2):
            expected = float(integral(order + power) / integral(order))
            assert means[power, 0] == pytest.approx(expected, rel=1e-11)


def test_points_of_shares_have_the_means_of_the_logarithms() -> None:
    """Also where a share is so small that its logarithm has no number."""
    law = SharesLaw(np.array([[[2.0, 1e-4, 40.0], [3.0, 2.0, 1e-3]]]))
    mean_log = law.mean_log[0]
    points, weights = points_of(mean_log)
    assert weights.sum(axis=0) == pytest.approx(np.ones(3))
    assert (np.log(points) * weights).sum(axis=-2) == pytest.approx(mean_log, rel=1e-13)


Y = [0.3, -1.2, 2.5, 0.9, 4.0, -0.4]
FRONTIER = (
    "param b : real\nparam s : positive\nparam t : positive\nfor each row:\n"
    "    latent   u ~ Normal(0, t) truncated to (0, inf)\n    observed y ~ Normal(b - u, s)\n"
)
EX_GAUSSIAN = (
    "param b : real\nparam s : positive\nparam t : positive\nfor each row:\n"
    "    latent   u ~ Exponential(1/t)\n    observed y ~ Normal(b + u, s)\n"
)


def _skew_normal(b: float, s: float, t: float) -> float:
    return float(np.sum(stats.skewnorm.logpdf(Y, -t / s, loc=b, scale=np.hypot(s, t))))


def _ex_gaussian(b: float, s: float, t: float) -> float:
    return float(np.sum(stats.exponnorm.logpdf(Y, t / s, loc=b, scale=s)))


@pytest.mark.parametrize(("b", "s", "t"), [(0.5, 1.0, 1.0), (1.0, 0.05, 2.0), (0.2, 3.0, 0.01), (-1.0, 0.5, 20.0)])
@pytest.mark.parametrize(("text", "law"), [(FRONTIER, _skew_normal), (EX_GAUSSIAN, _ex_gaussian)])
def test_a_model_is_the_law_of_scipy(text: str, law: Any, b: float, s: float, t: float) -> None:
    bound = take(text, {"y": Y})
    theta = {"b": np.asarray(b), "s": np.asarray(s), "t": np.asarray(t)}
    assert bound.problem.expect(theta).loglik == pytest.approx(law(b, s, t), rel=1e-9)


OUTSIDE = (
    "index topic = 1..2\nindex word = levels(w)\nparam phi[topic] : simplex[word]\n"
    "latent p[topic] ~ Dirichlet(1)\nfor each place:\n    latent   z ~ Categorical(p)\n"
    "    observed w ~ Categorical(phi[z])\n"
)
BESIDE_AN_ARRAY = (
    "index k = {a, b}\nindex j = {x, y}\nparam m : positive\nfor each row:\n    latent   p[k] ~ Dirichlet(1)\n"
    "    latent   u[j] ~ Gamma(m, 1)\n    observed y ~ Poisson(u[x]*p[a])\n"
)
LAGGED = (
    "index k = {a, b}\nfor each t in sequence:\n    latent   p[k] ~ Dirichlet(1)\n"
    "    observed y ~ Normal(prev(p[a]), 1)\n"
)


@pytest.mark.parametrize(
    ("text", "why"),
    [(OUTSIDE, "in the units of a plate"), (BESIDE_AN_ARRAY, "no grid takes the other: `u`"),
     (LAGGED, "a law looks back at them")],
)  # fmt: skip
def test_shares_without_any_integral_say_why(text: str, why: str) -> None:
    with pytest.raises(EmmError, match="has no closed form") as caught:
        take(text, {"doc": ["1"], "w": ["a"], "y": [1], "t": [1]})
    assert caught.value.code == "no-closed-shares"
    assert why in str(caught.value)


@pytest.mark.parametrize(("plan", "code"), [("quadrature", "no-quadrature"), ("monte-carlo", "not-simulated")])
def test_shares_are_no_free_numbers(plan: str, code: str) -> None:
    text = "index k = {a, b}\nparam t : positive\nfor each row:\n    latent   p[k] ~ Dirichlet(t)\n"
    with pytest.raises(EmmError, match="sum to 1") as caught:
        emdsl.loads(text + "    observed y ~ Categorical(p)\n").fit({"y": ["a", "b"]}, plan=plan)
    assert caught.value.code == code
