"""Deterministic observations bound to data: tables of what each code allows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from emdsl.data.bound import Bound
from emdsl.diagnostics.errors import EmmError
from emdsl.ir.expressions import Expression, VariableRef, walk
from emdsl.ir.model import Map, Model
from emdsl.plan.evaluation import Evaluator, axis_of
from emdsl.plan.layout import Axes
from emdsl.plan.named import ROW, Named


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
        if variable.kind == "observed" and variable.components and not variable.axes:
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
    hidden = tuple(dict.fromkeys(axis_of(v) for v in sorted(variables, key=lambda v: order[v.name])))
    sizes = {axis_of(v): len(bound.indexes[model.variable(v.name).values or ""]) for v in variables}
    elements = tuple(binder.name for binder in statement.elements)
    sizes |= {binder.name: len(bound.indexes[binder.index_set]) for binder in statement.elements}
    axes = Axes(hidden, elements, (), sizes)
    shape = (*axes.shape(hidden), *axes.shape(elements))
    target = model.variable(statement.target.name)
    data = np.asarray(_column(statement, evaluator, elements))
    if isinstance(statement.value, tuple):
        allowed, code = _genotype(statement.value, evaluator, data, bound, statement, target.values or "")
    elif target.values is not None:
        allowed, code = _finite(statement.value, evaluator, data, bound, statement, target.values)
    else:
        allowed, code = _numeric(statement.value, evaluator, data)
    table = np.where(allowed.aligned((*hidden, *elements, "#code")), 0.0, -np.inf)
    full = np.broadcast_to(table, (*shape, table.shape[-1]))
    count = int(np.prod(axes.shape(elements)))
    flat = full.reshape(*axes.shape(hidden), count, table.shape[-1])
    return BoundMap(statement, level, axes, np.ascontiguousarray(flat), np.ascontiguousarray(code.reshape(count, -1)))


def _column(statement: Map, evaluator: Evaluator, elements: tuple[str, ...]) -> Any:
    reference = statement.target
    variable = evaluator.model.variable(reference.name)
    value = evaluator.code(reference) if variable.values is not None else evaluator.value(reference)
    return value.aligned((*elements, ROW))


def _finite(
    value: Expression, evaluator: Evaluator, data: Any, bound: Bound, statement: Map, index_set: str
) -> tuple[Named, Any]:
    codes = evaluator.code(value)
    source = bound.indexes[evaluator.index_set(value)]
    labels = bound.indexes[index_set]
    place = np.array([labels.index(label) if label in labels else -1 for label in source], dtype=np.intp)
    result = place[codes.array]
    sets = _sets(statement, bound, len(labels))
    allowed = sets.T[result]  # (..., codes)
    allowed[result < 0] = False
    return Named((*codes.axes, "#code"), allowed), _with_missing(data, len(sets))


def _genotype(
    value: tuple[Expression, Expression], evaluator: Evaluator, data: Any, bound: Bound, statement: Map, index_set: str
) -> tuple[Named, Any]:
    size = len(bound.indexes[index_set])
    left, right = evaluator.code(value[0]), evaluator.code(value[1])
    axes = tuple(dict.fromkeys((*left.axes, *right.axes)))
    a, b = np.broadcast_arrays(left.aligned(axes), right.aligned(axes))
    pair = np.minimum(a, b) * size + np.maximum(a, b)
    sets = _sets(statement, bound, size * size)
    allowed = sets.T[pair]
    return Named((*axes, "#code"), allowed), _with_missing(data, len(sets))


def _sets(statement: Map, bound: Bound, size: int) -> Any:
    """One row for each code: what it allows. The last row allows everything, for missing cells."""
    given = bound.values[statement.target.name].sets
    parts = [np.eye(size, dtype=bool)]
    if given is not None:
        parts.append(np.asarray(given, dtype=bool))
    parts.append(np.ones((1, size), dtype=bool))
    return np.concatenate(parts)


def _with_missing(data: Any, codes: int) -> Any:
    return np.where(data < 0, codes - 1, data)


def _numeric(value: Expression, evaluator: Evaluator, data: Any) -> tuple[Named, Any]:
    result = evaluator.value(value)
    if ROW in result.axes:
        raise EmmError("not-supported-yet", "a deterministic observation that depends on other data has no plan yet")
    distinct, code = np.unique(data[~np.isnan(data)], return_inverse=True)
    codes = np.full(data.shape, len(distinct), dtype=np.intp)
    codes[~np.isnan(data)] = code.ravel()
    allowed = np.isclose(result.array[..., None], distinct, rtol=1e-12, atol=0.0)
    allowed = np.concatenate([allowed, np.ones((*result.array.shape, 1), dtype=bool)], axis=-1)
    return Named((*result.axes, "#code"), allowed), codes
