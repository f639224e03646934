"""Chains cut into pieces that run in lockstep: which rows each step of a scan works on."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

RowNumbers = NDArray[np.intp]

#: Chains no longer than this are never cut: a piece's transfer matrix would cost more than the steps it saves.
SHORTEST_CUT = 48
#: Nanoseconds that one more step of a scan costs however few lanes it has (some ten calls of NumPy).
STEP_OVERHEAD = 8_000.0
#: Numbers that one step of a block of lanes works on: small enough for the second-level cache.
NUMBERS_A_STEP = 32_768
#: Multiplications of one matrix product at most: from 2^19 on OpenBLAS splits it among threads, which gains little at
#: this size and, where the other cores are busy, costs ten times the product.
PRODUCT_SIZE = 2**19 - 1


@dataclass(frozen=True, eq=False)
class Lanes:
    """Pieces of chains that run in lockstep, longest first: step `t` works on the first `widths[t]` of them.

    `begin`, `lengths`, `chain`, `piece` (n,): each piece's first row, its number of rows, its chain and its number
    among the pieces of all chains of its kind (cut or whole), counted in the order of the rows. `opens` (n,):
    whether the piece is the first of its chain. `stride` is the distance between the first rows where it is the same
    for all, else 0.
    """

    begin: RowNumbers
    lengths: RowNumbers
    chain: RowNumbers
    piece: RowNumbers
    opens: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.begin)

    @cached_property
    def widths(self) -> tuple[int, ...]:
        """How many lanes each step works on, never increasing."""
        steps = np.arange(int(self.lengths[0]))
        return tuple(np.searchsorted(-self.lengths, -steps, side="left").tolist())

    @cached_property
    def stride(self) -> int:
        if len(self.begin) == 1:
            return 1
        gaps = np.diff(self.begin)
        return int(gaps[0]) if gaps[0] > 0 and bool((gaps == gaps[0]).all()) else 0

    def rows(self, step: int) -> RowNumbers | slice:
        """The rows that step `step` works on: a slice where the lanes are evenly spaced (no copy), else their
        numbers."""
        width = self.widths[step]
        if not self.stride:
            return self.begin[:width] + step
        start = int(self.begin[0]) + step
        return slice(start, start + (width - 1) * self.stride + 1, self.stride)


@dataclass(frozen=True, eq=False)
class Schedule:
    """How the chains of a layout run for one number of states.

    `whole`: blocks of chains that run from end to end; `cut`: blocks of pieces of the chains that are cut.
    `cut_chains` are the numbers of these chains and `pieces` the layout of their pieces, each piece one "row".
    """

    whole: tuple[Lanes, ...]
    cut: tuple[Lanes, ...]
    cut_chains: RowNumbers
    pieces: ChainLayout | None


@dataclass(frozen=True, eq=False)
class ChainLayout:
    """Where chains lie in the rows: `starts` `(chains + 1,)`, chain `c` holding the rows `starts[c]` to `starts[c +
    1] - 1` in order.

    A chain may be empty. Schedules are made once for each shape of the hidden state and kept.
    """

    starts: RowNumbers
    _schedules: dict[tuple[int, int], Schedule] = field(default_factory=dict, repr=False)
    _windows: dict[int, Windows] = field(default_factory=dict, repr=False)

    @property
    def chains(self) -> int:
        return len(self.starts) - 1

    @property
    def size(self) -> int:
        """The number of rows."""
        return int(self.starts[-1])

    @cached_property
    def lengths(self) -> RowNumbers:
        """The number of rows of each chain."""
        return np.diff(self.starts)

    @cached_property
    def first_rows(self) -> RowNumbers:
        """The first row of each chain that has one."""
        return self.starts[:-1][self.lengths > 0]

    def schedule(self, outer: int, states: int) -> Schedule:
        """How to run the chains where each has `states` hidden states in each of `outer` outer cells."""
        key = (outer, states)
        if key not in self._schedules:
            self._schedules[key] = _make_schedule(self, outer, states)
        return self._schedules[key]

    def windows(self, memory: int) -> Windows:
        """The chains of the last `memory` units."""
        if memory not in self._windows:
            self._windows[memory] = _make_windows(self, memory)
        return self._windows[memory]


@dataclass(frozen=True, eq=False)
class Windows:
    """Chains whose "rows" are windows over the last `memory` units of others: the first window of a chain ends with
    its unit number `memory` (or its last, if it has fewer), and each unit after that ends another one.

    `rows` `(windows,)`: the unit that each window ends with; `layout`: where the windows of each chain lie.
    """

    memory: int
    rows: RowNumbers
    layout: ChainLayout


def _make_windows(layout: ChainLayout, memory: int) -> Windows:
    counts = np.where(layout.lengths > 0, np.maximum(layout.lengths - memory + 1, 1), 0)
    starts = np.concatenate([np.zeros(1, dtype=np.intp), np.cumsum(counts)])
    last = np.repeat(layout.starts[1:], counts)
    to_last = np.repeat(starts[1:], counts) - np.arange(int(starts[-1]))
    return Windows(memory, np.asarray(last - to_last, dtype=np.intp), chain_layout(starts))


def chain_layout(starts: NDArray[np.intp]) -> ChainLayout:
    """The layout of chains whose rows are contiguous and in order: `starts` `(chains + 1,)` are offsets from 0, never
    decreasing."""
    return ChainLayout(np.asarray(starts, dtype=np.intp))


def _make_schedule(layout: ChainLayout, outer: int, states: int) -> Schedule:
    limit = _longest_whole(layout.lengths, outer, states)
    is_cut = layout.lengths > limit
    whole = np.flatnonzero(~is_cut & (layout.lengths > 0))
    whole_lanes = Lanes(
        layout.starts[:-1][whole], layout.lengths[whole], whole, whole, np.ones(len(whole), dtype=np.bool_)
    )
    width = max(1, min(NUMBERS_A_STEP // (outer * states), PRODUCT_SIZE // states**2))
    chosen = np.flatnonzero(is_cut)
    if not len(chosen):
        return Schedule(_lane_blocks(whole_lanes, width), (), chosen, None)
    cut_lanes, piece_starts = _cut_into_pieces(layout, chosen)
    cut_width = max(1, min(2 * NUMBERS_A_STEP // (outer * states**2), PRODUCT_SIZE // states**3))
    whole_blocks, cut_blocks = _lane_blocks(whole_lanes, width), _lane_blocks(cut_lanes, cut_width)
    return Schedule(whole_blocks, cut_blocks, chosen, chain_layout(piece_starts))


def _longest_whole(lengths: RowNumbers, outer: int, states: int) -> int:
    """The length past which chains are cut.

    Cutting replaces the steps that few lanes take by the transfer matrices of the pieces, `states` times the work. It
    pays from the step on where the lanes left cost less by their transfer matrices than a step costs by itself.
    """
    longest = int(lengths.max(initial=0))
    transfer = outer * states**2 * (0.4 + 0.1 * states)
    lanes = int(STEP_OVERHEAD / transfer)
    if longest <= SHORTEST_CUT or lanes < 1:
        return longest
    if len(lengths) <= lanes:
        return SHORTEST_CUT
    return max(SHORTEST_CUT, int(np.partition(lengths, len(lengths) - lanes - 1)[len(lengths) - lanes - 1]))


def _cut_into_pieces(layout: ChainLayout, chosen: RowNumbers) -> tuple[Lanes, RowNumbers]:
    """The pieces of the chosen chains, in the order of the rows, and the offsets of each chain's pieces."""
    lengths = layout.lengths[chosen]
    length = int(np.clip(2.0 * float(lengths.sum()) ** (1.0 / 3.0), 16, 256))
    counts = -(-lengths // length)
    piece_starts = np.concatenate([np.zeros(1, dtype=np.intp), np.cumsum(counts)])
    chain = np.repeat(np.arange(len(chosen)), counts)
    nth = np.arange(int(piece_starts[-1])) - piece_starts[chain]
    sizes = np.minimum(length, lengths[chain] - nth * length)
    begin = layout.starts[chosen][chain] + nth * length
    lanes = Lanes(begin, sizes, chosen[chain], np.arange(len(chain)), nth == 0)
    return lanes, piece_starts


def _lane_blocks(lanes: Lanes, width: int) -> tuple[Lanes, ...]:
    """The lanes sorted by length, longest first, in blocks of at most `width`."""
    order = np.argsort(-lanes.lengths, kind="stable")
    parts = [order[start : start + width] for start in range(0, len(order), width)]
    names = [item.name for item in fields(Lanes)]
    return tuple(Lanes(*(getattr(lanes, name)[part] for name in names)) for part in parts)
