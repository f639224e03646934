"""Names of what a hidden variable on a grid brings along. No name in a model has a space."""

from __future__ import annotations


def index_set_of(variable: str) -> str:
    """The index set of the nodes."""
    return f"nodes of {variable}"


def step_of(variable: str) -> str:
    """The constant that is the distance between nodes."""
    return f"step of {variable}"


def shares_of(variable: str) -> str:
    """The table of the nodes' shares under the variable's own law."""
    return f"shares of {variable}"
