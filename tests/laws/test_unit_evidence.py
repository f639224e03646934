"""The log-evidence of single units: weighted, they add up to the log-likelihood."""

from __future__ import annotations

import numpy as np
import pytest

from emdsl.plan.unit_evidence import unit_evidence
from tests.laws.bound_models import shipped, take_shipped


@pytest.mark.parametrize("name", shipped())
def test_units_add_up(name: str) -> None:
    problem = take_shipped(name).problem
    program, theta = problem.program, problem.initial()
    found = unit_evidence(program, theta)
    outermost = program.bound.levels[1]
    ordered = any(plate.ordered and plate.name == outermost.plate for plate in problem.model.plates)
    whole = ordered or bool(program.whole) or program.together
    assert len(found) == (1 if whole else outermost.size)
    weights = np.ones(1) if whole else program.bound.weights.get(outermost.plate or "", np.ones(outermost.size))
    np.testing.assert_allclose(weights @ found, program.expect(theta)[0], rtol=1e-10)
