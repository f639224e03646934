"""Fits built by hand, so that what is printed can be told without fitting anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from emdsl.data.bound import Bound, Level
from emdsl.ir.derivation import Derivation, Step
from emdsl.ir.expressions import Binder, Number, ParameterRef
from emdsl.ir.model import Constant, Domain, IndexSet, Labels, Model, Parameter, Prior, Report
from emdsl.outcome import FitOutcome
from emdsl.request import FitRequest
from emdsl.results.result import Fit
from emdsl.runtime.domains import Coordinates
from emdsl.runtime.fitting import FitState, StartsReport
from emdsl.runtime.problem import Space
from emdsl.runtime.uncertainty import Uncertainty, natural_interval, normal_quantile

REAL, POSITIVE = Domain("real"), Domain("positive")
DIM, ALLELE = ("eruptions", "waiting"), ("C", "I", "rs1.2")


def model() -> Model:
    """A simplex, an array with a description, a matrix, a scalar, a constant, and two reports."""
    return Model(
        name="Example", description="an example",
        index_sets=(IndexSet("allele", Labels(ALLELE)), IndexSet("dim", Labels(DIM))),
        constants=(Constant("K", value=Number(3.0)),),
        parameters=(
            Parameter("p", (), Domain("simplex", ("allele",)), description="frequencies"),
            Parameter("mu", ("dim",), REAL),
            Parameter("Sigma", (), Domain("covariance", ("dim",))),
            Parameter("tau", (), POSITIVE, description="spread of τ"),
        ),
        plates=(), variables=(), factors=(), maps=(), weights=(),
        reports=(
            Report("twice", ParameterRef("tau", ()), (), "twice the spread"),
            Report("shift", ParameterRef("mu", ()), (Binder("d", "dim"),)),
        ),
        orders=(),
    )  # fmt: skip


def space(parameter: Parameter, indexes: dict[str, tuple[str, ...]]) -> Space:
    """Where the parameter lies, nothing of it held."""
    labels = tuple(indexes[axis] for axis in parameter.array_axes)
    shape = tuple(map(len, labels))
    free = np.zeros(shape, dtype=bool)
    return Space(parameter.name, parameter.domain.kind, shape, len(parameter.domain.array_axes), labels, free, free)


THETA: dict[str, Any] = {
    "p": np.array([0.25, 0.75, 0.0]),
    "mu": np.array([-1.5, 70.25]),
    "Sigma": np.array([[2.0, 0.5], [0.5, 1.0]]),
    "tau": np.array(1e-3),
}
ERRORS: dict[str, Any] = {
    "p": np.array([0.0125, 0.0125, np.nan]),
    "mu": np.array([0.5, 12.25]),
    "Sigma": np.array([[0.1, 0.2], [0.2, 0.3]]),
    "tau": np.array(np.nan),
}


def bound() -> Bound:
    """Three rows that stand for 622 moths, one cell empty."""
    levels = (
        Level(None, 1, np.zeros(1, dtype=np.intp), np.array([0, 1])),
        Level("moth", 3, np.zeros(3, dtype=np.intp), np.array([0, 3])),
    )
    return Bound(
        indexes={"allele": ALLELE, "dim": DIM, "0/1": ("0", "1")}, constants={}, values={}, levels=levels,
        weights={"moth": np.array([600.0, 20.0, 2.0])}, columns={"x": "x", "count": "n"}, missing={"x": 1, "n": 0},
        rows=3, order=np.arange(3), source="moths.csv",
    )  # fmt: skip


def uncertainty(level: float = 0.95) -> Uncertainty:
    """The standard errors above, with a covariance of two of them."""
    spaces = [space(parameter, dict(bound().indexes)) for parameter in model().parameters]
    quantile = normal_quantile(level)
    interval = {item.name: natural_interval(item, THETA[item.name], ERRORS[item.name], quantile) for item in spaces}
    covariance = np.array([[0.25, 0.0], [0.0, np.inf]])
    return Uncertainty(
        "observed", level, ERRORS, interval, ("mu.eruptions", "mu.waiting"), covariance, ('p["rs1.2"]',), ("tau",),
        Coordinates(spaces, THETA), covariance, None,  # type: ignore[arg-type]  # nothing here asks for the spectrum
    )  # fmt: skip


def state(**changes: Any) -> FitState:
    """A converged fit with standard errors."""
    found = FitState(
        theta=THETA, loglik=-600.48098, penalized_loglik=-600.48098, iterations=14, converged=True,
        stopped_by="decrement", decrement=3e-14, parameters=8, starts=StartsReport(3, 2, (-600.48098, -601.0, np.nan)),
        trace=((0, -700.0), (1, -600.48098)), boundary=('p["rs1.2"]',), unidentified=("tau",), se_method="observed",
        uncertainty=uncertainty(),
    )  # fmt: skip
    return replace(found, **changes)


def outcome(**changes: Any) -> FitOutcome:
    """What the compiler hands over after a fit."""
    reports = {
        "twice": (np.array(0.002), np.array(0.0001), np.array([0.0018, 0.0022])),
        "shift": (np.array([1.0, 2.0]), None, None),
    }
    found = FitOutcome(
        model=model(), bound=bound(), state=state(), reports=reports, estimator="ML", seed=7, level=0.95, bic_n=620.0,
        units=622.0, warnings=("the first warning", "the second", "the first warning"),
    )  # fmt: skip
    return replace(found, **changes)


def example(**changes: Any) -> Fit:
    """The fit of the outcome above."""
    return Fit(outcome(**changes))


def without_errors() -> Fit:
    """The same stopped after two iterations, without standard errors."""
    stopped = state(
        converged=False, stopped_by="iterations", decrement=float("nan"), iterations=2, uncertainty=None,
        se_method="none", boundary=(), unidentified=(), starts=StartsReport(1, 1, (-600.48098,)),
    )  # fmt: skip
    reports = {name: (value, None, None) for name, (value, _, _) in outcome().reports.items()}
    return example(state=stopped, reports=reports, warnings=())


def with_prior() -> Fit:
    """A MAP estimate."""
    parameters = tuple(
        replace(item, prior=Prior((), Number(0.0), "Exponential(1)")) if item.name == "tau" else item
        for item in model().parameters
    )
    penalized = state(penalized_loglik=-605.5)
    return example(model=replace(model(), parameters=parameters), estimator="MAP", state=penalized)


@dataclass
class CompiledStub:
    """Stands in for `CompiledModel`: remembers what it was asked for, and answers with a made outcome or an error."""

    answer: FitOutcome | Exception = field(default_factory=outcome)
    steps: tuple[Step, ...] = ()
    asked: list[tuple[Any, FitRequest | None]] = field(default_factory=list)

    @property
    def model(self) -> Model:
        return model()

    @property
    def derivation(self) -> Derivation:
        return Derivation(model(), (), (), (), self.steps)

    def with_open(self, names: Sequence[str]) -> CompiledStub:
        assert not names
        return self

    def written(self, names: Sequence[str]) -> CompiledStub:
        return self.with_open(names)

    def fit(self, data: Any, request: FitRequest) -> FitOutcome:
        self.asked.append((data, request))
        if isinstance(self.answer, Exception):
            raise self.answer
        self.answer = replace(self.answer, request=request)
        return self.answer

    def check(self, data: Any, request: FitRequest) -> list[str]:
        self.asked.append((data, request))
        return ["the first line", "the second"]

    def compile_source(self) -> str:
        return "print('fitted')\n"

    @property
    def request(self) -> FitRequest:
        """What was asked for last."""
        found = self.asked[-1][1]
        assert found is not None
        return found
