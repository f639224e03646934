"""Paths of finite states along a chain, weighted: drawn by particles, or one at random for a start."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emdsl.runtime.chains import ChainLayout
from emdsl.runtime.kernels import LOG_IMPOSSIBLE
from emdsl.runtime.problem import Array

Codes = NDArray[np.intp]
#: The chance that a random path of a start stays where it is.
STAY = 0.9


@dataclass(frozen=True)
class Paths:
    """Paths of one chain, `states` `(paths, steps)`, the log-weight `base` that each adds to its log-density, the `run`
    that each was drawn in, and the estimates of the log-evidence by run. `exact`: there are no others.
    """

    states: Codes
    base: Array
    run: Codes
    evidence: Array
    exact: bool

    @property
    def drawn_share(self) -> Array:
        """The weights of the paths where they were drawn: equal in each run, that of a run as its evidence."""
        runs = np.exp(self.evidence - self.evidence.max())
        return np.asarray(runs[self.run] / runs[self.run].sum())


#: Of a chain without steps.
EMPTY = Paths(np.zeros((1, 0), dtype=np.intp), np.zeros(1), np.zeros(1, dtype=np.intp), np.zeros(1), True)


def finite_values(log_first: Array, log_step: Array, log_emit: Array | None, layout: ChainLayout) -> Array:
    """The factors of the finite chain by row, `(rows, K, K)`; in first rows those of the state, whatever is before."""
    k = log_first.shape[1]
    step = log_step[0][..., None] if log_step.ndim == 3 else log_step[0]
    value = np.array(np.broadcast_to(step, (k, k, layout.size)))
    first = log_first[0][..., None] if log_first.ndim == 2 else log_first[0]
    first = np.broadcast_to(first, (k, layout.chains))
    value[..., layout.first_rows] = first[None][..., layout.lengths > 0]
    if log_emit is not None:
        value += log_emit[0][None]
    return np.moveaxis(value, -1, 0)


def random_path(finite: Array, rng: np.random.Generator) -> Paths:
    """One path through what is possible, that mostly stays where it is."""
    length, k = finite.shape[:2]
    states = np.zeros((1, length), dtype=np.intp)
    for t in range(length):
        before = states[0, t - 1] if t else 0
        chance = np.where(finite[t, before] > LOG_IMPOSSIBLE, 1.0, 0.0)
        if not chance.any():
            chance[:] = 1.0
        if t and chance[before] and rng.random() < STAY:
            states[0, t] = before
        else:
            states[0, t] = rng.choice(k, p=chance / chance.sum())
    return Paths(states, np.zeros(1), np.zeros(1, dtype=np.intp), np.zeros(1), False)
