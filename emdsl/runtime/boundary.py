"""Estimates at the edge of their domain: setting them there, holding them, and seeing whether they belong there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emdsl.runtime.domain_scalars import ZERO_COORDINATE
from emdsl.runtime.domains import Coordinates
from emdsl.runtime.em import Iterate, evaluate_if_possible, rounding, worth_having
from emdsl.runtime.information import Spectrum, score_from
from emdsl.runtime.problem import Array, Problem

#: A Newton step longer than this, in a log or logit, near convergence, is a coordinate on its way to the boundary.
RUNAWAY = 0.25
#: A log or logit so large stands for a value that is exactly at the bound.
AT_BOUND = -10 * ZERO_COORDINATE


@dataclass(frozen=True, eq=False)
class Standpoint:
    """A point of Newton's path: the iterate, its coordinates, u and the score there."""

    iterate: Iterate
    coordinates: Coordinates
    u: Array
    slope: Array

    @property
    def usable(self) -> bool:
        """Whether the score is a number."""
        return bool(np.isfinite(self.slope).all())


def place_at(problem: Problem, iterate: Iterate, coordinates: Coordinates) -> Standpoint:
    """The point with its score, from the statistics of the iterate's own E-step."""
    slope = score_from(problem, coordinates, iterate.theta, iterate.statistics)
    return Standpoint(iterate, coordinates, coordinates.free(iterate.theta), slope)


def exact_bounds(problem: Problem, here: Standpoint) -> Standpoint:
    """The place with what is held next to a bound exactly on it, if the likelihood and its score allow it."""
    if here.coordinates.kept is None:
        return here
    full = Coordinates(problem.spaces, here.iterate.theta)
    held, u = full.edges(here.iterate.theta) & ~full.unsmooth, full.full_free(here.iterate.theta)
    if not held.any():
        return here
    u[held] = np.where(full.flags("closed_above")[held] & (u[held] > 0), AT_BOUND, -AT_BOUND)
    found = evaluate_if_possible(problem, full.theta(u))
    if found is None or found.value < here.iterate.value - rounding(here.iterate.value):
        return here
    place = place_at(problem, found, full.at(found.theta))
    return place if place.usable else here


def set_at_boundary(
    problem: Problem, here: Standpoint, bend: Spectrum, step: Array, *, late: bool
) -> Standpoint | None:
    """The point with everything that runs off to a boundary set there and held, or None if nothing does.

    A coordinate is suspected if, while next to nothing is to be gained, Newton would move it by more than 1/4 in a
    log or logit towards a bound, or if it has no curvature left; `late`, also if it takes part in a direction that
    bends upwards (so close to a bound the score may be mostly rounding error). `held_outside` decides.
    """
    below, above = here.coordinates.flags("closed_below"), here.coordinates.flags("closed_above")
    if not bend.indefinite:
        spent = here.coordinates.flags("scale_free") & (bend.curvature < 1e-6)
        down = below & ((step < -RUNAWAY) | (spent & (here.slope <= 0)))
        up = above & ((step > RUNAWAY) | (spent & (here.slope >= 0)))
    else:
        rising = (np.abs(bend.vectors[:, bend.values < 0]) > 0.1).any(axis=1) & late
        down, up = below & rising & (here.u < 0), above & rising & (here.u > 0)
    units = dict(zip(here.coordinates.elements.tolist(), bend.scale.tolist(), strict=True))
    place = here
    for element, outwards in zip(
        here.coordinates.elements[down | up], np.where(down, -1.0, 1.0)[down | up], strict=True
    ):
        axis = int(np.flatnonzero(place.coordinates.elements == element)[0])
        place = held_outside(problem, place, axis, float(outwards), units) or place
    return None if place is here else place


def held_outside(
    problem: Problem, here: Standpoint, axis: int, outwards: float, units: dict[int, float]
) -> Standpoint | None:
    """The point with one coordinate held at its bound, or, where the likelihood has no score at the bound, before it.

    None if the likelihood is lower there, or not lower inside: then the data say nothing about the coordinate. Close to
    a bound the score of other coordinates may be mostly rounding error (a residual over a variance next to 0), so the
    point is taken only if the score is `steady`. `units` has the root of each coordinate's curvature, by element.
    """
    value = here.iterate.value

    def moved(distance: float) -> tuple[Array, Iterate | None]:
        u = here.u.copy()
        u[axis] += distance * outwards
        return u, evaluate_if_possible(problem, here.coordinates.theta(u))

    inside = None
    for distance in (-3.0, -10.0, -30.0, -100.0, -300.0):
        _, inside = moved(distance)
        if inside is None or abs(inside.value - value) > worth_having(value):
            break
    if inside is not None and inside.value > value - worth_having(value):
        return None
    for distance in (AT_BOUND, 14.0, 10.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0, 0.0):
        outer, found = moved(distance)
        if found is None:
            continue
        if found.value < value - rounding(value):
            return None
        place = place_at(problem, found, here.coordinates.holding(outer, np.array([axis])))
        if place.usable and steady(problem, place, units):
            return place
    return None


def steady(problem: Problem, place: Standpoint, units: dict[int, float]) -> bool:
    """Whether the score, in standard errors, stays the same to 1e-7 where u moves by no more than rounding."""
    unit = np.array([units.get(element, np.inf) for element in place.coordinates.elements.tolist()])
    for size in (1e-13, -2e-13, 3e-13):
        u = place.u + size * np.maximum(1.0, np.abs(place.u))
        found = evaluate_if_possible(problem, place.coordinates.theta(u))
        if found is None:
            return False
        change = np.abs(place_at(problem, found, place.coordinates).slope - place.slope)
        if not (change <= 1e-7 * unit).all():
            return False
    return True


def released(problem: Problem, iterate: Iterate, coordinates: Coordinates) -> Iterate | None:
    """A better point just inside, if an element that is held at a boundary should not be there; None if all is well.

    EM never leaves a zero, and a start may hold one: each coordinate held exactly at its bound is moved inside, a
    little and a little more, and the likelihood must be lower there.
    """
    full = Coordinates(problem.spaces, iterate.theta)
    held = np.isin(full.full_elements, coordinates.full_elements[coordinates.held]) & ~full.unsmooth
    u = full.free(iterate.theta)
    below, above = full.flags("closed_below"), full.flags("closed_above")
    better = iterate.value + worth_having(iterate.value)
    for axis in np.flatnonzero(held & (below | above) & (np.abs(u) > 0.9 * abs(ZERO_COORDINATE))):
        for depth in (14.0, 7.0, 2.0):
            moved = u.copy()
            moved[axis] = depth if above[axis] and u[axis] > 0 else -depth
            found = evaluate_if_possible(problem, full.theta(moved))
            if found is not None and found.value > better:
                return found
    return None


def running_off(problem: Problem, here: Standpoint, bend: Spectrum, step: Array, crawled: bool) -> tuple[str, ...]:
    """Elements on their way to infinity: after many steps (`crawled`) Newton still moves them by a hundredth and more
    of their size, though nothing is to be gained; or the likelihood no longer bends along them but is lower nearer to
    0; or it hardly bends along them and `rises_outwards`, also along a direction that several of them share."""
    share = np.abs(step) / np.maximum(1.0, np.abs(here.u))
    moving = (share > 1e-2) & (share > 0.1 * share.max(initial=0.0)) & crawled
    for axis in np.flatnonzero(bend.curvature == 0.0):
        for factor in (0.5, 0.1, 0.0):
            u = here.u.copy()
            u[axis] *= factor
            nearer = evaluate_if_possible(problem, here.coordinates.theta(u))
            moving[axis] |= nearer is not None and nearer.value < here.iterate.value - 1e-6
    for axis in np.flatnonzero(~moving & (bend.curvature * here.u**2 < 1.0)):
        way = np.zeros(len(here.u))
        way[axis] = here.u[axis]
        moving[axis] = rises_outwards(problem, here, way)
    for direction in (bend.vectors[:, bend.flat] / bend.scale[:, None]).T:
        along = direction / np.sqrt((direction**2).sum())
        taking_part = np.abs(along) > 0.1
        if taking_part.sum() > 1 and not moving[taking_part].any():
            moving |= taking_part & rises_outwards(problem, here, float(along @ here.u) * along)
    names = here.coordinates.names
    return tuple(names[i] for i in here.coordinates.elements[moving])


def rises_outwards(problem: Problem, here: Standpoint, way: Array) -> bool:
    """Whether the likelihood is lower some of the way back and no lower twice and four times as far out: so it is on a
    slope that levels off at infinity, and not at a maximum, however flat, nor along a curve of equal likelihoods.

    A way shorter than 3 is none: on that scale a maximum may be as flat.
    """
    if not np.abs(way).max(initial=0.0) > 3.0:
        return False
    value = here.iterate.value
    for factor in (1.0, 3.0):
        farther = evaluate_if_possible(problem, here.coordinates.theta(here.u + factor * way))
        if farther is None or farther.value < value - worth_having(value):
            return False
    for factor in (0.5, 0.9, 1.0):
        nearer = evaluate_if_possible(problem, here.coordinates.theta(here.u - factor * way))
        if nearer is not None and nearer.value < value - 1e-6:
            return True
    return False
