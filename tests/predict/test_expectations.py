"""Predictions against the enumeration of all hidden states, SciPy's quantiles, and computations by hand."""

from __future__ import annotations

from dataclasses import replace
from textwrap import dedent
from typing import Any

import numpy as np
import pytest
from scipy import stats

from emdsl.data.bound import Values
from emdsl.ir.model import Branch, Factor
from emdsl.plan.posterior import posterior
from emdsl.predict.prediction import Prediction, predict
from tests.laws.bound_models import Taken, random_theta, take
from tests.laws.constructs import CONSTRUCTS, SETS, Construct
from tests.laws.constructs_of_chains import CHAINS
from tests.laws.constructs_of_order import DRIVEN, ORDERS
from tests.laws.enumeration import Enumeration, applies
from tests.laws.interpreter import World

#: What SciPy calls a law, from the values of its arguments.
LAWS: dict[str, Any] = {
    "Normal": lambda mean, sd: stats.norm(mean, sd),
    "Poisson": lambda rate: stats.poisson(rate),
    "Point": lambda value: stats.rv_discrete(values=([value], [1.0])),
}


def predicted(taken: Taken, theta: Any, **chosen: Any) -> Prediction:
    return predict(taken.compiled.derivation, taken.bound, theta, **chosen)


def one(prediction: Prediction, name: str) -> Any:
    return next(item for item in prediction.variables if item.name == name)


# --- against enumeration ----------------------------------------------------------------------------------------------


def factors_of(taken: Taken, name: str) -> list[Factor]:
    return [f for f in taken.compiled.model.factors if f.target is not None and f.target.name == name]


def scalar_numbers(construct: Construct) -> bool:
    """Whether its observed variables include a scalar number whose laws are all in `LAWS`."""
    return any(law in construct.text for law in ("observed y ~ Normal", "observed y ~ Poisson", "-> Point"))


class Mixtures:
    """For each unit of the plate of a variable, the laws that it may have and their posterior weights."""

    def __init__(self, taken: Taken, name: str) -> None:
        self.factors = factors_of(taken, name)
        self.found: dict[tuple[int, int], list[tuple[float, Any]]] = {}

    def __call__(self, world: World, weights: Any) -> None:
        for factor in self.factors:
            if factor.plate != world.unit.plate or not applies(factor, world.unit):
                continue
            laws = []
            for branch in factor.branches:
                here = np.ones(len(weights), dtype=bool)
                for guard in branch.guards:
                    here = here & world.holds(guard)
                laws += [(w, self.law(branch, world, k)) for k, w in enumerate(weights) if here[k] and w > 0]
            self.found[min(world.unit.rows), world.unit.position] = laws

    def law(self, branch: Branch, world: World, state: int) -> Any:
        values = (np.broadcast_to(np.asarray(world.number(e), dtype=float), state + 1 if np.ndim(world.number(e)) == 0
                  else np.shape(world.number(e)))[state] for _, e in branch.arguments)  # fmt: skip
        return LAWS[branch.family](*values)


@pytest.mark.parametrize(
    "construct", [c for c in (*CONSTRUCTS, *CHAINS, *ORDERS, *DRIVEN) if scalar_numbers(c)], ids=lambda c: c.name
)
def test_mean_and_interval_are_those_of_the_mixture_over_hidden_states(construct: Construct) -> None:
    taken = take(SETS + dedent(construct.text), construct.columns)
    theta = random_theta(taken.problem.spaces, np.random.default_rng(4), taken.problem.initial())
    mixtures = Mixtures(taken, "y")
    with np.errstate(all="ignore"):
        Enumeration(taken.compiled.model, construct.columns, theta).visit(mixtures)
    found = one(predicted(taken, theta, level=0.8), "y")
    checked = 0
    # units of the enumeration in the order of their rows; those of the engine are sorted by chains
    order = np.argsort(first_rows(taken, found.level), kind="stable")
    units = dict(zip(sorted_units(taken, found.level), order, strict=True))
    for key, laws in mixtures.found.items():
        unit = units[key]
        total = sum(w for w, _ in laws)
        if total <= 0 or np.isnan(found.expected[unit]):
            continue
        mean = sum(w * law.mean() for w, law in laws) / total
        assert found.expected[unit] == pytest.approx(mean, rel=1e-8, abs=1e-8)

        def cdf(x: float, laws: Any = laws, total: float = total) -> float:
            return sum(w * law.cdf(x) for w, law in laws) / total

        for end, tail in ((found.low[unit], 0.1), (found.high[unit], 0.9)):
            slack = 1e-6 * max(1.0, abs(end))
            assert cdf(end - slack) <= tail + 1e-6 and cdf(end + slack) >= tail - 1e-6
        checked += 1
    assert checked


def first_rows(taken: Taken, level: int) -> Any:
    from emdsl.results.posterior import first_rows as rows

    return rows(taken.compiled.model, taken.bound, level)


def sorted_units(taken: Taken, level: int) -> list[tuple[int, int]]:
    """The units of a level as the enumeration names them: their first row, and their place in the unit around them."""
    here = taken.bound.levels[level]
    rows = first_rows(taken, level)
    place = np.arange(here.size) - here.starts[here.parent]
    order = np.argsort(rows, kind="stable")
    return [(int(rows[k]), int(place[k])) for k in order]


# --- filtering --------------------------------------------------------------------------------------------------------

ONE_CHAIN = [c for c in (*CHAINS, *DRIVEN) if c.name in (
    "a switching autoregression", "transitions that inputs drive", "two chains that meet in what is seen",
    "an emission that looks at the state before", "transitions that what was seen before drives",
    "a hidden label whose law looks at the chain before it",
)]  # fmt: skip


@pytest.mark.parametrize("construct", ONE_CHAIN, ids=lambda c: c.name)
def test_what_is_filtered_is_what_a_chain_cut_there_says(construct: Construct) -> None:
    rows = [k for k, g in enumerate(construct.columns.get("g", ["1"] * 99)) if g == "1"][: len(construct.columns["y"])]
    columns = {name: [cells[k] for k in rows] for name, cells in construct.columns.items()}
    taken = take(SETS + dedent(construct.text), columns)
    theta = random_theta(taken.problem.spaces, np.random.default_rng(8), taken.problem.initial())
    filtered = posterior(taken.compiled.derivation, taken.bound, theta, filtered=True).marginals
    expected = predicted(taken, theta, filtered=True).variables
    for end in range(1, len(rows) + 1):
        cut = take(SETS + dedent(construct.text), {name: cells[:end] for name, cells in columns.items()})
        last = posterior(cut.compiled.derivation, cut.bound, theta).marginals
        for whole, part in zip(filtered, last, strict=True):
            assert whole.probabilities[:, end - 1] == pytest.approx(part.probabilities[:, -1], rel=1e-9, abs=1e-12)
        for known, alone in zip(expected, predicted(cut, theta).variables, strict=True):
            field = "expected" if known.probabilities is None else "probabilities"
            assert getattr(known, field)[..., end - 1] == pytest.approx(getattr(alone, field)[..., -1], nan_ok=True)


# --- laws, one by one -------------------------------------------------------------------------------------------------

SCALAR: dict[str, tuple[str, Any]] = {
    "Normal(1000, 0.1)": ("real", stats.norm(1000, 0.1)),
    "StudentT(3, -2, 0.5)": ("real", stats.t(3, -2, 0.5)),
    "Laplace(1, 2)": ("real", stats.laplace(1, 2)),
    "LogNormal(1, 2)": ("positive", stats.lognorm(2, scale=np.exp(1))),
    "Gamma(0.3, 2)": ("positive", stats.gamma(0.3, scale=0.5)),
    "Gamma(400, 2)": ("positive", stats.gamma(400, scale=0.5)),
    "InverseGamma(3, 2)": ("positive", stats.invgamma(3, scale=2)),
    "InverseGaussian(2, 3)": ("positive", stats.invgauss(2 / 3, scale=3)),
    "Weibull(1.5, 2)": ("positive", stats.weibull_min(1.5, scale=2)),
    "Exponential(4)": ("positive", stats.expon(scale=1 / 4)),
    "Beta(0.5, 3)": ("unit", stats.beta(0.5, 3)),
    "Uniform(2, 5)": ("real", stats.uniform(2, 3)),
    "Poisson(3)": ("natural", stats.poisson(3)),
    "Poisson(90000)": ("natural", stats.poisson(90000)),
    "Binomial(12, 0.3)": ("natural", stats.binom(12, 0.3)),
    "NegativeBinomial(3, 2)": ("natural", stats.nbinom(2, 2 / 5)),
    "Geometric(0.2)": ("natural", stats.geom(0.2, loc=-1)),
    "BetaBinomial(10, 2, 3)": ("natural", stats.betabinom(10, 2, 3)),
}


@pytest.mark.parametrize("law", SCALAR)
def test_the_mean_and_the_quantiles_are_scipys(law: str) -> None:
    domain, reference = SCALAR[law]
    value = {"real": 2.5, "positive": 1.0, "unit": 0.5, "natural": 1}[domain]
    text = f"param unused : real\nfor each row:\n    observed y ~ {law}\n    observed w ~ Normal(unused, 1)\n"
    taken = take(text, {"y": [value], "w": [0.0]})
    found = one(predicted(taken, {"unused": np.array(0.0)}, level=0.9), "y")
    assert found.expected[0] == pytest.approx(reference.mean(), rel=1e-7)
    assert found.low[0] == pytest.approx(reference.ppf(0.05), rel=1e-6, abs=1e-12)
    assert found.high[0] == pytest.approx(reference.ppf(0.95), rel=1e-6)


def test_a_family_of_ones_own_without_mean_or_cdf_is_integrated_and_that_is_said() -> None:
    text = """
    family Rayleigh(scale : positive) for x : positive:
        logpdf = log(x) - 2*log(scale) - x^2/(2*scale^2)
    param s : positive
    for each row:
        observed y ~ Rayleigh(s)
    """
    taken = take(dedent(text), {"y": [1.0, 2.0]})
    prediction = predicted(taken, {"s": np.array(3.0)})
    found = one(prediction, "y")
    reference = stats.rayleigh(scale=3)
    assert prediction.notes == ("the expected value and the interval of y come from its density by quadrature",)
    assert found.expected == pytest.approx(reference.mean(), rel=1e-8)
    assert found.low == pytest.approx(reference.ppf(0.025), rel=1e-7)
    assert found.high == pytest.approx(reference.ppf(0.975), rel=1e-7)


def test_an_atom_in_a_mixture() -> None:
    text = """
    param r : unit
    for each row:
        latent z ~ Bernoulli(r)
        observed y ~ case z:
            0 -> Point(0)
            1 -> Normal(1, 1)
    """
    taken = take(dedent(text), {"y": [None, None]})
    found = one(predicted(taken, {"r": np.array(0.4)}), "y")
    assert found.expected == pytest.approx(0.4)
    assert found.low == pytest.approx(1 + stats.norm.ppf(0.025 / 0.4))
    assert one(predicted(taken, {"r": np.array(0.4)}, level=0.2), "y").low.tolist() == [0.0, 0.0]


def test_elements_of_a_vector_are_normal() -> None:
    text = """
    index dim = columns(a, b)
    index two = {u, v}
    param p : simplex[two]
    param m[two, dim] : real
    param S[two] : covariance[dim]
    for each row:
        latent z ~ Categorical(p)
        observed x[dim] ~ MVNormal(m[z], S[z])
    """
    taken = take(dedent(text), {"a": [0.0, 3.0], "b": [1.0, -1.0]})
    theta = {
        "p": np.array([0.3, 0.7]), "m": np.array([[0.0, 1.0], [3.0, -1.0]]),
        "S": np.array([[[2.0, 0.5], [0.5, 1.0]], [[1.0, -0.3], [-0.3, 4.0]]]),
    }  # fmt: skip
    weights = np.array([
        [theta["p"][k] * stats.multivariate_normal(theta["m"][k], theta["S"][k]).pdf(x) for k in range(2)]
        for x in ([0.0, 1.0], [3.0, -1.0])
    ])  # fmt: skip
    weights /= weights.sum(axis=1, keepdims=True)
    for j, name in enumerate(("x[a]", "x[b]")):
        found = one(predicted(taken, theta), name)
        assert found.expected == pytest.approx(weights @ theta["m"][:, j])
        for unit, w in enumerate(weights):
            for end, tail in ((found.low[unit], 0.025), (found.high[unit], 0.975)):
                cdf = w @ stats.norm(theta["m"][:, j], np.sqrt(theta["S"][:, j, j])).cdf(end)
                assert cdf == pytest.approx(tail, abs=1e-9)


def test_labels_through_maps_and_genotypes() -> None:
    text = """
    index allele = {C, T}
    param p : simplex[allele]
    for each moth:
        latent g ~ HardyWeinberg(p)
        observed look = case g:
            C/_ -> dark
            T/T -> pale
    """
    taken = take(dedent(text), {"look": ["dark", None]})
    found = one(predicted(taken, {"p": np.array([0.1, 0.9])}), "look")
    assert found.labels == ("dark", "pale")
    assert found.probabilities == pytest.approx(np.array([[1.0, 0.19], [0.0, 0.81]]))
    seen = take("index allele = {C, T}\nparam p : simplex[allele]\nfor each row:\n    observed g ~ HardyWeinberg(p)\n",
                {"g": ["C/T", None, "_/T"]})  # fmt: skip
    found = one(predicted(seen, {"p": np.array([0.1, 0.9])}), "g")
    assert found.labels == ("C/C", "C/T", "T/T") and found.expected is None
    assert (
        pytest.approx(np.array([[0.0, 1.0, 0.0], [0.01, 0.18, 0.81], [0.0, 0.18 / 0.99, 0.81 / 0.99]]))
        == found.probabilities.T
    )


def test_the_empty_cell_of_an_item_is_told_by_the_others() -> None:
    text = """
    index k = {u, v}
    index item = columns(a, b)
    param p : simplex[k]
    param q[k, item] : unit
    for each row:
        latent z ~ Categorical(p)
        observed y[item] ~ Bernoulli(q[z, item])
    """
    taken = take(dedent(text), {"a": [1, None], "b": [None, None]})
    q = np.array([[0.9, 0.7], [0.2, 0.1]])
    found = one(predicted(taken, {"p": np.array([0.4, 0.6]), "q": q}), "y[b]")
    share = 0.4 * 0.9 / (0.4 * 0.9 + 0.6 * 0.2)
    assert found.expected == pytest.approx([share * 0.7 + (1 - share) * 0.1, 0.4 * 0.7 + 0.6 * 0.1])


def test_what_looks_at_what_is_not_known_is_left_out_and_that_is_said() -> None:
    text = "param r : real\nfor each row in sequence:\n    observed y ~ Normal(r*prev(y), 1)\n"
    taken = take(text, {"y": [1.0, 2.0]})
    prediction = predicted(taken, {"r": np.array(0.5)})
    assert prediction.notes == ()
    assert one(prediction, "y").expected == pytest.approx([np.nan, 0.5], nan_ok=True)  # the first unit has no law
    longer = replace(taken.bound, values={"y": Values(np.array([1.0, np.nan]))})
    prediction = predict(taken.compiled.derivation, longer, {"r": np.array(0.5)})
    assert prediction.notes == ()
    two = take(text.replace("r*prev(y)", "r*prev(y, 2)"), {"y": [1.0, 2.0, 3.0, 4.0]})
    missing = replace(two.bound, values={"y": Values(np.array([1.0, np.nan, 3.0, np.nan]))})
    prediction = predict(two.compiled.derivation, missing, {"r": np.array(0.5)})
    assert one(prediction, "y").expected == pytest.approx([np.nan, np.nan, 0.5, np.nan], nan_ok=True)
    (note,) = prediction.notes
    assert note == (
        "y is not predicted where its law looks at what is not known: an empty cell, or a unit before the chain"
    )


def test_gaps_of_an_observed_chain_are_told_from_both_sides() -> None:
    text = """
    index s = {a, b}
    param start : simplex[s]
    param A[s] : simplex[s]
    for each t in sequence:
        observed y ~ Markov(start, A)
    """
    taken = take(dedent(text), {"y": ["a", None, None, "b", None, None]})
    A = np.array([[0.9, 0.1], [0.4, 0.6]])
    found = one(predicted(taken, {"start": np.array([0.5, 0.5]), "A": A}), "y").probabilities.T
    second = A[0] * (A @ A)[:, 1]
    third = (A @ A)[0] * A[:, 1]
    assert found[0] == pytest.approx([0.5, 0.5]) and found[3] == pytest.approx(third @ A / third.sum())
    assert found[1] == pytest.approx(second / second.sum()) and found[2] == pytest.approx(third / third.sum())
    assert found[4] == pytest.approx(A[1]) and found[5] == pytest.approx((A @ A)[1])


def test_what_is_certain_is_predicted() -> None:
    """0 times the logarithm of 0 is no probability of 0."""
    text = "param p : unit\nfor each row in sequence:\n    observed y ~ Bernoulli(1) first, Bernoulli(p) after\n"
    found = one(predicted(take(text, {"y": [1, 0, None]}), {"p": np.array(0.3)}), "y")
    assert pytest.approx(np.array([[0.0, 0.7, 0.7], [1.0, 0.3, 0.3]])) == found.probabilities
