"""The posterior in the terms of the model as it is written, where the planner has put other plates around its units."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from emdsl.data.bound import Bound
from emdsl.ir.model import Model, Variable
from emdsl.plan.hidden_numbers import HiddenNumber
from emdsl.plan.unrolling import element_name

if TYPE_CHECKING:
    from emdsl.plan.posterior import Marginal

Units = TypeVar("Units", bound=np.generic)


def declared_marginals(found: Iterable[Marginal], model: Model, bound: Bound) -> Iterator[Marginal]:
    """The marginals by the variables of `model`; `bound` is what was planned. One outside the plates has level 0, and
    its elements are the units.
    """
    by_name = {item.name: item for item in found}
    for variable in model.variables:
        if variable.plate is None and variable.axes and variable.kind == "latent" and variable.values is not None:
            parts = [by_name.pop(name, None) for name in element_names(variable, bound)]
            whole = [part for part in parts if part is not None]
            if whole:
                shares = np.concatenate([part.probabilities for part in whole], axis=-1)
                by_name[variable.name] = replace(whole[0], name=variable.name, probabilities=shares)
    for item in by_name.values():
        level, order = _place(item.level, bound)
        path = None if item.path is None else _back(item.path, order)
        yield replace(item, level=level, probabilities=_back(item.probabilities, order), path=path)


def declared_numbers(found: Iterable[HiddenNumber], bound: Bound) -> Iterator[HiddenNumber]:
    """The continuous hidden variables with their units as in the data."""
    for item in found:
        level, order = _place(item.level, bound)
        yield replace(item, level=level, mean=_back(item.mean, order), sd=_back(item.sd, order))


def element_names(variable: Variable, bound: Bound) -> Iterator[str]:
    """What the variables of the elements of an array are called, once it is taken apart."""
    for labels in product(*(bound.indexes[axis] for axis in variable.axes)):
        yield element_name(variable.name, labels)


def _place(level: int, bound: Bound) -> tuple[int, NDArray[np.intp] | None]:
    """The level without the plate that the planner has put around the others, and the order in which it has units."""
    if bound.regrouping is None:
        return level, None
    if level <= 1:
        return 0, None
    return level - 1, bound.regrouping.orders[level - 1]


def _back(values: NDArray[Units], order: NDArray[np.intp] | None) -> NDArray[Units]:
    """Values by unit in the order of the data."""
    if order is None:
        return values
    out = np.empty_like(values)
    out[..., order] = values
    return out


def impossible_notes(marginals: Mapping[str, Marginal], bound: Bound) -> tuple[str, ...]:
    """A note for each plate some of whose units have data that cannot be, at these parameters."""
    units: dict[int, int] = {}
    for marginal in marginals.values():
        count = int(np.isnan(marginal.probabilities).any(axis=0).sum())
        units[marginal.level] = max(units.get(marginal.level, 0), count)
    return tuple(
        f"the data of {count} of {bound.levels[level].size} units of `{bound.levels[level].plate}` are impossible at "
        "these parameters; their posterior is empty"
        if level
        else "the data are impossible at these parameters; the posterior is empty"
        for level, count in units.items()
        if count
    )
