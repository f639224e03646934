"""Chains of hidden numbers whose laws enter by mean and variance: blocks of a step's numbers and their multipliers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from emdsl.runtime.integrals.block_tridiagonal import BlockLaw, solve
from emdsl.runtime.integrals.innovations import Innovations
from emdsl.runtime.problem import Array


@dataclass(frozen=True)
class Solved:
    """`law` is the posterior of the b numbers of each step; `whole` that of numbers and multipliers together, its
    blocks being those of the inverse; `evidence` `(*cells, steps)` is what they add to the log-integral, `precisions`
    `(b, *cells, steps)` what is seen says of each number by itself.
    """

    law: BlockLaw
    whole: BlockLaw
    evidence: Array
    precisions: Array

    def multipliers(self, slots: Sequence[int]) -> tuple[Array, Array]:
        """Means `(t, *cells, steps)` and curvatures `(t, t, *cells, steps)` of those of some slots."""
        b = self.law.mean.shape[-1]
        rows = np.asarray(slots) + b
        mean = np.moveaxis(self.whole.mean[..., rows], -1, 0)
        found = self.whole.covariance[..., rows[:, None], rows]
        return mean, -np.moveaxis(found, (-2, -1), (0, 1))

    def cross(self, place: int, slot: int, lag: int) -> Array:
        """Covariances `(*cells, steps)` of a number with the multiplier of the same step or, with a lag of 1, of the
        next one, by step of the number.
        """
        blocks = self.whole.next_covariance if lag else self.whole.covariance
        return np.asarray(blocks[..., place, self.law.mean.shape[-1] + slot])


@dataclass
class Augmented:
    """The block-tridiagonal system of b numbers a step and their multipliers, to be filled with what is seen."""

    b: int
    cells: tuple[int, ...]
    steps: int
    diagonal: Array = field(init=False)
    upper: Array = field(init=False)
    right: Array = field(init=False)

    def __post_init__(self) -> None:
        shape = (*self.cells, self.steps, 2 * self.b)
        self.diagonal, self.upper = np.zeros((*shape, 2 * self.b)), np.zeros((*shape, 2 * self.b))
        self.right = np.zeros(shape)

    def solve(self, laws: Innovations, centre: Array) -> Solved:
        """The posterior and its multipliers; `centre` `(b, *cells, steps)` is where what is seen was developed."""
        b = self.b
        precisions = np.moveaxis(np.diagonal(self.diagonal, axis1=-2, axis2=-1)[..., :b], -1, 0).copy()
        apart = np.broadcast_to(laws.mean, centre.shape) - centre
        for i in range(b):
            self.diagonal[..., i, b + i] = self.diagonal[..., b + i, i] = 1.0
        for lag, ties in enumerate(laws.ties):
            if ties is None:
                continue
            full = np.moveaxis(np.broadcast_to(ties, (b, *centre.shape)), (0, 1), (-1, -2))  # (..., h, r)
            if lag == 0:
                self.diagonal[..., :b, b:] -= full
                self.diagonal[..., b:, :b] -= np.swapaxes(full, -1, -2)
                apart = apart + np.einsum("ij...,j...->i...", np.broadcast_to(ties, (b, *centre.shape)), centre)
            else:
                self.upper[..., :-1, :b, b:] -= full[..., 1:, :, :]
                back = np.concatenate([centre[..., :1], centre[..., :-1]], axis=-1)
                apart = apart + np.einsum("ij...,j...->i...", np.broadcast_to(ties, (b, *centre.shape)), back)
        variances = np.broadcast_to(laws.covariance, (b, *centre.shape))
        self.diagonal[..., b:, b:] = -np.moveaxis(variances, (0, 1), (-2, -1))
        self.right[..., b:] = np.moveaxis(apart, 0, -1)
        if not (np.isfinite(self.diagonal).all() and np.isfinite(self.right).all()):
            raise np.linalg.LinAlgError("the law of hidden variables has no finite integral")
        return self._solved(precisions)

    def _solved(self, precisions: Array) -> Solved:
        """In units in which what is seen says as much of each number, and the multipliers in their reciprocals."""
        b = self.b
        most = precisions.reshape(b, -1).max(axis=-1)
        unit = np.where(most > 0, 1.0 / np.sqrt(np.where(most > 0, most, 1.0)), 1.0)
        unit = np.concatenate([unit, 1.0 / unit])
        both = unit[:, None] * unit
        found = solve(self.diagonal * both, self.upper * both, self.right * unit, definite=False)
        whole = BlockLaw(found.mean * unit, found.covariance * both, found.next_covariance * both, found.log_pivots)
        if not (np.diagonal(whole.covariance, axis1=-2, axis2=-1)[..., :b] > -1e-300).all():
            raise np.linalg.LinAlgError("the law of hidden variables has no finite integral")
        evidence = 0.5 * ((self.right * whole.mean).sum(axis=-1) - whole.log_pivots.sum(axis=-1))
        numbers: Any = (..., slice(0, b), slice(0, b))
        law = BlockLaw(whole.mean[..., :b], whole.covariance[numbers], whole.next_covariance[numbers], whole.log_pivots)
        return Solved(law, whole, evidence, precisions)
