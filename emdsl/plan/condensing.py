"""An E-step over rows that differ in one number alone, summed at a few of them (`emdsl.runtime.standing`).

This needs a program of one plate whose factors are products of statistics with eta tables, and look-ups by code: what a
row adds is then the logarithm of a sum of exponentials, smooth in the one number of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from emdsl.data.bound import Level
from emdsl.data.counting import unit_weights
from emdsl.plan.blocks import make_blocks
from emdsl.plan.nodes import Add, Affine, Fused, LogSumExp, Node, Power, SegmentSum, Table, Take, in_order
from emdsl.runtime.carriers import Block, RowTable, affine, take
from emdsl.runtime.fused import FusedCodes, take_fused
from emdsl.runtime.pieces import PieceData
from emdsl.runtime.problem import Array
from emdsl.runtime.standing import Condenser, Line, Rows, Standing, line_of, still_stands

if TYPE_CHECKING:
    from emdsl.plan.bound_program import Constants
    from emdsl.plan.program import Program

#: Fewer rows are summed as quickly one by one.
FEWEST_ROWS = 20_000
#: More cells of hidden values, or more groups of rows by their codes, would leave too many rows standing.
MOST_CELLS, MOST_GROUPS = 1_024, 64
#: So many rows of a column show soon whether its values are many.
MANY = 1_000
#: E-steps over all rows before the first over some, and after an attempt that found too many: laying intervals costs
#: as much as several of these.
PATIENCE, LONGEST = 3, 64


def is_condensable(root: Node) -> bool:
    """Whether a program's units are rows of one plate whose factors are statistics and codes times tables."""
    kinds = (Add, Affine, Fused, LogSumExp, Power, SegmentSum, Table, Take)
    nodes = in_order(root)
    leaves = [node for node in nodes if isinstance(node, Affine | Fused | Table | Take)]
    return (
        isinstance(root, SegmentSum)
        and root.level == 0
        and all(isinstance(node, kinds) for node in nodes)
        and all(node.level == 1 for node in leaves)
        and any(isinstance(node, Affine) for node in leaves)
        and any(isinstance(node, LogSumExp) for node in nodes)
    )


@dataclass
class Condensed:
    """The rows that stand for all, with the data of the program for them."""

    standing: Standing
    constants: Constants
    blocks: Sequence[Block]


class CondensedSums:
    """Chooses the rows as the parameters move. `root` is the program with a weight for each row."""

    def __init__(self, program: Program, root: Node) -> None:
        self._program, self._nodes = program, in_order(root)
        #: What the log-factors of a row are sums of.
        self.leaves = [node for node in self._nodes if isinstance(node, Affine | Fused | Table | Take)]
        self._current: Condensed | None = None
        self._wait, self._patience = PATIENCE, PATIENCE

    @cached_property
    def _condenser(self) -> Condenser | None:
        """None where rows differ in more than one number."""
        line = _line(self._program, self.leaves)
        return None if line is None else Condenser(line)

    @property
    def applies(self) -> bool:
        """Whether rows differ in one number alone."""
        return self._condenser is not None

    @property
    def rows(self) -> int | None:
        """How many rows stand for all at present; None where all are summed."""
        return None if self._current is None else len(self._current.standing.rows)

    def sums(self, tables: Mapping[int, Any]) -> tuple[Any, dict[int, Any]] | None:
        """The log-evidence and what is summed for each leaf; None where all rows are to be summed."""
        if any(isinstance(table, RowTable) for table in tables.values()):
            return None  # what is evaluated row by row is no product of statistics
        found = self._current
        if found is not None and not still_stands(found.standing, self._factors(tables, found.constants)):
            found = None
        if found is None:
            if self._wait > 0:
                self._wait -= 1
                return None
            found = self._laid(tables)
        self._current = found
        if found is None:
            self._patience = min(2 * self._patience, LONGEST)
            self._wait = self._patience
            return None
        program = self._program
        sums = {node.number: program.accumulator(node, tables) for node in self.leaves}
        total: Any = 0.0
        for block in found.blocks:
            total = total + program.module.weighted_expectation(tables, found.constants, block, sums)
        return total, sums

    def _laid(self, tables: Mapping[int, Any]) -> Condensed | None:
        if self._condenser is None:
            return None
        standing = self._condenser.standing(lambda rows: self._factors(tables, self._constants(rows)))
        if standing is None:
            return None
        bound = self._program.bound
        count, plate = len(standing.rows), bound.levels[1].plate
        level = Level(plate, count, np.zeros(count, dtype=np.intp), np.array([0, count]))
        few = replace(bound, levels=(bound.levels[0], level))
        cells = max(self._program.cells(node) for node in self._nodes if node.rows)
        constants = self._constants(standing.rows, standing.weights)
        return Condensed(standing, constants, make_blocks(few, cells, set()))

    def _constants(self, rows: Rows, weights: Array | None = None) -> Constants:
        """The program's data for some rows."""
        found = self._program.constants.copy()
        for node in self._nodes:
            match node:
                case Affine() | Take():
                    found[node.number] = _of_rows(self._program.constants[node.number], rows)
                case Fused():
                    found[node.number] = _codes_of_rows(self._program.constants[node.number], rows)
                case Power():
                    found[node.number] = weights
        return found

    def _factors(self, tables: Mapping[int, Any], constants: Constants) -> Array:
        """The log-factors of all hidden cells together, `(cells, rows)`."""
        axes = _axes(self.leaves)
        everything = slice(None)
        total: Any = 0.0
        for node in self.leaves:
            table, data = tables[node.number], _data(constants, node)
            match node:
                case Affine():
                    values = affine(table, data, everything)
                case Take():
                    values = take(table, data, everything)
                case Fused():
                    values = take_fused(table, data, everything)
                case _:
                    values = table[..., None]
            total = total + _aligned(values, node.axes, axes)
        return np.asarray(total.reshape(-1, total.shape[-1]))


def condensed_sums(program: Program, root: Node) -> CondensedSums | None:
    """The sums over a few rows, `root` being the program with a weight for each row; None where there are few rows, or
    what they add is not of this form."""
    bound = program.bound
    if len(bound.levels) != 2 or bound.levels[1].size < FEWEST_ROWS or not is_condensable(root):
        return None
    found = CondensedSums(program, root)
    return found if prod(program.sizes[axis] for axis in _axes(found.leaves)) <= MOST_CELLS else None


def _line(program: Program, leaves: Sequence[Node]) -> Line | None:
    pieces = [program.pieces[node.piece].data for node in leaves if isinstance(node, Affine)]
    rows = program.bound.levels[1].size
    numbers: list[Array] = []
    columns: list[NDArray[Any]] = [data.row_mask.reshape(-1, rows) for data in pieces if data.row_mask is not None]
    knowns = [known for data in pieces for known in data.knowns.values()]
    for known in (known for known in knowns if known.shape[-1:] == (rows,)):  # others are the same for all rows
        for column in known.reshape(-1, rows):
            column = np.where(np.isfinite(column), column, 0.0)
            if len(np.unique(column[:MANY])) <= MOST_GROUPS and len(np.unique(column)) <= MOST_GROUPS:
                columns.append(column[None])
            elif not any(np.array_equal(column, other) for other in numbers):
                numbers.append(column)
            if len(numbers) > 1:
                return None
    for node in leaves:
        data = _data(program.constants, node)
        if isinstance(node, Take):
            if data.statistics is not None:
                return None
            columns.append(data.code)
        elif isinstance(node, Fused):
            columns += [joint.code[None] for joint in data.joint]
    group = _groups(columns, rows)
    if len(numbers) != 1 or group is None:
        return None
    statistics = np.concatenate([_statistics(data) for data in pieces])
    return line_of(numbers[0], group, unit_weights(program.bound, 1), statistics)


def _groups(columns: Sequence[NDArray[Any]], rows: int) -> Rows | None:
    """A number for what the columns `(n, rows)` say of each row together; None where there are many."""
    group = np.zeros(rows, dtype=np.intp)
    for column in (column for block in columns for column in block):
        distinct, code = np.unique(column, return_inverse=True)
        group = np.unique(group * len(distinct) + code, return_inverse=True)[1].astype(np.intp)
        if group.max() >= MOST_GROUPS:
            return None
    return group


def _data(constants: Constants, node: Node) -> Any:
    """What the program holds for a leaf; None for tables that are the same for all rows."""
    return constants.get(node.number)


def _statistics(data: PieceData) -> Array:
    assert data.statistics is not None
    return data.statistics


def _of_rows(data: PieceData, rows: Rows) -> PieceData:
    statistics = None if data.statistics is None else np.take(data.statistics, rows, axis=-1)
    code = None if data.code is None else np.take(data.code, rows, axis=-1)
    return replace(data, statistics=statistics, code=code, rows=len(rows), local={})


def _codes_of_rows(codes: FusedCodes, rows: Rows) -> FusedCodes:
    return replace(codes, joint=tuple(replace(joint, code=joint.code[rows]) for joint in codes.joint))


def _axes(nodes: Sequence[Node]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(axis for node in nodes for axis in node.axes))


def _aligned(values: Array, axes: Sequence[str], wanted: Sequence[str]) -> Array:
    """`(*axes, rows)` as `(*wanted, rows)`, axes that it lacks of length 1."""
    order = [axes.index(axis) for axis in wanted if axis in axes]
    sizes = iter(values.shape[place] for place in order)
    shape = [next(sizes) if axis in axes else 1 for axis in wanted]
    return values.transpose(*order, len(order)).reshape(*shape, values.shape[-1])
