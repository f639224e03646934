"""What many estimates of one true value say: bias, spread, coverage, each with its Monte Carlo error.

The formulas are those of Morris, White and Crowther (2019), table 6.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from math import sqrt
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from emdsl.runtime.problem import Array
    from emdsl.studies.recovery import Replicate


@dataclass(frozen=True)
class Summary:
    """One element over the replicates that count; None where nothing is known.

    `bias_error` is `sd / sqrt(R)`; `sd` the standard deviation of the estimates, to be set beside `mean_se`, the mean
    of their standard errors; `coverage` the share of intervals that hold the true value, among the `intervals` that
    there are, and `coverage_error = sqrt(c*(1 - c)/intervals)`.
    """

    name: str
    true: float
    mean: float | None
    bias: float | None
    bias_error: float | None
    rmse: float | None
    sd: float | None
    mean_se: float | None
    coverage: float | None
    coverage_error: float | None
    estimates: int
    intervals: int

    def to_dict(self) -> dict[str, Any]:
        """The summary as data, without its name."""
        found = asdict(self)
        del found["name"]
        return found


def summaries(names: Sequence[str], truth: Array, replicates: Sequence[Replicate]) -> Iterator[Summary]:
    """One for each element."""
    counted = [item for item in replicates if not item.reason]
    size = (len(counted), len(names))
    estimates, se, low, high = (
        np.array([getattr(item, part) for item in counted], dtype=float).reshape(size)
        for part in ("estimates", "se", "low", "high")
    )
    for place, name in enumerate(names):
        columns = (part[:, place] for part in (estimates, se, low, high))
        yield summary(name, float(truth[place]), *columns)


def summary(name: str, true: float, estimates: Array, se: Array, low: Array, high: Array) -> Summary:
    """The summary of one element; all arrays `(replicates,)`, NaN where there is nothing."""
    known = estimates[np.isfinite(estimates)]
    errors = se[np.isfinite(se)]
    ends = ~(np.isnan(low) | np.isnan(high))
    count, intervals = len(known), int(ends.sum())
    mean = float(known.mean()) if count else None
    sd = float(known.std(ddof=1)) if count > 1 else None
    covered = float(((low <= true) & (true <= high))[ends].mean()) if intervals else None
    return Summary(
        name=name, true=true, mean=mean,
        bias=None if mean is None else mean - true,
        bias_error=None if sd is None else sd / sqrt(count),
        rmse=float(np.sqrt(((known - true) ** 2).mean())) if count else None,
        sd=sd,
        mean_se=float(errors.mean()) if len(errors) else None,
        coverage=covered,
        coverage_error=None if covered is None else sqrt(covered * (1 - covered) / intervals),
        estimates=count, intervals=intervals,
    )  # fmt: skip
