"""How many short starts a fit begins with."""

from __future__ import annotations

import numpy as np

from emdsl.ir.grids import index_set_of
from emdsl.plan.path_climbing import switching
from emdsl.plan.problem import BoundProblem
from emdsl.plan.share_draws import drawn_in

#: Short starts of a fit: with finite hidden variables; with continuous ones alone, whose likelihoods have few maxima,
#: for data of up to so many rows times elements; for larger data.
STARTS, FEW_STARTS, LEAST_STARTS = 50, 10, 2
#: Of hidden numbers whose nodes are laid, where an E-step takes far longer.
LAID_STARTS = 5
SMALL_DATA = 20_000


def default_starts(problem: BoundProblem) -> int:
    """How many short starts are run where the user says nothing."""
    if switching(problem):
        return FEW_STARTS
    drawn, known = problem.program.drawn, problem.program.bound.indexes
    grids = [item for item in drawn if index_set_of(item[0]) in known]
    if problem.program.laid or drawn_in(problem.program):
        return LAID_STARTS
    if len(drawn) > len(grids) or not (grids or problem.program.integrals):
        return STARTS
    # What is summed over a grid is no integral any more: its laws count by the rows and elements that look at it.
    on_grids = {name for name, *_ in grids}
    levels = problem.program.bound.levels
    looks = sum(
        int(np.prod(item.data.elements)) * levels[item.level].size
        for item in problem.program.pieces.values()
        if on_grids & set(item.axes.hidden)
    )
    return FEW_STARTS if problem.program.evaluations + looks <= SMALL_DATA else LEAST_STARTS
