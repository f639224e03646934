"""What scikit-learn hands over (arrays without names, `y`, `groups`, weights) as the table that a model reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from emdsl.data.columns import ColumnFinder, data_variables
from emdsl.data.constants import Constants
from emdsl.data.index_sets import IndexSets
from emdsl.data.options import BindOptions
from emdsl.data.reading import read_table
from emdsl.data.table import Table
from emdsl.data.wording import count_of, plain
from emdsl.diagnostics.errors import EmmError
from emdsl.ir.model import Columns, Labels, Model, Range, Variable
from emdsl.simulate.units import known_labels

#: The column of `sample_weight`.
WEIGHT = "sample_weight"


class _AnyTable(Table):
    """A table that has every column: what a model would look for first."""

    def __contains__(self, name: object) -> bool:
        return True


def outer_plates(model: Model) -> tuple[str, ...]:
    """The plates whose units a column tells apart, outermost first."""
    return tuple(plate.name for plate in model.plates if plate.over is None)[:-1]


def feature_columns(model: Model, options: BindOptions, target: str | None, count: int) -> tuple[str, ...]:
    """The columns that a model reads, in the order of declaration, without that of the target; `x0`, `x1`, … where an
    index set is that of the columns themselves, as many as `count` leaves.

    Raises EmmError `features-unnamed` where only the data could tell the names.
    """
    known = known_labels(model, options, options.indexes or {}, design=True)
    written = {item.name for item in model.index_sets if isinstance(item.source, Labels | Range)}
    read = [variable for variable in data_variables(model) if variable.name != target]
    finder = _finder(model, replace(options, indexes=known))
    unknown = {axis for variable in read for axis in finder.axes(variable) if axis not in written | set(known)}
    open_sets = [item.name for item in model.index_sets if item.name in unknown and isinstance(item.source, Columns)]
    users = [variable for variable in read if set(finder.axes(variable)) & unknown]
    if len(unknown) == len(open_sets) == len(users) == 1 and len(finder.axes(users[0])) == 1:
        others = _columns([variable for variable in read if variable not in users], model, options, finder)
        names = tuple(f"x{place}" for place in range(count - len(others)))
        finder = _finder(model, replace(options, indexes={**known, open_sets[0]: names}))
    elif unknown:
        axis = min(unknown)
        raise EmmError(
            "features-unnamed", f"an array has no names of columns, and only they tell the labels of `{axis}`",
            place="X", help=f"pass a data frame, or name the columns: columns={{'{axis}': [...]}}",
        )  # fmt: skip
    return _columns(read, model, options, finder)


def _finder(model: Model, options: BindOptions) -> ColumnFinder:
    """What a model would look for first in a table that has everything."""
    table = _AnyTable((), {}, 0, "the features")
    sets = IndexSets(model, table, options)
    constants = Constants(model, options, sets.labels)
    sets.finder, sets.number = ColumnFinder(model, table, options, sets.labels), constants.number
    return sets.finder


def _columns(
    read: Sequence[Variable], model: Model, options: BindOptions, finder: ColumnFinder
) -> tuple[str, ...]:
    found = [column for variable in read for _, column in finder.columns(variable) if column is not None]
    weights = {options.column(model.variable(weight.variable)) for weight in model.weights}
    return tuple(dict.fromkeys(column for column in found if column not in weights))


def table_of(
    X: Any, model: Model, options: BindOptions, *, target: str | None, y: Any = None, groups: Any = None,
    sample_weight: Any = None,
) -> Table:  # fmt: skip
    """The table: `X` (a data frame, a dict of columns, or an array `(rows, features)` whose columns are those of
    `feature_columns`), with `y` as the column of the target, `groups` as those of the outer plates (one, or a data
    frame of several), and `sample_weight` as a column of weights. Raises EmmError `features` where they do not fit.
    """
    if hasattr(X, "__array__") and not hasattr(X, "columns") and getattr(X.dtype, "names", None) is None:
        X = _named(np.asarray(X), model, options, target)
    table = read_table(X, options.na)
    further: dict[str, Any] = {}
    if target is not None and y is not None:
        further[options.column(model.variable(target))] = y
    further |= _groups(groups, outer_plates(model), options)
    if sample_weight is not None:
        further[WEIGHT] = np.asarray(sample_weight, dtype=float)
    return with_columns(table, further, options.na)


def with_columns(table: Table, further: Mapping[str, Any], na: Sequence[str]) -> Table:
    """The table with further columns, which take the place of those of the same name."""
    if not further:
        return table
    own = read_table({name: _flat(name, values) for name, values in further.items()}, na)
    if own.rows != table.rows:
        raise _misfit(f"`{next(iter(further))}` has {count_of(own.rows, 'value')} for {count_of(table.rows, 'row')}")
    names = (*(name for name in table.names if name not in own), *own.names)
    return replace(table, names=names, columns={**table.columns, **own.columns})


def without_column(table: Table, name: str) -> Table:
    """The table without a column."""
    names = tuple(other for other in table.names if other != name)
    return replace(table, names=names, columns={other: table.columns[other] for other in names})


def _flat(name: str, values: Any) -> Any:
    array = np.asarray(values)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise _misfit(f"expected one column for `{name}`, found an array of shape {array.shape}")
    return array


def _named(X: Any, model: Model, options: BindOptions, target: str | None) -> dict[str, Any]:
    if X.ndim != 2:
        raise _misfit(f"expected an array of rows and features, found one of shape {X.shape}")
    names = feature_columns(model, options, target, X.shape[1])
    if X.shape[1] != len(names):
        raise _misfit(f"the model reads {count_of(len(names), 'column')} ({plain(names)}), and X has {X.shape[1]}")
    return {name: X[:, place] for place, name in enumerate(names)}


def _groups(groups: Any, plates: tuple[str, ...], options: BindOptions) -> dict[str, Any]:
    """The columns of the outer plates."""
    if groups is None:
        return {}
    columns = [options.map.get(plate, plate) for plate in plates]
    if hasattr(groups, "columns") or isinstance(groups, Mapping):
        return {column: groups[column] for column in columns}
    if len(columns) != 1:
        raise _misfit(f"the model has {count_of(len(columns), 'plate')} around its rows, and `groups` is one column")
    return {columns[0]: groups}


def _misfit(message: str) -> EmmError:
    return EmmError("features", message, place="X", help="a data frame with the columns that the model reads does")
