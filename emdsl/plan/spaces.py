"""Where each parameter lies once sizes are known, and where start 1 begins."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from emdsl.data.bound import Bound
from emdsl.diagnostics.errors import EmmError
from emdsl.ir.model import Model, Parameter
from emdsl.plan.evaluation import Evaluator
from emdsl.runtime.neutral import neutral
from emdsl.runtime.problem import Array, Space


def make_spaces(
    model: Model, bound: Bound, fix: Mapping[str, Array], init: Mapping[str, Array]
) -> tuple[tuple[Space, ...], dict[str, Array]]:
    """The space of each parameter and its starting value. In `fix` and `init` NaN means not given."""
    evaluator = Evaluator(model, bound)
    spaces, start = [], {}
    for parameter in model.parameters:
        space = _space(parameter, evaluator, bound, fix.get(parameter.name))
        spaces.append(space)
        start[parameter.name] = _start(parameter, space, evaluator, fix.get(parameter.name), init.get(parameter.name))
    return tuple(spaces), start


def _space(parameter: Parameter, evaluator: Evaluator, bound: Bound, fixed: Array | None) -> Space:
    axes = parameter.array_axes
    shape = tuple(len(bound.indexes[axis]) for axis in axes)
    zero = np.zeros(shape, dtype=bool)
    if parameter.only is not None:
        names = tuple(binder.name for binder in parameter.only_binders)
        zero = np.broadcast_to(evaluator.value(parameter.only).aligned(names) == 0, shape).copy()
    held = zero.copy()
    if fixed is not None:
        if parameter.domain.kind in ("covariance", "correlation"):
            _check_whole(parameter, fixed)
        held |= ~np.isnan(fixed)
    if parameter.domain.kind == "contrast":
        held[..., 0] = True
    low, high = _bounds(parameter, evaluator)
    labels = tuple(bound.indexes[axis] for axis in axes)
    event = len(parameter.domain.array_axes)
    return Space(parameter.name, parameter.domain.kind, shape, event, labels, held, zero, low, high)


def _check_whole(parameter: Parameter, fixed: Array) -> None:
    given = ~np.isnan(fixed)
    whole = given.all(axis=(-1, -2)) | ~given.any(axis=(-1, -2))
    if not whole.all():
        raise EmmError(
            "not-supported-yet", f"single elements of the matrix `{parameter.name}` cannot be fixed yet",
            help="fix a whole matrix, or none of its elements",
        )  # fmt: skip


def _bounds(parameter: Parameter, evaluator: Evaluator) -> tuple[float, float]:
    low, high = parameter.domain.low, parameter.domain.high
    return (
        -np.inf if low is None else float(evaluator.value(low).array),
        np.inf if high is None else float(evaluator.value(high).array),
    )


def _start(parameter: Parameter, space: Space, evaluator: Evaluator, fixed: Array | None, given: Array | None) -> Array:
    held = np.zeros(space.shape)
    if fixed is not None:
        held = np.where(np.isnan(fixed), held, fixed)
    value = np.array(neutral(space, held), dtype=float)
    if given is not None and space.kind == "simplex":
        given = _completed(given, value, space)
    for source in (_declared(parameter, space, evaluator), given):
        if source is not None:
            value = np.where(np.isnan(source) | space.fixed, value, source)
    option = "--init" if given is not None else "--fix" if fixed is not None else ""
    _check(parameter, space, value, option)
    return np.asarray(value, dtype=float)


def _completed(given: Array, neutral_value: Array, space: Space) -> Array:
    """Elements of a simplex that are not given share what those given and those fixed leave."""
    cells = int(np.prod(space.shape[len(space.shape) - space.event :]))
    rows = []
    for row, base, fixed in zip(
        given.reshape(-1, cells), neutral_value.reshape(-1, cells), space.fixed.reshape(-1, cells), strict=True
    ):
        row = np.where(fixed, base, row)
        open_ = np.isnan(row)
        left = 1.0 - row[~open_].sum()
        if open_.any() and not open_.all() and left >= 0:
            row = np.where(open_, left * base / max(float(base[open_].sum()), 1e-300), row)
        rows.append(row)
    return np.asarray(rows).reshape(space.shape)


def _declared(parameter: Parameter, space: Space, evaluator: Evaluator) -> Array | None:
    if parameter.init is None:
        return None
    names = tuple(binder.name for binder in parameter.init_binders)
    return np.broadcast_to(evaluator.value(parameter.init).aligned(names), space.shape).astype(float)


def _check(parameter: Parameter, space: Space, value: Array, option: str) -> None:
    bad = ""
    if space.kind == "positive" and (value < 0).any():  # 0 is where a fit leaves what is at the boundary
        bad = "positive"
    elif space.kind == "unit" and ((value < 0) | (value > 1)).any():
        bad = "between 0 and 1"
    elif space.kind == "interval" and ((value < space.low) | (value > space.high)).any():
        bad = f"between {space.low:g} and {space.high:g}"
    elif space.kind == "simplex":
        cells = int(np.prod(space.shape[len(space.shape) - space.event :]))
        flat = value.reshape(-1, cells)
        if (flat < 0).any() or not np.allclose(flat.sum(axis=1), 1.0, rtol=0, atol=1e-6):
            bad = "shares that sum to 1"
    if bad:
        raise EmmError(
            "start-outside-domain", f"the {'value' if option == '--fix' else 'starting value'} of `{parameter.name}` "
            f"must be {bad}", place=option or f"init of {parameter.name}",
            help=f"give one inside its domain: {option or '--init'} {parameter.name}=…",
        )  # fmt: skip
