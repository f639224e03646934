"""The components of a predictive mixture: a law in each state of what is hidden, and the posterior weight of each.

Arrays are `(states, elements, units)`, as of `laws`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from emdsl.ir.expressions import Expression
from emdsl.ir.model import Branch
from emdsl.plan.named import Named, combine
from emdsl.predict.laws import POINTS, Law
from emdsl.runtime.functions import Phi
from emdsl.runtime.problem import Array


class Component(Protocol):
    """One law in every state, with its weights `(states, elements, units)`."""

    @property
    def law(self) -> Law: ...

    @property
    def weight(self) -> Array: ...

    @property
    def mean(self) -> Array | None:
        """The mean, where it is known without a sum or an integral."""
        ...

    @property
    def has_cdf(self) -> bool:
        """Whether the distribution function is known."""
        ...

    def cdf(self, x: Array) -> Array:
        """The distribution function at `x` `(elements, units)`."""
        ...

    def density(self, at: Named) -> Array:
        """The density (or probability) at values along `POINTS`, `(states, elements, units, points)`."""
        ...


@dataclass(frozen=True)
class DeclaredComponent:
    """What a branch of the statement says; its family may know its mean and distribution function. `bounds` are those
    outside of which a truncated law has nothing: neither is then that of the family."""

    law: Law
    branch: Branch
    weight: Array
    bounds: tuple[Expression, Expression] | None = None

    @cached_property
    def mean(self) -> Array | None:
        """The declared mean."""
        return None if self.bounds is not None else self.law.mean(self.branch)

    @property
    def has_cdf(self) -> bool:
        """Whether the family declares it."""
        return self.bounds is None and self.law.fact(self.branch, "cdf") is not None

    def cdf(self, x: Array) -> Array:
        """The declared distribution function."""
        return self.law.cdf(self.branch, self.law.by_element(x))

    def density(self, at: Named) -> Array:
        """The density, 0 outside of the bounds."""
        found = self.law.density(self.branch, at)
        if self.bounds is None:
            return found
        low, high = (self.law.evaluator().value(end) for end in self.bounds)
        inside = combine(lambda x, a, b: (x >= a) & (x <= b), at, low, high)
        return np.where(self.law.aligned(inside, POINTS), found, 0.0)


@dataclass(frozen=True)
class NormalComponent:
    """A normal law, `middle` and `sd` in every state."""

    law: Law
    weight: Array
    middle: Array
    sd: Array
    has_cdf: bool = True

    @property
    def mean(self) -> Array:
        """Its mean."""
        return self.middle

    def cdf(self, x: Array) -> Array:
        """The distribution function; a step where nothing is left to chance."""
        with np.errstate(divide="ignore", invalid="ignore"):
            z = (x - self.middle) / self.sd
        return np.asarray(Phi(np.where(np.isnan(z) & (self.sd == 0.0), np.inf, z)))

    def density(self, at: Named) -> Array:
        """The normal density."""
        z = (self.law.aligned(at, POINTS) - self.middle[..., None]) / self.sd[..., None]
        return np.asarray(np.exp(-0.5 * z**2) / (np.sqrt(2 * np.pi) * self.sd[..., None]))
