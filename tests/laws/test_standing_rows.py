"""Sums over a few rows that stand for all are those over all rows."""

from __future__ import annotations

import tracemalloc
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import emdsl
from emdsl.fitting import Fitting
from emdsl.plan import condensing
from emdsl.plan.problem import BoundProblem
from emdsl.plan.program import Program
from emdsl.runtime import standing

ROWS = 120_000
Data = dict[str, Any]
Array = NDArray[np.float64]

HEAD = """
index k = 1..3
index sex = {f, m}
param p : simplex[k]
param q[k] : simplex[sex]
param mu[k] : real
param s[k] : positive
for each row:
    latent z ~ Categorical(p)
"""
CENTRES, SPREADS = (-2.0, 0.5, 3.0), (1.0, 0.6, 1.4)
THETA = {
    "p": np.array([0.3, 0.3, 0.4]), "q": np.array([[0.2, 0.8], [0.5, 0.5], [0.9, 0.1]]),
    "mu": np.array(CENTRES), "s": np.array(SPREADS),
}  # fmt: skip


def sample() -> Data:
    rng = np.random.default_rng(5)
    z = rng.integers(3, size=ROWS)
    x = rng.normal(np.array(CENTRES)[z], np.array(SPREADS)[z])
    return {"x": x, "g": np.exp(0.5 * x), "sex": np.where(rng.random(ROWS) < 0.4, "f", "m")}


def with_gaps(data: Data) -> Data:
    x = data["x"].copy()
    x[::9] = np.nan
    return {**data, "x": x}


def with_far_rows(data: Data) -> Data:
    x = data["x"].copy()
    x[:3] = 1e3, -1e4, 1e5
    return {**data, "x": x}


def as_they_are(data: Data) -> Data:
    return data


#: The laws of a row, and the data.
MODELS = {
    "normal": ("    observed x ~ Normal(mu[z], s[z])", as_they_are),
    "far rows": ("    observed x ~ Normal(mu[z], s[z])", with_far_rows),
    "missing": ("    observed x ~ Normal(mu[z], s[z])", with_gaps),
    "lognormal": ("    observed g ~ LogNormal(mu[z], s[z])", as_they_are),
    "gamma": ("    observed g ~ Gamma(s[z], 1 + s[z])", as_they_are),
    "von Mises": ("    observed x ~ VonMises(mu[z], s[z])", lambda data: {**data, "x": data["x"] % 3.0}),
    "labels": ("    observed sex ~ Categorical(q[z])\n    observed x ~ Normal(mu[z], s[z])", with_gaps),
    "two hidden": (
        "    latent w ~ Categorical(q[z])\n    observed x ~ Normal(mu[z] + where(w == m, 1, 0), s[z])", as_they_are,
    ),
    "noise": (
        "    observed x ~ case z:\n        1 -> Normal(mu[1], s[1])\n        2 -> Normal(mu[2], s[2])\n"
        "        3 -> Uniform(-20, 20)", as_they_are,
    ),
}  # fmt: skip


def problem_of(laws: str, data: Data, **options: Any) -> BoundProblem:
    """The program on these data, at which a fit would begin."""
    found: list[BoundProblem] = []
    inner = Fitting._problem

    def noted(self: Fitting, bound: Any) -> BoundProblem:
        found.append(inner(self, bound))
        return found[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Fitting, "_problem", noted)
        used = {name: values for name, values in data.items() if f" {name} " in laws or name == "w"}
        emdsl.loads(_model(laws)).fit(used, starts=1, max_iter=0, se="none", **options)
    return found[0]


def _model(laws: str) -> str:
    text = HEAD + laws + "\n"
    unused = [name for name in ("q", "mu") if f"{name}[" not in laws]
    return "\n".join(line for line in text.splitlines() if not line.startswith(tuple(f"param {n}[" for n in unused)))


def numbers(by_label: Any) -> list[float]:
    """The values of an estimated array."""
    return list(by_label.values())


def compare(program: Program, theta: Mapping[str, Array]) -> int:
    """Compares the two sums, and returns how many rows stood for all."""
    assert program.condensed is not None
    few, all_ = program.expect(theta), program.expect(theta, row_by_row=True)
    # Each sums rounding errors of its own: 120,000 of some 1e-16.
    np.testing.assert_allclose(few[0], all_[0], rtol=1e-13)
    for name, expected in all_[1].items():
        scale = np.abs(expected).max(axis=tuple(range(expected.ndim - 1)), keepdims=True)
        assert (np.abs(few[1][name] - expected) <= 1e-12 * scale).all(), name
    assert program.condensed.rows is not None
    return program.condensed.rows


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few rows are laid at the first E-step."""
    monkeypatch.setattr(condensing, "FEWEST_ROWS", 1_000)
    monkeypatch.setattr(condensing, "PATIENCE", 0)


@pytest.mark.parametrize("name", MODELS)
def test_a_few_rows_say_what_all_say(name: str) -> None:
    laws, change = MODELS[name]
    program = problem_of(laws, change(sample())).program
    theta = {parameter: THETA[parameter] for parameter in program.layout.shapes}
    assert compare(program, theta) < ROWS / 4


def test_weights_of_rows_are_kept() -> None:
    laws = MODELS["normal"][0]
    data = {**sample(), "w": np.random.default_rng(1).integers(1, 4, size=ROWS).astype(float)}
    program = problem_of(laws, data, weight="w").program
    compare(program, {name: THETA[name] for name in program.layout.shapes})


@pytest.mark.parametrize("seed", range(8))
def test_whatever_the_parameters_are(seed: int) -> None:
    rng = np.random.default_rng(seed)
    program = problem_of(MODELS["normal"][0], sample()).program
    theta = {
        "p": rng.dirichlet(np.ones(3)), "mu": 3.0 * rng.normal(size=3), "s": np.exp(0.7 * rng.normal(size=3)),
    }  # fmt: skip
    compare(program, theta)


def test_a_component_that_dies_keeps_its_digits() -> None:
    """All that it has lies 70 logarithms below the others: its own estimates still are those of all rows."""
    program = problem_of(MODELS["normal"][0], sample()).program
    compare(program, {"p": np.array([1e-30, 0.4, 0.6]), "mu": np.array(CENTRES), "s": np.array(SPREADS)})


@pytest.mark.parametrize("spread", [1e-2, 1e-3, 1e-4, 1e-6])
def test_a_narrow_component_is_never_missed(spread: float) -> None:
    """Between two rows that stand for others there may be room for all that a narrow component holds."""
    data = sample()
    program = problem_of(MODELS["normal"][0], data).program
    assert program.condensed is not None
    wide = {"p": np.array(THETA["p"]), "mu": np.array(CENTRES), "s": np.array(SPREADS)}
    compare(program, wide)
    narrow = {**wide, "mu": np.array([-2.0, float(data["x"][17]), 3.0]), "s": np.array([1.0, spread, 1.4])}
    few, all_ = program.expect(narrow), program.expect(narrow, row_by_row=True)
    np.testing.assert_allclose(few[0], all_[0], rtol=1e-13)


@pytest.mark.parametrize("seed", [0, 2, 3])
def test_a_peak_between_two_nodes_is_seen(seed: int) -> None:
    """Half of the rows hold one value, at which a component lies that is narrower than the nodes are apart."""
    x = np.concatenate([np.zeros(20_000), np.random.default_rng(seed).normal(size=20_000)])
    program = problem_of(MODELS["normal"][0], {"x": x}).program
    spread = x.std() * np.array([1.0, 1e-4, 1.3])
    compare(program, {"p": np.array(THETA["p"]), "mu": np.quantile(x, [0.2, 0.5, 0.9]), "s": spread})


def test_a_cell_that_is_nowhere_large_keeps_its_digits() -> None:
    """Over two groups far apart no one cell is the largest; the third lies 700 logarithms below one of them in each."""
    rng = np.random.default_rng(3)
    low, one, other = rng.normal(0, 1e-5, 20_000), rng.normal(9_999, 1, 13_000), rng.normal(10_005, 2, 7_000)
    x = np.concatenate([low, one, other])
    program = problem_of(MODELS["normal"][0], {"x": x}).program
    mu, s = np.array([-2e-5, 9998.3, 1e4]), np.array([27.0, 1.5, 500.0])
    theta = {"p": np.array([1 - 1e-5, 1e-5, 1e-300]), "mu": mu, "s": s}
    assert program.condensed is not None
    few, all_ = program.expect(theta), program.expect(theta, row_by_row=True)
    assert program.condensed.rows is not None
    for name, expected in all_[1].items():
        np.testing.assert_allclose(few[1][name], expected, rtol=1e-9, err_msg=name)


@pytest.mark.parametrize(
    "laws",
    [
        "    observed x ~ StudentT(4, mu[z], s[z])",  # no product of statistics
        "    observed x ~ Normal(mu[z], s[z])\n    observed g ~ LogNormal(0, s[z])",  # one number of each, but two
    ],
)
def test_rows_that_differ_in_more_are_all_summed(laws: str) -> None:
    data = sample()
    data["g"] = np.random.default_rng(9).gamma(2.0, size=ROWS)
    program = problem_of(laws, data).program
    program.expect({name: THETA[name] for name in program.layout.shapes})
    assert program.condensed is None or not program.condensed.applies


def test_a_fit_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    data = {"x": sample()["x"]}
    model = emdsl.loads(_model(MODELS["normal"][0]))
    few = model.fit(data, starts=3, seed=2)
    monkeypatch.setattr(condensing, "FEWEST_ROWS", 10**9)
    plain = model.fit(data, starts=3, seed=2)
    assert few.converged
    np.testing.assert_allclose(few.loglik, plain.loglik, rtol=1e-13)
    for name in ("p", "mu", "s"):
        np.testing.assert_allclose(numbers(few.params[name]), numbers(plain.params[name]), rtol=1e-7)
        np.testing.assert_allclose(numbers(few.se[name]), numbers(plain.se[name]), rtol=1e-6)


def test_a_fit_whose_few_rows_were_wrong_goes_on_over_all(monkeypatch: pytest.MonkeyPatch) -> None:
    data = {"x": sample()["x"]}
    model = emdsl.loads(_model(MODELS["normal"][0]))
    plain = model.fit(data, starts=1, init={"mu": dict(zip("123", CENTRES, strict=True))})
    right = standing.Condenser._weights_of

    def wrong(self: standing.Condenser, *interval: Any) -> Array | None:
        found = right(self, *interval)
        return None if found is None else found * 1.001

    monkeypatch.setattr(standing.Condenser, "_weights_of", wrong)
    found = model.fit(data, starts=1, init={"mu": dict(zip("123", CENTRES, strict=True))})
    assert found.converged
    np.testing.assert_allclose(found.loglik, plain.loglik, rtol=1e-12)


def test_memory_does_not_grow_with_the_rows_of_an_interval() -> None:
    """Laws that are nearly equal leave one interval over all rows."""
    line = standing.line_of(*of_place(np.linspace(-1.0, 1.0, 400_000)))
    assert line is not None
    condenser = standing.Condenser(line)
    tracemalloc.start()
    found = condenser.standing(lambda rows: 1e-3 * line.statistics[:2, rows])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found is not None and len(found.rows) == standing.NODES
    np.testing.assert_allclose(found.weights.sum(), 400_000.0, rtol=1e-12)
    assert peak < 4 * line.statistics.nbytes


def of_place(place: Array) -> tuple[Array, NDArray[np.intp], Array, Array]:
    """What a line is made of, for rows that differ in their place."""
    ones = np.ones(len(place))
    return place, np.zeros(len(place), dtype=np.intp), ones, np.stack([ones, place, place**2])


@pytest.mark.parametrize("size", [1.0, 1e200, 1e-200])
def test_what_is_no_polynomial_is_refused_whatever_its_size(size: float) -> None:
    place, group, weight, statistics = of_place(np.linspace(-1.0, 1.0, 2_000))
    statistics[2] = size * np.abs(place)
    line = standing.line_of(place, group, weight, statistics)
    assert line is not None
    found = standing.Condenser(line).standing(lambda rows: 1e-3 * line.statistics[:2, rows])
    assert found is None or ((found.intervals.begin >= 1_000) | (found.intervals.end <= 1_001)).all()


def test_lagrange_polynomials_are_exact_for_their_degree() -> None:
    place = np.sort(np.random.default_rng(0).uniform(3.0, 3.1, size=500))
    nodes = np.unique(np.searchsorted(place[1:-1], 3.05 - 0.05 * np.cos(np.pi * np.arange(12) / 11)))
    shares = standing.lagrange(place, place[nodes])
    np.testing.assert_allclose(shares.sum(axis=1), 1.0, rtol=1e-13)
    np.testing.assert_allclose(shares @ place[nodes] ** 7, place**7, rtol=1e-12)
    np.testing.assert_array_equal(shares[nodes], np.eye(len(nodes)))
