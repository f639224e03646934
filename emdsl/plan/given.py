"""Values that the user gives for parameters (`--init`, `--fix`) as arrays, NaN where nothing is given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from emdsl.data.bound import Bound
from emdsl.diagnostics.errors import EmmError
from emdsl.diagnostics.suggest import closest
from emdsl.ir.model import Model
from emdsl.runtime.problem import Array


def given_arrays(model: Model, bound: Bound, values: Mapping[str, Any], option: str) -> dict[str, Array]:
    """Arrays by parameter from numbers, nested mappings by label, nested lists or arrays.

    `option` (`init`, `fix`) is named in errors. Raises EmmError for names, labels and shapes that do not fit.
    """
    names = [parameter.name for parameter in model.parameters]
    found = {}
    for name, value in values.items():
        if name not in names:
            near = closest(name, names)
            raise EmmError(
                "unknown-parameter", f"the model has no parameter `{name}`", place=f"--{option}",
                help=f"did you mean `{near}`?" if near else f"the parameters are {', '.join(names)}",
            )  # fmt: skip
        parameter = model.parameter(name)
        shape = tuple(len(bound.indexes[axis]) for axis in parameter.array_axes)
        array = np.full(shape, np.nan)
        _fill(array, value, parameter.array_axes, bound, name, option)
        found[name] = _mirrored(array) if parameter.domain.kind in ("covariance", "correlation") else array
    return found


def _fill(array: Array, value: Any, axes: tuple[str, ...], bound: Bound, path: str, option: str) -> None:
    if isinstance(value, Mapping):
        if not axes:
            raise EmmError(
                "wrong-shape", f"`{path}` is a single number, and has no labels", place=f"--{option}",
                help=f"--{option} {path}=0.5",
            )  # fmt: skip
        labels = bound.indexes[axes[0]]
        for label, inner in value.items():
            if str(label) not in labels:
                near = closest(str(label), list(labels))
                raise EmmError(
                    "unknown-label", f"`{label}`, in `{path}.{label}`, is not a label of `{axes[0]}`",
                    place=f"--{option}",
                    help=f"did you mean `{near}`?" if near else f"its labels are {', '.join(labels[:20])}",
                )  # fmt: skip
            place = labels.index(str(label))
            if len(axes) == 1:
                array[place] = _number(inner, f"{path}.{label}", option)
            else:
                _fill(array[place], inner, axes[1:], bound, f"{path}.{label}", option)
        return
    try:
        given = np.asarray(_numbers(value, path, option), dtype=float)
    except ValueError:
        raise EmmError("wrong-shape", f"the rows given for `{path}` differ in length", place=f"--{option}") from None
    if given.shape not in ((), array.shape):
        raise EmmError(
            "wrong-shape",
            f"expected {_size(array.shape)} values for `{path}`, found {_size(given.shape)}", place=f"--{option}",
            help=f"give one number for all its elements, or {_size(array.shape)} of them",
        )  # fmt: skip
    array[...] = given


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "one number"


def _number(value: Any, path: str, option: str) -> float:
    if value is None:
        return float("nan")
    try:
        return float(value)
    except (TypeError, ValueError):
        raise EmmError(
            "not-a-number", f"expected a number for `{path}`, found `{value}`", place=f"--{option}"
        ) from None


def _numbers(value: Any, path: str, option: str) -> Any:
    if isinstance(value, list | tuple):
        return [_numbers(item, path, option) for item in value]
    if isinstance(value, np.ndarray):
        return value.astype(float)
    return _number(value, path, option)


def _mirrored(array: Array) -> Array:
    """Both triangles of symmetric matrices, where one of them is given."""
    return np.where(np.isnan(array), np.swapaxes(array, -1, -2), array)
