"""A model's text: read from a file, and put into one form (no byte-order mark, lines that end in `\\n`)."""

from __future__ import annotations

import os
from pathlib import Path

from emdsl.diagnostics.errors import EmmError


def normalise(text: str) -> str:
    """The text without a byte-order mark, with `\\n` at the end of every line, the last one included."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    return text if text.endswith("\n") else text + "\n"


def read_source(path: str | os.PathLike[str]) -> str:
    """The text of a model file; `EmmError` where it cannot be read or is not UTF-8."""
    try:
        raw = Path(path).read_bytes()
    except OSError as error:
        reason = (error.strerror or "cannot be read").lower()
        raise EmmError("unreadable-file", f"cannot read the model: {reason}", place=str(path)) from error
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise EmmError(
            "not-utf-8", f"the text is not UTF-8: byte 0x{raw[error.start]:02x} at offset {error.start}",
            place=f"{path}, line {line}", help="save the file in UTF-8",
        ) from error  # fmt: skip
