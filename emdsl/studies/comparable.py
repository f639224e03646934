"""Whether likelihoods may be compared: they must be those of the same cells of one table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from emdsl.data.bound import Bound
from emdsl.data.counting import weighted_rows
from emdsl.data.wording import plain
from emdsl.diagnostics.errors import EmmError
from emdsl.ir.model import Model
from emdsl.simulate.ancestral import looks_back_without_law


@dataclass(frozen=True)
class Explained:
    """What a likelihood is that of: the `columns` of observed variables, the number of `rows` with an observed cell,
    counted by their weights, of these the cells `conditioned` on at the beginnings of chains, and of each column of
    numbers how many cells it has and their sum."""

    name: str
    columns: frozenset[str]
    rows: float
    conditioned: int
    sums: Mapping[str, tuple[int, float]]


def explained(name: str, model: Model, bound: Bound) -> Explained:
    """What the likelihood of a model on its data explains."""
    observed = {v.name for v in model.variables if v.kind == "observed"}
    observed |= {column for v in model.variables if v.kind == "observed" for column in v.between or ()}
    columns = {column for key, column in bound.columns.items() if key.partition(".")[0] in observed}
    conditioned = 0
    for variable, lag in looks_back_without_law(model).items():
        if model.variable(variable).kind == "observed":
            level = bound.levels[bound.level_of(model.variable(variable).plate)]
            conditioned += int((level.position() < lag).sum())
    return Explained(name, frozenset(columns), weighted_rows(model, bound), conditioned, dict(_sums(model, bound)))


def _sums(model: Model, bound: Bound) -> Iterator[tuple[str, tuple[int, float]]]:
    """Of each column of observed numbers the number of its cells and their sum, whatever their order."""
    for variable in model.variables:
        if variable.kind != "observed" or variable.values is not None or variable.name not in bound.values:
            continue
        array = np.asarray(bound.values[variable.name].array, dtype=float)
        labels = [bound.indexes[axis] for axis in variable.axes]
        if array.ndim != len(labels) + 1:
            continue
        for place in np.ndindex(array.shape[:-1]):
            key = ".".join((variable.name, *(axis[at] for axis, at in zip(labels, place, strict=True))))
            if key in bound.columns:
                known = array[place][np.isfinite(array[place])]
                yield bound.columns[key], (len(known), float(np.sort(known).sum()))


def check_comparable(found: Sequence[Explained]) -> None:
    """Raises `not-comparable` for the first that does not explain what the first one explains."""
    for other in found[1:]:
        first = found[0]
        if other.columns != first.columns:
            one, two = (plain(sorted(item.columns)) or "nothing" for item in (first, other))
            what = f"`{first.name}` explains {one}, `{other.name}` explains {two}"
            help = "models that explain the same columns can be compared"
        elif other.rows != first.rows:
            what = f"`{first.name}` explains {first.rows:g} rows, `{other.name}` explains {other.rows:g}"
            help = "a weight counts rows: all models need it, or none"
        elif other.conditioned != first.conditioned:
            what = (
                f"`{first.name}` takes {first.conditioned} cells at the beginnings of chains as given, "
                f"`{other.name}` takes {other.conditioned}"
            )
            help = "a law for the first units, `~ D1 first, D2 after`, makes them part of the likelihood"
        elif different := _different_cells(first, other):
            what = f"the cells of {plain(different)} are others for `{first.name}` than for `{other.name}`"
            help = ""
        else:
            continue
        raise EmmError("not-comparable", f"likelihoods of different data cannot be compared: {what}", help=help)


def _different_cells(one: Explained, two: Explained) -> list[str]:
    """The columns of numbers that have as many cells for both, and another sum."""
    both = ((name, one.sums[name], two.sums[name]) for name in one.sums if name in two.sums)
    return [
        name for name, (count, total), (others, other) in both
        if count == others and not np.isclose(total, other, rtol=1e-9, atol=1e-9)
    ]  # fmt: skip
