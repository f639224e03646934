"""A table of named columns, each read as numbers or as text only when it is asked for."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from emdsl.data.numerals import numeral, print_number
from emdsl.data.wording import did_you_mean, listed, plain, rows_phrase, shortened
from emdsl.diagnostics.errors import EmmError

Floats = NDArray[np.float64]
Codes = NDArray[np.intp]


@dataclass(frozen=True)
class Encoded:
    """A column as text: `codes` (rows,) point into `labels`, its distinct spellings; -1 is a missing cell."""

    codes: Codes
    labels: tuple[str, ...]


class Column(Protocol):
    """One column. `numbers` gives the values (rows,), NaN where missing, and the rows whose cells are not numbers."""

    def numbers(self) -> tuple[Floats, Codes]: ...

    def encoded(self) -> Encoded: ...

    def is_numeric(self) -> bool:
        """Whether there are numbers in it and nothing but numbers and missing cells."""
        ...


def encode(cells: Sequence[str | None]) -> Encoded:
    """Distinct spellings in order of appearance, and the code of each cell."""
    labels = tuple(cell for cell in dict.fromkeys(cells) if cell is not None)
    lookup: dict[str | None, int] = {label: code for code, label in enumerate(labels)}
    lookup[None] = -1
    return Encoded(np.fromiter(map(lookup.__getitem__, cells), dtype=np.intp, count=len(cells)), labels)


class TextColumn:
    """Cells as they are spelled, None where missing."""

    def __init__(self, cells: Sequence[str | None]) -> None:
        self._cells: Sequence[str | None] | None = cells

    @cached_property
    def _encoded(self) -> Encoded:
        assert self._cells is not None
        result = encode(self._cells)
        self._cells = None  # the codes say all there is to say
        return result

    def encoded(self) -> Encoded:
        return self._encoded

    @cached_property
    def _values(self) -> tuple[Floats, Codes]:
        codes, labels = self._encoded.codes, self._encoded.labels
        parsed = [numeral(label) for label in labels]
        lookup = np.array([np.nan if value is None else value for value in parsed] + [np.nan])
        wrong = np.array([value is None for value in parsed] + [False])
        return lookup[codes], np.flatnonzero(wrong[codes])

    def numbers(self) -> tuple[Floats, Codes]:
        return self._values

    def is_numeric(self) -> bool:
        labels = self._encoded.labels
        return bool(labels) and all(numeral(label) is not None for label in labels)


class NumberColumn:
    """Numbers with NaN where missing; `truth` columns print as `false` and `true`."""

    def __init__(self, values: Floats, truth: bool = False) -> None:
        self._numbers = values
        self._truth = truth

    def numbers(self) -> tuple[Floats, Codes]:
        return self._numbers, np.empty(0, dtype=np.intp)

    @cached_property
    def _encoded(self) -> Encoded:
        return encode_numbers(self._numbers, self._truth)

    def encoded(self) -> Encoded:
        return self._encoded

    def is_numeric(self) -> bool:
        return not bool(np.all(np.isnan(self._numbers)))


def encode_numbers(values: Floats, truth: bool = False) -> Encoded:
    """Numbers as labels: whole ones print as integers, truth values as `false` and `true`."""
    present = ~np.isnan(values)
    distinct, inverse = np.unique(values[present] + 0.0, return_inverse=True)  # + 0.0 makes -0 a 0
    codes = np.full(len(values), -1, dtype=np.intp)
    codes[present] = inverse
    if truth:
        return Encoded(codes, tuple("true" if value else "false" for value in distinct))
    return Encoded(codes, tuple(print_number(float(value)) for value in distinct))


class OpaqueColumn:
    """A column that holds neither numbers nor text (lists, structures, bytes); it may stand in the table unread."""

    def __init__(self, holds: str) -> None:
        self.holds = holds

    def numbers(self) -> tuple[Floats, Codes]:
        raise TypeError(self.holds)

    def encoded(self) -> Encoded:
        raise TypeError(self.holds)

    def is_numeric(self) -> bool:
        return False


@dataclass(frozen=True)
class Table:
    """Columns of equal length.

    `source` names the table in messages; `lines` (rows,) are the rows' lines in the file, where known. `prefetch`
    and `prefetch_text` read several columns, as numbers or as text, in a few passes where the source is a large file.
    `files` names the files that follow each other in the table, with the position of their first row. Columns without
    a name are left out.
    """

    names: tuple[str, ...]
    columns: Mapping[str, Column] = field(repr=False)
    rows: int
    source: str
    lines: Codes | None = field(default=None, repr=False, compare=False)
    prefetch: Callable[[Iterable[str]], None] | None = field(default=None, repr=False, compare=False)
    prefetch_text: Callable[[Iterable[str]], None] | None = field(default=None, repr=False, compare=False)
    files: tuple[tuple[str, int], ...] = field(default=(), repr=False, compare=False)

    def __contains__(self, name: object) -> bool:
        return name in self.columns

    def numbers(self, name: str) -> Floats:
        """The column as numbers (rows,), NaN where missing; `not-a-number` names the rows whose cells are none."""
        values, wrong = self._column(name).numbers()
        if len(wrong):
            self._refuse_words(name, wrong)
        return values

    def encoded(self, name: str) -> Encoded:
        """The column as codes of its distinct spellings."""
        return self._column(name).encoded()

    def text(self, name: str) -> NDArray[np.object_]:
        """The column as text (rows,), None where missing; a number prints as an integer where it is whole."""
        encoded = self.encoded(name)
        return np.array([*encoded.labels, None], dtype=object)[encoded.codes]

    def is_numeric(self, name: str) -> bool:
        """Whether the column holds numbers and nothing else but missing cells."""
        return self._column(name).is_numeric()

    def numeric_names(self) -> tuple[str, ...]:
        """The numeric columns, in order."""
        return tuple(name for name in self.names if self.columns[name].is_numeric())

    def place(self, rows: Sequence[int] | Codes = (), column: str | None = None) -> str:
        """`moths.csv, rows 3, 7 (lines 4, 8), column count`."""
        source, first = self._file(rows)
        parts = [source]
        if len(rows):
            lines = None if self.lines is None or (self.files and source == self.source) else self.lines[first:]
            parts.append(rows_phrase([int(row) - first for row in rows], lines))
        if column is not None:
            parts.append(f"column {shortened(column)}")
        return ", ".join(parts)

    def _file(self, rows: Sequence[int] | Codes) -> tuple[str, int]:
        """The file that holds all these rows and the position of its first, or the whole table and 0."""
        if not len(rows) or not self.files:
            return self.source, 0
        starts = [first for _, first in self.files]
        low, high = (bisect_right(starts, int(row)) - 1 for row in (min(rows), max(rows)))
        return self.files[low] if low == high else (self.source, 0)

    def no_column(self, name: str, code: str = "column-not-found", message: str = "", help: str = "") -> EmmError:
        """The error that there is no column of that name, with the columns there are."""
        suggestion = did_you_mean(name, self.names)
        there = f"the columns are {plain(self.names)}"
        return EmmError(
            code,
            message or f"there is no column `{name}`",
            place=self.source,
            help="; ".join(part for part in (suggestion, there, help) if part),
        )

    def _column(self, name: str) -> Column:
        column = self.columns.get(name)
        if column is None:
            raise self.no_column(name)
        if isinstance(column, OpaqueColumn):
            raise EmmError(
                "column-type",
                f"expected numbers or text in column `{name}`, found {column.holds}",
                place=self.place(column=name),
            )
        return column

    def _refuse_words(self, name: str, wrong: Codes) -> None:
        encoded = self.encoded(name)
        words = list(dict.fromkeys(encoded.labels[code] for code in encoded.codes[wrong[:1000]]))
        if any(numeral(word.replace(",", ".")) is not None for word in words):
            help = "write decimals with a point, `1.5`, and thousands without a mark"
        elif len(words) == 1 and "," not in words[0] and words[0] == shortened(words[0]) and words[0].isprintable():
            help = f"if the word means a missing cell: --na {words[0]}"
        else:
            help = ""
        raise EmmError(
            "not-a-number",
            f"expected numbers in column `{shortened(name)}`, found {listed(words)}",
            place=self.place(wrong, name),
            help=help,
        )
