"""Predictions of one variable after the other, unit by unit, from the posterior of what is hidden."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdsl.ir.expressions import VariableRef
from emdsl.ir.model import Factor, Map, Variable
from emdsl.plan.evaluation import early_units
from emdsl.plan.number_laws import NumberLaw
from emdsl.plan.open_cells import shown_name
from emdsl.plan.posterior import unordered_pairs
from emdsl.plan.posterior_laws import PosteriorLaws
from emdsl.predict.components import Component
from emdsl.predict.labels import mapped_labels, tried_labels
from emdsl.predict.laws import Law
from emdsl.predict.mixtures import Counted, Parts, counted, declared_count, declared_quantile, integrated
from emdsl.predict.predictive import Predictive, numbers_a_unit
from emdsl.predict.statements import Statement
from emdsl.runtime.problem import Array, Theta
from emdsl.simulate.evaluation import as_drawn

Codes = NDArray[np.intp]
#: The arrays of a `Predicted`.
_ARRAYS = ("probabilities", "expected", "low", "high")
#: Numbers in the largest array of a chunk of units, roughly.
CHUNK_NUMBERS = 1 << 22


@dataclass(frozen=True)
class Predicted:
    """What is expected of one observed variable (or one element of it, in its name), unit by unit.

    `labels` and `probabilities` `(labels, units)` are of a finite variable; `expected` `(units,)` is there where its
    values are numbers, `low` and `high` where it is no finite variable. NaN: the data are impossible, or there is none.
    """

    name: str
    level: int
    labels: tuple[str, ...] = ()
    probabilities: Array | None = None
    expected: Array | None = None
    low: Array | None = None
    high: Array | None = None

    def copy(self) -> Predicted:
        """The same with arrays of its own."""
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        return replace(self, **{name: array.copy() for name, array in arrays.items() if array is not None})

    def take(self, other: Predicted, units: Codes, places: Codes) -> None:
        """Puts what another says of units at these places there."""
        for name in _ARRAYS:
            mine, theirs = getattr(self, name), getattr(other, name)
            if mine is not None:
                mine[..., units] = theirs[..., places]


class Predictor:
    """Predicts the observed variables of one model on one table."""

    def __init__(
        self, program: PosteriorLaws, theta: Theta, level: float, only: tuple[Codes, ...] | None = None
    ) -> None:
        self.program, self.theta = program, theta
        #: The units that are asked for, by level; None: all.
        self.only = only
        self.model, self.bound = program.derivation.model, program.bound
        self.tails = (0.5 - 0.5 * level, 0.5 + 0.5 * level)
        self.drawn = as_drawn(self.model, self.bound)
        self.notes: list[str] = []
        #: Whether some hidden number was taken at points.
        self.by_points = False
        self._known: dict[Any, NumberLaw] = {}

    def variable(
        self, variable: Variable, statements: list[tuple[Statement, Array | None]], shares: Mapping[str, Array]
    ) -> list[Predicted]:
        """All elements of a variable; of a chain each unit by the statement that is about it. `shares` hold the
        posterior of what is hidden, also of variables whose open cells other laws look at."""
        number = self.bound.level_of(variable.plate)
        names, labels = self._names(variable), self._labels(variable)
        size = self.bound.levels[number].size
        rows = len(labels) or 3
        found = np.full((rows, len(names), size), np.nan)
        for item, weight in statements:
            known_as, places = item.draws[variable.name]
            numbers = partial(numbers_a_unit, variable=variable, points=self.program.points_of(item.looked))
            for law, flat in self.chunks(item, weight, variable, numbers):
                shape = (rows, len(places), len(law.units))
                with np.errstate(all="ignore"):
                    values = self._values(law, variable, known_as, labels, flat)
                values = np.broadcast_to(values, shape).copy()
                unknown = law.unknown()
                values[..., unknown] = np.nan
                self._note_unknown(variable, bool(unknown.any()))
                found[np.ix_(np.arange(rows), places, law.units)] = values
        for item, _ in statements:
            known_as, places = item.draws[variable.name]
            self._open_cells(found, known_as, places, len(labels), shares)
        return [
            self._predicted(name, number, variable, labels, found[:, k]) for k, name in enumerate(names)
        ]  # fmt: skip

    def _note_unknown(self, variable: Variable, unknown: bool) -> None:
        if unknown:
            self.notes.append(
                f"{variable.name} is not predicted where its law looks at what is not known: an empty cell, or "
                "a unit before the chain"
            )

    def _open_cells(
        self, found: Array, known_as: str, places: Codes, labels: int, shares: Mapping[str, Array]
    ) -> None:  # fmt: skip
        """Cells that leave values open, where they have become hidden: what everything says of them."""
        shown = self.bound.values.get(shown_name(known_as))
        if shown is None:
            return
        seen = np.asarray(shown.array)
        is_open = (seen < 0) | (seen >= labels)
        cells = np.where(is_open, shares[known_as], found[:, places[0]])
        found[:, places[0]] = cells

    def chunks(
        self, item: Statement, weight: Array | None, variable: Variable, numbers: Callable[[Law], int]
    ) -> Iterator[tuple[Law, Array]]:
        """The units that a statement is about, some at a time, with the weights `(cells, 1, units)` of their cells.
        `numbers` says how many the largest array for one unit holds."""
        statement = item.statement
        around = self.program.around(item.looked)
        law = Law(
            self.model, self.bound, self.theta, statement, self.drawn,
            self._about(statement, self.bound.level_of(variable.plate)), around,
        )  # fmt: skip
        step = max(1, CHUNK_NUMBERS // numbers(law))
        cells = int(np.prod(law.states))
        for start in range(0, len(law.units), step):
            chunk = law.units[start : start + step]
            flat = np.ones((1, 1, len(chunk))) if weight is None else weight.reshape(cells, 1, -1)[..., chunk]
            yield replace(law, units=chunk), flat

    def _predicted(
        self, name: str, level: int, variable: Variable, labels: tuple[str, ...], values: Array
    ) -> Predicted:  # fmt: skip
        if not labels:
            return Predicted(name, level, expected=values[0], low=values[1], high=values[2])
        as_numbers = None if variable.genotype else self.bound.labels_as_numbers(variable.values or "")
        return Predicted(name, level, labels, values, None if as_numbers is None else as_numbers @ values)

    def _names(self, variable: Variable) -> list[str]:
        places = np.ndindex(*(len(self.bound.indexes[axis]) for axis in variable.axes))
        return [
            f"{variable.name}[{', '.join(self.bound.indexes[a][k] for a, k in zip(variable.axes, at, strict=True))}]"
            if at
            else variable.name
            for at in places
        ]

    def _labels(self, variable: Variable) -> tuple[str, ...]:
        labels = self.bound.indexes[variable.values] if variable.values is not None else ()
        return unordered_pairs(labels) if variable.genotype else labels

    def _about(self, statement: Factor | Map, level: int) -> Codes:
        """The units that a statement is about."""
        here = self.bound.levels[level]
        units = np.arange(here.size)
        chosen = np.ones(here.size, dtype=bool) if self.only is None else np.isin(units, self.only[level])
        if isinstance(statement, Map):
            return units[chosen]
        for plate, lag in statement.around:
            chosen &= ~early_units(plate, lag, self.bound, level)
        if statement.when != "always":
            early = early_units(statement.plate, statement.lag, self.bound, level)
            chosen &= early if statement.when == "first" else ~early
        return units[chosen]

    # --- values -------------------------------------------------------------------------------------------------------

    def _values(
        self, law: Law, variable: Variable, known_as: str, labels: tuple[str, ...], weight: Array
    ) -> Array:  # fmt: skip
        """Probabilities `(labels, elements, units)`, or the expected value and the ends of the interval `(3, elements,
        units)`."""
        if isinstance(law.statement, Map):
            if labels:
                return mapped_labels(law, law.statement, self.bound.indexes[variable.values or ""], weight)
            value = law.aligned(law.evaluator().value(law.statement.value))  # type: ignore[arg-type]
            return np.stack(_of_values(value, weight, self.tails))
        components = list(self.components(law, variable, weight))
        self.by_points |= any(item.law.count for item in components)
        if labels:
            return tried_labels(components, known_as)
        shape = (int(np.prod([len(self.bound.indexes[b.index_set]) for b in law.elements])), len(law.units))
        low, high = self._ends(variable, law, shape)
        found = self._mixture(Parts(components, shape, low, high), variable)
        return np.stack([np.broadcast_to(item, shape) for item in found])

    def components(self, law: Law, variable: Variable, weight: Array) -> Iterator[Component]:
        """The laws of an observed variable in every state of what is hidden, and their posterior weights."""
        return Predictive(law, variable, weight, self._number_law, self.bound.nodes).components()

    def _number_law(self, references: tuple[VariableRef, ...], law: Law) -> NumberLaw:
        """What is known of hidden numbers in the units of a law."""
        key = (law.statement, references)
        if key not in self._known:
            level = self.bound.level_of(law.statement.plate)
            every = replace(law, units=np.arange(self.bound.levels[level].size))
            self._known = {key: self.program.number_law(references, law.statement.plate, every.evaluator(), law.cells)}
        return self._known[key].of(law.units)

    def _mixture(self, parts: Parts, variable: Variable) -> tuple[Array, Array, Array]:
        name, (below, above), mean = variable.name, self.tails, parts.mean
        nothing = np.full(parts.shape, np.nan)
        if parts.components[0].law.event and not parts.has_cdf:
            self.notes.append(f"there is no interval of {name}: its law does not say the law of one element")
            return (nothing if mean is None else mean), nothing, nothing
        counts = variable.domain.kind in ("natural", "integer")
        if mean is not None and parts.has_cdf:
            quantile = declared_count if counts else declared_quantile
            return mean, quantile(parts, below, mean), quantile(parts, above, mean)
        if counts:
            table = counted(parts)
            if table is not None:
                return table.mean if mean is None else mean, table.quantile(below), table.quantile(above)
            self.notes.append(f"there is no interval of {name}: its law spreads over more than a million numbers")
            return (nothing if mean is None else mean), nothing, nothing
        return self._by_quadrature(parts, variable, mean)

    def _by_quadrature(self, parts: Parts, variable: Variable, mean: Array | None) -> tuple[Array, Array, Array]:
        name, (below, above) = variable.name, self.tails
        nothing = np.full(parts.shape, np.nan)
        means = [item.mean for item in parts.components]
        centres = [item for item in means if item is not None] or [np.full((1, 1, 1), self._middle(variable))]
        found = integrated(parts, centres)
        if not found.complete:
            self.notes.append(f"there is no interval of {name}: its density could not be integrated")
            return (nothing if mean is None else mean), nothing, nothing
        what = "the interval" if mean is not None else "the expected value and the interval"
        self.notes.append(f"{what} of {name} {'comes' if mean is not None else 'come'} from its density by quadrature")
        return found.moment if mean is None else mean, found.quantile(below), found.quantile(above)

    def _middle(self, variable: Variable) -> float:
        """Where to look for the mass of a law that does not say its mean: the middle of the data."""
        data = self.bound.values.get(variable.name)
        seen = np.zeros(0) if data is None else np.asarray(data.array, dtype=float).ravel()
        seen = seen[np.isfinite(seen)]
        return float(np.median(seen)) if len(seen) else 0.0

    def _ends(self, variable: Variable, law: Law, shape: tuple[int, int]) -> tuple[Array, Array]:
        """Outside of which there is nothing, `(elements, units)`; of a truncated law its widest bounds."""
        low, high = np.full(shape, -np.inf), np.full(shape, np.inf)
        match variable.domain.kind:
            case "positive" | "natural":
                low = np.zeros(shape)
            case "unit":
                low, high = np.zeros(shape), np.ones(shape)
            case "interval":
                ends = (variable.domain.low, variable.domain.high)
                given = [None if end is None else float(law.evaluator().value(end).array) for end in ends]
                low = low if given[0] is None else np.full(shape, given[0])
                high = high if given[1] is None else np.full(shape, given[1])
        if variable.truncated is not None:
            first, last = (law.aligned(law.evaluator().value(end)) for end in variable.truncated)
            low, high = np.maximum(low, first.min(axis=0)), np.minimum(high, last.max(axis=0))
        return low, high


def _of_values(value: Array, weight: Array, tails: tuple[float, float]) -> list[Array]:
    """Mean and quantiles of values with weights, `(cells, elements, units)`."""
    full = np.broadcast_to(value, np.broadcast_shapes(value.shape, weight.shape))
    weights = np.broadcast_to(weight, full.shape)
    distinct = np.unique(full)
    shares = np.stack([np.where(full == one, weights, 0.0).sum(axis=0) for one in distinct], axis=-1)
    table = Counted(distinct, np.where(np.isnan(weights.sum(axis=0))[..., None], np.nan, shares))
    return [table.mean, table.quantile(tails[0]), table.quantile(tails[1])]
