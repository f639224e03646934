"""Models with continuous hidden variables, held against published maxima and against direct maximisation."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.models.bounded_likelihoods import BOUNDED_NUMBERS
from tests.models.cases import CASES, ROOT, VARIANTS
from tests.models.comparison import disagreements
from tests.models.direct_maximisation import Optimum
from tests.models.hidden_number_cases import CASES_OF_HIDDEN_NUMBERS, HiddenCase, named
from tests.models.hidden_numbers_likelihoods import HIDDEN_NUMBERS
from tests.models.test_shipped_models import fit, named_data, needs_cases

#: Starts of a fit: the likelihoods of these models have one optimum, or few.
STARTS = 3
REFERENCES = {**HIDDEN_NUMBERS, **BOUNDED_NUMBERS}


def with_reports(result: dict[str, Any]) -> dict[str, Any]:
    """A fit whose reports stand among its parameters."""
    reports = result["reports"]
    params = {**result["params"], **{name: report["estimate"] for name, report in reports.items()}}
    errors = {**result["se"], **{name: report["se"] for name, report in reports.items()}}
    return {**result, "params": params, "se": errors}


@pytest.mark.parametrize("case", CASES_OF_HIDDEN_NUMBERS, ids=lambda case: case.id)
def test_fit_agrees_with_the_published_case(case: HiddenCase) -> None:
    needs_cases()
    result = with_reports(fit(case.model, case.table, starts=STARTS, **case.options))
    assert disagreements(result, case.reference()) == []


@pytest.mark.parametrize("name", REFERENCES)
def test_fit_agrees_with_direct_maximisation(name: str) -> None:
    model = ROOT / "models" / f"{name}.emm"
    assert disagreements(fit(model, named_data(model), starts=STARTS), REFERENCES[name]()) == []


def test_the_level_after_a_first_value_about_which_nothing_is_known(tmp_path: Path) -> None:
    """A diffuse first level: the likelihood of all flows but the first, given the first."""
    needs_cases()
    lines = (ROOT / "models" / "data" / "nile.csv").read_text(encoding="utf-8").splitlines()
    table = tmp_path / "later.csv"
    table.write_text("\n".join([lines[0], *lines[2:]]), encoding="utf-8")
    names = {"q": "var_level", "r": "var_obs"}
    reading = named(q="q", r="r")
    case = HiddenCase("local_level_after_first", "ssm_nile", reading, None, False, variances=names)
    assert lines[1] == "1871,1120"
    assert disagreements(fit(case.model, table, starts=STARTS), case.reference()) == []


def test_a_variance_of_nothing_is_at_its_boundary() -> None:
    """Batches that differ by less than chance: one normal law for all."""
    needs_cases()
    data = CASES / "lmm_dyestuff" / "data_dyestuff2.csv"
    y = np.loadtxt(data, delimiter=",", skiprows=1, usecols=1)
    result = fit(ROOT / "models" / "random_intercept.emm", data, starts=STARTS)
    spread = float(y.std())
    errors = {"mu": spread / math.sqrt(len(y)), "sigma": spread / math.sqrt(2 * len(y))}
    loglik = -0.5 * len(y) * (math.log(2 * math.pi * spread**2) + 1)
    reference = Optimum(loglik, {"mu": float(y.mean()), "sigma": spread, "tau": 0.0}, errors)
    assert disagreements(result, reference) == []
    assert result["boundary"] == ["tau"]


def test_growth_as_a_vector() -> None:
    """The same growth curves by one Normal vector."""
    data = ROOT / "models" / "data" / "statures.csv"
    scalar = fit(ROOT / "models" / "growth_curve.emm", data, starts=STARTS)
    vector = fit(VARIANTS / "growth_curve_vector.emm", data, starts=STARTS)
    p = scalar["params"]
    assert vector["converged"]
    assert vector["loglik"] == pytest.approx(scalar["loglik"], abs=1e-8)
    expected = {
        "level": p["sd_level"] ** 2, "growth": p["sd_growth"] ** 2 + (p["slope"] * p["sd_level"]) ** 2,
    }  # fmt: skip
    for name, variance in expected.items():
        assert vector["params"]["T"][name][name] == pytest.approx(variance, rel=1e-5)
    assert vector["params"]["T"]["level"]["growth"] == pytest.approx(p["slope"] * p["sd_level"] ** 2, rel=1e-5)
    assert vector["params"]["b"] == pytest.approx({"level": p["b0"], "growth": p["b1"]}, rel=1e-5)
    for name, other in (("level", "b0"), ("growth", "b1")):
        assert vector["se"]["b"][name] == pytest.approx(scalar["se"][other], rel=1e-4)


def test_a_regression_with_gaps_is_the_joint_normal_law_given_its_inputs() -> None:
    """Sun and ozone with gaps, given wind and temperature, which have none: the joint law of all four has as many
    parameters more as that of these two, and its log-likelihood the log-likelihood of these two more."""
    joint, given = (
        fit(ROOT / "models" / f"{name}.emm", ROOT / "models" / "data" / "airquality.csv", starts=1)
        for name in ("airquality", "ozone_regression")
    )
    lines = (ROOT / "models" / "data" / "airquality.csv").read_text(encoding="utf-8").splitlines()[1:]
    inputs = np.array([[float(cell) for cell in line.split(",")[2:]] for line in lines])
    n, covariance = len(inputs), np.cov(inputs.T, bias=True)
    alone = -0.5 * n * (2 * math.log(2 * math.pi) + float(np.linalg.slogdet(covariance)[1]) + 2)
    assert joint["loglik"] == pytest.approx(given["loglik"] + alone, abs=1e-8)
    assert joint["parameters"] == given["parameters"] + 5
