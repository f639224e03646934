"""Many short starts, the best of them continued: how a fit looks for the highest of several maxima."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from emdsl.runtime.acceleration import accelerated_em
from emdsl.runtime.batch import short_runs
from emdsl.runtime.collapse import rounding_noise
from emdsl.runtime.convergence import converge
from emdsl.runtime.domains import Coordinates
from emdsl.runtime.em import Iterate, Progress, evaluate_if_possible, plain_em
from emdsl.runtime.problem import Array, Problem

#: EM iterations of a short start. Longer ones fall into degenerate optima before the choice is made.
SHORT = 20
#: How many of the best short starts are continued in any case.
CONTINUED = 5
#: Accelerated iterations of a start that is continued because it is among the best, at most.
LONG = 200
#: … and of one that is continued to see whether it comes to the best optimum too.
ENOUGH = 60
#: What the best start may gain by being continued and still be taken to have been on the same slope as others.
ONE_SLOPE = 1e-2
#: The gain of an iteration below which a start within `same_optimum` of a known optimum is taken to be at it.
CREEP = 1e-4
#: Rounding error of a log-likelihood that tells nothing any more of where it is higher.
NO_DIGITS = 0.1
#: Up to so many coordinates Newton's method tells a plateau from an optimum.
FEW = 30


@dataclass(frozen=True, slots=True)
class Start:
    """One start as far as it came: `reason` says why it was dropped (a degenerate optimum, no finite likelihood), if
    it was."""

    number: int
    iterate: Iterate | None
    iterations: int
    trace: tuple[tuple[int, float], ...]
    reason: str | None
    settled: bool = False

    @property
    def value(self) -> float:
        """What EM raised, minus infinity for a start that was dropped."""
        return -np.inf if self.iterate is None or self.reason is not None else self.iterate.value

    @property
    def moving(self) -> bool:
        """Whether the last iteration still gained something."""
        return not self.settled and (len(self.trace) < 2 or self.trace[-1][1] - self.trace[-2][1] > 1e-6)

    @property
    def creeping(self) -> bool:
        """Whether the last iteration gained less than `CREEP`."""
        return self.settled or (len(self.trace) > 1 and self.trace[-1][1] - self.trace[-2][1] < CREEP)


@dataclass(frozen=True)
class Search:
    """All starts, the best first (those dropped last)."""

    starts: tuple[Start, ...]

    @property
    def best(self) -> Start | None:
        """The start to go on from, None if every one was dropped."""
        first = self.starts[0]
        return first if first.reason is None else None

    @property
    def logliks(self) -> tuple[float, ...]:
        """The log-likelihood each start reached, in the order of the starts; NaN for one that was dropped."""
        return tuple(
            start.iterate.loglik if start.reason is None and start.iterate is not None else float("nan")
            for start in sorted(self.starts, key=lambda item: item.number)
        )

    def at_best(self, value: float) -> int:
        """How many starts came within `same_optimum` of the objective `value`, the best start's end; where that start
        was less than ONE_SLOPE below, of where it stood: towards a boundary all of them crawl.
        """
        best = self.starts[0].value
        least = best if value - best < ONE_SLOPE else value
        return sum(bool(start.value >= min(least, value) - same_optimum(value)) for start in self.starts)


def same_optimum(value: float) -> float:
    """Starts whose penalised log-likelihoods differ by less than this count as one optimum."""
    return 1e-3 + 1e-9 * abs(value)


def short_start(problem: Problem, theta0: dict[str, Array], seed: int, number: int, given: bool) -> Start:
    """Start `number`: a random first E-step (`given`: theta0 itself), then SHORT plain EM iterations."""
    try:
        if given:
            first = evaluate_if_possible(problem, theta0)
        else:
            rng = np.random.default_rng([seed, number])
            statistics = problem.random_expectation(rng, theta0).statistics
            first = evaluate_if_possible(problem, problem.maximize(theta0, statistics))
        if first is None:
            return Start(number, None, 0, (), "the log-likelihood is not finite")
        run = plain_em(problem, first, SHORT, gain=1e-9, stage="start")
    except (np.linalg.LinAlgError, FloatingPointError) as error:
        return Start(number, None, 0, (), f"a matrix became singular ({error})")
    reason = problem.degenerate(run.iterate.theta, run.iterate.statistics)
    if run.broke:
        reason = reason or "the log-likelihood stopped being finite"
    return Start(number, run.iterate, run.iterations, run.trace, reason, run.settled)


def short_starts(
    problem: Problem, theta0: dict[str, Array], count: int, seed: int, *, given: bool, begun: int = 0
) -> Iterator[Start]:
    """All short starts, numbered from `begun + 1`: those that are drawn run as one batch where the problem has such a
    form (`problem.batched`)."""
    numbers = list(range(begun + 1, begun + count + 1))
    if given:
        yield short_start(problem, theta0, seed, numbers.pop(0), True)
    form = getattr(problem, "batched", None)
    batch = form(len(numbers)) if form is not None and len(numbers) > 1 else None
    if batch is None:
        for number in numbers:
            yield short_start(problem, theta0, seed, number, False)
        return
    for number, run in zip(numbers, short_runs(batch, theta0, seed, numbers, SHORT, 1e-9), strict=True):
        iterate, iterations, trace, settled = run
        reason = None if iterate.usable else "the log-likelihood is not finite"
        reason = reason or problem.degenerate(iterate.theta, iterate.statistics)
        yield Start(number, iterate if iterate.usable else None, iterations, trace, reason, settled)


def continued(
    problem: Problem, coordinates: Coordinates, start: Start, limit: int, gain: float, target: float = np.inf
) -> Start:
    """A start carried on by accelerated EM until its gains are below `gain` or it has reached `target`."""
    if start.iterate is None or start.settled or start.value >= target:
        return start
    try:
        run = accelerated_em(
            problem, coordinates, start.iterate, "anderson", limit, gain=gain, done=start.iterations, target=target
        )
    except (np.linalg.LinAlgError, FloatingPointError) as error:
        return replace(start, reason=f"a matrix became singular ({error})")
    reason = problem.degenerate(run.iterate.theta, run.iterate.statistics)
    if run.broke:
        reason = reason or "the log-likelihood stopped being finite"
    return Start(
        start.number, run.iterate, start.iterations + run.iterations, start.trace + run.trace, reason, run.settled
    )


def without_digits(problem: Problem, coordinates: Coordinates, start: Start) -> Start:
    """A start, dropped where its log-likelihood is mostly rounding: where a shape has grown past all bounds a
    log-density may come out as any number, and the start at which it errs the most would be taken for the best."""
    if start.iterate is None or start.reason is not None:
        return start
    noise = rounding_noise(problem, start.iterate, coordinates)
    if noise <= NO_DIGITS:
        return start
    return replace(start, reason=f"rounding moves its log-likelihood by {noise:.1g}")


def followed_to_its_end(
    problem: Problem, coordinates: Coordinates, start: Start, target: float, others: Sequence[float] = ()
) -> Start:
    """A start carried on until it has reached `target`, or is at another optimum, ENOUGH accelerated iterations at
    most.

    EM may crawl over a plateau with gains that look like those at an optimum. With at most FEW coordinates Newton's
    method says which it is; it is not asked again for a start that creeps up to the value of one of the `others`,
    optima that it has found already.
    """
    start = continued(problem, coordinates, start, ENOUGH, 1e-6, target)
    if start.iterate is None or start.value >= target or coordinates.size > FEW:
        return start
    if start.creeping and any(abs(start.value - value) < same_optimum(value) for value in others):
        return start
    climb = converge(
        problem, start.iterate, tol=1e-4, limit=start.iterations + SHORT, done=start.iterations, trace=start.trace
    )
    reason = problem.degenerate(climb.iterate.theta, climb.iterate.statistics)
    return Start(start.number, climb.iterate, climb.iterations, climb.trace, reason, climb.converged)


def order_of_merit(start: Start) -> tuple[float, int]:
    """Sorts the best start first and those dropped last."""
    return -start.value, start.number


def search(
    problem: Problem,
    theta0: dict[str, Array],
    count: int,
    seed: int,
    *,
    given: bool,
    progress: Progress | None = None,
) -> Search:
    """`count` short starts from random first E-steps; `given`: start 1 is theta0 exactly, the others are drawn around
    it.

    Degenerate starts are dropped before the choice. The CONTINUED best are carried on by accelerated EM until their
    gains are below 1e-5. Then each other start that is still moving is followed to its end, so that `at_best` counts
    starts by where they end and not by where they stood after SHORT iterations. Where the best has one law for two
    hidden values, as many sharp starts follow (`problem.sharpened`).
    """
    rough = getattr(problem, "rough", None)
    if rough is not None:
        problem = rough()
    starts = _followed(problem, theta0, list(_told(short_starts(problem, theta0, count, seed, given=given), progress)))
    best = min(starts, key=order_of_merit)
    sharpened = getattr(problem, "sharpened", None)
    if sharpened is not None and best.iterate is not None and best.reason is None:
        sharp = sharpened(best.iterate.statistics)
        if sharp is not None:
            more = short_starts(sharp, theta0, count, seed, given=False, begun=count)
            starts += _followed(problem, theta0, list(_told(more, progress)))
    return Search(tuple(sorted(starts, key=order_of_merit)))


def _told(starts: Iterator[Start], progress: Progress | None) -> Iterator[Start]:
    for start in starts:
        if progress is not None and start.iterate is not None:
            progress("start", start.number, start.iterate)
        yield start


def _followed(problem: Problem, theta0: dict[str, Array], starts: list[Start]) -> list[Start]:
    """Short starts carried on as `search` says."""
    coordinates = Coordinates(problem.spaces, theta0)
    starts.sort(key=order_of_merit)
    followed = 0
    for place, start in enumerate(starts):
        if followed < CONTINUED and start.reason is None:
            first = without_digits(problem, coordinates, start)
            end = continued(problem, coordinates, first, LONG, 1e-5) if first.reason is None else first
            starts[place] = without_digits(problem, coordinates, end)
            followed += starts[place].reason is None
    best = max(start.value for start in starts)
    target = best - same_optimum(best)
    others: list[float] = []
    for place, start in enumerate(starts):
        if start.reason is None and start.moving and start.value < target:
            end = followed_to_its_end(problem, coordinates, start, target, others)
            end = starts[place] = without_digits(problem, coordinates, end)
            if end.settled and end.value < target and coordinates.size <= FEW:
                others.append(end.value)
    return starts
