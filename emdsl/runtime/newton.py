"""The last digits: Newton's method on the score, whose decrement says how much log-likelihood is still to be gained."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emdsl.runtime.domain_scalars import LOG_ZERO
from emdsl.runtime.domains import Coordinates
from emdsl.runtime.em import Iterate, Progress, evaluate_if_possible, rounding
from emdsl.runtime.information import Spectrum, observed_information, spectrum
from emdsl.runtime.problem import Array, Problem

#: A Newton step longer than this, in a log or logit, near convergence, is a coordinate on its way to the boundary.
RUNAWAY = 0.25


@dataclass(frozen=True, eq=False)
class Polish:
    """Where Newton's method came to.

    `coordinates` have what lies at a boundary held. `decrement` is the log-likelihood still to be gained at `iterate`;
    `outcome` is `converged`, `indefinite` (the information is not positive definite there), `stalled` (no step along
    Newton's direction raises the log-likelihood, or the score is no number) or `iterations`. `bend` is the information
    last used, if one could be built. `runaway` names elements that were still on their way to infinity.
    """

    iterate: Iterate
    coordinates: Coordinates
    decrement: float
    iterations: int
    outcome: str
    bend: Spectrum | None
    trace: tuple[tuple[int, float], ...]
    runaway: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Place:
    """A point of Newton's path: the iterate, its coordinates, u and the score there."""

    iterate: Iterate
    coordinates: Coordinates
    u: Array
    slope: Array

    @property
    def usable(self) -> bool:
        """Whether the score is a number."""
        return bool(np.isfinite(self.slope).all())


def place_at(problem: Problem, iterate: Iterate, coordinates: Coordinates) -> Place:
    """The point with its score, from the statistics of the iterate's own E-step."""
    slope = coordinates.pullback(iterate.theta, problem.gradient(iterate.theta, iterate.statistics))
    return Place(iterate, coordinates, coordinates.free(iterate.theta), slope)


def newton(
    problem: Problem,
    start: Iterate,
    coordinates: Coordinates,
    tol: float,
    limit: int,
    *,
    late: bool = False,
    done: int = 0,
    progress: Progress | None = None,
) -> Polish:
    """Newton steps until the decrement is below `tol`, then one more for the digits.

    The information is built again only when the decrement did not fall to a tenth. Steps are halved until the penalised
    log-likelihood does not fall. A coordinate that runs off to a boundary is set there if that does not lower the
    likelihood, and held. `late`: EM has nothing more to gain.
    """
    here = exact_bounds(problem, place_at(problem, start, coordinates.at(start.theta)))
    trace: list[tuple[int, float]] = []
    bend: Spectrum | None = None
    information: Array | None = None
    fresh, last, outcome, decrement, crawl = False, np.inf, "iterations", np.inf, 0
    runaway: tuple[str, ...] = ()
    while True:
        if not here.usable:
            outcome = "stalled"
            break
        if information is None:
            information = observed_information(problem, here.coordinates, here.iterate.theta, order=2)
            fresh = True
            if not np.isfinite(information).all():
                outcome = "stalled"
                break
        bend = spectrum(information, here.coordinates, here.iterate.theta)
        decrement = bend.decrement(here.slope)
        step = bend.solve(here.slope)
        if not fresh and (bend.indefinite or decrement > 0.1 * last):
            information = None
            continue
        settled = set_at_boundary(problem, here, bend, step, late=late) if decrement < 0.1 else None
        if settled is not None:
            here, information, last = settled, None, np.inf
            continue
        if bend.indefinite:
            outcome, decrement = "indefinite", np.nan
            break
        certified = decrement < tol
        if not certified and len(trace) >= limit:
            break
        following = climb(problem, here, step)
        if following is None:
            if certified:
                outcome = "converged"
                break
            if fresh:
                outcome = "stalled"
                break
            information = None
            continue
        crawl = crawl + 1 if 0.1 * last < decrement < last else 0
        here, last, stale, fresh = following, decrement, not fresh, False
        trace.append((done + len(trace) + 1, here.iterate.loglik))
        if progress is not None:
            progress("newton", done + len(trace), here.iterate)
        if certified:
            decrement = bend.decrement(here.slope) if here.usable else decrement
            if stale and decrement > 1e-6 * tol:
                information = None  # one more step with the information of this very place
                continue
            outcome = "converged"
            runaway = running_off(problem, here, bend, step, crawl >= 4)
            break
    return Polish(here.iterate, here.coordinates, decrement, len(trace), outcome, bend, tuple(trace), runaway)


def exact_bounds(problem: Problem, here: Place) -> Place:
    """The place with what is held next to a bound exactly on it, if the likelihood and its score allow it."""
    if here.coordinates.kept is None:
        return here
    full = Coordinates(problem.spaces, here.iterate.theta)
    held = full.edges(here.iterate.theta)
    u = full.full_free(here.iterate.theta)
    u[held] = np.where(full.flags("closed_above")[held] & (u[held] > 0), -10 * LOG_ZERO, 10 * LOG_ZERO)
    found = evaluate_if_possible(problem, full.theta(u))
    if found is None or found.value < here.iterate.value - rounding(here.iterate.value):
        return here
    place = place_at(problem, found, full.at(found.theta))
    return place if place.usable else here


def running_off(problem: Problem, here: Place, bend: Spectrum, step: Array, crawled: bool) -> tuple[str, ...]:
    """Elements on their way to infinity: after many steps (`crawled`) Newton still moves them by a hundredth and more
    of their size, though nothing is to be gained; or the likelihood no longer bends along them but is lower nearer to
    0."""
    share = np.abs(step) / np.maximum(1.0, np.abs(here.u))
    moving = (share > 1e-2) & (share > 0.1 * share.max(initial=0.0)) & crawled
    for axis in np.flatnonzero(bend.curvature == 0.0):
        for factor in (0.5, 0.1, 0.0):
            u = here.u.copy()
            u[axis] *= factor
            nearer = evaluate_if_possible(problem, here.coordinates.theta(u))
            moving[axis] |= nearer is not None and nearer.value < here.iterate.value - 1e-6
    names = here.coordinates.names
    return tuple(names[i] for i in here.coordinates.elements[moving])


def climb(problem: Problem, here: Place, step: Array) -> Place | None:
    """The longest of step, step/2, step/4, … after which the penalised log-likelihood has not fallen, or None."""
    longest = np.abs(step[here.coordinates.flags("scale_free")]).max(initial=0.0)
    share = min(1.0, 10.0 / longest) if longest > 0 else 1.0
    for _ in range(12):
        u = here.u + share * step
        found = evaluate_if_possible(problem, here.coordinates.theta(u))
        if found is not None and found.value >= here.iterate.value - rounding(here.iterate.value):
            return place_at(problem, found, here.coordinates)
        share /= 2
    return None


def set_at_boundary(problem: Problem, here: Place, bend: Spectrum, step: Array, *, late: bool) -> Place | None:
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
    place = here
    for element in here.coordinates.elements[down | up]:
        axis = int(np.flatnonzero(place.coordinates.elements == element)[0])
        outwards = -1.0 if place.u[axis] < 0 or not place.coordinates.flags("closed_above")[axis] else 1.0
        place = held_outside(problem, place, axis, outwards) or place
    return None if place is here else place


def held_outside(problem: Problem, here: Place, axis: int, outwards: float) -> Place | None:
    """The point with one coordinate held at its bound, or, where the likelihood has no score at the bound, just
    before it; None if the likelihood is lower there, or not lower inside: then the data say nothing about the
    coordinate."""
    value = here.iterate.value

    def moved(distance: float) -> tuple[Array, Iterate | None]:
        u = here.u.copy()
        u[axis] += distance * outwards
        return u, evaluate_if_possible(problem, here.coordinates.theta(u))

    for distance in (-3.0, -10.0, -30.0, -100.0):
        _, inside = moved(distance)
        if inside is None or abs(inside.value - value) > worth_having(value):
            break
    if inside is not None and inside.value > value - worth_having(value):
        return None
    for distance in (-10 * LOG_ZERO, 14.0, 7.0, 0.0):
        outer, found = moved(distance)
        if found is None:
            continue
        if found.value < value - rounding(value):
            return None
        place = place_at(problem, found, here.coordinates.holding(outer, np.array([axis])))
        if place.usable:
            return place
    return None


def released(problem: Problem, polish: Polish) -> Iterate | None:
    """A better point just inside, if an element that is held at a boundary should not be there; None if all is well.

    EM never leaves a zero, and a start may hold one: each held coordinate is moved inside, a little and a little
    more, and the likelihood must be lower there.
    """
    full = Coordinates(problem.spaces, polish.iterate.theta)
    held = np.isin(full.full_elements, polish.coordinates.full_elements[polish.coordinates.held])
    u = full.free(polish.iterate.theta)
    below, above = full.flags("closed_below"), full.flags("closed_above")
    better = polish.iterate.value + worth_having(polish.iterate.value)
    for axis in np.flatnonzero(held & (below | above)):
        for depth in (14.0, 7.0, 2.0):
            moved = u.copy()
            moved[axis] = depth if above[axis] and u[axis] > 0 else -depth
            found = evaluate_if_possible(problem, full.theta(moved))
            if found is not None and found.value > better:
                return found
    return None


def escape(problem: Problem, polish: Polish) -> Iterate | None:
    """A higher point beside a point without slope, along the directions that bend upwards or not at all; None if none
    is higher. (At a mixture with all components equal the likelihood is flat to the third order and rises by the
    fourth.)"""
    if polish.bend is None:
        return None
    u = polish.coordinates.free(polish.iterate.theta)
    natural = polish.coordinates.flags("scale_free")
    better = polish.iterate.value + worth_having(polish.iterate.value)
    for direction in polish.bend.unbent():
        longest = 3.0 / max(float(np.abs(direction[natural]).max(initial=0.0)), 1e-300)
        for length in (30.0, 10.0, 3.0, 1.0, 0.3):
            for sign in (1.0, -1.0):
                moved = polish.coordinates.theta(u + sign * min(length, longest) * direction)
                found = evaluate_if_possible(problem, moved)
                if found is not None and found.value > better:
                    return found
    return None


def worth_having(value: float) -> float:
    """A gain in log-likelihood that is no rounding error."""
    return max(1e-9, 1e3 * rounding(value))
