"""The statements about observed variables, fitted to the data: arrays that are taken apart there are so here."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdsl.ir.expressions import Expression, Label
from emdsl.ir.model import Factor, Map, Model, Variable
from emdsl.plan.maps import observed_pairs
from emdsl.plan.posterior_laws import Looked
from emdsl.plan.unrolling import Unroller, element_name
from emdsl.predict.laws import drawn_by, scope_of
from emdsl.predict.predictive import uncut

Codes = NDArray[np.intp]


@dataclass(frozen=True)
class Statement:
    """A law or a map of observed variables. `draws` gives for each variable that it draws the name that the statement
    knows it by, and the places of its elements among all of the variable's."""

    statement: Factor | Map
    draws: dict[str, tuple[str, Codes]]
    looked: Looked


def statements_of(declared: Model, unroller: Unroller, planned: Model) -> list[Statement]:
    """All of them, in the order of the model. `planned` is the model that the posterior is of."""
    model = unroller.of_model()
    origin = {}
    for variable in declared.variables:
        shape = [len(unroller.bound.indexes[axis]) for axis in variable.axes]
        for number, labels in enumerate(product(*(unroller.bound.indexes[axis] for axis in variable.axes))):
            origin[element_name(variable.name, labels)] = (variable, np.array([number]), shape)
    observed = {variable.name: variable for variable in declared.variables if variable.kind == "observed"}
    items: tuple[Factor | Map, ...] = (
        *(part for factor in declared.factors for part in unroller.factors(factor)),
        *(part for item in declared.maps for part in unroller.maps(item)),
        *observed_pairs(model),
    )
    found: list[Statement] = []
    for item in items:
        if item.target is None:
            continue
        draws: dict[str, tuple[str, Codes]] = {}
        for name in drawn_by(item, model):
            if name in observed:
                variable = observed[name]
                draws[name] = (name, _places(item.target.indices, variable, unroller))
            elif name in origin and origin[name][0].name in observed:
                draws[origin[name][0].name] = (name, origin[name][1])
        if draws:
            parts = tuple(uncut(item)) if isinstance(item, Factor) else ()
            looked = Looked(f"predict {len(found)}", item.plate, scope_of(item, planned), parts)
            found.append(Statement(item, draws, looked))
    return found


def _places(indices: tuple[Expression, ...], variable: Variable, unroller: Unroller) -> Codes:
    """The places of the elements that a target names."""
    shape = tuple(len(unroller.bound.indexes[axis]) for axis in variable.axes)
    chosen: list[Any] = []
    for index, axis in zip(indices, variable.axes, strict=False):
        chosen.append(unroller.bound.indexes[axis].index(index.label) if isinstance(index, Label) else slice(None))
    return np.asarray(np.arange(int(np.prod(shape))).reshape(shape)[tuple(chosen)].ravel(), dtype=np.intp)
