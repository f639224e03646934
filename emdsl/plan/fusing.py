"""Which tables by code are read under one joint code, and the codes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from emdsl.runtime.fused import FusedCodes, SharedCode
from emdsl.runtime.pieces import PieceData

Codes = NDArray[np.intp]

#: Fewer rows are read as quickly item by item.
FEWEST_ROWS = 2_000
#: A joint table must be built, and must stay in the cache: at most so many codes, and at most so many rows a code.
MOST_CODES = 1_024
ROWS_A_CODE = 8


def shared_codes(tables: Sequence[PieceData], *, always: bool = False) -> FusedCodes | None:
    """Joint codes of all elements of these tables, which share their hidden axes and rows; None where that does not
    pay. With `always` it is done whatever it costs, for comparing.
    """
    rows = tables[0].rows
    if rows < FEWEST_ROWS and not always:
        return None
    members = [(number, element) for number, data in enumerate(tables) for element in range(len(_code(data)))]
    limit = MOST_CODES if always else min(MOST_CODES, rows // ROWS_A_CODE)
    joint: list[SharedCode] = []
    waiting = [_single(_code(tables[number])[element], (number, element)) for number, element in members]
    while waiting:
        current = waiting.pop(0)
        apart = []
        for other in waiting:
            merged = _merge(current, other, limit)
            if merged is None:
                apart.append(other)
            else:
                current = merged
        joint.append(current)
        waiting = apart
    if len(joint) == len(members):
        return None
    return FusedCodes(tuple(joint), tables[0].level)


def _code(data: PieceData) -> Codes:
    assert data.code is not None
    return data.code


def _single(code: Codes, member: tuple[int, int]) -> SharedCode:
    """One element, its codes those that occur."""
    distinct, place = _distinct(code, int(code.max(initial=0)) + 1)
    return SharedCode((member,), distinct[None], place)


def _merge(one: SharedCode, other: SharedCode, limit: int) -> SharedCode | None:
    """Both under one code, or None where more than `limit` combinations occur."""
    width = other.patterns.shape[1]
    size = one.patterns.shape[1] * width
    if size > limit * limit:
        return None
    distinct, place = _distinct(one.code * width + other.code, size)
    if len(distinct) > limit:
        return None
    patterns = np.concatenate([one.patterns[:, distinct // width], other.patterns[:, distinct % width]])
    return SharedCode(one.members + other.members, patterns, place)


def _distinct(code: Codes, size: int) -> tuple[Codes, Codes]:
    """The codes below `size` that occur, in order, and the place of each row's code among them."""
    occurs = np.zeros(size, dtype=bool)
    occurs[code] = True
    return np.flatnonzero(occurs), (np.cumsum(occurs) - 1)[code]
