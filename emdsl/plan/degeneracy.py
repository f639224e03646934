"""States in which a density has collapsed onto a few units: their likelihood grows without bound and means nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from emdsl.ir.grids import index_set_of
from emdsl.plan.counts import counted_variables
from emdsl.plan.layout import BoundPiece
from emdsl.plan.program import Program
from emdsl.runtime.problem import Array

#: A hidden value must hold this many units more than the density has dimensions.
SPARE_UNITS = 1.5
#: A spread below this share of the pooled one has collapsed.
LEAST_SPREAD = 0.02


def degenerate(program: Program, statistics: dict[str, Any]) -> str | None:
    """Why the state with these expected statistics is degenerate, or None.

    Only densities can collapse: hidden values that select nothing continuous may be as rare as they like.
    """
    model = program.derivation.model
    # A value of a latent count, or a node, has no density of its own: most of them are held by no unit.
    enumerated = {*counted_variables(model), *(v.name for v in model.variables if v.values == index_set_of(v.name))}
    dense = [
        item
        for item in program.pieces.values()
        if item.piece.continuous
        and item.axes.hidden
        and not (item.piece.open is not None and item.piece.open.hidden)  # the rows that show all of it tell
        and not any(axis.partition("@")[0] in enumerated for axis in item.axes.hidden)
    ]
    for name, _, _ in program.drawn:
        need = max((_dimensions(item, program) for item in dense if name in item.axes.hidden), default=0)
        if not need:
            continue
        counts = _counts(name, program, statistics)
        if counts is not None and counts.min() <= need + SPARE_UNITS:
            label = program.bound.indexes[program.derivation.model.variable(name).values or ""][int(counts.argmin())]
            return f"`{name}` = {label} holds only {counts.min():.3g} units"
    for item in dense:
        spread = _least_spread(item, program, statistics[item.piece.name])
        if spread < LEAST_SPREAD:
            return f"a spread in `{item.piece.factor}` fell to {spread:.2g} of that of all units together"
    return None


def _dimensions(item: BoundPiece, program: Program) -> int:
    if item.carrier == "gaussian":
        return int(program.gaussians[item.piece.name].data.d)
    if item.carrier == "vector":
        return program.vectors[item.piece.name].d
    slots = [s.coefficients.shape[-2] for s in item.data.slots if s is not None]
    return max(1, *slots) if slots else 1


def _counts(name: str, program: Program, statistics: dict[str, Any]) -> Array | None:
    """Expected number of units at each value of a hidden variable, from the statistics of its own laws.

    A density by row keeps the weights of all its rows, which say it all; the other parts of a law count what they hold.
    """
    total: Array | None = None
    laws: dict[str, list[BoundPiece]] = {}
    for item in program.pieces.values():
        target = item.piece.target
        if target is not None and target.name == name and name in item.axes.hidden:
            laws.setdefault(item.piece.factor, []).append(item)
    for parts in laws.values():
        by_row = [item for item in parts if item.piece.form == "rows"]
        for item in by_row[:1] or parts:
            if item.piece.name not in statistics:
                continue  # it holds no parameter, and its integral keeps nothing for the M-step
            values = _cell_counts(item, statistics[item.piece.name])
            if values is None:
                continue
            axis = item.axes.hidden.index(name)
            own: Array = values.sum(axis=tuple(k for k in range(values.ndim) if k != axis))
            total = own if total is None else total + own
    return total


def _cell_counts(item: BoundPiece, statistics: Array) -> Array | None:
    """Expected number of units in each cell of a part of a law, `(*hidden,)` or with more axes behind; None where
    another part of the law counts them."""
    match item.piece.form:
        case "separable" | "stationary":
            constant = next((j for j, term in enumerate(item.piece.terms) if term.statistic == "1"), None)
            return None if constant is None else statistics[..., constant]
        case "rows":
            return np.asarray(statistics)
    return None


def _least_spread(item: BoundPiece, program: Program, statistics: Array) -> float:
    """The smallest standard deviation within a hidden value, in units of the pooled one."""
    return min(_spreads(item, program, statistics), default=np.inf)


def _spreads(item: BoundPiece, program: Program, statistics: Array) -> Iterator[float]:
    if item.carrier == "gaussian":
        n, first, second = program.gaussians[item.piece.name].data.moments(statistics)
        held = n > 0
        if held.any():
            mean = first[held] / n[held][:, None]
            variance = np.diagonal(second[held], axis1=-2, axis2=-1) / n[held][:, None] - mean**2
            yield float(np.sqrt(np.maximum(variance, 0.0)).min())
    elif item.carrier == "vector":
        yield from program.vectors[item.piece.name].spreads(statistics)
    elif item.piece.shifts:
        square, linear, count = statistics[..., 0], statistics[..., 1], statistics[..., 2]
        held = count > 0
        if held.any():
            variance = square[held] / count[held] - (linear[held] / count[held]) ** 2
            yield float(np.sqrt(np.maximum(variance, 0.0)).min())
