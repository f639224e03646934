"""Large CSV and TSV files, and Parquet files, through DuckDB: a column is read when it is asked for.

Nothing is guessed: the columns of a CSV are text until a variable wants numbers, so that labels keep their spelling.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from emdsl.data.delimited import BLANKS, Header, no_rows
from emdsl.data.frames import masked
from emdsl.data.numerals import numeral
from emdsl.data.table import Codes, Column, Encoded, Floats, OpaqueColumn, Table, encode, encode_numbers
from emdsl.diagnostics.errors import EmmError

#: Beyond this many distinct spellings, strings are fetched as they are rather than through a dictionary.
LARGEST_DICTIONARY = 1_000_000

_FLOATS = ("FLOAT", "DOUBLE", "DECIMAL")
_INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "BIGNUM")
_TEXTS = ("VARCHAR", "ENUM", "DATE", "TIME", "TIMESTAMP", "UUID", "INTERVAL")


class MalformedFile(Exception):
    """DuckDB refuses the file; its message is not meant for users."""


class Scan:
    """A DuckDB relation `sql` whose columns `fields` (name in the table: name in SQL) have the types `types`."""

    def __init__(
        self, sql: str, fields: Mapping[str, str], types: Mapping[str, str], missing: frozenset[str], source: str,
        keep: Any = None,
    ) -> None:  # fmt: skip
        self.source = source
        self._keep = keep  # a temporary directory, which goes when nobody needs it any more
        self._sql, self._fields, self._types, self._missing = sql, fields, types, missing
        self._connection = _connect()
        self._values: dict[str, tuple[Floats, Codes]] = {}
        self._text: dict[str, Encoded] = {}
        self._numeric: dict[str, bool] = {}
        self._numbers_for_missing = any(numeral(word) is not None for word in missing)
        self._words = ", ".join(_literal(word) for word in sorted(missing))

    @cached_property
    def rows(self) -> int:
        """The number of rows. Every cell is parsed, so that a malformed file is found out here."""
        counted = [f"count({field})" for field in map(_identifier, self._fields.values())]
        return int(self._row(["count(*)", *counted])[0])

    def missing_cells(self, name: str) -> int:
        """The number of empty cells in a column."""
        field = _identifier(self._fields[name])
        return int(self._row([f"count(*) - count({field})"])[0])

    def prefetch(self, names: Iterable[str]) -> None:
        """Reads the columns as numbers in one pass over the file."""
        wanted = [name for name in dict.fromkeys(names) if name in self._types and name not in self._values]
        wanted = [name for name in wanted if _kind(self._types[name]) != "opaque"]
        if not wanted:
            return
        chosen = ", ".join(f"{self._number(name)} AS n{position}" for position, name in enumerate(wanted))
        arrays = self._query(f"SELECT {chosen} FROM {self._sql}").fetchnumpy()
        for position, name in enumerate(wanted):
            array = arrays[f"n{position}"]
            wrong = np.flatnonzero(np.ma.getmask(array))
            values = np.asarray(np.ma.filled(array, np.nan), dtype=np.float64)
            if _kind(self._types[name]) in ("number", "integer"):
                values = masked(values, self._missing)
            self._values[name] = (values, wrong.astype(np.intp))

    def numbers(self, name: str) -> tuple[Floats, Codes]:
        """The column's values, and the rows whose cells are not numbers."""
        self.prefetch([name])
        return self._values[name]

    def prefetch_text(self, names: Iterable[str]) -> None:
        """Reads the columns as codes of their spellings, all of them in the same few passes over the file."""
        wanted = [name for name in dict.fromkeys(names) if name in self._types and name not in self._text]
        wanted = [name for name in wanted if _kind(self._types[name]) in ("text", "integer")]
        if not wanted:
            return
        sizes = self._row([f"approx_count_distinct({self._spelling(name)})" for name in wanted])
        many = [name for name, size in zip(wanted, sizes, strict=True) if size > LARGEST_DICTIONARY]
        few = [name for name in wanted if name not in many]
        for name in many:
            strings = self._query(f"SELECT {self._spelling(name)} AS cell FROM {self._sql}").fetchnumpy()["cell"]
            self._text[name] = self._without_missing(encode(strings.tolist()))
        if few:
            self._encode(few)

    def encoded(self, name: str) -> Encoded:
        """The column as codes of its spellings."""
        if name not in self._text:
            kind = _kind(self._types[name])
            if kind in ("number", "truth"):
                self._text[name] = encode_numbers(self.numbers(name)[0], truth=kind == "truth")
            else:
                self.prefetch_text([name])
        return self._text[name]

    def is_numeric(self, name: str) -> bool:
        """Whether there are numbers in the column and nothing but numbers and missing cells."""
        if not self._numeric:
            texts = [name for name, type_name in self._types.items() if _kind(type_name) == "text"]
            chosen = [f"count({n}) > 0 AND count(*) = count({n})" for n in map(self._number, texts)]
            # missing cells are NaN here: a column of nothing else is not numeric
            chosen += [f"coalesce(bool_or(NOT isnan({self._number(name)})), false)" for name in texts]
            found = self._row(chosen) if texts else ()
            self._numeric = {name: found[at] and found[at + len(texts)] for at, name in enumerate(texts)}
        if name in self._numeric:
            return self._numeric[name]
        return not bool(np.all(np.isnan(self.numbers(name)[0])))

    def _number(self, name: str) -> str:
        """SQL for the column as numbers: NaN where missing, NULL where the cell is not a number."""
        field = _identifier(self._fields[name])
        match _kind(self._types[name]):
            case "truth":
                return f"coalesce(CAST(CAST({field} AS TINYINT) AS DOUBLE), 'nan'::DOUBLE)"
            case "number" | "integer":
                return f"coalesce(CAST({field} AS DOUBLE), 'nan'::DOUBLE)"
        text = f"CAST({field} AS VARCHAR)"
        value = f"TRY_CAST({text} AS DOUBLE)"
        number = f"WHEN isfinite({value}) AND NOT contains({text}, '_') THEN {value}"
        empty = f"WHEN {self._is_missing(text)} THEN 'nan'::DOUBLE"
        # most cells are numbers, so that is asked first, unless a number means that the cell is missing
        cases = (empty, number) if self._numbers_for_missing else (number, empty)
        return f"CASE {' '.join(cases)} END"

    def _is_missing(self, text: str) -> str:
        return f"({text} IS NULL OR trim({text}, E' \\t\\r\\n') IN ({self._words}))"

    def _spelling(self, name: str) -> str:
        return f"CAST({_identifier(self._fields[name])} AS VARCHAR)"

    def _row(self, columns: Sequence[str]) -> Sequence[Any]:
        row: Sequence[Any] = self._query(f"SELECT {', '.join(columns)} FROM {self._sql}").fetchone()
        return row

    def _encode(self, names: Sequence[str]) -> None:
        """Through a DuckDB dictionary (an enumeration) for each column."""
        found = self._row([f"array_agg(DISTINCT {self._spelling(name)})" for name in names])
        codes: dict[str, str] = {}
        labels: dict[str, list[str]] = {}
        for name, spellings in zip(names, found, strict=True):
            labels[name] = sorted(spelling for spelling in spellings if spelling is not None)
            if labels[name]:
                kind = f"dictionary_{len(self._text)}_{len(codes)}"
                self._query(f"CREATE TYPE {kind} AS ENUM ({', '.join(map(_literal, labels[name]))})")
                code = f"enum_code(CAST({self._spelling(name)} AS {kind}))"
                codes[name] = f"coalesce(CAST({code} AS BIGINT), -1) AS c{len(codes)}"
        arrays = self._query(f"SELECT {', '.join(codes.values())} FROM {self._sql}").fetchnumpy() if codes else {}
        read = dict(zip(codes, arrays.values(), strict=True))
        for name in names:
            coded = read.get(name)
            array = np.full(self.rows, -1, dtype=np.intp) if coded is None else np.asarray(coded, dtype=np.intp)
            self._text[name] = self._without_missing(Encoded(array, tuple(labels[name])))

    def _without_missing(self, encoded: Encoded) -> Encoded:
        """The same with the words for missing taken out of the labels."""
        kept = [code for code, label in enumerate(encoded.labels) if label.strip(BLANKS) not in self._missing]
        if len(kept) == len(encoded.labels):
            return encoded
        lookup = np.full(len(encoded.labels) + 1, -1, dtype=np.intp)
        lookup[kept] = np.arange(len(kept))
        return Encoded(lookup[encoded.codes], tuple(encoded.labels[code] for code in kept))

    def _query(self, sql: str) -> Any:
        with refusing_malformed():
            return self._connection.execute(sql)


class ScanColumn:
    """One column of a `Scan`."""

    def __init__(self, scan: Scan, name: str) -> None:
        self._scan, self._name = scan, name

    def numbers(self) -> tuple[Floats, Codes]:
        with _late(self._scan):
            return self._scan.numbers(self._name)

    def encoded(self) -> Encoded:
        with _late(self._scan):
            return self._scan.encoded(self._name)

    def is_numeric(self) -> bool:
        with _late(self._scan):
            return self._scan.is_numeric(self._name)


@contextmanager
def _late(scan: Scan) -> Iterator[None]:
    """What goes wrong after the file was found to be sound."""
    try:
        yield
    except MalformedFile as error:
        raise EmmError(
            "broken-file",
            "the file could be opened but not read to its end",
            place=scan.source,
            help="was it changed meanwhile? run the command again",
        ) from error


def scan_delimited(
    paths: Sequence[Path], header: Header, packed: bool, name: str, missing: frozenset[str], keep: Any = None
) -> Table:
    """The table in CSV files that share one header. Raises `MalformedFile` where the strict reader should look itself.

    One thing is let pass that the strict reader refuses: a delimiter at the end of a row, with nothing behind it.
    """
    fields = {column: f"c{position}" for position, column in enumerate(header.names) if column}
    columns = ", ".join(f"c{position}: 'VARCHAR'" for position in range(len(header.names)))
    sql = (
        f"read_csv({_path_list(paths)}, columns={{{columns}}}, auto_detect=false, header=false, skip={header.line}, "
        f"delim={_literal(header.delimiter)}, quote='\"', escape='\"', strict_mode=true, null_padding=false, "
        f"compression={_literal('gzip' if packed else 'none')})"
    )
    scan = Scan(sql, fields, dict.fromkeys(fields, "VARCHAR"), missing, name, keep)
    rows = scan.rows
    if rows == 0 or (len(header.names) == 1 and scan.missing_cells(header.names[0])):
        raise MalformedFile("a blank line may or may not be an empty cell, and lines may end in several ways")
    return _table(scan, fields, dict.fromkeys(fields, "VARCHAR"), rows, name)


def scan_parquet(paths: Sequence[Path], name: str, missing: frozenset[str], keep: Any = None) -> Table:
    """The table in Parquet files; `broken-file` where they are not what they should be."""
    sql = f"read_parquet({_path_list(paths)})"
    try:
        with refusing_malformed():
            described = _connect().execute(f"DESCRIBE SELECT * FROM {sql}").fetchall()
        types = {row[0]: str(row[1]) for row in described}
        fields = {column: column for column in types}
        scan = Scan(sql, fields, types, missing, name, keep)
        return _table(scan, fields, types, scan.rows, name)
    except MalformedFile as error:
        raise EmmError(
            "broken-file",
            "the Parquet file is broken or cut short, or the files differ in their columns",
            place=name,
            help="write the file again",
        ) from error


@contextmanager
def refusing_malformed() -> Iterator[None]:
    """Turns DuckDB's exceptions into `MalformedFile`."""
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        raise MalformedFile(str(error)) from error


def spooled(data: bytes, suffix: str) -> tuple[Path, Any]:
    """A file that holds the bytes, in a temporary directory that lasts as long as the object returned with it."""
    folder = tempfile.TemporaryDirectory()
    path = Path(folder.name) / f"data{suffix}"
    path.write_bytes(data)
    return path, folder


def _table(scan: Scan, fields: Mapping[str, str], types: Mapping[str, str], rows: int, name: str) -> Table:
    if not rows:
        raise no_rows(name)
    columns: dict[str, Column] = {
        column: OpaqueColumn(_holds(types[column])) if _kind(types[column]) == "opaque" else ScanColumn(scan, column)
        for column in fields
    }

    def prefetch(names: Iterable[str]) -> None:
        with _late(scan):
            scan.prefetch(names)

    def prefetch_text(names: Iterable[str]) -> None:
        with _late(scan):
            scan.prefetch_text(names)

    return Table(tuple(columns), columns, rows, name, prefetch=prefetch, prefetch_text=prefetch_text)


def _kind(type_name: str) -> str:
    plain = type_name.removeprefix("U") if type_name != "UUID" else type_name
    if type_name.endswith("]"):
        return "opaque"
    if type_name == "BOOLEAN":
        return "truth"
    if plain.startswith(_FLOATS):
        return "number"
    if plain in _INTEGERS:
        return "integer"
    return "text" if type_name.startswith(_TEXTS) else "opaque"


def _holds(type_name: str) -> str:
    if type_name.endswith("]"):
        return "lists"
    return "structures" if type_name.startswith(("STRUCT", "MAP", "UNION")) else "bytes"


def _connect() -> Any:
    import duckdb

    # nothing is downloaded, whatever a file's name says, and nothing is spilled into the working directory
    return duckdb.connect(
        config={
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "temp_directory": str(Path(tempfile.gettempdir()) / "emdsl_duckdb"),
        }
    )


def _path_list(paths: Sequence[Path]) -> str:
    return "[" + ", ".join(_literal(_verbatim(str(path))) for path in paths) + "]"


def _verbatim(path: str) -> str:
    """The path with the characters that DuckDB would read as a pattern put in brackets."""
    return "".join(f"[{character}]" if character in "*?[" else character for character in path)


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
