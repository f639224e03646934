"""MAP estimates with priors on every domain, against direct maximisation of the penalised likelihood."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize

import emdsl
from tests.models.comparison import ESTIMATE_TOLERANCE, LOGLIK_TOLERANCE
from tests.models.direct_maximisation import Array, maximise
from tests.models.prior_cases import CASES, MATRIX_CASES, TABLE, MatrixCase, PriorCase


def flat(nested: Any) -> list[float]:
    """The numbers of a nested dict, in order."""
    return [x for part in nested.values() for x in flat(part)] if isinstance(nested, dict) else [float(nested)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_mode_is_that_of_the_penalised_likelihood(case: PriorCase) -> None:
    fit = emdsl.loads(case.text).fit(TABLE, starts=5)
    best = maximise(case.objective, case.blocks, [case.start])
    assert fit.converged and fit.estimator == "MAP" and fit.aic is None and fit.bic is None
    assert fit.penalized_loglik == pytest.approx(best.loglik, abs=LOGLIK_TOLERANCE)
    for block in case.blocks:
        found, expected = flat(fit.params[block.name]), flat(best.estimates[block.name])
        assert found == pytest.approx(expected, rel=ESTIMATE_TOLERANCE, abs=ESTIMATE_TOLERANCE), block.name


def at_its_maximum(case: MatrixCase) -> tuple[float, dict[str, Any]]:
    """The reference: quasi-Newton from several places, the best carried on until nothing more is gained."""

    def cost(at: Array) -> float:
        try:
            return -case.objective(at)
        except np.linalg.LinAlgError:  # a step so far out that a matrix is singular in doubles
            return 1e10

    rng = np.random.default_rng(2)
    starts = [case.start, *(case.start + rng.normal(0, 0.7, len(case.start)) for _ in range(4))]
    u = min((minimize(cost, start, method="BFGS").x for start in starts), key=cost)
    for _ in range(4):
        u = minimize(cost, u, method="Nelder-Mead", options={"fatol": 1e-12, "xatol": 1e-9, "maxiter": 4000}).x
        u = minimize(cost, u, method="BFGS", options={"gtol": 1e-9}).x
    return case.objective(u), case.estimates(u)


@pytest.mark.parametrize("case", MATRIX_CASES, ids=lambda case: case.name)
def test_matrices_and_vectors_with_priors(case: MatrixCase) -> None:
    fit = emdsl.loads(case.text).fit(TABLE, starts=10)
    value, estimates = at_its_maximum(case)
    assert fit.converged
    assert fit.penalized_loglik == pytest.approx(value, abs=LOGLIK_TOLERANCE)
    for name, expected in estimates.items():
        # The reference stops where doubles no longer tell its values apart, the square root of that in its arguments.
        assert flat(fit.params[name]) == pytest.approx(np.ravel(expected).tolist(), rel=3e-5, abs=3e-5), name


@pytest.mark.parametrize("case", [*CASES, *MATRIX_CASES], ids=lambda case: case.name)
def test_plain_em_climbs_to_the_same_mode(case: PriorCase | MatrixCase) -> None:
    model = emdsl.loads(case.text)
    polished = model.fit(TABLE, starts=5, se="none")
    plain = model.fit(TABLE, init=polished.params, starts=1, tol=0, max_iter=30, accelerate="none")
    assert not any("fell" in warning for warning in plain.warnings)
    assert plain.penalized_loglik == pytest.approx(polished.penalized_loglik, abs=1e-9)
    assert [x for name in plain.params for x in flat(plain.params[name])] == pytest.approx(
        [x for name in plain.params for x in flat(polished.params[name])], rel=1e-6, abs=1e-6
    )
