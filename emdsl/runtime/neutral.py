"""Values that prefer nothing, and the names of elements."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emdsl.runtime.problem import Array, Space


def neutral(space: Space, fixed: Array | None = None) -> Array:
    """A value inside the domain that prefers no element: 0 on the line, 1 if positive, the middle of an interval, equal
    shares, equal steps, the identity matrix. `fixed` gives the values of fixed elements (elsewhere it is not read)."""
    held = np.asarray(space.fixed, dtype=bool)
    given = np.zeros(space.shape) if fixed is None else np.asarray(fixed, dtype=float)
    match space.kind:
        case "simplex":
            cells = int(np.prod(space.shape[len(space.shape) - space.event :]))
            kept, free = np.where(held, given, 0.0).reshape(-1, cells), ~held.reshape(-1, cells)
            left = np.maximum(1.0 - kept.sum(axis=1, keepdims=True), 0.0)
            shares = kept + free * left / np.maximum(free.sum(axis=1, keepdims=True), 1)
            return np.asarray(shares).reshape(space.shape)
        case "ordered":
            steps = np.arange(space.shape[-1]) - (space.shape[-1] - 1) / 2
            value = np.broadcast_to(steps, space.shape).astype(float)
            return between_pins(value, held, given) if held.any() else value
        case "covariance" | "correlation":
            value = np.broadcast_to(np.eye(space.shape[-1]), space.shape).astype(float)
        case "positive":
            value = np.ones(space.shape)
        case "unit":
            value = np.full(space.shape, 0.5)
        case "interval" if np.isfinite(space.low) and np.isfinite(space.high):
            value = np.full(space.shape, 0.5 * (space.low + space.high))
        case "interval" if np.isfinite(space.low):
            value = np.full(space.shape, space.low + 1.0)
        case "interval" if np.isfinite(space.high):
            value = np.full(space.shape, space.high - 1.0)
        case _:
            value = np.zeros(space.shape)
    return np.asarray(np.where(held, given, value))


def between_pins(value: Array, held: NDArray[np.bool_], given: Array) -> Array:
    """Increasing vectors through their fixed elements: straight lines between two, unit steps outside."""
    rows = value.reshape(-1, value.shape[-1]).copy()
    for row, pins, targets in zip(rows, held.reshape(rows.shape), given.reshape(rows.shape), strict=True):
        at = np.flatnonzero(pins)
        if len(at):
            place = np.arange(len(row))
            inside = np.interp(place, at, targets[at])
            row[:] = inside + np.minimum(place - at[0], 0) + np.maximum(place - at[-1], 0)
    return rows.reshape(value.shape)


def element_names(space: Space) -> tuple[str, ...]:
    """Names of the elements in array order: `tau`, `p.C`, `mu.1.eruptions`; `p["rs1.2"]` where a label is no word."""
    names = []
    for place in np.ndindex(*space.shape):
        labels = [axis[i] for axis, i in zip(space.labels, place, strict=True)]
        if all(label.replace("_", "a").isalnum() for label in labels):
            names.append(".".join([space.name, *labels]))
        else:
            quoted = ", ".join('"' + label.replace('"', '\\"') + '"' for label in labels)
            names.append(f"{space.name}[{quoted}]")
    return tuple(names)
