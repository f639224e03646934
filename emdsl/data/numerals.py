"""Numbers as text: which cells and labels are numbers, how a number prints as a label, how labels are sorted."""

from __future__ import annotations

import re
from collections.abc import Iterable

#: Whole numbers beyond this are not all told apart by a float.
LARGEST_EXACT = 2**53

_NUMERAL = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)


def numeral(text: str) -> float | None:
    """The number that a cell or label spells, or None. Only decimal numbers: `nan`, `inf`, `0x1F`, `1_000` and `1,5`
    are words, and so is a number too large for a float."""
    if _NUMERAL.fullmatch(text) is None:
        return None
    value = float(text)
    return None if value in (float("inf"), float("-inf")) else value


def print_number(value: float) -> str:
    """A number as a label: whole numbers as integers, others with the fewest digits that tell them apart."""
    whole = int(value) if abs(value) < LARGEST_EXACT else None
    return str(whole) if whole is not None and whole == value else repr(float(value))


def sorted_labels(labels: Iterable[str]) -> tuple[str, ...]:
    """The distinct labels, sorted as numbers if all of them are, otherwise by code point."""
    distinct = set(labels)
    values = {label: numeral(label) for label in distinct}
    if all(value is not None for value in values.values()):
        return tuple(sorted(distinct, key=lambda label: (values[label] or 0.0, label)))
    return tuple(sorted(distinct))
