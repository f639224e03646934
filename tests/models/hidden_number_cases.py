"""The published cases of models with continuous hidden variables: which table, which options, how the numbers read."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.models.cases import CASES, ROOT, VARIANTS
from tests.models.direct_maximisation import Optimum

ITEMS = tuple(f"Item {k}" for k in range(1, 6))
ABILITIES = ("general", "picture", "blocks", "maze", "reading", "vocab")

Reading = Callable[[Mapping[str, Any]], dict[str, Any]]


@dataclass(frozen=True)
class HiddenCase:
    """A shipped model (or a `variant` beside this file) on the table of a case, or on the shipped `data`.

    `reading` names the case's numbers as the model does; `variances` lists deviations that the case has as variances,
    with their names there.
    """

    name: str
    case: str
    reading: Reading
    variant: str | None = None
    shipped: bool = True
    data: str | None = None
    variances: Mapping[str, str] = field(default_factory=dict)
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
        return CASES / self.case / "data.csv" if self.data is None else ROOT / "models" / "data" / self.data

    def reference(self) -> Optimum:
        """The published maximum."""
        expected = json.loads((CASES / self.case / "expected.json").read_text(encoding="utf-8"))
        chosen = expected["variants"][self.variant] if self.variant else expected
        estimates, errors = dict(chosen.get("estimates", {})), dict(chosen.get("se", {}))
        for name, variance in self.variances.items():
            estimates[name] = math.sqrt(estimates[variance])
            errors[name] = errors[variance] / (2 * estimates[name])  # delta method
        return Optimum(
            chosen["loglik"], self.reading(estimates) if estimates else {}, self.reading(errors) if errors else {}
        )


def named(**names: str) -> Reading:
    return lambda values: {name: values[other] for name, other in names.items()}


def _by_ability(values: Any) -> dict[str, float]:
    return dict(zip(ABILITIES, values, strict=True))


def _one_factor(values: Mapping[str, Any]) -> dict[str, Any]:
    load = {item: {"1": value} for item, value in _by_ability(values["loading"]).items()}
    return {"load": load, "uniqueness": _by_ability(values["psi"])}


def _uniqueness(values: Mapping[str, Any]) -> dict[str, Any]:
    return {"uniqueness": _by_ability(values["psi"])}


def _lines(values: Mapping[str, Any]) -> dict[str, Any]:
    b0, b1 = values["beta"]
    names = {"sd_intercept": "sd_intercept", "sd_slope": "sd_slope", "correlation": "cor", "sigma": "sigma"}
    return {"b0": b0, "b1": b1, **{name: values[other] for name, other in names.items()}}


def _one_slope(values: Mapping[str, Any]) -> dict[str, Any]:
    b0, b1 = values["beta"]
    return {"b0": b0, "b1": b1, "tau": values["sd_intercept"], "sigma": values["sigma"]}


def _herds(values: Mapping[str, Any]) -> dict[str, Any]:
    beta = values["beta"]
    return {"b0": beta["(Intercept)"], "b": {k: beta[f"period{k}"] for k in "234"}, "tau": values["sd_herd"]}


def _items(values: Mapping[str, Any]) -> dict[str, Any]:
    return {"a": dict(zip(ITEMS, values["slope"], strict=True))}


def _one_slope_for_items(values: Mapping[str, Any]) -> dict[str, Any]:
    return {"a": values["slope"][0]}


def _nothing(values: Mapping[str, Any]) -> dict[str, Any]:
    return {}


LSAT = {"columns": {"item": ITEMS}}
CASES_OF_HIDDEN_NUMBERS = (
    HiddenCase("student_t", "t_location_darwin", dict, data="darwin.csv"),
    HiddenCase("student_t", "t_location_darwin", dict, "df4", data="darwin.csv", options={"fix": {"df": 4}}),
    HiddenCase("factor_analysis", "fa_ability", _one_factor, "k1", data="ability.csv"),
    HiddenCase("factor_analysis", "fa_ability", _uniqueness, "k2", data="ability.csv", options={"set": {"Q": 2}}),
    HiddenCase("probabilistic_pca", "fa_ability", _nothing, "ppca_k2", data="ability.csv"),
    HiddenCase(
        "probabilistic_pca", "fa_ability", _nothing, "ppca_k1", data="ability.csv", options={"set": {"Q": 1}}
    ),
    HiddenCase("random_slopes", "lmm_sleepstudy", _lines, data="sleepstudy.csv"),
    HiddenCase("random_intercept_line", "lmm_sleepstudy", _one_slope, "ri", False, data="sleepstudy.csv"),
    HiddenCase(
        "random_intercept", "lmm_dyestuff", named(mu="mu", tau="sd_batch", sigma="sigma"), data="dyestuff.csv"
    ),
    HiddenCase(
        "local_level_from", "ssm_nile", named(mu="mu1", q="q", r="r"), "fixed_mu1", False, data="nile.csv",
        variances={"q": "var_level", "r": "var_obs"},
    ),
    HiddenCase("binomial_mixed", "glmm_cbpp", _herds, data="cbpp.csv"),
    HiddenCase("two_parameter_logistic", "irt_lsat", _items, "twopl", options=LSAT),
    HiddenCase(
        "two_parameter_logistic", "irt_lsat", _nothing, "rasch1", options={**LSAT, "fix": {"a": 1}}
    ),
    HiddenCase("rasch", "irt_lsat", _one_slope_for_items, "rasch", False, options=LSAT),
)  # fmt: skip
