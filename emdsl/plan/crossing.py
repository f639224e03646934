"""Finite hidden variables that rows of different units look at: which of them each table is about, and the order in
which they are summed out.

An element of an array outside the plates is chosen by data, row by row: `mu[z[item]]`. Rows then tie elements, and the
units of plates around them, across the whole data set, and all of these are single variables here. The next one to be
summed out is the one whose table is the smallest (greedy; Kjærulff 1990).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdsl.data.bound import Bound
from emdsl.data.counting import weights_between
from emdsl.diagnostics.errors import EmmError
from emdsl.ir.model import Model
from emdsl.plan.limits import LARGEST_TABLE, check_array, shown
from emdsl.plan.named import START
from emdsl.plan.nodes import Crossing, Node
from emdsl.runtime.crossing import CrossedSum, Factor, Gathered, Sums
from emdsl.runtime.openings import lag_of

Codes = NDArray[np.intp]
#: A table: its pool, its place there, and the variables that it is over.
Member = tuple[int, int, tuple[int, ...]]


@dataclass(frozen=True)
class Variables:
    """Every hidden variable of every unit by a number: `first` number and count of each name; `sizes` of all."""

    first: Mapping[str, int]
    sizes: Codes
    names: tuple[str, ...]

    def name(self, number: int) -> str:
        """What the variable of a number is called."""
        found = [name for name in self.names if self.first[name] <= number]
        return max(found, key=lambda name: self.first[name])


def crossed_sum(node: Crossing, roles: Sequence[tuple[str, int]], model: Model, bound: Bound,
                sizes: Mapping[str, int]) -> CrossedSum:  # fmt: skip
    """The sum with its order. Raises `too-large` where no order of this kind has tables that fit."""
    variables = _variables(node, model, bound, sizes)
    gathered: list[Gathered] = []
    members: list[Member] = []
    for number, (item, role) in enumerate(zip(node.inputs, roles, strict=True)):
        for part, scopes in _gathered(number, item, role, variables, model, bound):
            members += [(len(gathered), k, tuple(scope)) for k, scope in enumerate(scopes.tolist())]
            gathered.append(part)
    order = _Order(variables, list(members))
    steps = _steps(order, len(gathered))
    return CrossedSum(tuple(gathered), steps, order.cells, order.largest)


# --- which variables a table is over ----------------------------------------------------------------------------------


def base(axis: str) -> str:
    """The variable of an axis."""
    return axis.partition("@")[0]


def _variables(node: Crossing, model: Model, bound: Bound, sizes: Mapping[str, int]) -> Variables:
    names: dict[str, None] = {}
    for item in node.inputs:
        for axis in item.axes:
            chosen = bound.chosen.get(base(axis))
            names.update(dict.fromkeys((base(axis),) if chosen is None else chosen.elements))
    names.pop(START, None)
    first, counts = {}, []
    total = 0
    for name in names:
        units = bound.levels[level_of(name, model, bound)].size
        size = sizes.get(name) or len(bound.indexes[model.variable(name).values or ""])
        first[name] = total
        counts.append(np.full(units, size, dtype=np.intp))
        total += units
    return Variables(first, np.concatenate(counts), tuple(names))


def level_of(name: str, model: Model, bound: Bound) -> int:
    """The level of a variable's plate."""
    plate = model.variable(name).plate
    return bound.level_of(plate)


def _gathered(
    number: int, node: Node, role: tuple[str, int], variables: Variables, model: Model, bound: Bound
) -> Iterator[tuple[Gathered, Codes]]:
    """The rows of a table by the variables that they are about, `(groups, variables)`; apart where two axes are the
    same variable."""
    axes = [axis for axis in node.axes if axis != START]
    weights = weights_between(bound, 0, node.level)
    inside = _applies(node, role, model, bound) & (True if weights is None else weights > 0)
    rows = np.flatnonzero(inside)
    none = np.zeros(len(rows), dtype=np.intp)
    ids = np.stack([_ids(axis, node.level, variables, model, bound)[rows] for axis in axes] or [none])
    same = [(k, j) for k in range(len(axes)) for j in range(k) if bool((ids[k] == ids[j]).any())]
    pattern = np.zeros(len(rows), dtype=np.intp)
    for place, (k, j) in enumerate(same):
        pattern |= (ids[k] == ids[j]).astype(np.intp) << place
    for kind in np.unique(pattern):
        chosen = np.flatnonzero(pattern == kind)
        # each axis that repeats one is merged with the first that it repeats, the last axis first
        merged: dict[int, int] = {}
        for place, (k, j) in enumerate(same):
            if kind >> place & 1 and k not in merged and j not in merged:
                merged[k] = j
        kept = [k for k in range(len(axes)) if k not in merged]
        scopes = ids[kept][:, chosen].T if axes else np.zeros((len(chosen), 0), dtype=np.intp)
        distinct: Codes = scopes[:1]
        group: Codes = np.zeros(len(chosen), dtype=np.intp)
        if axes:
            distinct, group = np.unique(scopes, axis=0, return_inverse=True)
        order = np.argsort(group.ravel(), kind="stable")
        starts = np.searchsorted(group.ravel()[order], np.arange(len(distinct) + 1))
        own = rows[chosen[order]]
        yield Gathered(
            number, node.rows, own, np.ascontiguousarray(starts, dtype=np.intp),
            None if weights is None else weights[own], tuple(sorted(merged.items(), reverse=True)),
        ), distinct  # fmt: skip


def _ids(axis: str, level: int, variables: Variables, model: Model, bound: Bound) -> Codes:
    """The number of the variable that an axis stands for, in each unit of a level."""
    name, lag = base(axis), lag_of(axis)
    own = level_of(name, model, bound)
    unit = ancestors(bound, level, own)
    chosen = bound.chosen.get(name)
    if chosen is None:
        return np.asarray(variables.first[name] + np.maximum(unit - lag, 0), dtype=np.intp)
    places = np.array([variables.first[element] for element in chosen.elements], dtype=np.intp)
    return np.asarray(places[chosen.codes[unit]], dtype=np.intp)


def ancestors(bound: Bound, level: int, above: int) -> Codes:
    """For each unit of a level the unit of a level above that it lies in."""
    unit = np.arange(bound.levels[level].size)
    for number in range(level, above, -1):
        unit = bound.levels[number].parent[unit]
    return unit


def _applies(node: Node, role: tuple[str, int], model: Model, bound: Bound) -> Any:
    """The units that a table is about: in a chain the first ones, or the later ones, or those that have as many before
    them as it looks back."""
    level = bound.levels[node.level]
    position = np.arange(level.size) - level.starts[level.parent]
    when, lag = role
    inside = np.ones(level.size, dtype=bool)
    if when == "first":
        inside &= position < lag
    elif when == "after":
        inside &= position >= lag
    for axis in node.axes:
        if lag_of(axis):
            own = level_of(base(axis), model, bound)
            unit = ancestors(bound, node.level, own)
            chain = bound.levels[own]
            inside &= unit - chain.starts[chain.parent[unit]] >= lag_of(axis)
    return inside


def check_weights(node: Crossing, model: Model, bound: Bound) -> None:
    """Raises `weighted-crossing` where a unit that counts several times holds variables that are summed out with those
    of others: there would be several of them."""
    for item in node.inputs:
        for axis in item.axes:
            if axis == START or base(axis) in bound.chosen:
                continue
            for level in bound.levels[1 : level_of(base(axis), model, bound) + 1]:
                if level.plate in bound.weights:
                    raise EmmError(
                        "weighted-crossing",
                        f"the units of `{level.plate}` are weighted, and their hidden `{base(axis)}` is tied to that "
                        "of other units: it cannot be summed out several times",
                        help="repeat the rows of a unit that counts several times, as units of their own",
                    )


# --- the order --------------------------------------------------------------------------------------------------------


@dataclass
class _Order:
    """The greedy order: which tables each variable is in, and what summing it out costs."""

    variables: Variables
    members: list[Member]
    of: dict[int, set[int]] = field(default_factory=dict)
    cells: int = 0
    largest: int = 0

    def __post_init__(self) -> None:
        for place, (_, _, scope) in enumerate(self.members):
            for variable in scope:
                self.of.setdefault(variable, set()).add(place)

    def scope(self, variable: int) -> set[int]:
        """All variables in the tables of one."""
        return {other for place in self.of[variable] for other in self.members[place][2]}

    def cost(self, scope: set[int]) -> int:
        """Cells of a table over these."""
        total = 1
        for other in scope:
            total *= int(self.variables.sizes[other])
        return total

    def steps(self) -> Iterator[tuple[int, list[Member]]]:
        """Each variable with the tables that it is summed out of. The table that is left becomes a member
        of the pool -1, its place being the variable."""
        waiting = [(self.cost(self.scope(variable)), variable) for variable in self.of]
        heapify(waiting)
        while waiting:
            known, variable = heappop(waiting)
            if variable not in self.of:
                continue
            scope = self.scope(variable)
            cost = self.cost(scope)
            if cost > known:
                heappush(waiting, (cost, variable))
                continue
            self._check(variable, cost, len(scope))
            self.cells, self.largest = self.cells + cost, max(self.largest, cost)
            own = sorted(self.of.pop(variable))
            yield variable, [self.members[place] for place in own]
            rest = tuple(sorted(scope - {variable}))
            new = len(self.members)
            self.members.append((-1, variable, rest))
            for other in rest:
                self.of[other] = (self.of[other] - set(own)) | {new}
                heappush(waiting, (self.cost(self.scope(other)), other))
        check_array("summing out what rows of different units share", (self.cells,), _HELP)

    def _check(self, variable: int, cost: int, width: int) -> None:
        if cost > LARGEST_TABLE:
            name = self.variables.name(variable)
            raise EmmError(
                "too-large",
                f"rows tie the hidden variables of different units together: to sum out `{name}` takes a table over "
                f"{width} of them ({shown(cost)} cells), in the best order found; at most "
                f"{LARGEST_TABLE:,} cells are allowed",
                help=_HELP,
            )


_HELP = "let fewer elements meet in the data, give the hidden variables fewer values, or fit a part of the data"


def _places(axes: tuple[int, ...], scope: tuple[int, ...]) -> tuple[int | None, ...]:
    return tuple(scope.index(variable) if variable in scope else None for variable in axes)


def _steps(order: _Order, pools: int) -> tuple[Sums, ...]:
    """The sums in an order in which each follows those that it needs, those of one form together."""
    depth: dict[int, int] = {}
    layers: dict[int, list[tuple[int, list[Member]]]] = {}
    for variable, own in order.steps():
        below = [depth[place] for pool, place, _ in own if pool < 0]
        depth[variable] = 1 + max(below, default=0)
        layers.setdefault(depth[variable], []).append((variable, own))
    found: list[Sums] = []
    home: dict[int, tuple[int, int, tuple[int, ...]]] = {}
    for number in sorted(layers):
        groups: dict[Any, list[tuple[int, list[Member], tuple[int, ...]]]] = {}
        for variable, own in layers[number]:
            placed = sorted((home[place] if pool < 0 else (pool, place, scope)) for pool, place, scope in own)
            axes = tuple(dict.fromkeys((variable, *(v for _, _, scope in placed for v in scope))))
            form = tuple((pool, _places(axes, scope)) for pool, _, scope in placed)
            groups.setdefault(form, []).append((variable, placed, axes))
        for form, sums in groups.items():
            factors = tuple(
                Factor(pool, np.array([placed[k][1] for _, placed, _ in sums], dtype=np.intp), places)
                for k, (pool, places) in enumerate(form)
            )
            for place, (variable, _, axes) in enumerate(sums):
                home[variable] = (pools + len(found), place, axes[1:])
            found.append(Sums(factors))
    return tuple(found)
