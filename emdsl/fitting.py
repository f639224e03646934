"""From a model and its data to a fit: starts, EM, and what must be fine or far enough before a fit is believed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from emdsl.data.bound import Bound
from emdsl.data.table import Table
from emdsl.diagnostics.errors import FitError
from emdsl.ir.derivation import Derivation
from emdsl.ir.model import Model
from emdsl.outcome import FitOutcome, outcome
from emdsl.plan.arrange import arrange, held_in_place
from emdsl.plan.arranger import arranger
from emdsl.plan.counts import counted_sets, cut_off, raised, tails_of_statistics, warnings_of
from emdsl.plan.drawn_fit import DrawnFit, fit_on_draws
from emdsl.plan.given import given_arrays
from emdsl.plan.laid_fit import LaidFit, fit_on_laid_nodes
from emdsl.plan.laying import laid_names
from emdsl.plan.methods import check_exact
from emdsl.plan.narrow_laws import beyond_nodes
from emdsl.plan.path_climbing import PathMaker, at_maximum_by_paths, at_start_by_paths, few_paths, switching
from emdsl.plan.problem import BoundProblem
from emdsl.plan.share_proposals import drawn_shares
from emdsl.plan.simulated import Maker, SimulatedProblem, at_simulated_maximum, at_start, of_draws
from emdsl.plan.start_counts import default_starts
from emdsl.plan.unit_scores import check_method, is_simulated
from emdsl.plan.untouched import without_untouched
from emdsl.request import FitRequest, bind_options
from emdsl.runtime.em import worth_having
from emdsl.runtime.fitting import FitOptions, FitState, fit
from emdsl.runtime.problem import Theta
from emdsl.runtime.starts import Search, search
from emdsl.runtime.threads import WORTH_LIMITING, one_blas_thread

if TYPE_CHECKING:
    from emdsl.compiler import CompiledModel

#: Steps of EM before the maximum of a simulated likelihood is looked for.
EM_STEPS = 30

#: A log-likelihood that moves by less when the nodes of its integrals are doubled has enough of them; they are doubled
#: up to so many times the usual number.
ENOUGH, MOST_NODES = 1e-6, 16


@dataclass(frozen=True)
class Fitting:
    """One fit of a model, derived for its data and as the user's plan says."""

    compiled: CompiledModel
    request: FitRequest

    @property
    def model(self) -> Model:
        """The model graph."""
        return self.compiled.model

    @property
    def derivation(self) -> Derivation:
        """What was derived of it."""
        return self.compiled.derivation

    @property
    def _wanted(self) -> bool:
        """Whether EM is to run until it has converged."""
        return self.request.tol > 0 and self.request.max_iter > 0

    @property
    def _begun(self) -> bool:
        """Whether the fit begins where it is told to, without a search."""
        return bool(self.request.init) or not self._wanted or self.request.starts == 1

    def on(self, table: Table, bound: Bound) -> FitOutcome:
        """The estimates from bound data. Raises FitError where there are none."""
        problem = self._problem(bound)
        if self.request.plan == "exact":
            check_exact(problem.derivation)
        check_method(problem, self.request.se)
        with one_blas_thread(max(problem.program.largest, WORTH_LIMITING if problem.program.laid else 0)):
            try:
                if drawn_shares(self.derivation):
                    problem, bound, state = self._on_draws(bound)
                    return self._outcome(bound, state)
                if laid_names(self.derivation):
                    problem, bound, state = self._on_laid_nodes(bound)
                else:
                    state = self._first_fit(problem)
                problem, bound, state = self._far_enough(problem, bound, state)
                state = self._with_enough_nodes(problem, bound, self._over_all_rows(problem, state))
                said = beyond_nodes(problem.program, state.theta)
                if said is not None:
                    state = replace(state, converged=False, warnings=(*state.warnings, said))
            except FitError as error:
                error = _about_counts(error, self.model, bound)
                if isinstance(error.state, FitState):
                    message = self._explained(error, table, bound, problem)
                    raise FitError(message, self._outcome(bound, error.state)) from error
                raise
            return self._outcome(bound, state)

    def _problem(self, bound: Bound) -> BoundProblem:
        """The program on these data."""
        return without_untouched(self.compiled.problem(bound, self.request))

    def _outcome(self, bound: Bound, state: FitState) -> FitOutcome:
        return outcome(self.model, bound, state, self.request, self.compiled)

    def _with_enough_nodes(self, problem: BoundProblem, bound: Bound, state: FitState) -> FitState:
        """The fit with so many nodes that twice as many change the log-likelihood by less than ENOUGH."""
        if is_simulated(problem):
            if self._wanted:
                return self._at_simulated_maximum(problem, bound, state)
            return at_start_by_paths(problem, state) if switching(problem) else at_start(problem, state)
        methods = {integral.method for integral in (*self.derivation.integrals, *problem.derivation.integrals)}
        # Where nodes are too few, what EM raises is not quite what they evaluate: it may fall, and the fit then stops
        # short of a maximum that more nodes have.
        settled = state.converged or state.stopped_by == "tolerance"
        if not methods & {"grid", "quadrature", "sum"} or not settled or self.request.tol == 0:
            return state
        moved = 0.0
        while bound.nodes < MOST_NODES:
            bound = replace(bound, nodes=2 * bound.nodes)
            fix = given_arrays(self.model, bound, self.request.fix, "fix")
            finer = BoundProblem(self.derivation, bound, fix, state.theta)
            moved = abs(finer.expect(state.theta).loglik - state.loglik)
            if moved <= ENOUGH:
                return state
            again = fit(finer, self._onward(finer))
            state = replace(again, starts=state.starts, iterations=state.iterations + again.iterations)
        said = f"{bound.nodes} times as many nodes as usual still move the log-likelihood by {moved:.2g}"
        return replace(state, converged=False, warnings=(*state.warnings, said))

    def _over_all_rows(self, problem: BoundProblem, state: FitState) -> FitState:
        """The fit with its log-likelihood summed over all rows, where a few stood for them; gone on with over all rows
        if these did not agree."""
        program = problem.program
        if program.condensed is None or program.condensed.rows is None:
            return state
        exact = float(program.expect(state.theta, row_by_row=True)[0])
        if abs(exact - state.loglik) > worth_having(exact):
            program.condensed = None
            again = fit(problem.starting_at(state.theta), self._onward(problem))
            return replace(again, starts=state.starts, iterations=state.iterations + again.iterations)
        return replace(state, loglik=exact, penalized_loglik=state.penalized_loglik + exact - state.loglik)

    def _explained(self, error: FitError, table: Table, bound: Bound, problem: BoundProblem) -> str:
        """What a failed fit says; where the data are impossible at the start, with the rows. Raises `impossible-data`
        where no parameters can help.
        """
        from emdsl.plan.impossible import impossible_data, impossible_rows, where
        from emdsl.plan.parts import Parts
        from emdsl.plan.undefined import undefined_law

        state = error.state
        if not state.iterations and np.isnan(state.loglik):
            undefined = undefined_law(problem.program, table)
            if undefined is not None:
                raise undefined from error
        if state.iterations or state.loglik != -np.inf:
            return error.message
        parts = Parts(self.derivation, table, bound, bind_options(self.request))
        found = impossible_rows(parts, problem.spaces, state.theta)
        if found is None:
            return error.message
        if found.always and not cut_off(self.model, problem.program.bound):
            raise impossible_data(found, table, self.model) from error
        what, semicolon, advice = error.message.partition(";")
        return f"{what}, {where(found, table)}{semicolon}{advice}"

    def _on_laid_nodes(self, bound: Bound) -> tuple[BoundProblem, Bound, FitState]:
        """The fit on nodes that are laid where the posterior lies."""

        def climb(problem: BoundProblem) -> FitState:
            return fit(problem, self._onward(problem))

        return fit_on_laid_nodes(bound, LaidFit(self.derivation, self._problem, self._search, climb, self._begun))

    def _search(self, problem: BoundProblem, count: int | None = None) -> Search:
        options = self._options(problem)
        with np.errstate(all="ignore"):
            return search(
                problem, problem.initial(), count or options.starts, options.seed, given=options.init_given,
                progress=options.progress,
            )  # fmt: skip

    def _on_draws(self, bound: Bound) -> tuple[BoundProblem, Bound, FitState]:
        """The fit on draws of hidden shares."""

        def climb(problem: BoundProblem, roughly: bool) -> FitState:
            options = replace(self._onward(problem), arrange=None)
            if roughly:
                steps = min(self.request.max_iter, EM_STEPS)
                options = replace(options, se="none", tol=0.0, max_iter=steps, accelerate="squarem")
            return fit(problem, options)

        def put_in_order(problem: BoundProblem, theta: Theta) -> Theta:
            return arrange(self.model, problem.program.bound, theta, held_in_place(self.model, problem.spaces))

        make = DrawnFit(
            self.derivation, self._problem, self._search, climb, put_in_order, given=self._begun, stay=not self._wanted
        )  # fmt: skip
        return fit_on_draws(bound, make)

    def _at_simulated_maximum(self, problem: BoundProblem, bound: Bound, state: FitState) -> FitState:
        def make(nodes: int, theta: Theta) -> BoundProblem:
            more = replace(bound, nodes=nodes, seed=self.request.seed)
            return BoundProblem(self.derivation, more, given_arrays(self.model, more, self.request.fix, "fix"), theta)

        def climb(again: SimulatedProblem) -> FitState:
            return fit(again, replace(self._onward(again.inner), arrange=None, accelerate="newton"))

        def steps(held: BoundProblem, count: int) -> FitState:
            return fit(held, replace(self._onward(held), arrange=None, se="none", tol=0.0, max_iter=count))

        def end(held: BoundProblem) -> FitState:
            return fit(held, replace(self._onward(held), arrange=None))

        if switching(problem):
            arrange = self._options(problem).arrange
            return at_maximum_by_paths(state, PathMaker(make, steps, end, MOST_NODES), arrange)
        return at_simulated_maximum(state, Maker(make, climb, steps, MOST_NODES))

    def _far_enough(self, problem: BoundProblem, bound: Bound, state: FitState) -> tuple[BoundProblem, Bound, FitState]:
        """The fit once the sums over latent counts go so far that what they leave out is negligible."""
        first = bound
        while counted_sets(self.model):
            tails = tails_of_statistics(problem.program, problem.expect(state.theta).statistics)
            wider = raised(bound, tails) if self._wanted else None
            if wider is None:
                return problem, bound, replace(state, warnings=(*state.warnings, *warnings_of(tails, first)))
            bound, problem = wider, self.compiled.problem(wider, self.request)
            state = fit(problem, self._options(problem))
        return problem, bound, state

    def _first_fit(self, problem: BoundProblem) -> FitState:
        """The fit; of a likelihood that is simulated some steps of EM with a part of the draws, from where its maximum
        is looked for by itself.
        """
        options = self._options(problem)
        if not is_simulated(problem) or not self._wanted:
            return fit(problem, options)
        arrange = None if switching(problem) else options.arrange
        options = replace(options, tol=0.0, max_iter=min(self.request.max_iter, EM_STEPS), se="none", arrange=arrange)
        with of_draws(problem, 0), few_paths(problem):
            return fit(problem, options)

    def _onward(self, problem: BoundProblem) -> FitOptions:
        """Of a climb that goes on from where the problem begins."""
        return replace(self._options(problem), starts=1, init_given=True)

    def _options(self, problem: BoundProblem) -> FitOptions:
        request = self.request
        starts = request.starts if request.starts is not None else default_starts(problem)
        given = bool(request.init) or any(parameter.init is not None for parameter in self.model.parameters)
        return FitOptions(
            tol=request.tol, max_iter=request.max_iter, accelerate=request.accelerate, starts=starts, seed=request.seed,
            init_given=given, se=request.se, level=request.level, interval=request.interval,
            bootstrap_repeats=request.bootstrap_repeats, progress=request.progress,
            arrange=arranger(problem, self.model),
        )  # fmt: skip


def _about_counts(error: FitError, model: Model, bound: Bound) -> FitError:
    """The error with a word about latent counts that the model cuts off, where the data are impossible."""
    ends = cut_off(model, bound)
    if not ends or not isinstance(error.state, FitState) or error.state.loglik > -np.inf:
        return error
    return FitError(f"{error.message}, or a higher `up to`: the model cuts off {ends}", error.state)
