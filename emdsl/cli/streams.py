"""Standard output for data alone, standard error for the rest, and files that are written whole or not at all."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from emdsl.diagnostics.errors import EmmError


def give(text: str) -> None:
    """Data on standard output, with a line end. A reader that has gone away (`| head`) is no error."""
    if sys.stdout is None:
        raise EmmError("unwritable-file", "standard output is closed")
    _write(sys.stdout, text + "\n")


def say(text: str) -> None:
    """A line (or lines) on standard error."""
    if sys.stderr is not None:
        _write(sys.stderr, text + "\n")


def flush() -> None:
    """Empty the buffers now, while an error can still be handled."""
    if sys.stdout is not None:
        _write(sys.stdout, "")


def _write(stream: TextIO, text: str) -> None:
    try:
        try:
            stream.write(text)
        except UnicodeEncodeError:  # a terminal that has no Greek letters
            encoding = stream.encoding or "ascii"
            stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        stream.flush()
    except BrokenPipeError:
        _abandon(stream)
    except OSError as error:
        _abandon(stream)
        if stream is sys.stdout:  # of standard error there is nowhere left to say so
            raise EmmError("unwritable-file", _because("standard output cannot be written", error)) from error


def _abandon(stream: TextIO) -> None:
    """Lead what is still in the buffer of the stream to nowhere, so that Python's own end does not fail on it."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def check_writable(path: str, option: str, inputs: Sequence[str | None] = ()) -> None:
    """Raises `unwritable-file` where the file could not be written, before the work is done that it is for, and
    `overwrites-input` where it is one of the files that are read."""
    target = _target(path)
    for read in inputs:
        if read not in (None, "-") and target.is_file() and _target(str(read)) == target:
            raise EmmError(
                "overwrites-input", f"`{path}` is read, so it cannot be written", place=option,
                help=f"{option} {target.stem}.new{target.suffix}",
            )  # fmt: skip
    folder = target.parent
    if Path(path).is_dir():
        raise EmmError("unwritable-file", f"`{path}` is a directory", place=option, help=f"{option} {path}/FILE")
    if not folder.is_dir():
        raise EmmError("unwritable-file", f"there is no directory `{folder}`", place=option, help=f"mkdir -p {folder}")
    if not os.access(folder, os.W_OK):
        raise EmmError("unwritable-file", f"the directory `{folder}` cannot be written", place=option)


def write_whole(path: str, text: str, option: str) -> None:
    """The text as a file, in UTF-8, whole or not at all: written beside its place, then moved there."""
    target = _target(path)
    try:
        if target.exists() and not target.is_file():  # a pipe or a device is written as it is
            target.write_text(text, encoding="utf-8")
            return
        beside = target.with_name(f".{target.name}.{os.getpid()}.part")
        try:
            with beside.open("x", encoding="utf-8", newline="\n") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(beside, target)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise EmmError("unwritable-file", _because(f"`{path}` cannot be written", error), place=option) from error


def _target(path: str) -> Path:
    """The file itself, behind links."""
    return Path(path).expanduser().resolve()


def _because(what: str, error: OSError) -> str:
    return f"{what}: {(error.strerror or str(error)).lower()}"
