"""Many short starts, the best of them continued: how a fit looks for the highest of several maxima."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from emdsl.runtime.acceleration import accelerated_em
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
    def outlook(self) -> float:
        """The log-likelihood that this start may still come to: 1000 times what its last iteration gained and more,
        without bound while the gains still grow."""
        if len(self.trace) < 3:
            return np.inf
        before, last = self.trace[-2][1] - self.trace[-3][1], self.trace[-1][1] - self.trace[-2][1]
        return np.inf if last > before else self.value + 1000 * last


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
        """How many starts came within `same_optimum` of the objective `value`."""
        return sum(start.value >= value - same_optimum(value) for start in self.starts)


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
    gains are below 1e-5. Then each other start whose `outlook` takes it to the best one is carried on until it gets
    there or gains next to nothing, ENOUGH iterations at most, so that `at_best` counts starts by where they end and
    not by where they stood after SHORT iterations.
    """
    starts = []
    for number in range(1, count + 1):
        start = short_start(problem, theta0, seed, number, given and number == 1)
        starts.append(start)
        if progress is not None and start.iterate is not None:
            progress("start", number, start.iterate)
    starts.sort(key=order_of_merit)
    coordinates = Coordinates(problem.spaces, theta0)
    followed = 0
    for place, start in enumerate(starts):
        if followed < CONTINUED and start.reason is None:
            starts[place] = continued(problem, coordinates, start, LONG, 1e-5)
            followed += starts[place].reason is None
    best = max(start.value for start in starts)
    for place, start in enumerate(starts):
        target = best - same_optimum(best)
        if start.reason is None and not start.settled and start.value < target <= start.outlook:
            starts[place] = continued(problem, coordinates, start, ENOUGH, 1e-6, target)
    return Search(tuple(sorted(starts, key=order_of_merit)))
