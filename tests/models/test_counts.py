"""Latent counts, without a bound and up to one: direct maximisation, identities of thinning, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import binom, geom, nbinom, poisson

import emdsl
from tests.models.comparison import disagreements
from tests.models.direct_maximisation import Block, Point, maximise
from tests.models.vector_and_count_likelihoods import counts_evidence

#: Far beyond the posterior of the counts drawn here.
VALUES = np.arange(400)


def surveys(seed: int = 5, sites: int = 60) -> dict[str, Any]:
    """Three surveys of each site, of a Poisson(6) number each of which is counted with chance 0.4."""
    rng = np.random.default_rng(seed)
    animals = rng.poisson(6, sites)
    return {"site": np.repeat(np.arange(sites), 3), "y": rng.binomial(np.repeat(animals, 3), 0.4)}


def model(law: str, parameters: str) -> str:
    return f"""
{parameters}
param p : unit
for each site:
    latent N ~ {law}
    for each survey:
        observed y ~ Binomial(N, p)
"""


POISSON = model("Poisson(lambda)", "param lambda : positive")


def fit(text: str, data: dict[str, Any], **options: Any) -> dict[str, Any]:
    result: dict[str, Any] = emdsl.loads(text).fit(data, **options).to_dict()
    return result


LAWS = {
    "poisson": ("Poisson(a)", "positive", 5.0, lambda a: poisson.logpmf(VALUES, a)),
    "geometric": ("Geometric(a)", "unit", 0.2, lambda a: geom.logpmf(VALUES + 1, a)),
    "binomial": ("Binomial(20, a)", "unit", 0.3, lambda a: binom.logpmf(VALUES, 20, a)),
    "negative binomial": ("NegativeBinomial(a, 4)", "positive", 5.0, lambda a: nbinom.logpmf(VALUES, 4, 4 / (4 + a))),
    "a rate above one": ("Poisson(a + 1)", "positive", 5.0, lambda a: poisson.logpmf(VALUES, a + 1)),
}


@pytest.mark.parametrize("name", LAWS)
def test_a_count_without_bound_agrees_with_direct_maximisation(name: str) -> None:
    law, domain, start, prior = LAWS[name]
    data = surveys()

    def log_likelihood(q: Point) -> float:
        seen = binom.logpmf(data["y"][:, None], VALUES, q["p"])
        return counts_evidence(np.tile(prior(q["a"]), (60, 1)), seen, data["site"])

    reference = maximise(log_likelihood, (Block("a", domain), Block("p", "unit")), [{"a": start, "p": 0.4}])
    found = fit(model(law, f"param a : {domain}"), data)
    assert disagreements(found, reference) == []
    assert found["starts"]["run"] == 1


def test_the_bound_rises_as_far_as_the_posterior_goes() -> None:
    """Hidden counts of some 700 of which one in fifty is seen: far beyond twice the largest count in the data."""
    rng = np.random.default_rng(1)
    data = {"site": np.arange(40), "y": rng.binomial(rng.poisson(700, 40), 0.02)}
    text = model("Poisson(lambda)", "param lambda : positive").replace("param p : unit\n", "const p = 0.02\n")
    fitted = emdsl.loads(text).fit(data)
    mean = float(data["y"].mean())
    assert fitted.params["lambda"] == pytest.approx(mean / 0.02, rel=1e-6)
    assert fitted.loglik == pytest.approx(poisson.logpmf(data["y"], mean).sum(), abs=1e-6)
    (said,) = (line for line in fitted.to_dict()["warnings"] if "summed over" in line)
    top = len(fitted.outcome.bound.indexes["N"]) - 1
    assert top > 2 * data["y"].max() + 50
    assert f"0 to {top}" in said and "less than 1e-12" in said
    posterior = fitted.posterior()
    assert np.asarray(posterior["mean(N)"]) == pytest.approx(data["y"] + mean / 0.02 * 0.98, rel=1e-8)


def test_thinned_counts_in_classes_are_poisson() -> None:
    """`N ~ Poisson`, some caught, some of the rest caught later: the two catches are independent Poisson counts."""
    rng = np.random.default_rng(3)
    animals = rng.poisson(np.where(rng.random(200) < 0.4, 3, 20))
    caught = rng.binomial(animals, 0.5)
    data = {"caught": caught, "later": rng.binomial(animals - caught, 0.8)}
    text = """
index class = 1..2
param share : simplex[class]
param rate[class] : positive
for each trap:
    latent z ~ Categorical(share)
    latent N ~ Poisson(rate[z])
    observed caught ~ Binomial(N, 0.5)
    observed later ~ Binomial(N - caught, 0.8)
order class by rate
"""

    def log_likelihood(q: Point) -> float:
        both = [poisson.logpmf(data["caught"], r / 2) + poisson.logpmf(data["later"], 0.4 * r) for r in q["rate"]]
        return float(logsumexp(np.log(q["share"])[:, None] + np.array(both), axis=0).sum())

    two = (("1", "2"),)
    blocks = Block("share", "simplex", two), Block("rate", "positive", two)
    reference = maximise(log_likelihood, blocks, [{"share": [0.4, 0.6], "rate": [3.0, 20.0]}])
    found = fit(text, data)
    assert disagreements(found, reference) == []
    assert found["starts"]["run"] == 50


def test_a_zero_inflated_hidden_count_agrees_with_direct_maximisation() -> None:
    data = surveys(seed=12)
    gone = np.random.default_rng(0).random(60) < 0.3
    data["y"] = np.where(gone[data["site"]], 0, data["y"])
    text = """
index kind = {absent, present}
param share : simplex[kind]
param lambda : positive
param p : unit
for each site:
    latent z ~ Categorical(share)
    latent N ~ case z:
        absent  -> Point(0)
        present -> Poisson(lambda)
    for each survey:
        observed y ~ Binomial(N, p)
"""

    def log_likelihood(q: Point) -> float:
        prior = np.log(q["share"][1]) + poisson.logpmf(VALUES, q["lambda"])
        prior[0] = np.logaddexp(prior[0], np.log(q["share"][0]))
        return counts_evidence(np.tile(prior, (60, 1)), binom.logpmf(data["y"][:, None], VALUES, q["p"]), data["site"])

    blocks = Block("share", "simplex", (("absent", "present"),)), Block("lambda", "positive"), Block("p", "unit")
    reference = maximise(log_likelihood, blocks, [{"share": [0.3, 0.7], "lambda": 6.0, "p": 0.4}])
    assert disagreements(fit(text, data), reference) == []


def test_an_array_of_counts_is_one_count_for_each_element() -> None:
    one, two = surveys(seed=20), surveys(seed=21)
    text = """
index species = {a, b}
param lambda[species] : positive
param p : unit
for each site:
    latent N[species] ~ Poisson(lambda[species])
    for each survey:
        observed y[species] ~ Binomial(N[species], p)
"""

    def log_likelihood(q: Point) -> float:
        total = 0.0
        for rate, data in zip(q["lambda"], (one, two), strict=True):
            seen = binom.logpmf(data["y"][:, None], VALUES, q["p"])
            total += counts_evidence(np.tile(poisson.logpmf(VALUES, rate), (60, 1)), seen, data["site"])
        return total

    blocks = Block("lambda", "positive", (("a", "b"),)), Block("p", "unit")
    reference = maximise(log_likelihood, blocks, [{"lambda": [6.0, 6.0], "p": 0.4}])
    found = fit(text, {"site": one["site"], "y_a": one["y"], "y_b": two["y"]})
    assert disagreements(found, reference) == []


def test_an_open_population_agrees_with_the_sum_over_its_paths() -> None:
    """Counts of a chain: survivors and newcomers make the next year's number (Dail & Madsen 2011), evaluated at a
    point."""
    data = {"site": np.repeat(np.arange(3), 3), "y": np.array([1, 0, 2, 3, 3, 1, 0, 0, 1])}
    text = """
param lambda : positive
param phi : positive
param gamma : positive
param p : unit
for each site:
    for each year in sequence:
        latent N ~ Poisson(lambda) first, Poisson(phi*prev(N) + gamma) after
        observed y ~ Binomial(N, p)
"""
    at = {"lambda": 2.0, "phi": 0.6, "gamma": 0.8, "p": 0.5}
    values = np.arange(101)
    step = poisson.logpmf(values[None, :], 0.6 * values[:, None] + 0.8)
    total = 0.0
    for site in range(3):
        y = data["y"][data["site"] == site]
        state = poisson.logpmf(values, 2.0) + binom.logpmf(y[0], values, 0.5)
        for seen in y[1:]:
            state = logsumexp(state[:, None] + step, axis=0) + binom.logpmf(seen, values, 0.5)
        total += float(logsumexp(state))
    assert fit(text, data, init=at, max_iter=0, starts=1)["loglik"] == pytest.approx(total, abs=1e-9)


# --- up to ------------------------------------------------------------------------------------------------------------


def test_a_bound_that_the_model_gives_is_not_renormalised_and_warns() -> None:
    data = surveys()
    text = POISSON.replace("Poisson(lambda)", "Poisson(lambda) up to 12")
    at = {"lambda": 6.0, "p": 0.4}
    values = np.arange(13)
    seen = binom.logpmf(data["y"][:, None], values, 0.4)
    exact = counts_evidence(np.tile(poisson.logpmf(values, 6.0), (60, 1)), seen, data["site"])
    found = fit(text, data, init=at, max_iter=0, starts=1)
    assert found["loglik"] == pytest.approx(exact, abs=1e-9)
    assert any("`N` is cut off at 12" in line for line in found["warnings"])


def test_a_bound_far_away_changes_nothing_and_says_nothing() -> None:
    data = surveys()
    free, bounded = fit(POISSON, data), fit(POISSON.replace("(lambda)", "(lambda) up to 150", 1), data)
    assert bounded["loglik"] == pytest.approx(free["loglik"], abs=1e-9)
    assert bounded["warnings"] == []


def test_a_bound_may_be_a_constant() -> None:
    text = "const top = 80\n" + POISSON.replace("Poisson(lambda)", "Poisson(lambda) up to top")
    fitted = emdsl.loads(text).fit(surveys(), set={"top": 60})
    assert len(fitted.outcome.bound.indexes["N"]) == 61


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("latent N ~ Exponential(lambda) up to 5", "it draws no counts"),
        ("latent N ~ Poisson(lambda) up to 2.5", "a whole number of 1 or more"),
        ("latent N ~ Poisson(lambda) up to 0", "a whole number of 1 or more"),
    ],
)
def test_a_bound_of_something_else_is_an_error(statement: str, message: str) -> None:
    with pytest.raises(emdsl.EmmError, match=message):
        emdsl.loads(POISSON.replace("latent N ~ Poisson(lambda)", statement))


def test_a_bound_below_the_data_says_so() -> None:
    with pytest.raises(emdsl.FitError, match="cuts off `N` at 3"):
        fit(POISSON.replace("Poisson(lambda)", "Poisson(lambda) up to 3"), surveys())


@pytest.mark.parametrize("cell", [-1, 1.5])
def test_counts_in_the_data_are_whole_and_not_negative(cell: float) -> None:
    data = surveys()
    data["y"] = np.where(np.arange(len(data["y"])) == 4, cell, data["y"])
    with pytest.raises(emdsl.EmmError) as caught:
        fit(POISSON, data)
    assert caught.value.diagnostics[0].code == "outside-support"


# --- posterior and simulation -----------------------------------------------------------------------------------------


def test_the_posterior_of_a_count() -> None:
    data = surveys()
    fitted = emdsl.loads(POISSON).fit(data)
    params: Any = fitted.params
    rate, p = params["lambda"], params["p"]
    values = np.arange(len(fitted.outcome.bound.indexes["N"]))
    log = np.tile(poisson.logpmf(values, rate), (60, 1))
    np.add.at(log, data["site"], binom.logpmf(data["y"][:, None], values, p))
    shares = np.exp(log - logsumexp(log, axis=1, keepdims=True))
    found = fitted.posterior()
    assert np.asarray(found["mean(N)"]) == pytest.approx(shares @ values, abs=1e-8)
    assert [int(label) for label in found["N"]] == shares.argmax(axis=1).tolist()
    assert np.asarray(found["P(N=5)"]) == pytest.approx(shares[:, 5], abs=1e-10)


def test_simulated_counts_have_their_law_however_large() -> None:
    data = {"site": np.repeat(np.arange(4000), 2), "y": np.ones(8000)}
    fitted = emdsl.loads(POISSON).fit(data, init={"lambda": 400.0, "p": 0.3}, max_iter=0, starts=1, se="none")
    drawn = fitted.simulate(seed=1, latent=True)
    animals, counted = (np.asarray(drawn[name], dtype=float) for name in ("N", "y"))
    assert animals[::2] == pytest.approx(animals[1::2])
    assert animals.mean() == pytest.approx(400, abs=4 * 20 / np.sqrt(4000))
    assert animals[::2].var() == pytest.approx(400, rel=4 * np.sqrt(2 / 4000))
    assert counted.mean() == pytest.approx(120, abs=4 * np.sqrt(120 / 4000))


def test_check_says_how_far_the_sum_goes() -> None:
    from emdsl.request import FitRequest

    lines = emdsl.loads(POISSON).compiled.check(surveys(), FitRequest())
    assert any("N: summed over 0 to 50 at first" in line for line in lines)
