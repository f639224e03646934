"""The models beyond the first ones: each is fitted to its own data and to a published case, and held against both."""

from __future__ import annotations

import pytest

from tests.models.cases import ROOT
from tests.models.comparison import disagreements
from tests.models.hidden_likelihoods import HIDDEN
from tests.models.test_shipped_models import fit, named_data, needs_cases
from tests.models.wider_cases import CASES_ELSEWHERE, SHIPPED_CASES, WiderCase
from tests.models.wider_likelihoods import WIDER


@pytest.mark.parametrize("case", [*CASES_ELSEWHERE, *SHIPPED_CASES], ids=lambda case: case.id)
def test_fit_agrees_with_the_published_case(case: WiderCase) -> None:
    needs_cases()
    assert disagreements(fit(case.model, case.table, **case.options), case.reference()) == []


@pytest.mark.parametrize("name", WIDER)
def test_fit_agrees_with_direct_maximisation(name: str) -> None:
    model = ROOT / "models" / f"{name}.emm"
    assert disagreements(fit(model, named_data(model)), WIDER[name]()) == []


@pytest.mark.parametrize("name", HIDDEN)
def test_hidden_chains_and_classes_agree_with_direct_maximisation(name: str) -> None:
    model = ROOT / "models" / f"{name}.emm"
    assert disagreements(fit(model, named_data(model)), HIDDEN[name]()) == []


@pytest.mark.parametrize("case", SHIPPED_CASES, ids=lambda case: case.id)
def test_shipped_data_are_those_of_the_case(case: WiderCase) -> None:
    assert named_data(case.model) == case.table
