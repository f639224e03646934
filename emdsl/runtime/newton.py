"""The last digits: Newton's method on the score, whose decrement says how much log-likelihood is still to be gained."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emdsl.runtime.boundary import Standpoint, exact_bounds, place_at, running_off, set_at_boundary
from emdsl.runtime.domains import Coordinates
from emdsl.runtime.em import Iterate, Progress, evaluate_if_possible, rounding, worth_having
from emdsl.runtime.information import Spectrum, score_differences, spectrum
from emdsl.runtime.problem import Array, Problem


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


@dataclass
class NewtonPath:
    """Newton's method under way.

    `information` is None where it must be built anew; `fresh` says that it belongs to this very place. `last` is the
    decrement before the last step, `crawl` how many steps in a row have not brought it to a tenth, `fruitless` how many
    have not even brought it to a half.
    """

    problem: Problem
    here: Standpoint
    tol: float
    limit: int
    late: bool
    done: int
    progress: Progress | None
    trace: list[tuple[int, float]]
    information: Array | None = None
    bend: Spectrum | None = None
    fresh: bool = False
    decrement: float = np.inf
    last: float = np.inf
    crawl: int = 0
    fruitless: int = 0
    runaway: tuple[str, ...] = ()

    def look(self) -> Spectrum | None:
        """The information's spectrum, built anew where needed; None where there is none."""
        if not self.here.usable:
            return None
        if self.information is None:
            self.information = score_differences(self.problem, self.here.coordinates, self.here.iterate.theta, order=2)
            self.fresh = True
        if not np.isfinite(self.information).all():
            return None
        return spectrum(self.information, self.here.coordinates, self.here.iterate.theta, self.here.slope)

    def advance(self) -> str | None:
        """One step, or one look at new information; the outcome at the end, None before."""
        self.bend = bend = self.look()
        if bend is None:
            return "stalled"
        self.decrement, step = bend.decrement(self.here.slope), bend.solve(self.here.slope)
        if not self.fresh and (bend.indefinite or self.decrement > 0.1 * self.last):
            self.information = None
            return None
        settled = set_at_boundary(self.problem, self.here, bend, step, late=self.late) if self.decrement < 0.1 else None
        if settled is not None:
            self.here, self.information, self.last = settled, None, np.inf
            return None
        if bend.indefinite:
            self.decrement = np.nan
            return "indefinite"
        certified = self.decrement < self.tol
        if not certified and len(self.trace) >= self.limit:
            return "iterations"
        self.fruitless = self.fruitless + 1 if 0.5 * self.last < self.decrement < 0.1 else 0
        if self.fruitless == 3 and not certified:
            return "stalled"
        following = climb(self.problem, self.here, step)
        if following is not None:
            return self.step_to(following, bend, step, certified)
        if certified or self.fresh:
            return "converged" if certified else "stalled"
        self.information = None
        return None

    def step_to(self, following: Standpoint, bend: Spectrum, step: Array, certified: bool) -> str | None:
        """Take the step. Once certified it is the last, unless its information was that of another place."""
        self.crawl = self.crawl + 1 if 0.1 * self.last < self.decrement < self.last else 0
        self.here, self.last, stale, self.fresh = following, self.decrement, not self.fresh, False
        self.trace.append((self.done + len(self.trace) + 1, following.iterate.loglik))
        if self.progress is not None:
            self.progress("newton", self.done + len(self.trace), following.iterate)
        if not certified:
            return None
        if following.usable:
            self.decrement = bend.decrement(following.slope)
        if stale and self.decrement > 1e-6 * self.tol:
            self.information = None
            return None
        self.runaway = running_off(self.problem, following, bend, step, self.crawl >= 4)
        return "converged"


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
    path = NewtonPath(problem, here, tol, limit, late, done, progress, [])
    outcome = None
    while outcome is None:
        outcome = path.advance()
    return Polish(
        path.here.iterate, path.here.coordinates, path.decrement, len(path.trace), outcome, path.bend,
        tuple(path.trace), path.runaway,
    )  # fmt: skip


def climb(problem: Problem, here: Standpoint, step: Array) -> Standpoint | None:
    """The longest of step, step/2, step/4, … after which the penalised log-likelihood has not fallen, or None."""
    longest = np.abs(step[here.coordinates.flags("scale_free")]).max(initial=0.0)
    share = min(1.0, 10.0 / longest) if longest > 0 else 1.0
    for _ in range(12):
        found = evaluate_if_possible(problem, here.coordinates.theta(here.u + share * step))
        if found is not None and found.value >= here.iterate.value - rounding(here.iterate.value):
            return place_at(problem, found, here.coordinates)
        share /= 2
    return None


def escape(problem: Problem, iterate: Iterate, coordinates: Coordinates, bend: Spectrum | None) -> Iterate | None:
    """A higher point beside a point without slope, along the directions that bend upwards or not at all; None if none
    is.

    At a mixture whose components are all equal the likelihood is flat to the third order and rises by the fourth.
    """
    if bend is None:
        return None
    u, natural = coordinates.free(iterate.theta), coordinates.flags("scale_free")
    better = iterate.value + worth_having(iterate.value)
    for direction in bend.unbent():
        longest = 3.0 / max(float(np.abs(direction[natural]).max(initial=0.0)), 1e-300)
        for length in (30.0, 10.0, 3.0, 1.0, 0.3):
            for sign in (1.0, -1.0):
                moved = coordinates.theta(u + sign * min(length, longest) * direction)
                found = evaluate_if_possible(problem, moved)
                if found is not None and found.value > better:
                    return found
    return None
