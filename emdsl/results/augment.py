"""The rows of the data with what a fit says of each, in the columns of broom's `augment`.

`.class` and `.uncertainty` of the finite hidden variable that a row lies in (as for `mclust`), `.mean` and `.sd` of a
hidden number, `.fitted` and `.resid` of the observed number (as for `lm` and `lmer`); where there are several such
variables, `.class(z)` and so on. A value that is none is None.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from emdsl.data.bound import Bound, rows_level
from emdsl.data.reading import read_table
from emdsl.data.table import Table
from emdsl.data.wording import element_name
from emdsl.ir.model import Model
from emdsl.plan.hidden_numbers import HiddenNumber
from emdsl.plan.posterior import Marginal
from emdsl.results.posterior import Columns, ancestor, cells

if TYPE_CHECKING:
    from emdsl.results.result import Fit

Values = NDArray[Any]


def augmented(fit: Fit, data: Any = None) -> Columns:
    """The columns, one value for each row of `data`, or of the data of the fit, whose own columns are those that the
    model read."""
    outcome = fit.outcome
    assert outcome.compiled is not None
    model, bound = outcome.model, outcome.bound
    if data is None:
        columns = own_columns(model, bound)
    else:
        table = read_table(data, outcome.request.na)
        bound = outcome.bound_again(table)
        columns = {name: _cells_of(table, name) for name in table.names}
    return columns | _said(fit, replace(bound, seed=outcome.request.seed))


def _said(fit: Fit, bound: Bound) -> Columns:
    outcome, model = fit.outcome, fit.outcome.model
    assert outcome.compiled is not None
    here, theta = outcome.compiled.as_asked(bound, outcome.request), outcome.state.theta
    found: list[tuple[str, str, Values]] = []
    if any(variable.kind == "latent" for variable in model.variables):
        posterior = here.posterior(bound, theta)
        hidden: tuple[Marginal | HiddenNumber, ...] = (*posterior.marginals, *posterior.numbers)
        for item in hidden:
            units = units_of_rows(model, bound, item.level)
            if units is None:
                continue
            if isinstance(item, Marginal):
                values = np.array([*item.labels, None], dtype=object)
                found.append((".class", item.name, values[item.best][units]))
                found.append((".uncertainty", item.name, 1.0 - item.probabilities.max(axis=0)[units]))
                continue
            for name, mean, sd in zip(item.names, item.mean, item.sd, strict=True):
                found += [(".mean", name, mean[units]), (".sd", name, sd[units])]
    numbers = {element_name(name, labels): values for name, labels, values in _elements(model, bound)}
    for predicted in here.predict(bound, theta, level=outcome.request.level).variables:
        units = units_of_rows(model, bound, predicted.level)
        if units is None or predicted.expected is None:
            continue
        found.append((".fitted", predicted.name, predicted.expected[units]))
        seen = numbers.get(predicted.name)
        if predicted.probabilities is None and seen is not None:
            found.append((".resid", predicted.name, (seen - predicted.expected)[units]))
    return _named(found)


def _named(found: Iterable[tuple[str, str, Values]]) -> Columns:
    """`.class` where there is one, `.class(z)` where there are several."""
    kept = list(found)
    kinds = [kind for kind, _, _ in kept]
    return {kind if kinds.count(kind) == 1 else f"{kind}({name})": cells(values) for kind, name, values in kept}


def units_of_rows(model: Model, bound: Bound, level: int) -> NDArray[np.intp] | None:
    """The unit of a level that each row lies in; None for what is outside the plates, or has several units in a row."""
    rows = rows_level(model, bound)
    if not 0 < level <= rows:
        return None
    units = np.empty(bound.rows, dtype=np.intp)
    units[bound.order] = ancestor(bound, rows, level)
    return units


def _elements(model: Model, bound: Bound) -> Iterator[tuple[str, tuple[str, ...], Values]]:
    """Each element of each variable of the data: the variable's name, the element's labels, and its values by unit."""
    for name, values in bound.values.items():
        axes = model.variable(name).axes
        if values.array.ndim == len(axes) + 1:
            for place in product(*(range(len(bound.indexes[axis])) for axis in axes)):
                labels = tuple(bound.indexes[axis][at] for axis, at in zip(axes, place, strict=True))
                yield name, labels, np.asarray(values.array[place])


def own_columns(model: Model, bound: Bound) -> Columns:
    """The data of a fit by row: the columns of plates, and those of variables, as far as there is one value a row."""
    columns: Columns = {}
    for number, level in enumerate(bound.levels[1:], start=1):
        units = units_of_rows(model, bound, number)
        plate = level.plate or ""
        if units is not None and plate in bound.units:
            columns[bound.plate_columns[plate]] = cells(bound.units[plate][units])
    by_key = {".".join((name, *labels)): (name, values) for name, labels, values in _elements(model, bound)}
    for key, column in bound.columns.items():
        name, values = by_key.get(key, ("", None))
        units = None if values is None else units_of_rows(model, bound, bound.level_of(model.variable(name).plate))
        if values is not None and units is not None:
            columns[column] = _readable(values[units], _labels(model, bound, name))
    return columns


def _labels(model: Model, bound: Bound, name: str) -> Sequence[str]:
    values = model.variable(name).values
    return () if values is None else bound.indexes[values]


def _readable(values: Values, labels: Sequence[str]) -> list[Any]:
    """Numbers as they are, codes as labels; what is missing, or leaves several labels open, is None."""
    if np.issubdtype(values.dtype, np.floating):
        return cells(values)
    return [labels[code] if 0 <= code < len(labels) else None for code in values.tolist()]


def _cells_of(table: Table, name: str) -> list[Any]:
    """A column as it stands in a table: numbers where all cells are, else text."""
    column = table.columns[name]
    if column.is_numeric():
        return cells(column.numbers()[0])
    encoded = column.encoded()
    return [None if code < 0 else encoded.labels[code] for code in encoded.codes.tolist()]
