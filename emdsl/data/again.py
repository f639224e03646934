"""New rows bound as those of an earlier fit were: labels frozen, columns found where they stood."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from emdsl.data.binding import bind
from emdsl.data.bound import Bound
from emdsl.data.options import BindOptions
from emdsl.data.table import NumberColumn, Table
from emdsl.ir.model import Model


def bind_again(
    model: Model, table: Table, options: BindOptions, indexes: Mapping[str, tuple[str, ...]],
    columns: Mapping[str, str] | None = None,
) -> Bound:  # fmt: skip
    """`bind`, with the `indexes` of the fit and its `columns` by variable (or element, `y.a`), where the table has
    them and the user does not say otherwise. A weight that the table does not have is 1: a new row stands for one."""
    known = {
        key: column
        for key, column in (columns or {}).items()
        if not key.startswith("--") and column in table and not _is_mapped(key, options)
    }
    options = replace(options, indexes=dict(indexes) or None, map={**_applicable(known, model), **options.map})
    return bind(model, with_weights(model, table, options), options)


def with_weights(model: Model, table: Table, options: BindOptions) -> Table:
    """The table with a column of 1 for every weight that it does not have."""
    missing = []
    for weight in model.weights:
        variable = model.variable(weight.variable)
        column = options.column(variable)
        if column not in table:
            missing.append(column)
    if not missing:
        return table
    ones = {column: NumberColumn(np.ones(table.rows)) for column in missing}
    return replace(table, names=(*table.names, *missing), columns={**table.columns, **ones})


def _is_mapped(key: str, options: BindOptions) -> bool:
    """Whether the user maps this variable or element, in whatever spelling."""
    base = key.partition(".")[0]
    return any(name.partition(".")[0].partition("[")[0] == base for name in options.map)


def _applicable(known: Mapping[str, str], model: Model) -> dict[str, str]:
    """The columns that are not simply the variable's name, of variables that the model has."""
    names = {item.name for item in model.variables}
    return {key: column for key, column in known.items() if key.partition(".")[0] in names and column != key}
