"""`order index by key`: labels put in order after the fit; and quantities derived from the estimates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from emdsl.data.bound import Bound
from emdsl.diagnostics.errors import EmmError
from emdsl.ir.model import Model, Order, Parameter
from emdsl.plan.evaluation import Evaluator
from emdsl.runtime.problem import Array, Space, Theta


def held_in_place(model: Model, spaces: Sequence[Space]) -> frozenset[str]:
    """Index sets whose labels must stay as they are: along them, some elements of a parameter are fixed and others
    not, or to different values.
    """
    found = set()
    for parameter, space in zip(model.parameters, spaces, strict=True):
        if parameter.domain.kind == "contrast":
            continue
        for position, axis in enumerate(parameter.array_axes):
            moved = np.moveaxis(space.fixed, position, 0)
            if (space.fixed.any() and not (space.zero == space.fixed).all()) or (moved != moved[:1]).any():
                found.add(axis)
    return frozenset(found)


def order_not_invariant(model: Model, before: float, after: float, digits: int = 6) -> EmmError:
    """What is said where relabelling takes the log-likelihood from `before` to `after`."""
    names = ", ".join(order.index_set for order in model.orders)
    return EmmError(
        "order-not-invariant",
        f"the labels of {names} cannot be put in order: relabelling changes the log-likelihood "
        f"from {before:.{digits}f} to {after:.{digits}f}, so the model tells them apart",
        help="drop the `order` line, or what names a label by itself",
    )


def arrange(model: Model, bound: Bound, theta: Theta, stay: frozenset[str] = frozenset()) -> dict[str, Array]:
    """Theta with every ordered index set (but those that `stay`) relabelled so that its key increases."""
    current = {name: np.asarray(value, dtype=float) for name, value in theta.items()}
    for order in model.orders:
        if order.index_set in stay:
            continue
        ranks = _ranks(model, bound, current, order)
        if not np.array_equal(ranks, np.arange(len(ranks))):
            current = permuted(model, current, order.index_set, ranks)
    return current


def _ranks(model: Model, bound: Bound, theta: Theta, order: Order) -> np.ndarray:
    evaluator = replace(Evaluator(model, bound), theta=theta)
    key = evaluator.value(order.key).aligned((order.binder.name,))
    return np.argsort(np.ravel(key), kind="stable")


def permuted(model: Model, theta: Theta, index_set: str, ranks: np.ndarray) -> dict[str, Array]:
    """Theta with the label `ranks[k]` of an index set called `k`; arrays with axes behind those of the parameters
    (intervals) too."""
    new = {}
    for parameter in model.parameters:
        value = theta[parameter.name]
        for position, axis in enumerate(parameter.array_axes):
            if axis == index_set:
                value = np.take(value, ranks, axis=position)
        if is_based_on(parameter, index_set):
            # The baseline is the first element, also after it has changed places.
            value = value - value[..., :1]
        new[parameter.name] = value
    return new


def is_based_on(parameter: Parameter, index_set: str) -> bool:
    """Whether a parameter is told by its differences to a baseline label of the index set."""
    return parameter.domain.kind == "contrast" and parameter.domain.axes == (index_set,)


def report_values(model: Model, bound: Bound, theta: Theta) -> dict[str, Array]:
    """Every `report` at theta, arrays over its binders."""
    evaluator = replace(Evaluator(model, bound), theta=theta)
    values = {}
    for report in model.reports:
        names = tuple(binder.name for binder in report.binders)
        shape = tuple(len(bound.indexes[binder.index_set]) for binder in report.binders)
        values[report.name] = np.broadcast_to(evaluator.value(report.value).aligned(names), shape)
    return values
