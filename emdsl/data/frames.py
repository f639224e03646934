"""Tables in memory: a dict of arrays or lists, a NumPy record array, and, through narwhals, any data frame."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from emdsl.data.delimited import BLANKS, duplicate_columns, no_rows
from emdsl.data.numerals import LARGEST_EXACT, numeral, print_number
from emdsl.data.table import Column, Floats, NumberColumn, OpaqueColumn, Table, TextColumn
from emdsl.diagnostics.errors import EmmError


def read_mapping(data: Mapping[Any, Any], missing: frozenset[str], source: str = "the data") -> Table:
    """A table from a dict of one-dimensional arrays or lists of equal length."""
    columns: dict[str, Column] = {}
    lengths: dict[str, int] = {}
    for key, values in data.items():
        name = str(key)
        if name in columns:
            raise duplicate_columns([name], source)
        columns[name], lengths[name] = _column(name, values, missing, source)
    if len(set(lengths.values())) > 1:
        raise EmmError(
            "unequal-columns",
            "the columns differ in length: " + ", ".join(f"`{name}` has {size}" for name, size in lengths.items()),
            place=source,
        )
    return _table(columns, next(iter(lengths.values()), 0), source)


def read_frame(frame: Any, missing: frozenset[str], source: str = "the data frame") -> Table:
    """A table from a pandas, polars or pyarrow table, or whatever else narwhals knows."""
    import narwhals.stable.v2 as nw

    # narwhals refuses repeated names in words of its own; a lazy frame cannot have any
    labels = None if hasattr(frame, "collect") else getattr(frame, "columns", None)
    _refuse_repeated([str(name) for name in labels] if isinstance(labels, Iterable) else [], source)
    try:
        known = nw.from_native(frame)
    except TypeError as error:
        raise EmmError(
            "unsupported-data",
            f"expected a path, a dict of arrays or a data frame, found {_kind(frame)}",
            help='give the columns names: {"x": values}',
        ) from error
    eager = known.collect() if isinstance(known, nw.LazyFrame) else known
    names = [str(name) for name in eager.columns]
    _refuse_repeated(names, source)
    columns = {name: _series(series, missing) for name, series in zip(names, eager.iter_columns(), strict=True)}
    return _table(columns, len(eager), source)


def _refuse_repeated(names: list[str], source: str) -> None:
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise duplicate_columns(repeated, source)


def _table(columns: dict[str, Column], rows: int, source: str) -> Table:
    named = {name: column for name, column in columns.items() if name}
    if not rows:
        raise no_rows(source)
    return Table(tuple(named), named, rows, source)


def _column(name: str, values: Any, missing: frozenset[str], source: str) -> tuple[Column, int]:
    if isinstance(values, np.ma.MaskedArray):
        values = values.tolist()  # None where masked
    if isinstance(values, (str, bytes)) or not (isinstance(values, Sequence) or hasattr(values, "__array__")):
        raise EmmError(
            "unsupported-data",
            f"expected an array or a list in column `{name}`, found {_kind(values)}",
            place=source,
            help=f'one value for each row: {{"{name}": [1, 2, 3]}}',
        )
    if isinstance(values, Sequence):
        return column_of_objects(list(values), missing), len(values)
    array = np.asarray(values)
    if array.ndim != 1:
        raise EmmError(
            "unsupported-data",
            f"expected one value for each row in column `{name}`, found an array of {array.ndim} dimensions",
            place=source,
            help=f'one entry for each column: {{"{name}_1": a[:, 0], "{name}_2": a[:, 1]}}' if array.ndim == 2 else "",
        )
    return column_of_array(array, missing), len(array)


def column_of_array(array: np.ndarray[Any, Any], missing: frozenset[str]) -> Column:
    """The column of a one-dimensional array of any type."""
    match array.dtype.kind:
        case "b":
            return NumberColumn(array.astype(np.float64), truth=True)
        case "i" | "u" if not len(array) or max(abs(int(array.min())), abs(int(array.max()))) <= LARGEST_EXACT:
            return NumberColumn(masked(array.astype(np.float64), missing))
        case "f":
            return NumberColumn(masked(array.astype(np.float64), missing))
        case "c" | "V" | "S":
            return OpaqueColumn({"c": "complex numbers", "V": "records", "S": "bytes"}[array.dtype.kind])
    return column_of_objects(array.tolist(), missing)


def column_of_objects(cells: list[Any], missing: frozenset[str]) -> Column:
    """The column of a list of Python values: numbers if all are, otherwise text, each value as it prints."""
    kinds = set(map(type, cells))
    if kinds <= {float, type(None)}:
        return NumberColumn(masked(np.array(cells, dtype=np.float64), missing))
    if kinds <= {str, type(None)}:
        return TextColumn(_spelled(cells, missing))
    present = [None if _is_missing(cell) else cell for cell in cells]
    if all(cell is None or isinstance(cell, (bool, np.bool_)) for cell in present):
        truth = np.array([np.nan if cell is None else float(cell) for cell in present])
        return NumberColumn(truth, truth=True)
    if all(cell is None or _is_number(cell) for cell in present):
        return NumberColumn(masked(np.array([np.nan if cell is None else float(cell) for cell in present]), missing))
    try:
        return TextColumn(_spelled([None if cell is None else _print(cell) for cell in present], missing))
    except TypeError as error:
        return OpaqueColumn(str(error))


def _series(series: Any, missing: frozenset[str]) -> Column:
    dtype = series.dtype
    if dtype.is_float() and not series.is_null().any():
        return column_of_array(np.asarray(series.to_numpy()), missing)
    if dtype.is_integer() and not series.is_null().any():
        return column_of_array(np.asarray(series.to_numpy()), missing)
    return column_of_objects(series.to_list(), missing)


def masked(values: Floats, missing: frozenset[str]) -> Floats:
    """Numbers with NaN where they equal one of the words for missing."""
    words = [value for word in missing if (value := numeral(word)) is not None]
    return np.where(np.isin(values, words), np.nan, values) if words else values


def _spelled(cells: Sequence[str | None], missing: frozenset[str]) -> list[str | None]:
    return [None if cell is None or cell.strip(BLANKS) in missing else cell for cell in cells]


def _is_missing(cell: Any) -> bool:
    """None, NaN, pandas' NA and NaT, NumPy's NaT: whatever is no value. NaN differs from itself."""
    if cell is None or type(cell).__name__ in ("NAType", "NaTType"):
        return True
    if isinstance(cell, (np.datetime64, np.timedelta64)):
        return bool(np.isnat(cell))
    return isinstance(cell, (float, np.floating)) and bool(cell != cell)


def _is_number(cell: Any) -> bool:
    if isinstance(cell, (bool, np.bool_)):
        return False
    if isinstance(cell, (int, np.integer)):
        return abs(int(cell)) <= LARGEST_EXACT
    return isinstance(cell, (float, np.floating)) or type(cell).__name__ in ("Decimal", "Fraction")


def _print(cell: Any) -> str:
    match cell:
        case str():
            return str(cell)
        case bool() | np.bool_():
            return "true" if cell else "false"
        case int() | np.integer():
            return str(int(cell))
        case float() | np.floating():
            return print_number(float(cell))
        case datetime.datetime() if cell.time() == datetime.time():
            return cell.date().isoformat()
        case datetime.date() | datetime.time():
            return cell.isoformat()
        case datetime.timedelta() | np.datetime64() | np.timedelta64():
            return str(cell)
    if type(cell).__name__ in ("Decimal", "Fraction", "Interval", "Period"):
        return str(cell)
    raise TypeError({"list": "lists", "dict": "structures", "bytes": "bytes"}.get(type(cell).__name__, "objects"))


def _kind(value: Any) -> str:
    match value:
        case list() | tuple():
            return "a list"
        case np.ndarray():
            return "an array without column names"
        case None:
            return "nothing"
    return f"a value of type {type(value).__name__}"
