"""Faster roads to the same fixed point of EM: SQUAREM and restarted Anderson extrapolation, never downhill."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from emdsl.runtime.collapse import STRETCH, collapsing
from emdsl.runtime.domains import Coordinates
from emdsl.runtime.em import Iterate, Progress, Run, evaluate, evaluate_if_possible, plain_em, rounding
from emdsl.runtime.problem import Array, Problem

#: How many differences Anderson extrapolation uses before it starts afresh.
MEMORY = 5
#: How many times as far as EM an extrapolation may go at first.
FIRST_REACH = 30.0
METHODS = ("auto", "squarem", "anderson", "newton", "none")


def accelerated_em(
    problem: Problem,
    coordinates: Coordinates,
    start: Iterate,
    method: str,
    limit: int,
    *,
    gain: float = 0.0,
    done: int = 0,
    target: float = np.inf,
    progress: Progress | None = None,
) -> Run:
    """At most `limit` iterations, one M-step each; with `gain` > 0, until three in a row each gain less than that, or
    until the objective has reached `target`.

    An extrapolated point whose penalised log-likelihood is below the last one's is thrown away for the EM step, so that
    the log-likelihood never falls. What is exactly 0 at the start stays so.
    """
    if method == "none" or not coordinates.size:
        return plain_em(problem, start, limit, gain=gain, done=done, progress=progress)
    around = coordinates.without_zeros(start.theta)
    steps = squarem(problem, around, start) if method == "squarem" else anderson(problem, around, start)
    current, fell, quiet, broke = start, 0.0, 0, False
    trace: list[tuple[int, float]] = []
    looks = [start]
    collapse: tuple[str, ...] = ()
    for iteration in range(done + 1, done + limit + 1):
        try:
            following = next(steps)
        except np.linalg.LinAlgError:
            broke = True
            break
        if not following.usable:
            broke = True
            break
        rise = following.value - current.value
        fell = max(fell, -rise)
        current = following
        trace.append((iteration, current.loglik))
        if progress is not None:
            progress("em", iteration, current)
        quiet = quiet + 1 if rise < gain and gain > 0 else 0
        if quiet == 3 or current.value >= target:
            break
        if len(trace) % STRETCH == 0:
            looks.append(current)
            collapse = collapsing(around, looks)
            if collapse:
                break
    beyond = fell if fell > 1e-10 * (1.0 + abs(current.value)) else 0.0
    return Run(current, len(trace), quiet == 3, beyond, broke, tuple(trace), collapse)


def anderson(problem: Problem, coordinates: Coordinates, start: Iterate) -> Iterator[Iterate]:
    """Anderson extrapolation of the EM map, restarted every MEMORY steps (Henderson and Varadhan 2019, without
    damping).

    With f = EM(u) - u, the next point is EM(u) minus the combination of past changes that cancels most of f. A
    coordinate counts in the unit of its own recent moves, so that the answer does not depend on the units of the data.
    The extrapolation goes at most `reach` times as far as the EM step itself; reach grows where that much was good and
    shrinks where it was too much (on a ramp, where EM moves steadily, the linear model would jump to nowhere).
    """
    current, u, reach = start, coordinates.free(start.theta), FIRST_REACH
    points: list[Array] = []
    moves: list[Array] = []
    while True:
        mapped_theta = problem.maximize(current.theta, current.statistics)
        mapped = coordinates.free(mapped_theta)
        points.append(u)
        moves.append(mapped - u)
        following: Iterate | None = None
        if len(points) > 1:
            guess, far = extrapolate(points, moves, reach)
            following = evaluate_if_possible(problem, coordinates.theta(guess))
            if following is not None and following.value < current.value - rounding(current.value):
                following = None
            if following is None or len(points) > MEMORY:
                points, moves = [], []
            if following is None:
                reach = max(reach / 4, 1.0)
            else:
                u, reach = guess, 4 * reach if far else reach
        if following is None:
            following, u = evaluate(problem, mapped_theta), mapped
        current = following
        yield current


def extrapolate(points: list[Array], moves: list[Array], reach: float) -> tuple[Array, bool]:
    """The point where the linear model of the EM map through these points has its least move, or as much of the way
    there from the EM step as `reach` allows, and whether it was too far. Where there is no such point: the EM step.

    Where EM moves faster and faster, away from a saddle point, the model's point lies behind: then ahead, at `reach`.
    """
    residuals = np.array(moves)
    mapped = points[-1] + moves[-1]
    unit = np.sqrt((residuals**2).mean(axis=0))
    unit = np.maximum(unit, 1e-3 * unit.max(initial=0.0))
    if not unit.max(initial=0.0) > 0 or not np.isfinite(unit).all():
        return mapped, False
    changes = np.diff(residuals, axis=0)
    weights, *_ = np.linalg.lstsq((changes / unit).T, residuals[-1] / unit, rcond=1e-12)
    beyond: Array = -weights @ (np.diff(np.array(points), axis=0) + changes)
    if beyond @ (moves[-1] / unit**2) < 0:
        return mapped + reach * moves[-1], True
    length = float(np.sqrt(((beyond / unit) ** 2).sum() / ((moves[-1] / unit) ** 2).sum()))
    if not np.isfinite(length):
        return mapped, False
    return mapped + beyond * min(1.0, reach / max(length, 1e-300)), length > reach


def squarem(problem: Problem, coordinates: Coordinates, start: Iterate) -> Iterator[Iterate]:
    """Squared extrapolation, scheme S3 (Varadhan and Roland 2008): u + 2 a r + a^2 v with a = |r| / |v|, then an EM
    step.

    Three iterations make a cycle: two EM steps, which give r and v, and the EM step from the extrapolated point. a is
    kept below `reach`, which grows where that much was good and shrinks where it was too much.
    """
    current, reach = start, FIRST_REACH
    while True:
        u0 = coordinates.free(current.theta)
        first = evaluate(problem, problem.maximize(current.theta, current.statistics))
        yield first
        current = evaluate(problem, problem.maximize(first.theta, first.statistics))
        yield current
        u1, u2 = coordinates.free(first.theta), coordinates.free(current.theta)
        r, v = u1 - u0, u2 - 2 * u1 + u0
        unit = np.maximum(np.abs(r), 1e-3 * np.abs(r).max(initial=0.0))
        if not (unit > 0).all() or not np.any(v):
            continue
        ratio = float(np.sqrt(((r / unit) ** 2).sum() / ((v / unit) ** 2).sum()))
        length = min(ratio, reach)
        if not length > 1.0:
            continue
        guess = evaluate_if_possible(problem, coordinates.theta(u0 + 2 * length * r + length**2 * v))
        if guess is None or guess.value < current.value - rounding(current.value):
            reach = max(reach / 4, 1.0)
            continue
        reach = 4 * reach if ratio > reach else reach
        current = evaluate(problem, problem.maximize(guess.theta, guess.statistics))
        yield current
