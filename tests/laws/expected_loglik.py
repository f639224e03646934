"""Q and the log prior of a small model by enumeration: what an M-step must maximise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, logit

from emdsl.ir.model import Model
from emdsl.runtime.problem import Space
from tests.laws.bound_models import Array
from tests.laws.enumeration import Enumeration, applies, elements
from tests.laws.interpreter import World


def log_prior(enumeration: Enumeration, theta: Mapping[str, Array]) -> float:
    """The log-density of the priors, element by element."""
    total = 0.0
    for parameter in enumeration.model.parameters:
        if parameter.prior is None:
            continue
        world = World(enumeration.table, theta, enumeration.table.whole, {})
        sizes = [range(world.size(binder.index_set)) for binder in parameter.prior.binders]
        for places in product(*sizes):
            inner = world
            for binder, place in zip(parameter.prior.binders, places, strict=True):
                inner = inner.at(binder, place)
            total += float(inner.number(parameter.prior.log_density))
    return total


class ExpectedLogLikelihood:
    """`Q(new) = E[log f(seen, hidden; new) | seen; theta] + log prior(new)`, expected by enumeration at theta."""

    def __init__(self, model: Model, columns: Mapping[str, Any], theta: Mapping[str, Array]) -> None:
        self.enumeration = Enumeration(model, columns, theta)
        self.seen: list[tuple[World, Array]] = []
        self.enumeration.visit(lambda world, weights: self.seen.append((world, weights)))

    def __call__(self, theta: Mapping[str, Array]) -> float:
        """Q plus log prior at new values of the parameters."""
        total = log_prior(self.enumeration, theta)
        with np.errstate(all="ignore"):
            for world, weights in self.seen:
                for factor in self.enumeration.model.factors:
                    if factor.plate != world.unit.plate or not applies(factor, world.unit):
                        continue
                    for inner in elements(factor, replace(world, theta=theta)):
                        density = self.enumeration.factor(factor, inner, len(weights))
                        total += float(np.sum(weights * np.where(weights == 0.0, 0.0, density)))
        return total


@dataclass(frozen=True)
class Chart:
    """Parameters as a vector without bounds: logits of a simplex, logarithms, differences; held elements stay."""

    spaces: tuple[Space, ...]
    start: Mapping[str, Array]

    def vector(self, theta: Mapping[str, Array]) -> Array:
        """The coordinates of theta."""
        return np.concatenate(
            [self._down(space, np.asarray(theta[space.name])) for space in self.spaces] or [np.zeros(0)]
        )

    def theta(self, vector: Array) -> dict[str, Array]:
        """The parameters at some coordinates."""
        found, at = {}, 0
        for space in self.spaces:
            size = int((~space.fixed).sum())
            found[space.name] = self._up(space, np.asarray(self.start[space.name]), vector[at : at + size])
            at += size
        return found

    def _down(self, space: Space, value: Array) -> Array:
        match space.kind:
            case "positive" | "simplex":
                free = np.log(np.maximum(value, 1e-12))
            case "unit":
                free = logit(value)
            case _:
                free = value
        return np.asarray(free[~space.fixed])

    def _up(self, space: Space, start: Array, coordinates: Array) -> Array:
        full = np.zeros(space.shape)
        full[~space.fixed] = coordinates
        match space.kind:
            case "positive":
                return np.asarray(np.where(space.fixed, start, np.exp(full)))
            case "unit":
                return np.asarray(np.where(space.fixed, start, expit(full)))
            case "simplex":
                share = np.where(space.fixed, 0.0, np.exp(full))
                axes = tuple(range(len(space.shape) - space.event, len(space.shape)))
                mass = 1.0 - np.where(space.fixed, start, 0.0).sum(axis=axes, keepdims=True)
                total = share.sum(axis=axes, keepdims=True)
                return np.asarray(np.where(space.fixed, start, mass * share / np.where(total > 0, total, 1.0)))
        return np.asarray(np.where(space.fixed, start, full))


def improved(function: Any, chart: Chart, theta: Mapping[str, Array]) -> tuple[float, dict[str, Array]]:
    """The highest value of a function of theta that a general optimiser finds from there, and where."""

    def negative(u: Any) -> float:
        return -float(function(chart.theta(u)))

    start: Any = chart.vector(theta)
    found = minimize(negative, start, method="BFGS", options={"gtol": 1e-8, "maxiter": 60})
    return -float(found.fun), chart.theta(found.x)
