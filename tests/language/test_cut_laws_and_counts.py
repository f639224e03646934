"""Doubtful cases, decided: laws of which a part is seen, counts that are summed, and estimates that go with them."""

from __future__ import annotations

import math
from pathlib import Path

from tests.language.sentences import Sentence, each, hold

#: The log-likelihood at the start, r = 1.
AT_ONE = {"init": {"r": 1.0}, "max_iter": 0}
COUNTED = "param r : positive\nfor each row:\n    observed y ~ Poisson(r) {}\n"
TIMED = "param r : positive\nfor each row:\n    observed y ~ Exponential(r) {}\n"
BETWEEN = "param r : positive\nfor each row:\n    observed y between lo and hi ~ Exponential(r)\n"
HIDDEN_COUNT = """
param r : positive
for each row:
    latent N ~ Poisson(r) up to 2
    observed y ~ Binomial(N, 1/2)
"""


@each(
    Sentence(
        "bounds are inclusive for counts", COUNTED.format("truncated to (1, inf)"), "y\n1\n",
        {"loglik": -1 - math.log(1 - math.exp(-1))}, options=AT_ONE,
    ),
    Sentence(
        "`censored above` means greater than", COUNTED.format("censored above unless event"), "y,event\n0,0\n",
        {"loglik": math.log(1 - math.exp(-1))}, options=AT_ONE,
    ),
    Sentence(
        "a law is first truncated, then censored", TIMED.format("truncated to (1, inf) censored above unless event"),
        "y,event\n3,0\n", {"loglik": -2.0}, options=AT_ONE,
    ),
    Sentence(
        "a law is first truncated, then censored, whatever the order written",
        TIMED.format("censored above unless event truncated to (1, inf)"), "y,event\n3,0\n", {"loglik": -2.0},
        options=AT_ONE,
    ),
    Sentence(
        "an empty `event` is an error", TIMED.format("censored above unless event"), "y,event\n3,\n2,1\n",
        error="missing-cell",
    ),
    Sentence(
        "`between` with both empty is missing, equal bounds are an exact value, an empty bound is open", BETWEEN,
        "row,lo,hi\n1,,\n2,2,2\n3,1,\n4,,1\n", {"loglik": -2.0 - 1.0 + math.log(1 - math.exp(-1))}, options=AT_ONE,
    ),
    Sentence("`lo > hi` is an error", BETWEEN, "lo,hi\n3,2\n1,2\n", error="bounds-crossed"),
    Sentence(
        "truncation under a continuous latent truncates each conditional law, with a warning",
        "param r : positive\nfor each row:\n    latent u ~ Gamma(2, 2)\n"
        "    observed y ~ Exponential(r*u) truncated to (0, 9)\n",
        "y\n1\n2\n0.5\n", {"warnings": "y is truncated at each value of u, not on the whole"}, options=AT_ONE,
    ),
    Sentence(
        "`up to N` is not renormalised", HIDDEN_COUNT, "y\n0\n", {"loglik": -1 + math.log(1 + 1 / 2 + 1 / 8)},
        options=AT_ONE,
    ),
    Sentence("`up to N` warns if the posterior mass at N passes 1e-8", HIDDEN_COUNT, "y\n0\n", {"warnings": "N"},
             options=AT_ONE),
)  # fmt: skip
def test_cut_laws_and_counts(case: Sentence, tmp_path: Path) -> None:
    hold(case, tmp_path)


@each(
    Sentence(
        "weights that are not whole numbers: `auto` standard errors are sandwich",
        "param m : real\nfor each row:\n    weight w\n    observed y ~ Normal(m, 1)\n", "y,w\n1,1.5\n2,0.5\n4,1\n",
        {"se_method": "sandwich"}, options={"se": "auto"},
    ),
    Sentence(
        "an element that no row can touch is null, not counted, and warned of",
        "index k = {a, b, c}\nparam m[k] : real\nfor each row:\n    input k : k\n    observed y ~ Normal(m[k], 1)\n",
        "k,y\na,1\nb,2\n", {"params.m.c": None, "parameters": 2, "warnings": "m.c is touched by no row"},
    ),
)  # fmt: skip
def test_estimates(case: Sentence, tmp_path: Path) -> None:
    hold(case, tmp_path)
