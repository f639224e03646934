"""Families that emdsl does not ship, as a user would declare them, and their densities coded a second time in NumPy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from textwrap import dedent, indent

import numpy as np
from scipy.special import gammaln

from tests.models.direct_maximisation import Array, Block, Optimum, Point, maximise

GOMPERTZ_SHAPE = 0.5


@dataclass(frozen=True)
class OwnFamily:
    """A family of one unknown parameter.

    `declaration` is its text; `domain` and `block` the parameter's domain in the language and in the reference;
    `values` the parameter in one component and in the other; `also` further arguments in a model.
    """

    name: str
    declaration: str
    domain: str
    block: str
    values: tuple[float, float]
    log_density: Callable[[Array, Array], Array]
    sample: Callable[[np.random.Generator, float, int], Array]
    also: str = ""

    def single(self) -> str:
        """A model of one column with this law."""
        return (
            f"model Single\n{self.declaration}\nparam t : {self.domain}\n"
            f"for each row:\n    observed x ~ {self._law('t')}\n"
        )

    def mixture(self) -> str:
        """A model of one column with a mixture of two such laws."""
        plate = indent(f"latent z ~ Categorical(share)\nobserved x ~ {self._law('t[z]')}", "    ")
        return (
            f"model Mixture\n{self.declaration}\nindex component = 1..2\nparam share : simplex[component]\n"
            f"param t[component] : {self.domain}\nfor each row:\n{plate}\norder component by t\n"
        )

    def _law(self, parameter: str) -> str:
        return f"{self.name}({parameter}{self.also})"

    def one_sample(self, size: int = 300) -> Array:
        """Draws from the first component."""
        return self.sample(np.random.default_rng(1), self.values[0], size)

    def mixed_sample(self, size: int = 1000) -> Array:
        """Draws from both components, 0.4 and 0.6."""
        rng = np.random.default_rng(2)
        first = self.sample(rng, self.values[0], int(0.4 * size))
        return np.concatenate([first, self.sample(rng, self.values[1], size - first.size)])

    def single_reference(self, x: Array) -> Optimum:
        """The maximum of the single model's likelihood, found directly."""
        start = {"t": self.values[0]}
        return maximise(lambda p: float(self.log_density(x, p["t"]).sum()), (Block("t", self.block),), [start])

    def mixture_reference(self, x: Array) -> Optimum:
        """The maximum of the mixture's likelihood, found directly."""
        two = (("1", "2"),)

        def log_likelihood(p: Point) -> float:
            terms = np.log(p["share"]) + self.log_density(x[:, None], p["t"])
            return float(np.logaddexp(terms[:, 0], terms[:, 1]).sum())

        blocks = (Block("share", "simplex", two), Block("t", self.block, two))
        return maximise(log_likelihood, blocks, [{"share": [0.4, 0.6], "t": self.values}])


def _borel(rng: np.random.Generator, mean: float, size: int) -> Array:
    """Total progeny of a branching process with Poisson offspring (Otter 1949)."""
    alive, total = np.ones(size, int), np.zeros(size, int)
    while alive.any():
        total += alive
        alive = rng.poisson(mean * alive)
    return total.astype(float)


def _declare(text: str) -> str:
    return dedent(text).strip()


FAMILIES = (
    OwnFamily(
        "Rayleigh",
        _declare("""
            family Rayleigh(scale : positive) for x : positive:
                logpdf = log(x) - 2*log(scale) - x^2/(2*scale^2)
        """),
        "positive", "positive", (1.0, 5.0),
        lambda x, s: np.log(x) - 2 * np.log(s) - x**2 / (2 * s**2),
        lambda rng, s, n: rng.rayleigh(s, n),
    ),
    OwnFamily(
        "Maxwell",
        _declare("""
            family Maxwell(scale : positive) for x : positive:
                logpdf = log(2/pi)/2 + 2*log(x) - 3*log(scale) - x^2/(2*scale^2)
        """),
        "positive", "positive", (1.0, 4.0),
        lambda x, s: 0.5 * np.log(2 / np.pi) + 2 * np.log(x) - 3 * np.log(s) - x**2 / (2 * s**2),
        lambda rng, s, n: s * np.linalg.norm(rng.normal(size=(n, 3)), axis=1),
    ),
    OwnFamily(
        "PowerLaw",
        _declare("""
            family PowerLaw(alpha : interval(1, inf)) for x : interval(1, inf):
                logpdf = log(alpha - 1) - alpha*log(x)
        """),
        "interval(1, inf)", "above one", (1.8, 8.0),
        lambda x, a: np.log(a - 1) - a * np.log(x),
        lambda rng, a, n: 1 + rng.pareto(a - 1, n),
    ),
    OwnFamily(
        "LogSeries",
        _declare("""
            family LogSeries(p : unit) for x : natural:
                logpmf = x*log(p) - log(x) - log(-log1p(-p))
        """),
        "unit", "unit", (0.4, 0.97),
        lambda x, p: x * np.log(p) - np.log(x) - np.log(-np.log1p(-p)),
        lambda rng, p, n: rng.logseries(p, n).astype(float),
    ),
    OwnFamily(
        "Gompertz",
        _declare(f"""
            const ageing = {GOMPERTZ_SHAPE}
            family Gompertz(rate : positive, shape : positive) for x : positive:
                logpdf = log(rate) + shape*x - rate/shape*(exp(shape*x) - 1)
        """),
        "positive", "positive", (0.02, 1.0),
        lambda x, b: np.log(b) + GOMPERTZ_SHAPE * x - b / GOMPERTZ_SHAPE * np.expm1(GOMPERTZ_SHAPE * x),
        lambda rng, b, n: np.log1p(GOMPERTZ_SHAPE * rng.exponential(size=n) / b) / GOMPERTZ_SHAPE,
        also=", ageing",
    ),
    OwnFamily(
        "Borel",
        _declare("""
            family Borel(mu : unit) for x : natural:
                logpmf = -mu*x + (x - 1)*log(mu*x) - lgamma(x + 1)
        """),
        "unit", "unit", (0.2, 0.9),
        lambda x, m: -m * x + (x - 1) * np.log(m * x) - gammaln(x + 1),
        _borel,
    ),
    OwnFamily(
        "HalfNormal",
        _declare("""
            family HalfNormal(scale : positive) for x : positive:
                logpdf = log(2/pi)/2 - log(scale) - x^2/(2*scale^2)
        """),
        "positive", "positive", (0.5, 5.0),
        lambda x, s: 0.5 * np.log(2 / np.pi) - np.log(s) - x**2 / (2 * s**2),
        lambda rng, s, n: np.abs(rng.normal(0, s, n)),
    ),
)  # fmt: skip
