"""Models with priors and their penalised log-likelihoods, written with SciPy: nothing here uses emdsl.

Each reference is the mode of the density in the parameters as declared: there is no Jacobian in it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.stats
from scipy.special import logsumexp

from tests.models.direct_maximisation import Array, Block, Point

#: Its laws give an array or a number by what they are given, which their types cannot say.
stats: Any = scipy.stats
RNG = np.random.default_rng(11)
N = 60
GROUP = RNG.integers(0, 3, N)
X = RNG.normal(size=N) + GROUP
X2 = RNG.normal(size=N) + 0.4 * X
Y = (RNG.random(N) < 0.4).astype(int)
LEVEL = RNG.integers(0, 3, N)
PEAKS = np.where(RNG.random(N) < 0.4, RNG.normal(-2, 1, N), RNG.normal(2, 0.7, N))
POSITIVE = RNG.gamma(2.0, 1.5, N)
TABLE: dict[str, list[Any]] = {
    "x": X.tolist(), "x1": X.tolist(), "x2": X2.tolist(), "y": Y.tolist(), "pos": POSITIVE.tolist(),
    "g": [f"g{k}" for k in GROUP], "lev": ["abc"[k] for k in LEVEL], "peak": PEAKS.tolist(),
}  # fmt: skip
GROUPS, LEVELS, TWO = ("g0", "g1", "g2"), ("a", "b", "c"), ("1", "2")
SCALE = np.array([[1.0, 0.5, 0.0], [0.5, 1.0, 0.0], [0.0, 0.0, 2.0]])
PAIR = np.array([[1.0, 0.2], [0.2, 1.0]])
COLUMNS = ("x1", "x2")


@dataclass(frozen=True)
class PriorCase:
    """A model, its penalised log-likelihood, the parameters with their domains, and where to begin."""

    name: str
    text: str
    objective: Callable[[Point], float]
    blocks: tuple[Block, ...]
    start: dict[str, Any]


Density = Callable[[float], Any]


def scalar(
    domain: str, name: str, prior: str, law: str, density: Density, log_prior: Density, start: float
) -> PriorCase:
    """One scalar parameter with one prior."""
    text = f"model M\nparam {name} : {domain} ~ {prior}\nfor each row:\n    observed {law}\n"

    def objective(p: Point) -> float:
        value = float(p[name])
        return float(np.sum(density(value)) + log_prior(value))

    inner = "unit" if domain.startswith("interval") else domain
    block = Block(name, inner if inner != "unit" or domain == "unit" else "real")
    return PriorCase(f"{domain} {prior}", text, objective, (block,), {name: start})


def normal_mean(value: float) -> Any:
    return stats.norm.logpdf(X, value, 1)


def normal_spread(value: float) -> Any:
    return stats.norm.logpdf(X, 1, value) if value > 0 else -np.inf


def bernoulli(value: float) -> Any:
    return stats.bernoulli.logpmf(Y, value)


SCALARS = (
    *(
        scalar("real", "m", prior, "x ~ Normal(m, 1)", normal_mean, law.logpdf, 0.5)
        for prior, law in (
            ("Normal(0, 0.2)", stats.norm(0, 0.2)),
            ("StudentT(4, 0, 0.1)", stats.t(4, 0, 0.1)),
            ("Logistic(0, 0.1)", stats.logistic(0, 0.1)),
            ("Laplace(0, 0.1)", stats.laplace(0, 0.1)),
            ("VonMises(0, 9)", stats.vonmises(9)),
        )
    ),
    *(
        scalar("positive", "s", prior, "x ~ Normal(1, s)", normal_spread, law.logpdf, 1.0)
        for prior, law in (
            ("Exponential(5)", stats.expon(scale=0.2)),
            ("Gamma(9, 10)", stats.gamma(9, scale=0.1)),
            ("InverseGamma(5, 2)", stats.invgamma(5, scale=2)),
            ("Weibull(3, 0.7)", stats.weibull_min(3, scale=0.7)),
            ("LogNormal(-1, 0.3)", stats.lognorm(0.3, scale=np.exp(-1))),
            ("InverseGaussian(0.5, 3)", stats.invgauss(0.5 / 3, scale=3)),
            ("Normal(0, 0.3)", stats.norm(0, 0.3)),
            ("StudentT(3, 0, 0.2)", stats.t(3, 0, 0.2)),
            ("Pareto(8, 0.1)", stats.pareto(8, scale=0.1)),
            ("Uniform(0, 7)", stats.uniform(0, 7)),
        )
    ),
    *(
        scalar("unit", "p", prior, "y ~ Bernoulli(p)", bernoulli, law.logpdf, 0.4)
        for prior, law in (
            ("Beta(7, 3)", stats.beta(7, 3)),
            ("Normal(0.8, 0.1)", stats.norm(0.8, 0.1)),
            ("Gamma(9, 30)", stats.gamma(9, scale=1 / 30)),
            ("Uniform(0, 1)", stats.uniform(0, 1)),
        )
    ),
    scalar("interval(0, 2)", "m", "Normal(0, 0.3)", "x ~ Normal(m, 1)", normal_mean, stats.norm(0, 0.3).logpdf, 0.5),
)


def _hierarchy(p: Point) -> float:
    data = stats.norm.logpdf(X, p["b"][GROUP], p["s"]).sum()
    effects = stats.norm.logpdf(p["b"], p["mu"], p["tau"]).sum()
    hyper = stats.norm.logpdf(p["mu"], 0, 10) + stats.gamma.logpdf(p["tau"], 2) + stats.expon.logpdf(p["s"])
    return float(data + effects + hyper)


def _contrast(p: Point) -> float:
    data = stats.norm.logpdf(X, p["m"] + p["q"][GROUP], 1).sum()
    return float(data + stats.norm.logpdf(p["q"][1:], 0, p["t"]).sum() + stats.gamma.logpdf(p["t"], 3))


def _slices(p: Point) -> float:
    data = np.log(p["p"][GROUP, LEVEL]).sum()
    return float(data + sum(stats.dirichlet.logpdf(row / row.sum(), [2.0, 3.0, 1.5]) for row in p["p"]))


def _slices_and_concentration(p: Point) -> float:
    a = float(p["a"])
    data = np.log(p["p"][GROUP, LEVEL]).sum() + stats.gamma.logpdf(a, 40, scale=0.1)
    return float(data + sum(stats.dirichlet.logpdf(row / row.sum(), [a] * 3) for row in p["p"]))


def _mixture(p: Point) -> float:
    inner = np.log(p["w"])[:, None] + stats.norm.logpdf(PEAKS, p["m"][:, None], p["s"][:, None])
    prior = stats.dirichlet.logpdf(p["w"] / p["w"].sum(), [3, 3]) + stats.norm.logpdf(p["m"], 0, 2).sum()
    return float(logsumexp(inner, axis=0).sum() + prior + stats.invgamma.logpdf(p["s"], 3, scale=2).sum())


def _vector(p: Point) -> float:
    data = stats.norm.logpdf(X, p["b"][GROUP], p["s"]).sum()
    return float(data + stats.multivariate_normal.logpdf(p["b"], np.full(3, p["mu"]), SCALE))


CASES = (
    *SCALARS,
    PriorCase(
        "hierarchical means",
        """model M
index g = levels
param mu : real ~ Normal(0, 10)
param tau : positive ~ Gamma(2, 1)
param b[g] : real ~ Normal(mu, tau)
param s : positive ~ Exponential(1)
for each row:
    input g : g
    observed x ~ Normal(b[g], s)
""",
        _hierarchy,
        (Block("mu", "real"), Block("tau", "positive"), Block("b", "real", (GROUPS,)), Block("s", "positive")),
        {"mu": 0.5, "tau": 1.0, "b": [0.0, 1.0, 2.0], "s": 1.0},
    ),
    PriorCase(
        "hierarchical contrast",
        """model M
index g = levels
param t : positive ~ Gamma(3, 1)
param q : contrast[g] ~ Normal(0, t)
param m : real
for each row:
    input g : g
    observed x ~ Normal(m + q[g], 1)
""",
        _contrast,
        (Block("t", "positive"), Block("q", "contrast", (GROUPS,)), Block("m", "real")),
        {"t": 1.0, "q": [0.0, 1.0, 2.0], "m": 0.0},
    ),
    PriorCase(
        "simplex by slice",
        """model M
index lev = levels
index g = levels
const a[lev] = [2, 3, 1.5]
param p[g] : simplex[lev] ~ Dirichlet(a)
for each row:
    input g : g
    observed lev ~ Categorical(p[g])
""",
        _slices,
        (Block("p", "simplex", (GROUPS, LEVELS)),),
        {"p": np.full((3, 3), 1 / 3)},
    ),
    PriorCase(
        "simplex with a concentration to estimate",
        """model M
index lev = levels
index g = levels
param a : positive ~ Gamma(40, 10)
param p[g] : simplex[lev] ~ Dirichlet(a)
for each row:
    input g : g
    observed lev ~ Categorical(p[g])
""",
        _slices_and_concentration,
        (Block("a", "positive"), Block("p", "simplex", (GROUPS, LEVELS))),
        {"a": 3.0, "p": np.full((3, 3), 1 / 3)},
    ),
    PriorCase(
        "mixture with priors on all",
        """model M
index k = 1..2
param w : simplex[k] ~ Dirichlet(3)
param m[k] : real ~ Normal(0, 2)
param s[k] : positive ~ InverseGamma(3, 2)
for each row:
    latent z ~ Categorical(w)
    observed peak ~ Normal(m[z], s[z])
order k by m
""",
        _mixture,
        (Block("w", "simplex", (TWO,)), Block("m", "real", (TWO,)), Block("s", "positive", (TWO,))),
        {"w": [0.4, 0.6], "m": [-2.0, 2.0], "s": [1.0, 1.0]},
    ),
    PriorCase(
        "vector with a known covariance",
        """model M
index g = levels
const S[g, g] = [[1, 0.5, 0], [0.5, 1, 0], [0, 0, 2]]
param mu : real
param b[g] : real ~ MVNormal(mu, S)
param s : positive
for each row:
    input g : g
    observed x ~ Normal(b[g], s)
""",
        _vector,
        (Block("mu", "real"), Block("b", "real", (GROUPS,)), Block("s", "positive")),
        {"mu": 0.0, "b": [0.0, 1.0, 2.0], "s": 1.0},
    ),
)


# --- matrices, through their Cholesky factors -------------------------------------------------------------------------


def matrix(log_diagonal: Array, below: Array) -> Array:
    """A covariance matrix from the logarithms of its factor's diagonal and what is below it."""
    size = len(log_diagonal)
    factor = np.diag(np.exp(log_diagonal))
    factor[np.tril_indices(size, -1)] = below
    product: Array = factor @ factor.T
    return product


def inverse_wishart(x: Array, df: float, scale: Array) -> float:
    """Its log-density."""
    return float(stats.invwishart.logpdf(x, df, scale))


@dataclass(frozen=True)
class MatrixCase:
    """A model with covariance matrices: `objective` is of a vector, from which `estimates` takes the parameters."""

    name: str
    text: str
    objective: Callable[[Array], float]
    estimates: Callable[[Array], dict[str, Array]]
    start: Array


PAIRS = np.column_stack([X, X2])


def _covariance(u: Array) -> dict[str, Array]:
    return {"mu": u[:2], "C": matrix(u[2:4], u[4:])}


def _of_covariance(u: Array) -> float:
    p = _covariance(u)
    data = stats.multivariate_normal.logpdf(PAIRS, p["mu"], p["C"]).sum()
    return float(data + inverse_wishart(p["C"], 5, PAIR))


def _both(u: Array) -> dict[str, Array]:
    return {"w": np.array([1 / (1 + np.exp(-u[0])), 1 / (1 + np.exp(u[0]))]), "mu": u[1:5].reshape(2, 2),
            "C": np.array([matrix(u[5:7], u[7:8]), matrix(u[8:10], u[10:11])])}  # fmt: skip


def _of_both(u: Array) -> float:
    p = _both(u)
    inner = [
        np.log(w) + stats.multivariate_normal.logpdf(PAIRS, m, c)
        for w, m, c in zip(p["w"], p["mu"], p["C"], strict=True)
    ]
    prior = stats.dirichlet.logpdf(p["w"], [3, 3]) + stats.norm.logpdf(p["mu"], 0, 2).sum()
    return float(logsumexp(inner, axis=0).sum() + prior + sum(inverse_wishart(c, 5, PAIR) for c in p["C"]))


def _effects(u: Array) -> dict[str, Array]:
    return {"b": u[:3], "C": matrix(u[3:6], u[6:9]), "s": np.exp(u[9])}


def _of_effects(u: Array) -> float:
    p = _effects(u)
    data = stats.norm.logpdf(X, p["b"][GROUP], p["s"]).sum() + inverse_wishart(p["C"], 6, SCALE)
    return float(data + stats.multivariate_normal.logpdf(p["b"], np.zeros(3), p["C"]))


def _correlated(u: Array) -> dict[str, Array]:
    r = np.tanh(u[2])
    return {"mu": u[:2], "R": np.array([[1, r], [r, 1]])}


def _of_correlation(u: Array) -> float:
    p = _correlated(u)
    data = stats.multivariate_normal.logpdf(PAIRS, p["mu"], p["R"]).sum()
    return float(data + stats.norm.logpdf(p["R"][0, 1], 0, 0.05) + stats.norm.logpdf(p["mu"], 0, 0.3).sum())


MATRIX_CASES = (
    MatrixCase(
        "covariance with an inverse Wishart prior",
        """model M
index d = columns(x1, x2)
const S[d, d] = [[1, 0.2], [0.2, 1]]
param mu[d] : real
param C : covariance[d] ~ InverseWishart(5, S)
for each row:
    observed x[d] ~ MVNormal(mu, C)
""",
        _of_covariance,
        _covariance,
        np.array([0.5, 0.5, 0.1, 0.1, 0.1]),
    ),
    MatrixCase(
        "mixture with priors on means and covariances",
        """model M
index d = columns(x1, x2)
index k = 1..2
const S[d, d] = [[1, 0.2], [0.2, 1]]
param w : simplex[k] ~ Dirichlet(3)
param mu[k, d] : real ~ Normal(0, 2)
param C[k] : covariance[d] ~ InverseWishart(5, S)
for each row:
    latent z ~ Categorical(w)
    observed x[d] ~ MVNormal(mu[z], C[z])
order k by mu[k, x1]
""",
        _of_both,
        _both,
        np.array([1.3, 1.0, 0.5, 2.4, 0.2, 0.0, 0.0, 0.5, -1.0, -0.5, 0.0]),
    ),
    MatrixCase(
        "effects with a covariance to estimate",
        """model M
index g = levels
const S[g, g] = [[1, 0.5, 0], [0.5, 1, 0], [0, 0, 2]]
param C : covariance[g] ~ InverseWishart(6, S)
param b[g] : real ~ MVNormal(0, C)
param s : positive
for each row:
    input g : g
    observed x ~ Normal(b[g], s)
""",
        _of_effects,
        _effects,
        np.array([0.1, 1.0, 2.0, -1.0, -1.0, -0.5, 0.0, 0.0, 0.0, 0.0]),
    ),
    MatrixCase(
        "correlation, element by element",
        """model M
index d = columns(x1, x2)
param mu[d] : real ~ Normal(0, 0.3)
param R : correlation[d] ~ Normal(0, 0.05)
for each row:
    observed x[d] ~ MVNormal(mu, R)
""",
        _of_correlation,
        _correlated,
        np.array([0.5, 0.3, 0.2]),
    ),
)
