"""What a reader must know of a fit, in plain sentences."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from emdsl.runtime.convergence import Climb
from emdsl.runtime.em import Iterate
from emdsl.runtime.neutral import element_names
from emdsl.runtime.problem import Problem, Space
from emdsl.runtime.uncertainty import Uncertainty


def remarks_on_the_end(climb: Climb, limit: int, collapse: tuple[str, ...] = ()) -> list[str]:
    """Why the iterations ended, where it was not at a maximum with all the evidence. `collapse` names what the next
    M-step would set to 0."""
    said = []
    left = f"{climb.decrement:.2g}" if np.isfinite(climb.decrement) else ""
    if climb.collapse:
        said.append(
            f"{listing(climb.collapse)} running into a bound where the likelihood grows without limit: no maximum"
        )
    elif climb.broke and collapse:
        said.append(
            f"the next step sets {', '.join(collapse)} to 0, where the likelihood grows without limit: the data do not "
            "vary enough to estimate it"
        )
    elif climb.saddle:
        said.append(
            "the fit ended at a saddle point of the likelihood, not at a maximum; give other values with --init"
        )
    elif climb.stopped_by == "tolerance":
        said.append("the log-likelihood stopped rising" + (f", although {left} is still to be gained" if left else ""))
    elif climb.stopped_by == "iterations":
        before = f", {left} of log-likelihood before the maximum" if left else ""
        said.append(f"the fit stopped at its limit of {limit} iterations{before}; --max-iter {10 * limit} goes on")
    if climb.broke and not collapse:
        said.append(
            "the iterations ended where the next log-likelihood is not finite: the likelihood may have no maximum"
        )
    if climb.fell > 0:
        said.append(fall_remark(climb.fell))
    return said


def fall_remark(fell: float) -> str:
    """That EM went downhill, which it must not."""
    return f"the log-likelihood fell by {fell:.2g} in an EM iteration, which EM rules out"


def remarks_on_the_estimate(
    problem: Problem, iterate: Iterate, boundary: tuple[str, ...], runaway: tuple[str, ...], spread: Uncertainty | None
) -> list[str]:
    """What is unusual about the place."""
    said = []
    reason = problem.degenerate(iterate.theta, iterate.statistics) if problem.has_latent else None
    if reason is not None:
        said.append(f"the estimate is a degenerate optimum: {reason}")
    statistics = {space.name for space in problem.spaces if space.order_statistic}
    bounds = tuple(name for name in boundary if re.split(r"[.\[]", name)[0] in statistics)
    pointed = {space.name for space in problem.spaces if space.kinked}
    kinks = tuple(name for name in boundary if re.split(r"[.\[]", name)[0] in pointed)
    boundary = tuple(name for name in boundary if name not in bounds + kinks)
    if kinks:
        said.append(
            f"{listing(kinks)} at a kink of the likelihood, which falls in every direction tried: there is no standard "
            "error by curvature; --se bootstrap gives one"
        )
    if bounds:
        said.append(
            f"{listing(bounds)} the least or largest value that counts: there is no standard error by curvature"
        )
    hidden = getattr(problem, "hidden_bounds", ())
    if hidden:
        said.append(
            f"{', '.join(hidden)}: EM only tightens the bounds of a hidden component; give others with --init, since "
            "tighter ones may have a higher likelihood"
        )
    if boundary:
        held = "it" if len(boundary) == 1 else "them"
        said.append(
            f"{listing(boundary)} at the boundary, without standard errors; those of the others hold {held} there"
        )
    if runaway:
        said.append(f"{listing(runaway)} running off to infinity: the likelihood has no maximum at finite values")
    elif spread is not None and spread.unidentified:
        said.append(f"{listing(spread.unidentified)} not determined by the data, without standard errors")
    return said


def untouched_remark(spaces: Sequence[Space], masks: Mapping[str, NDArray[np.bool_]]) -> str:
    """That some elements have no estimate."""
    names = [
        name
        for space in spaces
        if space.name in masks
        for name, alone in zip(element_names(space), masks[space.name].ravel(), strict=True)
        if alone
    ]
    return f"{listing(tuple(names))} touched by no row: not estimated, and not counted as a parameter"


def listing(names: tuple[str, ...]) -> str:
    """`a is`, `a and b are`, `a, b, c and 7 more are`."""
    if len(names) == 1:
        return f"{names[0]} is"
    if len(names) <= 4:
        return f"{', '.join(names[:-1])} and {names[-1]} are"
    return f"{', '.join(names[:3])} and {len(names) - 3} more are"
