"""The log-evidence of each independent unit by itself, its weight left out: how well each unit is explained."""

from __future__ import annotations

import numpy as np

from emdsl.plan.block_source import evidence_function
from emdsl.plan.loading import load_module
from emdsl.plan.nodes import Add, Node, Power, SegmentSum
from emdsl.plan.program import Program
from emdsl.plan.source import HEADER
from emdsl.runtime.kernels import LOG_IMPOSSIBLE
from emdsl.runtime.problem import Array, Theta


def unit_evidence(program: Program, theta: Theta) -> Array:
    """The log-evidence of each outermost unit `(units,)`, minus infinity where its data are impossible. Where these are
    a chain, or share what is hidden outside the plates, all data are one unit `(1,)`.
    """
    sources = _sources(program.root)
    if sources is None or program.whole:
        return np.array([program.expect(theta, row_by_row=True)[0]], dtype=float)
    module = load_module("\n".join([HEADER.format(name="evidence"), "", *evidence_function(sources, "evidence")]))
    found = np.empty(program.bound.levels[1].size)
    with np.errstate(all="ignore"):
        v = program.vector(theta)
        etas = program.etas(theta, v)
        tables = {node.number: program.table_of(node, theta, v, etas) for node in program.nodes}
        for block in program.blocks:
            found[block.rows[1]] = module.evidence(tables, program.constants, block)
    return np.where(found <= LOG_IMPOSSIBLE, -np.inf, found)


def _sources(root: Node) -> list[Node] | None:
    """The nodes whose sum is the log-evidence of each outermost unit; None where there are no such."""
    parts = root.inputs if isinstance(root, Add) else (root,)
    found = []
    for part in parts:
        if not isinstance(part, SegmentSum) or part.source.level != 1:
            return None
        found.append(part.source.source if isinstance(part.source, Power) else part.source)
    return found or None
