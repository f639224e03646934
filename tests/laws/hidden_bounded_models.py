"""Models with a hidden number on an interval, or whose powers make the kernel, by a rule over the line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import special, stats

from tests.laws.hidden_number_models import Draws, IntegralCase, Table, Theta, by_unit, column

DRAWS = Draws(np.random.default_rng(91))
reals, positives, counts, table_of = DRAWS.reals, DRAWS.positives, DRAWS.counts, DRAWS.table_of

REGRESSION = "c : real; k : real; s : positive; t : positive"
ROOT_INVERSE_GAMMA = (
    "family RootInverseGamma(a : positive, b : positive) for x : positive:\n"
    "    logpdf = log(2) + a*log(b) - lgamma(a) - (2*a + 1)*log(x) - b/x^2\n"
)


def _case(
    name: str, parameters: str, latent: str, observed: str, marginal: Callable[[Theta, Table], float], table: Table,
    method: str = "kernel", head: str = "", accuracy: float = 1e-9,
) -> IntegralCase:  # fmt: skip
    declared = "".join(f"param {item}\n" for item in parameters.split("; "))
    text = f"{head}{declared}for each g:\n    latent   {latent}\n    for each row:\n        input    x : real\n"
    return IntegralCase(name, f"{text}        observed {observed}\n", table, marginal, method, accuracy)


def _normal(y: Any, mean: Any, sd: Any) -> float:
    return float(np.nansum(-0.5 * ((y - mean) / sd) ** 2 - np.log(sd) - 0.5 * np.log(2 * np.pi) + 0 * y))


def _less(p: Theta, u: float, table: Table, rows: list[int]) -> float:
    mean = p["c"] + p["k"] * column(table, "x", rows) - u
    return _normal(column(table, "y", rows), mean, p["s"])


def _scaled(p: Theta, u: float, table: Table, rows: list[int]) -> float:
    return _less(p, float(p["t"]) * u, table, rows)


def _of_scale(p: Theta, u: float, table: Table, rows: list[int]) -> float:
    return _normal(column(table, "y", rows), p["c"], u)


def _of_root_precision(p: Theta, u: float, table: Table, rows: list[int]) -> float:
    return _normal(column(table, "y", rows), p["c"], 1 / u)


def _counted(p: Theta, u: float, table: Table, rows: list[int]) -> float:
    y = column(table, "y", rows)
    return float(np.sum(y * np.log(u) - u - special.gammaln(y + 1)))


class _Cut:
    """A SciPy law cut to an interval."""

    def __init__(self, law: Any, low: float, high: float) -> None:
        self.low, self.high = low, high
        self.share = float(np.log(law.cdf(high) - law.cdf(low)))
        self.points: dict[float, float] = {}
        self.law = law

    def logpdf(self, u: float) -> float:
        """Its log-density, minus infinity outside."""
        if not self.low <= u <= self.high:
            return -np.inf
        if u not in self.points:
            self.points[u] = float(self.law.logpdf(u)) - self.share
        return self.points[u]


class _RootInverseGamma:
    """The square root of an inverse gamma number."""

    def __init__(self, a: Any, b: Any) -> None:
        self.law = _Gamma(a, b, -1)

    def logpdf(self, u: float) -> float:
        """By the change of variables."""
        return float(self.law.logpdf(u * u) + np.log(2 * u))


def _rule(low: float, high: float, parts: int) -> tuple[Any, Any]:
    """Gauss-Legendre points in so many parts of an interval, and the logarithms of their weights."""
    edges = np.linspace(low, high, parts + 1)
    nodes, weights = np.polynomial.legendre.leggauss(24)
    points = (0.5 * (edges[1:] + edges[:-1]))[:, None] + 0.5 * np.diff(edges)[:, None] * nodes
    return points.ravel(), np.log(0.5 * np.diff(edges)[:, None] * weights).ravel()


def by_rule(points: Any, log_weights: Any, joint: Callable[[float], float]) -> float:
    """The logarithm of an integral over a rule's points."""
    return float(special.logsumexp(np.array([joint(float(u)) for u in points]) + log_weights))


def _marginal(points: Any, log_weights: Any, law: Callable[[Theta], Any], seen: Any) -> Callable[..., float]:
    """The marginal of one number in each unit of `g`, over a rule's points."""

    def marginal(p: Theta, table: Table) -> float:
        own, total = law(p), 0.0
        for rows in by_unit(table, "g").values():
            heights = [float(own.logpdf(float(u))) + seen(p, float(u), table, rows) for u in points]
            total += float(special.logsumexp(np.array(heights) + log_weights))
        return total

    return marginal


def on_interval(low: float, high: float, law: Callable[[Theta], Any], seen: Any = _less) -> Callable[..., float]:
    """The marginal of one number between two ends."""
    return _marginal(*_rule(low, high, 16 if high - low < 40 else 48), law, seen)


def on_logarithms(law: Callable[[Theta], Any], seen: Any) -> Callable[..., float]:
    """The marginal of one positive number, by a rule for its logarithm."""
    x, log_weights = _rule(-60.0, 24.0, 48)
    return _marginal(np.exp(x), log_weights + x, law, seen)


class _Gamma:
    """A gamma law, or that of its reciprocal."""

    def __init__(self, a: Any, b: Any, sign: int = 1) -> None:
        self.a, self.b, self.sign = float(a), float(b), sign

    def logpdf(self, u: float) -> float:
        """The log-density, all constants included."""
        constant = self.a * np.log(self.b) - float(special.gammaln(self.a))
        if self.sign > 0:
            return float(constant + (self.a - 1) * np.log(u) - self.b * u)
        return float(constant - (self.a + 1) * np.log(u) - self.b / u)


class _HalfNormal:
    """The absolute value of a normal number."""

    def __init__(self, scale: Any) -> None:
        self.scale = float(scale)

    def logpdf(self, u: float) -> float:
        """The log-density."""
        return float(0.5 * np.log(2 / np.pi) - np.log(self.scale) - 0.5 * (u / self.scale) ** 2)


class _Exponential:
    """An exponential law by its mean."""

    def __init__(self, mean: Any) -> None:
        self.mean = float(mean)

    def logpdf(self, u: float) -> float:
        """The log-density."""
        return float(-np.log(self.mean) - u / self.mean)


def _beside_a_normal(p: Theta, table: Table) -> float:
    """A half-normal and a normal number in each unit: given the first, the rows are jointly normal."""
    total = 0.0
    for rows in by_unit(table, "g").values():
        n = len(rows)
        y, x = column(table, "y", rows), column(table, "x", rows)
        spread = p["s"] ** 2 * np.eye(n) + p["r"] ** 2 * np.ones((n, n))

        inverse, log_det = np.linalg.inv(spread), np.linalg.slogdet(2 * np.pi * spread)[1]

        def joint(
            u: float, gap: Any = y - p["c"] - p["k"] * x, inverse: Any = inverse, log_det: Any = log_det
        ) -> float:
            seen = -0.5 * (gap + u) @ inverse @ (gap + u) - 0.5 * log_det
            return _HalfNormal(p["t"]).logpdf(u) + float(seen)

        total += by_rule(*_rule(0.0, 30.0, 16), joint)
    return total


def _in_classes(p: Theta, table: Table) -> float:
    total = 0.0
    for rows in by_unit(table, "g").values():
        parts = []
        for z, share in ((0, 1 - p["q"]), (1, p["q"])):
            law = _HalfNormal(p["t"] * (1 + z))

            def joint(u: float, law: Any = law, z: int = z, rows: Any = rows) -> float:
                shifted = {**p, "c": p["c"] + z}
                return float(law.logpdf(u)) + _less(shifted, u, table, rows)

            parts.append(np.log(share) + by_rule(*_rule(0.0, 30.0, 16), joint))
        total += float(np.logaddexp(*parts))
    return total


def _with_gaps() -> Table:
    table = table_of(reals(8))
    return {**table, "y": [None, None, *table["y"][2:]]}


LESS = "y ~ Normal(c + k*x - u, s)"
BOUNDED = (
    _case("half-normal", REGRESSION, "u ~ Normal(0, t) truncated to (0, inf)", LESS,
          on_interval(0.0, 30.0, lambda p: _HalfNormal(p["t"])), table_of(reals(8))),
    _case("exponential", REGRESSION, "u ~ Exponential(1/t)", LESS,
          on_interval(0.0, 30.0, lambda p: _Exponential(p["t"])), table_of(reals(8))),
    _case("exponential, a group of gaps", REGRESSION, "u ~ Exponential(1/t)", LESS,
          on_interval(0.0, 150.0, lambda p: _Exponential(p["t"])), _with_gaps()),
    _case("normal on an interval", f"{REGRESSION}; m : real", "u ~ Normal(m, t) truncated to (-1/2, 3/2)", LESS,
          on_interval(-0.5, 1.5, lambda p: _Cut(stats.norm(p["m"], p["t"]), -0.5, 1.5)), table_of(reals(8))),
    _case("normal between 0 and 1", REGRESSION, "u ~ Normal(c, t) truncated to (0, 1)", LESS,
          on_interval(0.0, 1.0, lambda p: _Cut(stats.norm(p["c"], p["t"]), 0.0, 1.0)), table_of(reals(8))),
    _case("normal below a bound", REGRESSION, "u ~ Normal(k, t) truncated to (-inf, 1/4)", LESS,
          on_interval(-30.0, 0.25, lambda p: _Cut(stats.norm(p["k"], p["t"]), -np.inf, 0.25)), table_of(reals(8))),
    _case("uniform", REGRESSION, "u ~ Uniform(-1, 2)", "y ~ Normal(c + k*x - t*u, s)",
          on_interval(-1.0, 2.0, lambda p: _Cut(stats.uniform(-1, 3), -1.0, 2.0), _scaled), table_of(reals(8))),
    _case("exponential on an interval", REGRESSION, "u ~ Exponential(1/t) truncated to (0, 2)", LESS,
          on_interval(0.0, 2.0, lambda p: _Cut(stats.expon(scale=p["t"]), 0.0, 2.0)), table_of(reals(8))),
    _case("half-normal beside a normal", f"{REGRESSION}; r : positive",
          "u ~ Normal(0, t) truncated to (0, inf)\n    latent   v ~ Normal(0, r)", "y ~ Normal(c + k*x + v - u, s)",
          _beside_a_normal, table_of(reals(8))),
    _case("half-normal in classes", f"{REGRESSION}; q : unit",
          "z ~ Bernoulli(q)\n    latent   u ~ Normal(0, t*(1 + z)) truncated to (0, inf)",
          "y ~ Normal(c + z + k*x - u, s)", _in_classes, table_of(reals(8))),
    _case("gamma on an interval", "a : positive; b : positive", "u ~ Gamma(a, b) truncated to (1/5, 3)",
          "y ~ Poisson(u)",
          on_interval(0.2, 3.0, lambda p: _Cut(stats.gamma(p["a"], scale=1 / p["b"]), 0.2, 3.0), _counted),
          # the density does not vanish at the ends: the first number of nodes, which a fit doubles, is not yet enough
          table_of(counts(8)), "quadrature", accuracy=5e-4),
    _case("inverse gamma, scales", "a : positive; b : positive; c : real", "u ~ InverseGamma(a, b)", "y ~ Normal(c, u)",
          on_logarithms(lambda p: _Gamma(p["a"], p["b"], -1), _of_scale), table_of(reals(8))),
    _case("root inverse gamma, scales", "a : positive; b : positive; c : real", "u ~ RootInverseGamma(a, b)",
          "y ~ Normal(c, u)", on_logarithms(lambda p: _RootInverseGamma(p["a"], p["b"]), _of_scale),
          table_of(reals(8)), head=ROOT_INVERSE_GAMMA),
    _case("root inverse gamma, roots of precisions", "a : positive; b : positive; c : real",
          "u ~ RootInverseGamma(a, b)", "y ~ Normal(c, 1/u)",
          on_logarithms(lambda p: _RootInverseGamma(p["a"], p["b"]), _of_root_precision), table_of(reals(8)),
          head=ROOT_INVERSE_GAMMA),
    _case("gamma, roots of precisions", "a : positive; b : positive; c : real", "u ~ Gamma(a, b)", "y ~ Normal(c, 1/u)",
          on_logarithms(lambda p: _Gamma(p["a"], p["b"]), _of_root_precision), table_of(reals(8))),
    _case("gamma, means", f"{REGRESSION}; a : positive", "u ~ Gamma(a, t)", LESS,
          on_logarithms(lambda p: _Gamma(p["a"], p["t"]), _less), table_of(reals(8))),
)  # fmt: skip
