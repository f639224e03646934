"""Tables of constants that the user gives: long files, with a column for each axis and `value`, or arrays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np

from emdsl.data.evaluation import Value
from emdsl.data.numerals import print_number
from emdsl.data.reading import read_table
from emdsl.data.table import Table
from emdsl.data.wording import SHOWN, did_you_mean, plain
from emdsl.diagnostics.errors import EmmError
from emdsl.ir.model import Constant


def read_long(
    constant: Constant, axes: tuple[tuple[str, ...], ...], given: Any, na: Sequence[str] = ()
) -> dict[tuple[str, ...], Value]:
    """The elements of a constant by their labels. `axes` are the labels of its axes.

    `given` is what `read_table` takes, with a column for each axis (`wave_1`, `wave_2` where an index set comes
    twice) and `value`; or an array or nested list in the order of the axes.
    """
    if isinstance(given, (np.ndarray, list, tuple)) and getattr(getattr(given, "dtype", None), "names", None) is None:
        return _from_array(constant, axes, given)
    table = read_table(given, na)
    names = axis_columns(constant)
    for name in (*names, "value"):
        if name not in table:
            raise table.no_column(
                name,
                message=f"the table of the constant `{constant.name}` needs a column `{name}`",
                help=f"its columns are to be {plain((*names, 'value'))}",
            )
    keys = list(zip(*(_labels(table, name, labels) for name, labels in zip(names, axes, strict=True)), strict=True))
    values = _values(constant, table)
    _check_complete(constant, axes, keys, table)
    return dict(zip(keys, values, strict=True))


def axis_columns(constant: Constant) -> tuple[str, ...]:
    """The columns that hold the labels of the axes: the index sets' names, numbered where one comes twice."""
    counts, seen = Counter(constant.axes), Counter[str]()
    names = []
    for axis in constant.axes:
        seen[axis] += 1
        names.append(f"{axis}_{seen[axis]}" if counts[axis] > 1 else axis)
    return tuple(names)


def _labels(table: Table, column: str, labels: tuple[str, ...]) -> list[str]:
    cells: list[str] = table.text(column).tolist()
    known = set(labels)
    for row, cell in enumerate(cells):
        if cell is None:
            raise EmmError("missing-cell", f"expected a label in column `{column}`", place=table.place([row], column))
        if cell not in known:
            raise EmmError(
                "unknown-label",
                f"`{cell}` is not a label of `{column}`",
                place=table.place([row], column),
                help="; ".join(p for p in (did_you_mean(cell, labels), f"its labels are {plain(labels)}") if p),
            )
    return cells


def _values(constant: Constant, table: Table) -> list[Value]:
    cells: list[Value | None]
    if constant.labels_of is not None:
        cells = table.text("value").tolist()
        empty = [row for row, cell in enumerate(cells) if cell is None]
    else:
        numbers = table.numbers("value")
        cells = numbers.tolist()
        empty = np.flatnonzero(np.isnan(numbers)).tolist()
    if empty:
        raise EmmError(
            "missing-cell",
            f"the constant `{constant.name}` may not have empty cells",
            place=table.place(empty, "value"),
        )
    return [cell for cell in cells if cell is not None]


def _check_complete(
    constant: Constant, axes: tuple[tuple[str, ...], ...], keys: list[tuple[str, ...]], table: Table
) -> None:
    counts = Counter(keys)
    twice = next((key for key, count in counts.items() if count > 1), None)
    if twice is not None:
        rows = [row for row, key in enumerate(keys) if key == twice]
        raise EmmError(
            "duplicate-element",
            f"`{constant.name}[{', '.join(twice)}]` is given more than once",
            place=table.place(rows),
        )
    absent: list[str] = []
    for key in product(*axes):
        if key not in counts:
            absent.append(f"`{constant.name}[{', '.join(key)}]`")
            if len(absent) > SHOWN:
                break
    if absent:
        more = ", …" if len(absent) > SHOWN else ""
        raise EmmError(
            "missing-element",
            f"the table does not give {', '.join(absent[:SHOWN])}{more}",
            place=table.source,
            help=f"one row for each element, with the columns {plain((*axis_columns(constant), 'value'))}",
        )


def _from_array(constant: Constant, axes: tuple[tuple[str, ...], ...], given: Any) -> dict[tuple[str, ...], Value]:
    array = np.array(given, dtype=object)
    shape = tuple(len(labels) for labels in axes)
    if array.shape != shape:
        raise EmmError(
            "constant-shape",
            f"expected {_shape(shape)} for the constant `{constant.name}`, found {_shape(array.shape)}",
            help=f"in the order of the index sets {plain(constant.axes)}",
        )
    return {key: _entry(constant, value) for key, value in zip(product(*axes), array.reshape(-1).tolist(), strict=True)}


def _entry(constant: Constant, value: Any) -> Value:
    if isinstance(value, str) and constant.labels_of is not None:
        return value
    if isinstance(value, (int, float, Fraction, np.number, np.bool_)) and value == value:
        if constant.labels_of is not None:
            return print_number(float(value))
        return Fraction(int(value)) if isinstance(value, (int, np.integer, np.bool_)) else float(value)
    what = "a label" if constant.labels_of is not None else "a number"
    raise EmmError(
        "missing-cell" if value is None or value != value else "not-a-number",
        f"expected {what} in the constant `{constant.name}`, found `{value}`",
    )


def _shape(shape: tuple[int, ...]) -> str:
    return " x ".join(str(size) for size in shape) + " values"
