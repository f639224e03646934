"""Doubtful cases, decided: values."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest

import emdsl
from tests.language.sentences import Sentence, each, hold

CATEGORIES = """
index k = levels
param p : simplex[k]
for each row:
    observed y ~ Categorical(p)
"""
SHARES = """
index k = {LABELS}
param p : simplex[k]
for each row:
    observed y ~ Categorical(p)
"""
COIN = """
param p : unit
for each row:
    observed y ~ Bernoulli(p)
"""


@each(
    Sentence(
        "labels are text; `1`, `01` and `a` in a CSV are three labels", CATEGORIES, "y\n1\n01\na\n1\n",
        {"indexes.k": ["01", "1", "a"], "params.p.1": 0.5, "loglik": 2 * math.log(0.5) + 2 * math.log(0.25)},
    ),
    Sentence(
        "if every label of a set is a number, it is one in arithmetic", """
        index k = {0, 2}
        param m : real
        for each row:
            input x : k
            observed y ~ Normal(m*x, 1)
        """, "x,y\n2,4\n0,0\n2,4\n", {"params.m": 2.0},
    ),
    Sentence(
        "if every label of a set is a number, it is one in order", """
        index k = {10, 9}
        param m : real
        for each row:
            input x : k
            observed y ~ Normal(where(x > 9, m, 0), 1)
        """, "x,y\n10,4\n9,0\n", {"params.m": 4.0},
    ),
    Sentence(
        "a label that is a word is no number", """
        index k = {a, b}
        param m : real
        for each row:
            input x : k
            observed y ~ Normal(m*x, 1)
        """, "x,y\na,1\n", error="kind", says="`x` is a label of `k`, not a number",
    ),
    Sentence(
        "negative and decimal numbers may be labels", SHARES.replace("LABELS", "-1, 0.5"), "y\n-1\n0.5\n0.5\n0.5\n",
        {"params.p.-1": 0.25, "indexes.k": ["-1", "0.5"]},
    ),
    Sentence(
        "in `p[0]` the 0 is the label, never a position",
        SHARES.replace("LABELS", "1, 0") + "report zero = p[0]\n", "y\n1\n1\n0\n1\n",
        {"reports.zero.estimate": 0.25},
    ),
    Sentence(
        "in `p[0]` the 0 is no position where it is no label",
        SHARES.replace("LABELS", "1, 2") + "report zero = p[0]\n", "y\n1\n", error="unknown-label",
        says="`k` has no label `0`", help="its labels are 1, 2",
    ),
    Sentence(
        "bernoulli columns hold 0/1 or true/false in any case", COIN, "y\nTRUE\nFalse\ntrue\n0\n1\n",
        {"params.p": 0.6},
    ),
    Sentence(
        "bernoulli columns hold nothing else", COIN, "y\nyes\n1\n2\n", error="unknown-label",
        says="expected 0 or 1, `false` or `true`, found `yes`, `2`", at="rows 1, 3 (lines 2, 4), column y",
    ),
    Sentence(
        "a latent Bernoulli is the number 0 or 1", """
        param m : real
        for each row:
            latent z ~ Bernoulli(1/2)
            observed y ~ Normal(m*z, 1/100)
        """, "y\n0\n3\n", {"params.m": 3.0}, options={"init": {"m": 2.9}, "starts": 1},
    ),
    Sentence("`levels` splits `a|b` first", CATEGORIES, "y\na|b\nc\na\nb\n", {"indexes.k": ["a", "b", "c"]}),
    Sentence(
        "`levels` splits `A/B` first", """
        index k = levels
        param p : simplex[k]
        for each row:
            observed y ~ HardyWeinberg(p)
        """, "y\nB/A\nA/A\nB/_\n", {"indexes.k": ["A", "B"]},
    ),
    Sentence(
        "a whole cell that is a declared label wins", SHARES.replace("LABELS", '"a|b", a, b'), "y\na|b\na\nb\na|b\n",
        {"params.p.a|b": 0.5},
    ),
    Sentence("`levels` sorts numbers as numbers if all are", CATEGORIES, "y\n10\n9\n", {"indexes.k": ["9", "10"]}),
    Sentence("`levels` sorts else by code point", CATEGORIES, "y\nb\n9\n10\n", {"indexes.k": ["10", "9", "b"]}),
    Sentence(
        "`levels` counts rows of weight 0", CATEGORIES + "    weight w\n", "y,w\na,1\nc,0\n", {"indexes.k": ["a", "c"]},
    ),
    Sentence(
        "the set of a variable comes from `pair`", """
        index k = {A, B}
        param p : simplex[k]
        for each row:
            latent m ~ Categorical(p)
            latent f ~ Categorical(p)
            observed g = pair(m, f)
        """, "g\nA/A\nB/A\n", {"params.p.A": 0.75, "loglik": math.log(0.75**2) + math.log(2 * 0.75 * 0.25)},
    ),
    Sentence(
        "the set of a variable comes from `: idx`", """
        index grade = {low, high}
        index cut = 1..1
        param c : ordered[cut]
        for each row:
            observed y : grade ~ OrderedLogistic(0, c)
        """, "y\nlow\nhigh\nhigh\nhigh\n", {"params.c.1": -math.log(3)},
    ),
    Sentence(
        "where none says the set, `levels(column)` must", """
        index m = levels
        param q[m] : real
        for each row:
            observed y ~ Normal(sum(i in m: q[i]), 1)
        """, "y\n1\n", error="levels-without-column",
        says="no column takes values in `m`, so its levels cannot be read", help="index m = levels(column)",
    ),
    Sentence(
        "`levels(column)` says it", """
        index m = levels(site)
        param q[m] : real
        for each row:
            input site : m
            observed y ~ Normal(q[site], 1)
        """, "site,y\nb,3\na,1\n", {"params.q.a": 1.0, "params.q.b": 3.0},
    ),
    Sentence(
        "declaring a label `NA` is an error", SHARES.replace("LABELS", "A, NA"), "y\nA\n", error="label-na",
        says="`NA` is a missing cell, not a label", help="rename it in the data",
    ),
    Sentence(
        "declaring an empty label is an error", SHARES.replace("LABELS", 'A, ""'), "y\nA\n", error="label-na",
        says="an empty cell is a missing cell, not a label",
    ),
    Sentence(
        "`--na` adds to the words for missing; a result reports missing cells by column", COIN,
        "y\n1\n.\n-9\n0\n\nNA\n", {"data.missing": 4, "missing_cells": {"y": 4}, "params.p": 0.5, "bic_n": 2},
        options={"na": ".,-9"},
    ),
    Sentence(
        "no other word is missing", "param m : real\nfor each row:\n    observed y ~ Normal(m, 1)\n",
        "y\n1\nnull\nnan\n",
        error="not-a-number", says="expected numbers in column `y`, found `null`, `nan`",
        at="rows 2, 3 (lines 3, 4), column y",
    ),
)  # fmt: skip
def test_values(case: Sentence, tmp_path: Path) -> None:
    hold(case, tmp_path)


def test_a_float_column_of_whole_numbers_prints_as_integers() -> None:
    fit = emdsl.loads(CATEGORIES.lstrip()).fit(pd.DataFrame({"y": [1.0, 2.0, 2.0, None]}), se="none")
    assert fit.params["p"] == pytest.approx({"1": 1 / 3, "2": 2 / 3})


def test_at_prediction_an_unseen_level_is_an_error_that_names_the_cell(tmp_path: Path) -> None:
    """`levels` is frozen in the fit."""
    model = emdsl.loads(
        """
index k = levels
param p : simplex[k]
param q[k] : unit
for each row:
    latent z ~ Bernoulli(1/2)
    observed g ~ Categorical(p)
    observed y ~ Bernoulli(where(z == 1, 1/3, q[g]))
""".lstrip()
    )
    fit = model.fit({"g": ["a", "b", "a"], "y": [0, 1, 1]}, se="none", starts=1)
    new = tmp_path / "new.csv"
    new.write_text("g,y\na,1\nc,0\n", encoding="utf-8")
    with pytest.raises(emdsl.EmmError) as caught:
        fit.posterior(new)
    assert caught.value.code == "unknown-label"
    assert caught.value.message == "`c` is not a label of `k`, as the fit knew it"
    assert caught.value.diagnostics[0].place == f"{new}, row 2 (line 3), column g"
