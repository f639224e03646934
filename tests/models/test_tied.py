"""Models in which rows of different units are tied, against direct maximisation."""

from __future__ import annotations

import pytest

from tests.models.cases import ROOT
from tests.models.comparison import disagreements
from tests.models.test_shipped_models import fit, named_data
from tests.models.tied_likelihoods import TIED

#: The best of these starts is the best of fifty.
STARTS = 8


@pytest.mark.parametrize("name", TIED)
def test_fit_agrees_with_direct_maximisation(name: str) -> None:
    model = ROOT / "models" / f"{name}.emm"
    assert disagreements(fit(model, named_data(model), starts=STARTS), TIED[name]()) == []
