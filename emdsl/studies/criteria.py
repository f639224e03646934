"""What a fit is judged by beside others: log-likelihood, AIC, BIC, ICL, and how certain the classes are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from emdsl.plan.certainty import Certainty
from emdsl.results.nested import plain
from emdsl.results.result import Fit

#: Criteria of which the smallest value is the best.
CRITERIA = ("aic", "bic", "icl")


def certainty_of(fit: Fit) -> Certainty:
    """How certain the finite hidden variables of a fit are, at its estimates."""
    outcome = fit.outcome
    assert outcome.compiled is not None
    return outcome.compiled.as_asked(outcome.bound, outcome.request).certainty(outcome.bound, outcome.state.theta)


@dataclass(frozen=True)
class Row:
    """One model of a comparison: its fit, or the `reason` why there is none."""

    name: str
    model: str
    setting: Mapping[str, Any]
    fit: Fit | None
    reason: str = ""

    @cached_property
    def certainty(self) -> Certainty:
        """How certain the finite hidden variables are."""
        return Certainty(None, reason=self.reason) if self.fit is None else certainty_of(self.fit)

    @property
    def icl(self) -> float | None:
        """BIC plus twice the entropy of the hidden values (Biernacki, Celeux and Govaert 2000, with their sign turned
        and doubled): as of BIC, the smallest is the best. None for a MAP estimate and where there is no entropy."""
        bic = None if self.fit is None else self.fit.bic
        return None if bic is None or self.certainty.entropy is None else plain(bic + 2 * self.certainty.entropy)

    @property
    def is_done(self) -> bool:
        """Whether there is a fit that can be believed, or that did as it was told."""
        return self.fit is not None and self.fit.is_done

    def criterion(self, name: str) -> float | None:
        """`aic`, `bic` or `icl`."""
        if name == "icl":
            return self.icl
        return None if self.fit is None else getattr(self.fit, name)

    def to_dict(self) -> dict[str, Any]:
        """The row as data."""
        fit = self.fit
        return {
            "name": self.name,
            "model": self.model,
            "set": {name: str(value) for name, value in self.setting.items()},
            "loglik": None if fit is None else plain(fit.loglik),
            "parameters": None if fit is None else fit.parameters,
            "aic": self.criterion("aic"),
            "bic": self.criterion("bic"),
            "icl": self.icl,
            "entropy": self.certainty.entropy,
            "relative_entropy": self.certainty.relative,
            "no_entropy": self.certainty.reason,
            "estimator": None if fit is None else fit.estimator,
            "converged": fit is not None and fit.converged,
            "starts": None if fit is None else {
                "run": fit.outcome.state.starts.run, "at_best": fit.outcome.state.starts.at_best,
            },
            "error": self.reason or None,
            "warnings": [] if fit is None else list(fit.warnings),
        }  # fmt: skip


def best(rows: Sequence[Row]) -> dict[str, str | None]:
    """For each criterion the name of the model with the smallest value, among those whose fits are done."""
    found: dict[str, str | None] = {}
    for name in CRITERIA:
        values = {row.name: row.criterion(name) for row in rows if row.is_done}
        known = {row: value for row, value in values.items() if value is not None}
        found[name] = min(known, key=lambda row: known[row]) if known else None
    return found
