"""Symmetric positive definite matrices that fall into components: numbers of different ones are not tied.

The blocks of all components stand in one flat array, those of the same size next to each other, so that each size is
inverted at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from emdsl.runtime.problem import Array

Codes = NDArray[np.intp]


@dataclass(frozen=True)
class Components:
    """Which component each number belongs to, `label` `(numbers,)` from 0 on without holes."""

    label: Codes

    @cached_property
    def counts(self) -> Codes:
        """Numbers of each component."""
        return np.bincount(self.label).astype(np.intp) if len(self.label) else np.zeros(0, dtype=np.intp)

    @property
    def largest(self) -> int:
        """Numbers of the largest component."""
        return int(self.counts.max(initial=0))

    @cached_property
    def _order(self) -> Codes:
        """The numbers by size of component, component by component."""
        return np.lexsort((np.arange(len(self.label)), self.label, self.counts[self.label])).astype(np.intp)

    @cached_property
    def _place(self) -> Codes:
        """The place of each number in its component."""
        place = np.empty(len(self.label), dtype=np.intp)
        ordered = self.label[self._order]
        every = np.arange(len(ordered))
        begins = np.append(True, np.diff(ordered) != 0)[: len(ordered)]
        place[self._order] = every - np.maximum.accumulate(np.where(begins, every, 0))
        return place

    @cached_property
    def _row(self) -> Codes:
        """Where the row of each number begins in the flat array."""
        row = np.empty(len(self.label), dtype=np.intp)
        sizes = self.counts[self.label[self._order]]
        row[self._order] = np.cumsum(sizes) - sizes
        return row

    @property
    def flat_size(self) -> int:
        """Numbers of the flat array."""
        return int((self.counts.astype(np.int64) ** 2).sum())

    def together(self, first: Codes, second: Codes) -> NDArray[np.bool_]:
        """Whether pairs of numbers are of one component."""
        return np.asarray(self.label[first] == self.label[second])

    def place(self, first: Codes, second: Codes) -> Codes:
        """Where the entry of each pair of one component stands in the flat array."""
        return np.asarray(self._row[first] + self._place[second])

    def blocks(self, flat: Array) -> Iterator[tuple[Codes, Array]]:
        """For each size the numbers `(components, size)` and the blocks `(components, size, size)`, a view."""
        sizes = self.counts[self.label[self._order]]
        at, begin = 0, 0
        for size in np.unique(sizes).tolist():
            numbers = int((sizes == size).sum())
            count = numbers // size
            members = self._order[at : at + numbers].reshape(count, size)
            yield members, flat[begin : begin + count * size * size].reshape(count, size, size)
            at, begin = at + numbers, begin + count * size * size

    def read(self, flat: Array, first: Codes, second: Codes) -> Array:
        """Entries of pairs, 0 for numbers of different components."""
        inside = self.together(first, second)
        return np.where(inside, flat[np.where(inside, self.place(first, second), 0)], 0.0)


def inverse(blocks: Array) -> tuple[Array, Array]:
    """Inverses of `(n, s, s)`, and their log-determinants `(n,)`. Raises LinAlgError where one is not positive
    definite.
    """
    if blocks.shape[-1] == 1:
        if not (blocks > 0).all():
            raise np.linalg.LinAlgError("not positive definite")
        return 1.0 / blocks, np.log(blocks[..., 0, 0])
    scale = np.sqrt(np.maximum(np.diagonal(blocks, axis1=-2, axis2=-1), 1e-300))
    outer = scale[..., :, None] * scale[..., None, :]
    factor = np.linalg.cholesky(blocks / outer)
    root = np.linalg.inv(factor)
    logdet = 2 * (np.log(np.diagonal(factor, axis1=-2, axis2=-1)) + np.log(scale)).sum(axis=-1)
    return np.swapaxes(root, -1, -2) @ root / outer, np.asarray(logdet)
