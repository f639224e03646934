"""`emdsl check`: the lines about graph, plan, cost and rules."""

from __future__ import annotations

import subprocess
import sys

import pytest

from emdsl.compiler import CompiledModel
from emdsl.plan.check import check_lines
from emdsl.request import FitRequest
from tests.derive.models import ROOT, SHIPPED, data_of, derived, shipped


def with_data(name: str, **request) -> list[str]:
    path = ROOT / "models" / f"{name}.emm"
    compiled = CompiledModel(path.read_text(encoding="utf-8"), str(path), shipped(name))
    bound = compiled.bind(str(data_of(path)), FitRequest(**request))
    return check_lines(compiled.on(bound).derivation, bound)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_the_plan_is_the_same_with_and_without_data(path) -> None:
    def plan(lines: list[str]) -> list[tuple[str, str]]:
        steps = [line for line in lines if line.strip()[:2] in ("1.", "2.", "3.")]
        return [(line.partition(" (")[0], line.partition(" (")[2]) for line in steps]

    if shipped(path.stem).model.givens:
        # What was never seen, and which cells are open, only the data tell: one variable for each element.
        lines = "\n".join(with_data(path.stem))
        assert "affected[first] unseen: summed out" in lines and "affected[first]: summed out" in lines
        return
    without, given = plan(check_lines(shipped(path.stem), None)), plan(with_data(path.stem))
    if any(variable.kind == "latent" and variable.plate is None for variable in shipped(path.stem).model.variables):
        # What rows tie together only the data tell.
        assert bool(without) == bool(given)
        return
    assert [step for step, _ in without] == [step for step, _ in given]
    for (_, before), (_, after) in zip(without, given, strict=True):
        # The size of a set of levels is known with the data alone.
        assert before == after or before.startswith("its size is known with the data)")


def test_a_mixture() -> None:
    lines = check_lines(shipped("univariate_mixture"), None)
    assert "  share : simplex[component], 1 free value" in lines
    assert "  1. z: summed out in each eruption, a table over z (2 cells)" in lines
    assert "  mu: closed form, element by element" in lines
    assert "    latent z ~ Categorical(share)   (values in component)" in lines


def test_hidden_draws_make_a_joint_table() -> None:
    lines = with_data("peppered_moth")
    assert "  1. genotype.1: summed out in each moth, a table over genotype.1, genotype.2 (9 cells)" in lines
    assert "  largest table: 9 numbers a unit" in lines
    assert "  for each moth, counted by count" in lines
    assert "  `phenotype`: column phenotype" in lines


def test_a_chain() -> None:
    lines = with_data("earthquakes", set={"K": 4})
    (chain,) = (line for line in lines if line.startswith("  1."))
    assert chain.endswith("along the chain over year, a table over prev(regime), regime (16 cells) at each step")


def test_rules_say_why_and_what_is_conditional() -> None:
    lines = check_lines(shipped("regression_mixture_shared_slope"), None)
    assert "  b0, b1, b2: closed form, one weighted linear system" in lines
    assert "    at the current sigma, updated later (conditional maximisation, ECM)" in lines
    (newton,) = (line for line in check_lines(shipped("linkage_coarse"), None) if "Newton" in line)
    assert newton == "  theta: no closed form, Newton's method on Q (theta: its stationarity has no closed form)"


def test_what_only_the_data_tell_is_said_to_be_unknown() -> None:
    lines = check_lines(shipped("gaussian_mixture"), None)
    assert any("Sigma[cluster] : covariance[dim], how many is known with the data" in line for line in lines)
    assert any("Sigma[cluster] : covariance[dim], 6 free values" in line for line in with_data("gaussian_mixture"))


def test_nothing_hidden_and_no_parameters() -> None:
    assert "  nothing is hidden: there is no posterior to compute" in check_lines(shipped("logistic_regression"), None)
    lines = check_lines(derived("for each row:\n    observed x ~ Normal(0, 1)\n"), None)
    assert lines[2:4] == ["parameters", "  none"]


def test_checking_imports_no_compiler() -> None:
    program = "import sys, emdsl.plan.check; print([m for m in ('sympy', 'lark', 'scipy') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
