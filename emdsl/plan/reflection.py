"""The sign of a hidden number: where it may be turned together with what it is multiplied by, most of that is positive.

A factor and its loadings, an ability and its discriminations, have the same likelihood with both signs turned. Of the
two the one with the larger sum is shown. Whether the likelihood is the same is asked of the likelihood itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from emdsl.ir.expressions import Apply, BinderRef, Expression, ParameterRef, VariableRef, walk
from emdsl.ir.latents import is_continuous
from emdsl.ir.model import Model
from emdsl.runtime.problem import Array, Space, Theta


@dataclass(frozen=True)
class Reflection:
    """Parameters that change sign together; `axis` is, for each, the array axis along which every element of the hidden
    array has its own slice (None: the hidden number is one).
    """

    latent: str
    parameters: tuple[tuple[str, int | None], ...]


def reflections(model: Model) -> tuple[Reflection, ...]:
    """For each hidden number with a real law the real parameters that multiply it."""
    found = []
    for variable in model.variables:
        if not is_continuous(variable) or variable.domain.kind != "real" or len(variable.axes) > 1:
            continue
        places = dict.fromkeys(_multipliers(variable.name, model))
        real = all(model.parameter(name).domain.kind == "real" for name, _ in places)
        if places and real and all((axis is None) == (not variable.axes) for _, axis in places):
            found.append(Reflection(variable.name, tuple(places)))
    return tuple(found)


def _multipliers(latent: str, model: Model) -> Iterator[tuple[str, int | None]]:
    for factor in model.factors:
        for node in walk(factor.branches):
            if not isinstance(node, Apply) or node.op != "*":
                continue
            for one, other in (node.args, node.args[::-1]):
                reference = _reference(one, latent)
                if reference is None:
                    continue
                for inner in walk(other):
                    if isinstance(inner, ParameterRef):
                        yield inner.name, _shared_axis(inner, reference)


def _reference(expression: Expression, latent: str) -> VariableRef | None:
    return expression if isinstance(expression, VariableRef) and expression.name == latent else None


def _shared_axis(parameter: ParameterRef, reference: VariableRef) -> int | None:
    if not reference.indices or not isinstance(reference.indices[0], BinderRef):
        return None
    return next((k for k, index in enumerate(parameter.indices) if index == reference.indices[0]), None)


def turned(theta: Theta, reflection: Reflection, spaces: Sequence[Space]) -> Iterator[dict[str, Array]]:
    """Theta with the parameters of one hidden number turned, for each whose sum is negative."""
    fixed = {space.name for space in spaces if space.fixed.any()}
    if fixed & {name for name, _ in reflection.parameters}:
        return
    name, axis = reflection.parameters[0]
    slices = [None] if axis is None else list(range(np.asarray(theta[name]).shape[axis]))
    for k in slices:
        parts = [(other, _slice(np.asarray(theta[other]), place, k)) for other, place in reflection.parameters]
        if sum(float(np.asarray(theta[other])[index].sum()) for other, index in parts) >= 0:
            continue
        new = {key: np.array(value, dtype=float) for key, value in theta.items()}
        for other, index in parts:
            new[other][index] = -new[other][index]
        yield new


def _slice(array: Array, axis: int | None, k: int | None) -> tuple[slice | int, ...]:
    if axis is None or k is None:
        return (Ellipsis,)  # type: ignore[return-value]
    return (*(slice(None),) * axis, k)
