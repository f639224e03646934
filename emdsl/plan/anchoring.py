"""Hidden values that bear the same labels as what is observed: after the fit, each has the label that it mostly shows.

True labels behind the answers of annotators (Dawid & Skene 1979) are such a variable: relabelling the truth, and the
rows of every confusion matrix with it, leaves the likelihood as it is, but only one labelling reads as it should.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdsl.ir.expressions import ParameterRef, VariableRef, walk
from emdsl.ir.model import Model, Variable
from emdsl.plan.evaluation import axis_of
from emdsl.runtime.problem import Array, Theta


@dataclass(frozen=True)
class Echo:
    """A hidden variable that takes values in the index set of observed variables whose laws look at it.

    `places` are the axes, by parameter, that its values run along.
    """

    latent: str
    observed: frozenset[str]
    places: tuple[tuple[str, int], ...]


def echoes(model: Model) -> Iterator[Echo]:
    """Every such variable whose index set is put in order by no `order` line, and which can be relabelled by itself."""
    ordered = {order.index_set for order in model.orders}
    for latent in model.variables:
        if latent.kind != "latent" or latent.values is None or latent.values in ordered or latent.genotype:
            continue
        observed = frozenset(
            factor.target.name
            for factor in model.factors
            if factor.target is not None and _answers(model.variable(factor.target.name), latent)
        )
        places = _places(model, latent.name)
        if observed and places is not None:
            yield Echo(latent.name, observed, places)


def _answers(variable: Variable, latent: Variable) -> bool:
    return variable.kind == "observed" and variable.values == latent.values and not variable.genotype


def _places(model: Model, latent: str) -> tuple[tuple[str, int], ...] | None:
    """The axes of parameters that a variable indexes, or None where an axis is indexed by it in one place and by
    something else in another, or where a prior or a zero of the axis' elements is declared.
    """
    inside: set[tuple[str, int]] = set()
    outside: set[tuple[str, int]] = set()
    for node in walk(model.factors):
        if isinstance(node, ParameterRef):
            for position, index in enumerate(node.indices):
                mine = isinstance(index, VariableRef) and index.name == latent
                (inside if mine else outside).add((node.name, position))
    held = {name for name, _ in inside if model.parameter(name).only is not None}
    if inside & outside or held or not inside:
        return None
    return tuple(sorted(inside))


def relabelled(theta: Theta, echo: Echo, ranks: NDArray[np.intp]) -> dict[str, Array]:
    """Theta with the hidden variable's value `ranks[k]` called `k`."""
    new = {name: np.asarray(value, dtype=float) for name, value in theta.items()}
    for name, position in echo.places:
        new[name] = np.take(new[name], ranks, axis=position)
    return new


def agreeing_labels(program: Any, statistics: Any, echo: Echo) -> NDArray[np.intp] | None:
    """For each label the hidden value that goes with it most, one to one; None if they agree as they are.

    The expected number of pairs (hidden value, observed value) stands in the statistics of the observed variables'
    tables: what is maximised is the number of pairs that agree (Kuhn 1955).
    """
    pairs: Any = 0.0
    for name, item in program.pieces.items():
        target = item.piece.target
        if target is None or target.name not in echo.observed or item.carrier != "coded":
            continue
        axes = (*item.axes.hidden, *item.axes.elements, *item.axes.codes)
        if echo.latent in axes and axis_of(target) in axes:
            both = axes.index(echo.latent), axes.index(axis_of(target))
            rest = tuple(k for k in range(np.ndim(statistics[name])) if k not in both)
            table = statistics[name].sum(axis=rest)
            pairs = pairs + (table if both[0] < both[1] else table.T)
    if np.ndim(pairs) != 2 or (np.argmax(pairs, axis=0) == np.arange(len(pairs))).all():
        return None
    from scipy.optimize import linear_sum_assignment

    ranks = np.asarray(linear_sum_assignment(pairs.T, maximize=True)[1], dtype=np.intp)
    return None if (ranks == np.arange(len(ranks))).all() else ranks
