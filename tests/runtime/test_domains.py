"""Laws of free coordinates, over every kind of domain, with and without fixed elements."""

from __future__ import annotations

import numpy as np
import pytest

from emdsl.runtime.domains import Coordinates
from emdsl.runtime.neutral import element_names, neutral
from emdsl.runtime.problem import Space


def space(kind, shape, event, fixed=None, zero=None, **bounds):
    """A space with labels a, b, c, … on each axis."""
    held = np.zeros(shape, dtype=bool) if fixed is None else np.array(fixed, dtype=bool)
    labels = tuple(tuple("abcdefgh"[:n]) for n in shape)
    zeros = np.zeros(shape, dtype=bool) if zero is None else zero
    return Space("x", kind, tuple(shape), event, labels, held, zeros, **bounds)


def covariances(rng, n, d):
    half = rng.normal(size=(n, d, d + 2))
    return half @ np.swapaxes(half, 1, 2)


def correlations(rng, n, d):
    matrices = covariances(rng, n, d)
    sd = np.sqrt(np.diagonal(matrices, axis1=1, axis2=2))
    return matrices / sd[:, :, None] / sd[:, None, :]


def tridiagonal(d):
    return np.abs(np.subtract.outer(np.arange(d), np.arange(d))) > 1


RNG = np.random.default_rng(11)
BANDED = np.where(tridiagonal(3), 0.0, covariances(RNG, 1, 3)[0]) + 2 * np.eye(3)
# name: (space, value inside it, number of free coordinates)
CASES = {
    "real scalar": (space("real", (), 0), np.array(-1.3), 1),
    "real array": (space("real", (2, 3), 0), RNG.normal(size=(2, 3)), 6),
    "real, some fixed": (space("real", (3,), 0, [True, False, False]), RNG.normal(size=3), 2),
    "positive": (space("positive", (3,), 0), RNG.gamma(2, size=3), 3),
    "unit": (space("unit", (2,), 0), np.array([0.2, 0.97]), 2),
    "interval": (space("interval", (2,), 0, low=-1.0, high=4.0), np.array([-0.9, 2.0]), 2),
    "above a bound": (space("interval", (2,), 0, low=2.0), np.array([2.1, 7.0]), 2),
    "below a bound": (space("interval", (), 0, high=-1.0), np.array(-3.0), 1),
    "simplex": (space("simplex", (3,), 1), np.array([0.2, 0.5, 0.3]), 2),
    "rows of simplexes": (space("simplex", (2, 4), 1), RNG.dirichlet(np.ones(4), size=2), 6),
    "structural zeros": (
        space("simplex", (3, 3), 1, np.tril(np.ones((3, 3)), -1) > 0),
        np.array([[0.5, 0.3, 0.2], [0, 0.6, 0.4], [0, 0, 1]]),
        3,
    ),
    "fixed mass": (space("simplex", (4,), 1, [False, True, False, False]), np.array([0.1, 0.4, 0.3, 0.2]), 2),
    "joint simplex": (space("simplex", (2, 2, 3), 2), RNG.dirichlet(np.ones(6), size=2).reshape(2, 2, 3), 10),
    "contrast": (space("contrast", (2, 3), 1), np.array([[0, 1.0, -2.0], [0, 0.3, 0.1]]), 4),
    "ordered": (space("ordered", (2, 3), 1), np.array([[-1.0, 0.5, 2.0], [0.0, 3.0, 3.1]]), 6),
    "ordered, pinned": (
        space("ordered", (1, 6), 1, [[False, True, False, False, True, False]]),
        np.array([[-1.0, 0.5, 0.7, 1.5, 2.0, 6.0]]),
        4,
    ),
    "ordered, one pin": (space("ordered", (3,), 1, [True, False, False]), np.array([-1.0, 0.5, 0.7]), 2),
    "covariance": (space("covariance", (2, 3, 3), 2), covariances(RNG, 2, 3), 12),
    "variance": (space("covariance", (1, 1), 2), np.array([[2.5]]), 1),
    "diagonal covariance": (space("covariance", (3, 3), 2, ~np.eye(3, dtype=bool)), np.diag([1.0, 2.0, 0.1]), 3),
    "banded covariance": (space("covariance", (3, 3), 2, tridiagonal(3)), BANDED, 5),
    "one matrix fixed": (
        space("covariance", (2, 2, 2), 2, np.stack([np.ones((2, 2)), np.zeros((2, 2))])),
        covariances(RNG, 2, 2),
        3,
    ),
    "correlation": (space("correlation", (2, 4, 4), 2), correlations(RNG, 2, 4), 12),
    "patterned correlation": (
        space("correlation", (3, 3), 2, tridiagonal(3)),
        np.array([[1, 0.4, 0], [0.4, 1, -0.3], [0, -0.3, 1]]),
        2,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_there_and_back(case):
    domain, value, size = CASES[case]
    coordinates = Coordinates((domain,), {"x": value})
    u = coordinates.free({"x": value})
    assert coordinates.size == size == len(u)
    np.testing.assert_allclose(coordinates.theta(u)["x"], value, rtol=1e-12, atol=1e-13)
    moved = coordinates.theta(u + 0.1 * RNG.normal(size=size))["x"]
    np.testing.assert_array_equal(moved[domain.fixed], value[domain.fixed])
    np.testing.assert_allclose(coordinates.free(coordinates.theta(u + 0.05)), u + 0.05, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("case", CASES)
def test_jacobian_and_pullback_are_the_derivative(case):
    domain, value, size = CASES[case]
    coordinates = Coordinates((domain,), {"x": value})
    u, h = coordinates.free({"x": value}), 1e-5
    slopes = [
        (coordinates.theta(u + e)["x"] - coordinates.theta(u - e)["x"]).ravel() / (2 * h) for e in h * np.eye(size)
    ]
    numeric = np.stack(slopes, axis=1)
    np.testing.assert_allclose(coordinates.jacobian({"x": value}), numeric, rtol=1e-6, atol=1e-8)
    gradient = RNG.normal(size=domain.shape)
    np.testing.assert_allclose(
        coordinates.pullback({"x": value}, {"x": gradient}), numeric.T @ gradient.ravel(), rtol=1e-6, atol=1e-7
    )


@pytest.mark.parametrize("case", CASES)
def test_neutral_values_lie_inside_and_keep_what_is_fixed(case):
    domain, value, _ = CASES[case]
    start = neutral(domain, value)
    np.testing.assert_array_equal(start[domain.fixed], value[domain.fixed])
    coordinates = Coordinates((domain,), {"x": start})
    np.testing.assert_allclose(coordinates.theta(coordinates.free({"x": start}))["x"], start, atol=1e-12)
    assert not coordinates.edges({"x": start}).any()


def test_bounded_scalars_stay_inside_whatever_the_coordinates():
    bounds = {
        "positive": (0, 9e99),
        "unit": (0, 1),
        "interval": (-1, 4),
        "above a bound": (2, 9e99),
        "below a bound": (-9e99, -1),
    }
    for case, (low, high) in bounds.items():
        domain, value, size = CASES[case]
        coordinates = Coordinates((domain,), {"x": value})
        for u in (-30.0, -2.0, 5.0, 30.0):
            moved = coordinates.theta(np.full(size, u))["x"]
            assert (moved >= low).all() and (moved <= high).all() and not np.array_equal(moved, np.full(size, u))


def test_several_parameters_share_one_vector():
    mu, p = CASES["real array"], CASES["simplex"]
    spaces = (Space("mu", *[getattr(mu[0], f) for f in ("kind", "shape", "event", "labels", "fixed", "zero")]), p[0])
    coordinates = Coordinates(spaces, {"mu": mu[1], "x": p[1]})
    assert coordinates.names == ("mu.a.a", "mu.a.b", "mu.a.c", "mu.b.a", "mu.b.b", "mu.b.c", "x.a", "x.b", "x.c")
    assert coordinates.jacobian({"mu": mu[1], "x": p[1]}).shape == (9, 8)
    assert coordinates.flags("scale_free").tolist() == [False] * 6 + [True] * 2


def test_names_of_odd_labels_are_quoted():
    held = np.zeros((2,), dtype=bool)
    odd = Space("p", "simplex", (2,), 1, (("rs1.2", 'a"b'),), held, held)
    assert element_names(odd) == ('p["rs1.2"]', 'p["a\\"b"]')


def test_an_element_at_zero_is_dropped_and_named():
    domain = space("simplex", (2, 3), 1)
    value = np.array([[0.7, 0.0, 0.3], [1e-12, 0.0, 1.0]])
    coordinates = Coordinates((domain,)).at({"x": value})
    assert coordinates.size == 1 and coordinates.full_size == 4
    assert coordinates.boundary == ("x.a.b", "x.b.a", "x.b.b", "x.b.c")
    moved = coordinates.theta(coordinates.free({"x": value}) + 1)["x"]
    assert moved[0, 1] == 0 and moved[1, 1] == 0 and moved[0].sum() == pytest.approx(1)
    np.testing.assert_allclose(moved[1], value[1], atol=1e-15)


def test_bounds_of_scalars_and_singular_matrices_are_boundaries():
    for domain, value in [
        (space("unit", (2,), 0), np.array([0.0, 0.5])),
        (space("unit", (2,), 0), np.array([1.0, 0.5])),
        (space("positive", (2,), 0), np.array([0.0, 1e-20])),
        (space("interval", (2,), 0, low=1.0, high=3.0), np.array([3.0, 1.1])),
    ]:
        coordinates = Coordinates((domain,)).at({"x": value})
        assert coordinates.boundary == ("x.a",)
        np.testing.assert_array_equal(coordinates.theta(coordinates.free({"x": value}))["x"][0], value[0])
    singular = np.array([[1.0, 2.0], [2.0, 4.0]])
    coordinates = Coordinates((space("covariance", (2, 2), 2),)).at({"x": singular})
    assert coordinates.boundary == ("x.b.b",) and coordinates.size == 2
    np.testing.assert_allclose(coordinates.theta(coordinates.free({"x": singular}))["x"], singular, atol=1e-6)


def test_holding_survives_a_change_of_reference():
    domain = space("simplex", (3,), 1)
    start = {"x": np.array([0.5, 0.3, 0.2])}
    coordinates = Coordinates((domain,), start)
    u = coordinates.free(start)
    u[0], u[1] = 5.0, -800.0  # element b now dwarfs the reference a, element c is exactly 0
    held = coordinates.holding(u, np.array([1]))
    assert held.size == 1 and held.boundary == ("x.c",)
    value = held.theta(held.free(coordinates.theta(u)))["x"]
    assert value[2] == 0.0 and value.sum() == pytest.approx(1.0)
