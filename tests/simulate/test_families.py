"""What is drawn has the law that was written: every family of numbers, built-in and declared."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

import emdsl
from emdsl.families.registry import BUILT_IN
from emdsl.simulate.samplers import LAWS
from tests.families.test_scalar import CASES, FAMILIES, Arguments, frozen

DRAWS = 4000
#: A test at this level, with fixed seeds: a law that is right passes for good.
LEVEL = 1e-4


def drawn(text: str, n: int = DRAWS, params: Any = None, **options: Any) -> dict[str, np.ndarray]:
    """Columns of simulated data."""
    table = emdsl.loads(text).simulate(n, params or {}, seed=7, **options)
    return {name: np.asarray(table[name]) for name in table}


def p_value(draws: Any, law: Any) -> float:
    """Of a Kolmogorov-Smirnov test, or of a chi-squared test for counts."""
    if not hasattr(law.dist, "pmf"):
        return float(stats.kstest(draws, law.cdf).pvalue)
    highest = int(law.ppf(1 - 10 / len(draws)))
    expected = np.append(law.pmf(np.arange(highest)), law.sf(highest - 1)) * len(draws)
    found = np.bincount(np.minimum(draws.astype(int), highest), minlength=highest + 1)
    return float(stats.chisquare(found[expected > 0], expected[expected > 0]).pvalue)


@pytest.mark.parametrize(("name", "arguments"), CASES, ids=str)
def test_scalar_family(name: str, arguments: Arguments) -> None:
    text = ", ".join(f"{key} = {value}" for key, value in arguments.items())
    y = drawn(f"for each r:\n    observed y ~ {name}({text})\n")["y"]
    law = frozen(name, arguments)
    if name == "VonMises":  # an angle, wherever its circle begins
        y = np.mod(y - arguments["mean"] + np.pi, 2 * np.pi) - np.pi + arguments["mean"]
    assert p_value(y.astype(float), law) > LEVEL


def test_every_family_can_be_drawn_from() -> None:
    """A scalar family by its `sample` or the registry, not both; the others by the registry or, finite, by trying."""
    for name, family in FAMILIES.items():
        assert (("sample" in family.definitions) != (name in LAWS)) or family.domain.kind == "finite"
    vectors = {family.name for family in BUILT_IN if family.event_axes == 1}
    assert vectors <= set(LAWS)
    assert set(LAWS) <= set(FAMILIES) | {family.name for family in BUILT_IN}


def test_mvnormal() -> None:
    text = (
        "index d = {a, b}\nparam m[d] : real\nparam S : covariance[d]\nfor each r:\n"
        "    observed x[d] ~ MVNormal(m, S)\n"
    )
    covariance = [[2.0, -0.9], [-0.9, 1.0]]
    found = drawn(text, params={"m": {"a": 1.0, "b": -2.0}, "S": covariance})
    x = np.stack([found["a"], found["b"]]) - [[1.0], [-2.0]]
    white = np.linalg.solve(np.linalg.cholesky(covariance), x)
    assert all(stats.kstest(row, "norm").pvalue > LEVEL for row in white)
    assert abs(stats.pearsonr(*white)[0]) < 4 / np.sqrt(DRAWS)


def test_multinomial() -> None:
    text = "index d = {a, b, c}\nparam p : simplex[d]\nfor each r:\n    observed x[d] ~ Multinomial(5, p)\n"
    found = drawn(text, params={"p": [0.2, 0.3, 0.5]})
    assert (found["a"] + found["b"] + found["c"] == 5).all()
    assert stats.chisquare([found[k].sum() for k in "abc"], np.array([0.2, 0.3, 0.5]) * 5 * DRAWS).pvalue > LEVEL


def test_own_family_draws_by_its_sample() -> None:
    rayleigh = (
        "family Rayleigh(scale : positive) for x : positive:\n    logpdf = log(x) - 2*log(scale) - x^2/(2*scale^2)\n"
    )
    model = "param t : positive\nfor each r:\n    observed x ~ Rayleigh(t)\n"
    found = drawn(f"{rayleigh}    sample = scale*sqrt(2*exponential)\n{model}", params={"t": 3})
    assert p_value(found["x"], stats.rayleigh(scale=3)) > LEVEL
    with pytest.raises(emdsl.EmmError) as error:
        drawn(rayleigh + model, params={"t": 3})
    assert str(error.value) == (
        "error[cannot-simulate]: the family `Rayleigh` does not say how to draw from it, so `x ~ Rayleigh(t)` "
        "cannot be simulated\nhelp: add a line to the family: sample = … with uniform, normal and exponential"
    )


def test_each_use_of_a_random_number_is_a_new_draw() -> None:
    text = (
        "family Twice(m : real) for x : real:\n    logpdf = -log(4*pi)/2 - (x - m)^2/4\n"
        "    sample = m + normal + normal\n"
        "param t : real\nfor each r:\n    observed x ~ Twice(t)\n"
    )
    assert p_value(drawn(text, params={"t": 2})["x"], stats.norm(2, np.sqrt(2))) > LEVEL
