"""The command line of a stand-alone file, read without click: such a file has NumPy and nothing else."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from emdsl.data.wording import did_you_mean
from emdsl.diagnostics.errors import EmmError
from emdsl.results.elements import read_assignment
from emdsl.standalone.options import OPTIONS, Option


@dataclass
class CommandLine:
    """A command line taken apart: files, options with a value by name, flags."""

    files: list[str] = field(default_factory=list)
    given: dict[str, Any] = field(default_factory=dict)
    flags: set[str] = field(default_factory=set)


def read_command_line(arguments: Sequence[str]) -> CommandLine:
    """Options and files in any order; behind `--` there are only files. Raises `unknown-option`, `bad-option` and
    `bad-assignment`."""
    known = {option.spelling: option for option in OPTIONS}
    line = CommandLine()
    left = list(arguments)
    while left:
        text = left.pop(0)
        if text == "--":
            line.files += left
            break
        if not text.startswith("-") or text == "-":
            line.files.append(text)
            continue
        spelling, equals, value = text.partition("=")
        if spelling not in known:
            near = did_you_mean(spelling, list(known)) or f"the options are {', '.join(known)}"
            raise EmmError("unknown-option", f"there is no option `{spelling}`", help=near)
        option = known[spelling]
        if option.kind == "flag":
            if equals:
                raise EmmError("bad-option", f"the option `{spelling}` takes no value")
            line.flags.add(option.name)
            continue
        if not equals:
            if not left:
                example = f"{spelling} {option.metavar}"
                raise EmmError("bad-option", f"the option `{spelling}` needs a value", help=example)
            value = left.pop(0)
        _add(line.given, option, value)
    return line


def _add(given: dict[str, Any], option: Option, text: str) -> None:
    match option.kind:
        case "value":
            given[option.name] = text
        case "words":
            given[option.name] = _words(text)
        case "texts":
            given.setdefault(option.name, []).append(text)
        case _:
            element, value = read_assignment(text, option.spelling)
            labels = f"[{','.join(element.labels)}]" if element.labels else ""
            if labels and option.kind != "mapping":
                raise EmmError(
                    "bad-assignment", f"expected NAME=VALUE, found `{text}`", place=option.spelling,
                    help=f"{option.spelling} {option.metavar}",
                )  # fmt: skip
            read: Any = _words(value) if option.kind == "columns" else value
            given.setdefault(option.name, {})[element.name + labels] = read


def _words(text: str) -> tuple[str, ...]:
    """The words between commas; a word with a comma in it stands in double quotes."""
    return tuple(word.strip() for word in next(csv.reader([text], skipinitialspace=True), []))
