"""Stationary laws: how their logarithm moves with the transition matrix, against differences of the law itself."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from emdsl.runtime.stationary import stationary_curvature, stationary_law, stationary_slope

Array = NDArray[np.float64]


def chain(states: int, seed: int) -> tuple[Array, Array, Array]:
    """A transition matrix, weights of the states, and changes of the matrix that keep its rows summing to 1."""
    rng = np.random.default_rng(seed)
    matrix = rng.dirichlet(np.full(states, 2.0), states)
    moves = rng.normal(size=(2, states, states))
    return matrix, rng.uniform(0, 3, states), moves - moves.mean(axis=-1, keepdims=True)


@pytest.mark.parametrize(("states", "seed"), [(2, 1), (3, 2), (5, 3)])
def test_the_slope_and_the_curvature_are_those_of_the_law(states: int, seed: int) -> None:
    matrix, weights, (one, two) = chain(states, seed)

    def value(s: float, t: float) -> float:
        return float(weights @ np.log(stationary_law(matrix + s * one + t * two)))

    slope = (value(1e-5, 0) - value(-1e-5, 0)) / 2e-5
    assert (stationary_slope(matrix, weights) * one).sum() == pytest.approx(slope, rel=1e-6)
    width = 1e-4
    corners = value(width, width) - value(width, -width) - value(-width, width) + value(-width, -width)
    curvature = np.einsum("ij,ijkl,kl->", one, stationary_curvature(matrix, weights), two)
    assert curvature == pytest.approx(corners / (4 * width**2), rel=1e-5)
