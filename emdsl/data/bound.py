"""A table bound to a model: codes, numbers, units and labels, all sizes known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from emdsl.ir.model import Model


@dataclass(frozen=True)
class Level:
    """The units of one plate, sorted so that the units of one parent are next to each other (a chain in its order).

    `parent` (n,) is the unit of the level above that each unit belongs to, never decreasing; `starts` (n_parent +
    1,) are the offsets of each parent's first unit. Level 0 is the data set as a whole: plate None, one unit. Where a
    stretch of a chain stands by itself, `before` (n_parent,) says how many units of the chain came before it.
    """

    plate: str | None
    size: int
    parent: NDArray[np.intp]
    starts: NDArray[np.intp]
    before: NDArray[np.intp] | None = None

    def position(self, units: NDArray[np.intp] | None = None) -> NDArray[np.intp]:
        """The place of each unit (or of some) among those of its parent, from 0."""
        chosen = np.arange(self.size) if units is None else units
        parent = self.parent[chosen]
        found = chosen - self.starts[parent]
        return found if self.before is None else found + self.before[parent]


@dataclass(frozen=True)
class Share:
    """Some units of a level, by themselves. `units` are those of the level; `owner` the unit around each, or, where
    `starts` `(stretches + 1,)` cuts them into stretches of chains, around each stretch.
    """

    level: int
    units: NDArray[np.intp]
    owner: NDArray[np.intp]
    starts: NDArray[np.intp] | None = None


@dataclass(frozen=True)
class Values:
    """One variable's values, one row of the table's worth for each unit of its plate, in the order of `Level`.

    `array` is `(*elements, units)`: float with NaN where missing, or, for a finite variable, integer codes: `0..K-1`
    are labels of its index set (ordered pairs of labels, code `a*K + b` with `a <= b`, for a genotype); higher codes
    are rows of `sets`, each a boolean mask over the labels (for a genotype `(K*K,)`, symmetric) that a coarse or
    missing cell allows.
    """

    array: NDArray[np.float64] | NDArray[np.intp]
    sets: NDArray[np.bool_] | None = None

    @property
    def unseen(self) -> NDArray[np.bool_]:
        """`(*elements, units)`: the cells that are empty, or leave every value open."""
        if np.issubdtype(self.array.dtype, np.floating):
            return np.asarray(np.isnan(self.array))
        if self.sets is None:
            return np.asarray(self.array < 0)
        known = np.zeros(self.sets.shape[1], dtype=bool)
        return np.asarray(np.append(known, self.sets.all(axis=1))[self.array])


@dataclass(frozen=True)
class Chosen:
    """A hidden variable that stands, unit by unit, for an element of an array outside the plates: the names of all
    these `elements`, each a variable of its own, and which of them the data of a unit choose, `codes` `(units,)`.
    """

    elements: tuple[str, ...]
    codes: NDArray[np.intp]


@dataclass(frozen=True)
class Regrouping:
    """Data whose rows were put together by an element that they look at: `plate` is that of the elements, around all
    others; `orders` are, for each level without it, the units in their new order.
    """

    plate: str
    orders: tuple[NDArray[np.intp], ...]


@dataclass(frozen=True)
class Bound:
    """Everything the planner needs to know of the data.

    `indexes`: labels of each index set in order. `constants`: numbers as floats, tables of labels as codes.
    `values`: variables by name. `levels`: outermost first, `levels[0]` the whole. `weights`: by plate, one for each
    unit. `columns`: the table's column for each variable (`y[item]` maps to several: `"y.a": "a"`). `missing`: empty
    cells by column. `order`: the original row of each sorted row. `units`: for each outer plate the cells of its
    column, one for each unit; `plate_columns`: those columns. `leftover`: the columns that bare `columns` took, by
    index set. `source`: the name of the table. `nodes`: how many times the usual number of nodes integrals are taken
    with; `seed`: of the draws of those that are simulated. `counts`: the index sets of latent counts. `laid`: between
    which places the nodes of a hidden number lie (of a positive one its logarithms, of one in (0, 1) its logits), and
    how many intervals there are between them. `chosen`: hidden variables that stand for others. `regrouping`: where the
    planner has put a plate around the others. `shares`: the units of those integrals that are over some units alone, by
    their `group`.
    """

    indexes: Mapping[str, tuple[str, ...]]
    constants: Mapping[str, NDArray[np.float64] | NDArray[np.intp]]
    values: Mapping[str, Values]
    levels: tuple[Level, ...]
    weights: Mapping[str, NDArray[np.float64]]
    columns: Mapping[str, str]
    missing: Mapping[str, int]
    rows: int
    order: NDArray[np.intp]
    warnings: tuple[str, ...] = field(default=())
    units: Mapping[str, NDArray[np.object_]] = field(default_factory=dict)
    plate_columns: Mapping[str, str] = field(default_factory=dict)
    leftover: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    source: str = ""
    nodes: int = 1
    seed: int = 0
    counts: tuple[str, ...] = ()
    laid: Mapping[str, tuple[float, float, int]] = field(default_factory=dict)
    chosen: Mapping[str, Chosen] = field(default_factory=dict)
    regrouping: Regrouping | None = None
    shares: Mapping[str, Share] = field(default_factory=dict)

    def level_of(self, plate: str | None) -> int:
        """The number of the level whose units are those of a plate; 0 outside the plates."""
        return next(number for number, level in enumerate(self.levels) if level.plate == plate)

    def labels_as_numbers(self, index_set: str) -> NDArray[np.float64] | None:
        """The labels of an index set as numbers, or None if one of them is none."""
        try:
            return np.array([float(label) for label in self.indexes[index_set]])
        except ValueError:
            return None


def rows_level(model: Model, bound: Bound) -> int:
    """The level whose units are the rows of the table; deeper ones run across columns."""
    across = {plate.name for plate in model.plates if plate.over is not None}
    return max(number for number, level in enumerate(bound.levels) if level.plate not in across)
