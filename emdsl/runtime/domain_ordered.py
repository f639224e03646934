"""Increasing vectors: free coordinates are the logarithms of the gaps."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from emdsl.runtime.domain_scalars import exp_or_zero, safe_log
from emdsl.runtime.problem import Array


@dataclass(frozen=True, eq=False)
class OrderedMap:
    """Increasing vectors without fixed elements, `where` (rows, length) their flat positions.

    u_0 = x_0 and u_j = log(x_j - x_{j-1}).
    """

    where: NDArray[np.intp]

    @property
    def size(self) -> int:
        """How many coordinates."""
        return self.where.size

    def free(self, x: Array) -> Array:
        """Coordinates of the flat array x."""
        value = x[self.where]
        return np.concatenate([value[:, :1], safe_log(np.diff(value, axis=1))], axis=1).ravel()

    def write(self, u: Array, out: Array) -> None:
        """The elements at coordinates u, into the flat array out."""
        gaps = u.reshape(self.where.shape).copy()
        gaps[:, 1:] = exp_or_zero(gaps[:, 1:])
        out[self.where] = np.cumsum(gaps, axis=1)

    def steps(self, x: Array) -> Array:
        """1 and then the gaps, `(rows, length)`: the factor that each coordinate moves its tail by."""
        value = x[self.where]
        return np.concatenate([np.ones((len(value), 1)), np.diff(value, axis=1)], axis=1)

    def pullback(self, x: Array, gradient: Array) -> Array:
        """Gradient in u: each coordinate moves every element from its own on."""
        tails = np.cumsum(gradient[self.where][:, ::-1], axis=1)[:, ::-1]
        return (self.steps(x) * tails).ravel()

    def jacobian(self, x: Array) -> Array:
        """dx/du, `(x.size, size)`."""
        rows, length = self.where.shape
        out = np.zeros((x.size, rows, length))
        lower = np.tril(np.ones((length, length)))
        steps = self.steps(x)
        for row in range(rows):
            out[self.where[row], row] = lower * steps[row]
        return out.reshape(x.size, -1)

    def edge(self, x: Array) -> NDArray[np.bool_]:
        """Which coordinates are a gap that has closed."""
        value = x[self.where]
        closed = self.steps(x) <= 1e-12 * np.maximum(np.abs(value).max(axis=1, keepdims=True), 1e-300)
        closed[:, 0] = False
        return np.asarray(closed.ravel())

    @property
    def closed_below(self) -> NDArray[np.bool_]:
        """Where u to minus infinity is a point of the closed domain: every gap."""
        out = np.ones(self.where.shape, dtype=bool)
        out[:, 0] = False
        return out.ravel()

    @property
    def closed_above(self) -> NDArray[np.bool_]:
        """Nowhere."""
        return np.zeros(self.size, dtype=bool)

    @property
    def scale_free(self) -> NDArray[np.bool_]:
        """The gaps."""
        return self.closed_below

    @property
    def elements(self) -> NDArray[np.intp]:
        """The flat position that each coordinate is named after."""
        return self.where.ravel()

    def touched(self, held: NDArray[np.bool_]) -> NDArray[np.intp]:
        """Both ends of a gap that has closed."""
        rows, columns = np.nonzero(held.reshape(self.where.shape))
        return np.concatenate([self.where[rows, columns], self.where[rows, columns - 1]])


@dataclass(frozen=True, eq=False)
class PinnedOrderedMap:
    """One increasing vector some of whose elements are fixed, `where` (length,) its flat positions.

    Below the first fixed element and above the last, u is the logarithm of the gap towards it; between two, the gaps
    are shares of the distance: u = log(gap / last gap of the stretch).
    """

    where: NDArray[np.intp]
    fixed: NDArray[np.bool_]

    @property
    def size(self) -> int:
        """How many coordinates."""
        return int((~self.fixed).sum())

    def stretches(self) -> list[tuple[int, int]]:
        """Runs `(start, end)` of free elements, end exclusive."""
        pins = [-1, *np.flatnonzero(self.fixed).tolist(), len(self.fixed)]
        return [(a + 1, b) for a, b in pairwise(pins) if b > a + 1]

    def free(self, x: Array) -> Array:
        """Coordinates of the flat array x."""
        value, parts = x[self.where], []
        for start, end in self.stretches():
            gaps = safe_log(np.diff(value[max(start - 1, 0) : end + 1]))
            parts.append(gaps[:-1] - gaps[-1] if start > 0 and end < len(value) else gaps)
        return np.concatenate(parts)

    def write(self, u: Array, out: Array) -> None:
        """The elements at coordinates u, into the flat array out (which holds the fixed elements)."""
        value, taken = out[self.where], 0
        for start, end in self.stretches():
            part = u[taken : taken + end - start]
            taken += end - start
            if start == 0:
                value[start:end] = value[end] - np.cumsum(exp_or_zero(part)[::-1])[::-1]
            elif end == len(value):
                value[start:end] = value[start - 1] + np.cumsum(exp_or_zero(part))
            else:
                share = np.append(part, 0.0)
                share = exp_or_zero(share - share.max())
                value[start:end] = value[start - 1] + np.cumsum(share / share.sum())[:-1] * (
                    value[end] - value[start - 1]
                )
        out[self.where] = value

    def jacobian(self, x: Array) -> Array:
        """dx/du, `(x.size, size)`."""
        value, taken = x[self.where], 0
        out = np.zeros((x.size, self.size))
        for start, end in self.stretches():
            count, columns = end - start, slice(taken, taken + end - start)
            gaps = np.diff(value[max(start - 1, 0) : end + 1])
            if start == 0:
                block = -np.triu(np.ones((count, count))) * gaps
            elif end == len(value):
                block = np.tril(np.ones((count, count))) * gaps
            else:
                spread = np.diag(gaps) - np.outer(gaps, gaps) / gaps.sum()
                block = np.cumsum(spread, axis=0)[:-1, :-1]
            out[self.where[start:end], columns] = block
            taken += count
        return out

    def pullback(self, x: Array, gradient: Array) -> Array:
        """Gradient in u from the gradient in x (flat)."""
        return self.jacobian(x).T @ gradient

    def edge(self, x: Array) -> NDArray[np.bool_]:
        """Which coordinates are a gap that has closed."""
        return np.asarray(self.free(x) < -30.0)

    @property
    def closed_below(self) -> NDArray[np.bool_]:
        """Everywhere: a gap may close."""
        return np.ones(self.size, dtype=bool)

    @property
    def closed_above(self) -> NDArray[np.bool_]:
        """Nowhere."""
        return np.zeros(self.size, dtype=bool)

    @property
    def scale_free(self) -> NDArray[np.bool_]:
        """Everywhere: gaps."""
        return self.closed_below

    @property
    def elements(self) -> NDArray[np.intp]:
        """The flat position that each coordinate is named after."""
        return self.where[~self.fixed]

    def touched(self, held: NDArray[np.bool_]) -> NDArray[np.intp]:
        """The elements whose gap has closed."""
        return self.elements[held]
