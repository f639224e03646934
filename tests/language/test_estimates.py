"""Doubtful cases, decided: estimates."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

import emdsl
from tests.language.sentences import Sentence, each, hold

SHARES = """
index k = {a, b, c}
param p : simplex[k]
for each row:
    observed y ~ Categorical(p)
"""
MIXTURE = """
index k = {u, v, w}
param m[k] : real
param g : contrast[k]
for each row:
    latent z ~ Categorical(softmax(j in k: g[j]))
    observed y ~ Normal(m[z] OFFSET, 1/10)
order k by m
"""


@each(
    Sentence(
        "`order` on a model whose likelihood is not invariant (states named in a `case`) is an error", """
        index k = {u, v}
        param m[k] : real
        for each row:
            latent z ~ Categorical({u: 1/2, v: 1/2})
            observed y ~ case z:
                u -> Normal(m[u], 1)
                v -> Normal(m[v], 2)
        order k by m
        """, "y\n1\n", error="order",
        says="`k` cannot be reordered: a case singles out some of its labels, so its labels have a meaning",
        help="leave out `order k by m`",
    ),
    Sentence(
        "`order` on a model with constants by element is an error",
        MIXTURE.replace("OFFSET", "+ c[z]") + "const c[k] = [0, 1, 2]\n", "y\n1\n", error="order",
        says="`k` cannot be reordered: the constant `c` depends on it, so its labels have a meaning",
    ),
    Sentence(
        "`order` on a model with priors by element is an error", MIXTURE.replace("OFFSET", "").replace(
            "m[k] : real", "m[i in k] : real ~ Normal(where(i == u, 1, 0), 1)"),
        "y\n1\n", error="order",
        says="`k` cannot be reordered: the model singles out `u`, so its labels have a meaning",
    ),
    Sentence(
        "`aic` and `bic` of a MAP fit are null",
        "param m : real ~ Normal(0, 1)\nfor each row:\n    observed y ~ Normal(m, 1)\n",
        "y\n2\n4\n", {"aic": None, "bic": None, "estimator": "MAP", "params.m": 2.0},
    ),
    Sentence(
        "priors are normalised", "param m : real ~ Normal(0, 2)\nfor each row:\n    observed y ~ Normal(m, 1)\n",
        "y\n0\n0\n",
        {"params.m": 0.0, "penalized_loglik": -1.5 * math.log(2 * math.pi) - math.log(2)},
    ),
    Sentence(
        "MAP has no Jacobian", "param s : positive ~ Exponential(1)\nfor each row:\n    observed y ~ Exponential(s)\n",
        "y\n1\n1\n1\n", {"params.s": 0.75},
    ),
    Sentence(
        "a prior on an array is elementwise", """
        index k = {a, b}
        param m[k] : real ~ Normal(0, 1)
        for each row:
            observed y[k] ~ Normal(m[k], 1)
        """, "a,b\n2,4\n", {"params.m.a": 1.0, "params.m.b": 2.0},
    ),
    Sentence(
        "a prior on a simplex is by slice", """
        index s = {u, v}
        index k = {a, b}
        param p[s] : simplex[k] ~ Dirichlet(2)
        for each row:
            input g : s
            observed y ~ Categorical(p[g])
        """, "g,y\nu,a\nv,b\nv,b\n", {"params.p.u.a": 2 / 3, "params.p.v.a": 1 / 4},
    ),
    Sentence(
        "a fixed element of a simplex is held and the rest scaled", SHARES, "y\na\na\nb\nb\nb\nc\n",
        {"params.p.a": 0.2, "params.p.b": 0.6, "params.p.c": 0.2, "parameters": 1}, options={"fix": {"p": {"a": 0.2}}},
    ),
    Sentence(
        "`init` is start 1 exactly", "param p : unit init 0.2\nfor each row:\n    observed y ~ Bernoulli(p)\n",
        "y\n1\n0\n",
        {"params.p": 0.2, "loglik": math.log(0.2) + math.log(0.8)}, options={"max_iter": 0},
    ),
    Sentence(
        "`--init` overrides it", "param p : unit init 0.2\nfor each row:\n    observed y ~ Bernoulli(p)\n", "y\n1\n0\n",
        {"params.p": 0.3}, options={"max_iter": 0, "init": {"p": 0.3}},
    ),
    Sentence(
        "BIC's n is the weighted number of rows with an observed cell", SHARES + "    weight w\n",
        "y,w\na,2\nNA,5\nb,3\nc,1\na|b|c,7\n", {"bic_n": 6, "data.units": 18, "data.missing": 1},
    ),
    Sentence(
        "BIC's n counts rows of the table, not the columns that a plate runs over",
        "index occ = columns(y1, y2)\nparam p : unit\nfor each row:\n    weight w\n    for each t over occ:\n"
        "        observed y ~ Bernoulli(p)\n",
        "y1,y2,w\n1,0,2\nNA,NA,5\n1,NA,3\n", {"bic_n": 5, "params.p": 5 / 7},
    ),
    Sentence(
        "`loglik` has no multinomial coefficient for counts of categories", SHARES + "    weight w\n",
        "y,w\na,2\nb,1\nc,1\n",
        {"loglik": 2 * math.log(1 / 2) + 2 * math.log(1 / 4)},
    ),
    Sentence(
        "`--set K=5` overrides a constant",
        "const K = 2\nindex k = 1..K\nparam m[k] : real\nfor each row:\n    observed y ~ "
        "Normal(sum(i in k: m[i])/K, 1)\n", "y\n1\n", {"indexes.k": ["1", "2", "3"]}, options={"set": {"K": 3}},
    ),
    Sentence(
        "`const K` alone must be set", "const K\nindex k = 1..K\nparam m[k] : real\nfor each row:\n    observed y ~ "
        "Normal(sum(i in k: m[i]), 1)\n", "y\n1\n", error="constant-missing", says="the constant `K` has no value",
        help="--set K=3",
    ),
)  # fmt: skip
def test_estimates(case: Sentence, tmp_path: Path) -> None:
    hold(case, tmp_path)


def test_with_contrast_the_baseline_is_rebased_after_the_permutation() -> None:
    """The means come out in order, the first element is 0, and the standard errors are those of the new contrasts."""
    counts = {0.0: 6, 5.0: 3, 9.0: 2}
    data = {"y": [mean + step for mean, count in counts.items() for step in [0.0] * count]}
    model = emdsl.loads(MIXTURE.replace("OFFSET", "").lstrip())
    fit = model.fit(data, starts=1, init={"m": {"u": 9.1, "v": 0.1, "w": 4.9}})
    assert fit.params["m"] == pytest.approx({"u": 0.0, "v": 5.0, "w": 9.0}, abs=1e-6)
    assert fit.params["g"] == pytest.approx({"u": 0.0, "v": math.log(3 / 6), "w": math.log(2 / 6)}, abs=1e-6)
    # of the log of a ratio of two counts of a multinomial sample: sqrt(1/n_1 + 1/n_2)
    errors: Any = fit.se["g"]
    assert errors["v"] == pytest.approx(math.sqrt(1 / 3 + 1 / 6), rel=1e-4)
    assert errors["w"] == pytest.approx(math.sqrt(1 / 2 + 1 / 6), rel=1e-4)
    assert errors["u"] is None
