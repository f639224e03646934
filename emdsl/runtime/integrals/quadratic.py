"""A log-density as a quadratic of hidden numbers."""

from __future__ import annotations

from dataclasses import dataclass

from emdsl.runtime.problem import Array


@dataclass(frozen=True)
class Quadratic:
    """One piece as a quadratic of its own hidden numbers at a centre: `value` `(*cells, units)`, `gradient` `(q,
    *cells, units)`, `hessian` `(q, q, *cells, units)`.
    """

    value: Array
    gradient: Array
    hessian: Array
