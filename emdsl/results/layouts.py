"""Tables by plate in the forms that commands write them in: CSV, JSON, and columns to read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from emdsl.results.posterior import csv_text
from emdsl.results.table import Column, number, table

FORMATS = ("csv", "json", "table")


def layout(columns: Mapping[str, Sequence[Any]], form: str) -> str:
    """A table as text that ends with a line: `csv`, `json` (a list of rows) or `table`."""
    match form:
        case "json":
            rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
            return json.dumps(rows, indent=1, ensure_ascii=False) + "\n"
        case "table":
            return "\n".join(table([_column(name, cells) for name, cells in columns.items()])) + "\n"
    return csv_text(columns)


def _column(name: str, cells: Sequence[Any]) -> Column:
    is_number = any(isinstance(cell, float) for cell in cells)
    texts = (number(cell) if is_number else "" if cell is None else str(cell) for cell in cells)
    return Column(name, tuple(texts), "point" if is_number else "left")
