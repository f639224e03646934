"""Fits of hand-written models against maxima found without EM."""

from __future__ import annotations

import numpy as np
import pytest

from emdsl.runtime.fitting import FitOptions, fit
from tests.runtime.hand_written import (
    CASES,
    AlleleCounts,
    Logistic,
    PartlySeenNormal,
    PoissonChain,
    PoissonMixture,
    RandomIntercepts,
    columns,
    expected,
)  # fmt: skip

pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason=f"the reference cases are not at {CASES}")

MOTHS = np.array(
    [[[max(0, 1 - abs(min(i, j) - k)) for j in range(3)] for i in range(3)] for k in range(3)], dtype=float
)
# phenotypes A, B, AB, O from ordered pairs of the alleles A, B, O
ABO = np.array(
    [
        [[1, 0, 1], [0, 0, 0], [1, 0, 0]],
        [[0, 0, 0], [0, 1, 1], [0, 1, 0]],
        [[0, 1, 0], [1, 0, 0], [0, 0, 0]],
        [[0, 0, 0], [0, 0, 0], [0, 0, 1]],
    ],
    dtype=float,
)


def counts(case):
    return np.array(columns(case)["count"], dtype=float)


def london():
    table = columns("poisson_mix_london")
    return PoissonMixture(np.array(table["deaths"], dtype=float), np.array(table["days"], dtype=float))


@pytest.mark.parametrize("accelerate", ["auto", "anderson", "squarem", "newton", "none"])
@pytest.mark.parametrize("starts", [1, 20])
def test_london_deaths_flat_as_they_are(accelerate, starts):
    reference = expected("poisson_mix_london")
    state = fit(london(), FitOptions(accelerate=accelerate, starts=starts))
    assert state.converged and state.stopped_by == "decrement" and state.decrement < 1e-10
    assert state.loglik == pytest.approx(reference["loglik"], abs=1e-9)
    order = np.argsort(state.theta["rate"])
    rel = 1e-4 if accelerate == "none" else 2e-6
    assert state.theta["rate"][order] == pytest.approx([reference["estimates"][f"lambda_{k}"] for k in (1, 2)], rel=rel)
    assert state.se is not None
    assert state.se["rate"][order] == pytest.approx([reference["se"][f"lambda_{k}"] for k in (1, 2)], rel=rel)
    assert state.se["share"][order] == pytest.approx([reference["se"][f"w_{k}"] for k in (1, 2)], rel=rel)
    assert state.starts.at_best == starts and state.parameters == 3 and state.warnings == ()


def test_acceleration_saves_what_it_promises():
    evaluations = {}
    for accelerate in ("none", "squarem", "anderson", "auto"):
        problem, calls = london(), [0]
        plain = problem.expect

        def counted(theta, plain=plain, calls=calls):
            calls[0] += 1
            return plain(theta)

        problem.expect = counted
        fit(problem, FitOptions(accelerate=accelerate, starts=1, se="none"))
        evaluations[accelerate] = calls[0]
    assert evaluations["none"] > 2000
    assert evaluations["squarem"] < 200 and evaluations["anderson"] < 100 and evaluations["auto"] < 100


@pytest.mark.parametrize(("case", "allowed", "order"), [
    ("moths_hwe", MOTHS, ("p_C", "p_I", "p_T")), ("abo_hardyweinberg", ABO, ("p_A", "p_B", "p_O")),
])  # fmt: skip
def test_gene_counting(case, allowed, order):
    reference = expected(case)
    state = fit(AlleleCounts(allowed, counts(case)))
    assert state.loglik == pytest.approx(reference["loglik"], abs=1e-9)
    assert state.theta["p"] == pytest.approx([reference["estimates"][name] for name in order], abs=1e-9)
    assert state.se is not None
    assert state.se["p"] == pytest.approx([reference["se"][name] for name in order], rel=1e-6)
    assert state.starts.run == state.starts.at_best == 50 and state.parameters == 2


def test_a_prior_gives_the_mode():
    reference = expected("map_abo_dirichlet")
    state = fit(AlleleCounts(ABO, counts("map_abo_dirichlet"), prior=np.full(3, 2.0)))
    assert state.converged and state.penalized_loglik != state.loglik
    estimates = reference["estimates"]
    assert state.theta["p"] == pytest.approx([estimates[name] for name in ("p_A", "p_B", "p_O")], abs=1e-8)


def test_a_chain_whose_start_lies_on_the_boundary():
    reference = expected("hmm_earthquakes")["variants"]["k2_free"]
    state = fit(PoissonChain(np.array(columns("hmm_earthquakes")["count"], dtype=float), 2), FitOptions(starts=4))
    order = np.argsort(state.theta["rate"])
    assert state.converged
    assert state.loglik == pytest.approx(reference["loglik"], abs=1e-8)
    assert state.theta["start"][order].tolist() == [1.0, 0.0]
    assert sorted(state.boundary) == ["start.1", "start.2"]
    assert state.se is not None and np.isnan(state.se["start"]).all()
    assert state.se["rate"][order] == pytest.approx(reference["se"]["lam"], rel=1e-5)
    assert state.se["A"][np.ix_(order, order)] == pytest.approx(np.array(reference["se"]["A"]), rel=1e-5)
    assert state.parameters == 5 and state.uncertainty is not None
    assert not any(name.startswith("start") for name in state.uncertainty.names)
    assert state.warnings == (
        "start.1 and start.2 are at the boundary, without standard errors; those of the others hold them there",
    )


def test_a_chain_with_three_states():
    state = fit(PoissonChain(np.array(columns("hmm_earthquakes")["count"], dtype=float), 3), FitOptions(starts=6))
    assert state.converged and state.loglik == pytest.approx(-328.5275, abs=5e-5)


def test_a_covariance_matrix_with_cells_missing():
    reference = expected("mvn_airquality")
    table = columns("mvn_airquality")
    x = np.array([[float(cell) if cell not in ("", "NA") else np.nan for cell in table[name]] for name in table]).T
    state = fit(PartlySeenNormal(x), FitOptions(starts=1))
    assert state.loglik == pytest.approx(reference["loglik"], abs=1e-8)
    assert state.se is not None and state.uncertainty is not None
    assert state.theta["mu"] == pytest.approx(reference["estimates"]["mean"], rel=1e-7)
    assert state.se["mu"] == pytest.approx(reference["se"]["mean"], rel=1e-5)
    assert state.se["Sigma"] == pytest.approx(np.array(reference["se"]["cov"]), rel=1e-5)
    assert len(state.uncertainty.names) == 14 == state.parameters


def test_random_intercepts():
    reference = expected("lmm_dyestuff")
    table = columns("lmm_dyestuff")
    batches = sorted(set(table["Batch"]))
    y = np.array([[float(v) for v, b in zip(table["Yield"], table["Batch"], strict=True) if b == k] for k in batches])
    state = fit(RandomIntercepts(y), FitOptions(starts=5))
    assert state.loglik == pytest.approx(reference["loglik"], abs=1e-8)
    assert state.se is not None
    for name, other in [("mu", "mu"), ("tau", "sd_batch"), ("sigma", "sigma")]:
        assert float(state.theta[name]) == pytest.approx(reference["estimates"][other], rel=1e-6)
        assert float(state.se[name]) == pytest.approx(reference["se"][other], rel=1e-5)


def test_a_logistic_regression_has_one_start():
    reference = expected("logistic_birthwt")
    table = columns("logistic_birthwt")
    names = ("age", "lwt", "smoke", "ptl", "ht", "ui", "ftv")
    race = np.array(table["race"])
    x = np.column_stack([np.ones(len(race)), race == "2", race == "3", *(np.array(table[n], float) for n in names)])
    state = fit(Logistic(x, np.array(table["low"], dtype=float)))
    assert state.loglik == pytest.approx(reference["loglik"], abs=1e-9)
    assert state.starts.run == 1 and state.converged and state.warnings == ()
