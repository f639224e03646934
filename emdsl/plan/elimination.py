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
from emdsl.plan.coded_sums import Codes, coded_sum
from emdsl.plan.crossing import base, check_weights, level_of
from emdsl.plan.drawn_sums import drawn_law, drawn_sum
from emdsl.plan.fusing import shared_codes
from emdsl.plan.integrals import BoundIntegral
from emdsl.plan.layout import BoundPiece
from emdsl.plan.limits import check_table
from emdsl.plan.maps import BoundMap
from emdsl.plan.named import POINT, START, union
from emdsl.plan.nodes import (
    Add,
    Affine,
    Crossing,
    FirstRows,
    Fused,
    Indicator,
    LogSumExp,
    Node,
    Opening,
    Potential,
    Power,
    PrunedLogSumExp,
    Quadratic,
    RowDensity,
    Scan,
    SegmentSum,
    Table,
    Take,
    Unseen,
)
from emdsl.plan.pruning import Choice, Pruning
from emdsl.plan.unseen import is_unseen
from emdsl.runtime.fused import FusedCodes
from emdsl.runtime.openings import OpeningPart, label_before, lag_of, window_axes

#: The pieces of each of several tables by code.
Names = tuple[tuple[str, ...], ...]


@dataclass
class Passes:
    """What has been decided before tables are summed: hidden variables whose states are listed, and tables by code that
    share joint codes (None where they do not; filled in when they are first asked for). `by_code`: sums may be taken by
    code in place of row by row, by the `codes` of what rows show.
    """

    prunings: Sequence[Pruning] = ()
    fuse: Choice = "auto"
    by_code: bool = True
    joint: dict[Names, FusedCodes | None] = field(default_factory=dict)
    codes: Codes = field(default_factory=dict)


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
    passes: Passes = field(default_factory=Passes)
    in_chain: frozenset[str] = frozenset()
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
            if level > 0 and not tables[level] and not any(item.level == level for item in self.passes.prunings):
                continue  # all that its units say is in an integral over hidden variables, or in lists of their states
            remaining = self._level(level, tables[level])
            if level == 0:
                return self._sum(remaining, level)
            if self._crosses(level, remaining):
                return self._crossing([*remaining, *(node for outer in range(level) for node in tables[outer])])
            tables[level - 1] += [self._raise(node, level) for node in self._apart(remaining, level)]
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
        pruned = {name for pruning in self.passes.prunings for name in pruning.maps}
        for item in self.maps:
            if item.map.name in pruned:
                continue
            found.append(Indicator(next(self.numbers), item.axes.hidden, item.level, True, item.map.name))
        for integral in self.integrals:
            # What is left of continuous hidden variables is a density by unit, like that of a datum.
            found.append(RowDensity(next(self.numbers), integral.axes, integral.level, True, integral.name))
        found = self._fused(found)
        for node in found:
            if isinstance(node, Affine | Quadratic | RowDensity) and not node.piece.startswith("integral:"):
                self._note_role(node, self._piece(node.piece))
            elif isinstance(node, Take):
                self._note_role(node, self._piece(node.pieces[0]))
            elif isinstance(node, Fused):
                self._note_role(node, self._piece(node.takes[0].pieces[0]))
        if self.random:
            for variable in self.model.variables:
                if variable.kind != "latent" or variable.values is None or is_unseen(variable.name):
                    continue
                if variable.name in self.bound.chosen:
                    continue
                if not variable.components and variable.name not in self.without_potential:
                    level = self.bound.level_of(variable.plate)
                    axes = (START, variable.name) if START in self.sizes else (variable.name,)
                    found.append(Potential(next(self.numbers), axes, level, True, variable.name))
        return found

    def _note_role(self, node: Node, item: BoundPiece) -> None:
        """Which units of a chain a law is about; the other laws are about all, or leave out rows by themselves."""
        if not item.by_position:
            self.roles[node.number] = (item.piece.when, item.piece.lag)

    def _fused(self, found: list[Node]) -> list[Node]:
        """Constant tables by code that share their axes, under joint codes where that pays."""
        groups: dict[tuple[object, ...], list[Take]] = {}
        for node in found:
            if isinstance(node, Take) and all(t.statistic == "1" for t in self._piece(node.pieces[0]).piece.terms):
                piece = self._piece(node.pieces[0]).piece
                item = self._piece(node.pieces[0])
                key = (node.axes, node.level, piece.when, piece.lag, item.by_position, is_unseen(piece.factor))
                groups.setdefault(key, []).append(node)
        for takes in groups.values():
            names = tuple(take.pieces for take in takes)
            joint, fuse = self.passes.joint, self.passes.fuse
            if names not in joint:
                tables = [self._piece(take.pieces[0]).data for take in takes]
                joint[names] = None if fuse == "never" else shared_codes(tables, always=fuse == "always")
            if joint[names] is not None:
                fused = Fused(next(self.numbers), takes[0].axes, takes[0].level, True, tuple(takes))
                found = [item for item in found if item not in takes] + [fused]
        return found

    def _piece(self, name: str) -> BoundPiece:
        return next(piece for piece in self.pieces if piece.piece.name == name)

    # --- one level ----------------------------------------------------------------------------------------------------

    def _level(self, level: int, tables: list[Node]) -> list[Node]:
        """What is left of the tables of a level once its own hidden variables are summed out, where they can be unit by
        unit, or chain by chain.
        """
        plate = self.bound.levels[level].plate
        everything = [
            v.name
            for v in self.model.variables
            if v.kind == "latent"
            and v.plate == plate
            and v.values is not None
            and not v.components
            and v.name not in self.bound.chosen
        ]
        unseen = [name for name in everything if is_unseen(name)]
        passed = [node for node in tables if set(map(base, node.axes)) & set(unseen) or self._is_of_unseen(node)]
        seen = [node for node in tables if node not in passed]
        own = [pruning for pruning in self.passes.prunings if pruning.level == level]
        found = self._summed(level, [name for name in everything if name not in unseen], seen, own)
        return [*found, *self._unseen(level, unseen, passed)]

    def _summed(self, level: int, latents: list[str], tables: list[Node], prunings: Sequence[Pruning]) -> list[Node]:
        """The tables with these hidden variables summed out, along the chain where one of them is looked back at."""
        looked_back_at = {base(axis) for node in tables for axis in node.axes if "@" in axis}
        # What a law of the chain's first units, or of the others, looks at is part of the chain's state: summed out
        # before, it would tie the laws of different units together.
        of_some_units = [node for node in tables if self.roles.get(node.number, ("always", 0))[0] != "always"]
        beside = {axis for node in of_some_units for axis in node.axes}
        chained = [name for name in latents if name in looked_back_at | beside | self.in_chain]
        for group in self._order([n for n in latents if n not in chained], prunings, tables):
            tables = self._eliminate(group, tables, level)
        if chained and not self._crosses(level, tables):
            return [self._scan(level, tables, tuple(chained))]
        return tables

    def _crosses(self, level: int, tables: Sequence[Node]) -> bool:
        """Whether the units of a level look at elements that each of them chooses: what is around them cannot be summed
        out unit by unit.
        """
        axes = {base(axis) for node in tables for axis in node.axes} & set(self.bound.chosen)
        return level > 0 and any(level_of(axis, self.model, self.bound) == level for axis in axes)

    def _crossing(self, tables: Sequence[Node]) -> Node:
        roles = tuple(self.roles.get(node.number, ("always", 0)) for node in tables)
        axes = (START,) if any(START in node.axes for node in tables) else ()
        node = Crossing(next(self.numbers), axes, 0, True, tuple(tables), roles)
        check_weights(node, self.model, self.bound)
        return node

    def _apart(self, tables: Sequence[Node], level: int) -> list[Node]:
        """The sums of those tables that fit into each other: one over all would have more cells than it needs."""
        groups: list[tuple[set[str], list[Node]]] = []
        for node in sorted(tables, key=lambda node: -len(node.axes)):
            axes = set(node.axes) - {START}
            own = next((some for around, some in groups if axes <= around and some[0].level == node.level), None)
            if own is None:
                groups.append((axes, [node]))
            else:
                own.append(node)
        order = {node.number: place for place, node in enumerate(tables)}
        sorted_groups = [sorted(members, key=lambda node: order[node.number]) for _, members in groups]
        return [self._sum(members, members[0].level) for members in sorted_groups] or [self._sum((), level)]

    def _unseen(self, level: int, names: list[str], tables: list[Node]) -> list[Node]:
        """The copies of variables in units, or in chains, that were never seen are summed out by themselves."""
        if not names:
            return []
        left = self._summed(level, names, tables, ())
        if any("@" in axis for node in left for axis in node.axes):
            plate = self.bound.levels[level].plate
            raise EmmError(
                "not-supported-yet",
                f"the units of the chain `{plate}` are in the data by a `given`, and each chooses an element of an "
                "array that is hidden outside the plates: which chains were passed over has no plan yet",
            )
        total = self._sum(left, left[0].level)
        return [Unseen(next(self.numbers), total.axes, total.level, total.rows, total)]

    def _is_of_unseen(self, node: Node) -> bool:
        match node:
            case RowDensity(piece=name) if name.startswith("integral:"):
                return False
            case Affine(piece=name) | RowDensity(piece=name) | Quadratic(piece=name):
                return is_unseen(self._piece(name).piece.factor)
            case Table(pieces=names) | Take(pieces=names):
                return any(is_unseen(self._piece(name).piece.factor) for name in names)
            case Fused(takes=takes):
                return self._is_of_unseen(takes[0])
        return False

    def _order(self, names: list[str], prunings: Sequence[Pruning], tables: Sequence[Node]) -> list[tuple[str, ...]]:
        """Greedy: the variable, or group of pruned ones, whose elimination makes the smallest table comes first."""
        scopes = [set(node.axes) for node in tables]
        pruned = {pruning.latents: pruning for pruning in prunings}
        inside = {name for group in pruned for name in group}
        order: list[tuple[str, ...]] = []
        waiting = [*pruned, *((name,) for name in names if name not in inside)]
        while waiting:
            cost = {g: self._cost(g, pruned.get(g), scopes) for g in waiting}
            best = min(waiting, key=lambda g: cost[g])
            self._check_size(best, cost[best], pruned.get(best), scopes)
            merged = set().union(*(s for s in scopes if s & set(best))) - set(best)
            scopes = [s for s in scopes if not s & set(best)] + [merged]
            waiting.remove(best)
            order.append(best)
        return order

    def _cost(self, group: tuple[str, ...], pruning: Pruning | None, scopes: Sequence[set[str]]) -> int:
        """Numbers for each unit of the table from which a group is summed out; with a list of states on average."""
        axes = set(group).union(*(s for s in scopes if s & set(group)))
        if pruning is None:
            return self._size(axes)
        return self._size(axes - set(group)) * pruning.possible.on_average

    def _check_size(
        self, group: tuple[str, ...], cost: int, pruning: Pruning | None, scopes: Sequence[set[str]]
    ) -> None:
        names = ", ".join(f"`{name}`" for name in group)
        joint = sorted(set(group).union(*(s for s in scopes if s & set(group))))
        if pruning is None:
            check_table(f"summing out {names}", {axis: self.sizes.get(axis, 1) for axis in joint})
        else:
            around = {axis: self.sizes.get(axis, 1) for axis in joint if axis not in group}
            size = self._size(set(around))
            check_table(f"summing out {names}", {**around, "the states that the data leave": cost // size})

    def _size(self, axes: set[str]) -> int:
        total = 1
        for axis in axes:
            total *= self.sizes.get(axis, 1)
        return total

    def _eliminate(self, group: tuple[str, ...], tables: list[Node], level: int) -> list[Node]:
        touching = [node for node in tables if set(group) & set(node.axes)]
        others = [node for node in tables if not set(group) & set(node.axes)]
        if any(pruning.latents == group for pruning in self.passes.prunings):
            axes = tuple(axis for axis in union(*(node.axes for node in touching)) if axis not in group)
            return [*others, PrunedLogSumExp(next(self.numbers), axes, level, True, tuple(touching), group)]
        if not touching:
            return tables
        pieces = {piece.piece.name: piece for piece in self.pieces}
        if self.passes.by_code:
            by_code = coded_sum(next(self.numbers), touching, group, pieces, self.sizes, self.bound, self.passes.codes)
            if by_code is not None:
                return [*others, by_code]
        law = drawn_law(touching, group, pieces) if self.passes.by_code else None
        if law is not None:
            rest = [node for node in touching if node is not law]
            source = self._add(rest, level, union(group, *(node.axes for node in rest)), rows=True)
            return [*others, drawn_sum(next(self.numbers), law, source, group[0], pieces[law.piece])]
        total = self._sum(touching, touching[0].level, always=True)
        axes = tuple(axis for axis in total.axes if axis not in group)
        return [*others, LogSumExp(next(self.numbers), axes, total.level, total.rows, total, group)]

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
        memory = max(1, *(lag_of(axis) for node in tables for axis in node.axes if base(axis) in chained))
        self.sizes |= {label_before(name, lag): self.sizes[name] for name in chained for lag in range(1, memory + 1)}
        previous = tuple(label_before(name, lag) for lag in range(memory, 0, -1) for name in chained)
        role = {node.number: self.roles.get(node.number, ("always", 0))[0] for node in tables}
        first = [node for node in tables if role[node.number] == "first"]
        looks_back = [node for node in tables if node not in first and set(previous) & set(node.axes)]
        step = [node for node in tables if role[node.number] == "after" or node in looks_back]
        emit = [node for node in tables if node not in first and node not in step]
        # Where there is no first law the first units are known and conditioned on, or drawn as all others are. (In the
        # graph every hidden chain that looks back at itself begins with a law.)
        outer = tuple(a for a in union(*(n.axes for n in tables)) if base(a) not in chained)
        check_table(
            f"a step of the chain over `{plate}`", {a: self.sizes.get(a, 1) for a in (*outer, *previous, *chained)},
            "look back fewer units, or give the hidden variables fewer values",
        )  # fmt: skip
        if not step:  # states that do not look back at each other, tied by what else looks at them
            step = [Table(next(self.numbers), (*previous, *chained), level, False, ())]
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
