"""The log-likelihood and the posterior of a small data set by enumerating hidden states, straight from the model graph.

Inside a unit every joint value of its hidden variables is written out, the units of a chain all at once; units that
are independent given the units around them are taken one after the other. Nothing is shared with the engine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

import numpy as np
from scipy.special import logsumexp

from emdsl.ir.expressions import Expression, Label, VariableRef, walk
from emdsl.ir.model import Factor, Map, Model, Variable
from tests.laws.interpreter import Key, World
from tests.laws.tables import Columns, Table, Unit

#: The largest number of joint states that is written out at once.
MOST_STATES = 2_000_000

#: Called at every unit with what it sees there and the posterior weight of each joint state.
Visitor = Callable[[World, Any], None]


@dataclass
class Enumeration:
    """One model on one table at one theta."""

    model: Model
    columns: Columns
    theta: Mapping[str, Any]
    given: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.table = Table(self.model, self.columns, self.given)
        self._looked_at = self._references()

    def _references(self) -> set[str]:
        """Observed variables that a statement other than their own looks at."""
        found: set[str] = set()
        for factor in self.model.factors:
            own = factor.target.name if factor.target is not None else None
            found |= {n.name for n in walk(factor.branches) if isinstance(n, VariableRef) and (n.name != own or n.lag)}
        for item in self.model.maps:
            found |= {n.name for n in walk(item.value) if isinstance(n, VariableRef)}
        return found

    # --- what it gives ------------------------------------------------------------------------------------------------

    def loglik(self) -> float:
        """The log-likelihood, weights included."""
        with np.errstate(all="ignore"):
            return float(self._evidence([self.table.whole], {}, {}, 1)[0])

    def visit(self, visitor: Visitor) -> None:
        """Calls `visitor` for every unit with the joint states it can be in and the posterior weights."""
        with np.errstate(all="ignore"):
            self._descend([self.table.whole], {}, {}, np.ones(1), visitor)

    # --- one group of units -------------------------------------------------------------------------------------------

    def _groups(self, parent: Unit) -> Iterator[list[Unit]]:
        """The units inside a unit, those together that must be enumerated together: a chain."""
        units = self.table.units(parent)
        plate = self.table.plate_below(parent.plate)
        if plate is not None and plate.ordered:
            if units:
                yield units
        else:
            yield from ([unit] for unit in units)

    def _unknowns(self, unit: Unit) -> list[tuple[Key, list[int]]]:
        """What is hidden in a unit: latent variables, and cells of finite observed variables that say less than all."""
        found: list[tuple[Key, list[int]]] = []
        targets = {item.target.name for item in self.model.maps}
        for variable in self.model.variables:
            if variable.plate != unit.plate or variable.values is None or variable.components:
                continue
            for element in self.table.elements(variable):
                key = (variable.name, unit, element)
                if variable.kind == "latent":
                    found.append((key, list(range(len(self.table.indexes[variable.values])))))
                elif variable.kind == "observed" and variable.name not in targets:
                    allowed = self.table.allowed(variable, unit, element)
                    if len(allowed) != 1:
                        found.append((key, allowed))
        return found

    def _expand(self, group: list[Unit], outer: Mapping[Key, Any], states: int) -> tuple[dict[Key, Any], int]:
        """All joint states of a group beside each joint state around it: hidden values over `states * own`."""
        unknowns = [item for unit in group for item in self._unknowns(unit)]
        own = int(np.prod([len(values) for _, values in unknowns])) if unknowns else 1
        assert states * own <= MOST_STATES, f"{states * own} joint states"
        combinations = np.array(list(product(*(values for _, values in unknowns))), dtype=int).reshape(
            own, len(unknowns)
        )
        hidden = {key: np.repeat(value, own) for key, value in outer.items()}
        for column, (key, _) in enumerate(unknowns):
            hidden[key] = np.tile(combinations[:, column], states)
        return hidden, own

    def _joint(
        self, group: list[Unit], outer: Mapping[Key, Any], chains: Mapping[str, tuple[Unit, ...]], states: int
    ) -> tuple[Any, dict[Key, Any], dict[str, tuple[Unit, ...]], int]:
        """The log-probability of every joint state of a group with all that hangs below it, `(states, own)`."""
        hidden, own = self._expand(group, outer, states)
        inside = dict(chains)
        if group[0].plate is not None:
            inside[group[0].plate] = tuple(group)
        total = np.zeros(states * own)
        for unit in group:
            part = self._own(self._world(unit, hidden, inside), states * own)
            for below in self._groups(unit):
                part = part + self._evidence(below, hidden, inside, states * own)
            weight = self._weight(unit)
            assert weight == 1.0 or len(group) == 1, "a weight inside a chain"
            total = total + part
        total = total + self._chosen(group, hidden, inside)
        return total.reshape(states, own), hidden, inside, own

    def _evidence(
        self, group: list[Unit], outer: Mapping[Key, Any], chains: Mapping[str, tuple[Unit, ...]], states: int
    ) -> Any:
        """The log-probability of what a group of units shows, for each joint state around it.

        To the power of the unit's weight.
        """
        joint = self._joint(group, outer, chains, states)[0]
        weight = self._weight(group[0])
        return weight * logsumexp(joint, axis=1) if weight else np.zeros(states)

    def _descend(
        self,
        group: list[Unit],
        outer: Mapping[Key, Any],
        chains: Mapping[str, tuple[Unit, ...]],
        weights: Any,
        visitor: Visitor,
    ) -> None:
        joint, hidden, inside, _ = self._joint(group, outer, chains, len(weights))
        peak = joint.max(axis=1, keepdims=True)
        share = np.exp(joint - np.where(np.isfinite(peak), peak, 0.0))
        total = share.sum(axis=1, keepdims=True)
        share = np.divide(share, total, out=np.zeros_like(share), where=total > 0)
        spread = (share * (weights * self._weight(group[0]))[:, None]).ravel()
        for unit in group:
            visitor(self._shown(self._world(unit, hidden, inside), len(spread)), spread)
            for below in self._groups(unit):
                self._descend(below, hidden, inside, spread, visitor)

    def _world(self, unit: Unit, hidden: Mapping[Key, Any], chains: Mapping[str, tuple[Unit, ...]]) -> World:
        bound, around = {}, unit
        while around.parent is not None:
            plate = next(item for item in self.model.plates if item.name == around.plate)
            if plate.over is not None:
                bound[plate.over.name] = around.position
            around = around.parent
        return World(self.table, self.theta, unit, hidden, bound, chains)

    def _weight(self, unit: Unit) -> float:
        total = 1.0
        for item in self.model.weights:
            if item.plate == unit.plate:
                total *= self.table.number(self.model.variable(item.variable), unit, ())
        return total

    # --- one unit -----------------------------------------------------------------------------------------------------

    def _own(self, world: World, states: int) -> Any:
        """The log-probability of a unit's own statements in every joint state."""
        total = np.zeros(states)
        world = self._shown(world, states)
        for factor in self.model.factors:
            if factor.plate == world.unit.plate and applies(factor, world.unit):
                for inner in elements(factor, world):
                    total = total + self.factor(factor, inner, states)
        for item in self.model.maps:
            if item.plate == world.unit.plate:
                for inner in elements(item, world):
                    total = total + np.where(self._possible(item, inner), 0.0, -np.inf)
        mapped = {item.target.name for item in self.model.maps}
        for variable in self.model.variables:
            if variable.plate == world.unit.plate and variable.kind == "observed" and variable.components:
                assert variable.name not in mapped
                for element in self.table.elements(variable):
                    labels = (self.table.indexes[axis][k] for axis, k in zip(variable.axes, element, strict=True))
                    at = tuple(Label(axis, label) for axis, label in zip(variable.axes, labels, strict=True))
                    draws = tuple(VariableRef(name, at) for name in variable.components)
                    total = total + np.where(self._paired(variable, world, element, draws), 0.0, -np.inf)
        return total

    def _chosen(self, group: list[Unit], hidden: Mapping[Key, Any], chains: Mapping[str, tuple[Unit, ...]]) -> Any:
        """What the conditions of `given` add: their truth in all units, less the log-probability of that."""
        states = len(next(iter(hidden.values()))) if hidden else 1
        conditions = [item.condition for item in self.model.givens if item.plate == group[0].plate]
        if not conditions:
            return 0.0
        everything = [(variable, key) for unit in group for variable, key in self._drawn(unit)]
        sizes = [range(len(self.table.indexes[variable.values or ""])) for variable, _ in everything]
        combinations = np.array(list(product(*sizes)), dtype=int)
        own = len(combinations)
        free_hidden = {key: np.repeat(value, own) for key, value in hidden.items()}
        free_hidden |= {key: np.tile(combinations[:, k], states) for k, (_, key) in enumerate(everything)}
        total = np.zeros(states * own)
        seen, met = np.ones(states, dtype=bool), np.ones(states * own, dtype=bool)
        for unit in group:
            free = self._shown(self._world(unit, free_hidden, chains), states * own)
            for factor in self.model.factors:
                finite = factor.target is not None and self.model.variable(factor.target.name).values is not None
                if factor.plate == unit.plate and finite and applies(factor, unit):
                    for inner in elements(factor, free):
                        total = total + self.factor(factor, inner, states * own)
            world = self._shown(self._world(unit, hidden, chains), states)
            for condition in conditions:
                met &= free.number(condition) != 0
                seen &= world.number(condition) != 0
        share = logsumexp(np.where(met, total, -np.inf).reshape(states, own), axis=1)
        # where no unit can be in the data, the unit at hand is impossible already
        return np.where(seen, 0.0, -np.inf) - np.where(np.isneginf(share), 0.0, share)

    def _drawn(self, unit: Unit) -> Iterator[tuple[Variable, Key]]:
        """The finite variables of a unit that some law draws; not those that a chain is conditioned on."""
        mapped = {item.target.name for item in self.model.maps}
        for variable in self.model.variables:
            if variable.plate != unit.plate or variable.values is None or variable.components:
                continue
            if variable.kind not in ("latent", "observed") or variable.name in mapped:
                continue
            own = [f for f in self.model.factors if f.target is not None and f.target.name == variable.name]
            if not any(applies(factor, unit) for factor in own) and not variable.joint:
                continue
            for element in self.table.elements(variable):
                yield variable, (variable.name, unit, element)

    def _shown(self, world: World, states: int) -> World:
        """The world in which what a deterministic observation shows is known from what is hidden."""
        hidden = dict(world.hidden)
        for item in self.model.maps:
            variable = self.model.variable(item.target.name)
            if item.plate != world.unit.plate or variable.values is None or isinstance(item.value, tuple):
                continue
            if not self._looks_too_far_back(item, world):
                labels = list(self.table.indexes[variable.values])
                for inner in elements(item, replace(world, hidden=hidden)):
                    element = tuple(int(inner.place(index)) for index in item.target.indices)
                    shown = np.broadcast_to(inner.texts(item.value), states)
                    hidden[variable.name, world.unit, element] = np.array([labels.index(text) for text in shown])
        return replace(world, hidden=hidden)

    def factor(self, factor: Factor, world: World, states: int) -> Any:
        """The log-density of one statement for one element; 0 where the number it draws is not seen."""
        if self.unseen(factor, world):
            return np.zeros(states)
        total = np.zeros(states)
        for branch in factor.branches:
            here = np.ones(states, dtype=bool)
            for guard in branch.guards:
                here = here & world.holds(guard)
            if np.all(here):
                total = total + world.number(branch.log_density)
            elif np.any(here):
                # a branch is looked at only where it holds: elsewhere it may ask for cut points that there are not
                inside = replace(world, hidden={key: value[here] for key, value in world.hidden.items()})
                total[here] += np.broadcast_to(inside.number(branch.log_density), int(here.sum()))
        assert not np.isnan(total).any(), f"{factor.name} is no number"
        return total

    def unseen(self, factor: Factor, world: World) -> bool:
        """Whether the number that a statement draws is missing; nothing else may depend on it."""
        if factor.target is None:
            return False
        variable = self.model.variable(factor.target.name)
        if variable.kind != "observed" or variable.values is not None:
            return False
        missing = bool(np.isnan(world.variable(factor.target)).any())
        assert not missing or variable.name not in self._looked_at, "a missing number that others look at"
        return missing

    def _possible(self, item: Map, world: World) -> Any:
        variable = self.model.variable(item.target.name)
        element = tuple(int(world.place(index)) for index in item.target.indices)
        if self._looks_too_far_back(item, world):
            return True
        if isinstance(item.value, tuple):
            return self._paired(variable, world, element, item.value)
        if variable.values is not None:
            labels = self.table.indexes[variable.values]
            allowed = [labels[place] for place in self.table.allowed(variable, world.unit, element)]
            return np.isin(world.texts(item.value), allowed)
        seen = self.table.number(variable, world.unit, element)
        return np.isnan(seen) | np.isclose(world.number(item.value), seen, rtol=1e-12, atol=0.0)

    def _looks_too_far_back(self, item: Map, world: World) -> bool:
        """Whether a deterministic observation looks at a unit before the first: it then says nothing."""
        return any(world.owner(node) is None for node in walk(item.value) if isinstance(node, VariableRef))

    def _paired(self, variable: Variable, world: World, element: tuple[int, ...], sides: tuple[Expression, ...]) -> Any:
        """Whether two draws are a genotype that a cell allows."""
        pairs = self.table.pairs(variable, world.unit, element)
        left, right = np.broadcast_arrays(*(world.place(side) for side in sides))
        flat = [(int(a), int(b)) in pairs for a, b in zip(left.ravel(), right.ravel(), strict=True)]
        return np.array(flat).reshape(left.shape)


def applies(factor: Factor, unit: Unit) -> bool:
    """Whether a statement of a chain holds at this place of it, and of the chains around it."""
    for plate, lag in factor.around:
        around: Unit | None = unit
        while around is not None and around.plate != plate:
            around = around.parent
        if around is None or around.position < lag:
            return False
    if factor.when == "always":
        return True
    return unit.position < factor.lag if factor.when == "first" else unit.position >= factor.lag


def elements(statement: Factor | Map, world: World) -> Iterator[World]:
    """The world at every element that a statement runs over."""
    sizes = [range(world.size(binder.index_set)) for binder in statement.elements]
    for places in product(*sizes):
        inner = world
        for binder, place in zip(statement.elements, places, strict=True):
            inner = inner.at(binder, place)
        yield inner
