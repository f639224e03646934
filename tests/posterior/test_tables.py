"""Posteriors as tables: which units in which order, new rows, known parameters, several plates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import emdsl
from emdsl.diagnostics.errors import EmmError

ROOT = Path(__file__).resolve().parents[2]
MOTHS = ROOT / "models" / "peppered_moth.emm"
FREQUENCIES = {"p": {"C": 0.1, "I": 0.2, "T": 0.7}}

CLASSES = """
index class = 1..2
index kind = {k, l}
param share : simplex[class]
param mix[class] : simplex[kind]
param m[kind] : real
for each subject:
    latent c ~ Categorical(share)
    for each visit:
        latent k ~ Categorical(mix[c])
        observed y ~ Normal(m[k], 1)
"""
PARAMS = {
    "share": {"1": 0.5, "2": 0.5}, "mix": {"1": {"k": 0.9, "l": 0.1}, "2": {"k": 0.2, "l": 0.8}},
    "m": {"k": 0.0, "l": 3.0},
}  # fmt: skip


def columns(table: Any) -> dict[str, list[Any]]:
    """A data frame (or a dict of columns) as plain lists."""
    return {name: list(table[name]) for name in table}


def error(code: str, function: Any, *arguments: Any, **options: Any) -> EmmError:
    with pytest.raises(EmmError) as caught:
        function(*arguments, **options)
    assert caught.value.code == code
    return caught.value


def test_a_table_for_each_plate_in_the_order_of_the_rows() -> None:
    # rows of a subject need not be together
    data = {"subject": ["b", "a", "b", "a"], "y": [0.1, 3.2, -0.3, 2.9]}
    tables = emdsl.loads(CLASSES).posterior(data, PARAMS)
    assert list(tables) == ["subject", "visit"]
    subjects, visits = (columns(table) for table in tables.values())
    assert list(subjects) == ["subject", "c", "P(c=1)", "P(c=2)", "mean(c)"]
    assert subjects["subject"] == ["b", "a"] and subjects["c"] == ["1", "2"]
    assert subjects["mean(c)"][1] == pytest.approx(1 + subjects["P(c=2)"][1], rel=1e-12)
    assert list(visits) == ["subject", "row", "k", "P(k=k)", "P(k=l)"]
    assert visits["subject"] == ["b", "a", "b", "a"] and visits["row"] == [1, 2, 3, 4]
    assert visits["k"] == ["k", "l", "k", "l"]
    assert columns(emdsl.loads(CLASSES).posterior(data, PARAMS, plate="visit")) == visits


def test_one_plate_of_several() -> None:
    model, data = emdsl.loads(CLASSES), {"subject": ["a"], "y": [1.0]}
    wrong = error("unknown-plate", model.posterior, data, PARAMS, plate="visits")
    assert wrong.help == "did you mean `visit`?; the plates with hidden variables are subject, visit"


ACROSS = """
index occ = columns(t1, t2)
index state = {u, v}
param start : simplex[state]
param A[state] : simplex[state]
param m[state] : real
for each person:
    for each wave over occ in sequence:
        latent s ~ Markov(start, A)
        observed t ~ Normal(m[s], 1)
"""


def test_plates_across_columns() -> None:
    params = {"start": [0.5, 0.5], "A": [[0.9, 0.1], [0.1, 0.9]], "m": {"u": 0, "v": 4}}
    text = ACROSS.replace("observed t ~", "observed x ~")
    table = columns(emdsl.loads(text).posterior({"t1": [0.1, 4.2], "t2": [3.9, 4.0]}, params))
    assert table["row"] == [1, 1, 2, 2] and table["wave"] == ["t1", "t2", "t1", "t2"]
    assert table["s"] == ["u", "v", "v", "v"] == table["viterbi(s)"]


def test_new_rows_of_a_fit() -> None:
    fit = emdsl.load(MOTHS).fit(ROOT / "models" / "data" / "peppered_moth.csv", starts=2)
    own = columns(fit.posterior())
    assert own["genotype"] == ["C/T", "I/T", "T/T"]
    # a new row stands for one moth: no column of weights is needed
    new = columns(fit.posterior({"phenotype": ["typica", "carbonaria|insularia", None]}))
    assert new["P(genotype=T/T)"][0] == 1.0
    p: Any = fit.params["p"]
    rest = 1 - p["T"] ** 2
    assert new["P(genotype=C/I)"][1] == pytest.approx(2 * p["C"] * p["I"] / rest, rel=1e-12)
    assert new["P(genotype=C/T)"][2] == pytest.approx(2 * p["C"] * p["T"], rel=1e-12)
    assert columns(emdsl.load(MOTHS).posterior({"phenotype": ["typica"]}, fit))["genotype"] == ["T/T"]


def test_labels_are_those_of_the_fit() -> None:
    text = (
        "index level = levels\nindex g = 1..2\nparam w : simplex[g]\nparam p[g] : simplex[level]\nfor each r:\n"
        "    latent z ~ Categorical(w)\n    observed y ~ Categorical(p[z])\n"
    )
    model = emdsl.loads(text)
    fit = model.fit({"y": ["a", "b", "c", "a"]}, starts=1)
    assert columns(fit.posterior({"y": ["c"]}))["row"] == [1]
    unseen = error("unknown-label", fit.posterior, {"y": ["a", "d"]})
    assert "row 2" in str(unseen) and "column y" in str(unseen) and "`d`" in unseen.message
    # the params alone name the levels too
    params = {"w": [0.5, 0.5], "p": {g: {"a": 0.2, "b": 0.3, "c": 0.5} for g in "12"}}
    assert error("unknown-label", model.posterior, {"y": ["d"]}, params).help
    assert columns(model.posterior({"y": ["b"]}, params))["P(z=1)"] == [0.5]


def test_columns_are_those_of_the_fit() -> None:
    fit = emdsl.load(MOTHS).fit(
        {"colour": ["typica", "carbonaria"], "n": [10, 5]}, map={"phenotype": "colour", "count": "n"}, starts=1
    )
    assert columns(fit.posterior({"colour": ["typica"]}))["genotype"] == ["T/T"]
    known = emdsl.load(MOTHS).posterior({"colour": ["typica"]}, fit.to_dict())
    assert columns(known)["genotype"] == ["T/T"]


def test_parameters_must_be_whole_and_inside_their_domains() -> None:
    model, data = emdsl.load(MOTHS), {"phenotype": ["typica"]}
    missing = error("params-missing", model.posterior, data, {"p": {"C": 0.5, "I": 0.5}})
    assert missing.message == "there is no value for `p.T`"
    assert error("params-missing", model.posterior, data, {}).message == "there is no value for `p.C`, `p.I`, `p.T`"
    wrong = error("params-outside-domain", model.posterior, data, {"p": [0.5, 0.5, 0.1]})
    assert wrong.message == "the value of `p` must be shares that sum to 1"
    assert error("unknown-label", model.posterior, data, {"p": {"C": 1, "I": 0, "X": 0}}).help
    assert error("unknown-parameter", model.posterior, data, {"q": 1}).help
    assert error("params-missing", model.posterior, data, None).help == "--params FILE.json"


@pytest.mark.parametrize(
    ("domain", "value", "what"),
    [
        ("positive", -1, "positive"),
        ("unit", 1.5, "between 0 and 1"),
        ("interval(-1, 2)", 3, "between -1 and 2"),
        ("ordered[k]", [1, 1], "increasing"),
        ("contrast[k]", [1, 1], "0 at the first label"),
        ("covariance[k]", [[1, 2], [2, 1]], "a positive definite matrix"),
        ("covariance[k]", [[1, 0.5], [0.1, 1]], "symmetric"),
        ("correlation[k]", [[2, 0], [0, 1]], "a matrix of correlations, with 1 on the diagonal"),
    ],
)
def test_domains(domain: str, value: Any, what: str) -> None:
    from emdsl.data.binding import bind
    from emdsl.data.reading import read_table
    from emdsl.graph.resolve import resolve
    from emdsl.plan.parameters import known_parameters
    from emdsl.syntax.parser import parse

    model = resolve(parse(f"index k = {{a, b}}\nparam t : {domain}\nfor each r:\n    observed y ~ Normal(0, 1)\n"))
    bound = bind(model, read_table({"y": [1.0]}))
    wrong = error("params-outside-domain", known_parameters, model, bound, {"t": value})
    assert wrong.message == f"the value of `t` must be {what}"


def test_nothing_hidden() -> None:
    model = emdsl.loads("param m : real\nfor each r:\n    observed y ~ Normal(m, 1)\n")
    assert error("nothing-hidden", model.posterior, {"y": [1.0]}, {"m": 0}).message
