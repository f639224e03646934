"""Deterministic observations bound to data: tables of what each code allows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from emdsl.data.bound import Bound
from emdsl.ir.expressions import Expression, VariableRef, walk
from emdsl.ir.model import Map, Model, Variable
from emdsl.plan.evaluation import Evaluator, axis_of, early_units
from emdsl.plan.layout import Axes
from emdsl.plan.limits import check_table
from emdsl.plan.named import ROW, Named, combine


@dataclass(frozen=True)
class BoundMap:
    """`table` `(*hidden, elements, codes)` holds 0 where a code's observation is possible and minus infinity
    elsewhere; `code` `(elements, rows)`.
    """

    map: Map
    level: int
    axes: Axes
    table: Any
    code: Any


def observed_pairs(model: Model) -> Iterator[Map]:
    """An observed genotype says which unordered pair its two hidden draws make."""
    for variable in model.variables:
        if variable.kind == "observed" and variable.components:
            assert not variable.axes, "arrays of genotypes have been taken apart"
            first, second = (VariableRef(name) for name in variable.components)
            yield Map(f"{variable.name} observed", variable.plate, (), VariableRef(variable.name), (first, second))


def bind_map(statement: Map, model: Model, bound: Bound) -> BoundMap:
    """The table and codes of one deterministic observation."""
    level = next(number for number, item in enumerate(bound.levels) if item.plate == statement.plate)
    evaluator = Evaluator(model, bound, level=level)
    variables = [
        n for n in walk(statement.value) if isinstance(n, VariableRef) and model.variable(n.name).kind == "latent"
    ]
    order = {v.name: k for k, v in enumerate(model.variables)}
    hidden = tuple(dict.fromkeys(axis_of(v) for v in sorted(variables, key=lambda v: (order[v.name], -v.lag))))
    sizes = {axis_of(v): len(bound.indexes[model.variable(v.name).values or ""]) for v in variables}
    elements = tuple(binder.name for binder in statement.elements)
    sizes |= {binder.name: len(bound.indexes[binder.index_set]) for binder in statement.elements}
    axes = Axes(hidden, elements, (), sizes)
    check_table(f"the law of `{statement.target.name}`", {axis: sizes[axis] for axis in hidden})
    target = model.variable(statement.target.name)
    data = np.asarray(_column(statement, evaluator, elements))
    begins = _begins(statement, model, bound, level)
    if isinstance(statement.value, tuple):
        shown = _pair(statement.value, evaluator, len(bound.indexes[target.values or ""]))
    elif target.values is not None:
        shown = _label(statement.value, evaluator, target.values)
    else:
        shown = evaluator.value(statement.value)
    meaning = _numbers(data) if target.values is None else _labels(data, target, bound)
    table, code = _by_row(shown, meaning, axes, begins) if ROW in shown.axes else _by_code(shown, meaning, axes, begins)
    count = int(np.prod(axes.shape(elements)))
    rows = bound.levels[level].size
    full = np.broadcast_to(code, (*axes.shape(elements), rows))
    return BoundMap(
        statement, level, axes, np.ascontiguousarray(table.reshape(*axes.shape(hidden), count, table.shape[-1])),
        np.ascontiguousarray(full.reshape(count, rows), dtype=np.intp),
    )  # fmt: skip


def _column(statement: Map, evaluator: Evaluator, elements: tuple[str, ...]) -> Any:
    reference = statement.target
    variable = evaluator.model.variable(reference.name)
    value = evaluator.code(reference) if variable.values is not None else evaluator.value(reference)
    return value.aligned((*elements, ROW))


def _begins(statement: Map, model: Model, bound: Bound, level: int) -> Any:
    """`(rows,)`: the units of a chain before which there is none to look back at: their value is not determined.

    None where nothing looks back. The chain may be that of a plate around.
    """
    found: Any = None
    for node in walk(statement.value):
        if isinstance(node, VariableRef) and node.lag:
            early = early_units(model.variable(node.name).plate, node.lag, bound, level)
            found = early if found is None else found | early
    return found


# --- what is shown, and what a cell means -----------------------------------------------------------------------------


@dataclass(frozen=True)
class _Meaning:
    """The distinct cells of a column: `code` `(*elements, rows)` numbers them, the last code being that of an empty
    cell, and `allows(shown, code)` says whether what is shown may stand in such a cell.
    """

    code: Any
    codes: int
    allows: Callable[[Any, Any], Any]


def _label(value: Expression, evaluator: Evaluator, index_set: str) -> Named:
    """The place of the label that is shown in an index set; -1 where it has none such, -2 where nothing is shown."""
    codes = evaluator.code(value)
    source, labels = evaluator.bound.indexes[evaluator.index_set(value)], evaluator.bound.indexes[index_set]
    place = np.array([labels.index(label) if label in labels else -1 for label in source], dtype=np.intp)
    known = (codes.array >= 0) & (codes.array < len(source))
    return Named(codes.axes, np.where(known, place[np.where(known, codes.array, 0)], -2))


def _pair(value: tuple[Expression, Expression], evaluator: Evaluator, size: int) -> Named:
    left, right = evaluator.code(value[0]), evaluator.code(value[1])
    return combine(lambda a, b: np.minimum(a, b) * size + np.maximum(a, b), left, right)


def _labels(data: Any, target: Variable, bound: Bound) -> _Meaning:
    """Labels, or pairs of them: what each code allows, its own label or those of a coarse cell."""
    size = len(bound.indexes[target.values or ""])
    size = size * size if target.genotype or target.components else size
    given = bound.values[target.name].sets
    parts = [np.eye(size, dtype=bool)]
    if given is not None:
        parts.append(np.asarray(given, dtype=bool))
    parts.append(np.ones((1, size), dtype=bool))
    sets = np.concatenate(parts)

    def allows(shown: Any, code: Any) -> Any:
        return (sets[code, np.maximum(shown, 0)] & (shown != -1)) | (shown == -2)

    return _Meaning(np.where(data < 0, len(sets) - 1, data), len(sets), allows)


def _numbers(data: Any) -> _Meaning:
    distinct, code = np.unique(data[~np.isnan(data)], return_inverse=True)
    codes = np.full(data.shape, len(distinct), dtype=np.intp)
    codes[~np.isnan(data)] = code.ravel()
    values = np.append(distinct, np.nan)

    def allows(shown: Any, code: Any) -> Any:
        there = values[code]
        return np.isclose(shown, there, rtol=1e-12, atol=0.0) | np.isnan(there) | np.isnan(shown)

    return _Meaning(codes, len(values), allows)


def _by_code(shown: Named, meaning: _Meaning, axes: Axes, begins: Any) -> tuple[Any, Any]:
    """The table of what each code allows, and the codes of the rows."""
    names = (*axes.hidden, *axes.elements)
    allowed = meaning.allows(shown.aligned(names)[..., None], np.arange(meaning.codes))
    table = np.where(np.broadcast_to(allowed, (*axes.shape(names), meaning.codes)), 0.0, -np.inf)
    return table, meaning.code if begins is None else np.where(begins, meaning.codes - 1, meaning.code)


def _by_row(shown: Named, meaning: _Meaning, axes: Axes, begins: Any) -> tuple[Any, Any]:
    """Where what is shown depends on other data every row has its own column of the table."""
    names = (*axes.hidden, *axes.elements, ROW)
    allowed = meaning.allows(shown.aligned(names), meaning.code)
    if begins is not None:
        allowed = allowed | begins
    rows = meaning.code.shape[-1]
    table = np.where(np.broadcast_to(allowed, (*axes.shape(names[:-1]), rows)), 0.0, -np.inf)
    return table, np.arange(rows)
