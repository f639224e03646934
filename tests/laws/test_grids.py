"""Hidden numbers on grids of nodes: against integrals, filters and enumerations written by hand."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.special import expit
from scipy.stats import beta, gamma, norm, poisson

import emdsl
from emdsl.diagnostics.errors import EmmError

Table = dict[str, Any]
Array = NDArray[np.float64]
RNG = np.random.default_rng(20)
CLOSE = 1e-6
#: Nodes for integrals by hand, a fifteenth of a standard deviation apart and less.
FINE = np.linspace(-11.0, 11.0, 441)


def loglik(text: str, data: Table, params: Table) -> float:
    """The log-likelihood at these parameters."""
    return float(emdsl.loads(text).fit(data, init=params, max_iter=0, se="none").loglik)


def moments(text: str, data: Table, params: Table, plate: str, name: str) -> tuple[Array, Array]:
    """The posterior mean and standard deviation of a hidden number in each unit of a plate."""
    tables, _ = emdsl.loads(text).posterior_with(data, params, {})
    table = tables[plate]
    return np.array(table[f"mean({name})"], dtype=float), np.array(table[f"sd({name})"], dtype=float)


def by_quad(density: Callable[[float], float], low: float, high: float) -> tuple[float, float, float]:
    """Log-integral, mean and standard deviation of a density known up to its integral."""
    middle = [0.5 * (low + high)]
    powers: list[Callable[[float], float]] = [density, lambda u: u * density(u), lambda u: u * u * density(u)]
    found = [quad(f, low, high, epsabs=0.0, epsrel=1e-11, limit=500, points=middle)[0] for f in powers]
    mean = found[1] / found[0]
    return float(np.log(found[0])), float(mean), float(np.sqrt(found[2] / found[0] - mean**2))


# --- numbers of a unit, with something finite hidden inside -----------------------------------------------------------

SITE = np.repeat(np.arange(4), 3)
Y = np.array([0.2, 2.6, 3.1, -0.4, 0.3, 1.9, 2.2, 2.8, 3.3, -1.0, 0.1, 0.2])
MIXTURE = """
index kind = {{lo, hi}}
param mu[kind] : real
param sigma : positive
{params}
for each site:
    {latent}
    for each survey:
        latent z : kind ~ Categorical({{lo: 1 - {share}, hi: {share}}})
        observed y ~ Normal(mu[z], sigma)
"""
EMISSION = {"mu": {"lo": 0.0, "hi": 2.5}, "sigma": 0.8}


def mixture(params: str, latent: str, share: str) -> str:
    return MIXTURE.format(params="\n".join(params.split("; ")), latent=latent, share=share)


def surveys(share: float, rows: slice) -> float:
    """The density of a site's surveys, given the chance of a high one."""
    return float(np.prod((1 - share) * norm.pdf(Y[rows], 0.0, 0.8) + share * norm.pdf(Y[rows], 2.5, 0.8)))


def joint(own: Callable[[float], float], share: Callable[[float], float], rows: slice, u: float) -> float:
    """The density of a site's number and its surveys."""
    return own(u) * surveys(share(u), rows)


UNITS: dict[str, tuple[str, Table, Callable[[float], float], Callable[[float], float], tuple[float, float]]] = {
    "estimated normal": (
        mixture("param b : real; param tau : positive", "latent u ~ Normal(0, tau)", "logistic(b + u)"),
        {"b": 0.4, "tau": 1.3}, lambda u: norm.pdf(u, 0, 1.3), lambda u: expit(0.4 + u), (-15.0, 15.0),
    ),
    "a mean and a spread by formula": (
        mixture("param b : real; param tau : positive; param c : real", "latent u ~ Normal(b - c, tau*exp(c))",
                "logistic(u)"),
        {"b": 0.4, "tau": 1.3, "c": 0.3}, lambda u: norm.pdf(u, 0.1, 1.3 * np.exp(0.3)), expit, (-18.0, 18.0),
    ),
    "no spread at all": (
        mixture("param b : real; param tau : positive", "latent u ~ Normal(0, tau)", "logistic(b + u)"),
        {"b": 0.4, "tau": 1e-7}, lambda u: norm.pdf(u, 0, 1e-7), lambda u: expit(0.4 + u), (-1e-6, 1e-6),
    ),
    "beta": (
        mixture("param a : positive; param b : positive", "latent u ~ Beta(a, b)", "u"),
        {"a": 2.0, "b": 1.5}, lambda u: beta.pdf(u, 2.0, 1.5), lambda u: u, (0.0, 1.0),
    ),
    "gamma": (
        mixture("param a : positive; param b : positive", "latent u ~ Gamma(a, b)", "(1 - exp(-u))"),
        {"a": 2.0, "b": 1.5}, lambda u: gamma.pdf(u, 2.0, scale=1 / 1.5), lambda u: 1 - np.exp(-u), (0.0, 40.0),
    ),
    "logistic": (
        mixture("param b : real; param s : positive", "latent u ~ Logistic(b, s)", "logistic(u)"),
        {"b": 0.4, "s": 0.7},
        lambda u: np.exp(-(u - 0.4) / 0.7) / 0.7 / (1 + np.exp(-(u - 0.4) / 0.7)) ** 2, expit, (-30.0, 30.0),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", UNITS)
def test_numbers_of_units_are_summed_as_scipy_integrates_them(name: str) -> None:
    text, params, own, share, (low, high) = UNITS[name]
    data = {"site": SITE, "survey": np.tile(np.arange(3), 4), "y": Y}
    expected = [by_quad(partial(joint, own, share, slice(3 * k, 3 * k + 3)), low, high) for k in range(4)]
    assert loglik(text, data, {**params, **EMISSION}) == pytest.approx(sum(e[0] for e in expected), abs=CLOSE)
    mean, sd = moments(text, data, {**params, **EMISSION}, "site", "u")
    assert mean == pytest.approx([e[1] for e in expected], abs=CLOSE)
    assert sd == pytest.approx([e[2] for e in expected], abs=CLOSE)


def test_two_numbers_of_a_unit_that_depend_on_each_other() -> None:
    text = mixture(
        "param t0 : positive; param t1 : positive; param g : real",
        "latent u ~ Normal(0, t0)\n    latent v ~ Normal(g*u, t1)", "logistic(u + v*x)",
    ).replace("        latent z", "        input x : real\n        latent z")  # fmt: skip
    x, rows = np.array([-1.0, 0.3, 1.2]), slice(0, 3)
    data = {"site": SITE[rows], "survey": np.arange(3), "x": x, "y": Y[rows]}
    params = {"t0": 0.9, "t1": 0.6, "g": 0.5, **EMISSION}

    u, v = np.meshgrid(FINE, FINE, indexing="ij")
    share = expit(u[..., None] + v[..., None] * x)
    emitted = (1 - share) * norm.pdf(Y[rows], 0.0, 0.8) + share * norm.pdf(Y[rows], 2.5, 0.8)
    joint = norm.pdf(u, 0, 0.9) * norm.pdf(v, 0.5 * u, 0.6) * emitted.prod(axis=-1)
    total = joint.sum()
    assert loglik(text, data, params) == pytest.approx(np.log(total * (FINE[1] - FINE[0]) ** 2), abs=CLOSE)
    assert moments(text, data, params, "site", "v")[0] == pytest.approx([(joint * v).sum() / total], abs=CLOSE)


def test_numbers_of_nested_plates_above_something_finite() -> None:
    text = """
param t0 : positive
param t1 : positive
param d : unit
for each school:
    latent u ~ Normal(0, t0)
    for each room:
        latent v ~ Normal(u, t1)
        for each pupil:
            latent z ~ Bernoulli(logistic(v))
            observed y ~ Bernoulli(z*d + (1 - z)*0.1)
"""
    data = {"school": [1, 1, 1, 1], "room": [1, 1, 2, 2], "pupil": [1, 2, 3, 4], "y": [1, 0, 1, 1]}
    params = {"t0": 0.8, "t1": 1.1, "d": 0.7}

    u, v = np.meshgrid(FINE, FINE, indexing="ij")
    law = norm.pdf(v, u, 1.1) * (FINE[1] - FINE[0])
    high = 0.1 + 0.6 * expit(v)
    first, second = (law * high * (1 - high)).sum(axis=1), (law * high**2).sum(axis=1)
    outer = norm.pdf(FINE, 0, 0.8)
    total = (outer * first * second).sum()
    assert loglik(text, data, params) == pytest.approx(np.log(total * (FINE[1] - FINE[0])), abs=CLOSE)
    mean, _ = moments(text, data, params, "room", "v")
    assert mean[0] == pytest.approx(
        (outer * second * (law * v * high * (1 - high)).sum(axis=1)).sum() / total, abs=CLOSE
    )


def test_a_mean_chosen_by_something_finite() -> None:
    text = """
index group = {a, b}
index kind = {lo, hi}
param p : simplex[group]
param m[group] : real
param tau[group] : positive
param mu[kind] : real
param sigma : positive
for each site:
    latent g ~ Categorical(p)
    latent u ~ Normal(m[g], tau[g])
    for each survey:
        latent z : kind ~ Categorical({lo: 1 - logistic(u), hi: logistic(u)})
        observed y ~ Normal(mu[z], sigma)
"""
    params = {"p": [0.3, 0.7], "m": [-1.0, 1.0], "tau": [0.5, 1.5], **EMISSION}
    data = {"site": SITE, "survey": np.tile(np.arange(3), 4), "y": Y}

    def own(u: float) -> float:
        return float(0.3 * norm.pdf(u, -1, 0.5) + 0.7 * norm.pdf(u, 1, 1.5))

    expected = [by_quad(partial(joint, own, expit, slice(3 * k, 3 * k + 3)), -14.0, 14.0) for k in range(4)]
    assert loglik(text, data, params) == pytest.approx(sum(e[0] for e in expected), abs=CLOSE)
    mean, sd = moments(text, data, params, "site", "u")
    assert mean == pytest.approx([e[1] for e in expected], abs=CLOSE)
    assert sd == pytest.approx([e[2] for e in expected], abs=CLOSE)


# --- chains -----------------------------------------------------------------------------------------------------------

VOLATILITY = """
param mu : real
param phi : interval(-1, 1)
param tau : positive
for each day in sequence:
    latent h ~ Normal(mu, tau/sqrt(1 - phi^2)) first, Normal(mu + phi*(prev(h) - mu), tau) after
    observed y ~ {law}
"""


def filtered(nodes: Array, first: Array, step: Array, emitted: Array) -> tuple[float, Array]:
    """Kitagawa's filter on given nodes: log-likelihood, and the smoothed densities `(rows, nodes)` times the step."""
    apart = nodes[1] - nodes[0]
    rows, total = len(emitted), 0.0
    ahead, message = np.empty_like(emitted), first * apart
    for t in range(rows):
        message = message * emitted[t]
        total += float(np.log(message.sum()))
        ahead[t] = message / message.sum()
        message = ahead[t] @ step * apart
    smoothed, back = np.empty_like(emitted), np.ones(len(nodes))
    for t in range(rows - 1, -1, -1):
        both = ahead[t] * back
        smoothed[t] = both / both.sum()
        back = step @ (emitted[t] * back) * apart
        back /= back.max()
    return total, smoothed


def autoregression(nodes: Array, mu: float, phi: float, tau: float) -> tuple[Array, Array]:
    """The laws of a stationary autoregression at the nodes: of the first value, and of each after the one before."""
    first = norm.pdf(nodes, mu, tau / np.sqrt(1 - phi**2))
    return first, norm.pdf(nodes[None], mu + phi * (nodes[:, None] - mu), tau)


def simulated(law: str, rows: int) -> Array:
    rng = np.random.default_rng(4)
    h, values = np.empty(rows), np.empty(rows)
    for t in range(rows):
        h[t] = 0.9 * h[t - 1] + 0.35 * rng.normal() if t else 0.8 * rng.normal()
        values[t] = np.exp(h[t] / 2) * rng.normal() if law == "sv" else rng.poisson(np.exp(1 + h[t]))
    return values


@pytest.mark.parametrize("law", ["sv", "poisson"])
def test_chains_of_numbers_agree_with_a_filter_on_far_finer_nodes(law: str) -> None:
    y = simulated(law, 60)
    text = VOLATILITY.format(law="Normal(0, exp(h/2))" if law == "sv" else "Poisson(exp(h))")
    params = {"mu": -0.2, "phi": 0.85, "tau": 0.4}
    nodes = np.linspace(-7.0, 7.0, 1201)
    seen = norm.pdf(y[:, None], 0, np.exp(nodes / 2)) if law == "sv" else poisson.pmf(y[:, None], np.exp(nodes))
    emitted = np.asarray(seen)
    total, smoothed = filtered(nodes, *autoregression(nodes, -0.2, 0.85, 0.4), emitted)
    assert loglik(text, {"y": y}, params) == pytest.approx(total, abs=CLOSE)
    mean, sd = moments(text, {"y": y}, params, "day", "h")
    expected = smoothed @ nodes
    assert mean == pytest.approx(expected, abs=CLOSE)
    assert sd == pytest.approx(np.sqrt(smoothed @ nodes**2 - expected**2), abs=CLOSE)


def test_a_chain_of_positive_numbers() -> None:
    text = """
param a : positive
for each day in sequence:
    latent v ~ Gamma(a, a) first, Gamma(a, a/prev(v)) after
    observed y ~ Exponential(v)
"""
    y = np.array([0.4, 1.3, 0.2, 0.9, 2.5, 0.1])
    places = np.linspace(-14.0, 6.0, 2001)
    v = np.exp(places)
    first = gamma.pdf(v, 5.0, scale=1 / 5.0) * v
    step = gamma.pdf(v[None], 5.0, scale=v[:, None] / 5.0) * v[None]
    total, smoothed = filtered(places, first, step, v * np.exp(-y[:, None] * v))
    assert loglik(text, {"y": y}, {"a": 5.0}) == pytest.approx(total, abs=CLOSE)
    assert moments(text, {"y": y}, {"a": 5.0}, "day", "v")[0] == pytest.approx(smoothed @ v, abs=CLOSE)


SWITCHING = """
index regime = {calm, wild}
param start : simplex[regime]
param A[regime] : simplex[regime]
param q[regime] : positive
param r[regime] : positive
for each year in sequence:
    latent s ~ Markov(start, A)
    latent level ~ Normal(0, 2) first, Normal(prev(level), q[s]) after
    observed y ~ Normal(level, r[s])
"""


def test_a_switching_local_level_is_the_mixture_over_all_paths_of_regimes() -> None:
    """Given the regimes a Kalman filter is exact: the likelihood is their sum over all paths."""
    y = np.array([0.3, 0.5, 2.9, 2.4, 2.6, -0.4, -0.1])
    start, matrix = np.array([0.6, 0.4]), np.array([[0.9, 0.1], [0.3, 0.7]])
    q, r = (0.4, 1.5), (0.5, 0.9)
    total, states, means = 0.0, np.zeros((len(y), 2)), np.zeros(len(y))
    for path in product((0, 1), repeat=len(y)):
        chance = start[path[0]] * np.prod([matrix[one, two] for one, two in pairwise(path)])
        density, level = kalman(y, [q[s] for s in path], [r[s] for s in path])
        total += chance * density
        means += chance * density * level
        states[np.arange(len(y)), path] += chance * density
    params = {"start": start, "A": matrix, "q": q, "r": r}
    assert loglik(SWITCHING, {"y": y}, params) == pytest.approx(np.log(total), abs=CLOSE)
    assert moments(SWITCHING, {"y": y}, params, "year", "level")[0] == pytest.approx(means / total, abs=CLOSE)
    tables, _ = emdsl.loads(SWITCHING).posterior_with({"y": y}, params, {})
    assert np.array(tables["year"]["P(s=wild)"], dtype=float) == pytest.approx(states[:, 1] / total, abs=CLOSE)


def kalman(y: Array, q: list[float], r: list[float]) -> tuple[float, Array]:
    """The density of a local level with known spreads that starts from a normal law of spread 2, and its smoothed
    means, by the normal law of all values together."""
    rows = len(y)
    variances = np.array([4.0, *(value**2 for value in q[1:])])
    walk = np.tril(np.ones((rows, rows)))
    level = walk @ np.diag(variances) @ walk.T
    seen = level + np.diag(np.array(r) ** 2)
    solved = np.linalg.solve(seen, y)
    _, logdet = np.linalg.slogdet(seen)
    return float(np.exp(-0.5 * (rows * np.log(2 * np.pi) + logdet + y @ solved))), level @ solved


# --- fits -------------------------------------------------------------------------------------------------------------


def test_a_fit_of_a_chain_is_the_maximum_of_a_filter_by_hand() -> None:
    y = simulated("poisson", 60)
    text = VOLATILITY.format(law="Poisson(exp(h))")
    found = emdsl.loads(text).fit({"y": y})
    nodes = np.linspace(-5.0, 7.0, 401)
    emitted = np.asarray(poisson.pmf(y[:, None], np.exp(nodes)))

    def at(mu: float, phi: float, tau: float) -> float:
        return filtered(nodes, *autoregression(nodes, mu, phi, tau), emitted)[0]

    best = np.array([found.params[name] for name in ("mu", "phi", "tau")])
    assert found.converged
    assert found.loglik == pytest.approx(at(*best), abs=CLOSE)
    steps = 1e-4 * np.eye(3)
    slope = [(at(*(best + h)) - at(*(best - h))) / 2e-4 for h in steps]
    bend = np.array([
        [(at(*(best + h + k)) - at(*(best + h - k)) - at(*(best - h + k)) + at(*(best - h - k))) / 4e-8 for k in steps]
        for h in steps
    ])  # fmt: skip
    assert slope == pytest.approx([0.0] * 3, abs=1e-4)
    errors = np.sqrt(np.diag(np.linalg.inv(-bend)))
    assert [found.se[name] for name in ("mu", "phi", "tau")] == pytest.approx(errors, rel=1e-2)


def test_draws_agree_where_they_are_asked_for() -> None:
    y = simulated("poisson", 30)
    text = VOLATILITY.format(law="Poisson(exp(h))")
    params = {"mu": 0.9, "phi": 0.8, "tau": 0.4}
    nodes = loglik(text, {"y": y}, params)
    drawn = emdsl.loads(text).fit({"y": y}, init=params, max_iter=0, se="none", plan="monte-carlo").loglik
    assert drawn == pytest.approx(nodes, abs=0.5)
    assert drawn != pytest.approx(nodes, abs=1e-7)


def test_a_fit_with_a_number_above_something_finite_is_where_its_likelihood_is_flat() -> None:
    text, _, _, _, _ = UNITS["estimated normal"]
    rng = np.random.default_rng(9)
    site, share = np.repeat(np.arange(30), 4), expit(0.3 + np.repeat(rng.normal(0, 1.2, 30), 4))
    y = np.where(rng.random(120) < share, 2.5, 0.0) + rng.normal(0, 0.8, 120)
    data = {"site": site, "survey": np.tile(np.arange(4), 30), "y": y}
    found = emdsl.loads(text).fit(data, starts=2, init={"mu": {"lo": 0.0, "hi": 2.0}}, se="none")
    nodes = np.linspace(-7, 7, 401)
    params: Any = found.params
    b, tau, sigma = (float(params[name]) for name in ("b", "tau", "sigma"))
    low, high = (float(params["mu"][name]) for name in ("lo", "hi"))

    def at(b: float, tau: float) -> float:
        chance = expit(b + tau * nodes)[:, None]
        rows = (1 - chance) * norm.pdf(y, low, sigma) + chance * norm.pdf(y, high, sigma)
        sites = rows.reshape(len(nodes), 30, 4).prod(axis=2)
        return float(np.log(norm.pdf(nodes) @ sites * (nodes[1] - nodes[0])).sum())

    assert found.converged
    assert found.loglik == pytest.approx(at(b, tau), abs=CLOSE)
    assert (at(b + 1e-4, tau) - at(b - 1e-4, tau)) / 2e-4 == pytest.approx(0.0, abs=1e-4)
    assert (at(b, tau + 1e-4) - at(b, tau - 1e-4)) / 2e-4 == pytest.approx(0.0, abs=1e-4)


# --- what cannot be had -----------------------------------------------------------------------------------------------


def test_a_law_too_narrow_for_any_nodes_is_refused() -> None:
    text = """
param q : positive
for each row in sequence:
    latent h ~ Normal(0, 0.0005) first, Normal(prev(h), q) after
    observed y ~ Poisson(exp(h))
"""
    with pytest.raises(EmmError) as caught:
        emdsl.loads(text).fit({"y": [1, 0, 4]}, init={"q": 1.0}, max_iter=0)
    assert caught.value.code == "too-fine"
    assert caught.value.message.startswith("more than 1,500 nodes of `h` would be needed")


def test_a_law_with_mass_at_the_ends_of_its_domain_is_refused() -> None:
    text, _, _, _, _ = UNITS["beta"]
    data = {"site": SITE, "survey": np.tile(np.arange(3), 4), "y": Y}
    with pytest.raises(EmmError) as caught:
        emdsl.loads(text).fit(data, init={"a": 0.01, "b": 0.01, **EMISSION}, max_iter=0)
    assert caught.value.code == "beyond-nodes"


def test_a_number_inside_an_array_is_refused_by_name() -> None:
    text = """
index part = {one, two}
param T : covariance[part]
for each site:
    latent u[part] ~ MVNormal(0, T)
    for each survey:
        latent z ~ Bernoulli(logistic(u[one]))
        observed y ~ Normal(z, 1)
"""
    with pytest.raises(EmmError, match="`z` is hidden in a plate inside that of the continuous `u`") as caught:
        emdsl.loads(text).fit({"site": SITE, "survey": np.tile(np.arange(3), 4), "y": Y})
    assert caught.value.help == "write its numbers one by one, as scalars: the law of the second may look at the first"


def test_what_is_summed_over_what_is_said() -> None:
    text, _, _, _, _ = UNITS["estimated normal"]
    lines = emdsl.loads(text).check({"site": SITE, "survey": np.tile(np.arange(3), 4), "y": Y}).splitlines()
    at = lines.index("posterior (E-step)")
    assert [line.strip() for line in lines[at + 1 : at + 5]] == [
        "u: no closed form; its own law is normal: mean plus sd times e, and e summed over one grid of nodes for all "
        "units",
        "57 nodes, doubled until the log-likelihood stays as it is",
        "1. z: summed out in each survey, a table over u, z (114 cells)",
        "2. u: summed out in each site, a table over u (57 cells)",
    ]
    lines = emdsl.loads(SWITCHING).check({"y": [0.1, 0.2]}).splitlines()
    at = lines.index("posterior (E-step)")
    assert [line.strip() for line in lines[at + 1 : at + 3]] == [
        "level: no closed form; summed over one grid of nodes for all units, laid where the posterior lies",
        "49 nodes to begin with, laid again as the parameters move, and more until the log-likelihood stays as it is; "
        "each step of the chain takes 49^2 of them",
    ]
