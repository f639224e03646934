"""Doubtful cases, decided: names and columns."""

from __future__ import annotations

from pathlib import Path

import pytest

import emdsl
from tests.language.sentences import Sentence, each, hold

PAIRED = """
index item = {a, b}
param p[item] : real
for each row:
    input x[item] : real
    observed y[item] ~ Normal(p[item]*x[item], 1)
"""


@each(
    Sentence(
        "in patterns there are only labels", """
        index k = {a, b}
        const a = 3
        param m : real
        for each row:
            input z : k
            observed y ~ case z:
                a -> Normal(m + a, 1)
                b -> Normal(m, 1)
        """, "z,y\na,5\nb,2\n", {"params.m": 2.0},
    ),
    Sentence(
        "in `{label: …}` there are only labels", """
        param a : unit
        for each row:
            observed y ~ Categorical({a: a, b: 1 - a})
        """, "y\na\nb\nb\nb\n", {"params.a": 0.25},
    ),
    Sentence(
        "elsewhere a name is a variable before it is a parameter's index set", """
        index plate = levels
        param q[plate] : real
        for each row:
            input plate : plate
            observed y ~ Normal(q[plate], 1)
        """, "plate,y\nu,0\nu,1\nv,3\n", {"params.q.u": 0.5, "params.q.v": 3.0},
    ),
    Sentence(
        "a tie of a label and a number is an error that asks for quotes", """
        index state = {low, high}
        param high : real
        for each row:
            input z : state
            observed y ~ Normal(where(z == high, high, 0), 1)
        """, "z,y\nlow,1\n", error="ambiguous-name",
        says="`high` is a label of `state`, and the name of a number", help='"high" is the label',
    ),
    Sentence(
        "quoted, it is the label", """
        index state = {low, high}
        param high : real
        for each row:
            input z : state
            observed y ~ Normal(where(z == "high", high, 0), 1)
        """, "z,y\nlow,0\nhigh,4\n", {"params.high": 4.0},
    ),
    Sentence(
        "labels of two index sets alike are a tie", """
        index one = {a, b}
        index two = {b, a}
        for each row:
            latent z ~ Categorical({a: 1/2, b: 1/2})
            observed y ~ Normal(where(z == a, 1, 2), 1)
        """, "y\n1\n", error="ambiguous-labels", help="z : one",
    ),
    Sentence(
        "after `in` it is always an index set", """
        index plate = levels
        param q[plate] : real
        for each row:
            input plate : plate
            observed y ~ Normal(sum(i in plate: q[i]) - q[plate], 1)
        """, "plate,y\nu,5\nv,3\n", {"params.q.u": 3.0, "params.q.v": 5.0},
    ),
    Sentence(
        "inside `y[item]`, `item` is the current element", """
        index item = {a, b}
        param q[item] : real
        for each row:
            observed y[item] ~ Normal(q[item], 1)
        """, "a,b\n1,0\n3,4\n", {"params.q.a": 2.0, "params.q.b": 2.0},
    ),
    Sentence(
        "words of the language are names wherever no confusion can arise", """
        param m : real
        for each row:
            input weight : real
            input first : real
            observed given ~ Normal(m*weight + first, 1)
        """, "weight,first,given\n1,2,3\n2,2,4\n", {"params.m": 1.0},
    ),
    Sentence(
        "a latent variable with a column of its name: not read, with a warning that proposes `observed`", """
        param m : real
        for each row:
            latent z ~ Bernoulli(1/2)
            observed y ~ Normal(m*z, 1)
        """, "z,y\n1,2\n0,0\n",
        {"warnings": "the column `z` is not read, as `z` is latent; if its values are known, write: observed z"},
    ),
)  # fmt: skip
def test_names(case: Sentence, tmp_path: Path) -> None:
    hold(case, tmp_path)


@each(
    Sentence(
        "columns named by the bare label serve an array only if no other array uses that index", PAIRED,
        "a,b,x_a,x_b\n1,0,1,1\n", error="column-not-found",
        says="there is no column for `y[a]`, `y[b]`: expected `y_a` or `y[a]` (a bare `a` could be any of `x`, `y`)",
    ),
    Sentence(
        "else `name_label` is required, or `name[label]`", PAIRED, "y_a,y_b,x_a,x[b]\n2,6,1,2\n2,6,1,2\n",
        {"params.p.a": 2.0, "params.p.b": 3.0},
    ),
    Sentence(
        "`y[item, time]` is `y_item_time`", """
        index item = {a, b}
        index time = 1..2
        param q[item, time] : real
        for each row:
            observed y[item, time] ~ Normal(q[item, time], 1)
        """, "y_a_1,y_a_2,y_b_1,y_b_2\n1,2,3,4\n", {"params.q.a.2": 2.0, "params.q.b.1": 3.0},
    ),
    Sentence(
        '`columns("y_*")` keeps whole column names as labels, in file order', """
        index item = columns("y_*")
        param q[item] : real
        for each row:
            observed y[item] ~ Normal(q[item], 1)
        """, "y_b,z,y_a\n1,0,2\n", {"indexes.item": ["y_b", "y_a"], "params.q.y_a": 2.0},
    ),
    Sentence(
        "every numeric column that nothing else claims", """
        index item = columns
        param q[item] : real
        for each row:
            weight w
            observed y[item] ~ Normal(q[item], 1)
        """, "u,w,name,v\n1,2,x,5\n", {"indexes.item": ["u", "v"]},
    ),
    Sentence(
        "`--columns dim=a,b`", """
        index item = columns
        param q[item] : real
        for each row:
            observed y[item] ~ Normal(q[item], 1)
        """, "u,w,v\n1,2,5\n", {"indexes.item": ["v", "u"]}, options={"columns": {"item": "v,u"}},
    ),
    Sentence(
        "`--map y=outcome` renames", "param m : real\nfor each row:\n    observed y ~ Normal(m, 1)\n", "outcome\n4\n",
        {"params.m": 4.0, "columns.y": "outcome"}, options={"map": {"y": "outcome"}},
    ),
    Sentence(
        "the column's name, where it differs", """
        param m : real
        for each row:
            observed sl from "Sepal.Length" ~ Normal(m, 1)
        """, "Sepal.Length\n4\n", {"params.m": 4.0},
    ),
    Sentence(
        "the column's name, where there is none like it", """
        param m : real
        for each row:
            observed sl from "Sepal.Length" ~ Normal(m, 1)
        """, "Sepal.Lenght\n4\n", error="column-not-found",
        says="there is no column `Sepal.Length` for the observed variable `sl`",
        help="did you mean `Sepal.Lenght`?; the columns are Sepal.Lenght; --map sl=COLUMN",
    ),
)  # fmt: skip
def test_columns(case: Sentence, tmp_path: Path) -> None:
    hold(case, tmp_path)


LOADINGS = """
index item = {a, b}
index factor = 1..2
const Q[item, factor]
param m[factor] : real
for each row:
    observed y[item] ~ Normal(sum(k in factor: Q[item, k]*m[k]), 1)
"""


@pytest.mark.parametrize(
    ("table", "code", "message"),
    [
        ("item,factor,value\na,1,1\nb,1,0\nb,2,1\na,2,0\n", "", ""),
        ("item,factor,value\na,1,1\nb,1,0\nb,2,1\n", "missing-element", "the table does not give `Q[a, 2]`"),
        ("item,factor,value\na,1,1\na,1,0\nb,1,0\nb,2,1\na,2,0\n", "duplicate-element",
         "`Q[a, 1]` is given more than once"),
        ("item,factor,value\na,1,1\nb,3,0\nb,2,1\na,2,0\n", "unknown-label", "`3` is not a label of `factor`"),
        ("item,value\na,1\n", "column-not-found", "the table of the constant `Q` needs a column `factor`"),
        ("item,factor,value\na,1,x\nb,1,0\nb,2,1\na,2,0\n", "not-a-number",
         "expected numbers in column `value`, found `x`"),
    ],
)  # fmt: skip
def test_const_files_are_long(table: str, code: str, message: str, tmp_path: Path) -> None:
    """`--const` files are long: a column for each axis and `value`."""
    file = tmp_path / "q.csv"
    file.write_text(table, encoding="utf-8")
    model = emdsl.loads(LOADINGS.lstrip())
    if not code:
        fit = model.fit({"a": [2.0], "b": [5.0]}, const={"Q": file})
        assert fit.params["m"] == pytest.approx({"1": 2.0, "2": 5.0})
        return
    with pytest.raises(emdsl.EmmError) as caught:
        model.fit({"a": [2.0], "b": [5.0]}, const={"Q": file})
    assert (caught.value.code, caught.value.message) == (code, message)
    assert caught.value.diagnostics[0].place.startswith(str(file))
