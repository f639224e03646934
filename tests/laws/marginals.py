"""Expected counts of every cell that the engine counts, by enumeration: what its reverse sweep must give."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np

from emdsl.ir.expressions import Label, VariableRef, rewrite, walk
from emdsl.ir.model import Guard
from emdsl.plan.layout import BoundPiece
from tests.laws.enumeration import Enumeration, applies, elements
from tests.laws.interpreter import World


class Counts:
    """The expected number of units (times elements) in each cell of one piece, `(*hidden, *elements, *codes)`.

    `unseen` is the part of it that comes from empty cells of what the piece draws: it may be left out, for a label that
    nobody saw says nothing about its law.
    """

    def __init__(self, enumeration: Enumeration, bound: BoundPiece) -> None:
        self.enumeration, self.piece = enumeration, bound.piece
        self.factor = next(item for item in enumeration.model.factors if item.name == self.piece.factor)
        self.table, self.unseen = np.zeros(bound.data.cells), np.zeros(bound.data.cells)
        self.axes = bound.axes
        self.references = {self._axis(node): node for node in self._looked_at()}
        self.elements = dict(_elements(enumeration))
        self.guards = rewrite(self.piece.guards, self._as_written)

    def _looked_at(self) -> Iterator[VariableRef]:
        # The tables of a factor's pieces have the axes of all of them.
        for node in walk(self.factor.branches):
            if isinstance(node, VariableRef) and self.enumeration.model.variable(node.name).values is not None:
                yield node

    def _as_written(self, node: Any) -> Any:
        """The element of an array that the planner has a variable for."""
        if isinstance(node, VariableRef) and node.name in self.elements:
            return VariableRef(*self.elements[node.name], node.lag)
        return node

    def _axis(self, reference: VariableRef) -> str:
        return f"{reference.name}@{reference.lag}" if reference.lag else reference.name

    def __call__(self, world: World, weights: Any) -> None:
        """Adds one unit: the posterior weights of its joint states."""
        if world.unit.plate != self.factor.plate or not applies(self.factor, world.unit):
            return
        for inner in elements(self.factor, world):
            if self.enumeration.unseen(self.factor, inner):
                continue
            share = weights
            for guard in self.guards:
                share = share * (inner.holds(guard) if isinstance(guard, Guard) else inner.number(guard))
            places = [self._place(axis, inner) for axis in self.axes.cells]
            flat = np.zeros(len(weights), dtype=int)
            for place, size in zip(places, self.table.shape, strict=True):
                flat = flat * size + place
            added = np.bincount(flat, np.broadcast_to(share, len(weights)), self.table.size).reshape(self.table.shape)
            self.table += added
            if self._empty(inner):
                self.unseen += added

    def _empty(self, world: World) -> bool:
        target, model = self.factor.target, self.enumeration.model
        if target is None or model.variable(target.name).kind != "observed":
            return False
        element = tuple(int(world.place(index)) for index in target.indices)
        return self.enumeration.table.cell(model.variable(target.name), world.unit, element) is None

    def _place(self, axis: str, world: World) -> Any:
        if axis in world.bound:
            return world.bound[axis]
        if axis not in self.references:
            # an axis that the piece has only because others of its statement have it
            name, _, lag = axis.partition("@")
            array, chosen, by = name.partition(" at ")
            if chosen:  # the element of an array that data choose
                sets = self.enumeration.model.variable(array).axes
                data = (self._index(index, of, world) for index, of in zip(by.split(", "), sets, strict=True))
                return world.place(VariableRef(array, tuple(data)))
            if name in self.elements:
                return world.place(VariableRef(*self.elements[name], int(lag or 0)))
            return world.place(VariableRef(name, (), int(lag or 0)))
        return world.place(self.references[axis])

    def _index(self, name: str, index_set: str, world: World) -> VariableRef | Label:
        """What chooses an element: a datum, or the column of a plate across columns."""
        if name in world.bound:
            return Label(index_set, self.enumeration.table.indexes[index_set][int(world.bound[name])])
        return VariableRef(name)


def _elements(enumeration: Enumeration) -> Iterator[tuple[str, tuple[str, tuple[Label, ...]]]]:
    """The axes of the elements of arrays, as the planner calls them."""
    for variable in enumeration.model.variables:
        if not variable.axes or variable.values is None:
            continue
        sets = [enumeration.table.indexes[axis] for axis in variable.axes]
        for labels in product(*sets):
            indices = tuple(Label(axis, label) for axis, label in zip(variable.axes, labels, strict=True))
            yield f"{variable.name}[{', '.join(labels)}]", (variable.name, indices)


def disagreements(enumeration: Enumeration, pieces: dict[str, BoundPiece], statistics: dict[str, Any]) -> list[str]:
    """What the engine counts otherwise than enumeration does, in words."""
    statements = {factor.name for factor in enumeration.model.factors}
    counted = {
        name: (Counts(enumeration, bound), position)
        for name, bound in pieces.items()
        # laws of single elements of hidden arrays, and of units that were never seen, are no statements of the text:
        # their counts show in the score
        if bound.piece.factor in statements and bound.piece.form == "separable" and not bound.piece.prior
        for position, term in enumerate(bound.piece.terms)
        if term.statistic == "1"
    }

    def visitor(world: World, weights: Any) -> None:
        for counts, _ in counted.values():
            counts(world, weights)

    enumeration.visit(visitor)
    found = []
    for name, (counts, position) in counted.items():
        own = np.asarray(statistics[name])[..., position]
        right = [
            np.allclose(own, table, rtol=1e-9, atol=1e-10) for table in (counts.table, counts.table - counts.unseen)
        ]
        if not any(right):
            found.append(f"{name}: {own.tolist()} is not {counts.table.tolist()}")
    return found
