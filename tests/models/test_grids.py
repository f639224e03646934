"""Models whose hidden numbers are summed over nodes, held against direct maximisation."""

from __future__ import annotations

import pytest

from tests.models.cases import ROOT
from tests.models.comparison import disagreements
from tests.models.grid_likelihoods import site_occupancy, stochastic_volatility, switching_level
from tests.models.test_shipped_models import fit, named_data


def test_site_occupancy() -> None:
    model = ROOT / "models" / "site_occupancy.emm"
    assert disagreements(fit(model, named_data(model), starts=2), site_occupancy()) == []


@pytest.mark.slow
@pytest.mark.parametrize("reference", [stochastic_volatility, switching_level])
def test_chains(reference: object) -> None:
    name = getattr(reference, "__name__", "")
    model = ROOT / "models" / f"{name}.emm"
    assert callable(reference)
    assert disagreements(fit(model, named_data(model), starts=2), reference()) == []
