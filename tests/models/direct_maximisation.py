"""Maximum likelihood without EM: the independent reference for models that no published case covers.

A likelihood is an ordinary function of named arrays. It is maximised in an unconstrained vector (logits, logs) by
BFGS and then Newton with central differences, from every start given, and the best is kept. Standard errors are the
inverse of the observed information, taken through the delta method to the parameters as a model declares them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

Array = NDArray[np.float64]
Point = Mapping[str, Array]

GRADIENT_STEP = 1e-5  # of the order of eps^(1/3): balances truncation and rounding of a central first difference
HESSIAN_STEP = 1e-3  # a little above eps^(1/4), for the second difference


@dataclass(frozen=True)
class Block:
    """One parameter array: its name, domain, and the labels of each axis (a simplex and a contrast take the last)."""

    name: str
    domain: str  # real, positive, unit, above one, simplex, contrast
    labels: tuple[tuple[str, ...], ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the array."""
        return tuple(len(axis) for axis in self.labels)

    @property
    def free_shape(self) -> tuple[int, ...]:
        """Of the unconstrained numbers: simplexes and contrasts have one fewer in the last axis."""
        if self.domain in ("simplex", "contrast"):
            return (*self.shape[:-1], self.shape[-1] - 1)
        return self.shape

    def constrain(self, free: Array) -> Array:
        """Unconstrained numbers `free_shape` to the array `shape`."""
        match self.domain:
            case "real":
                return free
            case "positive":
                return np.exp(free)
            case "above one":
                return 1 + np.exp(free)
            case "unit":
                return 1 / (1 + np.exp(-free))
            case "simplex" | "contrast":
                padded = np.concatenate([np.zeros((*free.shape[:-1], 1)), free], axis=-1)
                if self.domain == "contrast":
                    return padded
                powers = np.exp(padded - padded.max(axis=-1, keepdims=True))
                simplex: Array = powers / powers.sum(axis=-1, keepdims=True)
                return simplex
        raise ValueError(self.domain)

    def release(self, value: Array) -> Array:
        """The inverse of `constrain`."""
        match self.domain:
            case "real":
                return value
            case "positive":
                return np.log(value)
            case "above one":
                return np.log(value - 1)
            case "unit":
                return np.log(value) - np.log1p(-value)
            case "simplex":
                return np.log(value[..., 1:]) - np.log(value[..., :1])
            case "contrast":
                return value[..., 1:]
        raise ValueError(self.domain)


@dataclass(frozen=True)
class Optimum:
    """A maximum: the log-likelihood, and estimates and standard errors nested by label as in the JSON of a fit."""

    loglik: float
    estimates: dict[str, Any]
    errors: dict[str, Any]


def maximise(
    log_likelihood: Callable[[Point], float], blocks: Sequence[Block], starts: Sequence[Mapping[str, Any]]
) -> Optimum:
    """The highest of the maxima reached from `starts` (values of every block, inside its domain)."""

    def value(free: Array) -> float:
        total = log_likelihood(_unpack(blocks, free))
        return total if np.isfinite(total) else -1e12

    def cost(free: Array) -> float:
        return -value(free)

    climbs = [minimize(cost, _pack(blocks, start), method="BFGS").x for start in starts]
    free = _polish(value, max(climbs, key=value))
    information = -_hessian(value, free)
    if np.linalg.eigvalsh(information).min() <= 0:
        raise ArithmeticError("the reference is no maximum: its information has no inverse")
    jacobian = _derivative(lambda at: _flat(_unpack(blocks, at)), free)
    errors = np.sqrt(np.einsum("ij,jk,ik->i", jacobian, np.linalg.inv(information), jacobian))
    sizes = [int(np.prod(block.shape)) for block in blocks]
    pieces = np.split(errors, np.cumsum(sizes)[:-1])
    point = _unpack(blocks, free)
    return Optimum(
        loglik=value(free),
        estimates={block.name: nest(point[block.name], block.labels) for block in blocks},
        errors={b.name: nest(piece.reshape(b.shape), b.labels) for b, piece in zip(blocks, pieces, strict=True)},
    )


def nest(array: Array, labels: Sequence[Sequence[str]]) -> Any:
    """An array as nested dictionaries by label; a scalar as a number."""
    if not labels:
        return float(array)
    return {label: nest(array[position], labels[1:]) for position, label in enumerate(labels[0])}


def _unpack(blocks: Sequence[Block], free: Array) -> dict[str, Array]:
    point, offset = {}, 0
    for block in blocks:
        size = int(np.prod(block.free_shape))
        point[block.name] = block.constrain(free[offset : offset + size].reshape(block.free_shape))
        offset += size
    return point


def _pack(blocks: Sequence[Block], point: Mapping[str, Any]) -> Array:
    return np.concatenate([block.release(np.asarray(point[block.name], float)).ravel() for block in blocks])


def _flat(point: Point) -> Array:
    return np.concatenate([np.ravel(array) for array in point.values()])


def _polish(value: Callable[[Array], float], free: Array) -> Array:
    """Newton steps, each kept only if it does not lower the value; ends where the Newton decrement is nothing."""
    for _ in range(20):
        gradient = _derivative(lambda at: np.array([value(at)]), free)[0]
        step = np.linalg.solve(-_hessian(value, free), gradient)
        if value(free + step) < value(free) - 1e-9:
            raise ArithmeticError("the reference's Newton step goes down: the start is too far off")
        free = free + step
        if gradient @ step / 2 < 1e-13:
            return free
    raise ArithmeticError("the reference did not converge")


def _derivative(function: Callable[[Array], Array], at: Array) -> Array:
    """Central differences, `(outputs, inputs)`."""
    columns = []
    for position in range(at.size):
        step = np.zeros_like(at)
        step[position] = GRADIENT_STEP * max(1.0, abs(at[position]))
        columns.append((function(at + step) - function(at - step)) / (2 * step[position]))
    return np.stack(columns, axis=1)


def _hessian(value: Callable[[Array], float], at: Array) -> Array:
    """Central second differences."""
    size = at.size
    steps = np.eye(size) * HESSIAN_STEP
    hessian, centre = np.empty((size, size)), value(at)
    for i in range(size):
        hessian[i, i] = (value(at + steps[i]) - 2 * centre + value(at - steps[i])) / HESSIAN_STEP**2
        for j in range(i):
            corners = value(at + steps[i] + steps[j]) + value(at - steps[i] - steps[j])
            others = value(at + steps[i] - steps[j]) + value(at - steps[i] + steps[j])
            hessian[i, j] = hessian[j, i] = (corners - others) / (4 * HESSIAN_STEP**2)
    return hessian
