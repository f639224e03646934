"""What a design gives: units, inputs, empty cells; and what is simulated without one."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import emdsl
from emdsl.diagnostics.errors import EmmError
from emdsl.ir.expressions import VariableRef
from emdsl.ir.model import Factor
from emdsl.simulate.draws import cumulated

ROOT = Path(__file__).resolve().parents[2]

GROWTH = """
index class = 1..2
param share : simplex[class]
param b[class] : real
for each subject:
    input group : class
    latent c ~ Categorical(share)
    for each visit in sequence by time:
        input age : real
        observed y ~ Normal(b[c]*age, 0.001)
"""
PARAMS = {"share": [0.5, 0.5], "b": [1, -1]}
DESIGN = {
    "subject": ["s1", "s2", "s1", "s2", "s2"], "group": [1, 2, 1, 2, 2], "time": [10, 1, 5, 2, 3],
    "age": [2.5, 1.0, 1.5, 2.0, 4.0], "y": [0.0, None, 1.0, 1.0, 1.0],
}  # fmt: skip


def simulated(text: str, n: int | None, params: Any, **options: Any) -> dict[str, list[Any]]:
    """Columns of simulated data, None for empty cells."""
    table = emdsl.loads(text).simulate(n, params, **options)
    return {name: [None if cell != cell else cell for cell in table[name]] for name in table}


def error(function: Any, *arguments: Any, **options: Any) -> EmmError:
    with pytest.raises(EmmError) as caught:
        function(*arguments, **options)
    return caught.value


def test_inputs_plates_and_holes() -> None:
    table = simulated(GROWTH, None, PARAMS, design=DESIGN, latent=True)
    assert list(table) == ["subject", "group", "age", "time", "y", "c"]
    # rows as in the design; time counts the visits of each subject
    assert table["subject"] == DESIGN["subject"] and table["age"] == DESIGN["age"] and table["time"] == [2, 1, 1, 2, 3]
    assert [cell is None for cell in table["y"]] == [False, True, False, False, False]
    for row in (0, 2, 3, 4):
        sign = 1 if table["c"][row] == "1" else -1
        assert table["y"][row] == pytest.approx(sign * table["age"][row], abs=0.01)
    assert table["c"][0] == table["c"][2]


def test_more_and_fewer_units_than_the_design() -> None:
    one = simulated(GROWTH, 1, PARAMS, design=DESIGN)
    assert one["subject"] == ["s1", "s1"] and one["age"] == [1.5, 2.5]
    five = simulated(GROWTH, 5, PARAMS, design=DESIGN)
    assert Counter(five["subject"]) == {"s1": 2, "s2": 3, "s1.2": 2, "s2.2": 3, "s1.3": 2}
    assert five["age"] == [1.5, 2.5, 1.0, 2.0, 4.0, 1.5, 2.5, 1.0, 2.0, 4.0, 1.5, 2.5]
    assert [cell is None for cell in five["y"]].count(True) == 2
    # and the model can be fitted to it
    assert emdsl.loads(GROWTH).fit(five, starts=1, max_iter=1, tol=0).to_dict()["data"]["units"] == 5


def test_a_chain_cannot_begin_again() -> None:
    text = "param m : real\nfor each t in sequence:\n    input x : real\n    observed y ~ Normal(m*x, 1)\n"
    wrong = error(simulated, text, 3, {"m": 0}, design={"x": [1.0, 2.0]})
    assert (wrong.code, wrong.help) == ("too-many-units", "-n 2, or a design with more rows")


def test_without_a_design() -> None:
    wrong = error(simulated, GROWTH, 3, PARAMS)
    assert str(wrong) == (
        "error[design-needed]: a number of units alone does not say the units of `subject` nor the inputs `group`, "
        "`age`\n --> --design\n"
        "help: --design FILE, with the columns subject, group, age and one row for each visit"
    )
    rows = "param m : real\nfor each r:\n    observed y ~ Normal(m, 1)\n"
    assert error(simulated, rows, None, {"m": 0}).help == "-n 100"


def test_names_of_columns_are_those_that_a_fit_finds() -> None:
    text = (
        "index item = {a, b}\nindex time = {t1, t2}\nparam m[item] : real\nfor each r:\n    weight w\n"
        "    observed x[item] ~ Normal(m[item], 1)\n    observed z[item] ~ Poisson(2)\n"
        '    observed long from "Long name" ~ Normal(0, 1)\n    observed g[item, time] ~ Normal(0, 1)\n'
    )
    table = simulated(text, 4, {"m": [0, 1]})
    assert list(table) == ["w", "x_a", "x_b", "z_a", "z_b", "Long name", "g_a_t1", "g_a_t2", "g_b_t1", "g_b_t2"]
    assert table["w"] == [1, 1, 1, 1] and all(isinstance(cell, int | np.integer) for cell in table["z_a"])
    assert emdsl.loads(text).fit(table).converged
    mapped = simulated(text, 4, {"m": [0, 1]}, map={"long": "brief", "x[a]": "first"})
    assert {"brief", "first", "x_b"} <= set(mapped) and "Long name" not in mapped
    again = emdsl.loads(text).fit(mapped, map={"long": "brief", "x[a]": "first"})
    assert again.converged


def test_columns_take_their_labels_from_the_parameters() -> None:
    text = (
        "index dim = columns\nparam m[dim] : real\nparam S : covariance[dim]\nfor each r:\n"
        "    observed x[dim] ~ MVNormal(m, S)\n"
    )
    covariance = {"u": {"u": 1, "v": 0}, "v": {"u": 0, "v": 1}}
    assert list(simulated(text, 2, {"m": {"u": 0, "v": 9}, "S": covariance})) == ["u", "v"]


def test_plates_across_columns() -> None:
    text = (
        "index occ = columns(t1, t2, t3)\nindex s = {u, v}\nparam start : simplex[s]\nparam A[s] : simplex[s]\n"
        "for each person:\n    for each wave over occ in sequence:\n"
        "        latent z ~ Markov(start, A)\n        observed y = z\n"
    )
    table = simulated(text, 6, {"start": [1, 0], "A": [[0, 1], [1, 0]]}, latent=True)
    assert table["t1"] == ["u"] * 6 and table["t2"] == ["v"] * 6 and table["t3"] == ["u"] * 6
    assert table["z_t2"] == ["v"] * 6


def test_missing_cells() -> None:
    text = "param m : real\nfor each r:\n    observed y ~ Normal(m, 1)\n    observed w ~ Poisson(1)\n"
    table = simulated(text, 2000, {"m": 0}, missing=0.25)
    share = np.mean([cell is None for cell in table["y"] + table["w"]])
    assert abs(share - 0.25) < 4 * np.sqrt(0.25 * 0.75 / 4000)
    wrong = error(simulated, text, 3, {"m": 0}, missing=2)
    assert wrong.message == "expected a probability between 0 and 1, found `2`"


def test_the_same_seed_gives_the_same_data() -> None:
    first, again = (simulated(GROWTH, 7, PARAMS, design=DESIGN, seed=3) for _ in range(2))
    assert first == again != simulated(GROWTH, 7, PARAMS, design=DESIGN, seed=4)


def test_a_fit_is_simulated_with_its_own_data() -> None:
    data = {**DESIGN, "y": [2.5, None, 1.6, -2.1, -4.2]}
    fit = emdsl.loads(GROWTH).fit(data, starts=1)
    table = fit.simulate(seed=1)
    assert list(table["age"]) == DESIGN["age"] and [cell != cell for cell in table["y"]].count(True) == 1
    assert len(fit.simulate(4)["y"]) == 10
    moths = emdsl.load(ROOT / "models" / "peppered_moth.emm").fit(
        {"phenotype": ["typica", None], "count": [3, 2]}, starts=1
    )
    # a row of the data may stand for many moths, one that is drawn stands for one
    alone = moths.simulate(9)
    assert list(alone["count"]) == [1] * 9 and all(isinstance(cell, str) for cell in alone["phenotype"])
    assert [isinstance(cell, str) for cell in moths.simulate()["phenotype"]] == [True, False]
    assert len(moths.simulate(design={"phenotype": ["typica"] * 3})["count"]) == 3


def test_probabilities_must_sum_to_one() -> None:
    factor = Factor("z", "r", (), VariableRef("z"), (), text="z ~ Categorical(p)")
    assert cumulated(np.array([[0.25, 0.75]]), factor).tolist() == [[0.25, 1.0]]
    for shares, total in (([0.25, 0.35], "0.6"), ([np.nan, 1.0], "nan")):
        wrong = error(cumulated, np.array([shares]), factor)
        assert wrong.code == "cannot-simulate"
        assert wrong.message.startswith(f"the probabilities of `z ~ Categorical(p)` sum to {total}, not to 1,")


def test_labels_that_only_data_know() -> None:
    text = (
        "index level = levels\nparam m : real\nfor each r:\n"
        "    observed y : level ~ Categorical(softmax(k in level: 0))\n    observed x ~ Normal(m, 1)\n"
    )
    wrong = error(simulated, text, 5, {"m": 0})
    assert wrong.code == "labels-unknown" and wrong.message.startswith("the labels of `level`")
    assert set(simulated(text, None, {"m": 0}, design={"y": ["a", "b"] * 20})["y"]) == {"a", "b"}


def test_arguments_outside_a_law() -> None:
    text = "param t : real\nfor each r:\n    observed y ~ Poisson(t)\n"
    wrong = error(simulated, text, 5, {"t": -1})
    assert wrong.code == "cannot-simulate" and "`y ~ Poisson(t)`" in wrong.message


CHOSEN = """
index two = {u, v}
index three = {a, b, c}
param A[two] : simplex[two]
param e[two] : simplex[three]
for each person:
    for each t in sequence:
        input    x : real
        latent   s ~ Markov(softmax(k in two: 0), A)
        observed y ~ Categorical(e[s])
        given y != c
"""


def test_chains_that_do_not_meet_a_condition_are_drawn_anew() -> None:
    """The pairs that chains of two show have their probabilities, given that no unit fails."""
    transition, emit = np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([[0.6, 0.3, 0.1], [0.2, 0.3, 0.5]])
    params = {"A": transition.tolist(), "e": emit.tolist()}
    n = 6_000
    design = {"person": np.repeat(np.arange(n), 2).tolist(), "x": [0.0] * (2 * n)}
    found = simulated(CHOSEN, None, params, design=design, seed=3)
    seen = Counter(zip(found["y"][::2], found["y"][1::2], strict=True))
    joint = 0.5 * np.einsum("ia,ij,jb->ab", emit, transition, emit)[:2, :2]
    expected = joint / joint.sum()
    for i, first in enumerate("ab"):
        for j, second in enumerate("ab"):
            error = np.sqrt(expected[i, j] * (1 - expected[i, j]) / n)
            assert abs(seen[first, second] / n - expected[i, j]) < 4 * error
