"""Doubtful cases, decided: plates and chains."""

from __future__ import annotations

import math
from pathlib import Path

from tests.language.sentences import Sentence, each, hold

LOG_TWO_PI = math.log(2 * math.pi)
OUTER = """
param b : real
for each s:
    input x : real
    for each v:
        observed y ~ Normal(b*x, 1)
"""
NESTED = """
param q : unit
for each school:
    for each class:
        latent z ~ Bernoulli(1/2)
        for each pupil:
            observed y ~ Bernoulli(where(z == 1, q, 0))
"""
ROWS = "param m : real\nfor each school:\n    observed y ~ Normal(m, 1)\n"


@each(
    Sentence(
        "in an outer plate, the non-empty cells of a unit must agree", OUTER, "s,x,y\n1,1,2\n2,5,1\n2,6,2\n",
        error="cells-disagree", says="`x` has one value for each `s`, but the rows of `s` 2 hold `5`, `6`",
        at="rows 2, 3 (lines 3, 4), column x", help="declare it inside `v` if it changes from row to row",
    ),
    Sentence("empty cells beside them are filled", OUTER, "s,x,y\n1,2,4\n1,,4\n2,,3\n2,1,1\n", {"params.b": 2.0}),
    Sentence(
        "an empty cell of an input is an error that names the rows", OUTER, "s,x,y\n1,,2\n1,NA,2\n2,5,1\n",
        error="missing-cell", says="the input `x` may not be empty in column `x`",
        at="rows 1, 2 (lines 2, 3), column x",
    ),
    Sentence(
        "an empty cell of a plate column is an error that names the rows", OUTER, "s,x,y\n1,1,2\n,1,2\n2,5,1\n",
        error="missing-cell", says="the plate `s` needs a value in every row of column `s`, found an empty cell",
        at="row 2 (line 3), column s",
    ),
    # four classes: two with a 1 (A/1, B/2) and two without
    Sentence(
        "inner ids may repeat across outer units (identity is nested)", NESTED,
        "school,class,y\nA,1,1\nB,1,0\nA,2,0\nB,2,1\n",
        {"params.q": 1.0, "loglik": 4 * math.log(1 / 2), "data.units": 2},
    ),
    Sentence(
        "rows of a unit need not be together", NESTED, "school,class,y\nA,1,1\nA,2,0\nA,1,1\nA,2,0\n",
        {"params.q": 1.0, "loglik": 2 * math.log(1 / 2), "data.units": 1},
    ),
    Sentence(
        "a single plate is rows, also if a column of its name repeats (a warning says so)", ROWS,
        "school,y\nA,1\nB,3\nA,5\n",
        {
            "data.units": 3, "params.m": 3.0,
            "warnings": "the column `school` repeats, but each row is a unit of its own, as `school` is the only plate",
        },
    ),
    Sentence(
        "sibling plates are an error that proposes one plate with holes", ROWS + """
for each pupil:
    observed w ~ Normal(m, 1)
""", "school,y,w\nA,1,2\n", error="sibling-plates",
        says="the plates `school` and `pupil` stand side by side, and a model has one line of plates",
        help="one plate `for each school:` with the columns of both; cells that a row lacks stay empty",
    ),
    Sentence(
        "a scalar variable inside a plate across columns reads the element's column", """
        index occ = columns("y*")
        param d : unit
        for each site:
            for each t over occ:
                observed y ~ Bernoulli(d)
        """, "y1,y2,y3\n0,1,1\n1,,1\n", {"params.d": 0.8},
    ),
)  # fmt: skip
def test_plates(case: Sentence, tmp_path: Path) -> None:
    hold(case, tmp_path)


HIDDEN = """
param m : real
for each t in sequence by time:
    latent z ~ Bernoulli(1/2) first, Bernoulli(where(prev(z) == 1, 3/4, 1/4)) after
    observed y ~ Normal(m*z, 1)
"""
GROWTH = """
param a : real
for each t in sequence:
    observed y ~ Normal(a*prev(y), 1)
"""


def normal(residuals: list[float], sd: float = 1.0) -> float:
    """The log-density of independent residuals."""
    return sum(-LOG_TWO_PI / 2 - math.log(sd) - r * r / (2 * sd * sd) for r in residuals)


@each(
    Sentence(
        "`prev` is the previous row of the chain in which the variable is declared", """
        param a : real
        for each subject:
            for each t in sequence by time:
                observed y ~ Normal(a*prev(y), 1)
        """, "subject,time,y\nu,2,6\nv,1,1\nu,1,2\nv,2,3\n",
        {"params.a": 3.0, "loglik": normal([0, 0])},
    ),
    Sentence(
        "no rows are invented for gaps (a warning if steps differ)", HIDDEN, "time,y\n1,0\n2,1\n4,1\n",
        {"data.rows": 3, "warnings": "the steps of `time` differ, from 1 to 2: the chain `t` takes each row for the "
         "next one, and no rows are invented for gaps"},
    ),
    Sentence("equal steps give no warning", HIDDEN, "time,y\n2,0\n4,1\n6,1\n", {"no warning": "steps", "data.rows": 3}),
    Sentence(
        "ties in `by` are an error", HIDDEN, "time,y\n1,0\n2,1\n2,2\n", error="tie",
        says="the chain `t` is ordered by `time`, which is `2` more than once",
        at="rows 2, 3 (lines 3, 4), column time",
    ),
    Sentence(
        "`first` covers the first `lag` units", """
        param a : real
        for each t in sequence:
            observed y ~ Normal(0, 10) first, Normal(a*prev(y, 2), 1) after
        """, "y\n1\n2\n3\n6\n", {"params.a": 3.0, "loglik": normal([1, 2], 10) + normal([0, 0])},
    ),
    Sentence(
        "a latent chain needs it", """
        for each t in sequence:
            latent z ~ Bernoulli(where(prev(z) == 1, 3/4, 1/4))
            observed y ~ Normal(z, 1)
        """, "y\n1\n", error="chain", says="the chain `z` needs a law for its first unit",
        help="z ~ ... first, Bernoulli(where(prev(z) == 1, 3/4, 1/4)) after",
    ),
    Sentence(
        "units that are conditioned on count in `rows`, not in `loglik`", GROWTH, "y\n1\n2\n4\n",
        {"data.rows": 3, "params.a": 2.0, "loglik": normal([0, 0])},
    ),
    Sentence(
        "`prev(x[j])`, not `prev(x)[j]`", """
        index j = {u, v}
        param a : real
        for each t in sequence:
            observed x[j] ~ Normal(a*prev(x)[j], 1)
        """, "u,v\n1,2\n", error="prev", says="an element before is `prev` of the element", help="prev(x[j])",
    ),
    Sentence(
        "`prev(x[j])`", """
        index j = {u, v}
        param a : real
        for each t in sequence:
            observed x[j] ~ Normal(a*prev(x[j]), 1)
        """, "u,v\n1,2\n3,6\n", {"params.a": 3.0},
    ),
    Sentence(
        "outside a chain there is no unit before",
        "param a : real\nfor each t:\n    observed y ~ Normal(a*prev(y), 1)\n",
        "y\n1\n", error="prev", says="`y` is not in a chain, so there is none before it",
        help="for each t in sequence:",
    ),
    Sentence(
        "structural zeros: elements where the condition fails are 0, now and always, and are not counted", """
        index s = {u, v}
        param A[i in s] : simplex[j in s] only j >= i
        for each t in sequence:
            observed y : s ~ Categorical({u: 1/2, v: 1/2}) first, Categorical(A[prev(y)]) after
        """, "y\nu\nu\nv\nv\n",
        {"params.A.v.u": 0.0, "params.A.u.u": 0.5, "parameters": 1, "loglik": 3 * math.log(0.5)},
    ),
)  # fmt: skip
def test_chains(case: Sentence, tmp_path: Path) -> None:
    hold(case, tmp_path)
