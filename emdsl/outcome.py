"""A fit with what is needed to report it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from emdsl.data.bound import Bound
from emdsl.data.counting import weighted_rows, weighted_units
from emdsl.data.table import Table
from emdsl.ir.model import Model
from emdsl.plan.arrange import report_values
from emdsl.request import FitRequest
from emdsl.runtime.fitting import FitState
from emdsl.runtime.problem import Array, Theta
from emdsl.runtime.uncertainty import delta_method

if TYPE_CHECKING:
    from emdsl.compiler import CompiledModel


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

    def request_for(self, table: Table) -> FitRequest:
        """The request for other rows, which may lack the column of weights: each then stands for one."""
        weight = self.request.weight
        return replace(self.request, weight=weight if weight in table else None)

    def bound_again(self, table: Table) -> Bound:
        """Other rows with the labels of the fit, and its columns where they are there."""
        assert self.compiled is not None
        return self.compiled.bind_again(table, self.request_for(table), self.bound.indexes, self.bound.columns)


def outcome(model: Model, bound: Bound, state: FitState, request: FitRequest, compiled: CompiledModel) -> FitOutcome:
    """What is reported of a fit: the reports with their errors by the delta method, and sizes."""

    def values(theta: Theta) -> dict[str, Array]:
        return report_values(model, bound, theta)

    reports: dict[str, tuple[Array, Array | None, Array | None]]
    if state.uncertainty is not None:
        reports = dict(delta_method(values, state.theta, state.uncertainty))
        known = values(state.estimates)
        reports = {name: _where_known(found, known[name]) for name, found in reports.items()}
    else:
        reports = {name: (value, None, None) for name, value in values(state.estimates).items()}
    prior = any(parameter.prior is not None for parameter in model.parameters)
    return FitOutcome(
        model=model, bound=bound, state=state, reports=reports, estimator="MAP" if prior else "ML",
        seed=request.seed, level=request.level, bic_n=weighted_rows(model, bound),
        units=weighted_units(bound), warnings=(*model.warnings, *bound.warnings, *state.warnings),
        compiled=compiled, request=request,
    )  # fmt: skip


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
