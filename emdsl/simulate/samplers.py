"""How numbers are drawn from a law: by the `sample` of its declaration, else by the one registry below.

A density does not say how to draw from it, so this is the one place where families are looked up by name. Finite
variables need none: their values are tried one after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdsl.ir.expressions import Apply, ConstantRef, Expression, Number, VariableRef, walk
from emdsl.ir.model import Sampler
from emdsl.runtime.functions import FUNCTIONS

Floats = NDArray[np.float64]
#: Arguments by name: `(draws,)`, vectors `(draws, d)`, matrices `(draws, d, d)`.
Arguments = Mapping[str, Floats]
#: A variance that is negative by less than this share of the largest is 0.
ROUNDING = 1e-12


@dataclass(frozen=True)
class Law:
    """A way to draw: `draw(rng, arguments, draws)` gives `(draws,)`, or `(draws, d)` where `event` is 1.

    `vectors` and `matrices` name the arguments that are such.
    """

    draw: Callable[[np.random.Generator, Arguments, int], Floats]
    vectors: tuple[str, ...] = ()
    matrices: tuple[str, ...] = ()
    event: int = 0


def _betabinomial(rng: np.random.Generator, a: Arguments, draws: int) -> Floats:
    return rng.binomial(a["n"].astype(np.int64), rng.beta(a["a"], a["b"])).astype(np.float64)


def _mvnormal(rng: np.random.Generator, a: Arguments, draws: int) -> Floats:
    noise = rng.standard_normal(a["mean"].shape)
    return np.asarray(a["mean"] + (_root(a["cov"]) @ noise[..., None])[..., 0])


def _root(covariance: Floats) -> Floats:
    """A root of covariances `(..., d, d)`, singular ones among them, as estimates at a boundary are. Raises LinAlgError
    where one has a negative variance in some direction.
    """
    try:
        return np.asarray(np.linalg.cholesky(covariance))
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(covariance)
        if (values < -ROUNDING * np.abs(values).max(axis=-1, keepdims=True)).any():
            raise
        return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0))[..., None, :])


def _dirichlet(rng: np.random.Generator, a: Arguments, draws: int) -> Floats:
    gammas = rng.standard_gamma(a["a"])
    return np.asarray(gammas / gammas.sum(axis=-1, keepdims=True))


def _multinomial(rng: np.random.Generator, a: Arguments, draws: int) -> Floats:
    shares = a["p"] / a["p"].sum(axis=-1, keepdims=True)
    return rng.multinomial(a["n"].astype(np.int64), shares).astype(np.float64)


#: The families of the language whose declaration has no `sample`, by the name of their declaration.
LAWS: dict[str, Law] = {
    "Point": Law(lambda rng, a, n: a["value"]),
    "Binomial": Law(lambda rng, a, n: rng.binomial(a["n"].astype(np.int64), a["p"]).astype(float)),
    "BetaBinomial": Law(_betabinomial),
    "Poisson": Law(lambda rng, a, n: rng.poisson(a["rate"]).astype(float)),
    "NegativeBinomial": Law(lambda rng, a, n: rng.poisson(rng.gamma(a["size"], a["mean"] / a["size"])).astype(float)),
    # NumPy counts trials, the language failures
    "Geometric": Law(lambda rng, a, n: (rng.geometric(a["p"]) - 1).astype(float)),
    "StudentT": Law(lambda rng, a, n: np.asarray(a["mean"] + a["scale"] * rng.standard_t(a["df"]), np.float64)),
    "VonMises": Law(lambda rng, a, n: rng.vonmises(a["mean"], a["concentration"])),
    "Gamma": Law(lambda rng, a, n: rng.gamma(a["shape"], 1.0 / a["rate"])),
    "InverseGamma": Law(lambda rng, a, n: a["scale"] / rng.standard_gamma(a["shape"])),
    "InverseGaussian": Law(lambda rng, a, n: rng.wald(a["mean"], a["shape"])),
    "Beta": Law(lambda rng, a, n: rng.beta(a["a"], a["b"])),
    "MVNormal": Law(_mvnormal, vectors=("mean",), matrices=("cov",), event=1),
    "Multinomial": Law(_multinomial, vectors=("p",), event=1),
    "Dirichlet": Law(_dirichlet, vectors=("a",), event=1),
}

#: The random numbers that a `sample` may use.
RANDOM: dict[str, Callable[[np.random.Generator, int], Floats]] = {
    "uniform": lambda rng, n: rng.random(n),
    "normal": lambda rng, n: rng.standard_normal(n),
    "exponential": lambda rng, n: rng.standard_exponential(n),
}


def declared_law(sampler: Sampler, constants: Mapping[str, NDArray[Any]]) -> Law:
    """The law of a family that says how to draw from it. `constants` are those of the model."""

    def draw(rng: np.random.Generator, arguments: Arguments, draws: int) -> Floats:
        def value(expression: Expression) -> Any:
            match expression:
                case Number(number):
                    return float(number)
                case VariableRef(name) if name in RANDOM:
                    return RANDOM[name](rng, draws)
                case VariableRef(name):
                    return arguments[name]
                case ConstantRef(name, ()):
                    return constants[name]
                case Apply(op, args):
                    return FUNCTIONS[op](*map(value, args))
            raise AssertionError(f"a sample holds {type(expression).__name__}")

        return np.broadcast_to(np.asarray(value(sampler.value), dtype=np.float64), (draws,))

    return Law(draw)


def can_draw(sampler: Sampler) -> bool:
    """Whether a `sample` is arithmetic of the arguments, constants and random numbers."""
    scalars = (Number, VariableRef, ConstantRef, Apply)
    return all(isinstance(node, scalars) and not getattr(node, "indices", ()) for node in walk(sampler.value))
