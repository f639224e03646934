"""Verification at compile time: right updates pass, wrong ones are found out and not used."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import sympy as sp

from emdsl.derive import updates
from emdsl.derive.derive import derive
from emdsl.derive.evaluation import names, value
from emdsl.derive.pieces import factor_pieces
from emdsl.derive.solving import solve_stationarity
from emdsl.derive.updates import derive_updates
from emdsl.derive.verify import CHECKED, FAILED, verify
from tests.derive.models import SHIPPED, USER_FAMILY, derived, model_of, shipped, step
from tests.work import python_calls

TWO_NORMALS = """
index c = 1..2
param share : simplex[c]
param mu[c] : real
param sigma[c] : positive
for each row:
    latent z ~ Categorical(share)
    observed x ~ Normal(mu[z], sigma[z])
"""

#: A mean that two groups with different noise share: the noise must not be dropped from the equations.
SHARED_MEAN = """
index c = 1..2
param mu : real
param sigma[c] : positive
for each row:
    input g : c
    observed x ~ Normal(mu, sigma[g])
"""


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_closed_form_of_a_shipped_model_passes(path) -> None:
    for update in shipped(path.stem).updates:
        assert FAILED not in update.reason
        if update.rule in ("simplex", "closed form"):
            assert update.note.startswith(CHECKED)


@pytest.mark.parametrize("wrong", [lambda r: 2 * r, lambda r: r + sp.Rational(1, 1000), lambda r: 1 / r, lambda r: -r])
def test_a_wrong_root_is_not_used(monkeypatch, wrong) -> None:
    right = solve_stationarity

    def solve(x, basis, accumulators):
        root = right(x, basis, accumulators)
        return None if root is None else wrong(root)

    monkeypatch.setattr(updates, "solve_stationarity", solve)
    derivation = derived(TWO_NORMALS)
    rules = {name: update for update in derivation.updates for name in update.parameters}
    assert rules["share"].rule == "simplex"
    for name in ("mu", "sigma"):
        assert rules[name].rule == "newton"
        assert f"{name}: {FAILED}" in rules[name].reason
    assert FAILED in step(derivation, "newton").note


def test_a_wrong_share_is_not_used(monkeypatch) -> None:
    model = model_of(TWO_NORMALS)
    pieces = [piece for factor in model.factors for piece in factor_pieces(factor, model)]
    candidates = derive_updates(pieces, model)
    (simplex,) = (c for c in candidates if c.update.rule == "simplex")
    (contribution,) = simplex.update.contributions
    bent = replace(contribution, sources=("S0**2",))
    broken = replace(simplex, update=replace(simplex.update, contributions=(bent,)))
    (verdict,) = verify([broken], [piece.piece for piece in pieces], model)
    assert not verdict.passed and "gradient" in verdict.remark
    (verdict,) = verify([simplex], [piece.piece for piece in pieces], model)
    assert verdict.passed


def test_a_stationary_point_that_is_no_maximum_is_not_used() -> None:
    text = "param mu : real\nfor each row:\n    input y : real\n    factor (y - mu)^2\n"
    (update,) = derived(text).updates
    assert update.rule == "newton" and FAILED in update.reason


def test_pooling_cells_of_different_weight_is_found_out() -> None:
    model = model_of(SHARED_MEAN)
    pieces = [piece for factor in model.factors for piece in factor_pieces(factor, model)]
    (mean,) = (c for c in derive_updates(pieces, model) if c.update.parameters == ("mu",))
    sources = mean.update.contributions[0].sources
    assert any("sigma" in source for source in sources)
    # As if the factor 1/sigma^2 had been dropped cell by cell.
    pooled = tuple(_without_sigma(source) for source in sources)
    contribution = replace(mean.update.contributions[0], sources=pooled)
    broken = replace(mean, update=replace(mean.update, contributions=(contribution,)))
    own = [piece.piece for piece in pieces]
    assert [verdict.passed for verdict in verify([mean, broken], own, model)] == [True, False]


def _without_sigma(source: str) -> str:
    (sigma,) = (name for name in names(source) if name.startswith("sigma"))
    return f"({source}) * {sigma}**2"


def test_user_families_pass() -> None:
    (update,) = (u for u in derived(USER_FAMILY).updates if u.parameters == ("s",))
    assert update.rule == "closed form" and update.note.startswith(CHECKED)


def test_verification_is_cheap() -> None:
    for path in SHIPPED:
        model = model_of(path.read_text(encoding="utf-8"))
        pieces = [piece for factor in model.factors for piece in factor_pieces(factor, model)]
        candidates = derive_updates(pieces, model)
        known = [piece.piece for piece in pieces]
        work = python_calls(lambda candidates=candidates, known=known, model=model: verify(candidates, known, model))
        assert work < 50_000, path.stem


def test_formulas_are_evaluated_without_being_run() -> None:
    symbols = {"a": np.array([1.0, 4.0]), "b": 2.0}
    assert value("-a**2 / (b + 1) + sqrt(a) * pi", symbols) == pytest.approx([-1 / 3 + np.pi, -16 / 3 + 2 * np.pi])
    assert names("log(a) + b * pi") == {"a", "b"}
    with pytest.raises(KeyError):
        value("c + 1", symbols)
    with pytest.raises(TypeError):
        value("[a for a in b]", symbols)


def test_a_rule_that_fails_still_fits(monkeypatch) -> None:
    from emdsl.compiler import CompiledModel
    from emdsl.request import FitRequest

    right = solve_stationarity
    monkeypatch.setattr(updates, "solve_stationarity", lambda *a: None if (r := right(*a)) is None else r + 1)
    model = model_of("param rate : positive\nfor each row:\n    observed x ~ Poisson(rate)\n")
    derivation = derive(model)
    assert [update.rule for update in derivation.updates] == ["newton"]
    outcome = CompiledModel("", None, derivation).fit({"x": [1, 2, 6]}, FitRequest())
    assert float(outcome.state.theta["rate"]) == pytest.approx(3.0, rel=1e-8)


def test_a_parameter_inside_a_term_with_another_has_no_closed_form() -> None:
    (update,) = derived("param p : unit\nparam q : unit\nfor each row:\n    observed x ~ Bernoulli(p*q)\n").updates
    assert update.rule == "newton" and update.why == "p, q: it stands in one term with other parameters"
