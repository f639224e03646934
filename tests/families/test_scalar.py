"""The scalar families of `scalar.emm`: for every one, the density agrees with SciPy and integrates to one."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy import integrate, stats

from emdsl.families.family import Target, Value
from emdsl.graph.declarations import built_in_names
from emdsl.graph.declared import RANDOM, DeclaredFamily
from emdsl.ir.expressions import ParameterRef, VariableRef
from tests.graph.evaluate import World

Arguments = Mapping[str, float]


@dataclass(frozen=True)
class Reference:
    """A family in SciPy, at arguments worth trying."""

    scipy: Callable[..., Any]
    tried: tuple[Arguments, ...]


REFERENCES = {
    "Bernoulli": Reference(lambda p: stats.bernoulli(p), ({"p": 0.3}, {"p": 0.99})),
    "Binomial": Reference(lambda n, p: stats.binom(n, p), ({"n": 7, "p": 0.3}, {"n": 1, "p": 0.9})),
    "BetaBinomial": Reference(
        lambda n, a, b: stats.betabinom(n, a, b), ({"n": 7, "a": 0.5, "b": 2}, {"n": 4, "a": 3, "b": 3})
    ),
    "Poisson": Reference(lambda rate: stats.poisson(rate), ({"rate": 0.2}, {"rate": 7.5})),
    "NegativeBinomial": Reference(
        lambda mean, size: stats.nbinom(size, size / (size + mean)), ({"mean": 3, "size": 0.7}, {"mean": 1, "size": 9})
    ),
    "Geometric": Reference(lambda p: stats.geom(p, loc=-1), ({"p": 0.3}, {"p": 0.9})),
    "Normal": Reference(lambda mean, sd: stats.norm(mean, sd), ({"mean": -1, "sd": 0.5}, {"mean": 2, "sd": 3})),
    "StudentT": Reference(
        lambda df, mean, scale: stats.t(df, mean, scale),
        ({"df": 3, "mean": 1, "scale": 2}, {"df": 30.5, "mean": -2, "scale": 0.5}),
    ),
    "Laplace": Reference(lambda mean, scale: stats.laplace(mean, scale), ({"mean": 1, "scale": 2},)),
    "Logistic": Reference(lambda mean, scale: stats.logistic(mean, scale), ({"mean": 1, "scale": 2},)),
    "VonMises": Reference(
        lambda mean, concentration: stats.vonmises(concentration, mean),
        ({"mean": 0.5, "concentration": 2}, {"mean": -1, "concentration": 0.1}),
    ),
    "Uniform": Reference(lambda a, b: stats.uniform(a, b - a), ({"a": -1, "b": 3},)),
    "LogNormal": Reference(lambda mean, sd: stats.lognorm(sd, scale=math.exp(mean)), ({"mean": 0.5, "sd": 0.7},)),
    "Exponential": Reference(lambda rate: stats.expon(scale=1 / rate), ({"rate": 0.4}, {"rate": 5})),
    "Gamma": Reference(
        lambda shape, rate: stats.gamma(shape, scale=1 / rate), ({"shape": 2, "rate": 3}, {"shape": 1.5, "rate": 0.2})
    ),
    "InverseGamma": Reference(
        lambda shape, scale: stats.invgamma(shape, scale=scale), ({"shape": 4, "scale": 2}, {"shape": 2.5, "scale": 5})
    ),
    "Weibull": Reference(
        lambda shape, scale: stats.weibull_min(shape, scale=scale),
        ({"shape": 1.5, "scale": 2}, {"shape": 3, "scale": 1}),
    ),
    "InverseGaussian": Reference(
        lambda mean, shape: stats.invgauss(mean / shape, scale=shape),
        ({"mean": 2, "shape": 3}, {"mean": 1, "shape": 9}),
    ),
    "Pareto": Reference(lambda shape, minimum: stats.pareto(shape, scale=minimum), ({"shape": 3.5, "minimum": 2},)),
    "Beta": Reference(lambda a, b: stats.beta(a, b), ({"a": 2, "b": 3.5}, {"a": 1, "b": 1})),
}

FAMILIES = {name: family for name, family in built_in_names().families.items() if isinstance(family, DeclaredFamily)}
CASES = [(name, tried) for name, reference in REFERENCES.items() for tried in reference.tried]


def each_case(definition: str | None = None) -> pytest.MarkDecorator:
    """Every family at all its arguments, or those that have the definition."""
    cases = [(name, tried) for name, tried in CASES if definition is None or definition in FAMILIES[name].definitions]
    assert cases
    return pytest.mark.parametrize(("name", "arguments"), cases, ids=str)


def defined(family: DeclaredFamily, definition: str, arguments: Arguments, **variables: float) -> float:
    """The value of one of the family's definitions."""
    formals = {formal.name: Value(ParameterRef(formal.name)) for formal in family.formals}
    formals |= {name: Value(VariableRef(name)) for name in RANDOM}
    expression = family.define(definition, formals, VariableRef("x"))
    return float(World(parameters=arguments, variables=variables)(expression))


def log_density(family: DeclaredFamily, arguments: Arguments, x: float) -> float:
    """The log-density as a factor has it."""
    formals = {formal.name: Value(ParameterRef(formal.name)) for formal in family.formals}
    (draw,) = family.draws(formals, Target((VariableRef("x"),)))
    (branch,) = draw.branches
    assert branch.family == family.name
    return float(World(parameters=arguments, variables={"x": x})(branch.log_density))


def frozen(name: str, arguments: Arguments) -> Any:
    """SciPy's distribution."""
    return REFERENCES[name].scipy(**arguments)


def test_every_family_has_a_reference() -> None:
    assert set(FAMILIES) == set(REFERENCES)


@each_case()
def test_the_density_is_scipys(name: str, arguments: Arguments) -> None:
    family, reference = FAMILIES[name], frozen(name, arguments)
    points = reference.rvs(size=8, random_state=np.random.default_rng(5))
    expected = reference.logpmf(points) if family.discrete else reference.logpdf(points)
    found = [log_density(family, arguments, float(point)) for point in points]
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)


@each_case()
def test_the_density_integrates_to_one(name: str, arguments: Arguments) -> None:
    family, reference = FAMILIES[name], frozen(name, arguments)

    def density(x: float) -> float:
        return math.exp(log_density(family, arguments, x))

    if family.discrete:
        top = 1 if family.domain.kind == "finite" else int(arguments.get("n", reference.ppf(1 - 1e-13)))
        total = sum(density(float(count)) for count in range(top + 1))
    elif name == "VonMises":
        total = integrate.quad(density, arguments["mean"] - math.pi, arguments["mean"] + math.pi)[0]
    else:
        edges = [reference.support()[0], *reference.ppf([0.01, 0.3, 0.6, 0.99]), reference.support()[1]]
        total = sum(integrate.quad(density, low, high)[0] for low, high in pairwise(edges) if low < high)
    assert total == pytest.approx(1, abs=1e-7)


@each_case()
def test_the_mean_is_scipys(name: str, arguments: Arguments) -> None:
    expected = frozen(name, arguments).mean() if name != "VonMises" else arguments["mean"]
    assert defined(FAMILIES[name], "mean", arguments) == pytest.approx(expected, rel=1e-10)


@each_case("cdf")
def test_the_distribution_function_is_scipys(name: str, arguments: Arguments) -> None:
    family, reference = FAMILIES[name], frozen(name, arguments)
    for point in reference.ppf([0.001, 0.2, 0.5, 0.8, 0.999]):
        assert defined(family, "cdf", arguments, x=point) == pytest.approx(reference.cdf(point), rel=1e-9)


@each_case("sample")
def test_samples_follow_the_law(name: str, arguments: Arguments) -> None:
    family, reference = FAMILIES[name], frozen(name, arguments)
    rng = np.random.default_rng(3)
    drawn = [
        defined(family, "sample", arguments, uniform=rng.random(), normal=rng.normal(), exponential=rng.exponential())
        for _ in range(600)
    ]
    if family.discrete:
        assert np.mean(drawn) == pytest.approx(reference.mean(), abs=5 * reference.std() / math.sqrt(600))
    else:
        assert stats.kstest(drawn, reference.cdf).pvalue > 1e-4


def test_outside_the_support_the_density_is_zero() -> None:
    assert log_density(FAMILIES["Uniform"], {"a": 0, "b": 2}, 3.0) == -math.inf
    assert log_density(FAMILIES["Pareto"], {"shape": 1, "minimum": 2}, 1.0) == -math.inf
    assert log_density(FAMILIES["Binomial"], {"n": 3, "p": 0.5}, 4.0) == -math.inf
