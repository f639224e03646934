"""Every scalar family with every modifier, in a mixture: the log-likelihood is SciPy's, the score is its slope."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from scipy import stats

from tests.families.test_scalar import FAMILIES, REFERENCES
from tests.laws.bound_models import slope, take

#: Two components of each family, with the arguments that are unknown; the rest is written as it stands.
TWO: dict[str, tuple[Mapping[str, float], Mapping[str, float], tuple[str, ...]]] = {
    "Binomial": ({"n": 9, "p": 0.3}, {"n": 9, "p": 0.6}, ("p",)),
    "BetaBinomial": ({"n": 9, "a": 1.5, "b": 2.5}, {"n": 9, "a": 4, "b": 1.2}, ("a", "b")),
    "Poisson": ({"rate": 2.5}, {"rate": 5}, ("rate",)),
    "NegativeBinomial": ({"mean": 3, "size": 1.7}, {"mean": 5, "size": 4}, ("mean", "size")),
    "Geometric": ({"p": 0.25}, {"p": 0.15}, ("p",)),
    "Normal": ({"mean": 1, "sd": 1.5}, {"mean": 3, "sd": 0.8}, ("mean", "sd")),
    "StudentT": ({"df": 3, "mean": 1, "scale": 2}, {"df": 8, "mean": 3, "scale": 1}, ("df", "mean", "scale")),
    "Laplace": ({"mean": 1.03, "scale": 2}, {"mean": 3.01, "scale": 1}, ("mean", "scale")),
    "Logistic": ({"mean": 1, "scale": 1}, {"mean": 3, "scale": 0.6}, ("mean", "scale")),
    "LogNormal": ({"mean": 0.5, "sd": 0.7}, {"mean": 1, "sd": 0.4}, ("mean", "sd")),
    "Exponential": ({"rate": 0.4}, {"rate": 0.9}, ("rate",)),
    "Gamma": ({"shape": 2, "rate": 0.8}, {"shape": 4.5, "rate": 1.2}, ("shape", "rate")),
    "InverseGamma": ({"shape": 3, "scale": 5}, {"shape": 2, "scale": 2}, ("shape", "scale")),
    "Weibull": ({"shape": 1.5, "scale": 3}, {"shape": 2.5, "scale": 2}, ("shape", "scale")),
    "InverseGaussian": ({"mean": 2.5, "shape": 4}, {"mean": 1.5, "shape": 6}, ("mean", "shape")),
    "Pareto": ({"shape": 2, "minimum": 0.4}, {"shape": 1.2, "minimum": 0.4}, ("shape",)),
    "Uniform": ({"a": -2, "b": 9}, {"a": -4, "b": 11}, ()),
    "Beta": ({"a": 2, "b": 3.5}, {"a": 5, "b": 1.7}, ("a", "b")),
}
UNCUT = {"Bernoulli", "VonMises"}  # two values have no order, and angles have no first

MODIFIERS = ("above", "below", "both", "between", "truncated", "truncated and above", "left", "truncated between")
UNITS = ("Beta",)


def test_every_family_is_tried() -> None:
    assert set(TWO) | UNCUT == set(FAMILIES)
    assert {name for name, family in FAMILIES.items() if family.has_distribution_function} == set(TWO)


def window(name: str) -> tuple[float, float]:
    """Bounds of a truncation that leave most of the law."""
    if name in UNITS:
        return 0.15, 0.9
    return (1, 8) if FAMILIES[name].discrete else (0.5, 7.25)


def table(name: str, modifier: str) -> dict[str, Any]:
    """Thirty rows: values with what is known of them; missing ones too."""
    rng = np.random.default_rng(len(name) + 10 * MODIFIERS.index(modifier))
    low, high = window(name)
    law = REFERENCES[name].scipy(**TWO[name][0])
    x = law.rvs(size=500, random_state=rng).astype(float)
    x = x[(x > low) & (x < high)][:30]
    width = 0.1 if name in UNITS else 2.0
    kind = rng.integers(0, 4, len(x))
    first, last = x - width * rng.random(len(x)), x + width * rng.random(len(x))
    if FAMILIES[name].discrete:
        first, last = np.floor(first), np.ceil(last)
    first = np.where(kind == 1, np.nan, np.where(kind == 0, x, first))
    last = np.where(kind == 2, np.nan, np.where(kind == 0, x, last))
    columns = {"x": x, "seen": (rng.random(len(x)) < 0.6) * 1.0, "low": first, "high": last}
    columns["found"] = np.where(columns["seen"] == 0, 1.0, (rng.random(len(x)) < 0.7) * 1.0)
    columns["entry"] = low * rng.random(len(x)) if not FAMILIES[name].discrete else 1.0 * rng.integers(0, 2, len(x))
    columns["x"] = np.where(rng.random(len(x)) < 0.1, np.nan, x)
    return columns


def law(name: str, component: int) -> str:
    """The law of one component, unknowns as parameters `mean[1]`."""
    known = TWO[name][:2][component]
    parts = (f"{key}_[z]" if key in TWO[name][2] else f"{value:g}" for key, value in known.items())
    return f"{name}({', '.join(parts)})"


def text(name: str, modifier: str) -> str:
    low, high = window(name)
    extra = {
        "above": " censored above unless seen", "below": " censored below unless found",
        "both": " censored above unless seen censored below unless found", "between": "",
        "truncated": f" truncated to ({low}, {high})",
        "truncated and above": f" censored above unless seen truncated to ({low}, {high})",
        "left": " truncated to (entry, inf)", "truncated between": f" truncated to ({low}, {high})",
    }[modifier]  # fmt: skip
    domain = {"p": "unit", "mean": "real"}
    params = "".join(
        f"param {key}_[part] : {'positive' if name == 'InverseGaussian' else domain.get(key, 'positive')}\n"
        for key in TWO[name][2]
    )
    between = " between low and high" if "between" in modifier else ""
    inputs = "    input entry : real\n" if modifier == "left" else ""
    cases = "".join(f"        {k + 1} -> {law(name, k)}{extra}\n" for k in range(2))
    return (
        f"index part = 1..2\nparam share : simplex[part]\n{params}for each row:\n{inputs}"
        f"    latent z ~ Categorical(share)\n    observed x{between} ~ case z:\n{cases}"
    )


def log_probability(d: Any, after: Any, upto: Any) -> Any:
    """log P(after < X <= upto), by the smaller tail."""
    lower = d.cdf(upto) < d.sf(after)
    with np.errstate(all="ignore"):
        return np.log(np.where(lower, d.cdf(upto) - d.cdf(after), d.sf(after) - d.sf(upto)))


def by_scipy(name: str, modifier: str, data: Mapping[str, Any], arguments: Mapping[str, float]) -> Any:
    """The log-likelihood of each row under one component."""
    d = REFERENCES[name].scipy(**arguments)
    counts = FAMILIES[name].discrete
    x, low, high = data["x"], data["low"], data["high"]
    density = d.logpmf(x) if counts else d.logpdf(x)
    left, right = np.full(len(x), -np.inf), np.full(len(x), np.inf)
    if "truncated" in modifier:
        left, right = np.full(len(x), window(name)[0] - counts), np.full(len(x), window(name)[1])
    if modifier == "left":
        left = data["entry"] - counts
    share = log_probability(d, left, right)
    above = (data["seen"] == 0) & (modifier in ("above", "both", "truncated and above"))
    below = (data["found"] == 0) & (modifier in ("below", "both"))
    value = np.where(above, log_probability(d, np.maximum(x, left), right), density)
    value = np.where(below, log_probability(d, left, x - counts), value)
    if "between" in modifier:
        exact = low == high
        ends = np.nan_to_num(low - counts, nan=-np.inf), np.nan_to_num(high, nan=np.inf)
        value = log_probability(d, np.maximum(ends[0], left), np.minimum(ends[1], right))
        seen = d.logpmf(low) if counts else d.logpdf(low)
        value = np.where(exact, seen, value)
        empty = np.isnan(low) & np.isnan(high)
        return np.where(empty, 0.0, value - share)
    return np.where(np.isnan(x), 0.0, value - share)


def pairs(*, some: bool) -> list[tuple[str, str]]:
    """Every family with every modifier: in turn one for each family, or all others (their derivations take time)."""
    turn = {name: MODIFIERS[k % len(MODIFIERS)] for k, name in enumerate(TWO)}
    return [(name, modifier) for name in TWO for modifier in MODIFIERS if (turn[name] == modifier) == some]


@pytest.mark.parametrize(("name", "modifier"), pairs(some=True))
def test_cut_mixture(name: str, modifier: str) -> None:
    check(name, modifier)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "modifier"), pairs(some=False))
def test_every_cut_mixture(name: str, modifier: str) -> None:
    check(name, modifier)


def check(name: str, modifier: str) -> None:
    """The log-likelihood and the score at one place."""
    data = table(name, modifier)
    taken = take(text(name, modifier), {key: list(value) for key, value in data.items()})
    theta = {f"{key}_": np.array([c[key] for c in TWO[name][:2]], dtype=float) for key in TWO[name][2]}
    theta["share"] = np.array([0.35, 0.65])
    rows = [by_scipy(name, modifier, data, known) for known in TWO[name][:2]]
    expected = float(np.logaddexp(np.log(0.35) + rows[0], np.log(0.65) + rows[1]).sum())
    found = taken.problem.expect(theta)
    assert found.loglik == pytest.approx(expected, rel=1e-9)
    gradient = taken.problem.gradient(theta, found.statistics)
    for key in TWO[name][2]:
        for k in range(2):
            step = np.eye(2)[k] * theta[f"{key}_"]
            promised = float(np.sum(gradient[f"{key}_"] * step))
            there = slope(taken.value, theta, {f"{key}_": step}, 1e-4)
            assert promised == pytest.approx(there, rel=1e-6, abs=1e-6), key


def test_scipy_alone_says_the_same_of_half_a_normal() -> None:
    half = "param s : positive\nfor each row:\n    observed x ~ Normal(0, s) truncated to (0, inf)\n"
    taken = take(half, {"x": [0.5, 2.0]})
    found = taken.problem.expect({"s": np.array(1.3)}).loglik
    assert found == pytest.approx(float(stats.halfnorm(scale=1.3).logpdf([0.5, 2.0]).sum()), rel=1e-12)


def atoms(modifier: str) -> str:
    between = " between lo and hi" if modifier == "between" else ""
    extra = "" if between else f" {modifier}"
    return (
        "index k = {zero, more}\nparam share : simplex[k]\nparam m : real\nparam s : positive\nfor each row:\n"
        f"    latent z ~ Categorical(share)\n    observed x{between} ~ case z:\n"
        f"        zero -> Point(0){extra}\n        more -> LogNormal(m, s){extra}\n"
    )


PLACE = {"share": np.array([0.3, 0.7]), "m": np.array(0.4), "s": np.array(0.9)}


def same_score(taken: Any, statistics: Any) -> None:
    gradient = taken.problem.gradient(PLACE, statistics)
    for key in ("m", "s"):
        there = slope(taken.value, PLACE, {key: np.array(1.0)}, 1e-5)
        assert float(gradient[key]) == pytest.approx(there, rel=1e-6)


def test_an_atom_lies_within_bounds_that_hold_it() -> None:
    low, high = [0, 0, 1, 2, None, 3, -1, 0], [0, 1, 2, 4, 3, None, 2, 0]
    taken = take(atoms("between"), {"lo": low, "hi": high})
    d = stats.lognorm(0.9, scale=np.exp(0.4))

    def probability(a: float, b: float) -> float:
        return 0.3 * (a <= 0 <= b) + 0.7 * (0.0 if a == b else float(d.cdf(b) - d.cdf(a)))

    ends = [(-np.inf if a is None else a, np.inf if b is None else b) for a, b in zip(low, high, strict=True)]
    found = taken.problem.expect(PLACE)
    assert found.loglik == pytest.approx(sum(np.log(probability(*pair)) for pair in ends), rel=1e-12)
    same_score(taken, found.statistics)


def test_an_atom_below_a_limit_of_detection() -> None:
    x, found_it = np.array([0.5, 1, 2, 3, 0.5, 0, 0]), np.array([0, 1, 1, 1, 0, 1, 1])
    taken = take(atoms("censored below unless det"), {"x": list(x), "det": list(found_it)})
    d = stats.lognorm(0.9, scale=np.exp(0.4))
    seen = np.where(x == 0, 0.3, 0.7 * d.pdf(np.where(x == 0, 1, x)))
    expected = np.log(np.where(found_it == 0, 0.3 * (x > 0) + 0.7 * d.cdf(x), seen)).sum()
    found = taken.problem.expect(PLACE)
    assert found.loglik == pytest.approx(float(expected), rel=1e-12)
    same_score(taken, found.statistics)
