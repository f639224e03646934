"""Draws from a truncated law: those outside of its bounds are drawn again."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from emdsl.diagnostics.errors import EmmError
from emdsl.ir.model import Model
from emdsl.simulate.samplers import Floats, Law

#: Times that a draw is repeated before a law is said to have next to nothing within its bounds.
MOST_ROUNDS = 2000


def redrawn(
    law: Law, rng: np.random.Generator, arguments: Mapping[str, Floats], low: Floats, high: Floats, statement: str
) -> Floats:
    """One draw within `low` and `high` (both included) for each set of arguments, all `(draws,)`.

    Raises `cannot-simulate` where some draw is never accepted.
    """
    found = np.full(low.shape, np.nan)
    waiting = np.arange(len(low))
    for _ in range(MOST_ROUNDS):
        chosen = {name: values[waiting] for name, values in arguments.items()}
        drawn = np.asarray(law.draw(rng, chosen, len(waiting)))
        inside = (drawn >= low[waiting]) & (drawn <= high[waiting])
        found[waiting[inside]] = drawn[inside]
        waiting = waiting[~inside]
        if not len(waiting):
            return found
    raise EmmError(
        "cannot-simulate", f"none of {MOST_ROUNDS} draws from `{statement}` fell within its bounds at these parameters",
        help="give other values with --params",
    )  # fmt: skip


def refuse_bounds(model: Model) -> None:
    """Raise for a model of censored or grouped data: when a value is only bounded, and by what, is no part of it."""
    cells = next((variable.cut for variable in model.variables if variable.cut is not None), None)
    if cells is not None:
        raise EmmError(
            "cannot-simulate", f"the model does not say which cells of `{cells.of}` hold bounds, so its data cannot be "
            "simulated", help=f"simulate it without `censored` or `between`, and cut `{cells.of}` afterwards",
        )  # fmt: skip
