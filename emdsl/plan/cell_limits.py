"""The hidden numbers of an integral over open cells: which of them are hidden in a unit, and between what they lie."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdsl.data.bound import Bound
from emdsl.diagnostics.errors import EmmError
from emdsl.ir.expressions import ParameterRef, VariableRef, walk
from emdsl.ir.latents import WHOLE
from emdsl.ir.model import ABOVE, BELOW, BETWEEN, CELL_SUFFIX, CELLS, Domain, Model, Variable
from emdsl.ir.open_cells import mask_name
from emdsl.plan.evaluation import Evaluator
from emdsl.runtime.problem import Array

Codes = NDArray[np.intp]
Flags = NDArray[np.bool_]
#: A hidden number by its variable and the place of its element.
Key = tuple[str, tuple[int, ...]]


@dataclass(frozen=True)
class Numbers:
    """The hidden numbers of an integral, one after the other, those of one unit of it together.

    `owner` `(numbers,)` is that unit, `key` the place of each among `keys`, `unit` its unit in the plate of its
    variable; it lies between `low` and `high`, which are `cut` where they are not those of the variable's domain alone;
    `kind` says what it may be: `real`, `above`, `below`, `between`, or a `whole` number.
    """

    keys: tuple[Key, ...]
    owner: Codes
    key: Codes
    unit: Codes
    low: Array
    high: Array
    cut: Flags
    kind: NDArray[np.str_]


def numbers_of(latents: tuple[str, ...], model: Model, bound: Bound, home: int) -> Numbers:
    """All hidden numbers of a group of variables, by the units of level `home`."""
    keys: list[Key] = []
    parts: list[tuple[Any, ...]] = []
    for name in latents:
        variable = model.variable(name)
        level = bound.level_of(variable.plate)
        elements = tuple(product(*(range(len(bound.indexes[axis])) for axis in variable.axes)))
        hidden, *limits = _of_variable(variable, model, bound, level, len(elements))
        element, unit = np.nonzero(hidden)
        kind = _kinds(limits[0], limits[1], whole=variable.domain.kind in WHOLE)
        parts.append((
            ancestors(unit, level, home, bound), np.full(len(unit), level), unit, element + len(keys),
            *(item[hidden] for item in limits), kind[hidden],
        ))  # fmt: skip
        keys += [(name, place) for place in elements]
    owner, depth, units, key, low, high, cut, kinds = (np.concatenate(part) for part in zip(*parts, strict=True))
    order = np.lexsort((key, units, depth, owner))
    return Numbers(
        tuple(keys), owner[order], key[order], units[order], low[order], high[order], cut[order], kinds[order]
    )  # fmt: skip


def ancestors(units: Codes, level: int, above: int, bound: Bound) -> Codes:
    """The units of level `above` that units of a level lie in."""
    for number in range(level, above, -1):
        units = bound.levels[number].parent[units]
    return units


def _of_variable(
    variable: Variable, model: Model, bound: Bound, level: int, count: int
) -> tuple[Flags, Array, Array, Flags]:
    """Whether the cells are hidden, their limits, and whether these are cut: `(elements, units)`."""
    shape = (count, bound.levels[level].size)
    first, last = domain_limits(variable.domain, model, bound)
    low, high = np.full(shape, first), np.full(shape, last)
    hidden = np.ones(shape, dtype=bool)
    if variable.cell_of:
        hidden = np.asarray(bound.values[mask_name(variable.cell_of)].array).reshape(shape) != 0
        _cut(low, high, model.variable(variable.cell_of), model, bound, level)
    return hidden, low, high, np.asarray((low > first) | (high < last))


def _kinds(low: Any, high: Any, *, whole: bool) -> NDArray[np.str_]:
    if whole:
        return np.full(low.shape, "whole")
    below, above = np.isfinite(high), np.isfinite(low)
    return np.where(above & below, "between", np.where(above, "above", np.where(below, "below", "real")))


def kind_between(low: float, high: float) -> str:
    """What a number between two limits is."""
    return str(_kinds(np.array(low), np.array(high), whole=False))


def domain_limits(domain: Domain, model: Model, bound: Bound) -> tuple[float, float]:
    """Where a domain begins and ends."""
    evaluator = Evaluator(model, bound)
    match domain.kind:
        case "positive" | "natural":
            return 0.0, np.inf
        case "unit":
            return 0.0, 1.0
        case "interval":
            ends = (domain.low, domain.high)
            low, high = (np.nan if end is None else float(evaluator.value(end).array) for end in ends)
            return -np.inf if np.isnan(low) else low, np.inf if np.isnan(high) else high
    return -np.inf, np.inf


def _cut(low: Array, high: Array, variable: Variable, model: Model, bound: Bound, level: int) -> None:
    """Narrows the limits to what truncation leaves and to what a cell that holds a bound says."""
    counts = variable.domain.kind in WHOLE
    shape = low.shape
    if variable.truncated is not None:
        if any(isinstance(n, ParameterRef) or _is_latent(n, model) for n in walk(variable.truncated)):
            raise EmmError(
                "not-supported-yet", f"`{variable.name}` has open cells that other laws look at, and is truncated to "
                "bounds that are not known: this has no plan yet",
            )  # fmt: skip
        evaluator = Evaluator(model, bound, level=level)
        ends = [evaluator.value(end).array for end in variable.truncated]
        _narrow(low, high, np.broadcast_to(ends[0], shape), np.broadcast_to(ends[1], shape), counts=counts)
    cell = f"{variable.name}{CELL_SUFFIX}"
    if not any(item.name == cell for item in model.variables):
        return
    kinds = np.asarray(bound.values[cell].array).reshape(shape)
    first = last = np.asarray(bound.values[variable.name].array).reshape(shape)
    step = 1.0 if counts else 0.0
    above, below = kinds == CELLS.index(ABOVE), kinds == CELLS.index(BELOW)
    between = kinds == CELLS.index(BETWEEN)
    if variable.between is not None:
        first, last = (np.asarray(bound.values[name].array).reshape(shape) for name in variable.between)
        step = 0.0
    _narrow(
        low, high, np.where(above | between, first + step, -np.inf), np.where(below | between, last - step, np.inf),
        counts=counts,
    )  # fmt: skip


def _narrow(low: Array, high: Array, first: Array, last: Array, *, counts: bool) -> None:
    if counts:
        first, last = np.ceil(first), np.floor(last)
    np.maximum(low, np.nan_to_num(first, nan=-np.inf, posinf=np.inf, neginf=-np.inf), out=low)
    np.minimum(high, np.nan_to_num(last, nan=np.inf, posinf=np.inf, neginf=-np.inf), out=high)


def _is_latent(node: Any, model: Model) -> bool:
    return isinstance(node, VariableRef) and model.variable(node.name).kind == "latent"
