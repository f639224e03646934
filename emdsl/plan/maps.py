"""Deterministic observations bound to data: tables of what each code allows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdsl.data.bound import Bound
from emdsl.ir.expressions import Expression, VariableRef, walk
from emdsl.ir.model import Map, Model, Variable
from emdsl.plan.evaluation import Evaluator, axis_of, early_units
from emdsl.plan.layout import Axes
from emdsl.plan.limits import check_table
from emdsl.plan.named import ROW, Named, combine
from emdsl.runtime.problem import Array


@dataclass(frozen=True)
class BoundMap:
    """A deterministic observation with its data: `code` `(elements, rows)`, what each row says, one of `codes`; the
    last one is that of a missing cell. Where what is shown depends on other data (`by_row`) every row has its own.
    """

    map: Map
    level: int
    axes: Axes
    code: NDArray[np.intp]
    codes: int
    by_row: bool
    evaluator: Evaluator
    meaning: _Meaning
    begins: Any

    @cached_property
    def table(self) -> Array:
        """`(*hidden, elements, codes)`: 0 where a code's observation is possible, minus infinity elsewhere."""
        axes = self.axes
        allowed = self._allowed_by_row() if self.by_row else self.allowed(self.evaluator)
        shape = (*axes.shape(axes.hidden), *axes.shape(axes.elements), self.codes)
        table = np.where(np.broadcast_to(allowed, shape), 0.0, -np.inf)
        return np.ascontiguousarray(table.reshape(*axes.shape(axes.hidden), -1, self.codes))

    @property
    def numbers(self) -> int:
        """How many numbers `table` holds."""
        return prod((*self.axes.shape(self.axes.cells), self.codes))

    def allowed(self, evaluator: Evaluator) -> NDArray[np.bool_]:
        """Whether a code is possible, on the axes `(*hidden, *elements, codes)` (of length 1 where it does not
        matter), at the places to which `evaluator` confines them. Not for an observation by row.
        """
        shown = _shown(self.map, evaluator.model.variable(self.map.target.name), evaluator)
        table = shown.aligned((*self.axes.hidden, *self.axes.elements))
        return np.asarray(self.meaning.allows(table[..., None], np.arange(self.codes)))

    def _allowed_by_row(self) -> Any:
        shown = _shown(self.map, self.evaluator.model.variable(self.map.target.name), self.evaluator)
        allowed = self.meaning.allows(shown.aligned((*self.axes.hidden, *self.axes.elements, ROW)), self.meaning.code)
        return allowed if self.begins is None else allowed | self.begins


def observed_pairs(model: Model) -> Iterator[Map]:
    """An observed genotype says which unordered pair its two hidden draws make."""
    for variable in model.variables:
        if variable.kind == "observed" and variable.components:
            assert not variable.axes, "arrays of genotypes have been taken apart"
            first, second = (VariableRef(name) for name in variable.components)
            yield Map(f"{variable.name} observed", variable.plate, (), VariableRef(variable.name), (first, second))


def bind_map(statement: Map, model: Model, bound: Bound) -> BoundMap:
    """The table and codes of one deterministic observation."""
    level = bound.level_of(statement.plate)
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
    meaning = _numbers(data) if target.values is None else _labels(data, target, bound)
    one = replace(evaluator, within=dict.fromkeys(hidden, np.zeros(1, dtype=np.intp)))
    by_row = ROW in _shown(statement, target, one).axes
    rows = bound.levels[level].size
    if by_row:
        code = np.arange(rows)
    else:
        code = meaning.code if begins is None else np.where(begins, meaning.codes - 1, meaning.code)
    full = np.broadcast_to(code, (*axes.shape(elements), rows)).reshape(-1, rows)
    codes = rows if by_row else meaning.codes
    return BoundMap(
        statement, level, axes, np.ascontiguousarray(full, dtype=np.intp), codes, by_row, evaluator, meaning, begins
    )  # fmt: skip


def _shown(statement: Map, target: Variable, evaluator: Evaluator) -> Named:
    """What an observation shows: a number, the place of a label, or that of a pair of labels."""
    if isinstance(statement.value, tuple):
        return _pair(statement.value, evaluator, len(evaluator.bound.indexes[target.values or ""]))
    if target.values is not None:
        return _label(statement.value, evaluator, target.values)
    return evaluator.value(statement.value)


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
    distinct, place = np.unique(data[data >= 0], return_inverse=True)
    codes = np.full(data.shape, len(distinct), dtype=np.intp)
    codes[data >= 0] = place.ravel()
    sets = _sets(target, bound, distinct, size)

    def allows(shown: Any, code: Any) -> Any:
        return (sets[code, np.maximum(shown, 0)] & (shown != -1)) | (shown == -2)

    return _Meaning(codes, len(sets), allows)


def _numbers(data: Any) -> _Meaning:
    distinct, code = np.unique(data[~np.isnan(data)], return_inverse=True)
    codes = np.full(data.shape, len(distinct), dtype=np.intp)
    codes[~np.isnan(data)] = code.ravel()
    values = np.append(distinct, np.nan)

    def allows(shown: Any, code: Any) -> Any:
        there = values[code]
        return np.isclose(shown, there, rtol=1e-12, atol=0.0) | np.isnan(there) | np.isnan(shown)

    return _Meaning(codes, len(values), allows)


def _sets(target: Variable, bound: Bound, distinct: NDArray[np.intp], size: int) -> NDArray[np.bool_]:
    """What each of these codes allows, `(codes + 1, size)`. The last row allows everything, for missing cells."""
    given = bound.values[target.name].sets
    sets = np.zeros((len(distinct) + 1, size), dtype=bool)
    single = distinct < size
    sets[np.flatnonzero(single), distinct[single]] = True
    if given is not None:
        sets[np.flatnonzero(~single)] = given[distinct[~single] - size]
    sets[-1] = True
    return sets
