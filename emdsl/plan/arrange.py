"""`order index by key`: labels put in order after the fit; and quantities derived from the estimates."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from emdsl.data.bound import Bound
from emdsl.ir.model import Model, Order
from emdsl.plan.evaluation import Evaluator
from emdsl.runtime.problem import Array, Theta


def arrange(model: Model, bound: Bound, theta: Theta) -> dict[str, Array]:
    """Theta with every ordered index set relabelled so that its key increases."""
    current = {name: np.asarray(value, dtype=float) for name, value in theta.items()}
    for order in model.orders:
        current = _permuted(model, current, order, _ranks(model, bound, current, order))
    return current


def _ranks(model: Model, bound: Bound, theta: Theta, order: Order) -> np.ndarray:
    evaluator = replace(Evaluator(model, bound), theta=theta)
    key = evaluator.value(order.key).aligned((order.binder.name,))
    return np.argsort(np.ravel(key), kind="stable")


def _permuted(model: Model, theta: dict[str, Array], order: Order, ranks: np.ndarray) -> dict[str, Array]:
    if np.array_equal(ranks, np.arange(len(ranks))):
        return theta
    new = {}
    for parameter in model.parameters:
        value = theta[parameter.name]
        for position, axis in enumerate(parameter.array_axes):
            if axis == order.index_set:
                value = np.take(value, ranks, axis=position)
        if parameter.domain.kind == "contrast" and parameter.domain.axes == (order.index_set,):
            # The baseline is the first element, also after it has changed places.
            value = value - value[..., :1]
        new[parameter.name] = value
    return new


def report_values(model: Model, bound: Bound, theta: Theta) -> dict[str, Array]:
    """Every `report` at theta, arrays over its binders."""
    evaluator = replace(Evaluator(model, bound), theta=theta)
    values = {}
    for report in model.reports:
        names = tuple(binder.name for binder in report.binders)
        shape = tuple(len(bound.indexes[binder.index_set]) for binder in report.binders)
        values[report.name] = np.broadcast_to(evaluator.value(report.value).aligned(names), shape)
    return values
