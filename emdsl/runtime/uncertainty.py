"""Standard errors, covariances and intervals of the estimates, by the delta method from free coordinates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from emdsl.runtime.domain_scalars import scalar_bounds
from emdsl.runtime.domains import Coordinates
from emdsl.runtime.information import MOST_FOURTH_ORDER, Spectrum, score_differences, spectrum
from emdsl.runtime.problem import Array, Problem, Space, Theta

#: Methods that this module computes, and the method that each stands for.
STANDARD_ERRORS = ("observed", "louis", "sem", "opg", "sandwich")


@dataclass(frozen=True, eq=False)
class Uncertainty:
    """What the curvature at the estimate says.

    `se` and `interval` by parameter: arrays of its shape, intervals with a last axis (low, high); NaN for elements
    that are fixed, at a boundary (`boundary`) or not determined by the data (`unidentified`). `names` (m,) are the
    other elements, a symmetric matrix's once; `covariance` (m, m) is theirs. `free_covariance` (size, size) is that
    of the free coordinates `coordinates`, in the directions that the data determine, and `bend` the information's
    spectrum.
    """

    method: str
    level: float
    se: dict[str, Array]
    interval: dict[str, Array]
    names: tuple[str, ...]
    covariance: Array
    boundary: tuple[str, ...]
    unidentified: tuple[str, ...]
    coordinates: Coordinates
    free_covariance: Array
    bend: Spectrum


def normal_quantile(level: float) -> float:
    """The two-sided quantile of the standard Normal: 1.96 for 0.95."""
    from statistics import NormalDist

    return NormalDist().inv_cdf(0.5 + 0.5 * level)


def uncertainty(
    problem: Problem, coordinates: Coordinates, theta: Theta, *, method: str = "observed", level: float = 0.95
) -> Uncertainty:
    """Standard errors at theta, a maximum. `coordinates` have what lies at a boundary held (as `Climb.coordinates`).

    Methods: `observed` (and `louis`, the same matrix by Louis's identity) inverts the observed information; `sem`
    builds the information from EM's own rate (Meng and Rubin 1991); `opg` and `sandwich` need the score of each unit
    (`problem.unit_gradients`). With priors it is the curvature of the penalised log-likelihood.
    Raises ValueError for a method that the problem cannot serve.
    """
    size = coordinates.size
    order = 4 if size <= MOST_FOURTH_ORDER else 2
    if method == "sem":
        information = em_information(problem, coordinates, theta)
    else:
        information = score_differences(problem, coordinates, theta, order=order) if size else np.zeros((0, 0))
    if not np.isfinite(information).all():
        information = np.zeros((size, size))
    bend = spectrum(information, coordinates, theta)
    covariance = bend.inverse()
    if method in ("opg", "sandwich"):
        outer = outer_products(problem, coordinates, theta, weights_squared=method == "sandwich")
        covariance = covariance @ outer @ covariance if method == "sandwich" else spectrum(
            outer, coordinates, theta
        ).inverse()  # fmt: skip
    return spread(coordinates, theta, covariance, bend, method, level)


def spread(
    coordinates: Coordinates, theta: Theta, covariance: Array, bend: Spectrum, method: str, level: float
) -> Uncertainty:
    """The covariance of free coordinates carried over to the elements."""
    jacobian = coordinates.jacobian(theta)
    names, offsets = coordinates.names, coordinates.offsets
    moving = Coordinates(coordinates.spaces, theta).jacobian(theta).any(axis=1)
    at_edge = np.zeros(len(names), dtype=bool)
    at_edge[coordinates.boundary_elements] = True
    known = jacobian.any(axis=1) & bend.free_of_flat(jacobian) & ~at_edge
    variances = np.einsum("ij,jk,ik->i", jacobian, covariance, jacobian)
    errors = np.where(known & (variances >= 0), np.sqrt(np.maximum(variances, 0.0)), np.nan)
    listed = np.flatnonzero(np.isfinite(errors) & first_of_symmetric(coordinates))
    quantile = normal_quantile(level)
    se, interval = {}, {}
    for number, space in enumerate(coordinates.spaces):
        part = errors[offsets[number] : offsets[number + 1]].reshape(space.shape)
        se[space.name] = part
        interval[space.name] = natural_interval(space, np.asarray(theta[space.name], dtype=float), part, quantile)
    shared = jacobian[listed] @ covariance @ jacobian[listed].T
    loose = moving & ~at_edge & ~np.isfinite(errors)
    return Uncertainty(
        method, level, se, interval, tuple(names[i] for i in listed), 0.5 * (shared + shared.T),
        coordinates.boundary, tuple(names[i] for i in np.flatnonzero(loose)), coordinates,
        covariance, bend,
    )  # fmt: skip


def first_of_symmetric(coordinates: Coordinates) -> NDArray[np.bool_]:
    """All elements but the lower triangles of symmetric matrices, which repeat the upper ones, `(elements,)`."""
    parts = []
    for space in coordinates.spaces:
        mask = np.ones(space.shape, dtype=bool)
        if space.kind in ("covariance", "correlation"):
            mask &= np.triu(np.ones(space.shape[-2:], dtype=bool))
        parts.append(mask.ravel())
    return np.concatenate(parts) if parts else np.zeros(0, dtype=bool)


def natural_interval(space: Space, value: Array, se: Array, quantile: float) -> Array:
    """Wald intervals that stay inside the domain, `(*shape, 2)`: on the log scale above or below one bound, on the
    logit scale between two (also for elements of a simplex), by atanh for a correlation, as they are otherwise."""
    kind = space.kind
    low, high = scalar_bounds("unit" if kind == "simplex" else kind, space.low, space.high)
    if kind == "covariance" and value.ndim >= 2:
        diagonal = np.broadcast_to(np.eye(value.shape[-1], dtype=bool), value.shape)[..., None]
        return np.where(
            diagonal, bounded_interval(value, se, quantile, 0.0, np.inf),
            bounded_interval(value, se, quantile, -np.inf, np.inf),
        )  # fmt: skip
    if kind == "correlation":
        low, high = -1.0, 1.0
    return bounded_interval(value, se, quantile, low, high)


def bounded_interval(value: Array, se: Array, quantile: float, low: float, high: float) -> Array:
    """A Wald interval on the transformed scale of (low, high), taken back."""
    signs = np.array([-1.0, 1.0])
    with np.errstate(all="ignore"):
        value, se = value[..., None], se[..., None]
        match isfinite(low), isfinite(high):
            case True, True:
                above, below = value - low, high - value
                half = quantile * se * (high - low) / (above * below)
                out = low + (high - low) / (1 + below / above * np.exp(-signs * half))
            case True, False:
                out = low + (value - low) * np.exp(signs * quantile * se / (value - low))
            case False, True:
                out = high - (high - value) * np.exp(-signs * quantile * se / (high - value))
            case _:
                out = value + signs * quantile * se
    return np.asarray(np.where(np.isfinite(se), out, np.nan))


def em_information(problem: Problem, coordinates: Coordinates, theta: Theta) -> Array:
    """Supplemented EM (Meng and Rubin 1991, eq. 2.3.5): (1 - DM') I_c, with DM the Jacobian of the EM map and I_c
    minus the Hessian of Q, both by central differences."""
    u, size = coordinates.free(theta), coordinates.size
    statistics = problem.expect(theta).statistics
    units = 1.0 / spectrum(score_differences(problem, coordinates, theta, order=2), coordinates, theta).scale
    rate, complete = np.empty((size, size)), np.empty((size, size))
    for axis in range(size):
        h = min(0.05 * units[axis], 1e-2 * max(1.0, abs(u[axis])))
        moved = []
        for multiple in (-2, -1, 1, 2):
            point = u.copy()
            point[axis] += multiple * h
            there = coordinates.theta(point)
            mapped = coordinates.free(problem.maximize(there, problem.expect(there).statistics))
            moved.append((mapped, coordinates.pullback(there, problem.gradient(there, statistics))))
        (m2, g2), (m1, g1), (p1, h1), (p2, h2) = moved
        rate[:, axis] = (8 * (p1 - m1) - (p2 - m2)) / (12 * h)
        complete[:, axis] = -(8 * (h1 - g1) - (h2 - g2)) / (12 * h)
    matrix = (np.eye(size) - rate.T) @ complete
    return np.asarray(0.5 * (matrix + matrix.T))


def outer_products(problem: Problem, coordinates: Coordinates, theta: Theta, *, weights_squared: bool) -> Array:
    """Sum over units of the outer product of their scores, `(size, size)`.

    `problem.unit_gradients(theta)` gives the gradient of each unit's log-likelihood by parameter, `(units, *shape)`,
    and the units' weights. A whole-number weight is a count of units; another one multiplies its unit's score.
    """
    per_unit = getattr(problem, "unit_gradients", None)
    if per_unit is None:
        raise ValueError("standard errors of this kind need the score of each unit, which this model does not give")
    gradients, weights = per_unit(theta)
    parts = [np.asarray(gradients[space.name]).reshape(len(weights), -1) for space in coordinates.spaces]
    jacobian = coordinates.jacobian(theta)
    moving = jacobian.any(axis=1)  # what is held at a boundary may have no score
    scores = np.concatenate(parts, axis=1)[:, moving] @ jacobian[moving]
    counts = np.all(weights == np.round(weights))
    power = 1 if counts or not weights_squared else 2
    return np.asarray((scores * (weights**power)[:, None]).T @ scores)


def delta_method(
    values: Callable[[Theta], Mapping[str, Array]], theta: Theta, spread_of: Uncertainty
) -> dict[str, tuple[Array, Array, Array]]:
    """Derived quantities: by name the estimate, its standard error and its interval (last axis low, high).

    `values(theta)` gives all of them at once. Derivatives are central differences (fourth order) in the free
    coordinates; a quantity that changes along a direction that the data do not determine has a standard error of NaN.
    """
    coordinates = spread_of.coordinates
    u = coordinates.free(theta)
    centre = {name: np.asarray(value, dtype=float) for name, value in values(theta).items()}
    errors = np.sqrt(np.maximum(np.diag(spread_of.free_covariance), 0.0))
    steps = np.where(coordinates.flags("scale_free"), 4e-3, np.where(errors > 0, 0.02 * errors, 1e-4))
    slopes: dict[str, list[Array]] = {name: [] for name in centre}
    for axis in range(coordinates.size):
        shifted = []
        for multiple in (-2, -1, 1, 2):
            point = u.copy()
            point[axis] += multiple * steps[axis]
            shifted.append(values(coordinates.theta(point)))
        for name, column in slopes.items():
            m2, m1, p1, p2 = (np.asarray(item[name], dtype=float) for item in shifted)
            column.append((8 * (p1 - m1) - (p2 - m2)) / (12 * steps[axis]))
    quantile = normal_quantile(spread_of.level)
    out = {}
    for name, estimate in centre.items():
        slope = np.stack(slopes[name], axis=-1) if slopes[name] else np.zeros((*estimate.shape, 0))
        variance = np.einsum("...j,jk,...k->...", slope, spread_of.free_covariance, slope)
        tight = spread_of.bend.free_of_flat(slope.reshape(estimate.size, coordinates.size)).reshape(estimate.shape)
        se = np.where(tight, np.sqrt(np.maximum(variance, 0.0)), np.nan)
        out[name] = (estimate, se, bounded_interval(estimate, se, quantile, -np.inf, np.inf))
    return out
