"""What the contract names and this version does not do: refused with a clear error, never ignored.

This is the only list. What is built is deleted from here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from emdsl.diagnostics.errors import EmmError

#: Options of a fit: the values that are refused, or None where the option as a whole is.
OPTIONS: Mapping[str, frozenset[str] | None] = {
    "executor": frozenset({"threads", "dask"}),
    "scheduler": None,
    "chunk_rows": None,
    "checkpoint": None,
}


def refuse(what: str) -> EmmError:
    """The error for something that is not in this version."""
    return EmmError("not-available", f"{what} is not available in this version of emdsl")


def refuse_options(given: Mapping[str, Any], spell: Callable[[str], str]) -> None:
    """Raises for the first option that this version cannot serve; `spell` gives its name as the user writes it."""
    for name, values in OPTIONS.items():
        value = given.get(name)
        if value is None:
            continue
        if values is None:
            raise refuse(f"`{spell(name)}`")
        if value in values:
            raise refuse(f"`{spell(name)} {value}`" if spell(name).startswith("-") else f"`{spell(name)}={value!r}`")
