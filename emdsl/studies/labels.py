"""Labels of hidden values in the order that agrees best with the truth.

Where a likelihood stays as it is when the labels of an index set change places, a fit may come out in any of their
orders, and estimates of different data sets are compared only after they are put in one. An assignment of estimated to
true labels is sought that makes the squared distances, each in units of what it varies by, the least (Kuhn 1955;
Stephens 2000 does the same with posterior draws).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from emdsl.ir.model import Model
from emdsl.plan.arrange import held_in_place, permuted
from emdsl.plan.problem import BoundProblem
from emdsl.runtime.problem import Array, Theta

Order = NDArray[np.intp]

#: So many labels are matched by looking at all orders; more of them by an assignment, improved by exchanges.
FEW = 6
#: How far relabelling may move the log-likelihood of labels that can be exchanged, relative to its size.
ROUNDING = 1e-8


def exchangeable_sets(problem: BoundProblem, model: Model, theta: Theta) -> tuple[str, ...]:
    """The index sets of hidden values (or of hidden arrays) that no `order` line orders and whose labels may change
    places without changing the likelihood and the priors: asked of these at theta, for two orders that make all."""
    ordered = {order.index_set for order in model.orders} | held_in_place(model, problem.spaces)
    hidden = [v for v in model.variables if v.kind == "latent"]
    named = dict.fromkeys(name for v in hidden for name in (v.values, *v.axes) if name is not None)
    axes = {axis for parameter in model.parameters for axis in parameter.array_axes}
    return tuple(
        name for name in named if name in axes and name not in ordered and _is_invariant(problem, model, theta, name)
    )


def _is_invariant(problem: BoundProblem, model: Model, theta: Theta, index_set: str) -> bool:
    size = len(problem.program.bound.indexes[index_set])
    if size < 2:
        return False
    before = problem.expect(theta).loglik + problem.log_prior(theta)
    exchange: Order = np.array([1, 0, *range(2, size)], dtype=np.intp)
    for ranks in (exchange, np.roll(np.arange(size), 1)):
        other = permuted(model, theta, index_set, ranks)
        if not _is_possible(problem, other):
            return False
        after = problem.expect(other).loglik + problem.log_prior(other)
        if not abs(after - before) <= ROUNDING * (1.0 + abs(before)):
            return False
    return True


def _is_possible(problem: BoundProblem, theta: Theta) -> bool:
    """Whether structural zeros are where they must be."""
    return all(not np.any(theta[space.name][space.zero]) for space in problem.spaces)


def matched(
    model: Model, truth: Theta, estimates: Theta, se: Theta | None, index_sets: Sequence[str]
) -> dict[str, Order]:
    """For each index set the estimated label that goes with each true one; sets in turn, until none moves."""
    current = {name: np.asarray(value, dtype=float) for name, value in estimates.items()}
    errors = None if se is None else dict(se)
    found = {name: np.arange(_size(model, truth, name)) for name in index_sets}
    for _ in range(10 if len(index_sets) > 1 else 1):
        moved = False
        for name in index_sets:
            ranks = _best(model, truth, current, errors, name)
            if (ranks != np.arange(len(ranks))).any():
                moved = True
                found[name] = found[name][ranks]
                current = permuted(model, current, name, ranks)
                errors = None if errors is None else permuted_errors(model, errors, name, ranks)
        if not moved:
            break
    return found


def permuted_errors(model: Model, errors: Theta, index_set: str, ranks: Order) -> dict[str, Array]:
    """Standard errors or intervals with their labels in another order; those of a baseline are no differences."""
    found = {}
    for parameter in model.parameters:
        value = np.asarray(errors[parameter.name])
        for position, axis in enumerate(parameter.array_axes):
            if axis == index_set:
                value = np.take(value, ranks, axis=position)
        found[parameter.name] = value
    return found


def _size(model: Model, theta: Theta, index_set: str) -> int:
    parameter = next(item for item in model.parameters if index_set in item.array_axes)
    return int(np.shape(theta[parameter.name])[parameter.array_axes.index(index_set)])


def _best(model: Model, truth: Theta, estimates: Theta, se: Theta | None, index_set: str) -> Order:
    """The order of one index set that is nearest to the truth."""
    scales = dict(_scales(model, truth, se, index_set))

    def distance(ranks: Order) -> float:
        other = permuted(model, estimates, index_set, ranks)
        return sum(float(np.nansum(((other[name] - truth[name]) / scale) ** 2)) for name, scale in scales.items())

    size = _size(model, truth, index_set)
    if size <= FEW:
        orders = (np.array(order, dtype=np.intp) for order in permutations(range(size)))
        return min(orders, key=distance)  # of equals the first: the one that leaves most as it is
    return _exchanged(_assigned(model, truth, estimates, scales, index_set, size), distance)


def _scales(model: Model, truth: Theta, se: Theta | None, index_set: str) -> Iterator[tuple[str, Array]]:
    """What the elements of each parameter with the index set vary by: from label to label in truth, and by their
    standard errors."""
    for parameter in model.parameters:
        if index_set not in parameter.array_axes:
            continue
        value = np.asarray(truth[parameter.name], dtype=float)
        axes = tuple(k for k, axis in enumerate(parameter.array_axes) if axis == index_set)
        square = np.var(value, axis=axes, keepdims=True)
        if se is not None and np.isfinite(se[parameter.name]).any():
            square = square + np.nanmean(np.where(np.isfinite(se[parameter.name]), se[parameter.name], np.nan)) ** 2
        yield parameter.name, np.sqrt(np.where(square > 0, square, 1.0))


def _assigned(
    model: Model, truth: Theta, estimates: Theta, scales: Mapping[str, Array], index_set: str, size: int
) -> Order:
    """The assignment by the parameters with one axis of the set, whose distances add up label by label."""
    from scipy.optimize import linear_sum_assignment

    cost = np.zeros((size, size))
    for parameter in model.parameters:
        if parameter.name not in scales or parameter.array_axes.count(index_set) != 1:
            continue
        axis = parameter.array_axes.index(index_set)
        true, found = (
            np.moveaxis(np.asarray(item[parameter.name]) / scales[parameter.name], axis, 0).reshape(size, -1)
            for item in (truth, estimates)
        )
        cost += np.nansum((true[:, None] - found[None]) ** 2, axis=-1)
    return np.asarray(linear_sum_assignment(cost)[1], dtype=np.intp)


def _exchanged(ranks: Order, distance: Callable[[Order], float]) -> Order:
    """The order with pairs of labels exchanged as long as that brings it nearer."""
    best, moved = distance(ranks), True
    while moved:
        moved = False
        for a in range(len(ranks)):
            for b in range(a):
                other = ranks.copy()
                other[[a, b]] = ranks[[b, a]]
                if (value := distance(other)) < best:
                    ranks, best, moved = other, value, True
    return ranks
