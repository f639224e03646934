"""From a starting point to a maximum, with the evidence that it is one."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from emdsl.runtime.acceleration import accelerated_em
from emdsl.runtime.boundary import place_at, released
from emdsl.runtime.collapse import far_and_rising, without_bound
from emdsl.runtime.domains import Coordinates
from emdsl.runtime.em import Iterate, Progress, Run, em_step, rounding
from emdsl.runtime.information import MOST_COORDINATES, score_differences, spectrum
from emdsl.runtime.kinks import higher_beside_kink
from emdsl.runtime.newton import Polish, escape, newton
from emdsl.runtime.problem import Array, Problem


@dataclass(frozen=True, eq=False)
class Climb:
    """How a fit from one start ended.

    `coordinates` have what lies at a boundary held; `decrement` is the log-likelihood still to be gained, NaN where
    it was not found out. `stopped_by` is `decrement`, `score` (the same by the score and the EM rate, without a
    Hessian), `tolerance` (EM gains nothing any more, but the decrement is not below the tolerance) or `iterations`.
    `saddle`: the point is one, and nothing higher was found beside it. `runaway` names elements that run off to
    infinity, `collapse` those that run into a bound at which the objective is infinite. `fell`, `broke`: as in a Run.
    """

    iterate: Iterate
    coordinates: Coordinates
    iterations: int
    stopped_by: str
    decrement: float
    saddle: bool
    fell: float
    broke: bool
    trace: tuple[tuple[int, float], ...]
    runaway: tuple[str, ...] = ()
    collapse: tuple[str, ...] = ()

    @property
    def converged(self) -> bool:
        """Whether there is evidence for a maximum."""
        ended = self.stopped_by in ("decrement", "score")
        return ended and not self.saddle and not self.broke and not self.runaway and not self.collapse


#: Times that a kink is left for a higher point before the climb gives up.
MOST_KINKS = 60


@dataclass
class Journey:
    """The iterations so far: what is left of the limit, the trace, the largest fall."""

    problem: Problem
    coordinates: Coordinates
    tol: float
    limit: int
    method: str
    progress: Progress | None
    iterations: int
    trace: list[tuple[int, float]]
    fell: float = 0.0
    broke: bool = False
    collapse: tuple[str, ...] = ()

    @property
    def left(self) -> int:
        """Iterations left."""
        return self.limit - self.iterations

    def em(self, start: Iterate, gain: float, limit: int | None = None) -> Run:
        """Accelerated EM until the gains are below `gain`."""
        method = "anderson" if self.method in ("auto", "newton") else self.method
        run = accelerated_em(
            self.problem, self.coordinates, start, method, self.left if limit is None else min(limit, self.left),
            gain=gain, done=self.iterations, progress=self.progress,
        )  # fmt: skip
        self.iterations += run.iterations
        self.trace.extend(run.trace)
        self.fell = max(self.fell, run.fell)
        self.broke = run.broke
        self.collapse = run.collapse or far_and_rising(self.problem, run.iterate, self.coordinates)
        return run

    def newton(self, start: Iterate, late: bool) -> Polish:
        """Newton's method from here; `late`: EM has nothing more to gain."""
        polish = newton(
            self.problem, start, self.coordinates, self.tol, min(self.left, 100), late=late,
            done=self.iterations, progress=self.progress,
        )  # fmt: skip
        self.iterations += polish.iterations
        self.trace.extend(polish.trace)
        return polish

    def end(
        self, iterate: Iterate, stopped_by: str, decrement: float, coordinates: Coordinates | None = None,
        saddle: bool = False, runaway: tuple[str, ...] = (),
    ) -> Climb:  # fmt: skip
        """The journey's end."""
        held = self.coordinates.at(iterate.theta) if coordinates is None else coordinates
        collapse = self.collapse or without_bound(self.problem, iterate, held)
        return Climb(
            iterate, held, self.iterations, stopped_by, decrement, saddle, self.fell, self.broke, tuple(self.trace),
            runaway, collapse,
        )  # fmt: skip


def converge(
    problem: Problem,
    start: Iterate,
    *,
    tol: float,
    limit: int,
    method: str = "auto",
    done: int = 0,
    trace: tuple[tuple[int, float], ...] = (),
    progress: Progress | None = None,
) -> Climb:
    """Climb from `start` until at most `tol` of log-likelihood is to be gained, `limit` iterations in all.

    `auto`: Anderson-accelerated EM, then Newton; `newton`: Newton as early as it works; the others: EM, plain or
    accelerated, until the decrement shows that it is there. Past MOST_COORDINATES coordinates, and with `tol` 0, no
    Newton.
    """
    coordinates = Coordinates(problem.spaces, start.theta)
    journey = Journey(problem, coordinates, tol, limit, method, progress, done, list(trace))
    if tol <= 0 or not coordinates.size:
        run = journey.em(start, 0.0) if coordinates.size or tol <= 0 else None
        nothing_to_do = not coordinates.size and tol > 0
        return journey.end(
            start if run is None else run.iterate, "decrement" if nothing_to_do else "iterations",
            0.0 if nothing_to_do else float("nan"),
        )  # fmt: skip
    if coordinates.size > MOST_COORDINATES:
        return by_score(journey, start)
    if method in ("auto", "newton"):
        return em_then_newton(journey, start)
    return em_to_decrement(journey, start)


def em_then_newton(journey: Journey, start: Iterate) -> Climb:
    """Accelerated EM until it gains little, then Newton; back to EM, for longer, where Newton cannot yet go."""
    current, gain, escapes, releases, kinks = start, 1e-4 if journey.method == "auto" else 1e-1, 0, 0, 0
    while True:
        run = journey.em(current, gain)
        if journey.collapse:
            return journey.end(run.iterate, "tolerance", float("nan"))
        if not run.settled and not run.broke:
            return journey.end(run.iterate, "iterations", float("nan"))
        polish = journey.newton(run.iterate, run.broke or gain < 1e-7)
        current = polish.iterate
        journey.collapse = far_and_rising(journey.problem, current, journey.coordinates)
        if journey.collapse:
            return journey.end(current, "tolerance", float("nan"), polish.coordinates)
        if run.broke and polish.outcome != "converged":
            return journey.end(current, "tolerance", polish.decrement, polish.coordinates)
        if polish.outcome == "converged":
            journey.broke = False
            better = None
            if releases < 10:
                better = released(journey.problem, current, polish.coordinates) or escape(
                    journey.problem, current, polish.coordinates, polish.bend
                )
            if better is None and kinks < MOST_KINKS:
                better, kinks = higher_beside_kink(journey.problem, current), kinks + 1
                if better is not None:
                    current, gain = better, 1e-12
                    continue
                kinks = 0
            if better is None and kinks:
                return journey.end(current, "tolerance", float("nan"), polish.coordinates)
            if better is None:
                return journey.end(current, "decrement", polish.decrement, polish.coordinates, runaway=polish.runaway)
            current, releases = better, releases + 1
            continue
        if journey.left <= 0:
            return journey.end(current, "iterations", polish.decrement, polish.coordinates)
        if polish.outcome == "iterations" or gain > 1e-11:
            gain = max(gain * 1e-2, 1e-12)
            continue
        beside = None
        if polish.outcome == "indefinite" and escapes < 5:
            beside = escape(journey.problem, current, polish.coordinates, polish.bend)
        if beside is None:
            return journey.end(
                current, "tolerance", polish.decrement, polish.coordinates, polish.outcome == "indefinite"
            )
        current, gain, escapes = beside, 1e-4, escapes + 1


def em_to_decrement(journey: Journey, start: Iterate) -> Climb:
    """EM, plain or accelerated, until the decrement is below the tolerance. No Newton step is made.

    The information is looked at when the gains have become small, and then after stretches of 30, 60, … iterations.
    """
    run, stretch, still, escapes = journey.em(start, journey.tol), 30, 0, 0
    while True:
        current = run.iterate
        coordinates = journey.coordinates.at(current.theta)
        here = place_at(journey.problem, current, coordinates)
        if run.broke or journey.collapse or not here.usable:
            return journey.end(current, "tolerance", float("nan"), coordinates)
        information = score_differences(journey.problem, coordinates, current.theta, order=2)
        if not np.isfinite(information).all():
            return journey.end(current, "tolerance", float("nan"), coordinates)
        bend = spectrum(information, coordinates, current.theta, here.slope)
        decrement = float("nan") if bend.indefinite else bend.decrement(here.slope)
        if decrement < journey.tol:
            return journey.end(current, "decrement", decrement, coordinates)
        if journey.left <= 0:
            return journey.end(current, "iterations", decrement, coordinates)
        run = journey.em(current, 0.0, stretch)
        stretch *= 2
        still = still + 1 if run.iterate.value - current.value <= rounding(current.value) else 0
        if still < 3:
            continue
        beside = None
        if bend.indefinite and escapes < 5:
            beside = escape(journey.problem, current, coordinates, bend)
        if beside is None:
            return journey.end(run.iterate, "tolerance", decrement, coordinates, bend.indefinite)
        run, stretch, still, escapes = journey.em(beside, journey.tol), 30, 0, escapes + 1


def by_score(journey: Journey, start: Iterate) -> Climb:
    """EM until the gain still to come, by the score, the EM step and the EM rate, is below the tolerance.

    An EM step d = EM(u) - u is about I_c^-1 s, with I_c the complete-data information (Dempster, Laird and Rubin
    1977), so s'd / 2 is the gain of a step, and with a rate r of convergence the gain of all steps is at most s'd /
    (2 (1 - r)). r is the largest ratio of successive steps of plain EM seen.
    """
    current, rate, gain, stretch = start, 0.0, 1e-3, 10
    remaining = float("nan")
    while journey.left > 0:
        run = journey.em(current, gain, None if gain > journey.tol else stretch)
        current = run.iterate
        if run.broke or journey.left <= 0:
            break
        coordinates = journey.coordinates.at(current.theta)
        here = place_at(journey.problem, current, coordinates)
        steps: list[Array] = []
        for _ in range(3):
            following = em_step(journey.problem, current)
            if not following.usable:
                break
            steps.append(coordinates.free(following.theta) - coordinates.free(current.theta))
            current = following
            journey.iterations += 1
            journey.trace.append((journey.iterations, current.loglik))
        if len(steps) < 3:
            journey.broke = True
            break
        sizes = [float(np.sqrt((step**2).sum())) for step in steps]
        ratios = [b / a for a, b in pairwise(sizes) if a > 0]
        rate = min(max([rate, *ratios]), 1 - 1e-6)
        remaining = abs(float(here.slope @ steps[0])) / (2 * (1 - rate))
        if remaining < journey.tol:
            return journey.end(current, "score", remaining, coordinates)
        gain = max(gain * 1e-2, journey.tol * 1e-3)
        stretch = min(2 * stretch, 200)
    return journey.end(current, "iterations", remaining)
