"""The published cases of the models beyond the first ones: which table, which options, and how its reference reads.

Data that may not be copied into this project are read where they lie; the models ship with data that they simulate.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.models.cases import CASES, ROOT, numbered
from tests.models.direct_maximisation import Optimum

#: From a case's estimates, or its standard errors, to a model's parameters.
Reading = Callable[[Any], dict[str, Any]]


@dataclass(frozen=True)
class WiderCase:
    """One fit of `models/NAME.emm` to a case's own table (or to `data`, where it ships), with options of `fit`.

    `loglik`: of the model's maximum, where the case gives none.
    """

    name: str
    case: str
    reading: Reading
    variant: str | None = None
    data: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    loglik: float | None = None

    @property
    def id(self) -> str:
        """A name for the test's report."""
        return f"{self.name}-{self.variant}" if self.variant else self.name

    @property
    def model(self) -> Path:
        """The model's file."""
        return ROOT / "models" / f"{self.name}.emm"

    @property
    def table(self) -> Path:
        """The data's file."""
        return CASES / self.case / "data.csv" if self.data is None else ROOT / "models" / "data" / self.data

    def reference(self) -> Optimum:
        """The published maximum; boundary estimates may have no standard errors."""
        expected = json.loads((CASES / self.case / "expected.json").read_text(encoding="utf-8"))
        chosen = expected["variants"][self.variant] if self.variant else expected
        errors = chosen.get("se")
        loglik = chosen["loglik"] if self.loglik is None else self.loglik
        return Optimum(loglik, self.reading(chosen["estimates"]), {} if errors is None else self.reading(errors))


def _inbreeding(values: Any) -> dict[str, Any]:
    # The standard error of 1 - p is that of p; the estimate of N follows from that of M.
    return {"p": {"M": values["p_M"]}, "F": values["F"]}


def _haplotypes(values: Any) -> dict[str, Any]:
    return {"p": {key.replace("p_", "h"): value for key, value in values.items()}}


def _coins(values: Any) -> dict[str, Any]:
    """The model calls A the coin that shows fewer heads, the paper the other."""
    return {"theta": {"A": values["theta_B"], "B": values["theta_A"]}}


def _alleles(values: Any) -> dict[str, Any]:
    return {"p": {key.removeprefix("p_"): value for key, value in values.items()}}


def _joint(values: Any) -> dict[str, Any]:
    return {"p": {a: {b: values[f"p{a}{b}"] for b in "12"} for a in "12"}}


def _zero_inflated(values: Any) -> dict[str, Any]:
    def features(part: str) -> dict[str, Any]:
        return {key: value for key, value in values[part].items() if key != "(Intercept)"}

    return {
        "b0": values["count"]["(Intercept)"], "b": features("count"),
        "g0": values["zero"]["(Intercept)"], "g": features("zero"),
    }  # fmt: skip


def _classes(values: Any) -> dict[str, Any]:
    """The file begins with the largest class, the model with the smallest."""
    items = [key for key in values if key != "class_share"]
    count = len(values["class_share"])
    by_class = [{item: numbered(values[item][k]) for item in items} for k in reversed(range(count))]
    return {"share": numbered(values["class_share"][::-1]), "prob": numbered(by_class)}


def _annotators(values: Any) -> dict[str, Any]:
    return {"prevalence": numbered(values["pi"]), "confusion": numbered(values["conf"])}


def _bernoulli_chain(values: Any) -> dict[str, Any]:
    return {"start": numbered(values["initial"]), "A": numbered(values["A"]), "p": numbered(values["p_long"])}


def _normal_chain(values: Any) -> dict[str, Any]:
    return {
        "start": numbered(values["initial"]), "A": numbered(values["A"]),
        "mu": numbered(values["mean"]), "sigma": numbered(values["sd"]),
    }  # fmt: skip


def _classes_wanted(count: int) -> dict[str, Any]:
    return {"set": {"K": count}}


RATERS = {"map": {"annotator": "rater", "answer": "rating"}}

CASES_ELSEWHERE = (
    WiderCase("mn_inbreeding", "mn_inbreeding", _inbreeding, options={"map": {"group": "genotype"}}),
    WiderCase("haplotypes", "hap_ceu_2snp", _haplotypes, options={"columns": {"locus": ["SNP5209", "SNP5232"]}}),
    WiderCase("crime", "crime_2x2_missing", _joint),
    WiderCase("latent_classes", "lca_carcinoma", _classes, "k2"),
    WiderCase("latent_classes", "lca_carcinoma", _classes, options=_classes_wanted(3)),
    WiderCase("latent_classes", "lca_carcinoma", _classes, "k4", options=_classes_wanted(4)),
    WiderCase("dawid_skene", "dawid_skene_anesthesia", _annotators, options=RATERS),
    WiderCase("speed", "hmm_speed", _normal_chain),
)  # fmt: skip

SHIPPED_CASES = (
    WiderCase("coins", "coins_do_batzoglou", _coins, data="coins.csv"),
    WiderCase("zero_inflated_poisson", "zip_biochemists", _zero_inflated, data="biochemists.csv"),
    WiderCase("abo_prior", "map_abo_dirichlet", _alleles, data="abo_clarke.csv", loglik=-511.57981043080287),
    WiderCase("geyser", "hmm_geyser", _bernoulli_chain, data="geyser.csv"),
)
