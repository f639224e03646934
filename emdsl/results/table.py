"""Columns of text, aligned, for a terminal: without a library, as a warm fit should not wait for one."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

#: What stands where there is no number.
ABSENT = "–"
_GAP = "  "
#: Beyond these a number is written with an exponent, unless its error has fewer decimals.
_LARGE, _SMALL, _MOST_DECIMALS = 1e9, 1e-6, 9


@dataclass(frozen=True)
class Column:
    """A column of a table; `point` lines numbers up at their decimal point."""

    title: str
    cells: tuple[str, ...]
    align: Literal["left", "point"] = "left"


def width(text: str) -> int:
    """Places that a terminal gives the text: two for wide East Asian characters, none for combining ones."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(c) or unicodedata.category(c) in ("Mn", "Me", "Cf")
        else 2 if unicodedata.east_asian_width(c) in ("W", "F")
        else 1
        for c in text
    )  # fmt: skip


def table(columns: Sequence[Column]) -> list[str]:
    """The lines of a table, its titles first, columns without any text left out."""
    shown = [column for column in columns if column.title or any(column.cells)]
    laid = [_laid(column) for column in shown]
    return [_GAP.join(row).rstrip() for row in zip(*laid, strict=True)]


def pairs(rows: Sequence[tuple[str, str]]) -> list[str]:
    """Lines of a name and what belongs to it, the second parts below each other."""
    names = _padded([name for name, _ in rows])
    return [f"{name}{_GAP}{text}".rstrip() for name, (_, text) in zip(names, rows, strict=True)]


def _laid(column: Column) -> list[str]:
    if column.align == "left":
        return _padded([column.title, *column.cells])
    cells = _at_point(column.cells)
    room = max([width(column.title), *map(width, cells)])
    return [_spaces(room - width(text)) + text for text in (column.title, *cells)]


def _padded(texts: Sequence[str]) -> list[str]:
    room = max(map(width, texts), default=0)
    return [text + _spaces(room - width(text)) for text in texts]


def _at_point(cells: Sequence[str]) -> list[str]:
    """The cells followed by as many spaces as the longest fraction (or exponent) among them leaves."""
    tails = [0 if cell == ABSENT else width(cell) - width(cell.partition(".")[0]) for cell in cells]
    longest = max(tails, default=0)
    return [cell + _spaces(longest - tail) for cell, tail in zip(cells, tails, strict=True)]


def _spaces(count: int) -> str:
    return " " * max(count, 0)


def number(value: float | None, digits: int = 5) -> str:
    """A number with that many significant digits; `–` where there is none."""
    if value is None or math.isnan(value):
        return ABSENT
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    if value == 0:
        return "0"
    return _fixed(value, digits - 1 - _magnitude(value), digits)


def measured(value: float | None, error: float | None, digits: int = 5) -> str:
    """An estimate with as many decimals as show its standard error to three digits, but at least `digits` digits of a
    number that has no error."""
    if value is None or error is None or not (math.isfinite(value) and 0 < error < math.inf):
        return number(value, digits)
    return _fixed(value, 2 - _magnitude(error), digits)


def _fixed(value: float, decimals: int, digits: int) -> str:
    if abs(value) >= _LARGE or (abs(value) < _SMALL and decimals > _MOST_DECIMALS):
        return f"{value:.{digits - 1}e}"
    text = f"{value:.{min(max(decimals, 0), _MOST_DECIMALS)}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def _magnitude(value: float) -> int:
    """The power of ten of the first digit."""
    return math.floor(math.log10(abs(value)))
