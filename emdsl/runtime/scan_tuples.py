"""Transition factors of chains of higher order: a state is the tuple of the last labels, the newest last.

From the tuple `(a, b)`, `a` its oldest label and `b` the rest, a step leads to `(b, c)` with a new label `c`, so that
the factors are a table `(a, b, c)` and not a matrix over pairs of tuples.
"""

from __future__ import annotations

import numpy as np

from emdsl.runtime.chains import ChainLayout, Lanes
from emdsl.runtime.problem import Array
from emdsl.runtime.scan_transitions import mixing_time, scaled_transitions, steps_to_all, widened

#: Up to so many states it is worked out after how many steps every state may follow every other.
MOST_MIXED = 128


class TupleTransitions:
    """The same factors for every row, `log_step` `(O, K, N)` from K tuples of labels to N labels.

    It answers the questions that `scan_transitions.StaticTransitions` answers, whose attributes it has; `matrix` is
    `(O, a, b, c)`.
    """

    def __init__(self, log_step: Array, floor: float = 0.0) -> None:
        outer, states, labels = log_step.shape
        rest = states // labels
        shift = log_step.max(axis=(1, 2), keepdims=True)
        scaled, self.smallest, possible = scaled_transitions(log_step, shift, floor)
        if possible.all():
            self.mixing = steps_to_all(states, labels)
        else:
            self.mixing = mixing_time(widened(possible, False)) if states <= MOST_MIXED else 0
        self.shift = shift[:, 0, 0]
        self.matrix = scaled.reshape(outer, labels, rest, labels)
        self._shape = (outer, states, labels)
        # for each b: from a to c, and from c to a
        self._forth = np.ascontiguousarray(self.matrix.transpose(0, 2, 3, 1))
        self._back = np.ascontiguousarray(self.matrix.transpose(0, 2, 1, 3))

    def total_shift(self, layout: ChainLayout) -> Array:
        """What the shifts add to each chain's log-evidence, `(O, chains)`."""
        shifts: Array = self.shift[:, None] * np.maximum(layout.lengths - 1, 0)
        return shifts

    def forward(self, before: Array, lanes: Lanes, step: int, out: Array) -> None:
        """`out[o, (b, c)] = sum_a matrix[o, a, b, c] * before[o, (a, b)]`."""
        np.matmul(self._forth, self._by_rest(before), out=self._after(out))

    def backward(self, after: Array, lanes: Lanes, step: int, out: Array) -> None:
        """`out[o, (a, b)] = sum_c matrix[o, a, b, c] * after[o, (b, c)]`."""
        np.matmul(self._back, self._after(after), out=self._by_rest(out))

    def columns(self, lanes: Lanes) -> Array:
        """The factors into the lanes' first rows, `(O, K, K entered from, lanes)`."""
        full = widened(self.matrix.reshape(self._shape), 0.0)
        return np.repeat(full.swapaxes(1, 2)[..., None], len(lanes), axis=-1)

    def forward_columns(self, before: Array, lanes: Lanes, step: int, out: Array) -> None:
        """`forward` for columns `(O, K, columns, width)`, both arrays contiguous."""
        flat = (*before.shape[:2], -1)
        self.forward(before.reshape(flat), lanes, step, out.reshape(flat))

    def new_counts(self) -> Array:
        """Where `count` adds up: `(O, b, a, c)`."""
        return np.zeros(self._back.shape)

    def count(self, before: Array, after: Array, lanes: Lanes, step: int, counts: Array) -> None:
        """Adds `before[o, (a, b)] * after[o, (b, c)]`, the expected transitions up to the factor that `finish` puts
        to them."""
        counts += np.matmul(self._by_rest(before), self._after(after).swapaxes(2, 3))

    def finish(self, counts: Array) -> Array:
        """Expected transitions from what `count` gathered, `(O, K, N)`."""
        return (counts * self._back).transpose(0, 2, 1, 3).reshape(self._shape)

    def _by_rest(self, before: Array) -> Array:
        """A view `(O, b, a, width)` of `(O, (a, b), width)`."""
        outer, labels, rest, _ = self.matrix.shape
        return before.reshape(outer, labels, rest, before.shape[-1]).swapaxes(1, 2)

    def _after(self, after: Array) -> Array:
        """A view `(O, b, c, width)` of `(O, (b, c), width)`."""
        outer, labels, rest, _ = self.matrix.shape
        return after.reshape(outer, rest, labels, after.shape[-1])
