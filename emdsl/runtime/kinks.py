"""Maxima at a kink of the likelihood, as a Laplace location has at the median: no derivative is 0 there.

The certificate is that the objective rises in no direction tried. What has kinks is held while Newton's method settles
the rest, and has no standard error by curvature.
"""

from __future__ import annotations

import numpy as np

from emdsl.runtime.domains import Coordinates
from emdsl.runtime.em import Iterate, evaluate_if_possible, rounding
from emdsl.runtime.problem import Array, Problem

#: Random directions, besides one coordinate at a time, along which nothing may rise.
DIRECTIONS = 40
#: Lengths of the moves that are tried, in units of a coordinate's size.
LENGTHS = (1.0, 1e-1, 1e-2, 1e-3, 1e-5, 1e-7)
#: A gain below this is not worth a move.
LEAST_GAIN = 1e-11


def higher_beside_kink(problem: Problem, iterate: Iterate) -> Iterate | None:
    """A higher point along the coordinates with kinks, None where every direction tried falls."""
    full = Coordinates(problem.spaces, iterate.theta)
    axes = np.flatnonzero(full.kinked)
    if not len(axes):
        return None
    current = iterate
    for axis in axes:
        direction = np.zeros(full.size)
        direction[axis] = 1.0
        current = _highest_along(problem, full, current, direction)
    rng = np.random.default_rng(0)
    for _ in range(DIRECTIONS if len(axes) > 1 else 0):
        direction = np.zeros(full.size)
        direction[axes] = rng.normal(size=len(axes))
        current = _highest_along(problem, full, current, direction)
    gain = current.value - iterate.value
    return current if gain > max(LEAST_GAIN, 10 * rounding(iterate.value)) else None


def _highest_along(problem: Problem, full: Coordinates, start: Iterate, direction: Array) -> Iterate:
    """The highest point on a line, by moves of ever smaller length and then between the last three points."""
    best, u = start, full.free(start.theta)
    unit = max(1.0, float(np.abs(u[direction != 0]).max(initial=0.0))) * direction
    at = 0.0

    def value(t: float) -> Iterate | None:
        return evaluate_if_possible(problem, full.theta(u + t * unit))

    for length in LENGTHS:
        for sign in (1.0, -1.0):
            while True:
                found = value(at + sign * length)
                if found is None or not found.value > best.value:
                    break
                best, at = found, at + sign * length
    low, high = at - LENGTHS[-1], at + LENGTHS[-1]
    for _ in range(60):
        left, right = low + (high - low) / 3, high - (high - low) / 3
        one, two = value(left), value(right)
        if one is None or two is None or right <= left:
            break
        for found in (one, two):
            if found.value > best.value:
                best = found
        low, high = (left, high) if one.value < two.value else (low, right)
    return best
