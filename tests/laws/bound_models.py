"""A text and a table taken through every stage, without the cache; and parameters drawn inside their domains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdsl.compiler import CompiledModel
from emdsl.data.bound import Bound
from emdsl.derive.derive import derive
from emdsl.diagnostics.errors import EmmError
from emdsl.graph.resolve import resolve
from emdsl.plan.problem import BoundProblem
from emdsl.request import FitRequest
from emdsl.runtime.problem import Space, Theta
from emdsl.syntax.parser import parse
from tests.laws.tables import Columns

ROOT = Path(__file__).resolve().parents[2]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Taken:
    """A model that has met its data."""

    compiled: CompiledModel
    bound: Bound
    problem: BoundProblem

    def value(self, theta: Theta) -> float:
        """The log-likelihood and the log prior together: what EM raises."""
        return float(self.problem.expect(theta).loglik + self.problem.log_prior(theta))


@lru_cache(maxsize=256)
def compiled(text: str) -> CompiledModel:
    """A model's text, derived once in a session, whatever the cache on disk holds."""
    return CompiledModel(text, None, derive(resolve(parse(text), name="Model"), steps_wanted=False))


def take(text: str | CompiledModel, data: Columns | str, **options: Any) -> Taken:
    """A model and its table; `options` are those of a fit."""
    model = compiled(text) if isinstance(text, str) else text
    request = FitRequest(**options)
    bound = model.bind(data, request)
    here = model.on(bound)
    return Taken(here, bound, here.problem(bound, request))


def take_if_planned(text: str, data: Columns) -> Taken | None:
    """A model and its table; None where the engine says that it has no plan for it yet. Other errors are errors."""
    try:
        return take(text, data)
    except EmmError as error:
        if error.code != "not-supported-yet":
            raise
        return None


def shipped() -> dict[str, tuple[Path, Path]]:
    """Every model of `models/` with the table that its comment `# data:` names."""
    found = {}
    for file in sorted((ROOT / "models").glob("*.emm")):
        line = next(line for line in file.read_text(encoding="utf-8").splitlines() if line.startswith("# data:"))
        found[file.stem] = (file, ROOT / line.removeprefix("# data:").strip())
    return found


def take_shipped(name: str, **options: Any) -> Taken:
    """A shipped model with its table."""
    file, table = shipped()[name]
    return take(file.read_text(encoding="utf-8"), str(table), **options)


# --- parameters inside their domains ----------------------------------------------------------------------------------


def random_theta(
    spaces: tuple[Space, ...], rng: np.random.Generator, start: Theta, *, boundary: bool = False
) -> dict[str, Array]:
    """A value of every parameter; what is held keeps its value in `start`. With `boundary` some lie at a bound."""
    return {space.name: _random_value(space, rng, np.asarray(start[space.name]), boundary=boundary) for space in spaces}


def _random_value(space: Space, rng: np.random.Generator, start: Array, *, boundary: bool) -> Array:
    shape = space.shape
    match space.kind:
        case "simplex":
            return _simplex(space, rng, start, boundary=boundary)
        case "positive":
            value = np.exp(rng.normal(0.3, 0.5, shape))
        case "unit":
            value = rng.uniform(0.1, 0.9, shape)
            if boundary and rng.random() < 0.3:
                value = np.where(rng.random(shape) < 0.4, rng.integers(0, 2, shape).astype(float), value)
        case "interval":
            value = space.low + (space.high - space.low) * rng.uniform(0.1, 0.9, shape)
        case "ordered":
            value = np.cumsum(rng.uniform(0.3, 1.0, shape), axis=-1) - 1.0
        case "covariance":
            factor = rng.normal(size=shape)
            value = factor @ np.swapaxes(factor, -1, -2) + shape[-1] * np.eye(shape[-1])
        case "real" | "contrast":
            value = rng.normal(0.0, 0.8, shape)
        case _:
            raise NotImplementedError(space.kind)
    return np.where(space.fixed, start, value)


def _simplex(space: Space, rng: np.random.Generator, start: Array, *, boundary: bool) -> Array:
    cells = int(np.prod(space.shape[len(space.shape) - space.event :]))
    value = rng.dirichlet(np.full(cells, 2.0), size=int(np.prod(space.shape)) // cells)
    fixed, old = space.fixed.reshape(-1, cells), start.reshape(-1, cells)
    if boundary and rng.random() < 0.4:
        # an element at 0 that no structure forbids, the others keeping something
        for row, held in zip(value, fixed, strict=True):
            free = np.flatnonzero(~held)
            if len(free) > 1:
                row[rng.choice(free)] = 0.0
    value = np.where(fixed, 0.0, value)
    mass = 1.0 - np.where(fixed, old, 0.0).sum(axis=1, keepdims=True)
    value = np.where(fixed, old, mass * value / np.maximum(value.sum(axis=1, keepdims=True), 1e-300))
    return np.asarray(value.reshape(space.shape))


def tangent(space: Space, rng: np.random.Generator) -> Array:
    """A direction in which a parameter may move inside its domain: held elements stay, simplexes keep their sum."""
    step = np.where(space.fixed, 0.0, rng.normal(size=space.shape))
    match space.kind:
        case "simplex":
            cells = int(np.prod(space.shape[len(space.shape) - space.event :]))
            flat, free = step.reshape(-1, cells), (~space.fixed).reshape(-1, cells)
            mean = flat.sum(axis=1, keepdims=True) / np.maximum(free.sum(axis=1, keepdims=True), 1)
            return np.asarray(np.where(free, flat - mean, 0.0).reshape(space.shape))
        case "covariance" | "correlation":
            return np.asarray(0.5 * (step + np.swapaxes(step, -1, -2)))
    return np.asarray(step)


def own_size(space: Space, value: Array, rng: np.random.Generator) -> Array:
    """A tangent in whose direction a unit step changes the smallest element by its own size."""
    step = tangent(space, rng)
    if space.kind == "covariance":
        spread = np.sqrt(np.diagonal(value, axis1=-2, axis2=-1))
        return np.asarray(step * spread[..., :, None] * spread[..., None, :])
    free = np.abs(value[~space.fixed])
    return np.asarray(step * np.min(free[free > 0], initial=1.0))


def moved(theta: Theta, steps: Mapping[str, Array], size: float) -> dict[str, Array]:
    """Theta a little further along a direction."""
    return {name: np.asarray(value) + size * steps.get(name, 0.0) for name, value in theta.items()}


def slope(function: Any, theta: Theta, steps: Mapping[str, Array], size: float) -> float:
    """The derivative of a function of theta along a direction: central differences of the fourth order."""
    one = function(moved(theta, steps, size)) - function(moved(theta, steps, -size))
    two = function(moved(theta, steps, 2 * size)) - function(moved(theta, steps, -2 * size))
    return float((8 * one - two) / (12 * size))
