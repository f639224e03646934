"""Arrays as nested dicts by label, with plain numbers: the form that JSON and the Python face share."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: A number (None where it is not finite), an interval, or a dict of such by label.
Nested = float | list[float | None] | dict[str, Any] | None


def plain(value: float | None) -> float | None:
    """A Python number, None where it is not finite; zero has no sign."""
    return None if value is None or not math.isfinite(value) else float(value) + 0.0


def whole(value: float) -> float | None:
    """A count as an integer where it is one."""
    return int(value) if math.isfinite(value) and value == int(value) else plain(value)


def nest(array: NDArray[Any] | float, labels: Sequence[Sequence[str]]) -> Nested:
    """The array `(*axes)` as dicts of dicts in the order of the labels; intervals, `(*axes, 2)`, end in lists."""
    return _nest(np.asarray(array, dtype=float).tolist(), labels)


def _nest(values: Any, labels: Sequence[Sequence[str]]) -> Nested:
    if labels:
        return {label: _nest(value, labels[1:]) for label, value in zip(labels[0], values, strict=True)}
    return [plain(value) for value in values] if isinstance(values, list) else plain(values)


def missing(labels: Sequence[Sequence[str]], leaf: Nested = None) -> Nested:
    """The same form with nothing known: `leaf` everywhere."""
    return {label: missing(labels[1:], leaf) for label in labels[0]} if labels else leaf


def nested_arrays(
    arrays: Mapping[str, NDArray[Any]] | None, labels: Mapping[str, Sequence[Sequence[str]]], leaf: Nested = None
) -> dict[str, Nested]:
    """Every array by name, in the order of `labels`; one that is not there has `leaf` for each element."""
    arrays = arrays or {}
    return {
        name: nest(arrays[name], axes) if name in arrays else missing(axes, leaf) for name, axes in labels.items()
    }  # fmt: skip
