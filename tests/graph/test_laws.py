"""What the expansions of laws must satisfy: probabilities sum to one, densities are SciPy's, maps are Mendel's."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from scipy import special, stats

from emdsl.ir.expressions import Reduce, walk
from emdsl.ir.model import Labels, Model, Range
from tests.graph.evaluate import World, model_of

GOLDENS = Path(__file__).with_name("goldens")
CHAINS = ("casino", "stationary_chain")


def golden(name: str) -> Model:
    """The model of a golden."""
    return model_of((GOLDENS / f"{name}.emm").read_text(encoding="utf-8"))


def labels_of(model: Model) -> dict[str, tuple[str, ...]]:
    """The labels of all index sets; ranges run to 2, and what the data would say is a, b, c."""
    made = {}
    for index_set in model.index_sets:
        match index_set.source:
            case Labels(labels):
                made[index_set.name] = labels
            case Range():
                made[index_set.name] = ("1", "2")
            case _:
                made[index_set.name] = ("a", "b", "c")
    return made


def random_parameters(model: Model, indexes: Mapping[str, tuple[str, ...]]) -> dict[str, np.ndarray]:
    """A point inside every domain."""
    rng = np.random.default_rng(4)
    made = {}
    for parameter in model.parameters:
        shape = tuple(len(indexes[axis]) for axis in parameter.axes)
        event = tuple(len(indexes[axis]) for axis in parameter.domain.axes)
        if parameter.domain.kind == "simplex":
            made[parameter.name] = rng.dirichlet(np.ones(math.prod(event)), shape or None).reshape(shape + event)
        else:
            made[parameter.name] = rng.uniform(0.1, 0.9, shape + event)
    return made


def worlds(model: Model, fixed: Mapping[str, float] | None = None) -> Iterator[World]:
    """The model at one random point, once for each value of all its finite variables that have a law."""
    indexes = labels_of(model)
    parameters = random_parameters(model, indexes)
    values = {variable.name: variable.values for variable in model.variables}
    drawn = {factor.target.name for factor in model.factors if factor.target}
    drawn |= {name for variable in model.variables for name in variable.joint}
    finite = [v for v in model.variables if v.values is not None and v.name in drawn and not v.genotype]
    for labels in product(*(indexes[variable.values or ""] for variable in finite)):
        named = {variable.name: label for variable, label in zip(finite, labels, strict=True)}
        yield World(indexes, parameters, {}, {**named, **(fixed or {})}, values)


def joint(model: Model, world: World) -> float:
    """The probability of everything in one unit, that of the first in a chain."""
    return math.exp(sum(world.factor(factor) for factor in model.factors if factor.when != "after"))


@pytest.mark.parametrize(
    "name", ["peppered_moth", "inbreeding", "linkage_hidden", "linkage_observed", "joint_draw", "casino"]
)
def test_all_probabilities_sum_to_one(name: str) -> None:
    model = golden(name)
    assert sum(joint(model, world) for world in worlds(model)) == pytest.approx(1)


@pytest.mark.parametrize("name", CHAINS)
def test_each_step_of_a_chain_sums_to_one(name: str) -> None:
    model = golden(name)
    after = next(factor for factor in model.factors if factor.when == "after")
    assert after.target is not None and after.lag == 1
    states = labels_of(model)["state"]
    for before in states:
        total = 0.0
        for state in states:
            world = next(worlds(model))
            world = World(
                world.indexes,
                world.parameters,
                {},
                {after.target.name: state},
                world.values,
                {after.target.name: before},
            )
            total += math.exp(world.factor(after))
        assert total == pytest.approx(1)


def test_the_stationary_law_is_what_the_matrix_leaves_alone() -> None:
    model = golden("stationary_chain")
    world = next(worlds(model))
    law = np.array([world(model.reports[0].value, {"state": state}) for state in ("1", "2")])
    np.testing.assert_allclose(law @ world.parameters["A"], law, atol=1e-12)


def distribution(model: Model, observed: str) -> dict[str, float]:
    """The law of a deterministic observation, by enumeration."""
    (given,) = (item for item in model.maps if item.name == observed)
    found: dict[str, float] = {}
    for world in worlds(model):
        label = world.label(given.value)
        found[label] = found.get(label, 0.0) + joint(model, world)
    return found


def test_dominance_gives_the_phenotypes_of_the_textbook() -> None:
    model = golden("peppered_moth")
    c, i, t = random_parameters(model, labels_of(model))["p"]
    expected = {"carbonaria": c * c + 2 * c * i + 2 * c * t, "insularia": i * i + 2 * i * t, "typica": t * t}
    assert distribution(model, "phenotype") == pytest.approx(expected)


def test_linkage_gives_the_four_cells() -> None:
    model = golden("linkage_hidden")
    theta = float(random_parameters(model, {})["theta"])
    expected = {"a": 1 / 2 + theta / 4, "b": (1 - theta) / 4, "c": (1 - theta) / 4, "d": theta / 4}
    assert distribution(model, "group") == pytest.approx(expected)


def test_inbreeding_raises_homozygotes() -> None:
    model = golden("inbreeding")
    parameters = random_parameters(model, labels_of(model))
    (m, n), f = parameters["p"], float(parameters["F"])
    both = sum(
        joint(model, world)
        for world in worlds(model)
        if world.variables["genotype.1"] == world.variables["genotype.2"] == "M"
    )
    assert both == pytest.approx(m * m + f * m * n)  # Wright 1922


def test_a_joint_draw_is_the_simplex_itself() -> None:
    model = golden("joint_draw")
    p = random_parameters(model, labels_of(model))["p"]
    found = distribution(model, "same")
    assert found == pytest.approx({"yes": p[0, 0] + p[1, 1], "no": p[0, 1] + p[1, 0]})


# --- vectors ----------------------------------------------------------------------------------------------------------


def density(text: str, indexes: Mapping[str, tuple[str, ...]], **values: object) -> float:
    """The log-density of the only factor of a model of vectors."""
    model = model_of(text)
    (factor,) = model.factors
    names = {parameter.name for parameter in model.parameters}
    parameters = {name: value for name, value in values.items() if name in names}
    variables = {name: value for name, value in values.items() if name not in names}
    return World(indexes, parameters, {}, variables).factor(factor)


DIMENSIONS = {"dim": ("a", "b", "c")}


def test_multivariate_normal() -> None:
    rng = np.random.default_rng(1)
    root = rng.normal(size=(3, 5))
    m, x, cov = rng.normal(size=3), rng.normal(size=3), root @ root.T
    text = """
        index dim = columns
        param m[dim] : real
        param S : covariance[dim]
        for each row:
            observed x[dim] ~ MVNormal(m, S)
    """
    expected = stats.multivariate_normal(m, cov).logpdf(x)
    assert density(text, DIMENSIONS, m=m, S=cov, x=x) == pytest.approx(expected)
    scalar = text.replace("MVNormal(m, S)", "MVNormal(m[a], S)").replace("columns", "columns(a, b, c)")
    expected = stats.multivariate_normal(np.repeat(m[0], 3), cov).logpdf(x)
    assert density(scalar, DIMENSIONS, m=m, S=cov, x=x) == pytest.approx(expected)


def test_multinomial() -> None:
    text = """
        index dim = columns
        param p : simplex[dim]
        for each row:
            observed x[dim] ~ Multinomial(6, p)
    """
    p, x = np.array([0.2, 0.3, 0.5]), np.array([1, 0, 5])
    assert density(text, DIMENSIONS, p=p, x=x) == pytest.approx(stats.multinomial(6, p).logpmf(x))


def test_dirichlet_as_a_law() -> None:
    text = """
        index dim = columns
        param a[dim] : positive
        for each row:
            observed x[dim] ~ Dirichlet(a)
    """
    a, x = np.array([0.7, 2.0, 3.0]), np.array([0.1, 0.3, 0.6])
    assert density(text, DIMENSIONS, a=a, x=x) == pytest.approx(stats.dirichlet(a).logpdf(x))


def prior(declaration: str, indexes: Mapping[str, tuple[str, ...]], values: Mapping[str, object]) -> float:
    """The log-density of a parameter's prior."""
    text = f"{declaration}\nfor each row:\n    observed y ~ Normal(0, 1)\n"
    (made,) = (parameter.prior for parameter in model_of(text).parameters if parameter.prior is not None)
    return float(
        World(indexes, values, values)(made.log_density, {b.name: indexes[b.index_set][0] for b in made.binders})
    )


def test_dirichlet_as_a_prior_of_a_simplex() -> None:
    indexes = {"dim": ("a", "b", "c"), "k": ("1", "2")}
    p = np.array([[0.2, 0.3, 0.5], [0.1, 0.1, 0.8]])
    text = "index dim = {a, b, c}\nindex k = 1..2\nparam p[k] : simplex[dim] ~ Dirichlet(2)"
    assert prior(text, indexes, {"p": p}) == pytest.approx(stats.dirichlet([2, 2, 2]).logpdf(p[0]))
    joint_text = "index dim = {a, b, c}\nindex k = 1..2\nparam p : simplex[k, dim] ~ Dirichlet(3/2)"
    expected = stats.dirichlet(np.repeat(1.5, 6)).logpdf((p / 2).ravel())
    assert prior(joint_text, indexes, {"p": p / 2}) == pytest.approx(expected)


def test_inverse_wishart_as_a_prior_of_a_covariance() -> None:
    rng = np.random.default_rng(2)
    roots = rng.normal(size=(2, 3, 6))
    cov, scale = roots @ np.swapaxes(roots, 1, 2)
    text = "index dim = columns\nconst S0[dim, dim]\nparam S : covariance[dim] ~ InverseWishart(7, S0)"
    expected = stats.invwishart(7, scale).logpdf(cov)
    assert prior(text, DIMENSIONS, {"S": cov, "S0": scale}) == pytest.approx(expected)


@pytest.mark.parametrize(("law", "link"), [("OrderedLogistic", special.expit), ("OrderedProbit", special.ndtr)])
def test_ordered_levels(law: str, link: np.ufunc) -> None:
    model = model_of(f"""
        index grade = levels
        index cut = 1..3
        param cuts : ordered[cut]
        param eta : real
        for each row:
            observed y : grade ~ {law}(eta, cuts)
    """)
    indexes = {"grade": ("a", "b", "c", "d"), "cut": ("1", "2", "3")}
    cuts, eta = np.array([-1.0, 0.2, 1.5]), 0.4
    found = [
        math.exp(World(indexes, {"cuts": cuts, "eta": eta}, {}, {"y": level}, {"y": "grade"}).factor(model.factors[0]))
        for level in indexes["grade"]
    ]
    np.testing.assert_allclose(found, np.diff(np.concatenate([[0], link(cuts - eta), [1]])))


def test_a_value_at_an_atom_belongs_to_the_atom() -> None:
    model = golden("atoms")
    rain = next(factor for factor in model.factors if factor.name == "rain")
    parameters = {"dry": 0.3, "m": 0.0, "s": 1.0}

    def at(dry: str, value: float) -> float:
        return World({"0/1": ("0", "1")}, parameters, {}, {"no_rain": dry, "rain": value}, {"no_rain": "0/1"}).factor(
            rain
        )

    assert (at("1", 0.0), at("0", 0.0), at("1", 2.0)) == (0.0, -math.inf, -math.inf)
    assert at("0", 2.0) == pytest.approx(stats.lognorm(1.0).logpdf(2.0))


# --- names of bound indices -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(GOLDENS.glob("*.txt")), ids=lambda path: path.stem)
def test_no_internal_name_is_left(path: Path) -> None:
    assert "#" not in path.read_text(encoding="utf-8").replace("[#", "").replace(", #", "")


def test_bound_indices_are_unique_in_their_factor() -> None:
    model = model_of("""
        index k = 1..3
        param a[k] : real
        param b[i in k] : real
        for each row:
            latent z ~ Categorical(softmax(i in k: a[i] + sum(j in k: b[j])))
            observed y ~ Normal(sum(i in k: a[i]*sum(i in k: b[i])), 1)
    """)
    for factor in model.factors:
        outer = [node for node in walk(factor) if isinstance(node, Reduce)]
        assert len(outer) > 1
        for reduce in outer:
            inside = {node.binder for node in walk(reduce.body) if isinstance(node, Reduce)}
            assert reduce.binder not in inside
            assert all(binder.name != reduce.binder.name for binder in inside)


@pytest.mark.parametrize(
    "law",
    [
        "Categorical({no: 1 - logistic(a*(prev(y) == no)), yes: logistic(a*(prev(y) == no))})",
        "Categorical(softmax(k in two: a*(k == prev(y))))",
        "Categorical(v)",
    ],
)
def test_what_a_variable_is_does_not_hang_on_its_value_before(law: str) -> None:
    text = f"""
index two = {{no, yes}}
param a : real
param p : simplex[two]
param q : simplex[two]
for each row in sequence:
    let v = case prev(y):
        no  -> p
        yes -> q
    observed y ~ {law}
"""
    (variable,) = model_of(text).variables
    assert (variable.name, variable.values) == ("y", "two")
