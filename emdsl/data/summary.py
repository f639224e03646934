"""How the columns of a table were bound, in lines to read."""

from __future__ import annotations

from collections import defaultdict

from emdsl.data.bound import Bound
from emdsl.data.wording import count_of, plain


def bound_summary(bound: Bound) -> list[str]:
    """Lines that say where every variable was read from, what the plates hold, and what was left to find out."""
    return [
        *_plates(bound),
        *_columns(bound),
        *(f"`{name}` took every numeric column left over: {plain(labels)}" for name, labels in bound.leftover.items()),
        *(
            f"labels of `{name}`: {plain(labels)}"
            for name, labels in bound.indexes.items()
            if "/" not in name and name not in bound.counts
        ),
        *_missing(bound),
    ]


def _plates(bound: Bound) -> list[str]:
    lines = [f"{count_of(bound.rows, 'row')} in {bound.source}"]
    for level in bound.levels[1:]:
        assert level.plate is not None
        column = bound.plate_columns.get(level.plate)
        how = f", told apart by column {column}" if column is not None else ""
        lines.append(f"plate `{level.plate}`: {count_of(level.size, 'unit')}{how}")
    return lines


def _columns(bound: Bound) -> list[str]:
    columns: dict[str, list[str]] = defaultdict(list)
    for key, column in bound.columns.items():
        columns[key.split(".")[0]].append(column)
    return [
        f"`{name}`: column{'s' * (len(found) > 1)} {plain(found)}" + _weighing(bound, name)
        for name, found in columns.items()
    ]


def _weighing(bound: Bound, name: str) -> str:
    if name != "--weight" or not bound.weights:
        return ""
    return f", a weight of `{next(iter(bound.weights))}`"


def _missing(bound: Bound) -> list[str]:
    return [f"column {name}: {count_of(number, 'missing cell')}" for name, number in bound.missing.items()]
