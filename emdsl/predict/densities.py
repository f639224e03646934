"""The fitted density of an observed number, and what each value of what is finite and hidden adds to it.

The density at x is `sum over units of w_u sum over cells of P(cell | data of u) f(x | cell, inputs of u)`, the weights
`w_u` those of the units in which the variable was seen, scaled to sum to 1. Where the law looks at no input this is the
mixture density with the mean posterior probabilities as shares, which are the estimated shares at a maximum (McLachlan
& Peel 2000).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import product

import numpy as np

from emdsl.data.bound import Bound
from emdsl.data.counting import unit_weights
from emdsl.ir.derivation import Derivation
from emdsl.ir.expressions import VariableRef, walk
from emdsl.ir.model import Branch, Factor, Variable
from emdsl.plan.hidden_numbers import is_on_grid
from emdsl.plan.named import POINT, Named
from emdsl.predict.components import Component, NormalComponent
from emdsl.predict.laws import POINTS, Law
from emdsl.predict.normal_laws import covariance, is_normal
from emdsl.predict.prediction import predictive_program
from emdsl.predict.predictive import uncut
from emdsl.predict.predictor import Predictor
from emdsl.predict.statements import Statement
from emdsl.runtime.problem import Array, Theta

#: What is hidden, as pairs of a variable and its label; of a variable of the unit before, its name with `@1`.
Cell = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class NormalCell:
    """A normal law of a vector that is the same for all units: `mean` `(event,)`, `covariance` `(event, event)`."""

    cell: Cell
    mean: Array
    covariance: Array


@dataclass
class FittedDensity:
    """The density of one observed variable at `points` `(elements, points)`.

    `parts` by cell `(elements, points)`: they sum to the density. `normal`: the laws of a vector, where they are normal
    and no input is looked at. An element of which there is no density is NaN.
    """

    name: str
    points: Array
    parts: dict[Cell, Array] = field(default_factory=dict)
    normal: list[NormalCell] = field(default_factory=list)

    @property
    def total(self) -> Array:
        """`(elements, points)`."""
        return np.asarray(sum(self.parts.values(), np.zeros(self.points.shape)))


def fitted_densities(
    derivation: Derivation, bound: Bound, theta: Theta, points: Mapping[str, Array]
) -> dict[str, FittedDensity]:
    """The densities of the observed numbers named in `points`, where laws look at something finite and hidden that the
    user has declared; others are left out."""
    program, statements = predictive_program(derivation, bound)
    shares = program.shares(theta)
    predictor = Predictor(program, theta, 0.95)
    found: dict[str, FittedDensity] = {}
    for variable in derivation.model.variables:
        own = [item for item in statements if variable.name in item.draws and isinstance(item.statement, Factor)]
        if variable.name not in points or not any(map(partial(_is_mixture, predictor), own)):
            continue
        density = FittedDensity(variable.name, points[variable.name])
        weights = _unit_shares(variable, bound)
        for item in own:
            with np.errstate(all="ignore"):
                _add(density, item, shares.get(item.looked.name), variable, weights, predictor)
        found[variable.name] = density
    return found


def _is_mixture(predictor: Predictor, item: Statement) -> bool:
    return any(_is_declared(axis, predictor) for axis in item.looked.axes)


def _is_declared(axis: str, predictor: Predictor) -> bool:
    """Whether an axis is of a finite variable, and not of the nodes of a number."""
    return axis != POINT and not is_on_grid(predictor.model.variable(axis.partition("@")[0]))


def _unit_shares(variable: Variable, bound: Bound) -> Array:
    """`(elements, units)`: what each unit in which the variable was seen counts, of 1 in all."""
    level = bound.level_of(variable.plate)
    seen = ~bound.values[variable.name].unseen
    weights = seen.reshape(-1, seen.shape[-1]) * unit_weights(bound, level)
    total = weights.sum(axis=1, keepdims=True)
    return np.asarray(weights / np.where(total > 0, total, 1.0))


def _add(
    density: FittedDensity, item: Statement, weight: Array | None, variable: Variable, weights: Array,
    predictor: Predictor,
) -> None:  # fmt: skip
    """Adds what one statement says of the units that it is about."""
    assert isinstance(item.statement, Factor)
    _, places = item.draws[variable.name]
    wide = density.points.shape[1] * max(1, predictor.program.points_of(item.looked))
    for law, flat in predictor.chunks(item, weight, variable, partial(_numbers, points=wide)):
        here = weights[np.ix_(places, law.units)]
        here = np.where(law.unknown(), 0.0, here)
        if not density.normal:
            density.normal += _normal_cells(law, item.statement, predictor)
        at = _named(law, density.points[places])
        for component in predictor.components(law, variable, flat):
            if law.event and not isinstance(component, NormalComponent):
                density.parts[()] = np.full(density.points.shape, np.nan)
                return
            for cell, part in _by_cell(component, at, here, predictor):
                whole = density.parts.setdefault(cell, np.zeros(density.points.shape))
                whole[places] += part


def _numbers(law: Law, points: int) -> int:
    elements = int(np.prod([len(law.bound.indexes[binder.index_set]) for binder in law.elements]))
    return max(1, int(np.prod(law.states)) * elements * points)


def _named(law: Law, points: Array) -> Named:
    """Points `(elements, points)` as what a law is asked at."""
    shape = [len(law.bound.indexes[binder.index_set]) for binder in law.elements]
    return Named((*(binder.name for binder in law.elements), POINTS), points.reshape(*shape, points.shape[-1]))


def _by_cell(component: Component, at: Named, here: Array, predictor: Predictor) -> Iterator[tuple[Cell, Array]]:
    """What each cell adds `(elements, points)`; `here` `(elements, units)` is what each unit counts."""
    weight = component.weight
    weight = np.where(here == 0.0, 0.0, np.nan_to_num(weight) * here)
    value = np.nan_to_num(component.density(at), nan=0.0, posinf=np.inf)
    if value.shape[2] == 1:  # the law is the same for all units
        full = weight.sum(axis=2)[..., None] * value[:, :, 0]
    else:
        states, elements, units = np.broadcast_shapes(weight.shape, value.shape[:3])
        wide = np.broadcast_to(value, (states, elements, units, value.shape[-1]))
        full = (np.broadcast_to(weight, (states, elements, units))[:, :, None] @ wide)[:, :, 0]
    law = component.law
    states = int(np.prod(law.states))
    full = np.where(np.isnan(full), 0.0, full)
    full = np.broadcast_to(full, (states, *full.shape[1:])).reshape(*law.states, *full.shape[1:])
    kept = [number for number, axis in enumerate(law.scope) if _is_declared(axis, predictor)]
    gone = tuple(number for number in range(len(law.scope)) if number not in kept)
    full = full.sum(axis=gone)
    axes = [law.scope[number] for number in kept]
    labels = [law.bound.indexes[law.model.variable(axis.partition("@")[0]).values or ""] for axis in axes]
    for place in product(*map(range, full.shape[: len(kept)])):
        yield tuple((axis, names[k]) for axis, names, k in zip(axes, labels, place, strict=True)), full[place]


def _normal_cells(law: Law, statement: Factor, predictor: Predictor) -> Iterator[NormalCell]:
    """The laws of a vector in every cell of what is finite and hidden, where no input and no number is looked at."""
    if not law.event or law.count or len(law.elements) > len(law.event) or not len(law.units):
        return
    one_unit = replace(law, units=law.units[:1])
    for branch in uncut(statement):
        if not is_normal(law, branch) or _varies(law, branch):
            continue
        mean = one_unit.mean(branch)
        assert mean is not None
        states = int(np.prod(law.states))
        centre = np.moveaxis(np.broadcast_to(mean, (states, mean.shape[1], 1))[:, None], -1, 2)
        spread = covariance(one_unit, branch, centre)
        holds = np.broadcast_to(one_unit.holds(branch), (states, 1, 1))
        labels = [law.bound.indexes[law.model.variable(a.partition("@")[0]).values or ""] for a in law.cells]
        for state, place in enumerate(product(*(range(len(names)) for names in labels))):
            if holds[state].all() and all(_is_declared(axis, predictor) for axis in law.cells):
                cell = tuple((axis, names[k]) for axis, names, k in zip(law.cells, labels, place, strict=True))
                yield NormalCell(cell, centre[state, 0, 0], spread[state, 0, 0])


def _varies(law: Law, branch: Branch) -> bool:
    """Whether a branch looks at data other than the value itself."""
    own = law.statement.target
    assert own is not None
    looked = {node for node in walk((branch.log_density, branch.arguments)) if isinstance(node, VariableRef)}
    others = {node for node in looked if node.name != own.name or node.lag}
    return any(law.model.variable(node.name).kind != "latent" for node in others)
