"""Fits by draws of shipped models agree with those by quadrature within the simulation errors that they state."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

import emdsl

MODELS = Path(__file__).parents[2] / "models"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "data", "most"), [("binomial_mixed", "cbpp", 10_000), ("two_parameter_logistic", "answers", 0)],
    ids=["cbpp", "answers"],
)  # fmt: skip
def test_fits_by_draws_are_as_far_from_nodes_as_they_say(model: str, data: str, most: int) -> None:
    """Over several seeds; the root mean square of eight such distances is between these bounds with probability 0.997.
    Of the answers the log-likelihood at the estimates by nodes alone.
    """
    made = emdsl.load(str(MODELS / f"{model}.emm"))
    table = str(MODELS / "data" / f"{data}.csv")
    nodes = made.fit(table).to_dict()
    away = []
    for seed in range(8):
        options = {"init": nodes["params"], "starts": 1, "max_iter": most}
        found = made.fit(table, plan="monte-carlo", seed=seed, **options).to_dict()
        assert found["simulation"]["met"] and found["converged"] == (most > 0)
        away.append((found["loglik"] - nodes["loglik"]) / found["simulation"]["loglik_error"])
    assert len(set(away)) == 8  # every seed has draws of its own
    assert 0.35 < math.sqrt(sum(z**2 for z in away) / len(away)) < 1.8
