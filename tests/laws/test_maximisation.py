"""The M-step: what it gives maximises Q, as a general optimiser on an enumerated Q sees it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from textwrap import dedent
from typing import Any

import numpy as np
import pytest

from tests.laws.bound_models import Taken, random_theta, take
from tests.laws.expected_loglik import Chart, ExpectedLogLikelihood, improved, log_prior
from tests.laws.tables import Cell


@dataclass(frozen=True)
class Case:
    """A model with as many rows of random data as `rows`; `fix` holds parameters."""

    name: str
    text: str
    columns: Mapping[str, str]
    fix: Mapping[str, Any] = field(default_factory=dict)
    rows: int = 14

    def data(self) -> dict[str, list[Cell]]:
        """Random columns: each kind of column is named by a word."""
        rng = np.random.default_rng(sum(map(ord, self.name)))
        draws: dict[str, Callable[[], Cell]] = {
            "real": lambda: float(rng.normal(1.0, 1.5)), "positive": lambda: float(rng.gamma(2.0, 1.0)),
            "share": lambda: float(rng.beta(2.0, 3.0)), "count": lambda: int(rng.poisson(2.0)),
            "binary": lambda: int(rng.integers(2)), "two": lambda: "uv"[rng.integers(2)],
            "three": lambda: "abc"[rng.integers(3)], "group": lambda: f"g{rng.integers(4)}",
            "weight": lambda: float(rng.integers(1, 4)),
        }  # fmt: skip
        return {name: [draws[kind]() for _ in range(self.rows)] for name, kind in self.columns.items()}

    def model(self) -> str:
        """The text with the index sets that it may use."""
        return "index two = {u, v}\nindex three = {a, b, c}\n" + dedent(self.text)


def mixture(law: str, parameters: str, inputs: str = "") -> str:
    """A mixture of two laws."""
    lines = ["param p : simplex[two]", *parameters.split("; "), "for each row:", "    latent z ~ Categorical(p)"]
    lines += [f"    {line}" for line in inputs.split("; ") if line]
    return "\n".join([*lines, f"    observed y ~ {law}"])


RAYLEIGH = "family Rayleigh(scale : positive) for x : positive:\n    logpdf = log(x) - 2*log(scale) - x^2/(2*scale^2)\n"
GOMPERTZ = (
    "family Gompertz(rate : positive, shape : positive) for x : positive:\n"
    "    logpdf = log(rate) + shape*x - rate/shape*(exp(shape*x) - 1)\n"
)
CASES = (
    Case("Normal", mixture("Normal(mu[z], sd[z])", "param mu[two] : real; param sd[two] : positive"), {"y": "real"}),
    Case(
        "Normal with one spread",
        mixture("Normal(mu[z], sd)", "param mu[two] : real; param sd : positive"),
        {"y": "real"},
    ),
    Case(
        "Normal with one mean", mixture("Normal(mu, sd[z])", "param mu : real; param sd[two] : positive"), {"y": "real"}
    ),
    Case(
        "a shared slope beside means by class and site, spreads by class",
        mixture(
            "Normal(mu[z, site] + beta*x, sd[z])",
            "param mu[two, three] : real; param beta : real; param sd[two] : positive",
            "input site : three; input x : real",
        ),
        {"y": "real", "x": "real", "site": "three"},
        rows=24,
    ),
    Case(
        "regression by class",
        mixture(
            "Normal(b0[z] + b1[z]*x, sd)",
            "param b0[two] : real; param b1[two] : real; param sd : positive",
            "input x : real",
        ),
        {"y": "real", "x": "real"},
    ),
    Case(
        "one parameter in two laws",
        """
        param p : simplex[two]
        param mu[two] : real
        param sd[two] : positive
        for each row:
            latent z ~ Categorical(p)
            observed y ~ Normal(mu[z], sd[z])
            observed w ~ Normal(2*mu[z] + 1, 1)
        """,
        {"y": "real", "w": "real"},
    ),
    Case(
        "one simplex drawn from twice",
        """
        param p : simplex[three]
        for each row:
            latent m ~ Categorical(p)
            latent f ~ Categorical(p)
            observed y : two = case m, f:
                a, _ | _, a -> u
                _, _ -> v
        """,
        {"y": "two"},
    ),
    Case("Poisson", mixture("Poisson(r[z])", "param r[two] : positive"), {"y": "count"}),
    Case(
        "log-linear Poisson",
        mixture("Poisson(exp(a[z] + b*x))", "param a[two] : real; param b : real", "input x : real"),
        {"y": "count", "x": "real"},
    ),
    Case(
        "logistic",
        mixture("Bernoulli(logistic(a[z] + b*x))", "param a[two] : real; param b : real", "input x : real"),
        {"y": "binary", "x": "real"},
        rows=30,
    ),
    Case(
        "a class by a logit",
        """
        param g0 : contrast[two]
        param g1 : contrast[two]
        param mu[two] : real
        for each row:
            input x : real
            latent z ~ Categorical(softmax(k in two: g0[k] + g1[k]*x))
            observed y ~ Normal(mu[z], 1)
        """,
        {"y": "real", "x": "real"},
    ),
    Case("Gamma", mixture("Gamma(a[z], b[z])", "param a[two] : positive; param b[two] : positive"), {"y": "positive"}),
    Case("Weibull", mixture("Weibull(a, b[z])", "param a : positive; param b[two] : positive"), {"y": "positive"}),
    Case("Beta", mixture("Beta(a[z], b[z])", "param a[two] : positive; param b[two] : positive"), {"y": "share"}),
    Case(
        "LogNormal", mixture("LogNormal(m[z], s[z])", "param m[two] : real; param s[two] : positive"), {"y": "positive"}
    ),
    Case("Exponential", mixture("Exponential(r[z])", "param r[two] : positive"), {"y": "positive"}),
    Case("Geometric", mixture("Geometric(q[z])", "param q[two] : unit"), {"y": "count"}),
    Case(
        "InverseGaussian",
        mixture("InverseGaussian(m[z], s)", "param m[two] : positive; param s : positive"),
        {"y": "positive"},
    ),
    Case("NegativeBinomial", mixture("NegativeBinomial(m[z], 3)", "param m[two] : positive"), {"y": "count"}),
    Case("Laplace with a known mean", mixture("Laplace(0, s[z])", "param s[two] : positive"), {"y": "real"}),
    Case("a family of one's own", RAYLEIGH + mixture("Rayleigh(s[z])", "param s[two] : positive"), {"y": "positive"}),
    Case(
        "a family of one's own, no closed form",
        GOMPERTZ + mixture("Gompertz(r[z], s)", "param r[two] : positive; param s : positive"),
        {"y": "positive"},
    ),
    Case(
        "labels with a hidden split",
        """
        param t : unit
        for each row:
            weight w
            latent z ~ Categorical({a0: 1/2, a1: t/4, b: (1 - t)/4, c: (1 - t)/4, d: t/4})
            observed y = case z:
                a0 | a1 -> a
                b | d -> b
                c -> c
        """,
        {"y": "three", "w": "weight"},
    ),
    Case(
        "labels without one",
        """
        param t : unit
        for each row:
            observed y ~ Categorical({a: 1/2 + t/4, b: (1 - t)/4, c: 1/4})
        """,
        {"y": "three"},
    ),
    Case(
        "a chain with structural zeros",
        """
        param s : simplex[three]
        param A[i in three] : simplex[j in three] only i != c or j != a
        param mu[three] : real
        for each g:
            for each row in sequence:
                latent z ~ Markov(s, A)
                observed y ~ Normal(mu[z], 1)
        """,
        {"g": "group", "y": "real"},
        rows=10,
    ),
    Case(
        "priors",
        """
        param p : simplex[two] ~ Dirichlet(2)
        param mu[two] : real ~ Normal(0, 2)
        param sd[two] : positive ~ Gamma(2, 1)
        param q[two] : unit ~ Beta(2, 3)
        param r[two] : positive ~ Gamma(3, 2)
        for each row:
            latent z ~ Categorical(p)
            observed y ~ Normal(mu[z], sd[z])
            observed k ~ Poisson(r[z])
            observed h ~ Bernoulli(q[z])
        """,
        {"y": "real", "k": "count", "h": "binary"},
    ),
    Case(
        "a prior on a slope",
        mixture(
            "Normal(a[z] + b*x, sd)",
            "param a[two] : real; param b : real ~ Normal(0, 1/2); param sd : positive",
            "input x : real",
        ),
        {"y": "real", "x": "real"},
    ),
    Case(
        "a prior whose mean is a parameter",
        mixture("Normal(mu[z], 1)", "param m : real ~ Normal(0, 3); param mu[two] : real ~ Normal(m, 1)"),
        {"y": "real"},
    ),
    Case(
        "held elements",
        """
        param p : simplex[three]
        param mu[three] : real
        param sd[three] : positive
        param b : real
        for each row:
            input x : real
            latent z ~ Categorical(p)
            observed y ~ Normal(mu[z] + b*x, sd[z])
        """,
        {"y": "real", "x": "real"},
        fix={"p": {"a": 0.2}, "mu": {"b": 0.5}, "sd": {"c": 1.5}},
        rows=20,
    ),
    Case(
        "a held slope",
        mixture("Normal(a[z] + b*x, sd)", "param a[two] : real; param b : real; param sd : positive", "input x : real"),
        {"y": "real", "x": "real"},
        fix={"b": 0.7},
    ),
    Case(
        "a held spread",
        mixture("Normal(mu[z], sd)", "param mu[two] : real; param sd : positive"),
        {"y": "real"},
        fix={"sd": 2.0},
    ),
)

each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def settled(bound: Taken, theta: dict[str, Any], statistics: Any) -> dict[str, Any]:
    """The M-step repeated on the same statistics until nothing moves: one pass may be conditional (ECM)."""
    for _ in range(500):
        new = bound.problem.maximize(theta, statistics)
        still = all(np.allclose(new[name], theta[name], rtol=1e-12, atol=1e-14) for name in new)
        theta = new
        if still:
            break
    return theta


@each_case
def test_update_maximises_q(case: Case) -> None:
    columns = case.data()
    bound = take(case.model(), columns, fix=case.fix)
    problem, rng = bound.problem, np.random.default_rng(1)
    theta = random_theta(problem.spaces, rng, problem.initial())
    statistics = problem.expect(theta).statistics
    q = ExpectedLogLikelihood(bound.compiled.model, columns, theta)
    before, once = q(theta), q(problem.maximize(theta, statistics))
    assert once >= before
    best = settled(bound, theta, statistics)
    chart = Chart(problem.spaces, problem.initial())
    value, place = improved(q, chart, best)
    assert value - q(best) < 1e-7 * (1 + abs(value)), f"Q is higher at {place} than at {best}"
    for space in problem.spaces:
        assert np.array_equal(best[space.name][space.fixed], problem.initial()[space.name][space.fixed])


@each_case
@pytest.mark.slow
def test_update_is_the_global_maximum_of_q(case: Case) -> None:
    """From an independent place; every Q of these cases has a single maximum."""
    columns = case.data()
    bound = take(case.model(), columns, fix=case.fix)
    problem, rng = bound.problem, np.random.default_rng(2)
    theta = random_theta(problem.spaces, rng, problem.initial())
    q = ExpectedLogLikelihood(bound.compiled.model, columns, theta)
    best = settled(bound, theta, problem.expect(theta).statistics)
    elsewhere = random_theta(problem.spaces, rng, problem.initial())
    value, place = improved(q, Chart(problem.spaces, problem.initial()), elsewhere)
    assert value - q(best) < 1e-6 * (1 + abs(value)), f"Q is higher at {place} than at {best}"


@pytest.mark.parametrize("case", [case for case in CASES if "prior" in case.name], ids=lambda case: case.name)
def test_prior_counts_once(case: Case) -> None:
    columns = case.data()
    bound = take(case.model(), columns, fix=case.fix)
    theta = random_theta(bound.problem.spaces, np.random.default_rng(3), bound.problem.initial())
    enumerated = ExpectedLogLikelihood(bound.compiled.model, columns, theta).enumeration
    assert bound.problem.log_prior(theta) == pytest.approx(log_prior(enumerated, theta), rel=1e-12, abs=1e-12)
