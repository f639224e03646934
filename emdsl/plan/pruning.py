"""Hidden variables whose joint states are listed unit by unit, because what is seen leaves few of them possible."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from emdsl.data.bound import Bound
from emdsl.ir.model import Model
from emdsl.plan.joining import Constraint, constraints, join
from emdsl.plan.maps import BoundMap
from emdsl.plan.nodes import PrunedLogSumExp
from emdsl.plan.unseen import is_unseen
from emdsl.runtime.pruned import PossibleStates, PrunedSum, pruned_input

Codes = NDArray[np.intp]

#: `never` and `always` are for comparing the two plans; `auto` takes the cheaper one.
Choice = Literal["auto", "always", "never"]

#: A listed state costs about as much as so many cells of a dense table: it is gathered and scattered.
COST_OF_STATE = 4
#: Up to so many joint states a dense table is the faster one, whatever is seen.
SMALL = 64
#: The most states of all patterns together, and the largest table of classes of one observation.
MOST_STATES = 50_000_000
LARGEST_CONSTRAINT = 20_000_000


@dataclass(frozen=True)
class Pruning:
    """Hidden variables `latents` of the units of `level`, and the observations `maps` that leave few states of them."""

    level: int
    latents: tuple[str, ...]
    maps: tuple[str, ...]
    dense: int
    possible: PossibleStates


def find_prunings(
    model: Model, bound: Bound, maps: Sequence[BoundMap], chained: frozenset[str], choice: Choice
) -> tuple[Pruning, ...]:
    """The groups of hidden variables for which a list of possible states is cheaper than a table of all of them.

    A group is what observations join: hidden variables of one plate. `chained` are those that look at the unit before;
    they stay in tables.
    """
    if choice == "never":
        return ()
    found = []
    for level, latents, group in _groups(model, bound, maps, chained):
        sizes = tuple(_size(name, group) for name in latents)
        dense = prod(sizes)
        if choice == "auto" and dense <= SMALL:
            continue
        units = bound.levels[level].size
        most = min(MOST_STATES, dense * units // COST_OF_STATE) if choice == "auto" else MOST_STATES
        possible = _possible(bound, level, latents, sizes, group, most)
        if possible is None or (choice == "auto" and COST_OF_STATE * possible.total > dense * units):
            continue
        found.append(Pruning(level, latents, tuple(item.map.name for item in group), dense, possible))
    return tuple(found)


def _size(name: str, group: Sequence[BoundMap]) -> int:
    return next(item.axes.sizes[name] for item in group if name in item.axes.sizes)


def _groups(
    model: Model, bound: Bound, maps: Sequence[BoundMap], chained: frozenset[str]
) -> Iterator[tuple[int, tuple[str, ...], list[BoundMap]]]:
    """Hidden variables of one plate that observations join, with these; observations that look beyond are left out."""
    level_of = {level.plate: number for number, level in enumerate(bound.levels)}
    at = {v.name: level_of[v.plate] for v in model.variables if v.kind == "latent"}
    groups: list[tuple[set[str], list[BoundMap]]] = []
    for item in maps:
        names = set(item.axes.hidden)
        if item.by_row or not names or names & chained or any("@" in n or is_unseen(n) for n in names):
            continue
        if len({at.get(name) for name in names}) != 1:
            continue
        joined = [group for group in groups if group[0] & names]
        groups = [group for group in groups if not group[0] & names]
        groups.append((names.union(*(g[0] for g in joined)), [m for g in joined for m in g[1]] + [item]))
    order = {v.name: number for number, v in enumerate(model.variables)}
    for members, group in groups:
        latents = tuple(sorted(members, key=order.__getitem__))
        yield at[latents[0]], latents, group


def _possible(
    bound: Bound, level: int, latents: tuple[str, ...], sizes: tuple[int, ...], group: Sequence[BoundMap], most: int
) -> PossibleStates | None:
    given: list[Constraint] = []
    columns: list[Codes] = []
    for item in group:
        for element, constraint in enumerate(constraints(item, latents, LARGEST_CONSTRAINT)):
            if constraint is None:
                return None
            constraint, codes = _by_unit(bound, level, item, constraint, item.code[element])
            given.append(constraint)
            columns.append(codes)
    patterns, pattern = np.unique(np.stack(columns, axis=1), axis=0, return_inverse=True)
    joined = join(sizes, given, patterns, most)
    if joined is None:
        return None
    return PossibleStates(level, sizes, joined.states, joined.starts, pattern.ravel().astype(np.intp))


def _by_unit(bound: Bound, level: int, item: BoundMap, constraint: Constraint, code: Codes) -> tuple[Constraint, Codes]:
    """The constraint and one code for each unit of `level`, where the observation is one of units inside it: what all
    of these say together.
    """
    if item.level == level:
        return constraint, code
    unit = np.arange(len(code))
    counts = np.ones(len(code), dtype=bool)
    for number in range(item.level, level, -1):
        weights: Any = bound.weights.get(bound.levels[number].plate or "")
        if weights is not None:
            counts &= weights[unit] != 0
        unit = bound.levels[number].parent[unit]
    said = np.unique(np.stack([unit, code], axis=1)[counts], axis=0)
    sets: Mapping[int, tuple[int, ...]] = _collected(said)
    distinct = {codes: number for number, codes in enumerate(dict.fromkeys(sets.values()))}
    own = np.full(bound.levels[level].size, len(distinct), dtype=np.intp)  # nothing is said where no unit counts
    for place, codes in sets.items():
        own[place] = distinct[codes]
    tables = [constraint.allowed[..., list(codes)].all(axis=-1) for codes in distinct]
    allowed = np.stack([*tables, np.ones(constraint.allowed.shape[:-1], dtype=bool)], axis=-1)
    return Constraint(constraint.variables, constraint.classes, allowed), own


def _collected(said: Codes) -> dict[int, tuple[int, ...]]:
    """The codes of each unit, from pairs of units and codes in order."""
    units, first = np.unique(said[:, 0], return_index=True)
    return {
        int(unit): tuple(map(int, codes))
        for unit, codes in zip(units, np.split(said[:, 1], first[1:]), strict=True)
    } if len(units) else {}  # fmt: skip


# --- what the program needs -------------------------------------------------------------------------------------------


def states_of(node: PrunedLogSumExp, prunings: Sequence[Pruning]) -> PossibleStates:
    """The lists that a pruned sum runs over."""
    return next(item.possible for item in prunings if item.latents == node.over)


def pruned_sum(node: PrunedLogSumExp, prunings: Sequence[Pruning], sizes: Mapping[str, int]) -> PrunedSum:
    """The lists with the places of their states in the tables that a pruned sum reads."""
    possible = states_of(node, prunings)
    inputs = []
    for item in node.inputs:
        places = tuple(k for k, axis in enumerate(node.over) if axis in item.axes)
        inputs.append(pruned_input(possible, places, item.rows))
    return PrunedSum(possible, tuple(inputs), tuple(sizes[axis] for axis in node.axes))
