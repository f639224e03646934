"""Reading a table from wherever the user has it: files, patterns, standard input, dicts, data frames."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from emdsl.data.delimited import check_same_header, read_delimited, read_header
from emdsl.data.sources import GZIP_MAGIC, Source, existing, refusing_unreadable
from emdsl.data.table import Table
from emdsl.diagnostics.errors import EmmError
from emdsl.ir.model import MISSING_WORDS

#: Bytes of CSV, decompressed, up to which the standard reader is as quick as starting DuckDB.
SMALL = 100_000

#: DuckDB takes minutes to look at tables of more columns, the strict reader seconds (20,000 columns: 5 s for 0.4).
MOST_SCANNED_COLUMNS = 10_000
#: What a file is, by the end of its name (`.gz` left out).
KINDS = {
    ".csv": "delimited", ".tsv": "delimited", ".tab": "delimited", ".txt": "delimited",
    ".parquet": "parquet", ".pq": "parquet",
    ".arrow": "arrow", ".feather": "arrow", ".ipc": "arrow", ".arrows": "arrow",
}  # fmt: skip

_MAGIC = {b"PAR1": "parquet", b"ARROW1": "arrow", b"FEA1": "arrow"}


def read_table(source: Any, na: Iterable[str] = ()) -> Table:
    """The table in `source`.

    A path of a CSV or TSV file (also gzipped), Parquet, Arrow or Feather file, of a directory of such files, or a
    pattern (`data/*.csv`); `-`, standard input; a dict of arrays or lists; a pandas, polars or pyarrow table. Cells
    that are empty, `NA`, `NaN` or one of the words `na` are missing. Raises `EmmError`: `no-such-file`,
    `empty-file`, `no-header`, `ragged-row`, `malformed-row`, `duplicate-column`, `not-utf-8`, `not-text`,
    `broken-file`, `unreadable-file`, `no-rows`, `unsupported-data`.
    """
    missing = MISSING_WORDS | {word.strip() for word in na}
    if isinstance(source, Table):
        return source
    if isinstance(source, (str, os.PathLike)):
        return _read_named(os.fspath(source), missing)
    from emdsl.data.frames import read_frame, read_mapping

    if isinstance(source, Mapping):
        return read_mapping(source, missing)
    if (fields := getattr(getattr(source, "dtype", None), "names", None)) and getattr(source, "ndim", 0) == 1:
        return read_mapping({name: source[name] for name in fields}, missing)
    return read_frame(source, missing)


def _read_named(name: str, missing: frozenset[str]) -> Table:
    if name == "-":
        return _read_standard_input(missing)
    if not name.strip():
        raise EmmError("no-such-file", "expected the name of a data file, found nothing")
    path = Path(name).expanduser()
    if path.exists() and not path.is_file() and not path.is_dir():  # a pipe, as `<(zcat data.gz)` makes one
        with refusing_unreadable(name):
            data = path.read_bytes()
        return _read_bytes(data, name, missing)
    paths = _paths(name)
    kinds = {_kind(path) for path in paths}
    if len(kinds) > 1:
        raise EmmError(
            "mixed-files",
            f"the files are of different kinds: {', '.join(sorted(path.name for path in paths)[:6])}",
            place=name,
            help=f"name one kind, such as '{name.rstrip('/')}/*.csv'" if Path(name).is_dir() else "",
        )
    return _read_files(paths, kinds.pop(), name, missing)


def _paths(name: str) -> tuple[Path, ...]:
    """The files that a path, a directory or a pattern stands for, sorted by name."""
    path = Path(name).expanduser()
    if not path.exists() and glob.has_magic(name):
        found = sorted(Path(item) for item in glob.glob(str(path)) if Path(item).is_file())
        if not found:
            raise EmmError("no-such-file", "no file matches the pattern", place=name)
        return tuple(found)
    existing(path)
    if not path.is_dir():
        return (path,)
    with refusing_unreadable(name):
        inside = sorted(item for item in path.iterdir() if item.is_file() and not item.name.startswith("."))
    tables = tuple(item for item in inside if _suffix(item.name) in KINDS)
    if not tables:
        raise EmmError(
            "no-such-file",
            "there is no table in the directory",
            place=name,
            help=f"the ends of names that are known: {', '.join(KINDS)}, .csv.gz",
        )
    return tables


def _suffix(name: str) -> str:
    return Path(name.lower().removesuffix(".gz")).suffix


def _kind(path: Path) -> str:
    known = KINDS.get(_suffix(path.name))
    return known or _kind_of_bytes(Source(str(path), path).head(8))


def _kind_of_bytes(head: bytes) -> str:
    return next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), "delimited")


def _read_files(paths: Sequence[Path], kind: str, name: str, missing: frozenset[str], keep: Any = None) -> Table:
    match kind:
        case "parquet":
            from emdsl.data.large import scan_parquet

            _refuse_empty(paths)
            return scan_parquet(paths, name, missing, keep)
        case "arrow":
            from emdsl.data.arrow import read_arrow

            _refuse_empty(paths)
            return read_arrow(paths, name, missing)
    names = [name if len(paths) == 1 else str(path) for path in paths]
    sources = tuple(Source(each, path) for each, path in zip(names, paths, strict=True))
    if _is_small(sources):
        return read_delimited(sources, name, missing)
    return _read_large(sources, name, missing, keep)


def _refuse_empty(paths: Sequence[Path]) -> None:
    for path in paths:
        if path.stat().st_size == 0:
            raise EmmError("empty-file", "the file is empty", place=str(path))


def _is_small(sources: Sequence[Source]) -> bool:
    """Whether all files together hold at most `SMALL` bytes, decompressed (a file of a few bytes may unpack to
    many)."""
    left = SMALL
    for source in sources:
        if source.path is not None:
            with refusing_unreadable(source.name):
                if source.path.stat().st_size > left:
                    return False
        left -= len(source.head(left + 1))
        if left < 0:
            return False
    return True


def _read_large(sources: Sequence[Source], name: str, missing: frozenset[str], keep: Any) -> Table:
    """Through DuckDB; where it refuses, the strict reader says what is wrong, or reads what DuckDB could not."""
    from emdsl.data.large import MalformedFile, scan_delimited

    headers = [read_header(source) for source in sources]
    for source, header in zip(sources, headers, strict=True):
        check_same_header(headers[0], header, sources[0].name, source.name)
    paths = [source.path for source in sources if source.path is not None]
    packed = {_is_packed(path) for path in paths}
    broken_names = any("\n" in name or "\r" in name for name in headers[0].names)  # DuckDB skips whole lines only
    many = len(headers[0].names) > MOST_SCANNED_COLUMNS
    if many or broken_names or len(packed) > 1 or len({(header.line, header.delimiter) for header in headers}) > 1:
        return read_delimited(sources, name, missing)
    try:
        return scan_delimited(paths, headers[0], packed.pop(), name, missing, keep)
    except MalformedFile:
        return read_delimited(sources, name, missing)


def _is_packed(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(2) == GZIP_MAGIC


def _read_standard_input(missing: frozenset[str]) -> Table:
    if sys.stdin is None or sys.stdin.isatty():
        raise EmmError(
            "no-data",
            "expected a table on standard input, found a terminal",
            help="pipe it in: cat data.csv | emdsl fit model.emm -",
        )
    return _read_bytes(sys.stdin.buffer.read(), "standard input", missing)


def _read_bytes(data: bytes, name: str, missing: frozenset[str]) -> Table:
    """The table in bytes that can be read only once."""
    source = Source(name, data=data)
    kind = _kind_of_bytes(source.head(8))
    if kind == "delimited" and len(source.head(SMALL + 1)) <= SMALL:
        return read_delimited((source,), name, missing)
    from emdsl.data.large import spooled

    path, keep = spooled(data, "")
    return _read_files((path,), kind, name, missing, keep)
