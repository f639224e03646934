"""Sums over the few joint states of hidden variables that are possible in each unit, and their reverse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from emdsl.runtime.carriers import Block
from emdsl.runtime.kernels import LOG_IMPOSSIBLE
from emdsl.runtime.problem import Array

#: Up to so many states of all units the places of a block are kept; beyond it they are worked out each time.
MOST_KEPT = 4_000_000


@dataclass(frozen=True)
class BlockStates:
    """The states of the units of a block, one unit after the other: `state` is the place of each in the list of its
    pattern, `unit` its unit in the block, `starts` (units + 1,) where each unit begins. `rows` are the first
    of its units and the one behind its last, `kept` whether there is room to keep what follows from the states.
    """

    state: NDArray[np.intp]
    unit: NDArray[np.intp]
    starts: NDArray[np.intp]
    rows: tuple[int, int]
    kept: bool


@dataclass(frozen=True)
class PossibleStates:
    """The joint states of hidden variables with `sizes` values that are possible in each unit of `level`.

    Units that show the same share a list: `states` `(variables, states)` are those of all patterns, those of pattern
    `p` from `starts[p]` to `starts[p + 1]`; `pattern` (units,) is the pattern of each unit.
    """

    level: int
    sizes: tuple[int, ...]
    states: NDArray[np.intp]
    starts: NDArray[np.intp]
    pattern: NDArray[np.intp]
    _kept: dict[tuple[int, int], BlockStates] = field(default_factory=dict, repr=False)

    @cached_property
    def total(self) -> int:
        """The number of states of all units."""
        return int(np.diff(self.starts)[self.pattern].sum())

    @property
    def on_average(self) -> int:
        """The number of states of a unit on average, rounded up."""
        return 1 + self.total // max(len(self.pattern), 1)

    @property
    def most(self) -> int:
        """The number of states of the unit that has most."""
        return int(np.diff(self.starts)[self.pattern].max(initial=0))

    @property
    def nbytes(self) -> int:
        """Memory of the lists."""
        return self.states.nbytes + self.starts.nbytes + self.pattern.nbytes

    def of(self, rows: slice) -> BlockStates:
        """The states of some units."""
        key = (rows.start, rows.stop)
        if key not in self._kept:
            found = self._expand(rows)
            if not found.kept:
                return found
            self._kept[key] = found
        return self._kept[key]

    def _expand(self, rows: slice) -> BlockStates:
        pattern = self.pattern[rows]
        begins = self.starts[pattern]
        counts = self.starts[pattern + 1] - begins
        starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.intp)
        unit = np.repeat(np.arange(len(pattern)), counts)
        state = np.arange(starts[-1]) + np.repeat(begins - starts[:-1], counts)
        return BlockStates(state, unit, starts, (rows.start, rows.stop), self.total <= MOST_KEPT)


@dataclass(frozen=True)
class PrunedInput:
    """A table that a pruned sum reads: the hidden variables that it looks at (`places` among those of the sum), and
    whether it varies by unit. `flat` is the place of each listed state in a table over these variables.
    """

    places: tuple[int, ...]
    by_row: bool
    flat: NDArray[np.intp]
    _kept: dict[tuple[int, int], NDArray[np.intp]] = field(default_factory=dict, repr=False)

    def index(self, states: BlockStates) -> NDArray[np.intp]:
        """The place of each state of a block in the table, flattened over its variables (and units)."""
        found = self._kept.get(states.rows)
        if found is None:
            found = self.flat[states.state]
            if self.by_row:
                found = found * (len(states.starts) - 1) + states.unit
            if states.kept:
                self._kept[states.rows] = found
        return found


@dataclass(frozen=True)
class PrunedSum:
    """The inputs of one pruned sum, and the sizes of the axes that it keeps."""

    possible: PossibleStates
    inputs: tuple[PrunedInput, ...]
    kept: tuple[int, ...]


def pruned_input(possible: PossibleStates, places: tuple[int, ...], by_row: bool) -> PrunedInput:
    """An input over the hidden variables at `places`."""
    sizes = tuple(possible.sizes[place] for place in places)
    flat = np.ravel_multi_index(tuple(possible.states[list(places)]), sizes) if places else None
    return PrunedInput(places, by_row, np.zeros(possible.states.shape[1], np.intp) if flat is None else flat)


@dataclass(frozen=True)
class PrunedSoftmax:
    """What the reverse needs: weights `(*kept, states)` and their sums `(*kept, units)`; the shapes of the inputs."""

    weights: Array
    totals: Array
    shapes: tuple[tuple[int, ...], ...]
    states: BlockStates


def pruned_log_sum_exp(tables: Sequence[Array], c: PrunedSum, rows: slice) -> tuple[Array, PrunedSoftmax]:
    """`log sum exp` of the sum of the tables over the possible states of each unit, `(*kept, units)`.

    Each table is `(*kept or 1s, *own hidden variables)`, with the units last where it varies by unit. A unit without
    a possible state has minus infinity.
    """
    states = c.possible.of(rows)
    total = np.zeros((*c.kept, len(states.unit)))
    for table, item in zip(tables, c.inputs, strict=True):
        lead = table.shape[: len(c.kept)]
        total += np.take(table.reshape(*lead, -1), item.index(states), axis=-1, mode="clip")
    units = len(states.starts) - 1
    filled = np.diff(states.starts) > 0
    begins = states.starts[:-1][filled]
    peak = np.zeros((*c.kept, units))
    sums = np.zeros((*c.kept, units))
    if len(begins):
        peak[..., filled] = np.maximum.reduceat(total, begins, axis=-1)
        peak[peak <= LOG_IMPOSSIBLE] = 0.0
        total -= np.take(peak, states.unit, axis=-1)
        np.exp(total, out=total)
        sums[..., filled] = np.add.reduceat(total, begins, axis=-1)
    with np.errstate(divide="ignore"):
        out = np.log(sums) + peak
    return out, PrunedSoftmax(total, sums, tuple(table.shape for table in tables), states)


def pruned_log_sum_exp_reverse(soft: PrunedSoftmax, adjoint: Array, c: PrunedSum, rows: slice, b: Block) -> list[Array]:
    """Adjoints of the tables, in their shapes. Tables that do not vary by unit count units by their weight in the
    start (see `weighted`). The weights that `soft` holds are overwritten, so it serves once.
    """
    states = soft.states
    scale = np.divide(adjoint, soft.totals, out=np.zeros(soft.totals.shape), where=soft.totals > 0.0)
    weights = np.multiply(soft.weights, np.take(scale, states.unit, axis=-1), out=soft.weights)
    counted = weights
    if b.multiplier is not None:
        own = b.multiplier[c.possible.level][..., rows][..., states.unit]
        counted = weights * own.reshape(*own.shape[:-1], *(1,) * (weights.ndim - own.ndim), own.shape[-1])
    found = []
    for shape, item in zip(soft.shapes, c.inputs, strict=True):
        lead = shape[: len(c.kept)]
        given = weights if item.by_row else counted
        absent = tuple(k for k, size in enumerate(lead) if size != given.shape[k])
        given = given.sum(axis=absent, keepdims=True).reshape(-1, len(states.unit))
        index, size = item.index(states), int(np.prod(shape[len(c.kept) :]))
        sums = np.empty((len(given), size))
        for number, row in enumerate(given):
            sums[number] = np.bincount(index, weights=row, minlength=size)
        found.append(sums.reshape(shape))
    return found
