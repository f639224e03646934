"""What the data say of continuous hidden variables: mean and standard deviation of each number, unit by unit.

Given the finite hidden variables around it, a number has the law that its integral holds (normal, of a kernel, or
shares at nodes). Averaged over their posterior its variance is the mean of the variances within the cells and the
variance of the means between them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from emdsl.data.bound import Bound
from emdsl.data.shares import units_of_share
from emdsl.data.wording import element_name
from emdsl.ir.expressions import Expression, VariableRef, walk
from emdsl.ir.grids import index_set_of, values_of
from emdsl.ir.model import Model, Variable
from emdsl.ir.open_cells import mask_name
from emdsl.plan.integrals import BoundIntegral, Evidence
from emdsl.plan.named import Named
from emdsl.plan.open_pieces import KNOWN
from emdsl.plan.open_units import UnitCells
from emdsl.runtime.problem import Array

Codes = NDArray[np.intp]


@dataclass(frozen=True)
class HiddenNumber:
    """The posterior of one continuous hidden variable: `mean` and `sd` are `(elements, units)`, `elements` the labels
    of each, `()` of a variable that is no array. NaN where the data are impossible, or where there is no finite moment.
    """

    name: str
    level: int
    elements: tuple[tuple[str, ...], ...]
    mean: Array
    sd: Array

    @property
    def names(self) -> tuple[str, ...]:
        """What each element is called."""
        return tuple(element_name(self.name, labels) for labels in self.elements)


def is_on_grid(variable: Variable) -> bool:
    """Whether the values of a variable are nodes that stand for a continuous one."""
    return variable.values == index_set_of(variable.name)


def integrated_numbers(
    integral: BoundIntegral, evidence: Evidence, cells: Array, model: Model, bound: Bound
) -> Iterator[HiddenNumber]:
    """The numbers of one integral; `cells` `(*cells, units)` is proportional to the posterior of what is around it."""
    if integral.inside is not None:
        yield from _of_some_units(integral, integral.inside, evidence, cells, model, bound)
        return
    mean, variance = mixed(*evidence.moments(), integral.by_step(_shares(integral, cells)))
    sd = np.sqrt(np.maximum(variance, 0.0))
    for name in integral.integral.latents:
        variable = model.variable(name)
        level = bound.level_of(variable.plate)
        elements = tuple(product(*(bound.indexes[axis] for axis in variable.axes)))
        places = integral.places(name, bound.levels[level].size)
        yield HiddenNumber(name, level, elements, _finite(mean[places]), _finite(sd[places]))


def _of_some_units(
    integral: BoundIntegral, inside: BoundIntegral, evidence: Evidence, cells: Array, model: Model, bound: Bound
) -> Iterator[HiddenNumber]:
    """The numbers of an integral over some units alone; NaN in the others."""
    share = integral.share
    assert share is not None
    kept = units_of_share(bound, share)
    owner = np.zeros(1, dtype=np.intp) if inside.layout is not None else kept[inside.level]
    shares = _shares(inside, cells[..., owner])
    mean, variance = mixed(*evidence.moments(), shares if inside.cells is not None else inside.by_step(shares))
    for name in integral.integral.latents:
        variable = model.variable(name)
        level = bound.level_of(variable.plate)
        elements = tuple(product(*(bound.indexes[axis] for axis in variable.axes)))
        found = np.full((2, len(elements), bound.levels[level].size), np.nan)
        if inside.cells is None:
            places = inside.places(name, len(kept[level]))
            found[:, :, kept[level]] = mean[places], variance[places]
        else:
            _by_rank(found, mean, variance, name, inside.cells, kept, (level, inside.level))
        yield HiddenNumber(name, level, elements, found[0], _finite(np.sqrt(np.maximum(found[1], 0.0))))


def _by_rank(
    found: Array, mean: Array, variance: Array, name: str, cells: UnitCells, kept: Mapping[int, Codes],
    levels: tuple[int, int],
) -> None:  # fmt: skip
    """Fills in the numbers of units that have each its own; `levels` are those of the variable and of the units."""
    level, home = levels
    unit: Codes = np.arange(len(kept[level]))
    for number in range(level, home, -1):
        unit = cells.parents[number][unit]
    own = [rank for (other, _), rank in cells.ranks.items() if other == name]
    for element, rank in enumerate(own):
        here = rank != KNOWN
        place = kept[level][here]
        found[0, element, place] = mean[rank[here], unit[here]]
        found[1, element, place] = variance[rank[here], unit[here]]


def with_known_cells(numbers: Iterable[HiddenNumber], model: Model, bound: Bound) -> Iterator[HiddenNumber]:
    """The numbers of every variable once, put together from all integrals; of an observed one whose open cells are
    hidden also the cells that are known, which have no spread.
    """
    together: dict[str, HiddenNumber] = {}
    for item in numbers:
        if item.name in together:
            one = together[item.name]
            nothing = np.isnan(one.mean)
            item = replace(
                one, mean=np.where(nothing, item.mean, one.mean), sd=np.where(nothing, item.sd, one.sd)
            )  # fmt: skip
        together[item.name] = item
    for item in together.values():
        observed = model.variable(item.name).cell_of
        if observed:
            value = np.asarray(bound.values[observed].array).reshape(item.mean.shape)
            known = np.asarray(bound.values[mask_name(observed)].array).reshape(item.mean.shape) == 0
            item = replace(
                item, name=observed, mean=np.where(known, value, item.mean), sd=np.where(known, 0.0, item.sd)
            )  # fmt: skip
        yield item


def mixed(mean: Array, variance: Array, shares: Array) -> tuple[Array, Array]:
    """Mean and variance `(d, units)` of a mixture over cells of laws with these, `(d, *cells, units)`."""
    axes = tuple(range(1, mean.ndim - 1))
    total = (shares * mean).sum(axis=axes)
    between = (mean - total.reshape(len(total), *(1,) * len(axes), -1)) ** 2
    return total, (shares * (variance + between)).sum(axis=axes)


def gridded_number(variable: Variable, level: int, shares: Array, bound: Bound) -> HiddenNumber:
    """A number that is summed over nodes, from the posterior `(nodes, units)` of these."""
    assert variable.values is not None
    nodes = np.array([float(label) for label in bound.indexes[variable.values]])
    mean = nodes @ shares
    variance = ((nodes[:, None] - mean) ** 2 * shares).sum(axis=0)
    return HiddenNumber(variable.name, level, ((),), mean[None], np.sqrt(variance)[None])


def shares_on_nodes(variable: Variable, axis: str, level: int, shares: Array, bound: Bound) -> HiddenNumber:
    """Shares that are summed over nodes, or drawn, from the posterior `(nodes, units)` of these; `axis` is what they
    are shares over.
    """
    name = values_of(variable.name)
    if name in bound.constants:
        values = np.asarray(bound.constants[name]).T[..., None]  # (elements, nodes, 1)
    else:
        values = np.moveaxis(np.asarray(bound.values[name].array), 1, 0)
    mean = (values * shares).sum(axis=1)
    variance = ((values - mean[:, None]) ** 2 * shares).sum(axis=1)
    elements = tuple((label,) for label in bound.indexes[axis])
    return HiddenNumber(variable.name, level, elements, mean, np.sqrt(variance))


def standard_joint(name: str, value: Expression, model: Model) -> tuple[str, str | None, tuple[str, ...]]:
    """The joint posterior that the moments of a standardised number take: its name, its plate, and its axes, which are
    the number e and whatever hidden variables its mean and standard deviation look at.
    """
    seen = dict.fromkeys(node.name for node in walk(value) if isinstance(node, VariableRef))
    hidden = tuple(other for other in seen if model.variable(other).kind == "latent")
    return f"{name} and around", model.variable(name).plate, hidden


def standardised_number(name: str, level: int, shares: Named, values: Named) -> HiddenNumber:
    """A number `mean + sd*e`, from the joint posterior of all that it depends on (its last axis that of the units) and
    its `values` in every cell.
    """
    array = values.aligned(shares.axes)
    cells = tuple(range(shares.array.ndim - 1))
    mean = (shares.array * array).sum(axis=cells)
    variance = (shares.array * (array - mean) ** 2).sum(axis=cells)
    return HiddenNumber(name, level, ((),), mean[None], np.sqrt(variance)[None])


def infinite_notes(numbers: Mapping[str, HiddenNumber]) -> Iterator[str]:
    """A note for each variable some of whose moments are not finite although its units are possible."""
    for item in numbers.values():
        count = int((np.isnan(item.sd) & ~np.isnan(item.mean)).any(axis=0).sum())
        if count:
            yield f"the posterior of {item.name} has no finite variance in {count} of {item.sd.shape[-1]} units"


def _shares(integral: BoundIntegral, cells: Array) -> Array:
    axes = tuple(range(len(integral.hidden)))
    return np.asarray(cells / cells.sum(axis=axes)) if axes else np.ones(integral.units)


def _finite(values: Array) -> Array:
    return np.where(np.isfinite(values), values, np.nan)
