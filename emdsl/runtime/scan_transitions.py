"""Transition factors of chains as scaled probabilities: one matrix for every row, or one for each row.

Both kinds answer the same questions of the passes in `scan_lockstep`, for the lanes of one step: `before` and `after`
are `(O, K, width)`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdsl.runtime.chains import ChainLayout, Lanes
from emdsl.runtime.kernels import LOG_IMPOSSIBLE, segment_sum
from emdsl.runtime.problem import Array

#: Beyond this many steps from any state to any other, mixing says too little to be of use.
LONGEST_MIXING = 16
#: From so many states on, pairs of steps are gathered until there are so many columns.
MANY_STATES, GATHERED = 40, 64


class StaticTransitions:
    """The same factors for every row.

    `matrix` `(O, K, K)`, from row to column, is `exp(log_step - shift)`, raised to `floor` where it is possible;
    `shift` `(O,)` is the largest log-factor of each outer cell; `smallest` is the smallest logarithm in the matrix
    that is not impossible; `mixing` is after how many steps every state may follow every other (1 where no transition
    is impossible; 0 where it is never, or more than `LONGEST_MIXING`).
    """

    def __init__(self, log_step: Array, floor: float = 0.0) -> None:
        shift = log_step.max(axis=(1, 2), keepdims=True)
        self.matrix, self.smallest, possible = scaled_transitions(log_step, shift, floor)
        self.mixing = mixing_time(possible)
        self.shift = shift[:, 0, 0]
        self._transposed = np.ascontiguousarray(self.matrix.swapaxes(1, 2))
        self._waiting: list[tuple[Array, Array]] = []

    def total_shift(self, layout: ChainLayout) -> Array:
        """What the shifts add to each chain's log-evidence, `(O, chains)`."""
        shifts: Array = self.shift[:, None] * np.maximum(layout.lengths - 1, 0)
        return shifts

    def forward(self, before: Array, lanes: Lanes, step: int, out: Array) -> None:
        """`out[o, j] = sum_i matrix[o, i, j] * before[o, i]`."""
        np.matmul(self._transposed, before, out=out)

    def backward(self, after: Array, lanes: Lanes, step: int, out: Array) -> None:
        """`out[o, i] = sum_j matrix[o, i, j] * after[o, j]`."""
        np.matmul(self.matrix, after, out=out)

    def columns(self, lanes: Lanes) -> Array:
        """The factors into the lanes' first rows, `(O, K, K entered from, lanes)`."""
        return np.repeat(self._transposed[..., None], len(lanes), axis=-1)

    def forward_columns(self, before: Array, lanes: Lanes, step: int, out: Array) -> None:
        """`forward` for columns `(O, K, columns, width)`, both arrays contiguous."""
        flat = (*before.shape[:2], -1)
        np.matmul(self._transposed, before.reshape(flat), out=out.reshape(flat))

    def new_counts(self) -> Array:
        """Where `count` adds up: `(O, K, K)`."""
        return np.zeros(self.matrix.shape)

    def count(self, before: Array, after: Array, lanes: Lanes, step: int, counts: Array) -> None:
        """Adds `before[o, i] * after[o, j]`, the expected transitions up to the factor that `finish` puts to them."""
        if before.shape[1] < MANY_STATES or before.shape[-1] >= GATHERED:
            counts += np.matmul(before, after.swapaxes(1, 2))
            return
        # Of many states and few lanes one product of many steps costs far less than many outer products.
        self._waiting.append((before.copy(), after.copy()))
        if sum(pair[0].shape[-1] for pair in self._waiting) >= GATHERED:
            self._add_waiting(counts)

    def _add_waiting(self, counts: Array) -> None:
        if self._waiting:
            before, after = (np.concatenate(parts, axis=-1) for parts in zip(*self._waiting, strict=True))
            counts += np.matmul(before, after.swapaxes(1, 2))
            self._waiting.clear()

    def finish(self, counts: Array) -> Array:
        """Expected transitions from what `count` gathered."""
        self._add_waiting(counts)
        return np.multiply(counts, self.matrix, out=counts)


class RowTransitions:
    """Factors of their own for each row: `matrix` `(O, K, N, rows)` and `shift` `(O, rows)`, otherwise as
    `StaticTransitions` (N = K) or `scan_tuples.TupleTransitions` (N labels may follow a tuple of them).

    What `log_step` holds at the first rows of chains is not read.
    """

    def __init__(self, log_step: Array, layout: ChainLayout, floor: float = 0.0) -> None:
        shift = log_step.max(axis=(1, 2), keepdims=True)
        known = log_step.copy()
        known[..., layout.first_rows] = shift[..., layout.first_rows] = 0.0
        self.matrix, self.smallest, possible = scaled_transitions(known, shift, floor)
        outer, states, labels = log_step.shape[:3]
        self.mixing = steps_to_all(states, labels) if possible.all() else 0
        self.shift = shift[:, 0, 0]
        #: The state before, split in its oldest label and the rest, which the state after begins with; and the label
        #: that it ends with.
        self._before = (outer, labels, states // labels)
        self._after = (outer, states // labels, labels)

    def total_shift(self, layout: ChainLayout) -> Array:
        """What the shifts add to each chain's log-evidence, `(O, chains)`."""
        return segment_sum(self.shift, layout.starts)

    def forward(self, before: Array, lanes: Lanes, step: int, out: Array) -> None:
        """`out[o, j] = sum_i matrix[o, i, j] * before[o, i]`, the matrix that of the row that each lane enters."""
        width = before.shape[-1]
        product = self._at(lanes, step) * before.reshape(*self._before, 1, width)
        np.add.reduce(product, axis=1, out=out.reshape(*self._after, width))

    def backward(self, after: Array, lanes: Lanes, step: int, out: Array) -> None:
        """`out[o, i] = sum_j matrix[o, i, j] * after[o, j]`."""
        width = after.shape[-1]
        product = self._at(lanes, step) * after.reshape(self._after[0], 1, *self._after[1:], width)
        np.add.reduce(product, axis=3, out=out.reshape(*self._before, width))

    def columns(self, lanes: Lanes) -> Array:
        """The factors into the lanes' first rows, `(O, K, K entered from, lanes)`."""
        return widened(self.matrix[..., lanes.rows(0)], 0.0).swapaxes(1, 2).copy()

    def forward_columns(self, before: Array, lanes: Lanes, step: int, out: Array) -> None:
        """`forward` for columns `(O, K, columns, width)`."""
        matrix = self._at(lanes, step)
        tail = before.shape[2:]
        parts = before.reshape(*self._before, *tail)
        whole = out.reshape(*self._after, *tail)
        np.multiply(matrix[:, 0, ..., None, :], parts[:, 0, :, None], out=whole)
        for label in range(1, self._before[1]):
            whole += matrix[:, label, ..., None, :] * parts[:, label, :, None]

    def new_counts(self) -> Array:
        """Where `count` writes: `(O, K, N, rows)`, 0 at first rows."""
        return np.zeros(self.matrix.shape)

    def count(self, before: Array, after: Array, lanes: Lanes, step: int, counts: Array) -> None:
        """Writes the expected transitions into the rows of a step."""
        width = before.shape[-1]
        product = self._at(lanes, step) * before.reshape(*self._before, 1, width)
        product *= after.reshape(self._after[0], 1, *self._after[1:], width)
        counts[..., lanes.rows(step)] = product.reshape(*self.matrix.shape[:3], width)

    def finish(self, counts: Array) -> Array:
        """Expected transitions from what `count` gathered."""
        return counts

    def _at(self, lanes: Lanes, step: int) -> Array:
        """The factors into the rows of a step, `(O, oldest label, the rest, label, width)`."""
        matrix = self.matrix[..., lanes.rows(step)]
        return matrix.reshape(*self._before, self._after[2], matrix.shape[-1])


def scaled_transitions(log_step: Array, shift: Array, floor: float) -> tuple[Array, float, NDArray[np.bool_]]:
    """`exp(log_step - shift)`, raised to `floor` where possible; its smallest logarithm that is possible; what is.

    Where everything is impossible `shift` is set to 0.
    """
    shift[shift <= LOG_IMPOSSIBLE] = 0.0
    scaled = log_step - shift
    possible: NDArray[np.bool_] = scaled > LOG_IMPOSSIBLE
    smallest = float(np.min(scaled, where=possible, initial=0.0))
    matrix = np.exp(scaled, out=scaled)
    if floor:
        np.maximum(matrix, floor, out=matrix, where=possible)
    return matrix, smallest, possible


def mixing_time(possible: NDArray[np.bool_]) -> int:
    """The least power of `possible` `(O, K, K)` without an element that is 0, or 0."""
    power = possible
    for steps in range(1, LONGEST_MIXING + 1):
        if power.all():
            return steps
        power = np.matmul(power, possible)
    return 0


def steps_to_all(states: int, labels: int) -> int:
    """After how many steps every state may follow every other where no transition is impossible: as many as a state
    has labels."""
    steps, reached = 1, labels
    while reached < states:
        steps, reached = steps + 1, reached * labels
    return steps


def widened(table: NDArray[Any], empty: float | bool) -> NDArray[Any]:
    """`(O, K, K, ...)` from state to state, of a table `(O, K, N, ...)` from state to the label that follows; a state
    is a tuple of labels, the newest last, and what does not follow a tuple is `empty`."""
    outer, states, labels = table.shape[:3]
    if labels == states:
        return table
    rest = states // labels
    full = np.full((outer, labels, rest, rest, labels, *table.shape[3:]), empty, dtype=table.dtype)
    kept = np.arange(rest)
    full[:, :, kept, kept] = table.reshape(outer, labels, rest, labels, *table.shape[3:])
    return full.reshape(outer, states, states, *table.shape[3:])


def gathered(table: Array, labels: int) -> Array:
    """The inverse of `widened`: `(O, K, N, ...)` of `(O, K, K, ...)`."""
    outer, states = table.shape[:2]
    if labels == states:
        return table
    rest = states // labels
    full = table.reshape(outer, labels, rest, rest, labels, *table.shape[3:])
    kept = np.arange(rest)
    return np.ascontiguousarray(full[:, :, kept, kept]).reshape(outer, states, labels, *table.shape[3:])
