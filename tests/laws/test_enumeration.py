"""Random graphs: the log-likelihood, the posterior and the score against the enumeration of all hidden states."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from emdsl.diagnostics.errors import EmmError
from tests.laws.bound_models import Taken, random_theta, slope, take, tangent
from tests.laws.enumeration import Enumeration
from tests.laws.marginals import disagreements
from tests.laws.random_models import RandomModel, random_model

#: How many random graphs the default suite looks at, and how many more the slow one.
GRAPHS, MORE = 300, 1500

seeds = pytest.mark.parametrize(
    "seed", [pytest.param(seed, marks=[pytest.mark.slow] if seed >= GRAPHS else []) for seed in range(GRAPHS + MORE)]
)


@functools.lru_cache(maxsize=4)
def taken(seed: int) -> tuple[RandomModel, Taken]:
    """The graph of a seed, bound to its table; skipped where the engine says that it has no plan for it yet."""
    model = random_model(seed)
    try:
        return model, take(model.text, model.columns)
    except EmmError as error:
        if error.code != "not-supported-yet":
            raise
        pytest.skip(f"no plan yet: {error.message}")


@seeds
def test_random_graph(seed: int) -> None:
    """Everything about one graph in one test, for the derivation is what takes the time."""
    model, bound = taken(seed)
    rng = np.random.default_rng(seed)
    problem, start = bound.problem, bound.problem.initial()
    for boundary in (False, True):
        theta = random_theta(problem.spaces, rng, start, boundary=boundary)
        expectation = problem.expect(theta)
        enumeration = Enumeration(bound.compiled.model, model.columns, theta)
        loglik = enumeration.loglik()
        assert expectation.loglik == pytest.approx(loglik, rel=1e-10, abs=1e-10), model.text
        assert all(np.isfinite(value).all() for value in expectation.statistics.values()), model.text
        if np.isfinite(loglik):
            assert disagreements(enumeration, problem.program.pieces, expectation.statistics) == [], model.text
        if np.isfinite(loglik) and not boundary:
            check_score(bound, theta, rng)


def check_score(bound: Taken, theta: dict[str, np.ndarray], rng: np.random.Generator) -> None:
    """The gradient at the expected statistics is the slope of the log-likelihood (Fisher's identity)."""
    problem = bound.problem
    gradient = problem.gradient(theta, problem.expect(theta).statistics)
    for space in problem.spaces:
        step = {space.name: tangent(space, rng)}
        found = slope(bound.value, theta, step, 1e-3)
        # what is held, a structural zero say, has no slope to speak of
        promised = float(np.sum(np.where(space.fixed, 0.0, gradient[space.name]) * step[space.name]))
        assert promised == pytest.approx(found, rel=2e-7, abs=2e-7), f"{space.name} of\n{bound.compiled.text}"


def test_most_graphs_are_possible() -> None:
    """The generator draws data that the models allow, most of the time, and uses every construct."""
    possible, text = 0, ""
    for seed in range(40):
        model = random_model(seed)
        text += model.text
        try:
            bound = take(model.text, model.columns)
        except EmmError:
            continue
        theta = random_theta(bound.problem.spaces, np.random.default_rng(seed), bound.problem.initial())
        possible += bool(np.isfinite(bound.problem.expect(theta).loglik))
    assert possible >= 30
    everything = ["Markov", "after", "only", "weight", "Bernoulli", "HardyWeinberg", "softmax", "case", "Point", "[item]"]
    assert [word for word in everything if word not in text] == []
