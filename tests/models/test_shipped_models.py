"""Every shipped model is fitted, and its numbers are held against a maximum that was found without EM."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.models.bounded_likelihoods import BOUNDED_NUMBERS
from tests.models.cases import CASES, ROOT, SHIPPED, VARIANT_CASES, Case
from tests.models.comparison import disagreements
from tests.models.cut_likelihoods import CUT
from tests.models.grid_likelihoods import ON_GRIDS
from tests.models.hidden_likelihoods import HIDDEN
from tests.models.hidden_number_cases import CASES_OF_HIDDEN_NUMBERS
from tests.models.hidden_numbers_likelihoods import HIDDEN_NUMBERS
from tests.models.likelihoods import DIRECT, regression_mixture
from tests.models.share_likelihoods import WITH_SHARES
from tests.models.test_simulated import SIMULATED
from tests.models.tied_likelihoods import TIED
from tests.models.wider_cases import SHIPPED_CASES
from tests.models.wider_likelihoods import WIDER

MODELS = sorted((ROOT / "models").glob("*.emm"))


def named_data(model: Path) -> Path:
    """The file that a model's comment `# data: …` names."""
    lines = model.read_text(encoding="utf-8").splitlines()
    return ROOT / next(line for line in lines if line.startswith("# data: ")).removeprefix("# data: ")


def fit(model: Path, table: Path, **options: Any) -> dict[str, Any]:
    """The JSON of a fit, after a journey through text."""
    import emdsl

    fitted = emdsl.load(str(model)).fit(str(table), **options)
    result: dict[str, Any] = json.loads(json.dumps(fitted.to_dict()))
    return result


def needs_cases() -> None:
    """Skips where the folder of published cases does not lie beside the checkout."""
    if not CASES.is_dir():
        pytest.skip(f"the published cases are not at {CASES.relative_to(ROOT.parent)} beside the checkout")


@pytest.mark.parametrize("case", [*SHIPPED, *VARIANT_CASES], ids=lambda case: case.id)
def test_fit_agrees_with_the_published_case(case: Case) -> None:
    needs_cases()
    assert disagreements(fit(case.model, case.table, **case.options), case.reference()) == []


@pytest.mark.parametrize("name", DIRECT)
def test_fit_agrees_with_direct_maximisation(name: str) -> None:
    model = ROOT / "models" / f"{name}.emm"
    assert disagreements(fit(model, named_data(model)), DIRECT[name]()) == []


def test_every_shipped_model_has_a_reference() -> None:
    published = {case.name for case in (*SHIPPED, *SHIPPED_CASES)}
    published |= {case.name for case in CASES_OF_HIDDEN_NUMBERS if case.shipped}
    published |= set(DIRECT) | set(WIDER) | set(CUT) | set(HIDDEN) | set(HIDDEN_NUMBERS) | set(BOUNDED_NUMBERS)
    published |= set(TIED) | set(SIMULATED) | set(ON_GRIDS) | set(WITH_SHARES)
    assert {model.stem for model in MODELS} == published


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.stem)
def test_a_model_names_its_data_and_the_data_their_source(model: Path) -> None:
    table = named_data(model)
    assert table.is_file()
    assert f"`{table.name}`" in (table.parent / "SOURCES.md").read_text(encoding="utf-8")


def test_direct_maximisation_agrees_with_the_published_case() -> None:
    needs_cases()
    case = next(case for case in SHIPPED if case.name == "regression_mixture")
    reference = regression_mixture()
    as_fit = {"converged": True, "loglik": reference.loglik, "params": reference.estimates, "se": reference.errors}
    assert disagreements(as_fit, case.reference()) == []
