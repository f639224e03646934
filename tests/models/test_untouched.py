"""Elements that no row can touch, elements that are held, and where starts begin."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import emdsl

RNG = np.random.default_rng(6)
TABLE = {
    "x": RNG.normal(size=40).tolist(),
    "k": ["abc"[i % 3] for i in range(40)],
    "g": [f"g{i % 2}" for i in range(40)],
    "marker": [["rs1.2", "rs 3", "x=y"][i % 3] for i in range(40)],
}
MEANS = """model M
index h = {a, b, c, d}
param q[h] : real
report gap = q[d] - q[a]
report inner = q[b] - q[a]
for each row:
    input k : h
    observed x ~ Normal(q[k], 1)
"""
SHARES = """model M
index marker = levels
param p : simplex[marker]
for each row:
    observed marker ~ Categorical(p)
"""


def test_an_element_that_no_row_touches_has_no_estimate() -> None:
    fit: Any = emdsl.loads(MEANS).fit(TABLE)
    x, k = np.array(TABLE["x"]), np.array(TABLE["k"])
    assert fit.converged and fit.parameters == 3
    assert fit.params["q"]["d"] is None and fit.se["q"]["d"] is None
    assert fit.params["q"]["b"] == pytest.approx(x[k == "b"].mean())
    assert fit.reports["gap"]["estimate"] is None and fit.reports["gap"]["se"] is None
    assert fit.reports["inner"]["estimate"] == pytest.approx(x[k == "b"].mean() - x[k == "a"].mean())
    assert "q.d is touched by no row: not estimated, and not counted as a parameter" in fit.warnings
    json.dumps(fit.to_dict(), allow_nan=False)


def test_a_prior_touches() -> None:
    fit: Any = emdsl.loads(MEANS.replace("param q[h] : real", "param q[h] : real ~ Normal(2, 1)")).fit(TABLE)
    assert fit.parameters == 4 and fit.params["q"]["d"] == pytest.approx(2.0)


def test_rows_of_weight_0_touch_nothing() -> None:
    weights = [0 if label == "b" else 1 for label in TABLE["k"]]
    fit: Any = emdsl.loads(MEANS).fit({**TABLE, "w": weights}, weight="w")
    assert fit.parameters == 2 and fit.params["q"]["b"] is None


def test_a_whole_simplex_is_touched_or_not() -> None:
    text = """model M
index h = {a, b, c, d}
index g = levels
param p[h] : simplex[g]
for each row:
    input k : h
    observed g ~ Categorical(p[k])
"""
    fit: Any = emdsl.loads(text).fit(TABLE)
    assert fit.params["p"]["d"] == {"g0": None, "g1": None} and fit.parameters == 3


def test_elements_of_a_simplex_are_held_and_the_rest_scaled(tmp_path: Path) -> None:
    from emdsl.results.given import read_assignments

    model = emdsl.loads(SHARES)
    counts = {label: TABLE["marker"].count(label) for label in set(TABLE["marker"])}
    read = read_assignments(['p["rs1.2"]=0.1'], model.compiled.model, "--fix")
    fit: Any = model.fit(TABLE, fix=read)
    rest = counts["rs 3"] + counts["x=y"]
    assert fit.params["p"]["rs1.2"] == 0.1 and fit.parameters == 1
    assert fit.params["p"]["rs 3"] == pytest.approx(0.9 * counts["rs 3"] / rest)
    whole = {"rs1.2": 0.2, "rs 3": 0.3, "x=y": 0.5}
    file = tmp_path / "fix.json"
    file.write_text(json.dumps({"p": whole}), encoding="utf-8")
    for given in ({"p": whole}, {"p": [0.3, 0.2, 0.5]}, file):
        held: Any = model.fit(TABLE, fix=given)
        assert held.params["p"] == pytest.approx(whole) and held.parameters == 0
        assert held.loglik == pytest.approx(sum(counts[label] * np.log(whole[label]) for label in whole))


def test_given_values_are_start_1_exactly() -> None:
    text = """model M
index k = 1..2
param p : simplex[k]
param m[k] : real
for each row:
    latent z ~ Categorical(p)
    observed x ~ Normal(m[z], 0.5)
"""
    init = {"p": {"1": 0.3}, "m": {"1": -0.4, "2": 0.7}}
    fit: Any = emdsl.loads(text).fit(TABLE, init=init, max_iter=0)
    x = np.array(TABLE["x"])
    by_hand = 0.3 * np.exp(-2 * (x + 0.4) ** 2) + 0.7 * np.exp(-2 * (x - 0.7) ** 2)
    assert fit.loglik == pytest.approx(np.log(by_hand / np.sqrt(0.5 * np.pi)).sum(), abs=1e-9)
    assert fit.params["p"] == {"1": 0.3, "2": 0.7}
