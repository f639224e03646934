"""Where bytes of a table come from: a file, plain or gzipped, or what was read from standard input."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, cast

from emdsl.data.wording import did_you_mean
from emdsl.diagnostics.errors import EmmError

GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True)
class Source:
    """Bytes with a name for messages; `data` where they are in memory already, else `path`."""

    name: str
    path: Path | None = None
    data: bytes | None = field(default=None, repr=False)

    @contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """The bytes, decompressed. `unreadable-file` where the file, or its compression, cannot be read."""
        with refusing_unreadable(self.name):
            raw = self._raw()
            with raw:
                if raw.peek(2)[:2] == GZIP_MAGIC:
                    with gzip.open(raw) as unpacked:
                        yield cast(IO[bytes], unpacked)
                else:
                    yield raw

    def _raw(self) -> io.BufferedReader:
        if self.data is not None:
            return io.BufferedReader(cast(io.RawIOBase, io.BytesIO(self.data)))
        assert self.path is not None
        return self.path.open("rb")

    def head(self, size: int) -> bytes:
        """The first `size` bytes, decompressed."""
        with self.open() as stream:
            return stream.read(size)


@contextmanager
def refusing_unreadable(name: str) -> Iterator[None]:
    """Turns what the operating system or the decompressor says of a file into an `EmmError`."""
    try:
        yield
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise EmmError(
            "broken-file",
            "the gzip compression is broken or the file is cut short",
            place=name,
            help=f"copy or download the file again; `gzip -t {name}` checks it",
        ) from error
    except OSError as error:
        raise EmmError(
            "unreadable-file", f"the file cannot be read: {(error.strerror or str(error)).lower()}", place=name
        ) from error


def existing(path: Path) -> Path:
    """The path, if there is such a file or directory; otherwise `no-such-file`, with the nearest name beside it."""
    with refusing_unreadable(str(path)):
        if path.exists():
            return path
        folder = path.parent
        if not folder.is_dir():
            raise EmmError("no-such-file", f"there is no directory `{folder}`", place=str(path))
        near = did_you_mean(path.name, sorted(item.name for item in folder.iterdir()))
    raise EmmError("no-such-file", f"there is no file `{path.name}`", place=str(path), help=near)
