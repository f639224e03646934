"""The table of published cases: which model is fitted to which data, and where its reference stands.

The references are files `expected.json` in the folder of cases that lies beside a checkout; where it is absent, the
tests that need it are skipped and say so. A `Reading` turns the names of such a file into those of our model.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.models.direct_maximisation import Optimum

ROOT = Path(__file__).resolve().parents[2]
CASES = ROOT.parent / "shared" / "cases"
VARIANTS = Path(__file__).resolve().parent / "variants"

#: From estimates and standard errors as the file names them to both as the model names them.
Reading = Callable[[Any, Any], tuple[dict[str, Any], dict[str, Any]]]


@dataclass(frozen=True)
class Case:
    """One fit: a model (of `models/`, or of the variants beside this file), its data, options of `fit`."""

    name: str
    data: str
    case: str
    reading: Reading
    variant: str | None = None
    shipped: bool = True
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """A name for the test's report."""
        return f"{self.name}-{self.variant}" if self.variant else self.name

    @property
    def model(self) -> Path:
        """The model's file."""
        return (ROOT / "models" if self.shipped else VARIANTS) / f"{self.name}.emm"

    @property
    def table(self) -> Path:
        """The data's file."""
        return ROOT / "models" / "data" / self.data

    def reference(self) -> Optimum:
        """The published maximum, its numbers named as in the model."""
        expected = json.loads((CASES / self.case / "expected.json").read_text(encoding="utf-8"))
        chosen = expected["variants"][self.variant] if self.variant else expected
        return Optimum(chosen["loglik"], *self.reading(chosen["estimates"], chosen["se"]))


def numbered(values: Any) -> Any:
    """Nested lists as dictionaries by the labels 1, 2, …"""
    if isinstance(values, list):
        return {str(position): numbered(value) for position, value in enumerate(values, start=1)}
    return values


def _both(read: Callable[[Any], dict[str, Any]]) -> Reading:
    """Estimates and errors are named alike."""
    return lambda estimates, errors: (read(estimates), read(errors))


def _alleles(values: Any) -> dict[str, Any]:
    return {"p": {key.removeprefix("p_"): value for key, value in values.items()}}


def _mixed(values: Any) -> dict[str, Any]:
    share = {"1": values["w_1"], "2": values["w_2"]}
    return {"share": share, "rate": {"1": values["lambda_1"], "2": values["lambda_2"]}}


def _curves(values: Any) -> dict[str, Any]:
    by_power = {f"b{power}": numbered([row[power] for row in values["beta"]]) for power in range(3)}
    return {"share": numbered(values["w"]), "sigma": numbered(values["sigma"]), **by_power}


def _log_linear(values: Any) -> dict[str, Any]:
    a, b = (numbered([row[power] for row in values["beta"]]) for power in range(2))
    return {"share": numbered(values["w"]), "a": a, "b": b}


def _logistic(values: Any) -> dict[str, Any]:
    return {"w0": values["Intercept"], "w": {key: value for key, value in values.items() if key != "Intercept"}}


def _chain(estimates: Any, errors: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The start is on its boundary (1 and 0): it has an estimate and no standard error."""
    return {**_stationary_chain(estimates), "start": numbered(estimates["initial"])}, _stationary_chain(errors)


def _stationary_chain(values: Any) -> dict[str, Any]:
    return {"A": numbered(values["A"]), "rate": numbered(values["lam"])}


def _by_dimension(values: Any) -> Any:
    """Lists by dimension as dictionaries, at the innermost levels."""
    return dict(zip(("eruptions", "waiting"), values, strict=True))


def _places(values: Any) -> dict[str, Any]:
    means = {str(k): _by_dimension(mean) for k, mean in enumerate(values["mean"], start=1)}
    return {"share": numbered(values["w"]), "mu": means}


def _matrix(matrix: Any) -> Any:
    return _by_dimension([_by_dimension(row) for row in matrix])


def _full(values: Any) -> dict[str, Any]:
    return {**_places(values), "Sigma": {str(k): _matrix(cov) for k, cov in enumerate(values["cov"], start=1)}}


def _pooled(values: Any) -> dict[str, Any]:
    return {**_places(values), "Sigma": _matrix(values["cov"][0])}


def _deviations(pick: Callable[[list[Any]], Any]) -> Reading:
    """Variances to standard deviations s, and their errors by the delta method: se(s) = se(s^2) / (2 s).

    `pick` takes the diagonals, a list by component and dimension, to the shape of the model's `sigma`.
    """

    def read(estimates: Any, errors: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        s = [[math.sqrt(cov[d][d]) for d in range(2)] for cov in estimates["cov"]]
        e = [[cov[d][d] / (2 * s[k][d]) for d in range(2)] for k, cov in enumerate(errors["cov"])]
        return {**_places(estimates), "sigma": pick(s)}, {**_places(errors), "sigma": pick(e)}

    return read


def _each(deviations: list[Any]) -> dict[str, Any]:
    return {str(k): _by_dimension(row) for k, row in enumerate(deviations, start=1)}


def _round(deviations: list[Any]) -> dict[str, Any]:
    return {str(k): row[0] for k, row in enumerate(deviations, start=1)}


def _zero_inflated(values: Any) -> dict[str, Any]:
    def features(part: str) -> dict[str, Any]:
        return {key: value for key, value in values[part].items() if key != "(Intercept)"}

    return {
        "b0": values["count"]["(Intercept)"], "b": features("count"),
        "g0": values["zero"]["(Intercept)"], "g": features("zero"),
    }  # fmt: skip


_MEASURES = ("logOzone", "SolarR", "Wind", "Temp")


def _joint_normal(values: Any) -> dict[str, Any]:
    by_measure = [dict(zip(_MEASURES, row, strict=True)) for row in values["cov"]]
    return {
        "mu": dict(zip(_MEASURES, values["mean"], strict=True)),
        "Sigma": dict(zip(_MEASURES, by_measure, strict=True)),
    }


SHIPPED = (
    Case("peppered_moth", "peppered_moth.csv", "moths_hwe", _both(_alleles)),
    Case("abo", "abo.csv", "abo_hardyweinberg", _both(_alleles)),
    Case("linkage", "linkage.csv", "linkage_dlr", _both(dict)),
    Case("linkage_coarse", "linkage.csv", "linkage_dlr", _both(dict)),
    Case("gaussian_mixture", "faithful.csv", "gmm_faithful", _both(_full)),
    Case("gaussian_mixture", "faithful.csv", "gmm_faithful", _both(_full), "VVV_3", options={"set": {"K": 3}}),
    Case("poisson_mixture", "london_deaths.csv", "poisson_mix_london", _both(_mixed)),
    Case("regression_mixture", "npreg.csv", "mixreg_npreg", _both(_curves)),
    Case("logistic_regression", "birthwt.csv", "logistic_birthwt", _both(_logistic)),
    Case("earthquakes", "earthquakes.csv", "hmm_earthquakes", _chain, "k2_free"),
    Case("earthquakes_stationary", "earthquakes.csv", "hmm_earthquakes", _both(_stationary_chain), "k2_stationary"),
    Case("airquality", "airquality.csv", "mvn_airquality", _both(_joint_normal)),
)

VARIANT_CASES = (
    Case("shared_covariance", "faithful.csv", "gmm_faithful", _both(_pooled), "EEE_2", False),
    Case("shared_covariance", "faithful.csv", "gmm_faithful", _both(_pooled), "EEE_3", False, {"set": {"K": 3}}),
    Case("diagonal", "faithful.csv", "gmm_faithful", _deviations(_each), "VVI_2", False),
    Case("diagonal", "faithful.csv", "gmm_faithful", _deviations(_each), "VVI_3", False, {"set": {"K": 3}}),
    Case("shared_diagonal", "faithful.csv", "gmm_faithful", _deviations(lambda s: _by_dimension(s[0])), "EEI_2", False),
    Case("spherical", "faithful.csv", "gmm_faithful", _deviations(_round), "VII_2", False),
    Case("log_linear_mixture", "npreg.csv", "mixreg_npreg", _both(_log_linear), "poisson", False),
    Case("zero_inflated", "biochemists.csv", "zip_biochemists", _both(_zero_inflated), None, False),
)  # fmt: skip
