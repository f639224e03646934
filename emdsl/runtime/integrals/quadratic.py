"""A log-density as a quadratic of hidden numbers."""

from __future__ import annotations

from dataclasses import dataclass

from emdsl.runtime.problem import Array


@dataclass(frozen=True)
class Quadratic:
    """One piece as a quadratic of its own hidden numbers at a centre: `value` `(*cells, units)`, `gradient` `(q,
    *cells, units)`, `hessian` `(q, q, *cells, units)`. `by_row`: it was taken row by row, for moments would have lost
    digits; so must the posterior be.
    """

    value: Array
    gradient: Array
    hessian: Array
    by_row: bool = True
