"""Arrow and Feather files, through pyarrow, which is imported only here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from emdsl.data.frames import read_frame
from emdsl.data.table import Table
from emdsl.diagnostics.errors import EmmError


def read_arrow(paths: Sequence[Path], name: str, missing: frozenset[str]) -> Table:
    """The table in Arrow files (file or stream format) or Feather files, one after the other."""
    try:
        import pyarrow
    except ImportError as error:
        raise EmmError(
            "no-pyarrow", "reading Arrow files needs pyarrow", place=name, help="pip install pyarrow"
        ) from error
    tables = [_read_one(path) for path in paths]
    try:
        joined = pyarrow.concat_tables(tables)
    except pyarrow.ArrowInvalid as error:
        raise EmmError(
            "different-columns", "the files differ in their columns", place=name,
            help="give all files the same columns in the same order",
        ) from error  # fmt: skip
    return read_frame(joined, missing, name)


def _read_one(path: Path) -> Any:
    import pyarrow
    from pyarrow import feather, ipc

    try:
        if path.suffix == ".arrows":
            with pyarrow.OSFile(str(path)) as stream:
                return ipc.open_stream(stream).read_all()
        return feather.read_table(str(path))
    except (pyarrow.ArrowException, OSError) as error:
        raise EmmError(
            "broken-file", "the Arrow file is broken or cut short", place=str(path), help="write the file again"
        ) from error
