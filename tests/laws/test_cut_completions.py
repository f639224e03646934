"""Values of which only an event is known, completed by expected statistics: these against SciPy, the score by Fisher's
identity, and the same maxima as the observed-data likelihood has.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytest
from scipy import stats

from emdsl.compiler import CompiledModel
from emdsl.derive.derive import derive
from emdsl.graph.resolve import resolve
from emdsl.runtime.em import evaluate, plain_em
from emdsl.runtime.fitting import FitOptions, fit
from emdsl.syntax.parser import parse
from tests.laws.bound_models import ROOT, Array, Taken, random_theta, take
from tests.laws.tables import Columns

GROUPED = """\
index k = {a, b}
param w : simplex[k]
PARAMS
for each p:
    latent z ~ Categorical(w)
    observed y between lo and hi ~ LAW
"""
CENSORED = GROUPED.replace("between lo and hi ~ LAW", "~ LAW censored above unless event")
REAL: Columns = {"lo": [0.5, None, 1.0, -2.0, 2.5, 0.1], "hi": [0.5, 1.0, None, 0.5, 4.0, 1.5]}
POSITIVE: Columns = {"lo": [0.5, None, 1.0, 0.2, 2.5, 0.1], "hi": [0.5, 1.0, None, 0.5, 4.0, 1.5]}
COUNTS: Columns = {"lo": [1, None, 2, 1, 3, 0], "hi": [1, 2, None, 3, 5, 4]}


def _truncated(law: Any, function: Any, low: float, high: float) -> float:
    """The mean of a function of a law between two bounds: by a sum for counts, by a fine rule otherwise."""
    if hasattr(law, "pmf"):
        values = np.arange(max(0, np.ceil(low)), min(high, 400) + 1)
        weights = law.pmf(values)
        return float((function(values) * weights).sum() / weights.sum())
    # on the scale on which the law is a standard normal one
    first, last = (float(np.clip(stats.norm.ppf(law.cdf(bound)), -8, 8)) for bound in (low, high))
    nodes, shares = np.polynomial.legendre.leggauss(200)
    normal = first + (last - first) * (nodes + 1) / 2
    values, weights = law.ppf(stats.norm.cdf(normal)), shares * stats.norm.pdf(normal)
    return float((function(values) * weights).sum() / weights.sum())


LAWS: dict[str, tuple[str, str, Columns, Any, tuple[Any, ...]]] = {
    "normal": (
        "Normal(m[z], s[z])", "param m[k] : real\nparam s[k] : positive", REAL,
        lambda t, z: stats.norm(t["m"][z], t["s"][z]), (np.square, np.asarray),
    ),
    "normal with known sd": (
        "Normal(m[z], 2)", "param m[k] : real", REAL, lambda t, z: stats.norm(t["m"][z], 2), (np.asarray,),
    ),
    "lognormal": (
        "LogNormal(m[z], s[z])", "param m[k] : real\nparam s[k] : positive", POSITIVE,
        lambda t, z: stats.lognorm(t["s"][z], scale=np.exp(t["m"][z])), (lambda y: np.log(y) ** 2, np.log),
    ),
    "poisson": (
        "Poisson(m[z])", "param m[k] : positive", COUNTS, lambda t, z: stats.poisson(t["m"][z]), (np.asarray,),
    ),
    "binomial": (
        "Binomial(9, m[z])", "param m[k] : unit", COUNTS, lambda t, z: stats.binom(9, t["m"][z]), (np.asarray,),
    ),
}  # fmt: skip
each_law = pytest.mark.parametrize("name", LAWS)


def _derived(text: str, cut_values: Literal["auto", "expected", "observed"]) -> CompiledModel:
    return CompiledModel(text, None, derive(resolve(parse(text), name="Model"), cut_values=cut_values))


def _taken(name: str) -> Taken:
    law, params, table, _, _ = LAWS[name]
    return take(_derived(GROUPED.replace("PARAMS", params).replace("LAW", law), "auto"), table)


def _theta(bound: Taken, seed: int = 1) -> dict[str, Array]:
    return random_theta(bound.problem.spaces, np.random.default_rng(seed), bound.problem.initial())


@each_law
def test_expected_statistics_are_truncated_moments(name: str) -> None:
    bound = _taken(name)
    theta, program = _theta(bound), bound.problem.program
    table, law_at, functions = LAWS[name][2], LAWS[name][3], LAWS[name][4]
    seen = 0
    for piece, (_, expected) in program.completions.items():
        data = program.pieces[piece].data
        with np.errstate(all="ignore"):  # what a cell of another kind holds is no number
            values = expected(theta, program.vector(theta), data)
        assert data.row_mask is not None
        rows = np.flatnonzero(np.broadcast_to(data.row_mask, (data.rows,))).tolist()
        for row in rows:
            low, high = (table[side][row] for side in ("lo", "hi"))
            bounds = -np.inf if low is None else float(low), np.inf if high is None else float(high)
            for z in range(2):
                found = [float(np.broadcast_to(v, (2, data.rows))[z, row]) for v in values]
                wanted = [_truncated(law_at(theta, z), function, *bounds) for function in functions]
                assert sorted(found) == pytest.approx(sorted(wanted), rel=2e-6), (piece, row, z)
                seen += 1
    assert seen >= 8


@each_law
def test_fishers_identity(name: str) -> None:
    """The slope of the expected log-density, where the expectation was taken, is that of the log-probability."""
    problem = _taken(name).problem
    theta = _theta(_taken(name), 3)
    v, statistics = problem.program.vector(theta), problem.expect(theta).statistics
    assert problem._completions
    for item in problem.assemblies:
        part = problem._completions.get(item.data.name)
        if part is None:
            continue
        one, other = np.zeros(len(v)), np.zeros(len(v))
        with np.errstate(all="ignore"):  # what a cell of another kind holds is no number
            item.gradient(theta, v, statistics[item.data.name].weights, one)
            part.gradient(theta, v, statistics[item.data.name], other)
        np.testing.assert_allclose(other, one, rtol=1e-9, atol=1e-9)
        assert np.abs(one).max() > 1e-6


@each_law
def test_the_likelihood_never_falls(name: str) -> None:
    bound = _taken(name)
    run = plain_em(bound.problem, evaluate(bound.problem, _theta(bound, 2)), 25)
    values = [value for _, value in run.trace]
    assert run.fell == 0.0 and values[-1] > values[0]


def _mixture(rng: np.random.Generator) -> Columns:
    y = np.where(rng.random(150) < 0.4, rng.normal(0, 1, 150), rng.normal(4, 1.2, 150))
    censored = rng.normal(4, 2, 150)
    return {"y": np.minimum(y, censored).tolist(), "event": (y <= censored).astype(int).tolist()}


def test_a_mixture_comes_to_the_same_maximum_either_way() -> None:
    text = CENSORED.replace("LAW", "Normal(m[z], s[z])").replace("PARAMS", "param m[k] : real\nparam s[k] : positive")
    table = _mixture(np.random.default_rng(2))
    found = []
    both: tuple[Literal["auto", "observed"], ...] = ("auto", "observed")
    for how in both:
        bound = take(_derived(text, how), table)
        start = {**bound.problem.initial(), "m": np.array([0.0, 3.0])}
        bound.problem.initial = lambda start=start: dict(start)  # type: ignore[method-assign, misc]
        found.append(fit(bound.problem, FitOptions(starts=1)))
        rules = {update.rule for update in bound.compiled.derivation.updates}
        assert rules == ({"simplex", "closed form"} if how == "auto" else {"simplex", "newton"})
    for name, value in found[0].theta.items():
        np.testing.assert_allclose(value, found[1].theta[name], rtol=1e-8)
    assert found[0].converged and found[1].converged
    assert found[0].loglik == pytest.approx(found[1].loglik, abs=1e-9)


#: What a fit takes by itself, and what is compared with it.
WAYS: tuple[Literal["auto", "expected"], ...] = ("auto", "expected")


def test_a_regression_comes_to_the_same_maximum_either_way() -> None:
    """The linear update on expected statistics, which is not the default where nothing else is hidden: Newton's method
    on the observed-data likelihood is faster there, and the derivation says so.
    """
    text = (ROOT / "models" / "tobit.emm").read_text(encoding="utf-8")
    data = str(ROOT / "models" / "data" / "affairs.csv")
    found = {how: take(_derived(text, how), data) for how in WAYS}
    rules = {how: [u.rule for u in bound.compiled.derivation.updates] for how, bound in found.items()}
    assert rules == {"auto": ["newton"], "expected": ["linear", "closed form"]}
    fits = {how: fit(bound.problem, FitOptions(starts=1)) for how, bound in found.items()}
    for name, value in fits["auto"].theta.items():
        np.testing.assert_allclose(fits["expected"].theta[name], value, rtol=1e-8)
    assert fits["expected"].loglik == pytest.approx(-705.5762226227326, abs=1e-7)
    assert fits["auto"].iterations < fits["expected"].iterations
    (step,) = [s for s in found["auto"].compiled.derivation.steps if s.rule == "completion"]
    assert "observed-data likelihood" in step.after and "fewer steps" in step.note


@pytest.mark.parametrize(
    ("law", "params", "why"),
    [
        ("Weibull(m[z], s[z])", "param m[k] : positive\nparam s[k] : positive", "no exponential family"),
        ("Gamma(m[z], s[z])", "param m[k] : positive\nparam s[k] : positive", "need iteration all the same"),
        ("Normal(m[z], m[z]^2)", "param m[k] : positive", "2 statistics and 1 parameters"),
    ],
)
def test_the_derivation_says_why_a_law_is_not_completed(law: str, params: str, why: str) -> None:
    derivation = _derived(GROUPED.replace("PARAMS", params).replace("LAW", law), "auto").derivation
    assert not any(piece.completion for piece in derivation.pieces)
    notes = [step.note for step in derivation.steps if step.rule == "completion"]
    assert notes and all(why in note for note in notes)
