"""Newton's step without a matrix: the same maxima as with one, and thousands of parameters in one group."""

from __future__ import annotations

from textwrap import dedent

import numpy as np
import pytest

from emdsl.runtime import group
from emdsl.runtime.conjugate import conjugate_ascent
from tests.laws.bound_models import take
from tests.laws.tables import Cell


def test_step_of_a_quadratic() -> None:
    """On a concave quadratic the step is Newton's, to the accuracy asked for."""
    rng = np.random.default_rng(0)
    root = rng.normal(size=(30, 30))
    curvature, slope = root @ root.T + 30 * np.eye(30), rng.normal(size=30)
    step = conjugate_ascent(lambda u: slope - curvature @ u, np.zeros(30), slope)
    exact = np.linalg.solve(curvature, slope)
    assert np.linalg.norm(slope - curvature @ step) <= 0.06 * np.linalg.norm(slope)
    assert slope @ step > 0.9 * slope @ exact


def test_a_direction_that_bends_upwards_is_climbed() -> None:
    bend, u = np.array([1.0, -1.0]), np.array([1.0, 1.0])
    gradient = bend * u
    step = conjugate_ascent(lambda u: bend * u, u, gradient)
    assert gradient @ step > 0


MODELS = {
    "logits": "observed y ~ Bernoulli(logistic(a[p] + b*x))",
    "counts": "observed n ~ Poisson(exp(a[p] + b*x))",
    "lines": "observed r ~ Normal(a[p] + b*x, 1)",
}


@pytest.mark.parametrize("name", MODELS)
def test_the_same_maximum_without_a_matrix(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty levels and a slope, as one group: M-steps with a matrix and without end at the same place."""
    text = dedent("""
        index person = levels
        param a[person] : real
        param b : real
        for each row:
            input p : person
            input x : real
    """)
    rng = np.random.default_rng(1)
    person, x = np.repeat(np.arange(20), 30), rng.normal(size=600)
    eta = rng.normal(size=20)[person] + 0.7 * x
    yes = rng.random(600) < 1 / (1 + np.exp(-eta))
    columns: dict[str, list[Cell]] = {
        "p": [f"p{k}" for k in person], "x": x.tolist(), "y": yes.astype(int).tolist(),
        "n": rng.poisson(np.exp(eta)).tolist(), "r": (eta + rng.normal(size=600)).tolist(),
    }  # fmt: skip
    problem = take(f"{text}    {MODELS[name]}\n", columns).problem
    found = []
    for most in (1000, 0):
        monkeypatch.setattr(group, "MOST_DENSE", most)
        theta = problem.initial()
        for _ in range(12):
            theta = problem.maximize(theta, problem.expect(theta).statistics)
        found.append(theta)
    for parameter in found[0]:
        assert np.allclose(found[1][parameter], found[0][parameter], rtol=0, atol=1e-6), parameter
