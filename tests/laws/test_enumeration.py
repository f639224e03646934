"""Random graphs: the log-likelihood, the posterior and the score against the enumeration of all hidden states."""

from __future__ import annotations

import numpy as np
import pytest

from tests.laws.agreement import check_agreement
from tests.laws.bound_models import random_theta, take_if_planned
from tests.laws.random_models import random_model

#: How many random graphs the default suite looks at, and how many more the slow one.
GRAPHS, MORE = 300, 1500

seeds = pytest.mark.parametrize(
    "seed", [pytest.param(seed, marks=[pytest.mark.slow] if seed >= GRAPHS else []) for seed in range(GRAPHS + MORE)]
)


def test_most_graphs_are_possible() -> None:
    """The generator draws data that the models allow, most of the time, and uses every construct."""
    possible, planned, text = 0, 0, ""
    for seed in range(40):
        model = random_model(seed)
        text += model.text
        bound = take_if_planned(model.text, model.columns)
        if bound is not None:
            planned += 1
            theta = random_theta(bound.problem.spaces, np.random.default_rng(seed), bound.problem.initial())
            possible += bool(np.isfinite(bound.problem.expect(theta).loglik))
    assert planned >= 38
    assert possible >= 30
    everything = [
        "Markov",
        "after",
        "only",
        "weight",
        "Bernoulli",
        "HardyWeinberg",
        "softmax",
        "case",
        "Point",
        "[item]",
    ]
    assert [word for word in everything if word not in text] == []


@seeds
def test_random_graph(seed: int) -> None:
    """Everything about one graph in one test, for the derivation is what takes the time."""
    model = random_model(seed)
    bound = take_if_planned(model.text, model.columns)
    if bound is None:
        pytest.skip("no plan yet")
    rng = np.random.default_rng(seed)
    check_agreement(bound, model.columns, rng)
    check_agreement(bound, model.columns, rng, boundary=True)
