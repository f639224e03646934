"""Laws of hidden numbers that are narrower than the nodes are apart at which they are summed.

Fine nodes, each with its weight, give a law a sum of 1. A law far narrower has next to nothing between the nodes, and
grows without bound at one of them: such a likelihood is that of no model, and it draws a fit towards it. Parameters
that come to that count as impossible; the nodes are laid more finely then.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from emdsl.ir.grids import values_of
from emdsl.plan.named import START
from emdsl.plan.nodes import Table
from emdsl.runtime.problem import Array, Theta

if TYPE_CHECKING:
    from emdsl.plan.program import Program

#: The sum of a law over its nodes beyond which it is too narrow for them. For a normal law it is at most
#: 1 + 2*exp(-2*pi^2*(sd/step)^2): this says that nodes are more than 1.6 standard deviations apart.
MOST_MASS = 1.001
#: What the nodes that a fit begins with leave uncertain where the breaks of a stick have an order.
OF_BREAKS = 0.05
#: The mass that a law may have where no node is.
MOST_MISSED = 1e-6


def too_narrow(program: Program, tables: Mapping[int, Any]) -> NDArray[np.bool_]:
    """Whether some law of a laid number falls between its nodes, `()`, or one for each start of a batch. `tables` are
    those of the program's nodes.
    """
    found: NDArray[np.bool_] = np.zeros((), dtype=np.bool_)
    for name in (*program.laid, *program.simplex):
        for axes, mass in _masses(name, program, tables):
            beyond = ~(mass <= MOST_MASS)
            found = found | beyond.any(axis=tuple(range(axes[0] == START, beyond.ndim)))
    return found


def beyond_nodes(program: Program, theta: Theta) -> str | None:
    """What is to be said where the law of some shares has mass nearer to the corners of the simplex than any node, or
    between nodes.
    """
    if not program.simplex:
        return None
    with np.errstate(all="ignore"):
        v = program.vector(theta)
        etas = program.etas(theta, v)
        own = [node for node in program.nodes if isinstance(node, Table)]
        tables = {node.number: program.table_of(node, theta, v, etas) for node in own}
    for name in program.simplex:
        missed = max((1.0 - float(mass.min()) for _, mass in _masses(name, program, tables)), default=0.0)
        if missed > MOST_MISSED:
            return (
                f"the law of `{name}` has {missed:.2g} of its mass where no node is, and the log-likelihood of each "
                "unit an error of that size: either nearly all of a unit is of one kind, as in a mixture, or shares "
                "hardly vary"
            )
    return None


def order_of_breaks(program: Program) -> float:
    """How far the log-likelihood may move where shares change places: a stick that is broken more than once is broken
    in their order, and at nodes to begin with that shows.
    """
    sizes = [program.bound.constants[values_of(name)].shape[-1] for name in program.simplex]
    return OF_BREAKS if max(sizes, default=0) > 2 else 0.0


def _masses(name: str, program: Program, tables: Mapping[int, Any]) -> list[tuple[tuple[str, ...], Array]]:
    """The sum of each law of a number over its nodes, that axis of length 1."""
    found = []
    for axes, table in _own_tables(name, program, tables):
        axis = axes.index(name)
        peak = np.maximum(table.max(axis=axis, keepdims=True), -700.0)
        found.append((axes, np.exp(peak) * np.exp(table - peak).sum(axis=axis, keepdims=True)))
    return found


def _own_tables(name: str, program: Program, tables: Mapping[int, Any]) -> list[tuple[tuple[str, ...], Array]]:
    """The tables of the laws of a number, one for each law whose parts are all free of data by row."""
    parts: dict[str, list[Table]] = {}
    for node in program.nodes:
        if isinstance(node, Table) and node.pieces:
            piece = program.pieces[node.pieces[0]].piece
            if piece.target is not None and piece.target.name == name and not piece.prior:
                parts.setdefault(piece.factor, []).append(node)
    found = []
    for factor, nodes in parts.items():
        named = {p for node in nodes for p in node.pieces}
        if any(p.piece.factor == factor and n not in named for n, p in program.pieces.items()):
            continue
        axes = tuple(dict.fromkeys(axis for node in nodes for axis in node.axes))
        total: Any = 0.0
        for node in nodes:
            table = tables[node.number]
            order = [node.axes.index(axis) for axis in axes if axis in node.axes]
            total = total + table.transpose(order)[tuple(slice(None) if a in node.axes else None for a in axes)]
        if name in axes:
            found.append((axes, np.asarray(total)))
    return found
