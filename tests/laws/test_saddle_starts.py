"""A climb from one start: multipliers of hidden numbers that are all 0 have no slope, and would stay so."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from emdsl.runtime.fitting import FitOptions, fit
from tests.laws.bound_models import ROOT, Taken, take

CASES: dict[str, tuple[str, str, dict[str, Any], str]] = {
    "one factor": ("factor_analysis", "ability", {}, "load"),
    "two factors": ("factor_analysis", "ability", {"set": {"Q": 2}}, "load"),
    "components": ("probabilistic_pca", "ability", {}, "load"),
    "discriminations": ("two_parameter_logistic", "answers", {}, "a"),
}
each_case = pytest.mark.parametrize("name", CASES)


def _taken(name: str, **more: Any) -> tuple[Taken, str]:
    model, data, options, parameter = CASES[name]
    text = (ROOT / "models" / f"{model}.emm").read_text(encoding="utf-8")
    return take(text, str(ROOT / "models" / "data" / f"{data}.csv"), **options, **more), parameter


@each_case
def test_the_start_is_off_the_saddle(name: str) -> None:
    bound, parameter = _taken(name)
    problem, theta = bound.problem, bound.problem.initial()
    found = problem.expect(theta)
    assert not theta[parameter].any()
    assert np.abs(problem.gradient(theta, found.statistics)[parameter]).max() < 1e-9
    beside = problem.beside_saddle(theta, found.statistics)
    assert beside is not None and np.linalg.matrix_rank(beside[parameter].reshape(theta[parameter].shape[0], -1)) == (
        1 if theta[parameter].ndim == 1 else theta[parameter].shape[1]
    )
    trace = fit(problem, FitOptions(starts=1, max_iter=8)).trace
    assert trace[7][1] - trace[0][1] > 1.0


def test_what_is_given_stays_where_it_is() -> None:
    """Values of the user's, and the starting point of a fit without iterations."""
    bound, parameter = _taken("one factor")
    still = fit(bound.problem, FitOptions(starts=1, max_iter=0))
    assert not still.theta[parameter].any()
    given = fit(bound.problem, FitOptions(starts=1, max_iter=1, tol=0.0, accelerate="none", init_given=True))
    assert not given.theta[parameter].any()
    away = {**bound.problem.initial(), parameter: np.full(bound.problem.initial()[parameter].shape, 0.1)}
    assert bound.problem.beside_saddle(away, bound.problem.expect(away).statistics) is None
