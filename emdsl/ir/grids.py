"""Names of what a hidden variable on a grid brings along. No name in a model has a space."""

from __future__ import annotations


def index_set_of(variable: str) -> str:
    """The index set of the nodes."""
    return f"nodes of {variable}"


def weights_of(variable: str) -> str:
    """The table of the nodes' weights: the distance between them, on the variable's own scale."""
    return f"weights of {variable}"


def shares_of(variable: str) -> str:
    """The table of the nodes' shares under the variable's own law."""
    return f"shares of {variable}"


def values_of(variable: str) -> str:
    """The table of the shares at each node."""
    return f"values of {variable}"


def logs_of(variable: str) -> str:
    """The table of their logarithms, which tell shares apart that are too small for a number."""
    return f"logs of {variable}"


def log_weights_of(variable: str) -> str:
    """The table of the logarithms of the weights of nodes in a simplex, or, of draws, minus those of their density."""
    return f"log weights of {variable}"


def shares_table(name: str) -> tuple[str, str] | None:
    """How an entry of one of these tables reads, with the variable; None for any other name."""
    for table, form in ((values_of, "{}"), (logs_of, "log({})"), (log_weights_of, "log(weight of {})")):
        prefix = table("")
        if name.startswith(prefix):
            return form, name.removeprefix(prefix)
    return None
