"""`emdsl fmt`: the one layout, in place, or, with `--check`, a look at what it would change."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import click

from emdsl.cli.arguments import VERBOSITY, options
from emdsl.cli.endings import DONE, FAILED, WRONG
from emdsl.cli.streams import give, say
from emdsl.diagnostics.errors import EmmError

STANDARD_INPUT = "-"


@click.command(short_help="the one layout of model files; --check for CI")
@click.argument("files", nargs=-1, metavar="MODEL...")
@click.option("--check", is_flag=True, help="Write nothing; print the files that would change, and end with 1.")
@options(VERBOSITY)
def fmt(files: tuple[str, ...], check: bool, quiet: bool, verbose: bool) -> int:
    """Bring every MODEL into the one layout, in place; `-` goes from standard input to standard output.

    A file that is wrong is left as it is and does not keep the others from being formatted.
    """
    if not files:
        raise EmmError("bad-command", "expected models to format, found nothing", help="emdsl fmt MODEL.emm")
    codes = [_format(file, check, quiet) for file in dict.fromkeys(files)]
    return max(codes)


def _format(file: str, check: bool, quiet: bool) -> int:
    """Format one file, or look at it; its part of the exit code."""
    try:
        text = _read(file)
        formatted = _formatted(text, file)
        if check:
            if formatted != text:
                give(file)
            return DONE if formatted == text else FAILED
        if file == STANDARD_INPUT:
            _give_model(formatted)
        elif formatted != text:
            _replace(file, formatted)
            if not quiet:
                say(f"formatted {file}")
    except EmmError as error:
        say(str(error))
        return WRONG
    return DONE


def _formatted(text: str, file: str) -> str:
    from emdsl.syntax.formatting import format_text

    return format_text(text, "standard input" if file == STANDARD_INPUT else file)


def _read(file: str) -> str:
    """The text with its line ends and its byte-order mark as they are, so that a change of these is seen."""
    if file == STANDARD_INPUT:
        if sys.stdin is None:
            raise EmmError("unreadable-file", "standard input is closed")
        raw, place = sys.stdin.buffer.read(), "standard input"
    else:
        raw, place = _bytes(file), file
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise EmmError(
            "not-utf-8", f"the text is not UTF-8: byte 0x{raw[error.start]:02x} at offset {error.start}",
            place=f"{place}, line {line}", help="save the file in UTF-8",
        ) from error  # fmt: skip


def _bytes(file: str) -> bytes:
    if Path(file).is_dir():
        raise EmmError("unreadable-file", f"`{file}` is a directory", help=f"emdsl fmt {Path(file) / '*.emm'}")
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise EmmError("unreadable-file", f"cannot read the model: {_reason(error)}", place=file) from error


def _give_model(text: str) -> None:
    """The model on standard output, which must be able to hold its letters: another letter is another model."""
    encoding = (sys.stdout.encoding if sys.stdout is not None else None) or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError as error:
        raise EmmError(
            "unwritable-file", f"standard output is {encoding} and cannot hold `{text[error.start]}`",
            help=f"PYTHONIOENCODING=utf-8 emdsl fmt {STANDARD_INPUT}",
        ) from error  # fmt: skip
    if text:
        give(text.removesuffix("\n"))


def _replace(file: str, text: str) -> None:
    """Put the text in the place of the file, behind links, whole or not at all, with the file's permissions.

    Raises `unwritable-file`, also for a file that is write-protected though its directory is not.
    """
    target = Path(file).resolve()
    beside = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        if not os.access(target, os.W_OK):
            raise PermissionError(0, "the file is write-protected")
        mode = stat.S_IMODE(target.stat().st_mode)
        try:
            with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
                stream.write(text.encode("utf-8"))
                stream.flush()
                os.fsync(stream.fileno())
            beside.chmod(mode)
            os.replace(beside, target)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise EmmError("unwritable-file", f"`{file}` cannot be written: {_reason(error)}") from error


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
