"""Files that are written: checked before the work is done that they are for, and written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from emdsl.diagnostics.errors import EmmError


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


def write_whole(path: str, text: str | bytes, option: str) -> None:
    """The text (in UTF-8) or bytes as a file, whole or not at all: written beside its place, then moved there."""
    target, data = _target(path), text.encode() if isinstance(text, str) else text
    try:
        if target.exists() and not target.is_file():  # a pipe or a device is written as it is
            target.write_bytes(data)
            return
        beside = target.with_name(f".{target.name}.{os.getpid()}.part")
        try:
            with beside.open("xb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(beside, target)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise EmmError("unwritable-file", because(f"`{path}` cannot be written", error), place=option) from error


def _target(path: str) -> Path:
    """The file itself, behind links."""
    return Path(path).expanduser().resolve()


def because(what: str, error: OSError) -> str:
    """What went wrong, and why the system says so."""
    return f"{what}: {(error.strerror or str(error)).lower()}"
