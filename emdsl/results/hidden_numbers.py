"""The posterior of continuous hidden variables as columns: `mean(u)` and `sd(u)`, of an array for each element."""

from __future__ import annotations

import math
from typing import Any

from numpy.typing import NDArray

from emdsl.ir.model import Model
from emdsl.plan.hidden_numbers import HiddenNumber


def number_columns(item: HiddenNumber) -> dict[str, NDArray[Any]]:
    """The columns by name, in the order of the units."""
    found: dict[str, NDArray[Any]] = {}
    for name, mean, sd in zip(item.names, item.mean, item.sd, strict=True):
        found |= {f"mean({name})": mean, f"sd({name})": sd}
    return found


def element_table(item: HiddenNumber, model: Model) -> dict[str, list[Any]]:
    """The table of a variable outside plates: a row for each element, told by the labels of its axes."""
    axes = model.variable(item.name).axes
    columns: dict[str, list[Any]] = {}
    for place, axis in enumerate(axes):
        name = axis
        while name in columns:
            name += "_"
        columns[name] = [labels[place] for labels in item.elements]
    columns[f"mean({item.name})"] = _cells(item.mean[:, 0])
    columns[f"sd({item.name})"] = _cells(item.sd[:, 0])
    return columns


def _cells(values: NDArray[Any]) -> list[Any]:
    return [None if math.isnan(value) else value for value in values.tolist()]
