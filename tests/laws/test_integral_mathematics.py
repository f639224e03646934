"""The mathematics under integrals: systems against dense algebra, kernels against quadrature, and points."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from emdsl.plan import integral_pieces
from emdsl.plan.moment_piece import MomentPiece, moment_piece
from emdsl.runtime.integrals.block_tridiagonal import solve
from emdsl.runtime.integrals.components import Components
from emdsl.runtime.integrals.crossed_system import Numbering
from emdsl.runtime.integrals.crossed_ties import CrossedTies
from emdsl.runtime.integrals.gaussian import integrate, sigma_points
from emdsl.runtime.integrals.inner_blocks import ChainShape
from emdsl.runtime.integrals.kernels import KERNELS, coefficients, kernel_of, weights
from emdsl.runtime.integrals.quadratic import Quadratic
from tests.laws.bound_models import Array, random_theta, take
from tests.laws.hidden_normal_models import NORMAL
from tests.laws.hidden_number_models import IntegralCase

LOG_2PI = float(np.log(2 * np.pi))


def precision(rng: np.random.Generator, *shape: int) -> Array:
    """Random positive definite matrices `(*shape, n, n)`, the last of `shape` being n."""
    factor = rng.normal(size=(*shape, shape[-1]))
    return np.asarray(factor @ np.swapaxes(factor, -1, -2) + shape[-1] * np.eye(shape[-1]))


@pytest.mark.parametrize("s", [1, 2, 3])
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 8, 13])
def test_block_tridiagonal_against_dense_algebra(n: int, s: int) -> None:
    rng = np.random.default_rng(10 * n + s)
    diagonal = precision(rng, 2, n, s) + 4 * np.eye(s)
    upper = 0.5 * rng.normal(size=(2, n, s, s))
    right = rng.normal(size=(2, n, s))
    found = solve(diagonal, upper, right)
    for cell in range(2):
        dense = np.zeros((n * s, n * s))
        for k in range(n):
            own, after = slice(k * s, (k + 1) * s), slice((k + 1) * s, (k + 2) * s)
            dense[own, own] = diagonal[cell, k]
            if k + 1 < n:
                dense[own, after], dense[after, own] = upper[cell, k], upper[cell, k].T
        inverse = np.linalg.inv(dense)
        assert found.mean[cell].ravel() == pytest.approx(inverse @ right[cell].ravel(), abs=1e-12)
        assert found.log_pivots[cell].sum() == pytest.approx(np.linalg.slogdet(dense)[1], rel=1e-13)
        for k in range(n):
            own, after = slice(k * s, (k + 1) * s), slice((k + 1) * s, (k + 2) * s)
            assert np.allclose(found.covariance[cell, k], inverse[own, own], atol=1e-13)
            if k + 1 < n:
                assert np.allclose(found.next_covariance[cell, k], inverse[own, after], atol=1e-13)


@pytest.mark.parametrize(("units", "width", "rest"), [(6, 1, 3), (4, 2, 3), (5, 1, 0), (0, 1, 4)])
def test_crossed_ties_against_dense_algebra(units: int, width: int, rest: int) -> None:
    """Pieces that tie random pairs, and one that makes everything proper."""
    rng = np.random.default_rng(units + 10 * rest)
    number = Numbering(units, width, rest)
    size = number.size
    every = np.arange(size)
    parts: list[tuple[Any, Quadratic]] = [
        ((every,), Quadratic(rng.normal(size=size), rng.normal(size=(1, size)), -np.full((1, 1, size), 3.0)))
    ]
    if units and rest:
        inner, outer = rng.integers(0, number.inner, 9), number.inner + rng.integers(0, rest, 9)
        bend = -np.moveaxis(precision(rng, 9, 2), 0, -1)
        parts.append(((inner, outer), Quadratic(rng.normal(size=9), rng.normal(size=(2, 9)), bend)))
    dense, slope, value = np.zeros((size, size)), np.zeros(size), 0.0
    for places, own in parts:
        value += float(own.value.sum())
        for i, first in enumerate(places):
            np.add.at(slope, first, own.gradient[i])
            for j, second in enumerate(places):
                np.add.at(dense, (first, second), -own.hessian[i, j])
    centre = rng.normal(size=(1, size))
    evidence, law = CrossedTies(number, lambda site: site).integrate(centre, parts)
    inverse = np.linalg.inv(dense)
    shift = inverse @ slope
    expected = value + 0.5 * slope @ shift + 0.5 * (size * LOG_2PI - np.linalg.slogdet(dense)[1])
    assert evidence[0] == pytest.approx(expected, rel=1e-12)
    assert law.mean[0] == pytest.approx(centre[0] + shift, abs=1e-12)
    assert law.spread[0] == pytest.approx(np.sqrt(np.diagonal(inverse)), rel=1e-11)
    for places, _ in parts:
        _, covariance = law.marginal(places)
        for i, first in enumerate(places):
            for j, second in enumerate(places):
                assert covariance[i, j] == pytest.approx(inverse[first, second], abs=1e-12)


@pytest.mark.parametrize("q", [1, 2, 4])
def test_unit_gaussians_against_dense_algebra(q: int) -> None:
    rng = np.random.default_rng(q)
    dense, slope, value = precision(rng, 3, q), rng.normal(size=(3, q)), rng.normal(size=3)
    centre = rng.normal(size=(q, 3))
    evidence, law = integrate(centre, value, slope.T, -np.moveaxis(dense, 0, -1))
    for unit in range(3):
        inverse = np.linalg.inv(dense[unit])
        shift = inverse @ slope[unit]
        logdet = np.linalg.slogdet(dense[unit])[1]
        assert evidence[unit] == pytest.approx(value[unit] + 0.5 * slope[unit] @ shift + 0.5 * (q * LOG_2PI - logdet))
        assert law.mean[:, unit] == pytest.approx(centre[:, unit] + shift)
        assert np.allclose(law.covariance[..., unit], inverse)


@pytest.mark.parametrize("q", [1, 2, 4])
def test_sigma_points_are_exact_for_quadratics(q: int) -> None:
    rng = np.random.default_rng(20 + q)
    mean, covariance = rng.normal(size=(q, 5)), np.moveaxis(precision(rng, 5, q), 0, -1)
    covariance[0, :, 0] = covariance[:, 0, 0] = 0.0  # a number without spread
    points = sigma_points(mean, covariance)
    bend, slope = precision(rng, 1, q)[0], rng.normal(size=q)
    heights = np.einsum("ipu,ij,jpu->pu", points, bend, points) + np.einsum("i,ipu->pu", slope, points)
    second = covariance + mean[:, None] * mean[None]
    assert heights.mean(axis=0) == pytest.approx(np.einsum("ij,iju->u", bend, second) + slope @ mean)


#: Coefficients of each kernel with a finite integral.
PROPER: dict[str, list[tuple[float, ...]]] = {
    "gamma": [(0.5, -1.5), (3.0, -0.2), (-0.4, -4.0)],
    "inverse gamma": [(-2.5, -1.5), (-6.0, -0.4)],
    "generalised inverse Gaussian": [(0.5, -1.0, -2.0), (-3.0, -0.5, -0.7), (4.0, -2.0, -0.1)],
    "beta": [(0.5, 2.0), (-0.4, 3.0), (6.0, 1.0)],
    "modified half-normal": [(0.5, -1.0, -2.0), (-0.3, 2.0, -0.7), (6.0, -5.0, -0.1)],
}
#: Powers of the hidden number that a kernel may be in, and coefficients.
POWERS: list[tuple[str, float, tuple[float, ...]]] = [
    ("gamma", 2.0, (0.5, -1.5)), ("gamma", -2.0, (-4.5, -1.5)), ("gamma", 0.5, (-0.4, -2.0)),
    ("modified half-normal", -1.0, (-3.5, 0.4, -0.8)), ("generalised inverse Gaussian", 2.0, (1.0, -0.7, -0.4)),
]  # fmt: skip


EVERY = [*((name, 1.0, PROPER[name]) for name in KERNELS), *((name, power, [item]) for name, power, item in POWERS)]


@pytest.mark.parametrize(("name", "power", "proper"), EVERY)
def test_kernels_against_quadrature(name: str, power: float, proper: list[tuple[float, ...]]) -> None:
    """Integral, means and moments, and weights that give every function its mean."""
    kernel = kernel_of(name, power)
    x = np.linspace(-40, 40, 160_001)
    u = 1 / (1 + np.exp(-x)) if kernel.bounded else np.exp(x)
    rest = 1 / (1 + np.exp(x)) if kernel.bounded else np.ones_like(x)
    log_slope = np.log(u) + np.log(rest)
    functions = [
        np.log(rest) if kernel.bounded and number == 1 else function(u)
        for number, function in enumerate(kernel.functions.values())
    ]
    for item in proper:
        a = np.array(item)[:, None]
        found, means = kernel.integrate(a)
        with np.errstate(under="ignore"):
            heights = np.exp(sum(c * f for c, f in zip(item, functions, strict=True)) + log_slope)
        total = np.trapezoid(heights, x)
        assert found[0] == pytest.approx(np.log(total), abs=1e-9)
        for mean, function in zip(means, functions, strict=True):
            product = np.where(heights > 0, heights * function, 0.0)
            assert mean[0] == pytest.approx(np.trapezoid(product, x) / total, rel=1e-7, abs=1e-8)
        first, second = (np.trapezoid(np.where(heights > 0, heights * u**q, 0.0), x) / total for q in (1, 2))
        mean, variance = kernel.moments(a)
        if np.isfinite(variance[0]):
            assert mean[0] == pytest.approx(first, rel=1e-8)
            assert variance[0] == pytest.approx(second - first**2, rel=1e-6)
        points = np.array(kernel.nodes)[:, None]
        basis = [function(points) for function in kernel.functions.values()]
        values = 0.3 + np.tensordot(np.array(item), np.array(basis), axes=1)
        assert coefficients(values, points, kernel)[:, 0] == pytest.approx([0.3, *item], abs=1e-10)
        share = weights(means, points, kernel)
        assert share.sum() == pytest.approx(1.0)
        for mean, point_function in zip(means, kernel.functions.values(), strict=True):
            assert (share * point_function(points)).sum() == pytest.approx(mean[0], rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("case", NORMAL, ids=lambda case: case.name)
def test_moments_and_rows_agree(case: IntegralCase, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces by moments against the same pieces row by row."""
    by_moments = take(case.text, case.table)
    used: list[bool] = []
    with monkeypatch.context() as patch:

        def plainly(piece: Any) -> Any:
            used.append(isinstance(moment_piece(piece), MomentPiece))
            return piece

        patch.setattr(integral_pieces, "moment_piece", plainly)
        by_row = take(by_moments.compiled, case.table)
    assert any(used)
    theta = random_theta(by_moments.problem.spaces, np.random.default_rng(8), by_moments.problem.initial())
    first, second = by_moments.problem.expect(theta), by_row.problem.expect(theta)
    assert first.loglik == pytest.approx(second.loglik, rel=1e-12, abs=1e-12)
    left = by_moments.problem.gradient(theta, first.statistics)
    right = by_row.problem.gradient(theta, second.statistics)
    for name in theta:
        assert left[name] == pytest.approx(right[name], rel=1e-10, abs=1e-10), name
    stepped, other = (
        bound.problem.maximize(theta, expectation.statistics)
        for bound, expectation in ((by_moments, first), (by_row, second))
    )
    for name in theta:
        assert stepped[name] == pytest.approx(other[name], rel=1e-8, abs=1e-10), name


@pytest.mark.parametrize(("width", "lag", "rest"), [(1, 1, 3), (2, 1, 2), (1, 2, 3), (2, 3, 4), (1, 1, 0)])
def test_chains_in_crossed_ties_against_dense_algebra(width: int, lag: int, rest: int) -> None:
    """Three chains, each tied to some of the other numbers, in two units."""
    rng = np.random.default_rng(width + 10 * lag)
    starts = np.array([0, 4, 5, 11])
    inner = 11 * width
    size = inner + rest
    unit = np.array([0, 1, 1])[np.repeat(np.arange(3), np.diff(starts))]
    owner = np.concatenate([np.repeat(unit, width), np.arange(rest) % 2])
    every, at = np.arange(size), np.arange(11)
    back = np.maximum(at - lag, np.repeat(starts[:-1], np.diff(starts)))
    looks = [(at * width, back * width + width - 1), (at * width + width - 1, at * width)]
    if rest:
        own = [np.flatnonzero(owner[inner:] == k) for k in range(2)]
        looks.append((at * width, inner + np.array([rng.choice(own[k]) for k in unit])))
    parts: list[tuple[Any, Quadratic]] = [
        ((every,), Quadratic(rng.normal(size=size), rng.normal(size=(1, size)), -np.full((1, 1, size), 9.0)))
    ]
    for places in looks:
        bend = -np.moveaxis(precision(rng, 11, 2), 0, -1)
        bend[..., places[0] == places[1]] = 0.0
        parts.append((places, Quadratic(rng.normal(size=11), rng.normal(size=(2, 11)), bend)))
    pairs = np.unique(np.repeat(np.arange(3), np.diff(starts)) * rest + looks[-1][1] - inner) if rest else every[:0]
    number = Numbering(11, width, rest, Components(owner[inner:]), ChainShape(starts, width, lag, rest, pairs))
    ties = CrossedTies(number, lambda site: site, (), owner, 2)
    centre = rng.normal(size=(1, size))
    evidence, law = ties.integrate(centre, parts)
    for k in range(2):
        inside = np.flatnonzero(owner == k)
        dense, slope, value = np.zeros((size, size)), np.zeros(size), 0.0
        for places, own_part in parts:
            mine = owner[places[0]] == k
            value += float(own_part.value[mine].sum())
            for i, first in enumerate(places):
                np.add.at(slope, first[mine], own_part.gradient[i][mine])
                for j, second in enumerate(places):
                    np.add.at(dense, (first[mine], second[mine]), -own_part.hessian[i, j][mine])
        inverse = np.linalg.inv(dense[np.ix_(inside, inside)])
        shift = inverse @ slope[inside]
        logdet = np.linalg.slogdet(dense[np.ix_(inside, inside)])[1]
        expected = value + 0.5 * slope[inside] @ shift + 0.5 * (len(inside) * LOG_2PI - logdet)
        assert evidence[k] == pytest.approx(expected, rel=1e-12)
        assert law.mean[0, inside] == pytest.approx(centre[0, inside] + shift, abs=1e-12)
        assert law.spread[0, inside] == pytest.approx(np.sqrt(np.diagonal(inverse)), rel=1e-11)
        place = {number: row for row, number in enumerate(inside.tolist())}
        for places, _ in parts:
            mine = np.flatnonzero(owner[places[0]] == k)
            _, covariance = law.marginal(places)
            for i, first in enumerate(places):
                for j, second in enumerate(places):
                    wanted = [inverse[place[first[row]], place[second[row]]] for row in mine.tolist()]
                    assert covariance[i, j][mine] == pytest.approx(wanted, abs=1e-12)
    noise = law.sample(rng.standard_normal((1, 40_000, size)))[0]
    assert np.allclose(noise.mean(axis=0), law.mean[0], atol=0.02)
    assert np.allclose(noise.std(axis=0), law.spread[0], rtol=0.03)
    one, other = looks[0]
    _, covariance = law.marginal(looks[0])
    drawn = ((noise - law.mean[0])[:, one] * (noise - law.mean[0])[:, other]).mean(axis=0)
    assert np.allclose(drawn, covariance[0, 1], atol=0.02)
