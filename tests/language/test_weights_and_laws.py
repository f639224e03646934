"""Doubtful cases, decided: weights and laws."""

from __future__ import annotations

import math
from pathlib import Path

from tests.language.sentences import Sentence, each, hold

CLASSES = """
param q : unit
for each s:
    latent z ~ Bernoulli(1/2)
    for each v:
        weight w
        observed y ~ Bernoulli(where(z == 1, q, 1/2))
"""
SUBJECTS = """
param q : unit
for each s:
    latent z ~ Bernoulli(1/2)
    for each v:
        observed y ~ Bernoulli(where(z == 1, q, 1/2))
"""
MEAN = "param m : real\nfor each row:\n    observed y ~ Normal(m, 1)\n"


def log_mix(*each: float) -> float:
    """The logarithm of the mean of two probabilities."""
    return math.log(sum(each) / len(each))


@each(
    Sentence(
        "in a plate under an outer latent variable a weight is an exponent inside the sum", CLASSES,
        "s,y,w\n1,1,2\n1,0,1\n",
        {"loglik": log_mix((2 / 3) ** 2 / 3, 1 / 8), "params.q": 2 / 3},
    ),
    Sentence(
        "in the rows of a chain it is an error",
        "for each t in sequence:\n    weight w\n    observed y ~ Normal(0, 1)\n",
        "y,w\n1,1\n", error="weight-in-chain", says="`w` weighs rows of a chain, which has no meaning",
        help="put the weight into the plate around the chain",
    ),
    Sentence(
        "in the rows of a chain `--weight` is an error too", "for each t in sequence:\n    observed y ~ Normal(0, 1)\n",
        "y,w\n1,1\n2,2\n", error="weight-in-chain", says="`w` weighs the rows of the chain `t`, one by one",
        options={"weight": "w"},
    ),
    Sentence(
        "`--weight` applies to the outermost plate in which it is constant", SUBJECTS,
        "s,y,w\n1,1,2\n1,1,2\n2,0,1\n2,1,1\n", {"data.units": 3, "bic_n": 6}, options={"weight": "w"},
    ),
    Sentence(
        "`--weight` applies further in where it varies", SUBJECTS, "s,y,w\n1,1,2\n1,0,1\n",
        {"data.units": 1, "loglik": log_mix((2 / 3) ** 2 / 3, 1 / 8), "params.q": 2 / 3}, options={"weight": "w"},
    ),
    Sentence(
        "weights that are not whole numbers: AIC and BIC carry a warning", MEAN + "    weight w\n",
        "y,w\n1,1.5\n2,0.5\n",
        {"warnings": "the weights are not whole numbers: AIC and BIC compare only fits with these weights"},
    ),
    Sentence(
        "a weight is 0 or more", MEAN + "    weight w\n", "y,w\n1,-2\n2,1\n", error="outside-support",
        says="expected weights, finite numbers of 0 or more, in column `w`, found `-2`", at="row 1 (line 2), column w",
    ),
    Sentence(
        "a weight may not be empty", MEAN + "    weight w\n", "y,w\n1,\n2,1\n", error="missing-cell",
        says="the weight `w` may not be empty in column `w`", at="row 1 (line 2), column w",
    ),
)  # fmt: skip
def test_weights(case: Sentence, tmp_path: Path) -> None:
    hold(case, tmp_path)


@each(
    Sentence(
        "a cell equal to an atom in a mixture with densities belongs to the atom", """
        param p : unit
        for each row:
            latent z ~ Bernoulli(p)
            observed y ~ case z:
                0 -> Point(0)
                1 -> Normal(0, 1)
        """, "y\n0\n0\n0\n1\n", {"params.p": 0.25},
    ),
    Sentence(
        "map probabilities that do not sum to 1 are an error",
        "for each row:\n    observed y ~ Categorical({a: 1/2, b: 1/3})\n", "y\na\n",
        error="probabilities", says="the probabilities sum to 5/6, not to 1",
    ),
    Sentence(
        "map probabilities that do not sum to 1 for every parameter are an error",
        "param t : unit\nfor each row:\n    observed y ~ Categorical({a: 1/2, b: t})\n", "y\na\n",
        error="probabilities", says="the probabilities do not sum to 1 for all values of what they depend on",
    ),
    Sentence(
        "map probabilities that sum to 1 by algebra are none",
        "param t : unit\nfor each row:\n    observed y ~ Categorical({a: 1 - t^2, b: t^2})\n", "y\na\nb\nb\nb\n",
        {"params.t": math.sqrt(0.75)},
    ),
    Sentence(
        "scalars take standard deviations", "param s : positive\nfor each row:\n    observed y ~ Normal(0, s)\n",
        "y\n3\n-3\n", {"params.s": 3.0},
    ),
    Sentence(
        "`MVNormal` takes a covariance, and its mean spreads a scalar", """
        index dim = columns(u, v)
        param S : covariance[dim]
        for each row:
            observed x[dim] ~ MVNormal(0, S)
        """, "u,v\n3,0\n-3,0\n0,2\n0,-2\n", {"params.S.u.u": 4.5, "params.S.v.v": 2.0, "params.S.u.v": 0.0},
    ),
    Sentence(
        "`Dirichlet` spreads a scalar", """
        index k = {a, b}
        param p : simplex[k] ~ Dirichlet(2)
        for each row:
            observed y ~ Categorical(p)
        """, "y\na\nb\nb\nb\n", {"params.p.a": 1 / 3, "estimator": "MAP"},
    ),
    Sentence(
        "nothing else spreads a scalar", "index k = {a, b}\nparam p : unit\nfor each row:\n    observed y : k ~ "
        "Categorical(p)\n", "y\na\n", error="argument-kind", says="`p` of `Categorical` is a simplex, which `p` is not",
    ),
    Sentence(
        "`LogNormal` is on the log scale",
        "param m : real\nparam s : positive\nfor each row:\n    observed y ~ LogNormal(m, s)\n",
        f"y\n{math.e}\n{math.e**3}\n",
        {"params.m": 2.0, "params.s": 1.0},
    ),
    Sentence(
        "uniform over an index: `softmax(k in idx: 0)`", """
        index k = {a, b, c, d}
        for each row:
            observed y ~ Categorical(softmax(i in k: 0))
        """, "y\na\nd\n", {"loglik": 2 * math.log(1 / 4)},
    ),
    Sentence(
        "Geometric counts the failures before the first success",
        "param p : unit\nfor each row:\n    observed y ~ Geometric(p)\n", "y\n0\n2\n1\n", {"params.p": 0.5},
    ),
    Sentence(
        "`HardyWeinberg` values are written `A/B`, in either order", """
        index k = {A, B}
        param p : simplex[k]
        for each row:
            observed g ~ HardyWeinberg(p)
        """, "g\nA/B\nB/A\n", {"params.p.A": 0.5, "loglik": 2 * math.log(1 / 2)},
    ),
    Sentence(
        "a cell of a finite variable may list alternatives, or leave an allele open", """
        index k = {A, B}
        param p : simplex[k] init {A: 1/2, B: 1/2}
        for each row:
            observed g ~ HardyWeinberg(p)
        """, "g\nA/_\nNA\nA/A|B/B\n", {"loglik": math.log(3 / 4) + math.log(1 / 2), "data.missing": 1},
        options={"max_iter": 0},
    ),
)  # fmt: skip
def test_laws(case: Sentence, tmp_path: Path) -> None:
    hold(case, tmp_path)


@each(
    Sentence(
        "a count above its size is impossible",
        "param p : unit\nfor each row:\n    input n : natural\n    observed y ~ "
        "Binomial(n, p)\n", "y,n\n1,2\n3,2\n2,2\n5,4\n", error="impossible-data",
        says="the model gives `3`, `5` in column `y` probability 0, at every parameter that was tried",
        at="rows 2, 4 (lines 3, 5), column y", help="compare with the law: y ~ Binomial(n, p)",
    ),
    Sentence(
        "counts of a Multinomial sum to its size", """
        index k = {a, b}
        param p : simplex[k]
        for each row:
            observed y[k] ~ Multinomial(3, p)
        """, "a,b\n1,2\n1,1\n", error="impossible-data",
        says="the model gives `1`, `1` in the columns a, b together probability 0, at every parameter that was tried",
        at="row 2 (line 3)",
    ),
    Sentence(
        "a Multinomial counts its arrangements", """
        index k = {a, b}
        param p : simplex[k]
        for each row:
            observed y[k] ~ Multinomial(3, p)
        """, "a,b\n1,2\n2,1\n", {"loglik": 2 * math.log(3 / 8), "params.p.a": 0.5},
    ),
    Sentence(
        "shares of a Dirichlet sum to 1", """
        index k = {a, b}
        param al[k] : positive
        for each row:
            observed y[k] ~ Dirichlet(al)
        """, "a,b\n.4,.6\n.3,.5\n", error="outside-support",
        says="expected shares that sum to 1 in the columns a, b, all of them or none", at="row 2 (line 3)",
    ),
    Sentence(
        "shares of a Dirichlet are positive", """
        index k = {a, b}
        param al[k] : positive
        for each row:
            observed y[k] ~ Dirichlet(al)
        """, "a,b\n.4,.6\n1,0\n", error="outside-support",
        says="expected numbers between 0 and 1, both left out in column `a`, found `1`", at="row 2 (line 3), column a",
    ),
    Sentence(
        "counts are whole and not negative", "param r : positive\nfor each row:\n    observed y ~ Poisson(r)\n",
        "y\n1\n-4\n2.5\n", error="outside-support",
        says="expected whole numbers, 0 or more in column `y`, found `-4`, `2.5`",
        at="rows 2, 3 (lines 3, 4), column y",
    ),
    Sentence(
        "an ordered variable has one cut point fewer than levels, which the data may tell", """
        index grade = levels
        index cut = 1..3
        param c : ordered[cut]
        for each row:
            observed y : grade ~ OrderedLogistic(0, c)
        """, "y\n1\n2\n3\n", error="cut-points",
        says="`y` has 3 levels, and so 2 cut points: `c` has 3, one for each of `cut`", help="index cut = 1..2",
    ),
    Sentence(
        "`given cond`: the likelihood of a unit is divided by the probability of the condition", """
        param q : unit
        for each row:
            observed y ~ Categorical({a: 1/2, b: q/2, c: (1 - q)/2})
            given y != a
        """, "y\nb\nc\nb\n", {"params.q": 2 / 3, "loglik": 2 * math.log(2 / 3) + math.log(1 / 3)},
    ),
    Sentence(
        "a unit that does not meet it could not be in the data", """
        index k = {a, b, c}
        param p : simplex[k]
        for each row:
            observed y ~ Categorical(p)
            given y != a
        """, "y\nb\nc\na\nb\n", error="not-given",
        says="1 of 4 units of `row`, first in row 3, do not meet `given y != a`, so they could not be in the data",
        help="leave them out, or leave out the line",
    ),
    Sentence(
        "a deterministic map that cannot give a cell names it", """
        index k = {a, b}
        param p : simplex[k]
        index phenotype = {dark, light}
        for each moth:
            latent g ~ HardyWeinberg(p)
            observed y : phenotype = case g:
                _ -> dark
        """, "y\ndark\nlight\n", error="impossible-data",
        says="the model gives `light` in column `y` probability 0, at every parameter that was tried",
        at="row 2 (line 3), column y",
    ),
)  # fmt: skip
def test_support_against_data(case: Sentence, tmp_path: Path) -> None:
    hold(case, tmp_path)
