"""One model on one table: log-likelihood, posterior and score against the enumeration of all hidden states."""

from __future__ import annotations

import numpy as np
import pytest

from tests.laws.bound_models import Array, Taken, own_size, random_theta, slope
from tests.laws.enumeration import Enumeration
from tests.laws.marginals import disagreements
from tests.laws.tables import Columns


def check_agreement(bound: Taken, columns: Columns, rng: np.random.Generator, *, boundary: bool = False) -> bool:
    """At a random theta, with `boundary` partly at its bounds; whether the data were possible there."""
    problem, text = bound.problem, bound.compiled.text
    theta = random_theta(problem.spaces, rng, problem.initial(), boundary=boundary)
    expectation = problem.expect(theta)
    enumeration = Enumeration(bound.compiled.model, columns, theta)
    loglik = enumeration.loglik()
    assert expectation.loglik == pytest.approx(loglik, rel=1e-10, abs=1e-10), text
    unclear = [name for name, value in expectation.statistics.items() if not np.isfinite(value).all()]
    assert unclear == [], text
    if not np.isfinite(loglik):
        return False
    assert disagreements(enumeration, problem.program.pieces, expectation.statistics) == [], text
    if not boundary:
        check_score(bound, theta, rng)
    return True


def check_score(bound: Taken, theta: dict[str, Array], rng: np.random.Generator) -> None:
    """The gradient at the expected statistics is the slope of the log-likelihood and log prior (Fisher's identity)."""
    problem = bound.problem
    gradient = problem.gradient(theta, problem.expect(theta).statistics)
    for space in problem.spaces:
        step = {space.name: own_size(space, np.asarray(theta[space.name]), rng)}
        found = slope(bound.value, theta, step, 1e-3)
        # what is held, a structural zero say, has no slope to speak of
        promised = float(np.sum(np.where(space.fixed, 0.0, gradient[space.name]) * step[space.name]))
        assert promised == pytest.approx(found, rel=2e-7, abs=2e-7), f"{space.name} of\n{bound.compiled.text}"
