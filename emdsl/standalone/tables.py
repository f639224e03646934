"""In a stand-alone file, what stands for the readers that need DuckDB or pyarrow: the strict reader reads any CSV,
large or small, and other kinds of file are refused."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from emdsl.diagnostics.errors import EmmError


class MalformedFile(Exception):
    """Asks for the strict reader."""


def scan_delimited(*_: Any) -> NoReturn:
    """Leaves every file to the strict reader."""
    raise MalformedFile


def scan_parquet(paths: Sequence[Path], name: str, *_: Any) -> NoReturn:
    """Refuses Parquet."""
    raise _unreadable("Parquet", name)


def read_arrow(paths: Sequence[Path], name: str, *_: Any) -> NoReturn:
    """Refuses Arrow and Feather."""
    raise _unreadable("Arrow", name)


def _unreadable(kind: str, name: str) -> EmmError:
    return EmmError(
        "unsupported-data", f"a stand-alone file reads CSV and TSV, not {kind}", place=name,
        help=f"emdsl fit MODEL.emm {name}, or write the table as CSV",
    )  # fmt: skip


def spooled(data: bytes, suffix: str) -> tuple[Path, Any]:
    """A file that holds the bytes, in a temporary directory that lasts as long as the object returned with it."""
    folder = tempfile.TemporaryDirectory()
    path = Path(folder.name) / f"data{suffix}"
    path.write_bytes(data)
    return path, folder
