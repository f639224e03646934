"""The likelihood-ratio test of one fit against a larger one, its null distribution by simulation.

Under a model with fewer classes the statistic has no chi-square distribution: some parameters of the larger model are
then not determined, and others lie on the boundary. Data are drawn from the smaller fit, both models are fitted to
them, and the statistic is compared with those of the replicates (McLachlan 1987).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from emdsl.data.bound import Bound
from emdsl.data.table import Table
from emdsl.diagnostics.errors import EmmError, FitError
from emdsl.ir.model import Model
from emdsl.results.result import Fit
from emdsl.studies.criteria import Row
from emdsl.studies.replicates import Progress, frozen_labels, refit, replicate_seed, staged, unit_table, with_drawn


@dataclass(frozen=True)
class LikelihoodRatioTest:
    """One test: twice the difference of the log-likelihoods, and those of the replicates. Replicates that one of the
    models could not be fitted to are left out of the `repeats`."""

    null: str
    alternative: str
    statistic: float
    statistics: tuple[float, ...]
    repeats: int

    @property
    def failed(self) -> int:
        """Replicates that one of the models could not be fitted to."""
        return self.repeats - len(self.statistics)

    @property
    def p_value(self) -> float | None:
        """`(1 + number of statistics at least as large) / (1 + number of replicates)`; None without replicates."""
        if not self.statistics:
            return None
        return (1 + sum(value >= self.statistic for value in self.statistics)) / (1 + len(self.statistics))

    def to_dict(self) -> dict[str, Any]:
        """The test as data."""
        return {
            "null": self.null, "alternative": self.alternative, "statistic": self.statistic, "p_value": self.p_value,
            "repeats": self.repeats, "failed": self.failed, "statistics": list(self.statistics),
        }  # fmt: skip


def check_testable(name: str, model: Model, table: Table, bound: Bound) -> None:
    """Raises `cannot-test` for a model with a prior, and `cannot-simulate` for weights that are no counts of rows."""
    if any(parameter.prior is not None for parameter in model.parameters):
        raise EmmError("cannot-test", f"`{name}` is fitted with a prior, so its likelihood is no maximum")
    unit_table(table, model, bound)


def neighbours(rows: Sequence[Row]) -> list[tuple[Row, Row]]:
    """Each fit with the next one in the order of the comparison, the one with fewer parameters first."""
    found = []
    for one, two in pairwise(rows):
        if one.fit is not None and two.fit is not None and not _why_not(one, two):
            found.append((one, two) if one.fit.parameters < two.fit.parameters else (two, one))
    return found


def left_out(rows: Sequence[Row]) -> list[str]:
    """The neighbours that are not tested, and why."""
    pairs = ((one, two, _why_not(one, two)) for one, two in pairwise(rows))
    return [f"{one.name} and {two.name} are not tested: {reason}" for one, two, reason in pairs if reason]


def _why_not(one: Row, two: Row) -> str:
    for row in (one, two):
        if row.fit is None or not _has_risen(row.fit):
            return f"the fit of {row.name} {'failed' if row.fit is None else 'was cut short'}"
    assert one.fit is not None and two.fit is not None
    return "they have as many parameters" if one.fit.parameters == two.fit.parameters else ""


def _has_risen(fit: Fit) -> bool:
    """Whether the log-likelihood is at its maximum, for all that is known: the fit converged, or the log-likelihood
    stopped rising. Under the smaller model the larger one often ends on a ridge, where parameters are not determined
    and nothing converges; without these the statistics would be too large."""
    return fit.is_done or fit.outcome.state.stopped_by == "tolerance"


def bootstrap_test(
    null: Row, alternative: Row, table: Table, *, repeats: int, seed: int, place: int, progress: Progress | None = None
) -> LikelihoodRatioTest:
    """The parametric bootstrap test of two fits on one table; replicate r of pair `place` is drawn with the seed
    `replicate_seed(seed, place, r)`. Raises `cannot-simulate` where the smaller model cannot be."""
    assert null.fit is not None and alternative.fit is not None
    outcome = null.fit.outcome
    compiled = outcome.compiled
    assert compiled is not None
    units = unit_table(table, outcome.model, outcome.bound)
    design = compiled.bind_again(units, outcome.request, frozen_labels(outcome.bound), outcome.bound.columns)
    statistics = []
    for repeat in range(repeats):
        drawn = compiled.simulate(
            design, outcome.state.theta, outcome.request, seed=replicate_seed(seed, place, repeat)
        )  # fmt: skip
        data = with_drawn(units, drawn, outcome.model, outcome.bound)
        found = _statistic(null, alternative, data, staged(progress, f"replicate {repeat + 1} of {repeats}"))
        if found is not None:
            statistics.append(found)
    observed = 2 * (alternative.fit.loglik - null.fit.loglik)
    return LikelihoodRatioTest(null.name, alternative.name, observed, tuple(statistics), repeats)


def _statistic(null: Row, alternative: Row, data: Table, progress: Progress | None) -> float | None:
    """The statistic of one replicate; None where one of the fits fails or is cut short."""
    assert null.fit is not None and alternative.fit is not None
    try:
        small, large = (refit(row.fit, data, progress) for row in (null, alternative) if row.fit is not None)
    except FitError:
        return None  # counted as failed
    if not (_has_risen(small) and _has_risen(large)) or not np.isfinite(large.loglik - small.loglik):
        return None
    return 2 * (large.loglik - small.loglik)


def tests_of(
    rows: Sequence[Row], table: Table, *, repeats: int, seed: int, progress: Progress | None
) -> Mapping[int, LikelihoodRatioTest]:
    """The tests of all neighbours, by their place in the comparison."""
    return {
        place: bootstrap_test(
            small, large, table, repeats=repeats, seed=seed, place=place,
            progress=staged(progress, f"{small.name} against {large.name}"),
        )
        for place, (small, large) in enumerate(neighbours(rows))
    }  # fmt: skip
