"""Likelihoods of models with hidden chains and hidden classes at several levels, coded directly from the models'
definitions. Nothing here uses emdsl.

Where the maximum lies at a boundary, the elements there are held in the reference, as in the standard errors of a fit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

from tests.models.direct_maximisation import Array, Block, Optimum, Point, maximise
from tests.models.likelihoods import TWO, columns, log_normal, numbers
from tests.models.wider_likelihoods import answers, bernoulli, by_group, codes, forward, mixture, padded


def chained(start: Array, transition: Array, log_emission: Array, inside: NDArray[np.bool_]) -> float:
    """`forward` with a transition matrix of its own for each step and chain: `(steps, chains, states, states)`."""
    emission = np.exp(log_emission)
    alpha = start * emission[0]
    total = 0.0
    for step in range(len(emission)):
        if step:
            moved = np.einsum("cs,cst->ct", alpha, transition[step]) * emission[step]
            alpha = np.where(inside[step][:, None], moved, alpha)
        mass = alpha.sum(axis=1)
        total += np.log(mass).sum()
        alpha = alpha / mass[:, None]
    return float(total)


def with_known(found: Optimum, known: dict[str, Any]) -> Optimum:
    """An optimum with elements that were held where the maximum has them."""
    return replace(found, estimates={**found.estimates, **known})


def dynamic_occupancy() -> Optimum:
    """The states of a site over the seasons, enumerated; surveys are independent given the state."""
    table = columns("seasons.csv")
    site, season = (np.unique(table[name], return_inverse=True)[1] for name in ("site", "season"))
    seen = answers("seasons.csv", "seen")[:, 0]
    place = site * 4 + season
    hits, surveys = by_group(place, seen).reshape(-1, 4), np.bincount(place).reshape(-1, 4)
    paths = (np.arange(16)[:, None] >> np.arange(4)) & 1

    def log_likelihood(p: Point) -> float:
        first = np.where(paths[:, 0] == 1, p["psi"], 1 - p["psi"])
        alive = np.where(paths[:, :-1] == 1, 1 - p["lost"], p["colonised"])
        law = first * np.where(paths[:, 1:] == 1, alive, 1 - alive).prod(axis=1)
        there = p["d"] ** hits * (1 - p["d"]) ** (surveys - hits)
        evidence = np.where(paths[:, None] == 1, there, hits == 0).prod(axis=2)
        return float(np.log(law @ evidence).sum())

    names = ("psi", "colonised", "lost", "d")
    start = {"psi": 0.5, "colonised": 0.25, "lost": 0.2, "d": 0.5}
    return maximise(log_likelihood, [Block(name, "unit") for name in names], [start])


def cormack_jolly_seber() -> Optimum:
    """Between first and last capture each animal lived; behind the last it died or was missed: the classical chi terms
    (Seber 1965)."""
    histories: dict[str, list[int]] = {}
    for animal, caught in zip(*(columns("recaptures.csv")[name] for name in ("animal", "caught")), strict=True):
        histories.setdefault(animal, []).append(int(caught))
    last = [max(k for k, c in enumerate(history) if c) for history in histories.values()]
    lived = sum(last)
    caught = sum(sum(history[1:]) for history in histories.values())
    after = np.bincount([len(history) - 1 - k for history, k in zip(histories.values(), last, strict=True)])

    def log_likelihood(p: Point) -> float:
        total = lived * np.log(p["phi"]) + xlogy(caught, p["p"]) + (lived - caught) * np.log(1 - p["p"])
        chi: Any = 1.0
        for number in after:
            total = total + number * np.log(chi)
            chi = 1 - p["phi"] + p["phi"] * (1 - p["p"]) * chi
        return float(total)

    return maximise(log_likelihood, (Block("phi", "unit"), Block("p", "unit")), [{"phi": 0.8, "p": 0.5}])


def growth_mixture() -> Optimum:
    """Two quadratic curves; a pupil's school sets the shares."""
    schools = ("east", "north", "west")
    table = columns("schools.csv")
    pupil = np.unique(table["pupil"], return_inverse=True)[1]
    first = np.unique(pupil, return_index=True)[1]
    school = codes("schools.csv", "school", schools)[first]
    year, score = numbers("schools.csv", "year", "score")

    def log_likelihood(p: Point) -> float:
        line = p["b0"] + p["b1"] * year[:, None] + p["b2"] * year[:, None] ** 2
        rows = log_normal(score[:, None], line, p["sigma"])
        return float(mixture(np.log(p["share"])[school], by_group(pupil, rows)).sum())

    blocks = [Block("share", "simplex", (schools, TWO))]
    blocks += [Block(name, "real", (TWO,)) for name in ("b0", "b1", "b2")] + [Block("sigma", "positive", (TWO,))]
    start = {"share": [[0.7, 0.3], [0.3, 0.7], [0.5, 0.5]], "b0": [5, 4], "b1": [1, 3], "b2": [0.1, -0.3]}
    return maximise(log_likelihood, blocks, [{**start, "sigma": [0.8, 1.4]}])


def mover_stayer() -> Optimum:
    """A history without a move is a stayer's or a mover's, any other a mover's (Frydman 1984)."""
    jobs, kinds = ("office", "works", "farm"), ("mover", "stayer")
    person = np.unique(columns("jobs.csv")["person"], return_inverse=True)[1]
    job = codes("jobs.csv", "job", jobs)
    later = np.flatnonzero(person[1:] == person[:-1]) + 1
    began = np.unique(person, return_index=True)[1]
    moved = by_group(person[later], (job[later] != job[later - 1]).astype(float)[:, None])[:, 0] > 0

    def log_likelihood(p: Point) -> float:
        steps = by_group(person[later], np.log(p["A"])[job[later - 1], job[later]][:, None])[:, 0]
        mover = p["share"][0] * p["start"][0][job[began]] * np.exp(steps)
        return float(np.log(mover + p["share"][1] * p["start"][1][job[began]] * ~moved).sum())

    blocks = (
        Block("share", "simplex", (kinds,)), Block("start", "simplex", (kinds, jobs)),
        Block("A", "simplex", (jobs, jobs)),
    )  # fmt: skip
    start = {"share": [0.7, 0.3], "start": [[0.4, 0.4, 0.2], [0.3, 0.2, 0.5]]}
    return maximise(log_likelihood, blocks, [{**start, "A": [[0.6, 0.3, 0.1], [0.3, 0.6, 0.1], [0.2, 0.3, 0.5]]}])


def switching_autoregression() -> Optimum:
    """The filter of Hamilton (1989); the first value is given, and the second tells the regime of the first one."""
    (y,) = numbers("growth_rates.csv", "y")
    inside = np.ones((len(y), 1), dtype=bool)

    def log_likelihood(p: Point) -> float:
        rows = np.zeros((len(y), 1, 2))
        rows[1:, 0] = log_normal(y[1:, None], p["c"] + p["phi"] * y[:-1, None], p["sigma"])
        return forward(np.array([0.0, 1.0]), p["A"], rows, inside)

    blocks = [Block("A", "simplex", (TWO, TWO))] + [Block(name, "real", (TWO,)) for name in ("c", "phi")]
    start = {"A": [[0.87, 0.13], [0.08, 0.92]], "c": [-0.6, 0.8], "phi": [0.5, 0.2], "sigma": [0.65, 0.37]}
    found = maximise(log_likelihood, [*blocks, Block("sigma", "positive", (TWO,))], [start])
    return with_known(found, {"start": {"1": 0.0, "2": 1.0}})


def input_output_hmm() -> Optimum:
    """Chains whose transition matrix is a logit in the input of the step."""
    u, y = numbers("stimuli.csv", "u", "y")
    both, inside = padded(columns("stimuli.csv")["animal"], np.stack([u, y], axis=1))

    def log_likelihood(p: Point) -> float:
        eta = p["a"] + p["b"] * both[..., 0, None, None]
        powers = np.exp(eta - eta.max(axis=-1, keepdims=True))
        transition = powers / powers.sum(axis=-1, keepdims=True)
        emission = log_normal(both[..., 1, None], p["mu"] + p["gain"] * both[..., 0, None], p["sigma"])
        return chained(p["start"], transition, emission, inside)

    blocks = (
        Block("start", "simplex", (TWO,)), Block("a", "contrast", (TWO, TWO)), Block("b", "contrast", (TWO, TWO)),
        Block("mu", "real", (TWO,)), Block("gain", "real"), Block("sigma", "positive"),
    )  # fmt: skip
    start = {"start": [0.6, 0.4], "a": [[0, -1], [0, 1.2]], "b": [[0, 1.5], [0, 0.5]]}
    return maximise(log_likelihood, blocks, [{**start, "mu": [1, 3], "gain": 0.4, "sigma": 0.6}])


def duration_hmm() -> Optimum:
    """A chain over five phases of which the last one of each weather may stay."""
    weathers, phases = ("calm", "stormy"), ("calm1", "calm2", "calm3", "stormy1", "stormy2")
    (height,) = numbers("spells.csv", "height")
    weather = np.array([0, 0, 0, 1, 1])
    inside = np.ones((len(height), 1), dtype=bool)

    def matrix(calm: Any, stormy: Any) -> Array:
        found = np.zeros((5, 5))
        found[0, 1] = found[1, 2] = found[3, 4] = 1.0
        found[2, 2:4], found[4, [4, 0]] = (calm, 1 - calm), (stormy, 1 - stormy)
        return found

    def log_likelihood(p: Point) -> float:
        emission = log_normal(height[:, None, None], p["mu"][weather], p["sigma"][weather])
        return forward(np.eye(5)[0], matrix(*p["stays"]), emission, inside)

    blocks = (
        Block("stays", "unit", (weathers,)), Block("mu", "real", (weathers,)), Block("sigma", "positive", (weathers,)),
    )  # fmt: skip
    found = maximise(log_likelihood, blocks, [{"stays": [0.7, 0.6], "mu": [0.3, 1.4], "sigma": [0.4, 0.5]}])
    stays, errors = found.estimates.pop("stays"), found.errors.pop("stays")
    law = matrix(stays["calm"], stays["stormy"])
    rows = {a: {b: float(law[i, j]) for j, b in enumerate(phases)} for i, a in enumerate(phases)}
    found.errors["A"] = {
        "calm3": dict.fromkeys(("calm3", "stormy1"), errors["calm"]),
        "stormy2": dict.fromkeys(("stormy2", "calm1"), errors["stormy"]),
    }
    return with_known(found, {"A": rows, "start": {name: float(name == "calm1") for name in phases}})


def plsa() -> Optimum:
    """Each cell's probability is a sum over topics. The maximum has zeros: pure documents, and words of one topic."""
    words = ("ball", "bank", "bond", "goal", "loan", "match", "stock", "team")
    documents = tuple(f"d{number:02d}" for number in range(1, 13))
    table = np.zeros((12, 8))
    (count,) = numbers("word_counts.csv", "count")
    table[codes("word_counts.csv", "doc", documents), codes("word_counts.csv", "word", words)] = count
    pure = np.array([[1.0, 0.0]] * 3 + [[0.0, 1.0]] * 3)
    own = (("ball", "goal", "match", "team"), ("bank", "bond", "goal", "loan", "match", "stock"))
    place = [[words.index(word) for word in list_] for list_ in own]

    def log_likelihood(p: Point) -> float:
        phi = np.zeros((2, 8))
        phi[0, place[0]], phi[1, place[1]] = p["first"], p["second"]
        return float(xlogy(table, np.concatenate([pure, p["mixed"]]) @ phi).sum())

    blocks = (
        Block("mixed", "simplex", (documents[6:], TWO)), Block("first", "simplex", (own[0],)),
        Block("second", "simplex", (own[1],)),
    )  # fmt: skip
    start = {"mixed": np.full((6, 2), 0.5), "first": [0.3, 0.25, 0.25, 0.2]}
    found = maximise(log_likelihood, blocks, [{**start, "second": [0.25, 0.2, 0.05, 0.25, 0.05, 0.2]}])

    def named(values: dict[str, Any]) -> dict[str, Any]:
        return {"theta": values["mixed"], "phi": {"1": values["first"], "2": values["second"]}}

    estimates = named(found.estimates)
    for number, name in enumerate(documents[:6]):
        estimates["theta"][name] = dict(zip(TWO, pure[number], strict=True))
    for topic in TWO:
        estimates["phi"][topic] = {word: estimates["phi"][topic].get(word, 0.0) for word in words}
    return Optimum(found.loglik, estimates, named(found.errors))


def two_level_latent_class() -> Optimum:
    """For each kind of a school the product over its pupils of their mixtures (Vermunt 2003)."""
    items = tuple(f"item_{k}" for k in range(1, 5))
    y = answers("pupils.csv", *items)
    school = np.unique(columns("pupils.csv")["school"], return_inverse=True)[1]

    def log_likelihood(p: Point) -> float:
        said = bernoulli(y, p["yes"])
        of_kind = np.stack([mixture(np.log(share), said) for share in p["share"]], axis=1)
        return float(mixture(np.log(p["kinds"]), by_group(school, of_kind)).sum())

    blocks = (
        Block("kinds", "simplex", (TWO,)), Block("share", "simplex", (TWO, TWO)), Block("yes", "unit", (TWO, items)),
    )  # fmt: skip
    yes = [[0.2, 0.1, 0.3, 0.07], [0.85, 0.75, 0.75, 0.7]]
    return maximise(log_likelihood, blocks, [{"kinds": [0.5, 0.5], "share": [[0.3, 0.7], [0.8, 0.2]], "yes": yes}])


#: The reference of each model on the data that it ships with.
HIDDEN: dict[str, Callable[[], Optimum]] = {
    function.__name__: function
    for function in (
        dynamic_occupancy, cormack_jolly_seber, growth_mixture, mover_stayer, switching_autoregression,
        input_output_hmm, duration_hmm, plsa, two_level_latent_class,
    )
}  # fmt: skip
