"""Laws of hidden numbers on nodes that fall between them.

Fine nodes, each with its weight, give a law a sum of 1. A law far narrower than its nodes are apart has next to nothing
between them, and grows without bound at one of them: such a likelihood is that of no model.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from emdsl.plan.nodes import Table
from emdsl.plan.program import Program
from emdsl.runtime.problem import Array, Theta

#: The sum of a law over its nodes beyond which it is too narrow for them: fine nodes give 1, a law that falls between
#: them grows without bound at one of them.
MOST_MASS = 1.02


def too_narrow(program: Program, theta: Theta) -> str | None:
    """Which law of a laid number falls between its nodes, or None: its likelihood is then that of no law."""
    v = program.vector(theta)
    etas = program.etas(theta, v)
    for name in program.laid:
        for axes, table in _own_tables(name, program, etas, theta, v):
            peak = np.maximum(table.max(axis=axes.index(name), keepdims=True), -1e300)
            mass = np.exp(peak) * np.exp(table - peak).sum(axis=axes.index(name), keepdims=True)
            if np.nanmax(mass) > MOST_MASS:
                return narrow_reason(name)
    return None


def narrow_reason(name: str) -> str:
    """What is said of a start that is dropped for that."""
    return f"a law of `{name}` became narrower than its nodes are apart"


def _own_tables(name: str, program: Program, etas: Any, theta: Theta, v: Array) -> list[tuple[tuple[str, ...], Array]]:
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
            table = program.table_of(node, theta, v, etas)
            order = [node.axes.index(axis) for axis in axes if axis in node.axes]
            total = total + table.transpose(order)[tuple(slice(None) if a in node.axes else None for a in axes)]
        if name in axes:
            found.append((axes, np.asarray(total)))
    return found
