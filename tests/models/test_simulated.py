"""Models whose likelihood is simulated, against an importance sampler written by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import expit, log_expit, logsumexp

import emdsl
from tests.models.cases import CASES, ROOT
from tests.models.likelihoods import columns

SIMULATED = ("crossed_logistic",)


def crossed_logistic(p: dict[str, float], draws: int, seed: int) -> tuple[float, float]:
    """The log-likelihood and its simulation error: draws of the normal law around the mode."""
    table = columns("passes.csv")
    design, sd = [], []
    for column in ("person", "task", "rater"):
        labels, codes = np.unique(table[column], return_inverse=True)
        design.append(np.eye(len(labels))[codes])
        sd += [p[f"sd_{column}"]] * len(labels)
    z, prior = np.hstack(design), 1.0 / np.array(sd) ** 2
    sign = 2.0 * np.array(table["passed"], float) - 1.0

    def joint(u: Any) -> Any:
        own = log_expit(sign * (p["b"] + u @ z.T)).sum(axis=-1)
        return own + (0.5 * np.log(prior / (2 * np.pi)) - 0.5 * prior * u**2).sum(axis=-1)

    u = np.zeros(len(prior))
    for _ in range(50):
        mean = expit(p["b"] + z @ u)
        slope = z.T @ (np.array(table["passed"], float) - mean) - prior * u
        precision = (z * (mean * (1 - mean))[:, None]).T @ z + np.diag(prior)
        u = u + np.linalg.solve(precision, slope)
    root = np.linalg.inv(np.linalg.cholesky(precision)).T
    noise = np.random.default_rng(seed).standard_normal((draws, len(u)))
    own = -0.5 * (noise**2).sum(axis=1) - 0.5 * len(u) * np.log(2 * np.pi) - np.log(np.diagonal(root)).sum()
    logs = joint(u + noise @ root.T) - own
    value = float(logsumexp(logs)) - np.log(draws)
    return value, float(np.exp(logs - value).std() / np.sqrt(draws))


@pytest.mark.slow
def test_crossed_effects_agree_with_a_sampler_of_their_own() -> None:
    fitted = emdsl.load(str(ROOT / "models" / "crossed_logistic.emm")).fit(
        str(ROOT / "models" / "data" / "passes.csv"), starts=2
    )
    found = fitted.to_dict()
    assert found["converged"] and found["simulation"]["met"]
    p = {name: float(value) for name, value in found["params"].items()}
    own, error = crossed_logistic(p, 20_000, 1)
    assert abs(found["loglik"] - own) < 4 * np.hypot(error, found["simulation"]["loglik_error"])
    # no step of a quarter of a standard error leads higher by more than the estimates are uncertain by the draws
    for name in p:
        for step in (-0.25, 0.25):
            beside, _ = crossed_logistic({**p, name: p[name] + step * found["se"][name]}, 20_000, 1)
            assert beside < own + 0.01


@pytest.mark.slow
def test_items_agree_with_quadrature() -> None:
    if not CASES.is_dir():
        pytest.skip(f"the published cases are not at {CASES.relative_to(ROOT.parent)} beside the checkout")
    lines = (CASES / "irt_lsat" / "data.csv").read_text(encoding="utf-8").splitlines()
    data = {f"q{k + 1}": [int(line.split(",")[k]) for line in lines[1:]] for k in range(5)}
    model = emdsl.load(str(ROOT / "models" / "two_parameter_logistic.emm"))
    for fix, loglik in (({}, -2466.653377398083), ({"a": 1}, -2473.0538472507787)):
        found = model.fit(data, plan="monte-carlo", starts=1, init={"a": 1}, fix=fix).to_dict()
        assert found["converged"] and found["simulation"]["met"]
        assert abs(found["loglik"] - loglik) < 4 * found["simulation"]["loglik_error"]
