"""Two components far apart are found: the maximum is not below the log-likelihood at the parameters that made the data.

The laws are those whose shape takes up what differs between components, so that one component that stands for both is
a maximum of the likelihood too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import emdsl

ROWS = 300
RNG = np.random.default_rng(2)
SECOND = (RNG.random(ROWS) < 0.4).astype(int)
MODEL = """
index c = 1..2
param p : simplex[c]
param a[c] : positive
param b[c] : positive
for each row:
    latent z ~ Categorical(p)
    observed y ~ {law}
"""
#: Law, data, and the parameters a and b of each component that they are drawn from.
CASES = {
    "NegativeBinomial": ("NegativeBinomial(a[z], b[z])", ((2, 30), (4, 4))),
    "BetaBinomial": ("BetaBinomial(10, a[z], b[z])", ((2, 20), (10, 4))),
    "InverseGamma": ("InverseGamma(a[z], b[z])", ((3, 30), (1, 3000))),
    "Beta": ("Beta(a[z], b[z])", ((2, 20), (10, 4))),
    "InverseGaussian": ("InverseGaussian(a[z], b[z])", ((1, 9), (3, 50))),
}


def drawn(name: str, a: Any, b: Any) -> Any:
    rng = np.random.default_rng(7)
    match name:
        case "NegativeBinomial":
            return rng.negative_binomial(b, b / (a + b))
        case "BetaBinomial":
            return rng.binomial(10, rng.beta(a, b))
        case "InverseGamma":
            return b / rng.gamma(a)
        case "Beta":
            return rng.beta(a, b)
    return rng.wald(a, b)


@pytest.mark.parametrize("name", CASES)
def test_both_are_found(name: str) -> None:
    law, (a, b) = CASES[name]
    y = drawn(name, np.array(a, dtype=float)[SECOND], np.array(b, dtype=float)[SECOND])
    model = emdsl.loads(MODEL.format(law=law))
    truth = {
        "p": {"1": 0.6, "2": 0.4},
        "a": {"1": float(a[0]), "2": float(a[1])},
        "b": {"1": float(b[0]), "2": float(b[1])},
    }
    at_truth = model.fit({"y": y}, init=truth, starts=1, max_iter=0, se="none").loglik
    found = model.fit({"y": y}, starts=12, se="none")
    assert found.converged
    assert found.loglik >= at_truth
