"""The derivation as steps to read."""

from __future__ import annotations

from collections.abc import Sequence

from emdsl.derive.pieces import Derived
from emdsl.derive.updates import Candidate
from emdsl.ir.derivation import Step
from emdsl.ir.model import Model


def derivation_steps(model: Model, pieces: Sequence[Derived], candidates: Sequence[Candidate]) -> tuple[Step, ...]:
    """Complete-data log-likelihood, statistics, Q, and one step for each update."""
    return tuple(
        Step(c.update.rule, ", ".join(c.update.parameters), "", c.update.formula, c.update.reason) for c in candidates
    )
