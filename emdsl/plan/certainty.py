"""How certain the finite hidden variables are once the data are known: the entropy of their joint posterior.

It is `H(z | x) = -sum over z: P(z | x) log P(z | x)`, in natural logarithms, over all finite hidden variables together,
numbers that are hidden besides integrated out. Where all of them belong to the units of the outermost plate it is a sum
over these units. Along chains and over nested plates it follows from one sweep, by

    H(z | x) = log p(x) - E[log p(x, z) | x],

whose last term is the log-factors of the program weighted by what comes back to them in reverse (Celeux and Durand
2008 have the entropy of hidden paths by a recursion of its own).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import log, prod
from typing import Any

import numpy as np

from emdsl.data.bound import Bound
from emdsl.data.counting import unit_weights
from emdsl.data.wording import listed
from emdsl.ir.derivation import Derivation
from emdsl.ir.model import Model, Variable
from emdsl.plan.block_source import block_function
from emdsl.plan.counts import counted_variables
from emdsl.plan.hidden_numbers import is_on_grid
from emdsl.plan.loading import load_module
from emdsl.plan.nodes import DrawnLogSumExp, in_order
from emdsl.plan.outside import element_names
from emdsl.plan.posterior import PosteriorProgram, reported, unordered_pairs
from emdsl.plan.program import Program
from emdsl.plan.source import HEADER
from emdsl.runtime.problem import Array, Theta

#: Entries of the table of joint probabilities, values by units, up to which it is made.
MOST_ENTRIES = 20_000_000
#: What the joint posterior of all finite hidden variables is called among the tables of a program.
TOGETHER = "all that is hidden"


@dataclass(frozen=True)
class Certainty:
    """The `entropy` of the finite hidden variables given the data, and the `most` that it could be: the sum of `log K`
    over all of them, units counted by their weights. None where there is no such entropy; `reason` says why.
    """

    entropy: float | None
    most: float = 0.0
    reason: str = ""

    @property
    def relative(self) -> float | None:
        """`1 - entropy / most`: 1 where every hidden value is known, 0 where nothing is (Ramaswamy et al. 1993)."""
        return None if self.entropy is None or self.most <= 0 else 1.0 - self.entropy / self.most


def certainty(derivation: Derivation, bound: Bound, theta: Theta) -> Certainty:
    """The entropy of the finite hidden variables at one theta, nodes and draws of hidden numbers being laid."""
    model = derivation.model
    classes = finite_hidden(model)
    if not classes:
        return Certainty(None, reason="nothing finite is hidden")
    most = sum(log(_values(v, bound)) * _units(v, model, bound) for v in classes)
    joint = prod(_cells(v, bound) for v in classes) * bound.levels[1].size
    if _in_outermost_units(classes, model, bound) and joint <= MOST_ENTRIES:
        found = _by_unit(derivation, bound, theta, classes)
    else:
        reason = _not_separable(derivation, bound, classes)
        if reason:
            return Certainty(None, reason=reason)
        found = _by_sweep(derivation, bound, theta)
    if not np.isfinite(found):
        return Certainty(None, reason="the data are impossible at these parameters")
    return Certainty(min(max(found, 0.0), most), most)  # beyond these by rounding alone


def finite_hidden(model: Model) -> tuple[Variable, ...]:
    """The hidden variables that take one of finitely many labels: no counts, no nodes of hidden numbers."""
    counts = counted_variables(model)
    return tuple(v for v in reported(model) if v.values is not None and v.name not in counts and not is_on_grid(v))


def _values(variable: Variable, bound: Bound) -> int:
    """How many values a variable may take; of a genotype the unordered pairs."""
    assert variable.values is not None
    labels = bound.indexes[variable.values]
    return len(unordered_pairs(labels)) if variable.components else len(labels)


def _cells(variable: Variable, bound: Bound) -> int:
    assert variable.values is not None
    return int(len(bound.indexes[variable.values]) ** max(len(variable.components), 1))


def _units(variable: Variable, model: Model, bound: Bound) -> float:
    """How many hidden values a variable stands for, units counted by their weights."""
    level = bound.level_of(variable.plate)
    return float(unit_weights(bound, level).sum()) * prod(len(bound.indexes[axis]) for axis in variable.axes)


# --- unit by unit -----------------------------------------------------------------------------------------------------


def _in_outermost_units(classes: Sequence[Variable], model: Model, bound: Bound) -> bool:
    """Whether all are scalars of the units of the outermost plate, which is no chain, and nothing finite is hidden
    outside the plates: the units are then independent of each other given the data."""
    plate = bound.levels[1].plate if len(bound.levels) > 1 else None
    ordered = any(item.name == plate and item.ordered for item in model.plates)
    outside = any(v.kind == "latent" and v.plate is None for v in model.variables)
    return not ordered and not outside and all(v.plate == plate and not v.axes for v in classes)


def _by_unit(derivation: Derivation, bound: Bound, theta: Theta, classes: Sequence[Variable]) -> float:
    """The sum over units of the entropy of their joint posterior."""
    plate = classes[0].plate
    axes = tuple(axis for v in classes for axis in (v.components or (v.name,)))
    program = PosteriorProgram(derivation, bound, joint=((TOGETHER, plate, axes),))
    shares = program.shares(theta)[TOGETHER]
    for place, variable in enumerate(classes):
        if variable.components:
            shares = _unordered(shares, place)
    rows = shares.shape[-1]
    logs = np.log(shares, out=np.zeros_like(shares), where=shares > 0)
    entropy = -(shares * logs).reshape(-1, rows).sum(axis=0)
    weights = unit_weights(program.bound, 1)
    return float((entropy * weights)[weights > 0].sum())


def _unordered(shares: Array, place: int) -> Array:
    """Two axes of ordered draws, the first at `place`, as one of unordered pairs."""
    moved = np.moveaxis(shares, (place, place + 1), (0, 1))
    first, second = np.triu_indices(len(moved))
    apart = (first != second).reshape(-1, *(1,) * (moved.ndim - 2))
    return np.moveaxis(moved[first, second] + np.where(apart, moved[second, first], 0.0), 0, place)


# --- by one sweep -----------------------------------------------------------------------------------------------------


def _not_separable(derivation: Derivation, bound: Bound, classes: Sequence[Variable]) -> str:
    """Why the entropy does not follow from a sweep: something else is summed over beside these variables."""
    model = derivation.model
    if any(v.components for v in classes):
        return "the two draws of a genotype cannot be told apart along chains and nested plates"
    if model.givens and any(item.sets is not None for item in bound.values.values()):
        return "what a condition says of empty cells cannot be told apart"
    program = Program(_unconditioned(derivation), bound, by_code=False)
    if program.switching or any(isinstance(node, DrawnLogSumExp) for node in in_order(program.root)):
        return "the posterior is known by draws alone"
    wanted = {v.name for v in classes} | set(program.bound.chosen)
    wanted |= {name for v in classes if v.axes for name in element_names(v, bound)}
    others = [name for name, _, _ in program.latents if name not in wanted]
    return f"{listed(others)} cannot be told apart from the finite hidden variables" if others else ""


def _unconditioned(derivation: Derivation) -> Derivation:
    """Without the conditions under which units are in the data: where their cells are known, these say nothing of what
    is hidden."""
    return replace(derivation, model=replace(derivation.model, givens=()))


def _by_sweep(derivation: Derivation, bound: Bound, theta: Theta) -> float:
    """`log p(x) - E[log p(x, z) | x]`, each unit counted by its weight."""
    program = Program(_unconditioned(derivation), bound, by_code=False)
    source = "\n".join([HEADER.format(name="entropy"), "", *block_function(program.root, "sweep", factors_alone=True)])
    module: Any = load_module(source)
    module.expected_log = expected_log
    with np.errstate(all="ignore"):
        v = program.vector(theta)
        etas = program.etas(theta, v)
        tables: Mapping[int, Any] = {n.number: program.table_of(n, theta, v, etas) for n in program.nodes}
        sums = {"expected": 0.0}
        evidence = sum(float(module.sweep(tables, program.constants, block, sums)) for block in program.blocks)
    return evidence - sums["expected"]


def expected_log(weights: Array, logs: Array) -> float:
    """`sum(weights * logs)`; what has no weight may have probability 0."""
    return float(np.sum(np.where(weights > 0, weights * logs, 0.0)))
