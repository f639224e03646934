"""The sign of a hidden number: where it may be turned together with what it is multiplied by, most of that is positive;
and a start that is no saddle point.

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


def off_the_saddle(
    theta: Theta, gradient: Theta, mirrors: Sequence[Reflection], spaces: Sequence[Space]
) -> dict[str, Array] | None:
    """Theta with multipliers of hidden numbers away from 0, where all of one number are 0 and without slope: by
    symmetry, so that a climb would never, or late, leave it. None where there is no such number.

    The multipliers of a number, or of the first element of an array, become about HALF; those of further elements
    alternate, as cosines do, so that no two elements are alike.
    """
    by_name = {space.name: space for space in spaces}
    steepest = max((float(np.abs(slope).max(initial=0.0)) for slope in gradient.values()), default=0.0)
    new = {name: np.array(value, dtype=float) for name, value in theta.items()}
    moved = False
    for mirror in mirrors:
        names = [name for name, _ in mirror.parameters]
        if any(by_name[name].fixed.any() or np.any(theta[name]) for name in names):
            continue
        if any(np.abs(gradient[name]).max(initial=0.0) > 1e-9 * (1.0 + steepest) for name in names):
            continue
        for name, axis in mirror.parameters:
            new[name][...] = _uneven(np.shape(theta[name]), axis)
            moved = True
    return new if moved else None


#: Where multipliers begin that would begin at a saddle point.
HALF = 0.5


def _uneven(shape: tuple[int, ...], axis: int | None) -> Array:
    """Numbers about HALF; along `axis`, the elements of the hidden array, cosines of more and more waves."""
    lead = 1 if axis is None else shape[axis]
    rest = int(np.prod(shape)) // max(lead, 1)
    place = (np.arange(rest) + 0.5) / rest
    waves = np.cos(np.pi * np.arange(lead)[:, None] * place)
    table = HALF * waves * (1.0 + 0.3 * np.sin(1.0 + np.arange(rest)))
    if axis is None:
        return np.asarray(table.reshape(shape))
    others = [size for k, size in enumerate(shape) if k != axis]
    return np.moveaxis(table.reshape(lead, *others), 0, axis)


def _slice(array: Array, axis: int | None, k: int | None) -> tuple[slice | int, ...]:
    if axis is None or k is None:
        return (Ellipsis,)  # type: ignore[return-value]
    return (*(slice(None),) * axis, k)
