"""Rows to units: the plates of a model as levels of the sorted table, and what one value a unit means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from emdsl.data.bound import Level
from emdsl.data.columns import ColumnFinder
from emdsl.data.numerals import print_number
from emdsl.data.table import Codes, Table
from emdsl.data.wording import listed
from emdsl.diagnostics.errors import EmmError
from emdsl.ir.model import Model, Plate

Scalar = TypeVar("Scalar", bound=np.generic)


@dataclass(frozen=True)
class Arrangement:
    """The units of every plate.

    `levels` as in `Bound`. `order` (rows,) is the original row of each sorted row; `identity` says that it changes
    nothing. `first_rows` (units + 1,) are, for each plate of rows and for None, the whole, the sorted rows at which
    its units begin. `names` are the cells that tell the units of the outer plates apart, `columns` where they stand.
    """

    levels: tuple[Level, ...]
    order: Codes
    identity: bool
    first_rows: Mapping[str | None, Codes]
    names: Mapping[str, NDArray[np.object_]]
    columns: Mapping[str, str]
    warnings: tuple[str, ...]

    @property
    def rows_plate(self) -> str | None:
        """The plate whose units are the rows."""
        return tuple(self.first_rows)[-1]

    def sorted(self, column: NDArray[Scalar]) -> NDArray[Scalar]:
        """A column (rows,) in the order of the levels."""
        return column if self.identity else column[self.order]


def arrange(model: Model, table: Table, finder: ColumnFinder, sizes: Mapping[str, int]) -> Arrangement:
    """Tells the units of all plates apart and sorts them. `sizes` are the numbers of labels of the index sets.

    Units of an outer plate stand in the order in which they appear, those of a chain in row order or as `by` says.
    Ids of inner units may repeat across outer units, and rows of a unit need not be together.
    """
    rows_of, across = _split(model)
    walk = _Walk(table, finder)
    for plate in rows_of[:-1]:
        walk.outer(plate)
    order = walk.rows(rows_of[-1] if rows_of else None)
    for plate in across:
        assert plate.over is not None
        walk.across(plate, sizes[plate.over.index_set])
    if len(rows_of) == 1:
        walk.warn_of_repeats(rows_of[0])
    identity = bool(np.array_equal(order, np.arange(table.rows)))
    return Arrangement(
        tuple(walk.levels), order, identity, walk.first_rows(rows_of), walk.names, walk.columns, tuple(walk.warnings)
    )


def _split(model: Model) -> tuple[list[Plate], list[Plate]]:
    """The plates of rows, and those across columns, which stand inside them."""
    rows_of = [plate for plate in model.plates if plate.over is None]
    across = [plate for plate in model.plates if plate.over is not None]
    if list(model.plates) != rows_of + across or (across and not rows_of):
        name = across[0].name
        raise EmmError(
            "plate-across-columns",
            f"the plate `{name}` runs across columns, so it must stand inside the plate of the rows",
            help=f"for each row: and, inside it, for each {name} over …",
        )
    return rows_of, across


class _Walk:
    """From the outermost plate inwards: `unit` (rows,) is the unit of the current plate that each row belongs to."""

    def __init__(self, table: Table, finder: ColumnFinder) -> None:
        self._table, self._finder = table, finder
        self._unit = np.zeros(table.rows, dtype=np.intp)
        whole = np.zeros(1, dtype=np.intp)
        self.levels = [Level(None, 1, whole, np.array([0, 1], dtype=np.intp))]
        self.names: dict[str, NDArray[np.object_]] = {}
        self.columns: dict[str, str] = {}
        self.warnings: list[str] = []

    def outer(self, plate: Plate) -> None:
        """A plate whose units hold several rows each."""
        column = self._finder.plate_column(plate)
        encoded = self._table.encoded(column)
        empty = np.flatnonzero(encoded.codes < 0)
        if len(empty):
            raise _missing(self._table, empty, column, f"the plate `{plate.name}`")
        size = len(encoded.labels)
        keys, first, inverse = np.unique(self._unit * size + encoded.codes, return_index=True, return_inverse=True)
        rank = first
        if (by := self._finder.order_column(plate)) is not None:
            ranks = self._ranks(plate, by)
            _must_agree(self._table, plate, by, ranks[first][inverse] != ranks, inverse)
            rank = ranks[first]
            self._check_ties(plate, by, keys // size, rank, first)
            self._warn_of_gaps(plate, by, keys // size, self._table, first)
        order = np.lexsort((rank, keys // size))
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        self._unit = place[inverse]
        self._append(plate.name, (keys // size)[order])
        self.names[plate.name] = np.array(encoded.labels, dtype=object)[(keys % size)[order]]
        self.columns[plate.name] = column

    def rows(self, plate: Plate | None) -> Codes:
        """The innermost plate of rows; the original row of each sorted row."""
        by = None if plate is None else self._finder.order_column(plate)
        if by is None:
            order = np.argsort(self._unit, kind="stable").astype(np.intp, copy=False)
        else:
            assert plate is not None
            ranks = self._ranks(plate, by)
            every = np.arange(self._table.rows)
            self._check_ties(plate, by, self._unit, ranks, every)
            self._warn_of_gaps(plate, by, self._unit, self._table, every)
            order = np.lexsort((ranks, self._unit)).astype(np.intp, copy=False)
        if plate is not None:
            self._append(plate.name, self._unit[order])
        return order

    def across(self, plate: Plate, size: int) -> None:
        """A plate whose units are columns: the same for each unit around it."""
        self._append(plate.name, np.repeat(np.arange(self.levels[-1].size), size))

    def first_rows(self, rows_of: list[Plate]) -> dict[str | None, Codes]:
        """The sorted rows at which the units of each plate of rows begin, and the number of rows."""
        depth = len(rows_of)
        rows = self._table.rows
        starts = np.arange(rows + 1, dtype=np.intp)
        found: dict[str | None, Codes] = {}
        for level in reversed(self.levels[: depth + 1]):
            if depth == 0:
                starts = np.array([0, rows], dtype=np.intp)
            found[level.plate] = starts
            starts = starts[level.starts]
        return dict(reversed(found.items()))

    def warn_of_repeats(self, plate: Plate) -> None:
        """A single plate is the rows, whatever a column of its name says."""
        column = self._finder.own_column(plate)
        if column is None:
            return
        codes = self._table.encoded(column).codes
        present = codes[codes >= 0]
        if len(np.unique(present)) < len(present):
            self.warnings.append(
                f"the column `{column}` repeats, but each row is a unit of its own, as `{plate.name}` is the only "
                "plate; if rows share a unit, open a plate inside it: for each row:"
            )

    def _append(self, name: str, parent: NDArray[np.intp]) -> None:
        counts = np.bincount(parent, minlength=self.levels[-1].size)
        starts = np.concatenate(([0], np.cumsum(counts))).astype(np.intp)
        self.levels.append(Level(name, len(parent), parent.astype(np.intp, copy=False), starts))

    def _ranks(self, plate: Plate, column: str) -> NDArray[np.float64]:
        """Where each row stands by a column: its numbers, or the rank of its text."""
        if self._table.is_numeric(column):
            ranks = self._table.numbers(column)
        else:
            encoded = self._table.encoded(column)
            place = {label: float(rank) for rank, label in enumerate(sorted(encoded.labels))}
            ranks = np.array([*(place[label] for label in encoded.labels), np.nan])[encoded.codes]
        empty = np.flatnonzero(np.isnan(ranks))
        if len(empty):
            raise _missing(self._table, empty, column, f"the order of the chain `{plate.name}`")
        return ranks

    def _check_ties(self, plate: Plate, column: str, parent: Codes, ranks: NDArray[np.float64], rows: Codes) -> None:
        order = np.lexsort((ranks, parent))
        same = np.flatnonzero((np.diff(ranks[order]) == 0) & (np.diff(parent[order]) == 0))
        if not len(same):
            return
        first = order[same[0]]
        tied = np.sort(rows[(parent == parent[first]) & (ranks == ranks[first])])
        encoded = self._table.encoded(column)
        raise EmmError(
            "tie",
            f"the chain `{plate.name}` is ordered by `{column}`, which is "
            f"{listed([encoded.labels[encoded.codes[tied[0]]]])} more than once",
            place=self._table.place(tied, column),
            help=_help_for_ties(len(self.levels)),
        )

    def _warn_of_gaps(self, plate: Plate, column: str, parent: Codes, table: Table, rows: Codes) -> None:
        if not table.is_numeric(column):
            return
        values = table.numbers(column)[rows]
        order = np.lexsort((values, parent))
        steps = np.diff(values[order])[np.diff(parent[order]) == 0]
        if len(steps) and steps.max() - steps.min() > 1e-6 * steps.max():
            self.warnings.append(
                f"the steps of `{column}` differ, from {print_number(float(steps.min()))} to "
                f"{print_number(float(steps.max()))}: the chain `{plate.name}` takes each row for the next one, "
                "and no rows are invented for gaps"
            )


def _help_for_ties(depth: int) -> str:
    return "if they belong to different chains, put a plate that tells the chains apart around it" if depth == 1 else ""


def _must_agree(table: Table, plate: Plate, column: str, differs: NDArray[np.bool_], unit: Codes) -> None:
    wrong = np.flatnonzero(differs)
    if len(wrong):
        rows = np.flatnonzero(unit == unit[wrong[0]])
        raise EmmError(
            "cells-disagree",
            f"the rows of one unit of `{plate.name}` differ in `{column}`, which orders the units",
            place=table.place(rows, column),
        )


def _missing(table: Table, rows: Codes, column: str, what: str) -> EmmError:
    return EmmError(
        "missing-cell",
        f"{what} needs a value in every row of column `{column}`, found {'an ' * (len(rows) == 1)}empty "
        f"cell{'s' * (len(rows) > 1)}",
        place=table.place(rows, column),
    )
