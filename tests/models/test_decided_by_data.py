"""Models in which the data decide what is hidden, and units that had to meet a condition: maxima found without EM."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

import emdsl
from tests.models.cases import ROOT
from tests.models.comparison import disagreements
from tests.models.direct_maximisation import Array, Block, Optimum, Point, maximise
from tests.models.test_shipped_models import fit as fit_shipped
from tests.models.wider_likelihoods import answers, bernoulli, mixture

ITEMS = ("q1", "q2", "q3", "q4", "q5", "q6")
SKILLS = ("subtract", "reduce")
NEEDS = np.array([[1, 0], [0, 1], [1, 1], [1, 0], [0, 1], [1, 1]])


def fit(text: str, data: Any, **options: Any) -> dict[str, Any]:
    """The JSON of a fit, after a journey through text."""
    result: dict[str, Any] = json.loads(json.dumps(emdsl.loads(text).fit(data, **options).to_dict()))
    return result


# --- arrays of hidden variables ---------------------------------------------------------------------------------------

SKILLS_MODEL = """
index item = columns(q1, q2, q3, q4, q5, q6)
index skill = {subtract, reduce}
const needs[item, skill] = [[1, 0], [0, 1], [1, 1], [1, 0], [0, 1], [1, 1]]
PRIOR
param slip[item] : unit
param guess[item] : unit
for each student:
    LAW
    let      able[i in item] = prod(k in skill: where(needs[i, k] == 1, has[k], 1))
    observed y[item] ~ Bernoulli(where(able[item] == 1, 1 - slip[item], guess[item]))
"""
STUDENTS = str(ROOT / "models" / "data" / "fractions.csv")


def test_skills_of_a_profile_are_the_shipped_model() -> None:
    """With the skills of each profile certain, the array is another way of writing the table of profiles."""
    prior = """index profile = {none, subtract_only, reduce_only, both}
const certain[profile, skill] = [[0, 0], [1, 0], [0, 1], [1, 1]]
param share : simplex[profile]"""
    law = "latent   z ~ Categorical(share)\n    latent   has[skill] ~ Bernoulli(certain[z, skill])"
    found = fit(SKILLS_MODEL.replace("PRIOR", prior).replace("LAW", law), STUDENTS)
    shipped = fit_shipped(ROOT / "models" / "dina.emm", ROOT / "models" / "data" / "fractions.csv")
    assert disagreements(found, Optimum(shipped["loglik"], shipped["params"], shipped["se"])) == []


def test_skills_that_are_independent() -> None:
    law = "latent   has[skill] ~ Bernoulli(p[skill])"
    text = SKILLS_MODEL.replace("PRIOR", "param p[skill] : unit").replace("LAW", law)
    y = answers("fractions.csv", *ITEMS)
    has = np.array([[0, 0], [1, 0], [0, 1], [1, 1]])
    able = (has[:, None] >= NEEDS).all(axis=-1)

    def log_likelihood(p: Point) -> float:
        share = np.prod(np.where(has == 1, p["p"], 1 - p["p"]), axis=1)
        return float(mixture(np.log(share), bernoulli(y, np.where(able, 1 - p["slip"], p["guess"]))).sum())

    blocks = Block("p", "unit", (SKILLS,)), Block("slip", "unit", (ITEMS,)), Block("guess", "unit", (ITEMS,))
    start = {"p": [0.7, 0.4], "slip": np.full(6, 0.13), "guess": np.full(6, 0.15)}
    assert disagreements(fit(text, STUDENTS), maximise(log_likelihood, blocks, [start])) == []


# --- cells that leave a value open ------------------------------------------------------------------------------------


def test_labels_seen_in_part_are_the_shipped_naive_bayes() -> None:
    """An observed label with empty cells is the hidden truth of the shipped model, seen where it was read."""
    text = """
index kind = {spam, ham}
index word = columns(offer, meeting, free, report, winner)
param share : simplex[kind]
param uses[kind, word] : unit
for each message:
    observed label   ~ Categorical(share)
    observed w[word] ~ Bernoulli(uses[label, word])
"""
    data = ROOT / "models" / "data" / "messages.csv"
    shipped = fit_shipped(ROOT / "models" / "naive_bayes.emm", data)
    assert disagreements(fit(text, str(data)), Optimum(shipped["loglik"], shipped["params"], shipped["se"])) == []


def test_a_table_with_empty_cells_as_one_answer_given_the_other() -> None:
    """p(first) p(second | first) is the joint table of the shipped model in other parameters."""
    text = """
index answer = {1, 2}
param p : simplex[answer]
param q[answer] : simplex[answer]
for each household:
    weight   count
    observed visit1 ~ Categorical(p)
    observed visit2 ~ Categorical(q[visit1])
"""
    data = ROOT / "models" / "data" / "crime.csv"
    found, shipped = fit(text, str(data)), fit_shipped(ROOT / "models" / "crime.emm", data)
    p, q = found["params"]["p"], found["params"]["q"]
    joint = {a: {b: p[a] * q[a][b] for b in "12"} for a in "12"}
    reference = Optimum(shipped["loglik"], shipped["params"], {})
    assert disagreements({**found, "params": {"p": joint}, "se": {}}, reference) == []


STATES = ("a", "b", "c")


def test_an_observed_chain_with_gaps() -> None:
    """The state after a gap of k steps follows the k-th power of the transition matrix."""
    text = """
index state = {a, b, c}
param start : simplex[state]
param A[state] : simplex[state]
for each animal:
    for each day in sequence:
        observed s ~ Markov(start, A)
"""
    rng = np.random.default_rng(5)
    truth = np.array([[0.6, 0.3, 0.1], [0.2, 0.5, 0.3], [0.3, 0.1, 0.6]])
    animals, cells = [], []
    for animal in range(30):
        state = rng.choice(3, p=[0.5, 0.3, 0.2])
        for _ in range(8):
            animals.append(str(animal))
            seen = rng.random()
            cells.append(None if seen < 0.25 else "b|c" if seen < 0.35 and state != 0 else STATES[state])
            state = rng.choice(3, p=truth[state])

    blocks = Block("start", "simplex", (STATES,)), Block("A", "simplex", (STATES, STATES))
    reference = maximise(
        lambda p: chain_loglik(animals, cells, p["start"], p["A"]), blocks, [{"start": [0.5, 0.3, 0.2], "A": truth}]
    )
    assert disagreements(fit(text, {"animal": animals, "s": cells}), reference) == []


def chain_loglik(animals: list[str], cells: list[str | None], start: Array, transition: Array) -> float:
    """The log-probability of what each chain shows, one step after the other."""
    total, forward, before = 0.0, start, ""
    for animal, cell in zip(animals, cells, strict=True):
        if animal != before:
            total += float(np.log(forward.sum()))
            forward = start
        else:
            forward = forward @ transition
        before = animal
        if cell is not None:
            forward = forward * np.isin(STATES, cell.split("|"))
    return total + float(np.log(forward.sum()))


# --- units that met a condition ---------------------------------------------------------------------------------------

FAMILIES = """
index sib = columns(s1, s2, s3)
param q : unit
param r : unit
for each family:
    weight   n
    latent   carrier ~ Bernoulli(r)
    observed y[sib] ~ Bernoulli(where(carrier == 1, q, 1/50))
    given    sum(k in sib: y[k]) >= 1
"""
SIBS: dict[str, list[Any]] = {
    "s1": [1, 0, 1, 1, 1], "s2": [0, 1, 1, 1, None], "s3": [0, 0, 0, 1, 0], "n": [30, 21, 24, 11, 5],
}  # fmt: skip


def families_loglik(p: Mapping[str, Any]) -> float:
    """Of families seen because a child is affected: the mixture over its share among all families."""

    def chance(cells: list[Any]) -> float:
        total = 0.0
        for carrier, share in ((1, p["r"]), (0, 1 - p["r"])):
            rate = p["q"] if carrier else 0.02
            total += share * np.prod([1.0 if cell is None else rate if cell else 1 - rate for cell in cells])
        return float(total)

    seen = 1 - chance([0, 0, 0])
    rows = zip(SIBS["s1"], SIBS["s2"], SIBS["s3"], SIBS["n"], strict=True)
    return sum(n * (np.log(chance([a, b, c])) - np.log(seen)) for a, b, c, n in rows)


def test_families_found_through_a_child() -> None:
    blocks = Block("q", "unit"), Block("r", "unit")
    reference = maximise(lambda p: families_loglik(p), blocks, [{"q": 0.4, "r": 0.3}])
    assert disagreements(fit(FAMILIES, SIBS), reference) == []


def test_the_likelihood_under_a_condition_never_falls() -> None:
    options: dict[str, Any] = {"tol": 0, "max_iter": 40, "accelerate": "none", "starts": 1, "se": "none"}
    options["init"] = {"q": 0.9, "r": 0.9}
    trace = emdsl.loads(FAMILIES).fit(SIBS, **options).trace
    values = np.asarray(trace["loglik"])
    assert len(values) > 20
    assert (np.diff(values) >= -1e-9).all()
    assert values[-1] > values[0] + 1


def test_phenotypes_of_which_one_is_never_seen() -> None:
    text = """
index allele = {A, B, O}
param p : simplex[allele]
for each person:
    weight   n
    latent   genotype ~ HardyWeinberg(p)
    observed group = case genotype:
        A/B -> AB
        A/_ -> A
        B/_ -> B
        _   -> O
    given    not (group == O)
"""
    data = {"group": ["A", "B", "AB", "A|B"], "n": [186, 38, 13, 20]}

    def log_likelihood(point: Point) -> float:
        a, b, o = point["p"]
        cells = np.array([a * a + 2 * a * o, b * b + 2 * b * o, 2 * a * b])
        cells = np.append(cells, cells[0] + cells[1])
        return float(np.asarray(data["n"]) @ np.log(cells / (1 - o * o)))

    reference = maximise(log_likelihood, [Block("p", "simplex", (("A", "B", "O"),))], [{"p": [0.25, 0.05, 0.7]}])
    assert disagreements(fit(text, data), reference) == []


def test_a_regression_whose_failures_are_left_out() -> None:
    """Newton's method on Q, with an input, under a condition: categories above the lowest, by a multinomial logit."""
    text = """
index level = {0, 1, 2}
param g0 : contrast[level]
param g1 : contrast[level]
for each row:
    input    x : real
    observed y : level ~ Categorical(softmax(k in level: g0[k] + g1[k]*x))
    given    y >= 1
"""
    rng = np.random.default_rng(2)
    x = rng.normal(size=400)
    scores = np.stack([np.zeros(400), 0.3 + 0.8 * x, -0.2 - 0.5 * x], axis=1)
    shares = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    y = np.array([rng.choice(3, p=share) for share in shares])
    x, y = x[y > 0], y[y > 0]
    found = fit(text, {"x": x.tolist(), "y": [str(v) for v in y]}, fix={"g0": {"1": 0.3}, "g1": {"1": 0.8}}, starts=1)

    def log_likelihood(p: Point) -> float:
        odds = np.exp((p["a"] - 0.3) + (p["b"] - 0.8) * x)  # of level 2 against level 1: all that such data can tell
        return float(np.log(np.where(y == 2, odds, 1.0) / (1 + odds)).sum())

    reference = maximise(log_likelihood, [Block("a", "real"), Block("b", "real")], [{"a": 0.0, "b": 0.0}])
    free = {"a": found["params"]["g0"]["2"], "b": found["params"]["g1"]["2"]}
    errors = {"a": found["se"]["g0"]["2"], "b": found["se"]["g1"]["2"]}
    assert disagreements({**found, "params": free, "se": errors}, reference) == []


# --- the posterior of a cell ------------------------------------------------------------------------------------------


def test_the_posterior_of_an_empty_cell() -> None:
    """What is seen of a unit says how probable each value of its empty cell is (Bayes' rule)."""
    text = """
index kind = {spam, ham}
index word = columns(a, b)
param share : simplex[kind]
param uses[kind, word] : unit
for each message:
    observed label ~ Categorical(share)
    observed w[word] ~ Bernoulli(uses[label, word])
"""
    params = {"share": {"spam": 0.3, "ham": 0.7}, "uses": {"spam": {"a": 0.8, "b": 0.5}, "ham": {"a": 0.1, "b": 0.4}}}
    data = {"label": ["spam", None], "a": [1, 1], "b": [0, 0]}
    table = emdsl.loads(text).posterior(data, params)
    spam = 0.3 * 0.8 * 0.5
    assert list(table["P(label=spam)"]) == pytest.approx([1.0, spam / (spam + 0.7 * 0.1 * 0.6)], abs=1e-12)
