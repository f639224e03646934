"""The first window of each chain: the law of its first units, before every one of them has as many units before it as
the later laws look back to.

With `memory` the furthest that a law looks back, a window is the tuple of the labels of `memory` units, the newest
last, and the chain of windows is of first order. A chain with fewer units has one window, in which the places before
its first unit hold code 0, so that nothing is counted twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdsl.runtime.chains import ChainLayout, Windows
from emdsl.runtime.kernels import LOG_IMPOSSIBLE
from emdsl.runtime.problem import Array


@dataclass(frozen=True)
class OpeningPart:
    """A table with factors of the first units: `axes` are those of its array but the rows, `name@lag` for the label
    `lag` units before.

    `when` and `lag`: it counts for a chain's first `lag` units (`first`), for the others (`after`), or for all
    (`always`). `last`: whether it counts for the last unit of the window too, which otherwise the emissions do.
    """

    axes: tuple[str, ...]
    rows: bool
    when: str
    lag: int
    last: bool


@dataclass(frozen=True)
class _Place:
    """One part at one unit of the first windows that are equally long: the chains, the units, and how its axes lie."""

    chains: NDArray[np.intp]
    units: NDArray[np.intp]
    pick: tuple[Any, ...]
    kept: tuple[str, ...]


@dataclass(frozen=True)
class FirstWindows:
    """The first windows of the chains of one node: `outer` axes, the hidden variables `states` of the chain, and the
    lengths of all axes of the table, `(*outer, *window, chains)`."""

    parts: tuple[OpeningPart, ...]
    outer: tuple[str, ...]
    states: tuple[str, ...]
    memory: int
    shape: tuple[int, ...]

    @property
    def axes(self) -> tuple[str, ...]:
        """All axes but that of the chains, the window's oldest units first."""
        return (*self.outer, *window_axes(self.states, self.memory))

    def forward(self, arrays: Sequence[Array], layout: ChainLayout) -> Array:
        """The log-factors of each chain's first window, from the arrays of the parts."""
        axes = self.axes
        total = np.zeros((*self.shape, layout.chains))
        for depth in range(self.memory - 1):
            chains = self._ending_at(layout, depth)
            for k, axis in enumerate(axes):
                if lag_of(axis) > depth:
                    np.moveaxis(total, k, 0)[1:, ..., chains] = LOG_IMPOSSIBLE
        for part, array in zip(self.parts, arrays, strict=True):
            for place in self._places(part, layout):
                found = array[place.pick]
                found = found[..., place.units] if part.rows else found[..., None]
                total[..., place.chains] += _aligned(found, place.kept, axes)
        return total

    def reverse(self, arrays: Sequence[Array], layout: ChainLayout, adjoint: Array) -> list[Array]:
        """The adjoints of the arrays of the parts, from that of the first windows."""
        axes, found = self.axes, []
        for part, array in zip(self.parts, arrays, strict=True):
            total = np.zeros(array.shape)
            for place in self._places(part, layout):
                share = adjoint[..., place.chains]
                share = share.sum(axis=tuple(k for k, axis in enumerate(axes) if axis not in place.kept))
                left = [axis for axis in axes if axis in place.kept]
                share = share.transpose(*(left.index(axis) for axis in place.kept), len(left))
                inside = total[place.pick]
                if part.rows:
                    inside[..., place.units] += share
                else:
                    total[place.pick] = inside + share.sum(axis=-1)
            found.append(total)
        return found

    def _places(self, part: OpeningPart, layout: ChainLayout) -> Iterator[_Place]:
        """Where a part counts. A label from before the chain is code 0: nothing there depends on it."""
        for depth in range(self.memory):
            chains = self._ending_at(layout, depth)
            for back in range(0 if part.last else 1, depth + 1):
                position = depth - back
                if not counts_at(part.when, part.lag, position) or not len(chains):
                    continue
                moved = [self._moved(axis, back) for axis in part.axes]
                pick = tuple(0 if lag_of(axis) > depth else slice(None) for axis in moved)
                kept = tuple(axis for axis in moved if lag_of(axis) <= depth)
                yield _Place(chains, layout.starts[:-1][chains] + position, pick, kept)

    def _ending_at(self, layout: ChainLayout, depth: int) -> NDArray[np.intp]:
        """The chains whose first window ends with their unit number `depth`, from 0."""
        return np.flatnonzero((layout.lengths > 0) & (np.minimum(layout.lengths, self.memory) - 1 == depth))

    def _moved(self, axis: str, back: int) -> str:
        """The axis of a part as one of the window whose last unit is `back` units later."""
        name = axis.partition("@")[0]
        return label_before(name, lag_of(axis) + back) if name in self.states else axis


def window_axes(states: Sequence[str], memory: int) -> tuple[str, ...]:
    """The axes of a window that ends with the current unit."""
    return tuple(label_before(name, lag) for lag in range(memory - 1, -1, -1) for name in states)


def label_before(name: str, lag: int) -> str:
    """The axis of a hidden variable `lag` units before."""
    return f"{name}@{lag}" if lag else name


def counts_at(when: str, lag: int, position: int) -> bool:
    """Whether a law for a chain's first `lag` units, the others, or all is about the unit at this position."""
    return when == "always" or (position < lag) == (when == "first")


def lag_of(axis: str) -> int:
    """The lag of an axis: 2 of `z@2`, 0 of `z`."""
    return int(axis.partition("@")[2] or 0)


def _aligned(array: Array, kept: Sequence[str], axes: Sequence[str]) -> Array:
    """`(*kept, chains)` as `(*axes, chains)`, missing axes of length 1."""
    order = [kept.index(axis) for axis in axes if axis in kept]
    array = array.transpose(*order, array.ndim - 1)
    return array[tuple(slice(None) if axis in kept else None for axis in axes)]


def window_emissions(emission: Array, windows: Windows) -> Array:
    """`(O, N, rows)` of single units as `(O, N^memory, windows)`: a window emits what its newest unit does."""
    outer, labels = emission.shape[:2]
    newest = emission[..., windows.rows]
    full = np.broadcast_to(newest[:, None], (outer, labels ** (windows.memory - 1), *newest.shape[1:]))
    return full.reshape(outer, -1, newest.shape[-1])


def window_adjoints(
    adjoints: tuple[Array, Array, Array], windows: Windows, labels: int, step_by_row: int, emits: int
) -> tuple[Array, Array, Array]:
    """The adjoints of a scan of windows (of its first windows, its steps, its emissions) as those of single units:
    steps `(O, N^memory, N)`, or of each row, and emissions `(O, N, rows)`."""
    first, step, emit = adjoints
    size = int(windows.rows.max(initial=-1)) + 1
    if step_by_row:
        full = np.zeros((*step.shape[:-1], size))
        full[..., windows.rows] = step
        step = full
    if emits:
        single = np.zeros((len(emit), labels, size))
        single[..., windows.rows] = emit.reshape(len(emit), -1, labels, emit.shape[-1]).sum(axis=1)
        emit = single
    return first, step, emit
