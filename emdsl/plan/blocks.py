"""Blocks of whole outermost units, so that the arrays of one block stay in the cache."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from emdsl.data.bound import Bound
from emdsl.runtime.carriers import Block
from emdsl.runtime.chains import ChainLayout, chain_layout

#: Numbers in the largest array of a block: half a megabyte.
BLOCK_NUMBERS = 1 << 16
#: Rows of a block at least, unless their tables hold more numbers than this.
FEWEST_ROWS, MOST_NUMBERS = 64, 4_000_000
#: Rows of a block of chains: a step of a scan costs the same for one chain as for hundreds.
SCAN_ROWS = 20_000


def make_blocks(bound: Bound, cells: int, scans: set[int], *, together: bool = False) -> list[Block]:
    """The blocks of a data set, `cells` being the largest table for one row. `scans`: levels whose units are hidden
    chains; a chain is never cut, so that one over the outermost units makes a single block. So do units that share
    hidden variables (`together`)."""
    whole = together or 1 in scans
    levels = bound.levels
    outer = levels[1].size if len(levels) > 1 else 1
    rows_of = _ends(bound)
    wanted = max(fewest_rows(cells), BLOCK_NUMBERS // max(cells, 1))
    if scans:
        wanted = max(wanted, SCAN_ROWS)
    cuts = [0]
    if not whole:
        last = rows_of[-1]
        while cuts[-1] < outer:
            begin = 0 if cuts[-1] == 0 else last[cuts[-1] - 1]
            stop = int(np.searchsorted(last, begin + wanted, side="right"))
            cuts.append(min(outer, max(stop, cuts[-1] + 1)))
    else:
        cuts.append(outer)
    return [_block(bound, begin, end, scans) for begin, end in pairwise(cuts)]


def fewest_rows(cells: int) -> int:
    """Rows that a block has at least, with tables of so many cells for one row."""
    return min(FEWEST_ROWS, max(1, MOST_NUMBERS // max(cells, 1)))


def one_block_a_unit(bound: Bound, scans: set[int]) -> Iterator[Block]:
    """A block for each outermost unit; `scans` as for `make_blocks`."""
    for unit in range(bound.levels[1].size):
        yield _block(bound, unit, unit + 1, scans)


def _ends(bound: Bound) -> list[np.ndarray]:
    """For each level below the whole, where the units of each outermost unit end."""
    ends = []
    current = np.arange(1, bound.levels[1].size + 1) if len(bound.levels) > 1 else np.array([1])
    ends.append(current)
    for level in bound.levels[2:]:
        current = level.starts[current]
        ends.append(current)
    return ends


def _block(bound: Bound, begin: int, end: int, scans: set[int]) -> Block:
    rows = [slice(0, 1)]
    starts = [np.array([0, 1])]
    first = [np.array([0])]
    layouts: list[ChainLayout | None] = [None]
    lo, hi = begin, end
    for number, level in enumerate(bound.levels[1:], start=1):
        if number > 1:
            lo, hi = int(level.starts[lo]), int(level.starts[hi])
        parent = rows[-1] if number > 1 else slice(0, 1)
        offsets = np.array([0, hi - lo]) if number == 1 else level.starts[parent.start : parent.stop + 1] - lo
        rows.append(slice(lo, hi))
        starts.append(np.ascontiguousarray(offsets, dtype=np.intp))
        first.append(np.minimum(offsets[:-1], max(hi - lo - 1, 0)))
        layouts.append(chain_layout(starts[-1]) if number in scans else None)
    counts = tuple(np.diff(offsets).astype(np.float64) for offsets in starts)
    sizes = tuple(r.stop - r.start for r in rows)
    return Block(tuple(rows), sizes, tuple(starts), counts, tuple(first), tuple(layouts))
