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

Flags = NDArray[np.bool_]
#: A hidden number by its variable and the place of its element.
Key = tuple[str, tuple[int, ...]]


@dataclass(frozen=True)
class Numbers:
    """The numbers `keys` of each unit of a plate: whether they are `hidden` there `(numbers, units)`, the limits `low`
    and `high` that they lie between, and whether these are `cut`, not those of the variable's domain alone. `whole`
    `(numbers,)`: they are counts, which may take the values of both limits.
    """

    keys: tuple[Key, ...]
    hidden: Flags
    low: Array
    high: Array
    cut: Flags
    whole: Flags

    def __getitem__(self, units: Any) -> Numbers:
        """Those of some units."""
        return Numbers(
            self.keys, self.hidden[:, units], self.low[:, units], self.high[:, units], self.cut[:, units], self.whole
        )

    @property
    def kinds(self) -> NDArray[np.object_]:
        """`(numbers, units)`: what a number may be; empty where it is known."""
        below, above = np.isfinite(self.high), np.isfinite(self.low)
        found = np.where(above & below, "between", np.where(above, "above", np.where(below, "below", "real")))
        found = np.where(self.whole[:, None], "whole", found)
        return np.where(self.hidden, found, "").astype(object)


def numbers_of(latents: tuple[str, ...], model: Model, bound: Bound) -> Numbers:
    """All hidden numbers of a group of variables of one plate."""
    parts = [_of_variable(model.variable(name), model, bound) for name in latents]
    keys = tuple(key for part in parts for key in part.keys)
    return Numbers(
        keys, *(np.concatenate([getattr(part, name) for part in parts]) for name in ("hidden", "low", "high", "cut")),
        whole=np.concatenate([part.whole for part in parts]),
    )  # fmt: skip


def _of_variable(variable: Variable, model: Model, bound: Bound) -> Numbers:
    elements = tuple(product(*(range(len(bound.indexes[axis])) for axis in variable.axes)))
    level = next(number for number, item in enumerate(bound.levels) if item.plate == variable.plate)
    shape = (len(elements), bound.levels[level].size)
    first, last = _ends(variable.domain, Evaluator(model, bound))
    low, high = np.full(shape, first), np.full(shape, last)
    hidden = np.ones(shape, dtype=bool)
    if variable.cell_of:
        hidden = np.asarray(bound.values[mask_name(variable.cell_of)].array).reshape(shape) != 0
        _cut(low, high, model.variable(variable.cell_of), model, bound, level)
    cut = (low > first) | (high < last)
    whole = np.full(len(elements), variable.domain.kind in WHOLE)
    return Numbers(tuple((variable.name, e) for e in elements), hidden, low, high, cut, whole)


def _ends(domain: Domain, evaluator: Evaluator) -> tuple[float, float]:
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
