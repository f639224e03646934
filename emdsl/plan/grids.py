"""Nodes for hidden numbers that are summed over one grid, laid out over their own law."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from emdsl.data.bound import Bound
from emdsl.ir.derivation import Derivation
from emdsl.ir.grids import index_set_of, shares_of, step_of
from emdsl.ir.model import Model
from emdsl.plan.evaluation import Evaluator
from emdsl.plan.named import Named

#: Half the width of a grid and the distance between nodes, in standard deviations of the variable's own law. Data pull
#: a posterior away from its law; seven standard deviations leave it a share of 1e-12.
REACH, STEP = 7.0, 0.25


def with_nodes(derivation: Derivation, bound: Bound) -> tuple[Derivation, Bound]:
    """The derivation with the model that its pieces speak of, and the data with the nodes. `bound.nodes` times as many
    are laid out as to begin with.
    """
    model = derivation.gridded
    names = [integral.latents[0] for integral in derivation.integrals if integral.method == "grid"]
    if model is None:
        return derivation, bound
    indexes, constants = dict(bound.indexes), dict(bound.constants)
    for name in names:
        centre, spread = _own_law(name, derivation.model, bound)
        count = round(REACH / STEP) * bound.nodes
        nodes = centre + spread * REACH * np.arange(-count, count + 1) / count
        indexes[index_set_of(name)] = tuple(repr(float(node)) for node in nodes)
        constants[step_of(name)] = np.asarray(nodes[1] - nodes[0])
        share = np.exp(-0.5 * ((nodes - centre) / spread) ** 2)
        constants[shares_of(name)] = share / share.sum()
    kept = tuple(integral for integral in derivation.integrals if integral.method != "grid")
    planned = replace(derivation, model=model, integrals=kept, gridded=None)
    return planned, replace(bound, indexes=indexes, constants=constants)


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
