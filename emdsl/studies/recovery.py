"""Whether a model gives back the parameters that its data were drawn with: simulate, fit, compare."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from emdsl.diagnostics.errors import EmmError, FitError
from emdsl.ir.model import Model as Graph
from emdsl.outcome import FitOutcome
from emdsl.plan.arrange import is_based_on, permuted
from emdsl.plan.arranger import arranger
from emdsl.request import FitRequest
from emdsl.results.elements import Element
from emdsl.results.options import Spell, fit_request, whole_number
from emdsl.results.params import KnownParameters, known_parameters
from emdsl.results.result import Fit
from emdsl.results.simulation import checked_options, checked_units
from emdsl.runtime.problem import Array, Theta
from emdsl.studies.labels import exchangeable_sets, matched, permuted_errors
from emdsl.studies.replicates import frozen_labels, replicate_seed, staged
from emdsl.studies.summaries import Summary, summaries
from emdsl.version import VERSION

if TYPE_CHECKING:
    from emdsl.compiler import CompiledModel
    from emdsl.data.bound import Bound

#: Data sets that are drawn unless another number is asked for.
REPEATS = 100


@dataclass(frozen=True)
class Replicate:
    """One data set fitted again: estimates by element (NaN: none), their standard errors and the ends of their
    intervals. `reason`: why it does not count, if it does not."""

    number: int
    estimates: Array
    se: Array
    low: Array
    high: Array
    reason: str = ""
    failed: bool = False


@dataclass(frozen=True)
class Recovery:
    """What became of the true values. `summaries` has one entry for each element of a parameter, over the replicates
    that converged; `matched` names the index sets whose labels were put in the order nearest to the truth."""

    model: str
    units: int
    seed: int
    level: float
    replicates: tuple[Replicate, ...]
    summaries: tuple[Summary, ...]
    matched: tuple[str, ...]
    notes: tuple[str, ...] = field(default=())

    @property
    def converged(self) -> int:
        """How many replicates count."""
        return sum(not item.reason for item in self.replicates)

    @property
    def failed(self) -> int:
        """How many fits failed."""
        return sum(item.failed for item in self.replicates)

    def to_dict(self) -> dict[str, Any]:
        """What `emdsl recover` prints as JSON."""
        run = len(self.replicates)
        return {
            "model": self.model, "version": VERSION, "units": self.units, "seed": self.seed, "level": self.level,
            "replicates": {
                "run": run, "converged": self.converged, "not_converged": run - self.converged - self.failed,
                "failed": self.failed,
                "reasons": {str(item.number): item.reason for item in self.replicates if item.reason},
            },
            "matched": list(self.matched),
            "parameters": {item.name: item.to_dict() for item in self.summaries},
            "notes": list(self.notes),
        }  # fmt: skip

    @property
    def table(self) -> Any:
        """One row for each element of a parameter: a data frame (a dict of columns without pandas)."""
        from emdsl.results.frames import frame

        rows = [item.to_dict() for item in self.summaries]
        names = [item.name for item in self.summaries]
        return frame({"term": names, **{key: [row[key] for row in rows] for key in (rows[0] if rows else ())}})

    @property
    def estimates(self) -> Any:
        """One row for each replicate: whether it counts, and its estimates by element, labels matched."""
        from emdsl.results.frames import frame

        columns: dict[str, list[Any]] = {
            "replicate": [item.number for item in self.replicates],
            "converged": [not item.reason for item in self.replicates],
        }
        for place, summary in enumerate(self.summaries):
            columns[summary.name] = [float(item.estimates[place]) for item in self.replicates]
        return frame(columns)

    def __str__(self) -> str:
        from emdsl.studies.recovery_text import recovery_text

        return recovery_text(self)


def recovery(
    compiled: CompiledModel, params: Any, chosen: Mapping[str, Any], given: Mapping[str, Any], spell: Spell = str
) -> Recovery:
    """The study: `chosen` are `n`, `repeat`, `design` and `missing`, `given` the options of a fit. Replicate r is drawn
    with the seed `replicate_seed(seed, r)`.

    Raises what simulating and fitting raise, but for a fit that fails, which is counted.
    """
    request = fit_request(compiled.model, given, spell)
    known = known_parameters(params, compiled.model, spell("params"))
    repeats = whole_number(spell("repeat"), chosen.get("repeat", REPEATS), 1, optional=False)
    assert repeats is not None
    design = chosen.get("design")
    units = checked_units(chosen.get("n"), spell, optional=design is not None)
    missing = checked_options({"missing": chosen.get("missing", 0.0)}, spell)["missing"]
    bound = compiled.design(design, units, request, known.indexes, known.columns)
    study = _Study(compiled, request, known, bound, compiled.known_parameters(bound, known.values))
    outermost = units if units is not None else bound.levels[1].size if len(bound.levels) > 1 else 0
    for number in range(repeats):
        seed = replicate_seed(request.seed, number)
        data = compiled.simulate(bound, study.theta, request, units=units, seed=seed, missing=missing)
        study.add(number + 1, data, staged(request.progress, f"replicate {number + 1} of {repeats}"))
    found = summaries(study.names, study.truth_of_elements(), study.replicates)
    return Recovery(
        compiled.model.name, outermost, request.seed, request.level, tuple(study.replicates), tuple(found),
        study.matched or (), tuple(study.notes),
    )  # fmt: skip


class _Study:
    """The replicates so far. `theta` is what data are drawn with, `truth` the same as a fit reports it."""

    def __init__(
        self, compiled: CompiledModel, request: FitRequest, known: KnownParameters, bound: Bound, theta: Theta
    ) -> None:
        self.compiled, self.request, self.known, self.bound = compiled, request, known, bound
        self.theta: Theta = theta
        self.truth = {name: np.asarray(value, dtype=float) for name, value in theta.items()}
        self.replicates: list[Replicate] = []
        self.notes: list[str] = []
        #: Index sets whose labels are matched; None until a fit tells which can be.
        self.matched: tuple[str, ...] | None = None
        self.places = list(elements(compiled.model, bound))
        self.names = [name for name, _, _ in self.places]

    def add(self, number: int, data: dict[str, list[Any]], progress: Any) -> None:
        """One more data set."""
        request = replace(self.request, progress=progress)
        if request.weight is not None and request.weight not in data:
            request = replace(request, weight=None)
        nothing = np.full(len(self.places), np.nan)
        try:
            outcome = self._fitted(data, request)
        except (FitError, EmmError) as error:
            if isinstance(error, EmmError) and error.code != "impossible-data":
                raise
            self.replicates.append(Replicate(number, nothing, nothing, nothing, nothing, error.message, True))
            return
        reason = "" if Fit(outcome).is_done else "; ".join(outcome.state.warnings) or "it did not converge"
        estimates, se, interval = self._in_order(outcome, data, request)
        low, high = (
            nothing if interval is None else self._flat({name: item[..., end] for name, item in interval.items()})
            for end in (0, 1)
        )
        errors = nothing if se is None else self._flat(se)
        self.replicates.append(Replicate(number, self._flat(estimates), errors, low, high, reason))

    def _fitted(self, data: dict[str, list[Any]], request: FitRequest) -> FitOutcome:
        columns = self.known.columns
        return self.compiled.fit_again(data, request, frozen_labels(self.bound), columns)

    def _in_order(
        self, outcome: FitOutcome, data: dict[str, list[Any]], request: FitRequest
    ) -> tuple[Theta, Theta | None, Theta | None]:
        """Estimates, standard errors and intervals with their labels matched to the truth."""
        model, state = self.compiled.model, outcome.state
        if self.matched is None:
            self._prepare(outcome)
        assert self.matched is not None
        orders = matched(model, self.truth, state.estimates, state.se, self.matched)
        moved = {name: ranks for name, ranks in orders.items() if (ranks != np.arange(len(ranks))).any()}
        if any(is_based_on(parameter, name) for parameter in model.parameters for name in moved):
            return self._again(outcome, moved, data, request)
        estimates, se, interval = dict(state.estimates), state.se, state.interval
        for name, ranks in moved.items():
            estimates = permuted(model, estimates, name, ranks)
            se = None if se is None else permuted_errors(model, se, name, ranks)
            interval = None if interval is None else permuted_errors(model, interval, name, ranks)
        return estimates, se, interval

    def _again(
        self, outcome: FitOutcome, moved: Mapping[str, Any], data: dict[str, list[Any]], request: FitRequest
    ) -> tuple[Theta, Theta | None, Theta | None]:
        """The same where a baseline changes, and standard errors with it: the fit is repeated from where it ended, its
        labels in their new order."""
        theta = dict(outcome.state.theta)
        for name, ranks in moved.items():
            theta = permuted(self.compiled.model, theta, name, ranks)
        init = {name: value.tolist() for name, value in theta.items()}
        state = self._fitted(data, replace(request, init=init, starts=1)).state
        return state.estimates, state.se, state.interval

    def _prepare(self, outcome: FitOutcome) -> None:
        """Which labels can be exchanged, and the truth as a fit would report it: both as the first fit tells."""
        model, state, compiled = self.compiled.model, outcome.state, outcome.compiled
        assert compiled is not None
        problem = compiled.problem(outcome.bound, outcome.request)
        self.matched = exchangeable_sets(problem, model, state.theta)
        put_in_order = arranger(problem, model)
        if put_in_order is not None:
            truth = put_in_order(self.truth)
            if any(not np.array_equal(truth[name], self.truth[name]) for name in self.truth):
                self.notes.append(
                    "the true values are shown in the order, and with the signs, in which a fit reports them"
                )
                self.truth = truth

    def _flat(self, arrays: Theta) -> Array:
        return np.array([float(np.asarray(arrays[name])[place]) for _, name, place in self.places])

    def truth_of_elements(self) -> Array:
        """`(elements,)`: the true values."""
        return self._flat(self.truth)


def elements(model: Graph, bound: Bound) -> Iterator[tuple[str, str, tuple[int, ...]]]:
    """The name, the parameter and the place of each element, of symmetric matrices those on and above the diagonal."""
    for parameter in model.parameters:
        labels = [bound.indexes[axis] for axis in parameter.array_axes]
        symmetric = parameter.domain.kind in ("covariance", "correlation")
        for place in product(*(range(len(axis)) for axis in labels)):
            if symmetric and place[-2] > place[-1]:
                continue
            name = Element(parameter.name, tuple(axis[at] for axis, at in zip(labels, place, strict=True)))
            yield str(name), parameter.name, place
