"""CSV and TSV by the standard reader: small files, and large ones whose form a faster reader refuses."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import IO

import numpy as np

from emdsl.data.numerals import numeral
from emdsl.data.sources import Source
from emdsl.data.table import Column, Table, TextColumn
from emdsl.data.wording import count_of, listed, plain, shortened
from emdsl.diagnostics.errors import EmmError

#: What may stand around the word of a missing cell.
BLANKS = " \t\r\n"
#: The longest cell, in characters.
LONGEST_CELL = 1_000_000


@dataclass(frozen=True)
class Header:
    """The column names of a delimited file in file order (an unnamed column is ""), and the line that ends the
    header."""

    names: tuple[str, ...]
    line: int
    delimiter: str


def read_delimited(sources: Sequence[Source], name: str, missing: frozenset[str]) -> Table:
    """The table in one CSV or TSV file, or in several one after the other, called `name` in messages.

    Cells stay as they are spelled; those among the words of `missing` are None.
    """
    header: Header | None = None
    first_rows: list[tuple[str, int]] = []
    lines: list[int] = []
    rows: list[list[str]] = []
    for source in sources:
        with decoded(source) as stream:
            found, reader = _read_header(source, stream)
            header = header or found
            check_same_header(header, found, sources[0].name, source.name)
            first_rows.append((source.name, len(rows)))
            _read_rows(found, reader, lines, rows)
    if not rows or header is None:
        raise no_rows(name)
    columns: dict[str, Column] = {}
    for position, cells in enumerate(zip(*rows, strict=True)):
        if column := header.names[position]:
            columns[column] = TextColumn([None if cell.strip(BLANKS) in missing else cell for cell in cells])
    return Table(
        tuple(columns), columns, len(rows), name, np.array(lines, dtype=np.intp),
        files=tuple(first_rows) if len(sources) > 1 else (),
    )  # fmt: skip


def check_same_header(expected: Header, found: Header, first: str, name: str) -> None:
    """Files that are read as one table have the same columns in the same order."""
    if expected.names != found.names:
        raise EmmError(
            "different-columns",
            f"the columns differ from those of {first}: {plain(found.names)} instead of {plain(expected.names)}",
            place=name,
            help="give all files the same columns in the same order",
        )


def read_header(source: Source) -> Header:
    """The header alone, checked."""
    with decoded(source) as stream:
        return _read_header(source, stream)[0]


@contextmanager
def decoded(source: Source) -> Iterator[IO[str]]:
    """The text of a source; `not-utf-8` names the line where it is not UTF-8."""
    with source.open() as raw:
        try:
            yield io.TextIOWrapper(raw, encoding="utf-8-sig", newline="")
        except UnicodeDecodeError as error:
            raise _not_utf8(source) from error


class RowReader:
    """Rows of a delimited text; `line` is the line on which the last one ended."""

    def __init__(self, name: str, lines: Iterable[str], delimiter: str, before: int) -> None:
        csv.field_size_limit(LONGEST_CELL)
        self._reader = csv.reader(lines, delimiter=delimiter, strict=True)
        self.name, self._before = name, before

    @property
    def line(self) -> int:
        return self._before + self._reader.line_num

    def __iter__(self) -> RowReader:
        return self

    def __next__(self) -> list[str]:
        try:
            return next(self._reader)
        except csv.Error as error:
            raise EmmError(
                "malformed-row",
                "a quotation mark is opened and not closed, or text follows the closing one",
                place=f"{self.name}, line {self.line}",
                help='double the quotation marks inside a quoted cell: "a ""b"" c"',
            ) from error


def _read_header(source: Source, stream: IO[str]) -> tuple[Header, RowReader]:
    blank = 0
    for first in stream:
        if first.strip():
            break
        blank += 1
    else:
        raise EmmError(
            "empty-file", "the file is empty", place=source.name, help="the first line holds the names of the columns"
        )
    if "\x00" in first:
        raise _not_text(source)
    delimiter = _delimiter(source.name, first)
    reader = RowReader(source.name, chain((first,), stream), delimiter, blank)
    names = next(reader)
    return Header(_checked_names(source.name, names, reader.line), reader.line, delimiter), reader


def _read_rows(header: Header, reader: RowReader, lines: list[int], rows: list[list[str]]) -> None:
    """Adds the lines and cells of the rows. Blank lines are skipped; in a file of one column they are empty cells,
    but for those at the end."""
    blanks: list[int] = []
    width = len(header.names)
    for cells in reader:
        if not cells:
            blanks.append(reader.line)
            continue
        if width == 1:
            lines += blanks
            rows += [[""]] * len(blanks)
        blanks = []
        if len(cells) != width:
            raise _ragged(reader.name, reader.line, width, len(cells), header.delimiter)
        lines.append(reader.line)
        rows.append(cells)


def _ragged(name: str, line: int, expected: int, found: int, delimiter: str) -> EmmError:
    mark = {",": "comma", "\t": "tab", ";": "semicolon"}[delimiter]
    return EmmError(
        "ragged-row",
        f"expected {count_of(expected, 'cell')}, as in the header, found {count_of(found, 'cell')}",
        place=f"{name}, line {line}",
        help=f"put a cell that holds a {mark} in quotation marks" if found > expected else "",
    )


def _delimiter(name: str, header_line: str) -> str:
    stem = name.lower().removesuffix(".gz")
    if stem.endswith((".tsv", ".tab")):
        return "\t"
    for mark in (",", "\t", ";"):
        if mark in header_line:
            return mark
    return ","


def _checked_names(source: str, names: list[str], line: int) -> tuple[str, ...]:
    named = [name for name in names if name]
    repeated = [name for name, count in Counter(named).items() if count > 1]
    spelled = [numeral(name) for name in named]
    numbers = bool(named) and all(value is not None for value in spelled)
    if numbers and (repeated or any(value != int(value or 0) for value in spelled if value is not None)):
        raise EmmError(
            "no-header",
            f"the first line holds numbers, not the names of columns: `{shortened(','.join(names))}`",
            place=f"{source}, line {line}",
            help="write the names of the columns above it, separated by commas",
        )
    if repeated:
        raise duplicate_columns(repeated, f"{source}, line {line}")
    if not named:
        raise EmmError("no-header", "the first line names no column", place=f"{source}, line {line}")
    return tuple(names)


def duplicate_columns(repeated: list[str], place: str) -> EmmError:
    """Columns of the same name."""
    return EmmError(
        "duplicate-column",
        f"more than one column is called {listed(repeated)}",
        place=place,
        help="give each column a name of its own",
    )


def no_rows(place: str) -> EmmError:
    """A table with columns and nothing in them."""
    return EmmError("no-rows", "the table has no rows", place=place)


def _not_text(source: Source) -> EmmError:
    return EmmError(
        "not-text",
        "expected a text file of comma-separated values, found binary data",
        place=source.name,
        help="save the table as CSV, or name a Parquet file *.parquet and an Arrow file *.arrow",
    )


def _not_utf8(source: Source) -> EmmError:
    with source.open() as stream:
        start = stream.read(4)
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return EmmError(
            "not-utf-8",
            "the file is UTF-16, not UTF-8",
            place=source.name,
            help=f"iconv -f utf-16 -t utf-8 {source.name} > utf8.csv",
        )
    if start[:4] == b"PK\x03\x04":
        return _not_text(source)
    number, byte = _first_bad_byte(source)
    return EmmError(
        "not-utf-8",
        f"the file is not UTF-8: byte 0x{byte:02x}",
        place=f"{source.name}, line {number}",
        help=f"iconv -f latin1 -t utf-8 {source.name} > utf8.csv",
    )


def _first_bad_byte(source: Source) -> tuple[int, int]:
    """The line and the value of the first byte that is not UTF-8."""
    number = 0
    with source.open() as stream:
        for line in stream:
            number += 1
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                return number, line[error.start]
    return number, 0
