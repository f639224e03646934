"""The laws that hidden shares are drawn from, and draws of them as data of their units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from emdsl.data.bound import Bound, Values
from emdsl.ir.derivation import Derivation
from emdsl.ir.grids import index_set_of, log_weights_of, logs_of, values_of
from emdsl.runtime.functions import lgamma
from emdsl.runtime.problem import Array

#: Draws of each unit where nothing is known of parameters.
WIDE_DRAWS = 300


@dataclass(frozen=True)
class Proposal:
    """A mixture of Dirichlet laws for each unit: their shares of the draws, their exponents `(laws, shares, units)`."""

    mixture: tuple[float, ...]
    exponents: Array

    def draws(self, count: int, rng: np.random.Generator) -> tuple[Array, Array]:
        """The logarithms of `count` draws `(count, shares, units)`, and those of their weights `(count, units)`."""
        counts = np.diff(np.round(np.cumsum((0.0, *self.mixture)) * count).astype(int))
        logs = np.concatenate([_dirichlet(a, n, rng) for a, n in zip(self.exponents, counts, strict=True)])
        density: Any = -np.inf
        for a, n in zip(self.exponents, counts, strict=True):
            constant = lgamma(a.sum(axis=0)) - lgamma(a).sum(axis=0)
            own = constant + ((a - 1.0) * logs).sum(axis=1)
            density = np.logaddexp(density, np.log(max(n, 1e-300) / count) + own)
        return logs, -density - np.log(count)


def _dirichlet(a: Array, count: int, rng: np.random.Generator) -> Array:
    """Logarithms of draws, also where exponents are so small that shares have no number (Marsaglia and Tsang 2000)."""
    shape = (count, *a.shape)
    gamma = np.log(rng.standard_gamma(np.broadcast_to(a + 1.0, shape))) + np.log(rng.random(shape)) / a
    return np.asarray(gamma - np.logaddexp.reduce(gamma, axis=1, keepdims=True))


def drawn_shares(derivation: Derivation) -> tuple[str, ...]:
    """The hidden shares that are drawn."""
    return tuple(item.latents[0] for item in derivation.integrals if item.placing == "draws")


def placed(bound: Bound, laws: Mapping[str, Proposal], count: int) -> Bound:
    """The data with draws from these laws, the same random numbers each time."""
    values, indexes = dict(bound.values), dict(bound.indexes)
    for number, (name, law) in enumerate(laws.items()):
        logs, weights = law.draws(count, np.random.default_rng([bound.seed, 11, number]))
        values[values_of(name)], values[logs_of(name)] = Values(np.exp(logs)), Values(logs)
        values[log_weights_of(name)] = Values(weights)
        indexes[index_set_of(name)] = tuple(map(str, range(count)))
    return replace(bound, values=values, indexes=indexes)


def wide_draws(derivation: Derivation, bound: Bound, count: int = WIDE_DRAWS) -> Bound:
    """The data with draws all over the simplex, where nothing is known of parameters yet."""
    model, laws = derivation.model, {}
    for name in drawn_shares(derivation):
        units = bound.levels[bound.level_of(model.variable(name).plate)].size
        size = len(bound.indexes[model.variable(name).axes[-1]])
        a = np.ones((2, size, units))
        a[1] = 0.3
        laws[name] = Proposal((0.5, 0.5), a)
    return placed(bound, laws, count)
