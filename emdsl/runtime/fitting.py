"""A whole fit: starts, convergence, standard errors, and what there is to say about them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from emdsl.runtime.acceleration import METHODS
from emdsl.runtime.collapse import next_collapse, rounding_noise
from emdsl.runtime.convergence import Climb, converge
from emdsl.runtime.domains import Coordinates
from emdsl.runtime.em import Iterate, Progress, evaluate, evaluate_if_possible, rounding
from emdsl.runtime.information import MOST_COORDINATES
from emdsl.runtime.problem import Array, Problem, Theta
from emdsl.runtime.remarks import fall_remark, remarks_on_the_end, remarks_on_the_estimate, untouched_remark
from emdsl.runtime.starts import Search, Start, search
from emdsl.runtime.uncertainty import STANDARD_ERRORS, Uncertainty, uncertainty

#: Rounding error of a log-likelihood that a claim of convergence may have.
MOST_NOISE = 1e-6
#: A fall of the log-likelihood beyond this is no rounding: at a component that collapses no step is right.
MOST_FALL = 1e-3


@dataclass(frozen=True)
class FitOptions:
    """What a fit may be told.

    `tol`: the log-likelihood that may still be to be gained; 0 asks for exactly `max_iter` iterations. `accelerate`:
    one of METHODS. `starts`: random short starts, used where something is hidden; 1 begins at `problem.initial()`.
    `init_given`: the user gave starting values, which are then start 1 exactly. `se`: `auto`, `none` or one of
    STANDARD_ERRORS; `auto` is the observed information, or none where `tol` is 0, and the sandwich where weights are
    not whole numbers. `bootstrap_repeats`: replicates of `bootstrap`. `interval`: `wald`, or `profile` for intervals by
    the profile likelihood. `arrange` reorders the estimate before its standard errors are computed (label switching).
    `progress` is called as `progress(stage, iteration, iterate)`.
    """

    tol: float = 1e-10
    max_iter: int = 10_000
    accelerate: str = "auto"
    starts: int = 50
    seed: int = 0
    init_given: bool = False
    se: str = "auto"
    level: float = 0.95
    bootstrap_repeats: int = 200
    interval: str = "wald"
    arrange: Callable[[Theta], dict[str, Array]] | None = None
    progress: Progress | None = None


@dataclass(frozen=True)
class StartsReport:
    """How the starts went: how many were run, how many ended at the best optimum, the log-likelihood that each
    reached (NaN: dropped), and why some were dropped, with their number."""

    run: int
    at_best: int
    logliks: tuple[float, ...]
    dropped: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True)
class Simulation:
    """The simulation error of a fit whose likelihood is simulated, as standard deviations: of the log-likelihood, and
    of the estimates by parameter (None without standard errors). `effective`: so many draws of equal weight are worth
    as much as the `draws`, where they are worth least. `wanted` is the error of the log-likelihood that was asked for,
    `met` says whether it was reached.
    """

    draws: int
    loglik_error: float
    errors: dict[str, Array] | None
    effective: float
    wanted: float
    met: bool


@dataclass(frozen=True)
class FitState:
    """A fit, or as much of one as there is.

    `penalized_loglik` is the log-likelihood with the log prior. `stopped_by` is `decrement`, `score`, `tolerance` or
    `iterations` (see `Climb`); `decrement` the log-likelihood still to be gained (NaN: not known). `parameters`
    counts free ones, also those at a boundary. `se` and `interval` by parameter are None where not asked for or not
    possible; `se_method` says how they were computed. `boundary` names elements at the edge of their domain,
    `unidentified` those that the data do not determine. `untouched` marks elements that no row can touch, by
    parameter: they have a place in theta, and no estimate. `warnings` are plain sentences. `uncertainty` has the
    covariance and serves the delta method.
    """

    theta: dict[str, Array]
    loglik: float
    penalized_loglik: float
    iterations: int
    converged: bool
    stopped_by: str
    decrement: float
    parameters: int
    starts: StartsReport
    trace: tuple[tuple[int, float], ...]
    boundary: tuple[str, ...] = ()
    unidentified: tuple[str, ...] = ()
    se_method: str = "none"
    uncertainty: Uncertainty | None = None
    untouched: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
    warnings: tuple[str, ...] = field(default=())
    simulation: Simulation | None = None

    @property
    def estimates(self) -> dict[str, Array]:
        """Theta with NaN where there is no estimate."""
        return {
            name: np.where(self.untouched[name], np.nan, value) if name in self.untouched else value
            for name, value in self.theta.items()
        }

    @property
    def se(self) -> dict[str, Array] | None:
        """Standard errors by parameter."""
        return None if self.uncertainty is None else self.uncertainty.se

    @property
    def interval(self) -> dict[str, Array] | None:
        """Intervals by parameter, the last axis (low, high)."""
        return None if self.uncertainty is None else self.uncertainty.interval


def fit_failure(message: str, state: FitState | None = None) -> Exception:
    """The exception of a failed fit, with the last state; a RuntimeError with the same attributes in a module that runs
    without emdsl."""
    try:
        from emdsl.diagnostics.errors import FitError
    except ImportError:
        error = RuntimeError(message)
        error.message, error.state = message, state  # type: ignore[attr-defined]
        return error
    return FitError(message, state)


def fit(problem: Problem, options: FitOptions | None = None) -> FitState:
    """Fit the model. Raises FitError where no start has a finite likelihood, ValueError for options out of range."""
    options = FitOptions() if options is None else options
    check_options(options)
    with np.errstate(all="ignore"):
        return fit_quietly(problem, options)


def check_options(options: FitOptions) -> None:
    """Options out of range, as a ValueError that says what is expected."""
    if options.accelerate not in METHODS:
        raise ValueError(f"unknown acceleration {options.accelerate!r}; expected one of {', '.join(METHODS)}")
    known = ("auto", "none", "bootstrap", *STANDARD_ERRORS)
    if options.se not in known:
        raise ValueError(f"standard errors by {options.se!r} are not available here; expected one of "
                         f"{', '.join(known)}")  # fmt: skip
    if options.interval not in ("wald", "profile"):
        raise ValueError(f"unknown kind of intervals {options.interval!r}; expected wald or profile")
    if options.bootstrap_repeats < 2:
        raise ValueError("the bootstrap needs at least 2 replicates")
    if not options.tol >= 0:
        raise ValueError(f"the tolerance must be 0 or more, not {options.tol}")
    if options.max_iter < 0 or options.starts < 1:
        raise ValueError("the number of iterations must be 0 or more and the number of starts 1 or more")
    if not 0 < options.level < 1:
        raise ValueError(f"the level must be between 0 and 1, not {options.level}")


def fit_quietly(problem: Problem, options: FitOptions) -> FitState:
    """The fit, NumPy's warnings off."""
    theta0 = {name: np.array(value, dtype=float) for name, value in problem.initial().items()}
    size = Coordinates(problem.spaces, theta0).size
    several = problem.has_latent and options.starts > 1 and options.max_iter > 0 and size > 0
    found = search(
        problem, theta0, options.starts, options.seed, given=options.init_given, progress=options.progress
    ) if several else None  # fmt: skip
    warnings: list[str] = []
    if found is not None and found.best is not None:
        best = found.best
    else:
        best = first_start(problem, theta0, size)
        if options.max_iter > 0 and not options.init_given:
            best = off_the_saddle(problem, best)
        if found is not None:
            reasons = sorted({start.reason for start in found.starts if start.reason})
            warnings.append(
                f"all {len(found.starts)} random starts were dropped ({'; '.join(reasons)}); the fit goes on from the "
                "neutral starting values"
            )
    assert best.iterate is not None
    climb = converge(
        problem, best.iterate, tol=options.tol, limit=options.max_iter + (best.iterations if several else 0),
        method=options.accelerate, done=best.iterations, trace=best.trace, progress=options.progress,
    )  # fmt: skip
    return conclude(problem, options, climb, found, size, warnings)


def first_start(problem: Problem, theta0: dict[str, Array], size: int) -> Start:
    """The start at the initial values, or a FitError where the likelihood there is no number."""
    try:
        iterate = evaluate(problem, theta0)
    except np.linalg.LinAlgError as error:
        raise fit_failure(f"the log-likelihood cannot be computed at the starting values: {error}") from error
    if not iterate.usable:
        report = StartsReport(1, 0, (iterate.loglik,))
        state = FitState(
            theta0, iterate.loglik, iterate.value, 0, False, "iterations", float("nan"), size, report, ()
        )  # fmt: skip
        what = "no number" if np.isnan(iterate.value) else f"{iterate.value:g}"
        raise fit_failure(
            f"the log-likelihood at the starting values is {what}: the data are impossible there; give other values "
            "with --init",
            state,
        )
    return Start(1, iterate, 0, (), None)


def off_the_saddle(problem: Problem, start: Start) -> Start:
    """The start, or one beside it where the problem knows it (`problem.beside_saddle`) for a saddle point."""
    beside = getattr(problem, "beside_saddle", None)
    iterate = start.iterate
    theta = None if beside is None or iterate is None else beside(iterate.theta, iterate.statistics)
    found = None if theta is None else evaluate_if_possible(problem, theta)
    return start if found is None else replace(start, iterate=found)


def conclude(
    problem: Problem, options: FitOptions, climb: Climb, found: Search | None, size: int, warnings: list[str]
) -> FitState:
    """The estimate in its final order, its standard errors, and what there is to say."""
    iterate, coordinates = climb.iterate, climb.coordinates
    if options.arrange is not None:
        arranged = evaluate_if_possible(problem, options.arrange(iterate.theta))
        if arranged is None:
            raise fit_failure("the log-likelihood is not finite after the labels were put in order")
        iterate = arranged
        coordinates = coordinates.at(iterate.theta)
    doubtful: list[str] = []
    untouched = getattr(problem, "untouched", {})
    if untouched:
        warnings.append(untouched_remark(problem.spaces, untouched))
    report = StartsReport(1, 1, (climb.iterate.loglik,))
    if found is not None and found.best is not None:
        report = StartsReport(
            len(found.starts), max(1, found.at_best(climb.iterate.value)), found.logliks,
            tuple((start.number, start.reason) for start in found.starts if start.reason is not None),
        )  # fmt: skip
    spread = errors_of(problem, options, iterate, without_runaways(coordinates, iterate, climb.runaway), warnings)
    if options.tol > 0 and options.max_iter > 0:
        collapse = next_collapse(problem, iterate) if climb.broke else ()
        if climb.broke or climb.collapse:
            warnings = [said for said in warnings if "information" not in said]
        warnings.extend(remarks_on_the_end(climb, options.max_iter, collapse))
        doubtful = doubts(problem, climb, found)
        warnings.extend(doubtful)
        warnings.extend(remarks_on_the_estimate(problem, iterate, coordinates.boundary, climb.runaway, spread))
    elif climb.fell > 0:
        warnings.append(fall_remark(climb.fell))
    if report.run >= 10 and report.at_best == 1:
        warnings.append(
            f"only 1 of {report.run} starts reached the best log-likelihood; --starts {4 * report.run} may find "
            "a higher one"
        )
    return FitState(
        theta=iterate.theta, loglik=iterate.loglik, penalized_loglik=iterate.value, iterations=climb.iterations,
        converged=climb.converged and not doubtful, stopped_by=climb.stopped_by, decrement=climb.decrement,
        parameters=size,
        starts=report, trace=climb.trace, boundary=at_a_boundary(problem, coordinates),
        unidentified=() if spread is None else spread.unidentified,
        se_method="none" if spread is None else spread.method, uncertainty=spread, untouched=untouched,
        warnings=tuple(warnings),
    )  # fmt: skip


def without_runaways(coordinates: Coordinates, iterate: Iterate, runaway: tuple[str, ...]) -> Coordinates:
    """The coordinates with elements that run off to infinity held: they have no standard error, and the others'
    hold them where they are."""
    if not runaway:
        return coordinates
    names = coordinates.names
    gone = np.array([names[element] in runaway for element in coordinates.elements], dtype=bool)
    return coordinates.holding(coordinates.free(iterate.theta), gone)


def doubts(problem: Problem, climb: Climb, found: Search | None) -> list[str]:
    """Why what looks like a maximum may be none: rounding hides it, or every start fell into a degenerate optimum."""
    said: list[str] = []
    if climb.broke or climb.collapse or climb.stopped_by == "iterations":
        return said
    unsafe = climb.fell > MOST_FALL or (found is not None and found.best is None)
    if unsafe and problem.has_latent and problem.degenerate(climb.iterate.theta, climb.iterate.statistics):
        said.append("no start came to more than a degenerate optimum: the likelihood may grow without bound")
    noise = rounding_noise(problem, climb.iterate, climb.coordinates)
    if noise > max(MOST_NOISE, 1e3 * rounding(climb.iterate.value)):
        said.append(
            f"rounding moves the log-likelihood by {noise:.1g} here: a parameter is too large, or too close to another "
            "one's effect, for the estimates to be told to all digits"
        )
    return said


def at_a_boundary(problem: Problem, coordinates: Coordinates) -> tuple[str, ...]:
    """The elements at the edge of their domain, or that are bounds of the support; those held at a kink are not."""
    kinked = {space.name for space in problem.spaces if space.kinked}
    return tuple(name for name in coordinates.boundary if re.split(r"[.\[]", name)[0] not in kinked)


def automatic_method(problem: Problem, warnings: list[str]) -> str:
    """`observed`; `sandwich` where weights do not count units, if the model has scores by unit."""
    if not getattr(problem, "fractional_weights", False):
        return "observed"
    why = getattr(problem, "why_no_unit_gradients", str)()
    if not why:
        return "sandwich"
    warnings.append(f"the weights are not whole numbers, and standard errors take them for counts: {why}")
    return "observed"


def errors_of(
    problem: Problem, options: FitOptions, iterate: Iterate, coordinates: Coordinates, warnings: list[str]
) -> Uncertainty | None:
    """The standard errors asked for, None where there are none; why not goes to `warnings`."""
    method = options.se
    if method == "auto":
        if options.tol == 0 or options.max_iter == 0:
            return None
        if coordinates.size > MOST_COORDINATES:
            warnings.append(
                f"no standard errors were computed for {coordinates.size} free parameters; --se observed computes them"
            )
            return None
        method = automatic_method(problem, warnings)
    if method == "none":
        return None
    curvature = "observed" if method == "bootstrap" else method
    spread = uncertainty(problem, coordinates, iterate.theta, method=curvature, level=options.level)
    if spread.bend.indefinite:
        warnings.append("the observed information is not positive definite at the estimate: no standard errors")
        return None
    found: Uncertainty | None = spread
    if method == "bootstrap":
        found = by_bootstrap(problem, options, iterate, spread, warnings)
    if found is not None and options.interval == "profile":
        return by_profile(problem, iterate, found, warnings)
    return found


def by_bootstrap(
    problem: Problem, options: FitOptions, iterate: Iterate, wald: Uncertainty, warnings: list[str]
) -> Uncertainty | None:
    """Standard errors over resampled units, None where too few replicates came to a maximum."""
    from emdsl.runtime.bootstrap import bootstrap, replicates

    repeats = options.bootstrap_repeats
    drawn, failed = replicates(problem, iterate.theta, repeats, options.seed, options.arrange)
    if failed:
        warnings.append(f"{failed} of {repeats} bootstrap replicates came to no maximum and were left out")
    if len(drawn) < 2:
        return None
    return bootstrap(wald.coordinates, iterate.theta, drawn, wald.bend, options.level)


def by_profile(problem: Problem, iterate: Iterate, wald: Uncertainty, warnings: list[str]) -> Uncertainty:
    """The same standard errors with intervals by the profile likelihood."""
    from emdsl.runtime.profile import profile_intervals

    found = profile_intervals(problem, iterate.theta, iterate.value, wald)
    if found.higher:
        warnings.append("the profile of the likelihood rises above the estimate: it is not the highest maximum")
    if found.wald:
        warnings.append(f"the intervals of {', '.join(found.wald)} are Wald's: elements of a matrix have no profile")
    if found.open_ended:
        warnings.append(f"{found.open_ended} ends of profile intervals were not found and are null")
    return replace(wald, interval=found.interval)
