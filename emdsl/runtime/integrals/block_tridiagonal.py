"""Symmetric block-tridiagonal systems by cyclic reduction, with the blocks of the inverse.

Buzbee, Golub and Nielson (1970). Blocks of odd number are eliminated at once; what is left is a system of half the
length. On the way back the blocks of the inverse on the diagonal and beside it follow (Takahashi, Fagan and Chin 1973).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from emdsl.runtime.problem import Array


@dataclass(frozen=True)
class BlockLaw:
    """`mean` `(*cells, n, s)` solves the system; `covariance` `(*cells, n, s, s)` are the diagonal blocks of the
    inverse, `next_covariance` those between a block and the next (the last is 0); `log_pivots` `(*cells, n, s)` sum to
    the log-determinant, each belonging to its row.
    """

    mean: Array
    covariance: Array
    next_covariance: Array
    log_pivots: Array


def solve(diagonal: Array, upper: Array, right: Array, *, definite: bool = True) -> BlockLaw:
    """`diagonal` `(*cells, n, s, s)`; `upper` `(*cells, n, s, s)` ties a block to the next (the last is not read);
    `right` `(*more, *cells, n, s)`, solved for each of `more`. Raises LinAlgError where the matrix is not positive
    definite; with `definite` false only where a block that is eliminated is singular, the pivots being absolute values.
    """
    invert = _inverse if definite else _indefinite_inverse
    n = diagonal.shape[-3]
    if n == 1:
        inverse, log_pivots = invert(diagonal)
        return BlockLaw(_apply(inverse, right), inverse, np.zeros_like(upper), log_pivots)
    odd, even = slice(1, None, 2), slice(0, None, 2)
    pivots, log_pivots = invert(diagonal[..., odd, :, :])
    # For each odd block: its ties to the block before and to the one behind (none behind the last).
    before = _transpose(upper[..., even, :, :][..., : n // 2, :, :])
    behind = upper[..., odd, :, :].copy()
    if n % 2 == 0:
        behind[..., -1, :, :] = 0.0
    left, after = _times(pivots, before), _times(pivots, behind)
    half = (n + 1) // 2
    kept = diagonal[..., even, :, :].copy()
    kept[..., : n // 2, :, :] -= _times(_transpose(before), left)
    inner = slice(1, half)
    kept[..., inner, :, :] -= _times(_transpose(behind), after)[..., : half - 1, :, :]
    rest = right[..., even, :].copy()
    eliminated = right[..., odd, :]
    rest[..., : n // 2, :] -= _apply(_transpose(left), eliminated)
    rest[..., inner, :] -= _apply(_transpose(after), eliminated)[..., : half - 1, :]
    ties = np.zeros_like(kept)
    ties[..., : n // 2, :, :] = -_times(_transpose(before), after)
    reduced = solve(kept, ties, rest, definite=definite)
    return _expanded(reduced, pivots, log_pivots, left, after, eliminated, diagonal.shape)


def backwards(law: BlockLaw) -> tuple[Array, Array]:
    """Of each block given the next: the transposed regression `(*cells, n - 1, s, s)` and the root of the covariance
    that is left `(*cells, n, s, s)`.
    """
    across = law.next_covariance[..., :-1, :, :]
    gains = np.linalg.solve(law.covariance[..., 1:, :, :], _transpose(across))
    left = law.covariance.copy()
    left[..., :-1, :, :] -= across @ gains
    return np.asarray(gains, dtype=np.float64), np.asarray(np.linalg.cholesky(left), dtype=np.float64)


def draws(noise: Array, gains: Array, roots: Array) -> Array:
    """Draws with mean 0 of standard normal `noise` `(*cells, draws, n, s)`, from the last block back to the first
    (Carter and Kohn 1994), by what `backwards` gives.
    """
    out = np.matmul(np.moveaxis(noise, -2, -3), np.swapaxes(roots, -1, -2))  # (*cells, n, draws, s)
    for k in range(out.shape[-3] - 2, -1, -1):
        out[..., k, :, :] += out[..., k + 1, :, :] @ gains[..., k, :, :]
    return np.moveaxis(out, -3, -2)


def _expanded(
    reduced: BlockLaw, pivots: Array, log_pivots: Array, left: Array, after: Array, eliminated: Array,
    shape: tuple[int, ...],
) -> BlockLaw:  # fmt: skip
    n = shape[-3]
    odd, even = slice(1, None, 2), slice(0, None, 2)
    count = n // 2
    mean, logs = np.empty((*eliminated.shape[:-2], n, shape[-1])), np.empty(shape[:-1])
    covariance, following = np.empty(shape), np.zeros(shape)
    own = slice(0, count)

    def behind(blocks: Array, axes: int) -> Array:
        """The kept block behind each eliminated one, 0 where there is none."""
        pad = [(0, 0)] * blocks.ndim
        pad[-axes] = (0, 1)
        moved = np.pad(blocks, pad)
        index: Any = (..., slice(1, count + 1), *(slice(None),) * (axes - 1))
        return np.asarray(moved[index])

    mean[..., even, :] = reduced.mean
    mean[..., odd, :] = (
        _apply(pivots, eliminated) - _apply(left, reduced.mean[..., own, :]) - _apply(after, behind(reduced.mean, 2))
    )
    logs[..., even, :], logs[..., odd, :] = reduced.log_pivots, log_pivots
    first = reduced.covariance[..., own, :, :]
    second = behind(reduced.covariance, 3)
    between = reduced.next_covariance[..., own, :, :]
    to_left = -(_times(left, first) + _times(after, _transpose(between)))
    to_right = -(_times(left, between) + _times(after, second))
    covariance[..., even, :, :] = reduced.covariance
    covariance[..., odd, :, :] = pivots - _times(to_left, _transpose(left)) - _times(to_right, _transpose(after))
    following[..., even, :, :][..., own, :, :] = _transpose(to_left)
    following[..., odd, :, :] = to_right
    return BlockLaw(mean, covariance, following, logs)


def _inverse(blocks: Array) -> tuple[Array, Array]:
    """Inverses, and the logarithms of the pivots `(*cells, n, s)`, row by row."""
    s = blocks.shape[-1]
    if s == 1:
        if not (blocks > 0).all():
            raise np.linalg.LinAlgError("not positive definite")
        return 1.0 / blocks, np.log(blocks[..., 0])
    factor = np.linalg.cholesky(blocks)
    root = np.linalg.inv(factor)
    return _transpose(root) @ root, 2 * np.log(np.diagonal(factor, axis1=-2, axis2=-1))


def _indefinite_inverse(blocks: Array) -> tuple[Array, Array]:
    """The same of any regular blocks; a block's determinant is spread over its rows."""
    logdet = np.linalg.slogdet(blocks)[1]
    shape = (*logdet.shape, blocks.shape[-1])
    pivots = np.broadcast_to(logdet[..., None] / blocks.shape[-1], shape)
    return np.asarray(np.linalg.inv(blocks), dtype=np.float64), np.asarray(pivots, dtype=np.float64)


def _transpose(blocks: Array) -> Array:
    return np.swapaxes(blocks, -1, -2)


def _times(a: Array, b: Array) -> Array:
    return a * b if a.shape[-1] == 1 and b.shape[-1] == 1 else a @ b


def _apply(a: Array, x: Array) -> Array:
    return a[..., 0] * x if a.shape[-1] == 1 else np.asarray((a @ x[..., None])[..., 0])
