"""Small models with continuous hidden variables, each with the log-density of its data integrated by hand.

A case's `marginal` takes named parameters and the table and gives the log-likelihood by another way than the engine's:
dense normal algebra, or a Gauss-Legendre rule in parts over the log-joint as the model writes it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.laws.bound_models import Array
from tests.laws.tables import Cell

Theta = Mapping[str, Array]
Table = dict[str, list[Cell]]


@dataclass(frozen=True)
class IntegralCase:
    """A model, a table of it, and the log-likelihood. `accuracy` is relative to the size of the log-likelihood."""

    name: str
    text: str
    table: Table
    marginal: Callable[[Theta, Table], float]
    method: str
    accuracy: float = 1e-9


def by_unit(table: Table, key: str) -> dict[Any, list[int]]:
    """The rows of each unit."""
    found: dict[Any, list[int]] = {}
    for row, label in enumerate(table[key]):
        found.setdefault(label, []).append(row)
    return found


def column(table: Table, name: str, rows: list[int] | None = None) -> Array:
    """Numbers of some rows, NaN where a cell is empty."""
    cells = table[name] if rows is None else [table[name][row] for row in rows]
    return np.array([np.nan if cell is None else float(cell) for cell in cells])


GROUPS: list[Cell] = ["a", "a", "b", "b", "b", "c", "d", "d"]


@dataclass(frozen=True)
class Draws:
    """Columns of random cells, always the same in the same order of asking."""

    rng: np.random.Generator

    def reals(self, n: int, spread: float = 1.0) -> list[Cell]:
        """Numbers around a half."""
        return [round(float(x), 3) for x in self.rng.normal(0.5, spread, n)]

    def positives(self, n: int) -> list[Cell]:
        """Gamma numbers."""
        return [round(float(x), 3) for x in self.rng.gamma(2, 1, n)]

    def counts(self, n: int, most: int = 6) -> list[Cell]:
        """Counts below `most`."""
        return [int(x) for x in self.rng.integers(0, most, n)]

    def table_of(self, y: list[Cell]) -> Table:
        """A column with groups and an input."""
        return {"g": list(GROUPS), "x": self.reals(len(GROUPS), 0.7), "y": y}
