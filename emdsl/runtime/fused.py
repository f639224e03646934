"""Tables by code that share their hidden axes, read as one: several few-level items have a joint code.

Four items of four levels are one item of 256: the joint table is the sum of theirs, built once an iteration, and the
rows then look up one entry in place of four. In reverse the counts by joint code are summed into those of each item.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emdsl.runtime.carriers import Block, weighted
from emdsl.runtime.kernels import take_log, take_log_reverse
from emdsl.runtime.problem import Array


@dataclass(frozen=True)
class SharedCode:
    """Some elements of some tables under one code: `members` are the table and the element of each, `patterns`
    `(members, codes)` its own code behind each joint code, `code` (rows,) the joint code of each row.
    """

    members: tuple[tuple[int, int], ...]
    patterns: NDArray[np.intp]
    code: NDArray[np.intp]


@dataclass(frozen=True)
class FusedCodes:
    """What a fused look-up reads."""

    joint: tuple[SharedCode, ...]
    level: int


@dataclass(frozen=True)
class FusedTables:
    """The tables `own` `(*hidden, elements, codes)`, and that of each joint code `(*hidden, codes)`."""

    own: Sequence[Array]
    joint: Sequence[Array]


def fused_tables(tables: Sequence[Array], c: FusedCodes) -> FusedTables:
    """The tables of the joint codes: each the sum of those of its members."""
    found = []
    for joint in c.joint:
        stacked = np.zeros((*tables[0].shape[:-2], joint.patterns.shape[1]))
        for (table, element), pattern in zip(joint.members, joint.patterns, strict=True):
            stacked += tables[table][..., element, :][..., pattern]
        found.append(stacked)
    return FusedTables(tables, found)


def fused_counts(sums: Sequence[Array], tables: FusedTables, c: FusedCodes) -> list[Array]:
    """The reverse of `fused_tables`: for each table `(*hidden, elements, codes)`, from counts by joint code."""
    found: list[Array] = [np.zeros(table.shape) for table in tables.own]
    for total, joint in zip(sums, c.joint, strict=True):
        for (table, element), pattern in zip(joint.members, joint.patterns, strict=True):
            found[table][..., element, :] = take_log_reverse(total, pattern, found[table].shape[-1])
    return found


def take_fused(tables: FusedTables, c: FusedCodes, rows: slice) -> Array:
    """The log-factor of each row, `(*hidden, rows)`."""
    out = take_log(tables.joint[0], c.joint[0].code[rows])
    scratch = np.empty_like(out)
    for table, joint in zip(tables.joint[1:], c.joint[1:], strict=True):
        np.take(table, joint.code[rows], axis=-1, out=scratch, mode="clip")
        out += scratch
    return out


def take_fused_reverse(adjoint: Array, c: FusedCodes, rows: slice, b: Block, sums: Sequence[Array]) -> None:
    """Adds the expected counts of each joint code to `sums`."""
    adjoint = weighted(adjoint, rows, c.level, b)
    for total, joint in zip(sums, c.joint, strict=True):
        total += take_log_reverse(adjoint, joint.code[rows], total.shape[-1])
