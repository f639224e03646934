"""Models whose hidden numbers are summed over nodes, held against direct maximisation."""

from __future__ import annotations

import pytest

from tests.models.cases import ROOT
from tests.models.comparison import disagreements
from tests.models.grid_likelihoods import ON_GRIDS
from tests.models.share_likelihoods import WITH_SHARES
from tests.models.test_shipped_models import fit, named_data

#: Along a chain each look at the data takes the square of the nodes a step.
SLOW = ("stochastic_volatility", "switching_level")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in ON_GRIDS]
)
def test_fit_agrees_with_direct_maximisation(name: str) -> None:
    model = ROOT / "models" / f"{name}.emm"
    assert disagreements(fit(model, named_data(model), starts=2), ON_GRIDS[name]()) == []


@pytest.mark.parametrize("name", WITH_SHARES)
def test_shares_agree_with_direct_maximisation(name: str) -> None:
    model = ROOT / "models" / f"{name}.emm"
    assert disagreements(fit(model, named_data(model), starts=1), WITH_SHARES[name]()) == []
