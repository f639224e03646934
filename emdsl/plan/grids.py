"""Nodes for hidden numbers that are summed over one grid: over their own law, or where they have been laid."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from emdsl.data.bound import Bound
from emdsl.ir.derivation import Derivation, Integral
from emdsl.ir.grids import index_set_of, log_weights_of, logs_of, shares_of, values_of, weights_of
from emdsl.ir.model import Model
from emdsl.plan.evaluation import Evaluator
from emdsl.plan.named import Named
from emdsl.plan.share_nodes import share_nodes
from emdsl.plan.share_proposals import drawn_shares, wide_draws
from emdsl.runtime.problem import Array

#: Half the width of a grid and the distance between nodes, in standard deviations of the variable's own law. Data pull
#: a posterior away from its law; seven standard deviations leave it a share of 1e-12.
REACH, STEP = 7.0, 0.25
#: The distance where laws look at several standardised numbers, whose nodes multiply.
STEP_OF_SEVERAL = 0.5
#: Intervals between laid nodes to begin with, and where they lie on the working scale before anything is known.
FIRST_INTERVALS, FIRST_REACH = 48, 6.0


@dataclass(frozen=True)
class Scale:
    """The scale on which nodes are evenly spaced: a number from a place there, the slope there, and between which
    places numbers can be told from the ends of their domain.
    """

    number: Callable[[Array], Array]
    slope: Callable[[Array], Array]
    least: float
    most: float


def _logistic(x: Array) -> Array:
    return np.asarray(1.0 / (1.0 + np.exp(-x)))


SCALES = {
    "real": Scale(lambda x: x, lambda x: np.ones(x.shape), -1e12, 1e12),
    "positive": Scale(np.exp, np.exp, -600.0, 600.0),
    "unit": Scale(_logistic, lambda x: _logistic(x) * _logistic(-x), -600.0, 36.0),
}


def with_nodes(derivation: Derivation, bound: Bound) -> tuple[Derivation, Bound]:
    """The derivation with the model that its pieces speak of, and the data with the nodes. `bound.nodes` times as many
    are laid out as to begin with.
    """
    model = derivation.gridded
    if any(log_weights_of(name) not in bound.values for name in drawn_shares(derivation)):
        bound = wide_draws(derivation, bound)
    grids = [integral for integral in derivation.integrals if integral.method == "grid"]
    if model is None:
        return derivation, bound
    indexes, constants = dict(bound.indexes), dict(bound.constants)
    laid = {item.latents[0]: range_of(item.latents[0], bound) for item in grids if item.placing == "laid"}
    for integral in grids:
        (name,) = integral.latents
        if integral.placing == "shares":
            labels, tables = _over_simplex(name, derivation.model, bound)
            indexes[index_set_of(name)] = labels
            constants |= tables
            continue
        tied = any(set(other.pieces) & set(integral.pieces) for other in grids if other is not integral)
        nodes, weights, share = _nodes(integral, derivation.model, bound, STEP_OF_SEVERAL if tied else STEP)
        indexes[index_set_of(name)] = tuple(repr(float(node)) for node in nodes)
        constants[weights_of(name)] = weights
        constants[shares_of(name)] = share / share.sum()
    kept = tuple(integral for integral in derivation.integrals if not integral.on_nodes)
    planned = replace(derivation, model=model, integrals=kept, gridded=None)
    return planned, replace(bound, indexes=indexes, constants=constants, laid=laid)


def _over_simplex(name: str, model: Model, bound: Bound) -> tuple[tuple[str, ...], dict[str, Array]]:
    """The labels of the nodes of shares, and their tables."""
    found = share_nodes(name, len(bound.indexes[model.variable(name).axes[-1]]), bound.nodes)
    tables = {values_of(name): found.values, logs_of(name): found.logs, log_weights_of(name): found.log_weights}
    count = len(found.log_weights)
    return tuple(map(str, range(count))), {**tables, shares_of(name): np.full(count, 1.0 / count)}


def _nodes(integral: Integral, model: Model, bound: Bound, step: float) -> tuple[Array, Array, Array]:
    """Nodes, their weights, and shares to begin with."""
    (name,) = integral.latents
    if integral.placing == "laid":
        low, high, intervals = range_of(name, bound)
        places = np.linspace(low, high, intervals * bound.nodes + 1)
        scale = SCALES[model.variable(name).domain.kind]
        weights = scale.slope(places) * (places[1] - places[0])
        return scale.number(places), weights, np.ones(len(places))
    centre, spread = (0.0, 1.0) if integral.placing == "standard" else _own_law(name, model, bound)
    count = round(REACH / step) * bound.nodes
    nodes = centre + spread * REACH * np.arange(-count, count + 1) / count
    share = np.exp(-0.5 * ((nodes - centre) / spread) ** 2)
    return nodes, np.full(len(nodes), nodes[1] - nodes[0]), share


def range_of(name: str, bound: Bound) -> tuple[float, float, int]:
    """Between which places the nodes of a number are laid, and at how many intervals."""
    return bound.laid.get(name, (-FIRST_REACH, FIRST_REACH, FIRST_INTERVALS))


def _own_law(name: str, model: Model, bound: Bound) -> tuple[float, float]:
    """Mean and standard deviation of a normal law, from its log-density at three points."""
    factor = next(f for f in model.factors if f.target is not None and f.target.name == name)
    (branch,) = factor.branches

    def at(x: float) -> float:
        point: dict[Any, Named] = {(name, 0): Named((), np.asarray(x))}
        return float(Evaluator(model, bound, points=point).value(branch.log_density).array)

    up, middle, down = at(1.0), at(0.0), at(-1.0)
    precision = -(up - 2 * middle + down)
    return 0.5 * (up - down) / precision, 1.0 / np.sqrt(precision)
