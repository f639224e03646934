"""Finite data with far more levels in combination than there are rows: numbered as they occur, the same numbers."""

from __future__ import annotations

import re
from textwrap import dedent

import numpy as np
import pytest

from emdsl.plan import codes
from emdsl.plan.evaluation import JOINT
from tests.laws.bound_models import random_theta, take, take_if_planned
from tests.laws.nested_models import nested_model
from tests.laws.random_models import random_model
from tests.laws.tables import Cell
from tests.laws.test_invariance import same_step

#: How many models are looked for, among how many seeds.
WANTED, SEEDS = 8, range(5000, 5150)


def test_the_same_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Random models: with every combination in a table, and with those alone that occur."""
    found = 0
    for seed in SEEDS:
        model = (random_model if seed % 2 else nested_model)(seed)
        if len(re.findall(r"input h\d+", model.text)) < 2:
            continue
        tables = take_if_planned(model.text, model.columns)
        if tables is None:
            continue
        with monkeypatch.context() as patch:
            patch.setattr(codes, "MOST_COMBINATIONS", 0)
            patch.setattr(codes, "product", lambda sizes: 10**9)
            joint = take(tables.compiled, model.columns)
        if any(JOINT in item.axes.codes for item in joint.problem.program.pieces.values()):
            theta = random_theta(tables.problem.spaces, np.random.default_rng(seed), tables.problem.initial())
            same_step(tables, joint, theta)
            found += 1
        if found == WANTED:
            return
    assert found == WANTED


def test_levels_beyond_any_table() -> None:
    """20,000 documents by 20,000 words, crossed in one law, from 20,000 rows."""
    text = dedent("""
        index document = levels
        index word = levels
        index kind = {a, b}
        param share : simplex[kind]
        param of_document[kind, document] : real
        param of_word[word] : positive
        for each row:
            input doc : document
            input w : word
            latent z ~ Categorical(share)
            observed y ~ Normal(of_document[z, doc], of_word[w])
    """)
    rng = np.random.default_rng(0)
    rows = 20_000
    columns: dict[str, list[Cell]] = {
        "doc": [f"d{k}" for k in range(rows)], "w": [f"w{k}" for k in rng.permutation(rows)],
        "y": rng.normal(size=rows).round(3).tolist(),
    }  # fmt: skip
    bound = take(text, columns)
    (law,) = {item.name for item in bound.problem.program.pieces.values() if JOINT in item.axes.codes}
    assert re.match("y", law)
    theta = random_theta(bound.problem.spaces, rng, bound.problem.initial())
    y, w = np.array(columns["y"], float), np.array([str(cell)[1:] for cell in columns["w"]], int)
    place = {label: k for k, label in enumerate(bound.bound.indexes["document"])}
    words = {label: k for k, label in enumerate(bound.bound.indexes["word"])}
    mean = theta["of_document"][:, [place[f"d{k}"] for k in range(rows)]]
    sd = theta["of_word"][[words[f"w{k}"] for k in w]]
    density = np.exp(-0.5 * ((y - mean) / sd) ** 2) / (np.sqrt(2 * np.pi) * sd)
    assert bound.problem.expect(theta).loglik == pytest.approx(float(np.log(theta["share"] @ density).sum()), rel=1e-11)
