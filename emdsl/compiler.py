"""The driver: text to derivation (or from the cache), derivation and data to a fit. Its body is the architecture.

text -> tree -> graph -> derivation | data -> program -> fit
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from emdsl.cache import cached_derivation, store_derivation
from emdsl.data.binding import bind
from emdsl.data.bound import Bound
from emdsl.data.reading import read_table
from emdsl.data.table import Table
from emdsl.data.wording import plain
from emdsl.diagnostics.errors import EmmError
from emdsl.fitting import Fitting
from emdsl.ir.derivation import Derivation
from emdsl.ir.model import Model
from emdsl.outcome import FitOutcome
from emdsl.plan.counts import with_top
from emdsl.plan.given import given_arrays
from emdsl.plan.merging import merged_units
from emdsl.plan.methods import with_plan
from emdsl.plan.open_numbers import looked_at_numbers, open_numbers
from emdsl.plan.points import with_points
from emdsl.plan.problem import BoundProblem
from emdsl.plan.share_nodes import needs_draws
from emdsl.plan.share_proposals import drawn_shares
from emdsl.plan.unit_scores import is_simulated
from emdsl.request import FitRequest, bind_options
from emdsl.runtime.problem import Array, Theta

if TYPE_CHECKING:
    from emdsl.plan.certainty import Certainty
    from emdsl.plan.posterior import Posterior
    from emdsl.predict.densities import FittedDensity
    from emdsl.predict.prediction import Prediction


#: What a derivation is for: a fit; a fit by draws, in which no hidden number is on a grid; to be read.
Purpose = Literal["", "draws", "reading"]

#: Standard errors that need the units one by one.
BY_UNIT = ("opg", "sandwich", "bootstrap")


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

    def on(self, bound: Bound, purpose: Purpose = "") -> CompiledModel:
        """The model as it is for these data: observed numbers with open cells, which other laws look at, are hidden
        there. With the purpose `draws`, and where shares are too many for nodes, no hidden number is on a grid.
        """
        purpose = "draws" if needs_draws(self.derivation, bound) else purpose
        names = open_numbers(self.derivation, bound)
        if set(names) <= set(self.derivation.open):
            return self.for_draws() if purpose == "draws" else self
        return self.opened(names, purpose)

    def opened(self, names: Sequence[str], purpose: Purpose = "") -> CompiledModel:
        """The model for data in which these observed numbers have open cells, derived or from the cache."""
        ordered = tuple(variable.name for variable in self.model.variables if variable.name in names)
        key = "\0".join((self.text, *ordered))
        found = cached_derivation(key, purpose)
        if found is None:
            found = _derived(self.model, ordered, purpose)
            store_derivation(key, found, purpose)
        return replace(self, derivation=found)

    def written(self, names: Sequence[str] = ()) -> CompiledModel:
        """The model with the steps of its derivation, which a fit has no need of; `names` as for `with_open`."""
        if names:
            return self.with_open(names, purpose="reading")
        if self.derivation.steps:
            return self
        return load_text(self.text, self.file, purpose="reading")

    def with_open(self, names: Sequence[str], place: str = "open", purpose: Purpose = "") -> CompiledModel:
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
            return self.opened(names, purpose) if names else self

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

    def certainty(self, bound: Bound, theta: Theta) -> Certainty:
        """How certain the finite hidden variables are, at these parameters."""
        from emdsl.plan.certainty import certainty

        with _places(self):
            here = self.on(bound).derivation
            return certainty(here, with_points(here, bound, theta), theta)

    def unit_evidence(self, bound: Bound, theta: Theta) -> Array:
        """The log-likelihood of each independent unit, at these parameters."""
        from emdsl.plan.program import Program
        from emdsl.plan.unit_evidence import unit_evidence

        with _places(self):
            here = self.on(bound).derivation
            return unit_evidence(Program(here, with_points(here, bound, theta)), theta)

    def predict(self, bound: Bound, theta: Theta, *, level: float, filtered: bool = False) -> Prediction:
        """What is expected of the observed variables, at these parameters."""
        from emdsl.predict.prediction import predict

        with _places(self):
            here = self.on(bound).derivation
            laid = with_points(here, bound, theta)
            return predict(here, laid, theta, level=level, filtered=filtered)

    def densities(self, bound: Bound, theta: Theta, points: Mapping[str, Array]) -> dict[str, FittedDensity]:
        """The fitted densities of observed numbers at `points` `(elements, points)`, at these parameters."""
        from emdsl.predict.densities import fitted_densities

        with _places(self):
            here = self.on(bound).derivation
            return fitted_densities(here, with_points(here, bound, theta), theta, points)

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
            return self._fitted(table, bind(self.model, table, bind_options(request)), request)

    def fit_again(
        self, data: Any, request: FitRequest, indexes: Mapping[str, tuple[str, ...]], columns: Mapping[str, str]
    ) -> FitOutcome:
        """The same with the labels (and the columns, where they are there) of an earlier binding."""
        with _places(self):
            table = read_table(data, request.na)
            return self._fitted(table, self.bind_again(table, request, indexes, columns), request)

    def _fitted(self, table: Table, bound: Bound, request: FitRequest) -> FitOutcome:
        bound = replace(bound, seed=request.seed)
        return Fitting(self.as_asked(bound, request), request).on(table, bound)

    def as_asked(self, bound: Bound, request: FitRequest) -> CompiledModel:
        """The model as it is for these data, its integrals taken as `plan` says."""
        with _places(self):
            here = self.on(bound, "draws" if request.plan == "monte-carlo" else "")
            return replace(here, derivation=with_plan(here.derivation, request.plan))

    def for_draws(self) -> CompiledModel:
        """The model with every hidden number a number, also those that are otherwise summed over a grid."""
        return self if self.derivation.gridded is None else load_text(self.text, self.file, purpose="draws")

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


class _places:
    """Errors raised inside know the model's text."""

    def __init__(self, compiled: CompiledModel) -> None:
        self.compiled = compiled

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if isinstance(error, EmmError) and error.source is None and error.span is not None:
            error.in_text(self.compiled.text, self.compiled.file)


def load_text(text: str, file: str | None = None, *, purpose: Purpose = "") -> CompiledModel:
    """A model's text, derived or read from the cache; with the purpose `draws` no hidden number is on a grid, with
    `reading` the steps are written out. Raises EmmError with every error of the first stage that finds any.
    """
    found = cached_derivation(text, purpose)
    if found is not None:
        return CompiledModel(text, file, found)
    model = _resolved(text, file)
    try:
        derivation = _derived(model, (), purpose)
    except EmmError as error:
        raise error.in_text(text, file) from None
    store_derivation(text, derivation, purpose)
    return CompiledModel(text, file, derivation)


def load_graph(text: str, file: str | None = None) -> Model:
    """A model's graph without a derivation, which takes longer. Raises as `load_text` does."""
    found = cached_derivation(text)
    return found.model if found is not None else _resolved(text, file)


def _resolved(text: str, file: str | None) -> Model:
    from emdsl.graph.resolve import resolve
    from emdsl.syntax.parser import parse

    try:
        return resolve(parse(text, file), name=_name(file))
    except EmmError as error:
        raise error.in_text(text, file) from None


def _derived(model: Model, names: tuple[str, ...], purpose: Purpose) -> Derivation:
    from emdsl.derive.derive import derive

    return derive(model, names, grids_wanted=purpose != "draws", steps_wanted=purpose == "reading")


def _name(file: str | None) -> str:
    from pathlib import PurePath

    return PurePath(file).stem if file else "Model"
