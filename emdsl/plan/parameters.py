"""Values that the user gives for all parameters (`--params`), checked: nothing is missing, all lie in their domains."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from emdsl.data.bound import Bound
from emdsl.data.wording import listed
from emdsl.diagnostics.errors import EmmError
from emdsl.ir.model import Model
from emdsl.plan.given import given_arrays
from emdsl.plan.spaces import make_spaces
from emdsl.runtime.problem import Array, Space

#: What the shares of a simplex may miss 1 by.
SHARES_MISS = 1e-6


def known_parameters(model: Model, bound: Bound, values: Mapping[str, Any]) -> dict[str, Array]:
    """The parameters' arrays. Raises `params-missing`, `params-outside-domain` and what `given_arrays` raises.

    Elements that are no unknowns (structural zeros, the first element of a contrast) may be left out.
    """
    spaces, neutral = make_spaces(model, bound, {}, {})
    given = given_arrays(model, bound, values, "params")
    theta = {}
    for space in spaces:
        array = given.get(space.name, np.full(space.shape, np.nan))
        theta[space.name] = np.where(np.isnan(array) & space.fixed, neutral[space.name], array)
    _check_complete(spaces, theta)
    for space in spaces:
        what = _outside(space, theta[space.name])
        if what:
            raise EmmError(
                "params-outside-domain", f"the value of `{space.name}` must be {what}", place="--params",
                help=f"give `{space.name}` a value of its domain",
            )  # fmt: skip
    return theta


def _check_complete(spaces: tuple[Space, ...], theta: Mapping[str, Array]) -> None:
    missing: list[str] = []
    for space in spaces:
        for place in np.argwhere(np.isnan(theta[space.name])):
            labels = (space.labels[axis][position] for axis, position in enumerate(place))
            missing.append(".".join((space.name, *labels)))
    if missing:
        raise EmmError(
            "params-missing", f"there is no value for {listed(missing)}", place="--params",
            help="every parameter needs a value: emdsl fit MODEL DATA --output FILE.json writes such a file",
        )  # fmt: skip


def _outside(space: Space, value: Array) -> str:
    """What a value must be that is not in its domain; empty for one that is."""
    if not np.isfinite(value).all():
        return "finite"
    if space.zero.any() and (value[space.zero] != 0).any():
        return "0 where the model says so"
    match space.kind:
        case "positive":
            # 0 is where a fit leaves what is at the boundary
            return "positive" if (value < 0).any() else ""
        case "unit" | "interval":
            low, high = (0.0, 1.0) if space.kind == "unit" else (space.low, space.high)
            return f"between {low:g} and {high:g}" if ((value < low) | (value > high)).any() else ""
        case "simplex":
            shares = value.reshape(-1, int(np.prod(space.shape[len(space.shape) - space.event :])))
            right = (shares >= 0).all() and np.allclose(shares.sum(axis=1), 1.0, rtol=0.0, atol=SHARES_MISS)
            return "" if right else "shares that sum to 1"
        case "contrast":
            return "0 at the first label" if (value[..., 0] != 0).any() else ""
        case "ordered":
            return "increasing" if (np.diff(value, axis=-1) <= 0).any() else ""
        case "covariance" | "correlation":
            return _not_a_covariance(space.kind, value)
    return ""


def _not_a_covariance(kind: str, value: Array) -> str:
    if not np.allclose(value, np.swapaxes(value, -1, -2), rtol=1e-9, atol=0.0):
        return "symmetric"
    if kind == "correlation" and not np.allclose(np.diagonal(value, axis1=-2, axis2=-1), 1.0, rtol=0.0, atol=1e-9):
        return "a matrix of correlations, with 1 on the diagonal"
    least, most = np.linalg.eigvalsh(value)[..., 0], np.linalg.eigvalsh(value)[..., -1]
    # … as is a matrix that is singular
    return "a positive definite matrix" if (least < -1e-9 * np.abs(most)).any() else ""
