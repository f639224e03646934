"""Names of what an observed number with open cells brings along. No name in a model has a space."""

from __future__ import annotations


def missing_name(variable: str) -> str:
    """The hidden value of an open cell."""
    return f"missing {variable}"


def mask_name(variable: str) -> str:
    """The column that is 1 where a cell is open and 0 where its value is known."""
    return f"open {variable}"


def without_cells(variable: str) -> str:
    """The variable whose open cells a hidden variable is, as a reader knows it."""
    return variable.removeprefix("missing ")
