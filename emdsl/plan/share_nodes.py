"""Nodes over a simplex for hidden shares of 1, the same for every unit.

Shares are broken off a stick one after the other, and each break `v` of the stick has a double-exponential rule
(Takahasi and Mori 1974): trapezoidal in u, with `v = logistic(sinh(u))`. A Dirichlet law is a power of v at either end,
however steep; such powers cost the rule no digits, and the logarithms of shares are kept beside them, so that small
exponents, whose mass lies in the corners, are summed as far as REACH.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emdsl.data.bound import Bound
from emdsl.diagnostics.errors import EmmError
from emdsl.ir.derivation import Derivation
from emdsl.plan.limits import LARGEST_TABLE, shown
from emdsl.runtime.problem import Array

#: Most shares of a unit: their nodes are a grid over a simplex.
MOST_SHARES = 3
#: Intervals along each break of the stick to begin with, for two shares and for three.
FIRST_INTERVALS = {2: 96, 3: 48}
#: The largest logit of a break: under an exponent a the corner beyond it holds a share exp(-a*REACH).
REACH = 2000.0


@dataclass(frozen=True)
class ShareNodes:
    """Shares at nodes, `(nodes, shares)`, their logarithms, and the logarithms of the nodes' weights `(nodes,)`."""

    values: Array
    logs: Array
    log_weights: Array


def needs_draws(derivation: Derivation, bound: Bound) -> bool:
    """Whether some shares that would be summed over nodes are too many for them."""
    own = [item.latents[0] for item in derivation.integrals if item.placing == "shares"]
    return any(len(bound.indexes[derivation.model.variable(name).axes[-1]]) > MOST_SHARES for name in own)


def share_nodes(name: str, count: int, times: int) -> ShareNodes:
    """Nodes for `count` shares, `times` as many along each break as to begin with. Raises `too-large`."""
    if count == 1:
        return ShareNodes(np.ones((1, 1)), np.zeros((1, 1)), np.zeros(1))
    breaks = count - 1
    intervals = FIRST_INTERVALS.get(count, 48) * times
    if count > MOST_SHARES or (intervals + 1) ** breaks > LARGEST_TABLE:
        raise EmmError(
            "too-large", f"the {count} shares `{name}` of a unit would take {shown((intervals + 1) ** breaks)} nodes, "
            f"and a grid of them is for at most {MOST_SHARES} shares",
            help="emdsl fit MODEL DATA, which draws them",
        )  # fmt: skip
    first, rest, weight = _breaks(intervals)
    axes = (np.arange(len(first)),) * breaks
    grid = [place.ravel() for place in np.meshgrid(*axes, indexing="ij")]
    stick = np.zeros(len(grid[0]))
    logs, log_weights = [], np.zeros(len(grid[0]))
    for place in grid:
        logs.append(stick + first[place])
        log_weights += weight[place] + stick  # the Jacobian of a break is the length of the stick
        stick = stick + rest[place]
    table = np.stack([*logs, stick], axis=-1)
    return ShareNodes(np.exp(table), table, log_weights)


def _breaks(intervals: int) -> tuple[Array, Array, Array]:
    """The logarithms of both parts of a stick of length 1 at each node, and of the node's weight."""
    u = np.linspace(-1.0, 1.0, intervals + 1) * np.arcsinh(REACH)
    x = np.sinh(u)
    first, rest = -np.logaddexp(0.0, -x), -np.logaddexp(0.0, x)
    return first, rest, np.log(np.cosh(u) * (u[1] - u[0])) + first + rest
