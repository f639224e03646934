"""Distributions that a user declares: alone and in a mixture, against maxima that were found directly."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.models.comparison import disagreements
from tests.models.direct_maximisation import Array
from tests.models.own_families import FAMILIES, OwnFamily

each_family = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)

#: The maximum of the single model where it is known in closed form.
CLOSED_FORMS: dict[str, Callable[[Array], float]] = {
    "Rayleigh": lambda x: float(np.sqrt(np.mean(x**2) / 2)),
    "Maxwell": lambda x: float(np.sqrt(np.mean(x**2) / 3)),
    "PowerLaw": lambda x: float(1 + 1 / np.mean(np.log(x))),
    "Gompertz": lambda x: float(0.5 / np.mean(np.expm1(0.5 * x))),
    "Borel": lambda x: float(1 - 1 / np.mean(x)),
    "HalfNormal": lambda x: float(np.sqrt(np.mean(x**2))),
}


def fit(text: str, x: Array) -> dict[str, Any]:
    """The JSON of a fit of one column."""
    import emdsl

    result: dict[str, Any] = json.loads(json.dumps(emdsl.loads(text).fit({"x": x}).to_dict()))
    return result


@each_family
def test_single(family: OwnFamily) -> None:
    x = family.one_sample()
    assert disagreements(fit(family.single(), x), family.single_reference(x)) == []


@each_family
def test_mixture(family: OwnFamily) -> None:
    x = family.mixed_sample()
    assert disagreements(fit(family.mixture(), x), family.mixture_reference(x)) == []


@pytest.mark.parametrize("name", CLOSED_FORMS)
def test_reference_is_the_closed_form(name: str) -> None:
    family = next(family for family in FAMILIES if family.name == name)
    x = family.one_sample()
    assert family.single_reference(x).estimates["t"] == pytest.approx(CLOSED_FORMS[name](x), rel=1e-7)


@each_family
def test_reference_density_sums_to_one(family: OwnFamily) -> None:
    value = np.array(family.values[0])
    if "logpmf" in family.declaration:
        total = np.exp(family.log_density(np.arange(1.0, 2000.0), value)).sum()
    else:
        # x = low + t/(1-t) on a midpoint grid covers the half line
        low = 1.0 if family.name == "PowerLaw" else 0.0
        t = (np.arange(200_000) + 0.5) / 200_000
        with np.errstate(over="ignore"):  # far out the hazard of Gompertz overflows and the density is 0
            total = np.mean(np.exp(family.log_density(low + t / (1 - t), value)) / (1 - t) ** 2)
    assert total == pytest.approx(1, abs=1e-4)
