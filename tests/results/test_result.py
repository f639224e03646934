"""The fit object: the JSON key by key, data frames, intervals."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import replace

import numpy as np
import pytest

from emdsl.diagnostics.errors import EmmError
from emdsl.version import VERSION
from tests.results.outcomes import bound, example, state, with_prior, without_errors

#: The keys in the order of the language's reference.
KEYS = [
    "model", "data", "version", "seed", "estimator", "converged", "iterations", "stopped_by", "starts", "loglik",
    "penalized_loglik", "parameters", "aic", "bic", "bic_n", "params", "se", "se_method", "interval", "level",
    "boundary", "covariance", "reports", "indexes", "columns", "missing_cells", "warnings",
]  # fmt: skip


def test_the_json() -> None:
    found = json.loads(json.dumps(example().to_dict(), allow_nan=False))
    assert list(found) == KEYS
    interval = found.pop("interval")
    assert found == {
        "model": "Example", "data": {"rows": 3, "units": 622, "missing": 1}, "version": VERSION, "seed": 7,
        "estimator": "ML", "converged": True, "iterations": 14, "stopped_by": "decrement",
        "starts": {"run": 3, "at_best": 2, "logliks": [-600.48098, -601.0, None]},
        "loglik": -600.48098, "penalized_loglik": None, "parameters": 8,
        "aic": 2 * 600.48098 + 16, "bic": pytest.approx(2 * 600.48098 + 8 * math.log(620)), "bic_n": 620,
        "params": {
            "p": {"C": 0.25, "I": 0.75, "rs1.2": 0.0}, "mu": {"eruptions": -1.5, "waiting": 70.25},
            "Sigma": {"eruptions": {"eruptions": 2.0, "waiting": 0.5}, "waiting": {"eruptions": 0.5, "waiting": 1.0}},
            "tau": 0.001,
        },
        "se": {
            "p": {"C": 0.0125, "I": 0.0125, "rs1.2": None}, "mu": {"eruptions": 0.5, "waiting": 12.25},
            "Sigma": {"eruptions": {"eruptions": 0.1, "waiting": 0.2}, "waiting": {"eruptions": 0.2, "waiting": 0.3}},
            "tau": None,
        },
        "se_method": "observed", "level": 0.95, "boundary": ['p["rs1.2"]'],
        "covariance": {"names": ["mu.eruptions", "mu.waiting"], "matrix": [[0.25, 0.0], [0.0, None]]},
        "reports": {
            "twice": {"estimate": 0.002, "se": 0.0001, "interval": [0.0018, 0.0022]},
            "shift": {
                "estimate": {"eruptions": 1.0, "waiting": 2.0}, "se": {"eruptions": None, "waiting": None},
                "interval": {"eruptions": [None, None], "waiting": [None, None]},
            },
        },
        "indexes": {"allele": ["C", "I", "rs1.2"], "dim": ["eruptions", "waiting"]},
        "columns": {"x": "x", "count": "n"}, "missing_cells": {"x": 1}, "warnings": ["the first warning", "the second"],
    }  # fmt: skip
    assert interval["mu"]["eruptions"] == pytest.approx([-1.5 - 1.959964 * 0.5, -1.5 + 1.959964 * 0.5])
    assert interval["tau"] == [None, None]
    assert list(found["params"]) == ["p", "mu", "Sigma", "tau"] and list(found["params"]["p"]) == ["C", "I", "rs1.2"]


def test_the_json_without_standard_errors() -> None:
    found = without_errors().to_dict()
    assert list(found) == KEYS
    assert found["se"]["p"] == {"C": None, "I": None, "rs1.2": None} and found["se"]["tau"] is None
    assert found["interval"]["p"]["C"] == [None, None] and found["interval"]["tau"] == [None, None]
    assert found["covariance"] == {"names": [], "matrix": []} and found["se_method"] == "none"
    assert found["reports"]["twice"] == {"estimate": 0.002, "se": None, "interval": [None, None]}
    assert found["converged"] is False and found["stopped_by"] == "iterations"


def test_a_map_estimate_has_no_aic() -> None:
    found = with_prior().to_dict()
    assert (found["estimator"], found["aic"], found["bic"], found["bic_n"]) == ("MAP", None, None, 620)
    assert found["penalized_loglik"] == -605.5 and found["loglik"] == -600.48098


def test_a_log_likelihood_that_is_no_number() -> None:
    fit = example(state=state(loglik=-np.inf))
    found = fit.to_dict()
    assert fit.loglik == -math.inf and found["loglik"] is None and found["aic"] is None and found["bic"] is None
    json.dumps(found, allow_nan=False)


def test_bic_needs_units() -> None:
    assert example(bic_n=0.0).to_dict()["bic"] is None


def test_weights_that_are_no_counts_are_warned_of() -> None:
    fit = example(bound=replace(bound(), weights={"moth": np.array([0.5, 1.0, 1.0])}), units=2.5)
    said = "the weights are not whole numbers: AIC and BIC compare only fits with these weights"
    assert fit.warnings == ("the first warning", "the second", said)
    assert fit.to_dict()["data"]["units"] == 2.5


def test_the_numbers_of_python_are_those_of_the_json() -> None:
    fit = example()
    found = fit.to_dict()
    assert fit.params is found["params"] and fit.se is found["se"] and fit.interval is found["interval"]
    assert (fit.aic, fit.bic, fit.parameters, fit.missing) == (found["aic"], found["bic"], 8, {"x": 1})
    assert repr(fit) == "<Fit of Example: loglik -600.48098, 8 parameters, converged>"


def test_tables_are_data_frames() -> None:
    pandas = pytest.importorskip("pandas")
    fit = example()
    assert isinstance(fit.trace, pandas.DataFrame)
    assert fit.trace.to_dict("list") == {"iteration": [0, 1], "loglik": [-700.0, -600.48098]}
    tidy = fit.tidy()
    assert list(tidy.columns) == ["term", "estimate", "std.error", "statistic", "p.value", "conf.low", "conf.high"]
    assert list(tidy["term"]) == [
        "p.C", "p.I", 'p["rs1.2"]', "mu.eruptions", "mu.waiting", "Sigma.eruptions.eruptions",
        "Sigma.eruptions.waiting", "Sigma.waiting.waiting", "tau",
    ]  # fmt: skip
    glance = fit.glance()
    assert glance.loc[0, "logLik"] == -600.48098 and glance.loc[0, "df"] == 8 and glance.loc[0, "nobs"] == 620
    assert list(fit.vcov().columns) == list(fit.vcov().index) == ["mu.eruptions", "mu.waiting"]
    assert list(fit.confint().columns) == ["2.5 %", "97.5 %"]
    assert len(without_errors().vcov()) == 0


def test_a_wald_test_only_where_zero_is_an_inner_point() -> None:
    pytest.importorskip("pandas")
    tidy = example().tidy().set_index("term")
    assert tidy.loc["mu.eruptions", "statistic"] == -3.0
    assert tidy.loc["mu.eruptions", "p.value"] == pytest.approx(0.0026997960632602)
    assert tidy.loc[["p.C", "tau", "Sigma.eruptions.waiting"], "p.value"].isna().all()


def test_intervals_of_another_level() -> None:
    pytest.importorskip("pandas")
    found = example().confint(0.5)
    assert list(found.columns) == ["25 %", "75 %"]
    assert found.loc["mu.eruptions"].tolist() == pytest.approx([-1.5 - 0.67449 * 0.5, -1.5 + 0.67449 * 0.5], abs=1e-5)
    low, high = found.loc["p.C"]
    assert 0 < low < 0.25 < high < 0.26
    assert found.loc["tau"].isna().all()
    assert without_errors().confint(0.5).isna().all().all()
    with pytest.raises(EmmError) as caught:
        example().confint(95)
    assert str(caught.value) == "error[bad-option]: expected a number between 0 and 1, found `95`\n --> level"


def test_without_pandas_tables_are_dicts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emdsl.results.frames.find_spec", lambda name: None)
    monkeypatch.setitem(sys.modules, "pandas", None)
    assert example().trace == {"iteration": [0, 1], "loglik": [-700.0, -600.48098]}
    assert example().vcov() == {
        "term": ["mu.eruptions", "mu.waiting"], "mu.eruptions": [0.25, 0.0], "mu.waiting": [0.0, math.inf],
    }  # fmt: skip
