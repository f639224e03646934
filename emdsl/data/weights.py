"""Weights: what a unit counts for."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from emdsl.data.support import WEIGHTS, refuse_outside
from emdsl.data.table import Floats, Table
from emdsl.data.units import Arrangement
from emdsl.diagnostics.errors import EmmError
from emdsl.ir.model import Model


def option_weight(
    model: Model, table: Table, column: str, arrangement: Arrangement, columns: Collection[str]
) -> tuple[str, Floats]:
    """The weights of `--weight`: the outermost plate in which they are constant, and one for each of its units.

    `columns` are those of the model's own weights.
    In the rows of a chain weights have no meaning: a row cannot count twice and have one successor.
    """
    if column not in table:
        raise table.no_column(column, help="--weight COLUMN")
    if column in columns:
        raise EmmError("weight-twice", f"the column `{column}` is a weight of the model already", place="--weight")
    weights = table.numbers(column)
    empty = np.flatnonzero(np.isnan(weights))
    if len(empty):
        raise EmmError(
            "missing-cell", f"the weight may not be empty in column `{column}`", place=table.place(empty, column)
        )
    wrong = np.flatnonzero((weights < 0) | ~np.isfinite(weights))
    if len(wrong):
        raise refuse_outside(table, column, WEIGHTS, wrong)
    weights = arrangement.sorted(weights)
    for plate in model.plates:
        if plate.over is not None:
            continue
        offsets = arrangement.first_rows[plate.name]
        each = weights[offsets[:-1]]
        if not np.array_equal(np.repeat(each, np.diff(offsets)), weights):
            continue
        if plate.ordered:
            raise EmmError(
                "weight-in-chain",
                f"`{column}` weighs the rows of the chain `{plate.name}`, one by one",
                place="--weight",
                help="a chain can only be weighted as a whole, by a column that is constant in it",
            )
        return plate.name, each
    raise EmmError("weight-without-plate", "the model has no plate whose units could be weighted", place="--weight")


def multiplied(weights: dict[str, NDArray[np.float64]], plate: str, factor: NDArray[np.float64], table: Table) -> None:
    """Multiplies a factor into the weights of a plate; `no-weight` if nothing is left."""
    weights[plate] = weights[plate] * factor if plate in weights else factor
    if not weights[plate].any():
        raise EmmError("no-weight", f"all weights of `{plate}` are 0", place=table.source)
