"""Functions of whole vectors and matrices that are known: `logdet`, `mahalanobis`, `traceinv` of constants."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from emdsl.ir.arrays import element
from emdsl.ir.expressions import (
    Apply,
    Binder,
    BinderRef,
    Choose,
    ConstantRef,
    Expression,
    ParameterRef,
    Tabulate,
    VariableRef,
)
from emdsl.ir.model import Model
from emdsl.plan.named import Named, union
from emdsl.runtime.matrix_terms import value_of

#: The number of axes of each argument.
AXES: dict[str, tuple[int, ...]] = {"logdet": (2,), "mahalanobis": (1, 1, 2), "traceinv": (2, 2)}


def array_function(call: Apply, model: Model, value: Callable[[Expression], Named]) -> Named:
    """The function at each cell that its arguments vary over; `value` evaluates one element of an argument."""
    elements: list[tuple[Named, tuple[str, ...]]] = []
    for argument, count in zip(call.args, AXES[call.op], strict=True):
        binders = tuple(Binder(f"entry {k}", axis) for k, axis in enumerate(_axes(argument, count, model)))
        names = tuple(binder.name for binder in binders)
        elements.append((value(element(argument, tuple(map(BinderRef, binders)))), names))
    outer = union(*(tuple(a for a in found.axes if a not in names) for found, names in elements))
    aligned = [found.aligned((*outer, *names)) for found, names in elements]
    size = max(max(array.shape[len(outer) :]) for array in aligned)
    lead = np.broadcast_shapes(*(array.shape[: len(outer)] for array in aligned))
    arrays = [
        np.broadcast_to(array, (*lead, *(size for _ in names))).reshape(-1, *(size for _ in names))
        for array, (_, names) in zip(aligned, elements, strict=True)
    ]
    return Named(outer, value_of(call.op, arrays).reshape(lead))


def _axes(array: Expression, count: int, model: Model) -> tuple[str, ...]:
    match array:
        case ParameterRef(name, indices):
            return model.parameter(name).array_axes[len(indices) :]
        case ConstantRef(name, indices):
            return model.constant(name).axes[len(indices) :]
        case VariableRef(name, indices):
            return model.variable(name).axes[len(indices) :]
        case Tabulate(binders):
            return tuple(binder.index_set for binder in binders[:count])
        case Choose(_, arms):
            return _axes(arms[0].value, count, model)
    raise TypeError(f"no array: {type(array).__name__}")
