"""Random weighted data inside the support of a piece, in a few cells with different parameters.

Statistics drawn at random are seldom those of any data; data are drawn here, and the statistics computed from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from emdsl.derive.evaluation import value
from emdsl.ir.derivation import Atom, Piece
from emdsl.ir.expressions import (
    Apply,
    BinderRef,
    Choose,
    ConstantRef,
    Expression,
    Label,
    Number,
    Reduce,
    VariableRef,
    walk,
)
from emdsl.ir.latents import is_continuous
from emdsl.ir.model import Counts, Domain, Model
from emdsl.runtime.functions import FUNCTIONS

Array = NDArray[np.float64]

#: Rows of data in each cell, values of each index, cells at most.
ROWS = 7
VALUES = 2
MOST_CELLS = 8
#: What the target takes as a count; every other count is larger, so that `successes <= trials`.
_TARGET_COUNTS = 5


class NotDrawn(Exception):
    """Something that a piece looks at has no random values."""


@dataclass
class Draws:
    """One random world: every parameter element and every datum has one value in it, wherever it occurs."""

    model: Model
    rng: np.random.Generator
    parameters: dict[tuple[str, tuple[int, ...]], float] = field(default_factory=dict)
    columns: dict[tuple[str, str, int], Array] = field(default_factory=dict)

    def parameter(self, name: str, place: tuple[int, ...]) -> float:
        """The value of a parameter element, inside its domain."""
        if (name, place) not in self.parameters:
            domain = next((item.domain for item in self.model.parameters if item.name == name), Domain("real"))
            self.parameters[name, place] = self._inside(domain)
        return self.parameters[name, place]

    def _inside(self, domain: Domain) -> float:
        draw = self.rng.uniform(0.2, 0.8)
        match domain.kind:
            case "positive":
                return float(0.5 + 2 * draw)
            case "unit" | "simplex":
                return float(draw)
            case "interval":
                low, high = _bound(domain.low, -np.inf), _bound(domain.high, np.inf)
                if np.isfinite(low) and np.isfinite(high):
                    return float(low + draw * (high - low))
                return float(low + 0.5 + 2 * draw) if np.isfinite(low) else float(high - 0.5 - 2 * draw)
        return float(self.rng.normal())

    def datum(self, reference: VariableRef, target: VariableRef | None, cell: int) -> Array:
        """`(ROWS,)` values of a data variable in one cell."""
        key = (reference.name, repr(reference), cell)
        if key not in self.columns:
            self.columns[key] = self._column(reference, target)
        return self.columns[key]

    def _column(self, reference: VariableRef, target: VariableRef | None) -> Array:
        variable = self.model.variable(reference.name)
        if variable.values is not None:
            values = self.rng.integers(0, 2, ROWS).astype(float)
            values[:2] = (0.0, 1.0)
            return values
        own = target is not None and target.name == reference.name
        match variable.domain.kind:
            case "natural" | "integer":
                low, high = (1, _TARGET_COUNTS) if own else (_TARGET_COUNTS + 1, 2 * _TARGET_COUNTS)
                counts: Array = self.rng.integers(low, high, ROWS).astype(float)
                return counts
            case "positive":
                return 0.3 + self.rng.exponential(2.0, ROWS)
            case "unit":
                return self.rng.uniform(0.1, 0.9, ROWS)
            case "interval":
                low_, high_ = _bound(variable.domain.low, -3.0), _bound(variable.domain.high, np.inf)
                width = high_ - low_ if np.isfinite(high_) else 3.0
                return low_ + width * self.rng.uniform(0.05, 0.95, ROWS)
        return 0.5 + 1.5 * self.rng.normal(size=ROWS)


def _bound(expression: Expression | None, default: float) -> float:
    return float(expression.value) if isinstance(expression, Number) else default


@dataclass(frozen=True)
class Cells:
    """The symbols of one piece over some cells: by cell `(cells, 1)`, by row `(cells, ROWS)`.

    `places` says for each atom which parameter element it is in each cell; `weights` `(cells, ROWS)` are of the rows.
    """

    piece: Piece
    symbols: Mapping[str, Any]
    places: tuple[tuple[tuple[str, tuple[int, ...]], ...], ...]
    weights: Array


def draw_cells(piece: Piece, draws: Draws, needed: frozenset[str]) -> Cells:
    """Some cells of a piece; `needed` are the knowns whose values are wanted. Raises NotDrawn where one has none."""
    axes = _axes(piece, draws.model)
    corners = _corners(len(axes), draws.rng)
    cells = [dict(zip(axes, corner, strict=True)) for corner in corners]
    weights = draws.rng.uniform(0.2, 1.0, (len(cells), 1 if piece.prior else ROWS))
    if piece.prior:
        weights = np.ones_like(weights)
    symbols: dict[str, Any] = {}
    places = []
    for atom in piece.atoms:
        own = tuple(_place(atom, cell, draws.model) for cell in cells)
        places.append(own)
        symbols[atom.symbol] = np.array([[draws.parameter(*place)] for place in own])
    rows = 1 if piece.prior else ROWS
    for known in piece.knowns:
        if known.symbol in needed:
            columns = (_known(known.value, cell, k, piece, draws) for k, cell in enumerate(cells))
            symbols[known.symbol] = np.array([np.broadcast_to(column, ROWS)[:rows] for column in columns])
    for shift in piece.shifts:
        base = np.broadcast_to(value(shift.base, symbols), weights.shape)
        mean, spread = base.mean(axis=1, keepdims=True), base.std(axis=1, keepdims=True)
        symbols |= {shift.centre: mean, shift.scale: spread, shift.symbol: (base - mean) / spread}
    return Cells(piece, symbols, tuple(places), weights)


def _corners(axes: int, rng: np.random.Generator) -> list[tuple[int, ...]]:
    """MOST_CELLS places at random on that many axes, or every one where there are no more."""
    count = VALUES**axes
    if count <= MOST_CELLS:
        return list(product(range(VALUES), repeat=axes))
    if count <= 1 << 20:
        chosen = sorted(rng.choice(count, MOST_CELLS, replace=False))
        return [tuple(int(k) // VALUES ** (axes - 1 - axis) % VALUES for axis in range(axes)) for k in chosen]
    # So many that eight drawn apart are different.
    return [tuple(map(int, corner)) for corner in rng.integers(0, VALUES, (MOST_CELLS, axes))]


def _axes(piece: Piece, model: Model) -> list[str]:
    """The variables and bound indices that tell the cells apart."""
    found: dict[str, None] = {}
    for node in walk((piece.atoms, tuple(known.value for known in piece.knowns), piece.elements)):
        hidden = isinstance(node, VariableRef) and _finite_latent(node.name, model)
        if hidden or isinstance(node, BinderRef):
            found[repr(node)] = None
    for atom in piece.atoms:
        for node in walk(tuple(term.parameter.indices for term in atom.terms)):
            if isinstance(node, VariableRef):
                found[repr(node)] = None
    return list(found)


def _finite_latent(name: str, model: Model) -> bool:
    return model.variable(name).kind == "latent" and not is_continuous(model.variable(name))


def _place(atom: Atom, cell: Mapping[str, int], model: Model) -> tuple[str, tuple[int, ...]]:
    if atom.is_predictor:
        # A predictor moves freely: none of the elements that it stands for is updated here.
        return f"predictor {atom.symbol}", tuple(cell.values())
    reference = atom.terms[0].parameter
    return reference.name, tuple(_index(index, cell, model) for index in reference.indices)


def _index(index: Expression, cell: Mapping[str, int], model: Model) -> int:
    """The value of an index: that of its axis, one of its own for a label, else one that depends on its parts."""
    if repr(index) in cell:
        return cell[repr(index)]
    if isinstance(index, Label):
        return VALUES + crc32(index.label.encode()) % 1000
    parts = [cell[repr(node)] for node in walk(index) if repr(node) in cell]
    return sum(parts) % VALUES


def _least(variable: str, model: Model) -> int:
    """A latent count is drawn above the counts that are observed of it."""
    values = model.variable(variable).values
    sources = [item.source for item in model.index_sets if item.name == values]
    return _TARGET_COUNTS + 1 if sources and isinstance(sources[0], Counts) else 0


def _known(expression: Expression, cell: Mapping[str, int], k: int, piece: Piece, draws: Draws) -> Any:
    """The value of something known: a number, or `(ROWS,)` where data are in it."""
    match expression:
        case Number(number):
            return float(number)
        case VariableRef(name):
            if repr(expression) in cell and _finite_latent(name, draws.model):
                return float(cell[repr(expression)] + _least(name, draws.model))
            return draws.datum(expression, piece.target, k)
        case BinderRef():
            return float(cell.get(repr(expression), 0))
        case Label(_, label):
            return float(crc32(label.encode()) % VALUES)
        case ConstantRef(name):
            constant = draws.model.constant(name)
            if isinstance(constant.value, Number):
                return float(constant.value.value)
            return 1.0 + crc32(f"{name}{sorted(cell.items())}".encode()) % 5
        case Apply(op, args) if op in FUNCTIONS:
            return FUNCTIONS[op](*(_known(arg, cell, k, piece, draws) for arg in args))
        case Reduce("sum", binder, body):
            inner = repr(BinderRef(binder))
            return sum(_known(body, {**cell, inner: at}, k, piece, draws) for at in range(VALUES))
        case Choose(_, arms):
            return _known(arms[sum(cell.values()) % len(arms)].value, cell, k, piece, draws)
    raise NotDrawn(f"no value is drawn for a {getattr(expression, 'op', type(expression).__name__.lower())}")
