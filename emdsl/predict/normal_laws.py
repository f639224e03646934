"""Laws that are normal in the observed variable, and jointly normal with the hidden numbers that they look at.

Where a log-density is of degree two in the observed variable and in what is hidden, the mean of the one is affine in
the other and its variance is constant, so that averaged over a normal posterior it is normal again: `E[y] = m(E[u])`
and `Var[y] = Var[y | u] + a' Var[u] a`, `a` being the slope of the mean m (Henderson 1975, Robinson 1991: best linear
unbiased prediction). The empty elements of a vector are told by those that are seen besides, by regression.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from emdsl.ir.degrees import degree
from emdsl.ir.expressions import Binder, BinderRef, Expression, VariableRef, rewrite
from emdsl.ir.model import Branch
from emdsl.plan.named import ROW, Named
from emdsl.plan.number_laws import NumberLaw
from emdsl.predict.laws import POINTS, Law
from emdsl.runtime.integrals.stencil import quadratic, stencil
from emdsl.runtime.problem import Array

#: What the observed variable is called where a degree is counted: no name of a text has a question mark.
_TARGET = "?target"
#: Rounds in which the stencil of a curvature finds the scale of the law.
ROUNDS = 3


def is_normal(law: Law, branch: Branch, hidden: frozenset[str] = frozenset()) -> bool:
    """Whether a law that says its mean is normal in the observed variable, and jointly so with `hidden` numbers."""
    if law.fact(branch, "mean") is None:
        return False
    own = law.target.name

    def rule(node: object) -> object:
        return VariableRef(_TARGET) if isinstance(node, VariableRef) and node.name == own and not node.lag else node

    marked: Expression = rewrite(branch.log_density, rule)
    return 0 < degree(marked, frozenset({_TARGET})) <= 2 and degree(marked, hidden | {_TARGET}) <= 2


def normal_law(law: Law, branch: Branch, known: NumberLaw | None) -> tuple[Array, Array]:
    """Mean and standard deviation `(states, elements, units)` in every state, over the normal posterior `known` of
    hidden numbers; of the empty elements of a vector given those that are seen."""
    centre, slopes, spread = _mean_and_slopes(law, branch, known)
    at_mean = law if known is None or known.mean is None else law.at_points(known.named(known.mean[..., None, :]), 1)
    own = covariance(at_mean, branch, centre)
    mean, covariances = _conditioned(law, centre, slopes, own, spread)
    deviations = np.sqrt(np.maximum(np.diagonal(covariances, axis1=-2, axis2=-1), 0.0))
    flat = (np.moveaxis(part, -1, 2) for part in (mean, deviations))
    states, units = centre.shape[0], centre.shape[2]
    first, second = (part.reshape(states, -1, units) for part in flat)
    return first, second


def _mean_and_slopes(law: Law, branch: Branch, known: NumberLaw | None) -> tuple[Array, Array | None, Array | None]:
    """The mean `(states, own, units, event)`, its slopes in the hidden numbers `(..., event, slots)` and their
    covariance `(states, 1, units, slots, slots)`, all in units of their standard deviations."""
    if known is None or known.mean is None or known.covariance is None:
        mean = law.mean(branch)
        assert mean is not None
        return _by_event(law, mean, int(np.prod(law.states))), None, None
    slots = len(known.mean)
    spread = np.sqrt(np.maximum(np.stack([known.covariance[k, k] for k in range(slots)]), 0.0))
    width = np.where(spread > 0.0, spread, 1.0)
    offsets = np.concatenate([np.zeros((1, slots)), np.eye(slots)])
    points = known.mean[..., None, :] + np.einsum("pk,k...u->k...pu", offsets, width)
    moved = law.at_points(known.named(points), slots + 1)
    mean = moved.mean(branch)
    assert mean is not None
    cells = int(np.prod(law.states))
    values = _by_event(law, mean, cells * (slots + 1)).reshape(cells, slots + 1, -1, len(law.units), _event(law))
    slopes = np.moveaxis(values[:, 1:] - values[:, :1], 1, -1)
    scaled = known.covariance / (width[:, None] * width[None])
    flat = Named(("?i", "?j", *known.axes, ROW), scaled).aligned(("?i", "?j", *law.cells, ROW))
    full = np.broadcast_to(flat, (slots, slots, *law.states, len(law.units)))
    matrices = np.moveaxis(full.reshape(slots, slots, cells, 1, len(law.units)), (0, 1), (-2, -1))
    return values[:, 0], slopes, matrices


def _event(law: Law) -> int:
    return int(np.prod([len(law.bound.indexes[binder.index_set]) for binder in law.event]))


def _by_event(law: Law, values: Array, states: int) -> Array:
    """`(states, elements, units)` as `(states, own elements, units, event)`."""
    event = _event(law)
    count = int(np.prod([len(law.bound.indexes[binder.index_set]) for binder in law.elements]))
    full = np.broadcast_to(values, (states, count, len(law.units)))
    return np.moveaxis(full.reshape(states, count // event, event, len(law.units)), 2, -1)


def covariance(law: Law, branch: Branch, centre: Array) -> Array:
    """Of what is drawn together, in every state: `(states, own elements, units, event, event)`, from the curvature of
    the log-density around `centre` `(states, own elements, units, event)`, which is exact but for rounding."""
    states, own, units, event = centre.shape
    entries = tuple(Binder(f"entry {k}", binder.index_set) for k, binder in enumerate(law.event))
    target = law.statement.target
    assert target is not None
    reference = replace(target, indices=(*target.indices, *map(BinderRef, entries)))
    elements = law.elements[: len(law.elements) - len(law.event)]
    names = (*(item.name for item in entries), *law.scope, *(item.name for item in elements), ROW, POINTS)
    sizes = [len(law.bound.indexes[item.index_set]) for item in entries]
    shape = (*sizes, *law.states, *(len(law.bound.indexes[item.index_set]) for item in elements), units)
    offsets = stencil(event)
    middle, spread = np.moveaxis(centre, -1, 0), np.ones((event, states, own, units))
    for _ in range(ROUNDS):
        points = middle[..., None] + np.einsum("pe,e...->e...p", offsets, spread)
        at = Named(names, points.reshape(*shape, len(offsets)))
        evaluator = replace(law.evaluator(), points={**law.at, reference: at})
        value = evaluator.value(branch.log_density)
        logs = np.broadcast_to(law.aligned_to(elements, value, POINTS), (states, own, units, len(offsets)))
        _, _, hessian = quadratic(np.moveaxis(logs, -1, -2), spread)
        matrices = -np.moveaxis(hessian, (0, 1), (-2, -1))
        found = 1.0 / matrices if event == 1 else _inverse(matrices)
        spread = np.moveaxis(np.sqrt(np.abs(np.diagonal(found, axis1=-2, axis2=-1))), -1, 0)
        spread = np.where(np.isfinite(spread) & (spread > 0), spread, 1.0)
    return np.asarray(found)


def _conditioned(
    law: Law, centre: Array, slopes: Array | None, own: Array, spread: Array | None
) -> tuple[Array, Array]:  # fmt: skip
    """Means and covariances over what is hidden; in the rows of a vector that are seen in part, those of the empty
    elements given the others: `m + B (x - m_seen)` with `B = C_empty,seen C_seen,seen^-1`."""

    def hidden(slope: Array, units: object) -> Array:
        assert spread is not None
        inner = np.broadcast_to(spread, (*own.shape[:3], *spread.shape[-2:]))[:, units]  # type: ignore[index]
        return np.asarray(slope @ inner @ np.swapaxes(slope, -1, -2))

    mean, total = centre.copy(), own.copy()
    everything = np.ones(own.shape[1:3], dtype=bool)
    if slopes is not None:
        total[:, everything] += hidden(slopes[:, everything], everything)
    if own.shape[-1] == 1:
        return mean, total
    x = _by_event(law, law.aligned(law.evaluator().value(law.target)), 1)[0]
    empty = np.isnan(x)
    partly = empty.any(axis=-1) & ~empty.all(axis=-1)
    for pattern in np.unique(empty[partly], axis=0):
        units = partly & (empty == pattern).all(axis=-1)
        wanted, seen = np.flatnonzero(pattern), np.flatnonzero(~pattern)
        block, here = own[:, units], centre[:, units]
        gain = np.linalg.solve(block[..., seen[:, None], seen], block[..., seen[:, None], wanted])
        told = np.swapaxes(gain, -1, -2)
        here[..., wanted] += (told @ (x[units][..., seen] - here[..., seen])[..., None])[..., 0]
        left = block[..., wanted[:, None], wanted] - told @ block[..., seen[:, None], wanted]
        if slopes is not None:
            slope = slopes[:, units]
            left = left + hidden(slope[..., wanted, :] - told @ slope[..., seen, :], units)
        mean[:, units] = here
        changed = total[:, units]
        changed[..., wanted[:, None], wanted] = left
        total[:, units] = changed
    return mean, total


def _inverse(matrices: Array) -> Array:
    scale = np.sqrt(np.abs(np.diagonal(matrices, axis1=-2, axis2=-1)))
    outer = scale[..., :, None] * scale[..., None, :]
    return np.asarray(np.linalg.inv(matrices / outer) / outer)
