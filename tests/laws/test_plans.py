"""`--plan`: closed integrals and quadrature agree; what cannot be had is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import t as student

import emdsl
from emdsl.diagnostics.errors import EmmError
from emdsl.plan.methods import with_plan

EFFECTS = """
param mu : real
param tau : positive
param sigma : positive
for each g:
    latent u ~ Normal(0, tau)
    for each row:
        observed y ~ Normal(mu + u, sigma)
"""
PUMPS = """
param a : positive
param b : positive
for each pump:
    input t : positive
    latent u ~ Gamma(a, b)
    observed y ~ Poisson(u*t)
"""
SHARES = """
param a : positive
param b : positive
for each ward:
    latent u ~ Beta(a, b)
    observed y ~ Binomial(12, u)
"""
RNG = np.random.default_rng(3)
DATA: dict[str, dict[str, Any]] = {
    EFFECTS: {"g": np.repeat(np.arange(6), 4), "y": np.repeat(RNG.normal(0, 2, 6), 4) + RNG.normal(5, 1, 24)},
    PUMPS: {"t": np.array([94.0, 16, 63, 126, 5, 31, 1, 1, 2, 10]), "y": [5, 1, 5, 14, 3, 19, 1, 1, 4, 22]},
    SHARES: {"y": [2, 5, 9, 4, 3, 7, 6, 1]},
}


@pytest.mark.parametrize("text", DATA, ids=["effects", "gamma", "beta"])
def test_closed_integrals_are_those_that_quadrature_finds(text: str) -> None:
    model = emdsl.loads(text)
    closed = model.fit(DATA[text], plan="exact", se="none")
    again = model.fit(DATA[text], plan="quadrature", se="none", init=closed.params, starts=1)
    assert closed.converged
    assert again.loglik == pytest.approx(closed.loglik, abs=1e-5)
    for name, value in closed.params.items():
        assert again.params[name] == pytest.approx(value, rel=2e-3)


def refused(text: str, data: dict[str, Any], plan: str) -> EmmError:
    with pytest.raises(EmmError) as caught:
        emdsl.loads(text).fit(data, plan=plan)
    return caught.value


def test_what_has_no_closed_integral_is_not_exact() -> None:
    text = "param b : real\nparam t : positive\nfor each row:\n    latent u ~ {}\n"
    text += "    observed y ~ Poisson(exp(b + u))\n"
    found = refused(text.format("Normal(0, t)"), {"y": [1, 2]}, "exact")
    assert (found.code, found.message) == (
        "not-exact", "the integral over `u` has no closed form; it is taken by quadrature or simulation"
    )  # fmt: skip
    found = refused(text.format("Normal(0, 1)").replace("b + u", "b + t*u"), {"y": [1, 2]}, "exact")
    assert found.message == "the integral over `u` has no closed form; it is taken over a grid of nodes"


def test_chains_are_not_for_quadrature() -> None:
    text = "param q : positive\nfor each row in sequence:\n"
    text += "    latent u ~ Normal(0, 1) first, Normal(prev(u), q) after\n"
    text += "    observed y ~ Normal(u, 1)\n"
    found = refused(text, {"y": [1.0, 2.0]}, "quadrature")
    assert found.code == "no-quadrature"
    assert found.help == "--plan auto"


def test_a_grid_is_drawn_where_draws_are_asked_for() -> None:
    text = "param b : real\nfor each row:\n    latent u ~ Normal(0, 1)\n    observed y ~ Poisson(exp(b + u))\n"
    y = RNG.poisson(np.exp(0.5 + RNG.normal(size=40)))
    nodes, draws = (emdsl.loads(text).fit({"y": y}, plan=plan, starts=1).to_dict() for plan in ("auto", "monte-carlo"))
    error = draws["simulation"]
    assert draws["converged"] and error["met"] and error["effective_draws"] <= error["draws"]
    assert abs(draws["loglik"] - nodes["loglik"]) < 4 * error["loglik_error"]
    assert abs(draws["params"]["b"] - nodes["params"]["b"]) < 4 * error["errors"]["b"]


def test_a_module_without_the_model_draws_no_grid() -> None:
    """A stand-alone file has one derivation, made for a grid."""
    text = "param b : real\nfor each row:\n    latent u ~ Normal(0, 1)\n    observed y ~ Poisson(exp(b + u))\n"
    with pytest.raises(EmmError) as caught:
        with_plan(emdsl.loads(text).compiled.derivation, "monte-carlo")
    assert caught.value.code == "not-simulated"
    assert caught.value.help == "emdsl fit MODEL DATA --plan monte-carlo"


def test_draws_agree_with_nodes_within_the_error_that_they_state() -> None:
    text = "param b : real\nparam t : positive\nfor each g:\n    latent u ~ Normal(0, t)\n    for each row:\n"
    text += "        observed y ~ Poisson(exp(b + u))\n"
    groups = np.repeat(np.arange(30), 5)
    y = RNG.poisson(np.exp(0.5 + 0.8 * RNG.normal(size=30)[groups]))
    nodes = emdsl.loads(text).fit({"g": groups, "y": y}, plan="quadrature").to_dict()
    draws = emdsl.loads(text).fit({"g": groups, "y": y}, plan="monte-carlo", starts=2).to_dict()
    again = emdsl.loads(text).fit({"g": groups, "y": y}, plan="monte-carlo", starts=2).to_dict()
    assert nodes["converged"] and draws["converged"] and draws["params"] == again["params"]
    error = draws["simulation"]
    assert 0 < error["loglik_error"] < 0.2
    assert abs(draws["loglik"] - nodes["loglik"]) < 4 * error["loglik_error"]
    for name in ("b", "t"):
        assert abs(draws["params"][name] - nodes["params"][name]) < 4 * error["errors"][name]
        assert draws["se"][name] == pytest.approx(nodes["se"][name], rel=0.1)


def test_a_hidden_variance_makes_the_t_law() -> None:
    text = "param a : positive\nparam s : positive\nfor each row:\n    latent u ~ InverseGamma(a, a)\n"
    text += "    observed y ~ Normal(0, s*sqrt(u))\n"
    y = RNG.standard_t(2, 80)
    found = emdsl.loads(text).fit({"y": y}, plan="exact", se="none")
    shape, scale = (float(np.asarray(found.params[name])) for name in ("a", "s"))
    law = student(2 * shape, scale=scale)
    assert found.converged
    assert found.loglik == pytest.approx(law.logpdf(y).sum(), abs=1e-8)
    assert found.loglik >= student.logpdf(y, *student.fit(y, floc=0)).sum() - 1e-6
