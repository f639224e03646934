"""Updates of means and covariances in Gaussian pieces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from emdsl.runtime.problem import Array, Space, Theta


def covariance_update(
    name: str, own: Sequence[tuple[Any, Array]], theta: Theta, space: Space, priors: Sequence[tuple[Array, Array]] = ()
) -> Array:
    """`C = R / n`, R the residual moments about the newest means, summed over the cells that share C (Anderson 2003,
    theorem 3.2.1).

    `own` lists the Gaussian pieces with their expected monomials, `priors` what log-priors add to n (entry by entry)
    and R, `-a/2 log det C - 1/2 tr(C^-1 B)`, in the parameter's shape. A covariance that nothing touches stays as it
    was.
    """
    total = np.zeros(np.shape(theta[name]))
    count = np.zeros(np.shape(theta[name]))
    for piece, statistics in own:
        n, residual = piece.data.residual(statistics, piece.mean_of(theta))
        total = total + piece.covariance.scatter(residual)
        count = count + piece.covariance.scatter(np.broadcast_to(n[..., None, None], residual.shape))
    for units, moment in priors:
        total, count = total + moment, count + units
    new = np.where(count > 0, total / np.where(count > 0, count, 1.0), theta[name])
    new = 0.5 * (new + np.swapaxes(new, -1, -2))
    return np.where(space.fixed, theta[name], new)


def mean_update(name: str, own: Sequence[tuple[Any, Array]], theta: Theta, space: Space) -> Array:
    """Weighted means. Where cells with different covariances share a mean, the generalised least-squares equations
    `sum C^-1 n m = sum C^-1 S` are solved; with one covariance for each mean these reduce to `S / n`."""
    shared = all(_own_covariance(piece) for piece, _ in own) and len(own) == 1
    if shared and not space.fixed.any():
        piece, statistics = own[0]
        n, first = piece.data.first_moment(statistics)
        total = piece.mean.scatter(first)
        count = piece.mean.scatter(np.broadcast_to(n[..., None], first.shape))
        new = np.where(count > 0, total / np.where(count > 0, count, 1.0), theta[name])
        return np.where(space.fixed, theta[name], new)
    length = int(np.prod(space.shape))
    left, right = np.zeros((length, length)), np.zeros(length)
    for piece, statistics in own:
        _normal_equations(piece, statistics, theta, left, right)
    free = ~space.fixed.ravel() & (np.diagonal(left) > 0)
    new = np.asarray(theta[name], dtype=float).ravel().copy()
    right = right - left[:, ~free] @ new[~free]
    new[free] = np.linalg.solve(left[np.ix_(free, free)], right[free])
    return new.reshape(space.shape)


def _own_covariance(piece: Any) -> bool:
    """Whether every cell that shares a mean shares its covariance too."""
    hidden = range(len(piece.data.hidden))
    covariance = {axis for axis in piece.covariance.axes if axis in hidden}
    return covariance <= set(piece.mean.axes) and piece.mean.permutation is not None


def _normal_equations(piece: Any, statistics: Array, theta: Theta, left: Array, right: Array) -> None:
    n, first = piece.data.first_moment(statistics)
    covariance = piece.covariance_of(theta)
    precision = np.broadcast_to(np.linalg.inv(covariance), (*n.shape, *covariance.shape[-2:]))
    d = precision.shape[-1]
    shape = [piece.mean.cells[k] if k in piece.mean.axes else 1 for k in range(len(piece.mean.cells))]
    places = np.broadcast_to(piece.mean.flat.reshape(shape), (*n.shape, d)).reshape(-1, d)
    blocks = (n[..., None, None] * precision).reshape(-1, d, d)
    targets = (precision @ first[..., None])[..., 0].reshape(-1, d)
    for place, block, target in zip(places, blocks, targets, strict=True):
        left[np.ix_(place, place)] += block
        np.add.at(right, place, target)


def gaussian_gradient(piece: Any, statistics: Array, theta: Theta) -> tuple[Array | None, Array]:
    """Gradients of Q in the mean and covariance arrays (entries of a covariance taken as free of each other).

    `dQ/dm = C^-1 (S1 - n m)`, `dQ/dC = 1/2 C^-1 (R - n C) C^-1` (Petersen & Pedersen 2012, equations 57, 61, 85).
    """
    mean, covariance = piece.mean_of(theta), piece.covariance_of(theta)
    precision = np.linalg.inv(covariance)
    n, first = piece.data.first_moment(statistics)
    _, residual = piece.data.residual(statistics, mean)
    slope = 0.5 * precision @ (residual - n[..., None, None] * covariance) @ precision
    in_covariance = piece.covariance.scatter(np.broadcast_to(slope, residual.shape))
    if not piece.mean_name:
        return None, in_covariance
    in_mean = (precision @ (first - n[..., None] * mean)[..., None])[..., 0]
    return piece.mean.scatter(np.broadcast_to(in_mean, first.shape)), in_covariance
