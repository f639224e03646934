"""Units that are in the data because a condition held: the probability of it, and how many were passed over.

With `q` the logarithm of the probability that the condition fails, a unit's log-likelihood has the term
`-log(1 - exp(q))`, whose derivative in `q`, `exp(q)/(1 - exp(q))`, is the expected number of units passed over before
one is seen (the mean of a geometric law).
"""

from __future__ import annotations

import numpy as np

from emdsl.runtime.problem import Array


def unseen(failing: Array) -> Array:
    """`-log(1 - exp(q))`, `(*cells, rows)`; 0 where the condition cannot hold, for such units are impossible already.

    log(1 - exp(q)) keeps its digits as Maechler (2012) has it.
    """
    possible = failing < 0.0
    q = np.where(possible, failing, -1.0)
    value = np.where(q > -np.log(2.0), np.log(-np.expm1(q)), np.log1p(-np.exp(q)))
    return np.where(possible, -value, 0.0)


def unseen_reverse(failing: Array, adjoint: Array) -> Array:
    """The adjoint of the log-probability of failing: the expected number of units passed over."""
    possible = failing < 0.0
    q = np.where(possible, failing, -1.0)
    return np.where(possible, adjoint * np.exp(q) / -np.expm1(q), 0.0)
