"""Open cells of observed numbers that other laws look at: evidence, score, climbing, posterior, what stays as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import emdsl
from emdsl.diagnostics.errors import EmmError
from emdsl.plan.open_numbers import open_numbers
from emdsl.request import FitRequest
from tests.laws.agreement import check_score
from tests.laws.bound_models import Array, Taken, compiled, random_theta
from tests.laws.hidden_number_models import IntegralCase, Table
from tests.laws.open_chain_models import AUTOREGRESSION, HEAVY, OPEN_CHAINS
from tests.laws.open_number_models import INTERCEPTS, OPEN_NUMBERS, REGRESSION, X, Y
from tests.laws.tables import Cell
from tests.laws.test_invariance import picked, rows_of, same_step

each_case = pytest.mark.parametrize("case", [*OPEN_NUMBERS, *OPEN_CHAINS], ids=lambda case: case.name)


def taken(text: str, table: Table) -> Taken:
    """A model on a table with open cells, as a fit takes it."""
    model = compiled(text)
    request = FitRequest()
    bound = model.bind(table, request)
    here = model.on(bound)
    return Taken(here, bound, here.problem(bound, request))


def theta_of(one: Taken, seed: int) -> dict[str, Array]:
    """Parameters inside their domains."""
    return random_theta(one.problem.spaces, np.random.default_rng(seed), one.problem.initial())


@each_case
def test_evidence_is_the_integral(case: IntegralCase) -> None:
    one = taken(case.text, case.table)
    for seed in range(2):
        theta = theta_of(one, seed)
        expected = case.marginal(theta, case.table)
        near = pytest.approx(expected, rel=case.accuracy, abs=case.accuracy)
        assert one.problem.expect(theta).loglik == near, seed


@each_case
def test_the_method_is_the_one_that_fits(case: IntegralCase) -> None:
    methods = {integral.method for integral in taken(case.text, case.table).problem.derivation.integrals}
    assert case.method in methods


@each_case
def test_the_score_is_the_slope(case: IntegralCase) -> None:
    if case.method == "quadrature":
        pytest.skip("the slope of a sum over nodes that move with theta is not quite the sum's score")
    one = taken(case.text, case.table)
    check_score(one, theta_of(one, 5), np.random.default_rng(6))


@each_case
def test_em_never_falls(case: IntegralCase) -> None:
    one = taken(case.text, case.table)
    theta = theta_of(one, 3)
    before = -np.inf
    for _ in range(6):
        found = one.problem.expect(theta)
        assert found.loglik >= before - max(1e-9, case.accuracy * abs(before)), case.name
        before, theta = found.loglik, one.problem.maximize(theta, found.statistics)


@each_case
def test_order_of_rows(case: IntegralCase) -> None:
    if "in sequence" in case.text:
        pytest.skip("a chain has an order")
    order = np.random.default_rng(3).permutation(rows_of(case.table))
    one = taken(case.text, case.table)
    same_step(one, taken(case.text, picked(case.table, order)), theta_of(one, 4))


@each_case
def test_cells_that_no_law_can_tell_from_seen_ones_change_nothing(case: IntegralCase) -> None:
    """Complete data are taken as if there were no open cells anywhere: the same derivation."""
    rows = [r for r in range(rows_of(case.table)) if all(cells[r] is not None for cells in case.table.values())]
    rows = [r for r in rows if case.table.get("seen", [1] * 99)[r] == 1]
    if "lo" in case.table:
        rows = [r for r in rows if case.table["lo"][r] == case.table["hi"][r]]
    if "in sequence" in case.text or "g" in case.table:
        rows = [r for r in rows if "g" not in case.table]
    if not rows:
        pytest.skip("no complete part of this table is a table of the model")
    model = compiled(case.text)
    bound = model.bind(picked(case.table, np.array(rows)), FitRequest())
    assert open_numbers(model.derivation, bound) == ()
    assert model.on(bound) is model


# --- only what is open costs ------------------------------------------------------------------------------------------


def test_the_integral_is_over_the_rows_with_open_cells_alone() -> None:
    (integral,) = taken(REGRESSION, {"x": X, "y": Y}).problem.program.integrals.values()
    assert integral.share is not None
    assert integral.share.units.tolist() == [row for row, x in enumerate(X) if x is None]


def test_of_a_long_chain_only_the_stretches_around_its_gaps() -> None:
    series: list[Cell] = [0.1 * (k % 7) for k in range(500)]
    series[100] = series[101] = series[300] = None
    (integral,) = taken(AUTOREGRESSION, {"y": series}).problem.program.integrals.values()
    assert integral.share is not None
    assert integral.share.units.tolist() == [99, 100, 101, 102, 299, 300, 301]


def test_groups_without_open_cells_keep_their_integral() -> None:
    table: Table = {"g": list("aabbcc"), "x": [0.1, 0.4, None, 0.3, 0.2, 0.9], "y": [1.0, 0.2, 0.4, 0.1, -0.3, 0.8]}
    found = taken(INTERCEPTS, table).problem.program.integrals.values()
    units = {tuple(item.integral.latents): item.share.units.tolist() for item in found if item.share is not None}
    assert units == {("u",): [0, 2], ("u", "missing x"): [1]}


# --- posterior, and what is said --------------------------------------------------------------------------------------


def test_the_posterior_of_an_open_cell() -> None:
    """By Bayes' rule for normal laws; known cells have their value and no spread."""
    p = {"m": 0.5, "t": 1.3, "b": 0.2, "c": 0.8, "s": 0.7}
    found = emdsl.loads(REGRESSION).posterior({"x": X, "y": Y}, params=p)
    for row, (x, y) in enumerate(zip(X, Y, strict=True)):
        precision = 1 / p["t"] ** 2 + (0.0 if y is None else p["c"] ** 2 / p["s"] ** 2)
        slope = p["m"] / p["t"] ** 2 + (0.0 if y is None else p["c"] * (float(y) - p["b"]) / p["s"] ** 2)
        mean, sd = (slope / precision, precision**-0.5) if x is None else (x, 0.0)
        assert found["mean(x)"][row] == pytest.approx(mean, abs=1e-9)
        assert found["sd(x)"][row] == pytest.approx(sd, abs=1e-9)


def test_what_is_expected_of_an_open_cell_is_what_all_data_say() -> None:
    p = {"m": 0.5, "t": 1.3, "b": 0.2, "c": 0.8, "s": 0.7}
    model, table = emdsl.loads(REGRESSION), {"x": X, "y": Y}
    predicted, known = model.predict(table, params=p), model.posterior(table, params=p)
    for row, x in enumerate(X):
        expected = known["mean(x)"][row] if x is None else p["m"]
        assert predicted["x"][row] == pytest.approx(expected, abs=1e-9)


def test_rows_that_show_anything_count_in_bic() -> None:
    table: Table = {"x": [*X, None], "y": [*Y, None]}
    fit = emdsl.loads(REGRESSION).fit(table)
    assert fit.to_dict()["bic_n"] == sum(x is not None or y is not None for x, y in zip(X, Y, strict=True))
    assert fit.to_dict()["data"]["missing"] == X.count(None) + Y.count(None) + 2


def test_a_weight_is_so_many_copies() -> None:
    weighted = REGRESSION.replace("for each row:\n", "for each row:\n    weight w\n")
    rows = [0, 1, 1, 2, 3, 4, 4, 4, 5, 6, 6, 7]
    one = taken(weighted, {"x": X, "y": Y, "w": [rows.count(row) for row in range(len(X))]})
    theta = theta_of(one, 1)
    copied = taken(REGRESSION, picked({"x": X, "y": Y}, np.array(rows)))
    assert one.problem.expect(theta).loglik == pytest.approx(copied.problem.expect(theta).loglik, abs=1e-10)


def test_what_was_simulated_with_gaps_is_fitted() -> None:
    model = emdsl.loads(REGRESSION)
    truth = {"m": 0.5, "t": 1.3, "b": 0.2, "c": 0.8, "s": 0.7}
    data = model.simulate(300, params=truth, seed=4, missing=0.2)
    fit = model.fit(data, starts=1)
    assert fit.converged
    params: Any = fit.params
    errors: Any = fit.se
    for name, value in truth.items():
        assert abs(params[name] - value) < 4 * errors[name]


def test_check_says_how_open_cells_are_taken() -> None:
    lines = emdsl.loads(REGRESSION).check({"x": X, "y": Y})
    assert "x: normal, integrated in closed form in each row, where there are open cells of x" in lines
    lines = emdsl.loads(HEAVY).check({"y": [0.5, None, 0.3, 0.9, 0.4]})
    assert "y: no closed form; adaptive quadrature for any tails" in lines


def test_a_plan_that_is_asked_for() -> None:
    model, theta = emdsl.loads(REGRESSION), {"m": 0.5, "t": 1.3, "b": 0.2, "c": 0.8, "s": 0.7}
    table = {"x": X, "y": Y}
    exact, nodes = (
        model.fit(table, init=theta, max_iter=0, se="none", plan=plan).loglik for plan in ("exact", "quadrature")
    )
    assert nodes == pytest.approx(exact, abs=1e-6)
    with pytest.raises(EmmError, match="no closed form"):
        emdsl.loads(HEAVY).fit({"y": [0.5, None, 0.3, 0.9]}, plan="exact")


def test_a_derivation_for_open_cells_to_read() -> None:
    text = str(emdsl.loads(REGRESSION).derive(open=("x",)))
    assert "missing x | data is normal" in text
    assert "1{x open}*E[missing x]" in text
    with pytest.raises(EmmError, match="`y` is no observed number that other laws look at"):
        emdsl.loads(REGRESSION).derive(open=("y",))


def test_a_compiled_file_knows_of_the_open_cells_that_it_was_compiled_for(tmp_path: Path) -> None:
    import subprocess
    import sys

    table = tmp_path / "data.csv"
    rows = [f"{'' if x is None else x},{'' if y is None else y}" for x, y in zip(X, Y, strict=True)]
    table.write_text("\n".join(["x,y", *rows]) + "\n", encoding="utf-8")

    def run(open_cells: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
        file = tmp_path / "model.py"
        file.write_text(emdsl.loads(REGRESSION).compile(open=open_cells), encoding="utf-8")
        command = [sys.executable, "-I", str(file), str(table), "--starts", "1"]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    fitted, refused = run(("x",)), run(())
    assert fitted.returncode == 0, fitted.stderr
    assert f"{emdsl.loads(REGRESSION).fit(str(table), starts=1).loglik:.6f}" in fitted.stdout
    assert refused.returncode == 2
    assert "error[not-in-file]: x has open cells" in refused.stderr


# --- refused ----------------------------------------------------------------------------------------------------------

SKEW = """
param s : positive
for each t in sequence:
    observed y ~ Gamma(s, 1) first, Gamma(s, s/(1 + prev(y))) after
"""
COUNT_AND_NUMBER = """
param m : real
param r : positive
for each row:
    observed x ~ Normal(m, 1)
    observed n ~ Poisson(r)
    observed y ~ Normal(m*n + x, 1)
"""


@pytest.mark.parametrize(
    ("text", "table", "said"),
    [
        (
            SKEW, {"y": [0.5, None, None, None, None, 1.0]},
            "open cells leave 4 hidden numbers `y` to one unit, which have no closed integral: nodes are for at most 3",
        ),
        (
            COUNT_AND_NUMBER, {"x": [0.1, None, 0.3], "n": [1, None, 2], "y": [0.5, 1.0, 2.0]},
            "open cells leave a hidden count and 1 more hidden",
        ),
        (
            "param f : real\nfor each t in sequence:\n    observed y ~ Normal(f*prev(y), 1)\n", {"y": [None, 0.3, 0.2]},
            "the first cells of a chain of `y` are conditioned on",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_taken_is_refused_with_its_numbers(text: str, table: Table, said: str) -> None:
    with pytest.raises(EmmError) as raised:
        emdsl.loads(text).fit(table)
    assert said in raised.value.message
