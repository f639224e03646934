"""Likelihoods without a maximum: a scale that falls to 0, a probability with an infinite density at its bound."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from emdsl.runtime.domains import Coordinates
from emdsl.runtime.em import Iterate, evaluate
from emdsl.runtime.neutral import element_names
from emdsl.runtime.problem import Array, Problem, Space

#: Iterations between two looks at a climb.
STRETCH = 50
#: A logarithm below this is that of a number next to 0, whatever the units.
NEXT_TO_0 = -60.0
#: Looks that are compared.
LOOKS = 5
#: A logarithm that falls by FALL in all, in every stretch by STEADY, while the objective rises in proportion, by more
#: than SLOPE for each unit, is that of a scale on its way to 0: towards a maximum the proportion falls to nothing.
FALL, STEADY, SLOPE = 4.0, 0.2, 0.2
#: By how much the proportions of the stretches may differ.
ALIKE = 0.02
#: A log-likelihood that rises by more than this where a coordinate at its bound goes further out has no maximum.
RISE = 1e-3


def collapsing(coordinates: Coordinates, looks: Sequence[Iterate]) -> tuple[str, ...]:
    """The elements whose distance from a bound falls without end while the objective rises without end, told from the
    last looks, STRETCH iterations apart."""
    if len(looks) < LOOKS:
        return ()
    path = np.array([coordinates.free(look.theta) for look in looks[-LOOKS:]])
    falls = -np.diff(path, axis=0)
    rises = np.diff([look.value for look in looks[-LOOKS:]])[:, None]
    falling = coordinates.flags("closed_below") & (falls > STEADY).all(axis=0) & (falls.sum(axis=0) > FALL)
    with np.errstate(all="ignore"):
        slopes = rises / falls
        mean = slopes.mean(axis=0)
        alike = (np.abs(slopes - mean) < ALIKE * mean).all(axis=0) & (mean > SLOPE)
    names = coordinates.names
    return tuple(names[i] for i in coordinates.elements[falling & alike])


def far_and_rising(problem: Problem, iterate: Iterate, coordinates: Coordinates) -> tuple[str, ...]:
    """The elements so near a bound that no data can have put them there, towards which the objective goes on rising."""
    u, names = coordinates.free(iterate.theta), coordinates.names
    outwards = np.where(coordinates.flags("closed_below") & (u < NEXT_TO_0), -10.0, 0.0)
    found = _rising(problem, iterate, coordinates, outwards, 1.0)
    return tuple(names[coordinates.elements[axis]] for axis in found)


def without_bound(problem: Problem, iterate: Iterate, coordinates: Coordinates) -> tuple[str, ...]:
    """The elements held next to a bound towards which the objective goes on rising."""
    full = Coordinates(problem.spaces, iterate.theta)
    held = np.isin(full.full_elements, coordinates.full_elements[coordinates.held]) & ~full.unsmooth
    u, names = full.free(iterate.theta), full.names
    below, above = full.flags("closed_below"), full.flags("closed_above")
    outwards = np.where(above & (u > 0), 10.0, -10.0) * (held & (below | above))
    found = _rising(problem, iterate, full, outwards, RISE)
    return tuple(names[full.full_elements[axis]] for axis in found)


def _rising(
    problem: Problem, iterate: Iterate, coordinates: Coordinates, outwards: Array, least: float
) -> Iterator[int]:
    """The coordinates whose move `outwards` alone raises the objective by more than `least`. Of many next to their
    bounds hardly one matters to the objective: those that it does not feel, moved together, are passed over.
    """
    u = coordinates.free(iterate.theta)
    waiting = [np.flatnonzero(outwards)]
    while waiting:
        axes = waiting.pop()
        if not len(axes):
            continue
        moved = u.copy()
        moved[axes] += outwards[axes]
        try:
            gain = evaluate(problem, coordinates.theta(moved)).value - iterate.value
        except (np.linalg.LinAlgError, FloatingPointError):
            gain = np.nan
        if len(axes) == 1:
            if gain > least:
                yield int(axes[0])
        elif not abs(gain) <= 1e-3 * least:
            half = len(axes) // 2
            waiting += [axes[half:], axes[:half]]


def next_collapse(problem: Problem, iterate: Iterate) -> tuple[str, ...]:
    """The elements that the next M-step sets to 0 or to no number, and the matrices that it makes singular."""
    try:
        following = problem.maximize(iterate.theta, iterate.statistics)
    except np.linalg.LinAlgError:
        following = dict(iterate.theta)
    return tuple(name for space in problem.spaces for name in _collapsed(space, np.asarray(following[space.name])))


def _collapsed(space: Space, value: np.ndarray) -> Sequence[str]:
    if space.kind in ("covariance", "correlation"):
        matrices = value.reshape(-1, *value.shape[-2:])
        bad = [
            not np.isfinite(m).all() or np.linalg.eigvalsh(m)[0] <= 1e-14 * max(np.trace(m), 1e-300) for m in matrices
        ]
        return [space.name] if any(bad) else []
    if space.kind != "positive":
        return []
    names = element_names(space)
    return [names[k] for k in np.flatnonzero(~np.isfinite(value.ravel()) | (value.ravel() <= 0.0))]


def rounding_noise(problem: Problem, iterate: Iterate, coordinates: Coordinates) -> float:
    """How far the objective moves where coordinates move by a few units in their last place: its rounding error, as at
    a maximum nothing else moves it. Infinite where it has no value there."""
    u = coordinates.free(iterate.theta)
    rng = np.random.default_rng(0)
    worst = 0.0
    for _ in range(3):
        moved = u * (1.0 + 4e-16 * rng.choice([-1.0, 0.0, 1.0], size=len(u)))
        try:
            value = evaluate(problem, coordinates.theta(moved)).value
        except (np.linalg.LinAlgError, FloatingPointError):
            return np.inf
        worst = max(worst, abs(value - iterate.value)) if np.isfinite(value) else np.inf
    return float(worst)
