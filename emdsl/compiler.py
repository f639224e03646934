"""The driver: text to derivation (or from the cache), derivation and data to a fit. Its body is the architecture.

text -> tree -> graph -> derivation | data -> program -> fit
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from emdsl.cache import cached_derivation, store_derivation
from emdsl.data.binding import bind
from emdsl.data.bound import Bound
from emdsl.data.options import BindOptions
from emdsl.data.reading import read_table
from emdsl.data.table import Table
from emdsl.data.wording import plain
from emdsl.diagnostics.errors import EmmError, FitError
from emdsl.ir.derivation import Derivation
from emdsl.ir.grids import index_set_of
from emdsl.ir.model import CELLS, EMPTY, Model
from emdsl.plan.anchoring import Echo, agreeing_labels, echoes, relabelled
from emdsl.plan.arrange import arrange, held_in_place, report_values
from emdsl.plan.counts import counted_sets, cut_off, raised, tails_of_statistics, warnings_of, with_top
from emdsl.plan.drawn_fit import DrawnFit, fit_on_draws
from emdsl.plan.given import given_arrays
from emdsl.plan.laid_fit import LaidFit, fit_on_laid_nodes
from emdsl.plan.laying import laid_names, with_laid_nodes
from emdsl.plan.merging import merged_units
from emdsl.plan.methods import check_exact, with_plan
from emdsl.plan.narrow_laws import beyond_nodes, order_of_breaks
from emdsl.plan.open_numbers import looked_at_numbers, open_numbers
from emdsl.plan.path_climbing import PathMaker, at_maximum_by_paths, at_start_by_paths, doubt, few_paths, switching
from emdsl.plan.problem import BoundProblem
from emdsl.plan.reflection import Reflection, reflections, turned
from emdsl.plan.share_draws import drawn_in, with_draws
from emdsl.plan.share_nodes import needs_draws
from emdsl.plan.share_proposals import drawn_shares
from emdsl.plan.simulated import Maker, SimulatedProblem, at_simulated_maximum, at_start, of_draws
from emdsl.plan.unit_scores import check_method, is_simulated
from emdsl.plan.untouched import without_untouched
from emdsl.runtime.fitting import FitOptions, FitState, fit
from emdsl.runtime.problem import Array, Theta
from emdsl.runtime.starts import Search, search
from emdsl.runtime.threads import WORTH_LIMITING, one_blas_thread
from emdsl.runtime.uncertainty import delta_method

if TYPE_CHECKING:
    from emdsl.plan.posterior import Posterior
    from emdsl.predict.prediction import Prediction


#: Standard errors that need the units one by one.
BY_UNIT = ("opg", "sandwich", "bootstrap")


@dataclass(frozen=True)
class FitRequest:
    """Everything that a fit may be told, with the names and defaults of the command line."""

    set: Mapping[str, Any] = field(default_factory=dict)
    const: Mapping[str, Any] = field(default_factory=dict)
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    map: Mapping[str, str] = field(default_factory=dict)
    weight: str | None = None
    init: Mapping[str, Any] = field(default_factory=dict)
    fix: Mapping[str, Any] = field(default_factory=dict)
    starts: int | None = None
    seed: int = 0
    tol: float = 1e-10
    max_iter: int = 10_000
    accelerate: str = "auto"
    plan: str = "auto"
    se: str = "auto"
    level: float = 0.95
    interval: str = "wald"
    bootstrap_repeats: int = 200
    na: tuple[str, ...] = ()
    progress: Callable[..., None] | None = None


@dataclass(frozen=True)
class FitOutcome:
    """A fit with what is needed to report it.

    `reports` by name: estimate, standard error (None where there is none), interval. `bic_n` is the weighted number
    of rows with an observed cell, `units` the weighted number of outermost units.
    """

    model: Model
    bound: Bound
    state: FitState
    reports: Mapping[str, tuple[Array, Array | None, Array | None]]
    estimator: str
    seed: int
    level: float
    bic_n: float
    units: float
    warnings: tuple[str, ...]
    compiled: CompiledModel | None = None
    request: FitRequest = field(default_factory=FitRequest)


@dataclass(frozen=True)
class CompiledModel:
    """A model that has been derived; nothing in it depends on data."""

    text: str
    file: str | None
    derivation: Derivation

    @property
    def model(self) -> Model:
        """The model graph."""
        return self.derivation.model

    def on(self, bound: Bound, purpose: str = "") -> CompiledModel:
        """The model as it is for these data: observed numbers with open cells, which other laws look at, are hidden
        there. With the purpose `draws`, and where shares are too many for nodes, no hidden number is on a grid.
        """
        purpose = "draws" if needs_draws(self.derivation, bound) else purpose
        names = open_numbers(self.derivation, bound)
        if set(names) <= set(self.derivation.open):
            return self.for_draws() if purpose == "draws" else self
        return self.opened(names, purpose)

    def opened(self, names: Sequence[str], purpose: str = "") -> CompiledModel:
        """The model for data in which these observed numbers have open cells, derived or from the cache."""
        ordered = tuple(variable.name for variable in self.model.variables if variable.name in names)
        key = "\0".join((self.text, *ordered))
        found = cached_derivation(key, purpose)
        if found is None:
            from emdsl.derive.derive import derive

            found = derive(self.model, ordered, grids_wanted=purpose != "draws")
            store_derivation(key, found, purpose)
        return replace(self, derivation=found)

    def with_open(self, names: Sequence[str], place: str = "open") -> CompiledModel:
        """The same for names that a user gives. Raises `unknown-variable` for one that is no observed number that other
        laws look at."""
        looked = looked_at_numbers(self.derivation)
        for name in names:
            if name not in looked:
                known = f"those are {plain(looked)}" if looked else "there is none in this model"
                raise EmmError(
                    "unknown-variable", f"`{name}` is no observed number that other laws look at", place=place,
                    help=known,
                )  # fmt: skip
        with _places(self):
            return self.opened(names) if names else self

    def bind(self, data: Any, request: FitRequest) -> Bound:
        """Data to arrays."""
        return bind(self.model, read_table(data, request.na), bind_options(request))

    def bind_again(
        self, data: Any, request: FitRequest, indexes: Mapping[str, tuple[str, ...]], columns: Mapping[str, str]
    ) -> Bound:
        """New data to arrays, with the labels (and the columns, where they are there) of an earlier fit."""
        from emdsl.data.again import bind_again

        with _places(self):
            return bind_again(self.model, read_table(data, request.na), bind_options(request), indexes, columns)

    def known_parameters(self, bound: Bound, values: Mapping[str, Any]) -> dict[str, Array]:
        """Values that the user gives for all parameters as arrays, checked."""
        from emdsl.plan.parameters import known_parameters

        with _places(self):
            return known_parameters(self.model, bound, values)

    def posterior(self, bound: Bound, theta: Theta, *, filtered: bool = False) -> Posterior:
        """What the data say of the hidden variables, at these parameters."""
        from emdsl.plan.posterior import posterior

        with _places(self):
            here = self.on(bound).derivation
            return posterior(here, with_points(here, bound, theta), theta, filtered=filtered)

    def predict(self, bound: Bound, theta: Theta, *, level: float, filtered: bool = False) -> Prediction:
        """What is expected of the observed variables, at these parameters."""
        from emdsl.predict.prediction import predict

        with _places(self):
            here = self.on(bound).derivation
            laid = with_points(here, bound, theta)
            return predict(here, laid, theta, level=level, filtered=filtered)

    def design(
        self, design: Any, units: int | None, request: FitRequest, indexes: Mapping[str, tuple[str, ...]],
        columns: Mapping[str, str],
    ) -> Bound:  # fmt: skip
        """The units to simulate: those of the table `design`, or, without it, as many rows as `units` says."""
        from emdsl.data.again import bind_again
        from emdsl.simulate.truncated import refuse_bounds
        from emdsl.simulate.units import known_labels, numbered_table, without_absent

        with _places(self):
            refuse_bounds(self.model)
            options, made = bind_options(request), design is None
            table = numbered_table(self.model, units or 0, options) if made else read_table(design, request.na)
            labels = known_labels(self.model, options, indexes, not made)
            return bind_again(self.model, table, without_absent(self.model, table, options), labels, columns)

    def simulate(
        self, bound: Bound, theta: Theta, request: FitRequest, *, units: int | None = None, seed: int = 0,
        latent: bool = False, missing: float = 0.0,
    ) -> dict[str, list[Any]]:  # fmt: skip
        """Data drawn from the model, as columns, for `units` outermost units like those of `bound` (None: those)."""
        from emdsl.simulate.ancestral import simulate
        from emdsl.simulate.draws import TopTooLow
        from emdsl.simulate.table import simulated_columns
        from emdsl.simulate.truncated import refuse_bounds
        from emdsl.simulate.units import units_of

        rng = np.random.default_rng(seed)
        with _places(self):
            refuse_bounds(self.model)
            chosen = bound if units is None else units_of(self.model, bound, units)
            while True:
                try:
                    drawn = simulate(self.model, chosen, theta, rng)
                    break
                except TopTooLow as low:
                    top = 2 * int(chosen.indexes[low.index_set][-1])
                    chosen, rng = with_top(chosen, low.index_set, top), np.random.default_rng(seed)
            return simulated_columns(
                self.model, chosen, drawn, renamed=request.map, latent=latent, missing=missing, rng=rng
            )

    def problem(self, bound: Bound, request: FitRequest) -> BoundProblem:
        """Bound data to a program that can be fitted; units that show the same are counted where that pays."""
        fix = given_arrays(self.model, bound, request.fix, "fix")
        init = given_arrays(self.model, bound, request.init, "init")
        counted = bound if request.se in BY_UNIT else merged_units(self.model, bound)
        with np.errstate(all="ignore"):  # numbers near the end of their range; what comes of them is looked at later
            problem = BoundProblem(self.derivation, counted, fix, init)
            if counted is not bound and is_simulated(problem):  # what is simulated for one unit would count for many
                problem = BoundProblem(self.derivation, bound, fix, init)
            return problem

    def fit(self, data: Any, request: FitRequest) -> FitOutcome:
        """The whole road from a table to estimates."""
        with _places(self):
            table = read_table(data, request.na)
            bound = bind(self.model, table, bind_options(request))
            here = self.on(bound, "draws" if request.plan == "monte-carlo" else "")
            return replace(here, derivation=with_plan(here.derivation, request.plan))._fit(table, bound, request)

    def _fit(self, table: Table, bound: Bound, request: FitRequest) -> FitOutcome:
        """The estimates from bound data; the derivation is that for these data."""
        with _places(self):
            bound = replace(bound, seed=request.seed)
            problem = without_untouched(self.problem(bound, request))
            if request.plan == "exact":
                check_exact(problem.derivation)
            check_method(problem, request.se)
            with one_blas_thread(max(problem.program.largest, WORTH_LIMITING if problem.program.laid else 0)):
                try:
                    if drawn_shares(self.derivation):
                        problem, bound, state = self._on_draws(bound, request)
                        return self._outcome(bound, state, request)
                    if laid_names(self.derivation):
                        problem, bound, state = self._on_laid_nodes(bound, request)
                    else:
                        state = self._first_fit(problem, request)
                    problem, bound, state = self._far_enough(problem, bound, state, request)
                    state = self._with_enough_nodes(problem, bound, state, request)
                    said = beyond_nodes(problem.program, state.theta)
                    if said is not None:
                        state = replace(state, converged=False, warnings=(*state.warnings, said))
                except FitError as error:
                    error = _about_counts(error, self.model, bound)
                    if isinstance(error.state, FitState):
                        message = self._explained(error, table, bound, problem, request)
                        raise FitError(message, self._outcome(bound, error.state, request)) from error
                    raise
                return self._outcome(bound, state, request)

    def for_draws(self) -> CompiledModel:
        """The model with every hidden number a number, also those that are otherwise summed over a grid."""
        return self if self.derivation.gridded is None else load_text(self.text, self.file, purpose="draws")

    def _with_enough_nodes(self, problem: BoundProblem, bound: Bound, state: FitState, request: FitRequest) -> FitState:
        """The fit with so many nodes that twice as many change the log-likelihood by less than ENOUGH."""
        if is_simulated(problem):
            if request.tol > 0 and request.max_iter > 0:
                return self._at_simulated_maximum(problem, bound, state, request)
            return at_start_by_paths(problem, state) if switching(problem) else at_start(problem, state)
        methods = {integral.method for integral in (*self.derivation.integrals, *problem.derivation.integrals)}
        # Where nodes are too few, what EM raises is not quite what they evaluate: it may fall, and the fit then stops
        # short of a maximum that more nodes have.
        settled = state.converged or state.stopped_by == "tolerance"
        if not methods & {"grid", "quadrature", "sum"} or not settled or request.tol == 0:
            return state
        moved = 0.0
        while bound.nodes < MOST_NODES:
            bound = replace(bound, nodes=2 * bound.nodes)
            fix = given_arrays(self.model, bound, request.fix, "fix")
            finer = BoundProblem(self.derivation, bound, fix, state.theta)
            moved = abs(finer.expect(state.theta).loglik - state.loglik)
            if moved <= ENOUGH:
                return state
            options = replace(self._options(finer, request), starts=1, init_given=True)
            again = fit(finer, options)
            state = replace(again, starts=state.starts, iterations=state.iterations + again.iterations)
        said = f"{bound.nodes} times as many nodes as usual still move the log-likelihood by {moved:.2g}"
        return replace(state, converged=False, warnings=(*state.warnings, said))

    def _explained(
        self, error: FitError, table: Table, bound: Bound, problem: BoundProblem, request: FitRequest
    ) -> str:
        """What a failed fit says; where the data are impossible at the start, with the rows. Raises `impossible-data`
        where no parameters can help.
        """
        from emdsl.plan.impossible import impossible_data, impossible_rows, where
        from emdsl.plan.parts import Parts

        state = error.state
        if state.iterations or state.loglik != -np.inf:
            return error.message
        parts = Parts(self.derivation, table, bound, bind_options(request))
        found = impossible_rows(parts, problem.spaces, state.theta)
        if found is None:
            return error.message
        if found.always and not cut_off(self.model, problem.program.bound):
            raise impossible_data(found, table, self.model) from error
        what, semicolon, advice = error.message.partition(";")
        return f"{what}, {where(found, table)}{semicolon}{advice}"

    def _on_laid_nodes(self, bound: Bound, request: FitRequest) -> tuple[BoundProblem, Bound, FitState]:
        """The fit on nodes that are laid where the posterior lies."""

        def make(nodes: Bound) -> BoundProblem:
            return without_untouched(self.problem(nodes, request))

        def look(problem: BoundProblem, count: int | None) -> Search:
            options = self._options(problem, request)
            with np.errstate(all="ignore"):
                return search(
                    problem, problem.initial(), count or options.starts, options.seed, given=options.init_given,
                    progress=options.progress,
                )  # fmt: skip

        def climb(problem: BoundProblem) -> FitState:
            return fit(problem, replace(self._options(problem, request), starts=1, init_given=True))

        given = bool(request.init) or request.tol == 0 or request.max_iter == 0 or request.starts == 1
        return fit_on_laid_nodes(bound, LaidFit(self.derivation, make, look, climb, given))

    def _on_draws(self, bound: Bound, request: FitRequest) -> tuple[BoundProblem, Bound, FitState]:
        """The fit on draws of hidden shares."""

        def make(drawn: Bound) -> BoundProblem:
            return without_untouched(self.problem(drawn, request))

        def look(problem: BoundProblem) -> Search:
            options = self._options(problem, request)
            with np.errstate(all="ignore"):
                return search(problem, problem.initial(), options.starts, options.seed, given=options.init_given,
                              progress=options.progress)  # fmt: skip

        def climb(problem: BoundProblem, roughly: bool) -> FitState:
            options = replace(self._options(problem, request), starts=1, init_given=True, arrange=None)
            if roughly:
                steps = min(request.max_iter, EM_STEPS)
                options = replace(options, se="none", tol=0.0, max_iter=steps, accelerate="squarem")
            return fit(problem, options)

        def put_in_order(problem: BoundProblem, theta: Theta) -> Theta:
            return arrange(self.model, problem.program.bound, theta, held_in_place(self.model, problem.spaces))

        stay = request.tol == 0 or request.max_iter == 0
        given = bool(request.init) or stay or request.starts == 1
        return fit_on_draws(bound, DrawnFit(self.derivation, make, look, climb, put_in_order, given, stay))

    def _at_simulated_maximum(
        self, problem: BoundProblem, bound: Bound, state: FitState, request: FitRequest
    ) -> FitState:
        def make(nodes: int, theta: Theta) -> BoundProblem:
            more = replace(bound, nodes=nodes, seed=request.seed)
            return BoundProblem(self.derivation, more, given_arrays(self.model, more, request.fix, "fix"), theta)

        def climb(again: SimulatedProblem) -> FitState:
            options = self._options(again.inner, request)
            return fit(again, replace(options, starts=1, init_given=True, arrange=None, accelerate="newton"))

        def steps(held: BoundProblem, count: int) -> FitState:
            options = self._options(held, request)
            return fit(held, replace(options, starts=1, init_given=True, arrange=None, se="none", tol=0.0,
                                     max_iter=count))  # fmt: skip

        def end(held: BoundProblem) -> FitState:
            return fit(held, replace(self._options(held, request), starts=1, init_given=True, arrange=None))

        if switching(problem):
            arrange = self._options(problem, request).arrange
            return at_maximum_by_paths(state, PathMaker(make, steps, end, MOST_NODES), arrange)
        return at_simulated_maximum(state, Maker(make, climb, MOST_NODES))

    def _far_enough(
        self, problem: BoundProblem, bound: Bound, state: FitState, request: FitRequest
    ) -> tuple[BoundProblem, Bound, FitState]:
        """The fit once the sums over latent counts go so far that what they leave out is negligible."""
        first = bound
        while counted_sets(self.model):
            tails = tails_of_statistics(problem.program, problem.expect(state.theta).statistics)
            wider = raised(bound, tails) if request.tol > 0 and request.max_iter > 0 else None
            if wider is None:
                return problem, bound, replace(state, warnings=(*state.warnings, *warnings_of(tails, first)))
            bound, problem = wider, self.problem(wider, request)
            state = fit(problem, self._options(problem, request))
        return problem, bound, state

    def _first_fit(self, problem: BoundProblem, request: FitRequest) -> FitState:
        """The fit; of a likelihood that is simulated some steps of EM with a part of the draws, from where its maximum
        is looked for by itself.
        """
        options = self._options(problem, request)
        if not is_simulated(problem) or request.tol == 0 or request.max_iter == 0:
            return fit(problem, options)
        arranger = None if switching(problem) else options.arrange
        options = replace(options, tol=0.0, max_iter=min(request.max_iter, EM_STEPS), se="none", arrange=arranger)
        with of_draws(problem, 0), few_paths(problem):
            return fit(problem, options)

    def _options(self, problem: BoundProblem, request: FitRequest) -> FitOptions:
        starts = request.starts if request.starts is not None else default_starts(problem)
        given = bool(request.init) or any(parameter.init is not None for parameter in self.model.parameters)
        return FitOptions(
            tol=request.tol, max_iter=request.max_iter, accelerate=request.accelerate, starts=starts, seed=request.seed,
            init_given=given, se=request.se, level=request.level, interval=request.interval,
            bootstrap_repeats=request.bootstrap_repeats, progress=request.progress,
            arrange=self._arranger(problem),
        )  # fmt: skip

    def _arranger(self, problem: BoundProblem) -> Callable[[Theta], dict[str, Array]] | None:
        named = tuple(echoes(self.model))
        mirrors = reflections(self.model)
        if not self.model.orders and not named and not mirrors:
            return None
        bound = problem.program.bound
        stay = held_in_place(self.model, problem.spaces)

        def put_in_order(theta: Theta) -> dict[str, Array]:
            theta = _with_signs(problem, _with_labels(problem, theta, named), mirrors)
            ordered = arrange(self.model, bound, theta, stay)
            before, after = problem.expect(theta).loglik, problem.expect(ordered).loglik
            unsure = doubt(problem) + order_of_breaks(problem.program)
            if not abs(before - after) <= 1e-8 * (1.0 + abs(before)) + unsure:
                names = ", ".join(order.index_set for order in self.model.orders)
                raise EmmError(
                    "order-not-invariant",
                    f"the labels of {names} cannot be put in order: relabelling changes the log-likelihood "
                    f"from {before:.6f} to {after:.6f}, so the model tells them apart",
                    help="drop the `order` line, or what names a label by itself",
                )
            return ordered

        return put_in_order

    def _outcome(self, bound: Bound, state: FitState, request: FitRequest) -> FitOutcome:
        def values(theta: Theta) -> dict[str, Array]:
            return report_values(self.model, bound, theta)

        reports: dict[str, tuple[Array, Array | None, Array | None]]
        if state.uncertainty is not None:
            reports = dict(delta_method(values, state.theta, state.uncertainty))
            known = values(state.estimates)
            reports = {name: _where_known(found, known[name]) for name, found in reports.items()}
        else:
            reports = {name: (value, None, None) for name, value in values(state.estimates).items()}
        prior = any(parameter.prior is not None for parameter in self.model.parameters)
        return FitOutcome(
            model=self.model, bound=bound, state=state, reports=reports, estimator="MAP" if prior else "ML",
            seed=request.seed, level=request.level, bic_n=weighted_rows(self.model, bound),
            units=weighted_units(bound), warnings=(*self.model.warnings, *bound.warnings, *state.warnings),
            compiled=self, request=request,
        )  # fmt: skip

    def check(self, data: Any, request: FitRequest) -> list[str]:
        """Lines about graph, plan, cost and rules; with data, how the columns bind."""
        from emdsl.plan.check import check_lines
        from emdsl.plan.identifiability import identifiability_lines
        from emdsl.plan.parts import Parts

        with _places(self):
            if data is None:
                return check_lines(self.derivation, None)
            table = read_table(data, request.na)
            bound = bind(self.model, table, bind_options(request))
            here = self.on(bound)
            lines = check_lines(here.derivation, bound)
            if drawn_shares(here.derivation):
                return lines
            parts = Parts(here.derivation, table, bound, bind_options(request))
            return [*lines, "", *identifiability_lines(parts, here.problem(bound, request))]

    def compile_source(self) -> str:
        """A module that fits the model and needs NumPy alone."""
        from emdsl.standalone import standalone_source

        return standalone_source(self)


#: Short starts of a fit: with finite hidden variables; with continuous ones alone, whose likelihoods have few maxima,
#: for data of up to so many rows times elements; for larger data.
STARTS, FEW_STARTS, LEAST_STARTS = 50, 10, 2
#: Of hidden numbers whose nodes are laid, where an E-step takes far longer.
LAID_STARTS = 5
SMALL_DATA = 20_000


#: Draws of hidden shares that posteriors and predictions are told by.
TOLD_BY = 2000

#: Steps of EM before the maximum of a simulated likelihood is looked for.
EM_STEPS = 30

#: A log-likelihood that moves by less when the nodes of its integrals are doubled has enough of them; they are doubled
#: up to so many times the usual number.
ENOUGH, MOST_NODES = 1e-6, 16


def with_points(derivation: Derivation, bound: Bound, theta: Theta) -> Bound:
    """The data with nodes and draws where these parameters want them."""
    if drawn_shares(derivation):
        return with_draws(derivation, bound, theta, TOLD_BY)
    return with_laid_nodes(derivation, bound, theta)


def default_starts(problem: BoundProblem) -> int:
    """How many short starts are run where the user says nothing."""
    if switching(problem):
        return FEW_STARTS
    drawn, known = problem.program.drawn, problem.program.bound.indexes
    grids = [item for item in drawn if index_set_of(item[0]) in known]
    if problem.program.laid or drawn_in(problem.program):
        return LAID_STARTS
    if len(drawn) > len(grids) or not (grids or problem.program.integrals):
        return STARTS
    # What is summed over a grid is no integral any more: its laws count by the rows and elements that look at it.
    on_grids = {name for name, *_ in grids}
    levels = problem.program.bound.levels
    looks = sum(
        int(np.prod(item.data.elements)) * levels[item.level].size
        for item in problem.program.pieces.values()
        if on_grids & set(item.axes.hidden)
    )
    return FEW_STARTS if problem.program.evaluations + looks <= SMALL_DATA else LEAST_STARTS


def _where_known(
    found: tuple[Array, Array | None, Array | None], value: Array
) -> tuple[Array, Array | None, Array | None]:
    """A report without what rests on elements that have no estimate."""
    estimate, se, interval = found
    unknown = np.isnan(value) & ~np.isnan(estimate)
    if not unknown.any() or se is None or interval is None:
        return found
    gone = unknown[..., None]
    return np.where(unknown, np.nan, estimate), np.where(unknown, np.nan, se), np.where(gone, np.nan, interval)


def bind_options(request: FitRequest) -> BindOptions:
    """What a request says of the data."""
    return BindOptions(
        set=request.set,
        const=request.const,
        columns=request.columns,
        map=request.map,
        weight=request.weight,
        na=request.na,
    )


def _with_labels(problem: BoundProblem, theta: Theta, named: tuple[Echo, ...]) -> dict[str, Array]:
    """Theta with hidden values named after what is observed of them, where that leaves the log-likelihood as it is."""
    current = {name: np.asarray(value, dtype=float) for name, value in theta.items()}
    fixed = {space.name for space in problem.spaces if np.any(space.fixed)}
    for echo in named:
        expectation = problem.expect(current)
        ranks = agreeing_labels(problem.program, expectation.statistics, echo)
        if ranks is None or fixed & {name for name, _ in echo.places}:
            continue
        renamed = relabelled(current, echo, ranks)
        before = expectation.loglik + problem.log_prior(current)
        after = problem.expect(renamed).loglik + problem.log_prior(renamed)
        if abs(before - after) <= 1e-8 * (1.0 + abs(before)):
            current = renamed
    return current


def _with_signs(problem: BoundProblem, theta: dict[str, Array], mirrors: tuple[Reflection, ...]) -> dict[str, Array]:
    """Theta with hidden numbers turned so that most of what multiplies them is positive, where that leaves the
    log-likelihood as it is.
    """
    for mirror in mirrors:
        waiting = True
        while waiting:
            waiting = False
            before = problem.expect(theta).loglik + problem.log_prior(theta)
            for other in turned(theta, mirror, problem.spaces):
                after = problem.expect(other).loglik + problem.log_prior(other)
                if abs(before - after) <= 1e-8 * (1.0 + abs(before)):
                    theta, waiting = other, True
                    break
    return theta


def _about_counts(error: FitError, model: Model, bound: Bound) -> FitError:
    """The error with a word about latent counts that the model cuts off, where the data are impossible."""
    ends = cut_off(model, bound)
    if not ends or not isinstance(error.state, FitState) or error.state.loglik > -np.inf:
        return error
    return FitError(f"{error.message}, or a higher `up to`: the model cuts off {ends}", error.state)


class _places:
    """Errors raised inside know the model's text."""

    def __init__(self, compiled: CompiledModel) -> None:
        self.compiled = compiled

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if isinstance(error, EmmError) and error.source is None and error.span is not None:
            error.in_text(self.compiled.text, self.compiled.file)


def load_text(text: str, file: str | None = None, *, purpose: str = "") -> CompiledModel:
    """A model's text, derived or read from the cache; with the purpose `draws` no hidden number is on a grid. Raises
    EmmError with every error of the first stage that finds any.
    """
    found = cached_derivation(text, purpose)
    if found is not None:
        return CompiledModel(text, file, found)
    from emdsl.derive.derive import derive
    from emdsl.graph.resolve import resolve
    from emdsl.syntax.parser import parse

    try:
        tree = parse(text, file)
        model = resolve(tree, name=_name(file))
        derivation = derive(model, grids_wanted=purpose != "draws")
    except EmmError as error:
        raise error.in_text(text, file) from None
    store_derivation(text, derivation, purpose)
    return CompiledModel(text, file, derivation)


def _name(file: str | None) -> str:
    from pathlib import PurePath

    return PurePath(file).stem if file else "Model"


def weighted_units(bound: Bound) -> float:
    """The number of outermost units, counted by their weights."""
    if len(bound.levels) < 2:
        return 0.0
    level = bound.levels[1]
    weights = bound.weights.get(level.plate or "")
    return float(level.size if weights is None else weights.sum())


def weighted_rows(model: Model, bound: Bound) -> float:
    """The number of rows with an observed cell, counted by all weights around them. The columns that a plate runs over
    are of one row."""
    across = {plate.name for plate in model.plates if plate.over is not None}
    row_level = max(k for k, level in enumerate(bound.levels) if level.plate not in across)
    weights = np.ones(bound.levels[row_level].size)
    parent = np.arange(len(weights))
    for number in range(row_level, 0, -1):
        own = bound.weights.get(bound.levels[number].plate or "")
        if own is not None:
            weights = weights * own[parent]
        parent = bound.levels[number].parent[parent]
    seen: Any = np.zeros(len(weights), dtype=bool)
    for variable in model.variables:
        if not (variable.kind == "observed" or variable.cut) or variable.name not in bound.values:
            continue
        values = bound.values[variable.name]
        present: Any = ~values.unseen
        if variable.cut is not None:  # a bound is an observation too
            present = np.asarray(values.array) != CELLS.index(EMPTY)
        present = present.reshape(-1, present.shape[-1]).any(axis=0)
        level = next(k for k, item in enumerate(bound.levels) if item.plate == variable.plate)
        for number in range(level, row_level, -1):
            present = np.bincount(bound.levels[number].parent[present], minlength=bound.levels[number - 1].size) > 0
        place = np.arange(len(weights))
        for number in range(row_level, level, -1):
            place = bound.levels[number].parent[place]
        seen = seen | present[place]
    return float(weights[seen].sum())
