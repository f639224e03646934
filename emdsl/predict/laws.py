"""The law of one observed variable in every state of what is hidden: its density, mean and distribution function.

Arrays are `(states, elements, units)`, `states` the joint values of the finite hidden variables that the law looks at,
times the points at which hidden numbers are taken; an axis has length 1 where nothing varies with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdsl.data.bound import Bound
from emdsl.ir.arrays import element
from emdsl.ir.expressions import (
    Apply,
    Binder,
    BinderRef,
    Choose,
    ConstantRef,
    Expression,
    ParameterRef,
    Tabulate,
    VariableRef,
    rewrite,
    walk,
)
from emdsl.ir.latents import continuous_latents, is_continuous
from emdsl.ir.model import Branch, Fact, Factor, Map, Model
from emdsl.plan.evaluation import axis_of
from emdsl.plan.named import POINT, ROW, Named, combine
from emdsl.runtime.probabilities import PROBABILITIES
from emdsl.runtime.problem import Array, Theta
from emdsl.simulate.draws import ordered_elements
from emdsl.simulate.evaluation import Codes, Drawn, UnitEvaluator

#: The axis of the values at which a law is asked for its density.
POINTS = "?points"


@dataclass(frozen=True)
class LawEvaluator(UnitEvaluator):
    """A `UnitEvaluator` whose `points` are values of the variable that is predicted, and which takes a label that is
    not known for the first one (see `Law.unknown`)."""

    def value(self, expression: Expression) -> Named:
        """The number of an expression; of a probability that is given by its logarithm without that detour."""
        match expression:
            case Apply("exp", (Apply(name, args),)) if name in PROBABILITIES:
                return combine(PROBABILITIES[name], *map(self.value, args))
        return super().value(expression)

    def _data(self, reference: VariableRef) -> Named:
        if self.points is not None and (reference.name, reference.lag) in self.points:
            return self._at_point(reference)
        found = super()._data(reference)
        values = self.model.variable(reference.name).values
        if values is None:
            return found
        # what is not known is left out by `Law.unknown`; a code of no label would index a table from its end
        inside = (found.array >= 0) & (found.array < len(self.bound.indexes[values]))
        return Named(found.axes, np.where(inside, found.array, 0))

    def is_known(self, reference: VariableRef) -> Named:
        """Where there is a value of a datum, and one alone."""
        found = super()._data(reference)
        values = self.model.variable(reference.name).values
        if values is None:
            return Named(found.axes, ~np.isnan(found.array))
        return Named(found.axes, (found.array >= 0) & (found.array < len(self.bound.indexes[values])))


def drawn_by(statement: Factor | Map, model: Model) -> tuple[str, ...]:
    """The variables that a statement draws: its target, and the others of a joint draw."""
    assert statement.target is not None
    return model.variable(statement.target.name).joint or (statement.target.name,)


def hidden_references(statement: Factor | Map, model: Model) -> tuple[VariableRef, ...]:
    """The finite hidden variables that a statement looks at, in the order of declaration, the earliest units first; not
    what it draws, which may have become hidden where its cells are open."""
    parts = statement.branches if isinstance(statement, Factor) else statement.value
    order = {variable.name: k for k, variable in enumerate(model.variables)}
    own = {(name, 0) for name in drawn_by(statement, model)}
    nodes = {node for node in walk(parts) if isinstance(node, VariableRef) and (node.name, node.lag) not in own}
    hidden = {node for node in nodes if model.variable(node.name).kind == "latent"}
    found = {node for node in hidden if not is_continuous(model.variable(node.name))}
    return tuple(sorted(found, key=lambda n: (order[n.name], -n.lag)))


def number_references(parts: Any, model: Model) -> tuple[VariableRef, ...]:
    """The hidden numbers that a statement (or a part of it) looks at."""
    return tuple(dict.fromkeys(continuous_latents(parts, model)))


def scope_of(statement: Factor | Map, model: Model) -> tuple[str, ...]:
    """The axes of the finite hidden variables in a statement."""
    return tuple(dict.fromkeys(map(axis_of, hidden_references(statement, model))))


@dataclass(frozen=True)
class Law:
    """A statement about an observed variable for some units of its plate.

    `around` are axes of finite hidden variables that the law of hidden numbers depends on. `at` holds values of these
    numbers (or of expressions with them) at `count` points, along the axis POINT; without it nothing has that axis.
    """

    model: Model
    bound: Bound
    theta: Theta
    statement: Factor | Map
    drawn: Drawn
    units: Codes
    around: tuple[str, ...] = ()
    at: Mapping[Any, Named] = field(default_factory=dict)
    count: int = 0

    @property
    def cells(self) -> tuple[str, ...]:
        """The axes of what is finite and hidden."""
        return tuple(dict.fromkeys((*scope_of(self.statement, self.model), *self.around)))

    @property
    def scope(self) -> tuple[str, ...]:
        """The axes of the states."""
        return (*self.cells, POINT) if self.count else self.cells

    @property
    def states(self) -> tuple[int, ...]:
        """Their lengths."""
        return tuple(self._size(axis) for axis in self.scope)

    def at_points(self, values: Mapping[Any, Named], count: int) -> Law:
        """The law where hidden numbers have these values."""
        return replace(self, at=values, count=count)

    @property
    def event(self) -> tuple[Binder, ...]:
        """The axis along which the statement draws a vector."""
        assert self.statement.target is not None
        axes = self.model.variable(self.statement.target.name).axes[len(self.statement.target.indices) :]
        return tuple(Binder(f"?event {k}", axis) for k, axis in enumerate(axes))

    @property
    def elements(self) -> tuple[Binder, ...]:
        """What tells the elements of the variable apart, in the order of its axes."""
        return (*ordered_elements(self.statement), *self.event)

    @property
    def target(self) -> VariableRef:
        """One element of the variable."""
        target = self.statement.target
        assert target is not None
        return replace(target, indices=(*target.indices, *map(BinderRef, self.event)))

    def evaluator(self, tried: bool = False, points: Named | None = None) -> LawEvaluator:
        """Values in all cells of what is hidden; `tried`: also for all values of the target, or at `points`."""
        coded: set[VariableRef] = set(hidden_references(self.statement, self.model))
        if tried:
            coded |= {replace(self.target, name=name) for name in drawn_by(self.statement, self.model)}
        level = self.bound.level_of(self.statement.plate)
        values = {**self.at} if points is None else {**self.at, self.target: points}
        return LawEvaluator(
            self.model, self.bound, frozenset(coded), self.theta, level, points=values or None, drawn=self.drawn,
            units=self.units,
        )  # fmt: skip

    def aligned(self, value: Named, *more: str) -> NDArray[Any]:
        """`(states, elements, units, *more)`: an axis of length 1 where the value does not vary with it."""
        return self.aligned_to(self.elements, value, *more)

    def aligned_to(self, elements: tuple[Binder, ...], value: Named, *more: str) -> NDArray[Any]:
        """`aligned`, with these elements in the place of all."""
        scope = self.scope
        names = [binder.name for binder in elements]
        sizes = {axis: self._size(axis) for axis in scope} | {
            binder.name: len(self.bound.indexes[binder.index_set]) for binder in elements
        }
        array = value.aligned((*scope, *names, ROW, *more))
        shape = list(array.shape)
        for group in (range(len(scope)), range(len(scope), len(scope) + len(names))):
            if any(array.shape[k] > 1 for k in group):
                for k in group:
                    shape[k] = sizes[(*scope, *names)[k]]
        array = np.broadcast_to(array, shape)
        states = int(np.prod(shape[: len(scope)]))
        count = int(np.prod(shape[len(scope) : len(scope) + len(names)]))
        return array.reshape(states, count, *shape[len(scope) + len(names) :])

    def _size(self, axis: str) -> int:
        if axis == POINT:
            return self.count
        values = self.model.variable(axis.partition("@")[0]).values
        return len(self.bound.indexes[values or ""])

    # --- what a law says ----------------------------------------------------------------------------------------------

    def holds(self, branch: Branch) -> NDArray[np.bool_]:
        """Where a branch is the law: every guard that is not about the variable itself."""
        evaluator = self.evaluator()
        total = np.ones((1, 1, 1), dtype=bool)
        for guard in branch.guards:
            total = total & self.aligned(evaluator.truth(guard)).astype(bool)
        return total

    def unknown(self) -> NDArray[np.bool_]:
        """Units in which something that the statement looks at has an empty cell or lies before the chain."""
        evaluator = self.evaluator()
        parts = self.statement.branches if isinstance(self.statement, Factor) else self.statement.value
        total = np.zeros(len(self.units), dtype=bool)
        for node in {item for item in walk(parts) if isinstance(item, VariableRef)}:
            own = node.name in drawn_by(self.statement, self.model) and not node.lag
            if own or self.model.variable(node.name).kind == "latent":
                continue
            found = evaluator.is_known(node)
            known = found.array if ROW in found.axes else np.broadcast_to(found.array, total.shape)
            total |= ~known.reshape(-1, known.shape[-1]).all(axis=0)
        return total

    def fact(self, branch: Branch, definition: str) -> Fact | None:
        """What the family of a branch declares."""
        return next(
            (item for item in self.model.facts if item.family == branch.family and item.definition == definition), None
        )

    def mean(self, branch: Branch) -> Array | None:
        """The declared mean."""
        fact = self.fact(branch, "mean")
        return None if fact is None else self.aligned(self.evaluator().value(self._put_in(fact, branch)))

    def stated(self, branch: Branch, definition: str) -> Expression:
        """What the family says of one element, over the arguments of the branch."""
        fact = self.fact(branch, definition)
        assert fact is not None
        return self._put_in(fact, branch)

    def cdf(self, branch: Branch, at: Named) -> Array:
        """The declared distribution function at values by element and unit."""
        fact = self.fact(branch, "cdf")
        assert fact is not None
        return self.aligned(self.evaluator(points=at).value(self._put_in(fact, branch)))

    def density(self, branch: Branch, at: Named) -> Array:
        """The density (or probability) at the values of `at`, along `POINTS` as the last axis."""
        value = self.evaluator(points=at).value(branch.log_density)
        return np.asarray(np.nan_to_num(np.exp(self.aligned(value, POINTS)), nan=0.0))

    def by_element(self, values: Array) -> Named:
        """Values `(elements, units)` as what an evaluator takes."""
        shape = [len(self.bound.indexes[binder.index_set]) for binder in self.elements]
        return Named((*(binder.name for binder in self.elements), ROW), values.reshape(*shape, values.shape[-1]))

    def _put_in(self, fact: Fact, branch: Branch) -> Expression:
        """A fact with the arguments of the branch in it; of vectors and matrices the element's own entries."""
        index = tuple(map(BinderRef, self.event))
        put = {
            name: element(value, index * (_rank(value, self.model) // max(len(index), 1)))
            for name, value in branch.arguments
        }  # fmt: skip
        put[fact.at] = self.target

        def rule(node: Any) -> Any:
            return put.get(node.name, node) if isinstance(node, VariableRef) else node

        result: Expression = rewrite(fact.value, rule)
        return result


def _rank(expression: Expression, model: Model) -> int:
    """How many axes an argument has: 0 a number, 1 a vector, 2 a matrix."""
    match expression:
        case ParameterRef(name, indices):
            return len(model.parameter(name).array_axes) - len(indices)
        case ConstantRef(name, indices):
            return len(model.constant(name).axes) - len(indices)
        case VariableRef(name, indices):
            return len(model.variable(name).axes) - len(indices)
        case Tabulate(binders):
            return len(binders)
        case Choose(_, arms):
            return _rank(arms[0].value, model)
    return 0
