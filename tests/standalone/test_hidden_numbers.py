"""Models with continuous hidden variables, compiled and run where emdsl is absent: one for each way of integration."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

import emdsl
from tests.standalone.isolation import run

RNG = np.random.default_rng(5)
GROUP = np.repeat(np.arange(6), 4)
EFFECT = np.repeat(RNG.normal(0, 2, 6), 4)
PLATES = "index plate = levels\nparam mu : real\nparam tau : positive\nparam sigma : positive\n"
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "one system in each unit": (
        "param mu : real\nparam tau : positive\nparam sigma : positive\nfor each g:\n    latent u ~ Normal(0, tau)\n"
        "    for each row:\n        observed y ~ Normal(mu + u, sigma)\n",
        {"g": GROUP, "y": EFFECT + RNG.normal(3, 1, 24)},
    ),
    "a chain": (
        "param q : positive\nparam r : positive\nfor each t in sequence:\n"
        "    latent x ~ Normal(0, 10) first, Normal(prev(x), q) after\n    observed y ~ Normal(x, r)\n",
        {"y": np.cumsum(RNG.normal(0, 1, 40)) + RNG.normal(0, 1, 40)},
    ),
    "across the data": (
        PLATES + "latent u[plate] ~ Normal(0, tau)\nfor each row:\n    input plate : plate\n"
        "    observed y ~ Normal(mu + u[plate], sigma)\n",
        {"plate": GROUP, "y": EFFECT + RNG.normal(3, 1, 24)},
    ),
    "a kernel": (
        "param mu : real\nparam sigma : positive\nfor each row:\n    latent u ~ Gamma(2, 2)\n"
        "    observed y ~ Normal(mu, sigma/sqrt(u))\n",
        {"y": RNG.standard_t(4, 50)},
    ),
    "a grid": (
        "index item = columns\nparam a[item] : real\nparam b[item] : real\nfor each person:\n"
        "    latent h ~ Normal(0, 1)\n    observed y[item] ~ Bernoulli(logistic(a[item]*h - b[item]))\n",
        dict(zip("pqrs", (RNG.normal(0, 1, 80) + RNG.logistic(size=(4, 80)) > 0).astype(int), strict=True)),
    ),
    "quadrature": (
        "param b : real\nparam tau : positive\nfor each g:\n    latent u ~ Normal(0, tau)\n    for each row:\n"
        "        observed y ~ Poisson(exp(b + u))\n",
        {"g": GROUP, "y": RNG.poisson(np.exp(1 + 0.4 * EFFECT))},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_same_fit_without_emdsl(case: str, tmp_path: Path, numpy_and_scipy: Path) -> None:
    text, columns = CASES[case]
    data, file = tmp_path / "data.csv", tmp_path / "model.py"
    rows = zip(*(np.asarray(column).tolist() for column in columns.values()), strict=True)
    lines = [",".join(columns), *(",".join(map(repr, row)) for row in rows)]
    data.write_text("\n".join(lines) + "\n", encoding="utf-8")
    model = emdsl.loads(text)
    file.write_text(model.compile(), encoding="utf-8")
    result = run(file, numpy_and_scipy, str(data), "--json", "--starts", "2")
    assert result.returncode == 0 and "Traceback" not in result.stderr, result.stderr
    with threadpool_limits(1, user_api="blas"):
        expected = model.fit(str(data), starts=2).to_dict()
    assert result.stdout == json.dumps(expected, ensure_ascii=False, allow_nan=False, indent=1) + "\n"
