"""From factors to the program of an E-step: hidden variables are summed out from the innermost plate to the
outermost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count

from emdsl.data.bound import Bound
from emdsl.diagnostics.errors import EmmError
from emdsl.ir.model import Model
from emdsl.plan.integrals import BoundIntegral
from emdsl.plan.layout import BoundPiece
from emdsl.plan.limits import check_table
from emdsl.plan.maps import BoundMap
from emdsl.plan.named import POINT, START, union
from emdsl.plan.nodes import (
    Add,
    Affine,
    FirstRows,
    Indicator,
    LogSumExp,
    Node,
    Opening,
    Potential,
    Power,
    Quadratic,
    RowDensity,
    Scan,
    SegmentSum,
    Table,
    Take,
    Unseen,
)
from emdsl.plan.unseen import is_unseen
from emdsl.runtime.openings import OpeningPart, label_before, lag_of, window_axes


@dataclass
class Eliminator:
    """Builds the nodes for one model with its sizes."""

    model: Model
    bound: Bound
    pieces: Sequence[BoundPiece]
    maps: Sequence[BoundMap]
    random: bool = False
    integrals: Sequence[BoundIntegral] = ()
    without_potential: frozenset[str] = frozenset()
    sizes: dict[str, int] = field(default_factory=dict)
    numbers: count[int] = field(default_factory=count)
    roles: dict[int, tuple[str, int]] = field(default_factory=dict)

    def build(self) -> Node:
        """The node of the log-evidence of the data set."""
        for axes in (*(piece.axes for piece in self.pieces), *(item.axes for item in self.maps)):
            self.sizes.update(axes.sizes)
        self.sizes.pop(POINT, None)
        tables: dict[int, list[Node]] = {level: [] for level in range(len(self.bound.levels))}
        for node in self._leaves():
            tables[node.level].append(node)
        for level in range(len(self.bound.levels) - 1, -1, -1):
            if not tables[level] and level:
                continue  # all that its units say is part of an integral over hidden variables around them
            remaining = self._level(level, tables[level])
            if level == 0:
                return remaining
            tables[level - 1].append(self._raise(remaining, level))
        raise AssertionError("a data set has a level 0")

    # --- leaves -------------------------------------------------------------------------------------------------------

    def _leaves(self) -> list[Node]:
        found: list[Node] = []
        coded: dict[tuple[object, ...], list[BoundPiece]] = {}
        static: dict[tuple[object, ...], list[BoundPiece]] = {}
        for piece in self.pieces:
            axes, level = piece.axes.hidden, piece.level
            if piece.carrier == "static":
                static.setdefault((piece.piece.factor, axes, level), []).append(piece)
            elif piece.carrier == "coded":
                constant = all(term.statistic == "1" for term in piece.piece.terms)
                key = (piece.piece.factor, piece.axes.cells, level) if constant else (piece.piece.name,)
                coded.setdefault(key, []).append(piece)
            elif piece.carrier == "affine":
                found.append(Affine(next(self.numbers), axes, level, True, piece.piece.name))
            elif piece.carrier in ("gaussian", "vector"):
                found.append(Quadratic(next(self.numbers), axes, level, True, piece.piece.name))
            elif piece.carrier in ("rows", "log-sum-exp"):
                found.append(RowDensity(next(self.numbers), axes, level, True, piece.piece.name))
        for group in static.values():
            first = group[0]
            names = tuple(item.piece.name for item in group)
            node: Node = Table(next(self.numbers), first.axes.hidden, first.level, False, names)
            self._note_role(node, first)
            found.append(node)
        for group in coded.values():
            first = group[0]
            names = tuple(item.piece.name for item in group)
            found.append(Take(next(self.numbers), first.axes.hidden, first.level, True, names))
        for item in self.maps:
            found.append(Indicator(next(self.numbers), item.axes.hidden, item.level, True, item.map.name))
        for integral in self.integrals:
            # What is left of continuous hidden variables is a density by unit, like that of a datum.
            found.append(RowDensity(next(self.numbers), integral.axes, integral.level, True, integral.name))
        for node in found:
            if isinstance(node, Affine | Quadratic | RowDensity) and not node.piece.startswith("integral:"):
                self._note_role(node, self._piece(node.piece))
            elif isinstance(node, Take):
                self._note_role(node, self._piece(node.pieces[0]))
        if self.random:
            for variable in self.model.variables:
                if variable.kind != "latent" or variable.values is None or is_unseen(variable.name):
                    continue
                if not variable.components and variable.name not in self.without_potential:
                    level = self._level_of(variable.plate)
                    axes = (START, variable.name) if START in self.sizes else (variable.name,)
                    found.append(Potential(next(self.numbers), axes, level, True, variable.name))
        return found

    def _note_role(self, node: Node, item: BoundPiece) -> None:
        """Which units of a chain a law is about; the other laws are about all, or leave out rows by themselves."""
        if not item.by_position:
            self.roles[node.number] = (item.piece.when, item.piece.lag)

    def _piece(self, name: str) -> BoundPiece:
        return next(piece for piece in self.pieces if piece.piece.name == name)

    def _level_of(self, plate: str | None) -> int:
        return next(number for number, level in enumerate(self.bound.levels) if level.plate == plate)

    # --- one level ----------------------------------------------------------------------------------------------------

    def _level(self, level: int, tables: list[Node]) -> Node:
        plate = self.bound.levels[level].plate
        everything = [
            v.name
            for v in self.model.variables
            if v.kind == "latent" and v.plate == plate and v.values is not None and not v.components
        ]
        latents = [name for name in everything if not is_unseen(name)]
        tables = self._unseen([name for name in everything if is_unseen(name)], tables)
        looked_back_at = {_base(axis) for node in tables for axis in node.axes if "@" in axis}
        # What a law of the chain's first units, or of the others, looks at is part of the chain's state: summed out
        # before, it would tie the laws of different units together.
        of_some_units = [node for node in tables if self.roles.get(node.number, ("always", 0))[0] != "always"]
        beside = {axis for node in of_some_units for axis in node.axes}
        chained = [name for name in latents if name in looked_back_at | beside]
        for name in self._order([n for n in latents if n not in chained], tables):
            tables = self._eliminate(name, tables)
        if chained:
            return self._scan(level, tables, tuple(chained))
        return self._sum(tables, level)

    def _unseen(self, names: list[str], tables: list[Node]) -> list[Node]:
        """The copies of variables in units that were never seen are summed out by themselves."""
        if not names:
            return tables
        own = [node for node in tables if set(names) & set(node.axes) or self._is_of_unseen(node)]
        others = [node for node in tables if node not in own]
        for name in self._order(names, own):
            own = self._eliminate(name, own)
        total = self._sum(own, own[0].level)
        return [*others, Unseen(next(self.numbers), total.axes, total.level, total.rows, total)]

    def _is_of_unseen(self, node: Node) -> bool:
        match node:
            case Affine(piece=name) | RowDensity(piece=name) | Quadratic(piece=name):
                return is_unseen(self._piece(name).piece.factor)
            case Table(pieces=names) | Take(pieces=names):
                return any(is_unseen(self._piece(name).piece.factor) for name in names)
        return False

    def _order(self, names: list[str], tables: Sequence[Node]) -> list[str]:
        """Greedy: the variable whose elimination makes the smallest table comes first."""
        scopes = [set(node.axes) for node in tables]
        order: list[str] = []
        waiting = list(names)
        while waiting:
            cost = {n: self._size(set().union(*(s for s in scopes if n in s), {n})) for n in waiting}
            best = min(waiting, key=lambda n: cost[n])
            joint = sorted(set().union(*(s for s in scopes if best in s), {best}))
            check_table(f"summing out `{best}`", {axis: self.sizes.get(axis, 1) for axis in joint})
            merged = set().union(*(s for s in scopes if best in s)) - {best}
            scopes = [s for s in scopes if best not in s] + [merged]
            waiting.remove(best)
            order.append(best)
        return order

    def _size(self, axes: set[str]) -> int:
        total = 1
        for axis in axes:
            total *= self.sizes.get(axis, 1)
        return total

    def _eliminate(self, name: str, tables: list[Node]) -> list[Node]:
        touching = [node for node in tables if name in node.axes]
        others = [node for node in tables if name not in node.axes]
        if not touching:
            return tables
        total = self._sum(touching, touching[0].level, always=True)
        axes = tuple(axis for axis in total.axes if axis != name)
        return [*others, LogSumExp(next(self.numbers), axes, total.level, total.rows, total, (name,))]

    def _sum(self, tables: Sequence[Node], level: int, *, always: bool = False) -> Node:
        if not tables:
            return Add(next(self.numbers), (), level, True, ())  # everything is part of an integral
        # An Add owns its result, so that the log-sum-exp behind it may work in place.
        if len(tables) == 1 and not always:
            return tables[0]
        axes = union(*(node.axes for node in tables))
        rows = any(node.rows for node in tables)
        return Add(next(self.numbers), axes, level, rows, tuple(tables))

    def _raise(self, node: Node, level: int) -> Node:
        plate = self.bound.levels[level].plate
        if node.level < level:
            return node  # a scan has summed over the units already
        if plate is not None and plate in self.bound.weights:
            node = Power(next(self.numbers), node.axes, level, True, node, plate)
        return SegmentSum(next(self.numbers), node.axes, level - 1, True, node)

    # --- chains -------------------------------------------------------------------------------------------------------

    def _scan(self, level: int, tables: list[Node], chained: tuple[str, ...]) -> Node:
        plate = self.bound.levels[level].plate
        assert plate is not None
        if plate in self.bound.weights:
            raise EmmError(
                "weighted-chain",
                f"the units of the chain `{plate}` cannot be weighted",
                help="weight the plate around it",
            )
        memory = max(lag_of(axis) for node in tables for axis in node.axes if _base(axis) in chained)
        self.sizes |= {label_before(name, lag): self.sizes[name] for name in chained for lag in range(1, memory + 1)}
        previous = tuple(label_before(name, lag) for lag in range(memory, 0, -1) for name in chained)
        role = {node.number: self.roles.get(node.number, ("always", 0))[0] for node in tables}
        first = [node for node in tables if role[node.number] == "first"]
        looks_back = [node for node in tables if node not in first and set(previous) & set(node.axes)]
        step = [node for node in tables if role[node.number] == "after" or node in looks_back]
        emit = [node for node in tables if node not in first and node not in step]
        # Where there is no first law the first units are known and conditioned on, or drawn as all others are. (In the
        # graph every hidden chain that looks back at itself begins with a law.)
        outer = tuple(a for a in union(*(n.axes for n in tables)) if _base(a) not in chained)
        check_table(
            f"a step of the chain over `{plate}`", {a: self.sizes.get(a, 1) for a in (*outer, *previous, *chained)},
            "look back fewer units, or give the hidden variables fewer values",
        )  # fmt: skip
        transition = self._add(step, level, (*outer, *previous, *chained))
        emission = self._add(emit, level, (*outer, *chained), rows=True) if emit else None
        if memory == 1 and not any(role[node.number] == "always" for node in looks_back):
            first = first or [Table(next(self.numbers), chained, level, False, ())]
            start = self._add(first, level, (*outer, *chained))
            if start.rows:
                start = FirstRows(next(self.numbers), start.axes, level - 1, True, start)
        else:
            start = self._opening((*first, *step), emission, outer, chained, memory, level)
        return Scan(
            next(self.numbers), outer, level - 1, True, start, transition, emission, chained, previous, memory
        )  # fmt: skip

    def _opening(
        self, laws: tuple[Node, ...], emission: Node | None, outer: tuple[str, ...], chained: tuple[str, ...],
        memory: int, level: int,
    ) -> Node:  # fmt: skip
        """The first window of each chain: the laws of all its units, and the emissions of all but the last."""
        parts = [OpeningPart(node.axes, node.rows, *self.roles.get(node.number, ("always", 0)), True) for node in laws]
        if emission is not None:
            parts.append(OpeningPart(emission.axes, True, "always", 0, False))
        tables = laws if emission is None else (*laws, emission)
        axes = (*outer, *window_axes(chained, memory))
        return Opening(next(self.numbers), axes, level - 1, True, tables, tuple(parts), chained, memory)

    def _add(self, tables: Sequence[Node], level: int, axes: tuple[str, ...], *, rows: bool = False) -> Node:
        by_row = rows or any(node.rows for node in tables)
        return Add(next(self.numbers), axes, level, by_row, tuple(tables))


def _base(axis: str) -> str:
    """The variable of an axis."""
    return axis.partition("@")[0]
