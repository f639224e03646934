"""The joint hidden states that deterministic observations leave possible, found without listing those that they do not.

Each observation sees a hidden variable through what its expression makes of it: `carries[mother, locus]` is 0 or 1,
whatever the number of haplotypes. States that look alike are kept together as one block, and the observations are
joined one after the other: each splits the blocks, and a combination of blocks lives on only where it explains what is
seen. Work and memory follow the number of states that are left, as in a join of database tables (Yannakakis 1981), not
the size of the product.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdsl.ir.expressions import AnyPattern, Apply, Choose, ConstantRef, Expression, Reduce, VariableRef, walk
from emdsl.plan.evaluation import Evaluator, axis_of
from emdsl.plan.maps import BoundMap

Codes = NDArray[np.intp]

#: Patterns that are joined at a time.
CHUNK = 2048


@dataclass(frozen=True)
class Constraint:
    """One element of an observation: hidden variable number `variables[i]` is seen as one of the classes `classes[i]`
    `(values,)`; `allowed` `(*classes, codes)` says which combinations explain a code.
    """

    variables: tuple[int, ...]
    classes: tuple[Codes, ...]
    allowed: NDArray[np.bool_]


@dataclass(frozen=True)
class Joined:
    """The possible joint states of each pattern of codes, one pattern after the other, in order: `states` `(variables,
    states)`, `starts` `(patterns + 1,)`.
    """

    states: Codes
    starts: Codes


# --- what an observation sees -----------------------------------------------------------------------------------------


def constraints(bound: BoundMap, latents: Sequence[str], largest: int) -> Iterator[Constraint | None]:
    """The constraint of each element, in order; None where its table of classes has more than `largest` numbers."""
    axes, evaluator = bound.axes, bound.evaluator
    shape = axes.shape(axes.elements)
    variables = tuple(latents.index(axis) for axis in axes.hidden)
    views = {axis: _views(bound, axis) for axis in axes.hidden}
    for place in np.ndindex(*shape):
        within = {name: np.array([at], dtype=np.intp) for name, at in zip(axes.elements, place, strict=True)}
        classes = []
        for axis in axes.hidden:
            first, inverse = _classes(views[axis], place)
            within[axis] = first
            classes.append(inverse)
        sizes = tuple(len(within[axis]) for axis in axes.hidden)
        if prod(sizes) * bound.codes > largest:
            yield None
            continue
        allowed = bound.allowed(replace(evaluator, within=within))
        allowed = np.broadcast_to(allowed, (*sizes, *(1,) * len(shape), bound.codes))
        yield Constraint(variables, tuple(classes), allowed.reshape(*sizes, bound.codes))


def _classes(views: Sequence[tuple[NDArray[Any], bool]], place: tuple[int, ...]) -> tuple[Codes, Codes]:
    """A representative of each class of values that look alike at an element, and the class of each value."""
    columns = [np.moveaxis(view, 0, -1)[place].T if by_element else view for view, by_element in views]
    signature = np.concatenate([column.reshape(len(column), -1) for column in columns], axis=1)
    _, first, inverse = np.unique(signature, axis=0, return_index=True, return_inverse=True)
    return first.astype(np.intp), inverse.ravel().astype(np.intp)


def _views(bound: BoundMap, axis: str) -> list[tuple[NDArray[Any], bool]]:
    """All that an observation's expression looks at of one hidden variable: arrays `(values, *elements, …)`, and
    whether they have the elements.
    """
    found = []
    for view in _seen(bound.map.value, axis, bound.evaluator):
        array, axes = view
        elements = bound.axes.elements if any(name in axes for name in bound.axes.elements) else ()
        order = (axis, *elements, *(name for name in axes if name != axis and name not in elements))
        sizes = [array.shape[axes.index(name)] if name in axes else bound.axes.sizes[name] for name in order]
        moved = np.moveaxis(array, [axes.index(n) for n in order if n in axes], range(len(axes)))
        expanded = moved.reshape([size if name in axes else 1 for name, size in zip(order, sizes, strict=True)])
        found.append((np.broadcast_to(expanded, sizes).astype(np.float64), bool(elements)))
    return found


def _seen(
    expression: Expression | tuple[Expression, ...], axis: str, evaluator: Evaluator
) -> Iterator[tuple[NDArray[Any], tuple[str, ...]]]:
    """The largest parts of an expression that depend on one hidden variable alone, with their axes."""
    hidden = {
        axis_of(node)
        for node in walk(expression)
        if isinstance(node, VariableRef) and evaluator.model.variable(node.name).kind == "latent"
    }
    if axis not in hidden:
        return
    match expression:
        case tuple():
            for item in expression:
                yield from _seen(item, axis, evaluator)
        case _ if len(hidden) == 1:
            by_label = isinstance(expression, VariableRef) or evaluator.has_labels(expression)
            value = evaluator.code(expression) if by_label else evaluator.value(expression)
            yield value.array, value.axes
        case Choose(subjects, arms):
            for number, subject in enumerate(subjects):
                patterns = dict.fromkeys(alternative[number] for arm in arms for alternative in arm.alternatives)
                if {axis_of(n) for n in walk(subject) if isinstance(n, VariableRef)} != {axis}:
                    yield from _seen(subject, axis, evaluator)
                    continue
                codes, labels = evaluator.code(subject), evaluator.bound.indexes[evaluator.index_set(subject)]
                for pattern in patterns:
                    if not isinstance(pattern, AnyPattern):
                        wanted = [labels.index(label) for label in pattern.labels if label in labels]
                        yield np.isin(codes.array, wanted), codes.axes
            for arm in arms:
                yield from _seen(arm.value, axis, evaluator)
        case Apply(_, args):
            for item in args:
                yield from _seen(item, axis, evaluator)
        case ConstantRef(_, indices):
            for item in indices:
                yield from _seen(item, axis, evaluator)
        case Reduce(_, _, body):
            yield from _seen(body, axis, evaluator)
        case _:
            raise AssertionError(type(expression).__name__)


# --- the join ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Step:
    """One constraint over blocks: the combinations of classes that explain each code, `tuples` `(touched,
    combinations)` from `offsets[code]` on, and for each touched variable the block inside a block by class (-1: there
    is none).
    """

    constraint: Constraint
    tuples: Codes
    offsets: Codes
    inside: tuple[Codes, ...]


def join(sizes: Sequence[int], given: Sequence[Constraint], patterns: Codes, most: int) -> Joined | None:
    """The joint states of variables of these sizes that explain each pattern `(patterns, constraints)`; None where
    there are more than `most` states in all, or on the way to them.
    """
    blocks = [np.zeros(size, dtype=np.intp) for size in sizes]
    steps = [_step(item, blocks) for item in given]
    members = [_members(block) for block in blocks]
    parts, counts, total = [], [], 0
    for begin in range(0, len(patterns), CHUNK):
        chunk = patterns[begin : begin + CHUNK]
        found = _chunk(sizes, steps, members, chunk, most - total)
        if found is None:
            return None
        owner, states = found
        total += len(owner)
        parts.append(states)
        counts.append(np.bincount(owner, minlength=len(chunk)))
    starts = np.concatenate([[0], np.cumsum(np.concatenate(counts))]).astype(np.intp)
    return Joined(np.concatenate(parts, axis=1), starts)


def _step(constraint: Constraint, blocks: list[Codes]) -> _Step:
    """The step of a constraint; `blocks` are refined by its classes."""
    inside = []
    for variable, classes in zip(constraint.variables, constraint.classes, strict=True):
        width = int(classes.max()) + 1
        key = blocks[variable] * width + classes
        kept, refined = np.unique(key, return_inverse=True)
        table = np.full((int(blocks[variable].max()) + 1) * width, -1, dtype=np.intp)
        table[kept] = np.arange(len(kept))
        inside.append(table)
        blocks[variable] = refined.ravel()
    code, *tuples = np.nonzero(np.moveaxis(constraint.allowed, -1, 0))
    codes = constraint.allowed.shape[-1]
    offsets = np.concatenate([[0], np.cumsum(np.bincount(code, minlength=codes))]).astype(np.intp)
    return _Step(constraint, np.stack(tuples), offsets, tuple(inside))


def _members(block: Codes) -> tuple[Codes, Codes]:
    """The values in each block, one block after the other, and where each begins."""
    return np.argsort(block, kind="stable"), np.concatenate([[0], np.cumsum(np.bincount(block))]).astype(np.intp)


def _chunk(
    sizes: Sequence[int], steps: Sequence[_Step], members: Sequence[tuple[Codes, Codes]], patterns: Codes, most: int
) -> tuple[Codes, Codes] | None:
    """The pattern of each state and the states, `(variables, states)`, in order."""
    owner = np.arange(len(patterns))
    held = [np.zeros(len(patterns), dtype=np.intp) for _ in sizes]
    for number, step in enumerate(steps):
        code = patterns[owner, number]
        counts = step.offsets[code + 1] - step.offsets[code]
        if counts.sum() > most:
            return None
        origin, combination = spread_ranges(step.offsets[code], counts)
        alive = np.ones(len(origin), dtype=bool)
        moved = {}
        for variable, classes, inside, chosen in zip(
            step.constraint.variables, step.constraint.classes, step.inside, step.tuples, strict=True
        ):
            width = int(classes.max()) + 1
            moved[variable] = inside[held[variable][origin] * width + chosen[combination]]
            alive &= moved[variable] >= 0
        owner = owner[origin[alive]]
        held = [moved[k][alive] if k in moved else blocks[origin[alive]] for k, blocks in enumerate(held)]
    return _expand(sizes, members, owner, held, most)


def _expand(
    sizes: Sequence[int], members: Sequence[tuple[Codes, Codes]], owner: Codes, held: list[Codes], most: int
) -> tuple[Codes, Codes] | None:
    """Every combination of values of the blocks that are left."""
    widths = [starts[blocks + 1] - starts[blocks] for (_, starts), blocks in zip(members, held, strict=True)]
    if float(np.prod([width.astype(float) for width in widths], axis=0).sum()) > most:
        return None
    states: list[Codes] = []
    origin = np.arange(len(owner))
    for (order, starts), blocks, width in zip(members, held, widths, strict=True):
        again, place = spread_ranges(starts[blocks[origin]], width[origin])
        states = [values[again] for values in states] + [order[place]]
        origin = origin[again]
    owner = owner[origin]
    flat = np.ravel_multi_index(tuple(states), tuple(sizes))
    in_order = np.lexsort((flat, owner))
    return owner[in_order], np.stack(states)[:, in_order].astype(np.intp)


def spread_ranges(starts: Codes, counts: Codes) -> tuple[Codes, Codes]:
    """The numbers `starts[k], starts[k] + 1, …`, `counts[k]` of them, for each k; and the k of each."""
    origin = np.repeat(np.arange(len(counts)), counts)
    begun = np.cumsum(counts) - counts
    return origin, np.arange(len(origin)) + np.repeat(starts - begun, counts)
