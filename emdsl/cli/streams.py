"""Standard output for data alone, standard error for the rest."""

from __future__ import annotations

import os
import sys
from typing import TextIO

from emdsl.diagnostics.errors import EmmError
from emdsl.results.files import because, write_whole


def give(text: str) -> None:
    """Data on standard output, with a line end. A reader that has gone away (`| head`) is no error."""
    if sys.stdout is None:
        raise EmmError("unwritable-file", "standard output is closed")
    _write(sys.stdout, text + "\n")


def give_or_write(text: str, output: str | None) -> None:
    """A text without a line end at its end: to the file that `--output` names, else on standard output."""
    if output is None:
        give(text)
    else:
        write_whole(output, text + "\n", "--output")


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
            raise EmmError("unwritable-file", because("standard output cannot be written", error)) from error


def _abandon(stream: TextIO) -> None:
    """Lead what is still in the buffer of the stream to nowhere, so that Python's own end does not fail on it."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
