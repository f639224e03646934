"""Intervals by the profile likelihood: the values at which the other parameters cannot keep the likelihood high enough.

An element is held at a value and everything else maximised; the ends of the interval are where twice the fall of the
(penalised) log-likelihood is the quantile of chi-squared with one degree of freedom (Venzon & Moolgavkar 1988).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from emdsl.runtime.convergence import converge
from emdsl.runtime.domain_scalars import scalar_bounds
from emdsl.runtime.em import evaluate_if_possible
from emdsl.runtime.problem import Array, Problem, Space, Theta
from emdsl.runtime.uncertainty import Uncertainty, normal_quantile

#: Domains whose elements can be held one by one.
SERVED = ("real", "positive", "unit", "interval", "simplex", "contrast", "ordered")
#: How close the square root of twice the fall comes to the quantile.
CLOSE = 1e-6
#: Refits for one end of an interval, at most.
MOST_FITS = 40
#: A log or logit so far out stands for the bound.
FAR = 35.0


@dataclass(frozen=True)
class Profiled:
    """Intervals by parameter, `(*shape, 2)`, NaN where there is none; `higher` says that a refit came above the
    estimate, `wald` names parameters whose intervals are Wald's, `open_ended` counts ends that were not found."""

    interval: dict[str, Array]
    higher: bool
    wald: tuple[str, ...]
    open_ended: int


def profile_intervals(problem: Problem, theta: Theta, value: float, wald: Uncertainty) -> Profiled:
    """The intervals of all elements that have a standard error. `value` is the objective at theta, its maximum.

    `problem.holding(theta, mask)` is the problem with the elements of the mask held where theta has them.
    """
    interval = {name: array.copy() for name, array in wald.interval.items()}
    search = EndSearch(problem, theta, value, normal_quantile(wald.level))
    kept: list[str] = []
    for space in problem.spaces:
        errors = wald.se[space.name]
        if space.kind not in SERVED:
            kept += [space.name] if np.isfinite(errors).any() else []
            continue
        for place in map(tuple, np.argwhere(np.isfinite(errors))):
            interval[space.name][place] = [search.end(space, place, errors[place], sign) for sign in (-1, 1)]
    return Profiled(interval, search.higher, tuple(kept), search.open_ended)


@dataclass
class EndSearch:
    """The search for the ends of intervals around a maximum."""

    problem: Problem
    theta: Theta
    value: float
    quantile: float
    higher: bool = False
    open_ended: int = 0

    def end(self, space: Space, place: tuple[int, ...], se: float, sign: int) -> float:
        """The end below (`sign` -1) or above (1) the estimate; the bound itself where the likelihood does not fall
        enough, NaN where it is not found."""
        scale = Scale(*scalar_bounds("unit" if space.kind == "simplex" else space.kind, space.low, space.high))
        centre = float(np.asarray(self.theta[space.name])[place])
        t0 = scale.there(centre)
        step = sign * self.quantile * se / scale.slope(centre)
        near, far = (t0, 0.0), (np.nan, np.nan)
        warm: Theta = self.theta
        t = t0 + step
        for _ in range(MOST_FITS):
            if scale.bounded and abs(t) > FAR:
                return scale.back(np.copysign(np.inf, t))
            found = self.held(space, place, scale.back(t), warm)
            if found is None:
                fall = np.nan
            else:
                fall, warm = found
            if abs(fall - self.quantile) < CLOSE:
                return scale.back(t)
            if fall < self.quantile:
                near = (t, fall)
            else:
                far = (t, fall)
            if np.isfinite(far[0]):
                following = between(near, far, self.quantile)
            else:
                following = near[0] + 2 * (near[0] - t0 or step)
            if abs(following - t) <= 1e-10 * max(1.0, abs(t)):
                return scale.back(t)
            t = following
        self.open_ended += 1
        return float("nan")

    def held(
        self, space: Space, place: tuple[int, ...], at: float, warm: Theta
    ) -> tuple[float, dict[str, Array]] | None:
        """The root of twice the fall of the objective with the element held `at`, and where it is highest then."""
        theta = {name: np.array(value, dtype=float) for name, value in warm.items()}
        theta[space.name] = moved(space, theta[space.name], place, at)
        mask: NDArray[np.bool_] = np.zeros(space.shape, dtype=bool)
        mask[place] = True
        problem = self.problem.holding(theta, {space.name: mask})  # type: ignore[attr-defined]
        start = evaluate_if_possible(problem, theta)
        if start is None:
            return None
        climb = converge(problem, start, tol=1e-9, limit=5000)
        fall = 2 * (self.value - climb.iterate.value)
        self.higher |= fall < -1e-6
        return float(np.sqrt(max(fall, 0.0))), climb.iterate.theta


@dataclass(frozen=True)
class Scale:
    """A number between bounds on the scale on which it has none: a log, a logit or itself."""

    low: float
    high: float

    @property
    def bounded(self) -> bool:
        """Whether there is a bound on either side."""
        return isfinite(self.low) or isfinite(self.high)

    def there(self, x: float) -> float:
        """The number on the scale."""
        match isfinite(self.low), isfinite(self.high):
            case True, True:
                return float(np.log(x - self.low) - np.log(self.high - x))
            case True, False:
                return float(np.log(x - self.low))
            case False, True:
                return float(-np.log(self.high - x))
        return x

    def back(self, t: float) -> float:
        """The number itself."""
        match isfinite(self.low), isfinite(self.high):
            case True, True:
                return float(self.low + (self.high - self.low) / (1.0 + np.exp(-t)))
            case True, False:
                return float(self.low + np.exp(t))
            case False, True:
                return float(self.high - np.exp(-t))
        return t

    def slope(self, x: float) -> float:
        """dx/dt."""
        match isfinite(self.low), isfinite(self.high):
            case True, True:
                return (x - self.low) * (self.high - x) / (self.high - self.low)
            case True, False:
                return x - self.low
            case False, True:
                return self.high - x
        return 1.0


def between(near: tuple[float, float], far: tuple[float, float], wanted: float) -> float:
    """Where the straight line through two points, `(t, fall)`, takes the wanted value, a little inside their ends; the
    middle where the far one has no value."""
    (a, below), (b, above) = near, far
    if not np.isfinite(above):
        return 0.5 * (a + b)
    share = (wanted - below) / max(above - below, 1e-300)
    return a + float(np.clip(share, 0.02, 0.98)) * (b - a)


def moved(space: Space, value: Array, place: tuple[int, ...], at: float) -> Array:
    """The array with one element moved: the others of a simplex share what is left, those of an increasing vector make
    room."""
    out = value.copy()
    old = out[place]
    out[place] = at
    if space.kind == "simplex":
        lead = len(space.shape) - space.event
        cells = out[place[:lead]]
        free = ~space.fixed[place[:lead]].copy()
        free[place[lead:]] = False
        left, had = 1.0 - cells[~free].sum(), cells[free].sum()
        cells[free] = cells[free] * (left / had) if had > 0 else left / max(int(free.sum()), 1)
    elif space.kind == "ordered":
        out[place[:-1]] = value[place[:-1]] + (at - old)
    return out
