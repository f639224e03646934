"""`emdsl check MODEL DATA` says which parameters the data do not determine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import emdsl
from emdsl.data.binding import bind
from emdsl.data.reading import read_table
from emdsl.plan.identifiability import Identifiability, identifiability
from emdsl.plan.parts import Parts

ROOT = Path(__file__).resolve().parents[2]
TITLE = "local identifiability, by the scores at a random point"


def looked_at(text: str, data: dict[str, Any], constants: dict[str, Any] | None = None) -> Identifiability:
    """What is found of a model and its data."""
    from emdsl.request import FitRequest, bind_options

    compiled = emdsl.loads(text.lstrip()).compiled
    request = FitRequest(set=constants or {})
    table = read_table(data)
    bound = bind(compiled.model, table, bind_options(request))
    found = identifiability(
        Parts(compiled.derivation, table, bound, bind_options(request)), compiled.problem(bound, request)
    )
    assert found is not None
    return found


CLASSES = """
const K = 2
index class = 1..K
index item = columns
param share : simplex[class]
param p[class, item] : unit
for each person:
    latent z ~ Categorical(share)
    observed y[item] ~ Bernoulli(p[z, item])
"""


def answers(items: int) -> dict[str, Any]:
    """Every pattern of answers, several times."""
    rng = np.random.default_rng(1)
    return {f"item{i}": rng.integers(0, 2, 300) for i in range(items)}


@pytest.mark.parametrize(
    ("items", "classes", "free", "rank"),
    # three binary items have 7 free cells (Goodman 1974): two classes fill them; two items have 3
    [(3, 2, 7, 7), (2, 2, 5, 3), (3, 3, 11, 7), (4, 3, 14, 13)],
)
def test_latent_classes(items: int, classes: int, free: int, rank: int) -> None:
    found = looked_at(CLASSES, answers(items), {"K": classes})
    assert (found.free, found.rank) == (free, rank)


REGRESSION = """
param a : real
param b : real
param c : real
param s : positive
for each row:
    input x : real
    input w : real
    observed y ~ Normal(a + b*x + c*w, s)
"""


def test_collinear_inputs_are_named() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=40)
    found = looked_at(REGRESSION, {"x": x, "w": 3 * x, "y": x + rng.normal(size=40)})
    assert (found.free, found.rank, found.confounded) == (4, 3, ((("b", "c"), 1),))
    found = looked_at(REGRESSION, {"x": 1900 + np.arange(40.0), "w": np.full(40, 7.0), "y": 1e6 * rng.normal(size=40)})
    assert (found.rank, found.confounded) == (3, ((("a", "c"), 1),))
    found = looked_at(REGRESSION, {"x": 1900 + np.arange(40.0), "w": rng.normal(size=40), "y": rng.normal(size=40)})
    assert (found.rank, found.confounded) == (4, ())


def test_an_element_that_no_row_touches_is_named() -> None:
    text = """
index g = {u, v, w}
param m[g] : real
for each row:
    input k : g
    observed y ~ Normal(m[k], 1)
"""
    found = looked_at(text, {"k": ["u", "v", "u"], "y": [1.0, 2.0, 3.0]})
    assert (found.rank, found.confounded) == (2, ((("m.w",), 1),))


def test_a_prior_determines_nothing_by_itself() -> None:
    text = """
param a : real ~ Normal(0, 1)
param b : real ~ Normal(0, 1)
for each row:
    observed y ~ Normal(a + b, 1)
"""
    found = looked_at(text, {"y": [1.0, 2.0, 3.0]})
    assert (found.rank, found.confounded) == (1, ((("a", "b"), 1),))


def test_a_chain_is_looked_at_by_its_beginnings() -> None:
    text = """
param m : real
param d : real
param s : positive
for each t in sequence:
    latent z ~ Bernoulli(1/2) first, Bernoulli(where(prev(z) == 1, 3/4, 1/4)) after
    observed y ~ Normal(EXPR, s)
"""
    rng = np.random.default_rng(3)
    data = {"y": np.where(np.arange(60) // 6 % 2, 3.0, 0.0) + rng.normal(size=60)}
    found = looked_at(text.replace("EXPR", "m + d*z"), data)
    assert (found.free, found.rank) == (3, 3)
    found = looked_at(text.replace("EXPR", "m + d"), data)
    assert (found.rank, found.confounded) == (2, ((("m", "d"), 1),))


@pytest.mark.parametrize(
    ("model", "data", "free"),
    [("gaussian_mixture", "faithful", 11), ("casino", "casino", 13), ("peppered_moth", "peppered_moth", 2),
     ("abo_prior", "abo", 2), ("zero_inflated_poisson", "biochemists", 12)],
)  # fmt: skip
def test_shipped_models_are_determined_by_their_data(model: str, data: str, free: int) -> None:
    lines = emdsl.load(ROOT / f"models/{model}.emm").check(ROOT / f"models/data/{data}.csv").splitlines()
    assert lines[lines.index(TITLE) + 1] == f"  the data determine all {free} free parameters"


def test_what_check_prints() -> None:
    text = CLASSES.lstrip()
    lines = emdsl.loads(text).check(answers(2)).splitlines()
    assert lines[lines.index(TITLE) + 1 :] == [
        "  the data determine 3 of 5 free parameters",
        "  confounded: `share.1`, `share.2`, `p.1.item0`, `p.1.item1`, `p.2.item0` and 1 more (2 of them too many)",
    ]
    assert TITLE not in emdsl.loads(text).check()


def test_the_rotation_of_two_factors_is_found() -> None:
    text = """
index factor = 1..2
index item = columns
param nu[item] : real
param load[item, factor] : real
param psi[item] : positive
for each person:
    latent h[factor] ~ Normal(0, 1)
    observed y[item] ~ Normal(nu[item] + sum(k in factor: load[item, k]*h[k]), psi[item])
"""
    rng = np.random.default_rng(4)
    scores = rng.normal(size=(200, 2))
    data = {f"y{i}": scores @ rng.normal(size=2) + rng.normal(size=200) for i in range(6)}
    found = looked_at(text, data)
    assert (found.free, found.rank) == (24, 23)
    ((names, directions),) = found.confounded
    assert directions == 1
    assert all(name.startswith("load.") for name in names)


def test_a_mean_given_twice_is_found_under_a_hidden_number() -> None:
    text = """
param mu : real
param shift : real
param tau : positive
param s : positive
for each batch:
    latent u ~ Normal(shift, tau)
    for each row:
        observed y ~ Normal(mu + u, s)
"""
    rng = np.random.default_rng(5)
    batch = np.repeat(np.arange(12), 3)
    found = looked_at(text, {"batch": batch, "y": rng.normal(size=12)[batch] + rng.normal(size=36)})
    assert (found.rank, found.confounded) == (3, ((("mu", "shift"), 1),))
