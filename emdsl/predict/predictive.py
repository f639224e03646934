"""The predictive law of a statement: what its branches say in every state of what is hidden, weighted by the posterior.

Hidden numbers are averaged over in the first of these ways that applies:

1. normal posterior, law jointly normal with the numbers: closed (`normal_laws`);
2. normal posterior, all numbers in one argument that is affine in them: a line of points over that argument;
3. normal posterior, up to three numbers: a grid of points over them;
4. a posterior that comes as points: these points.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from emdsl.diagnostics.errors import EmmError
from emdsl.ir.degrees import degree
from emdsl.ir.expressions import BinderRef, Expression, VariableRef, walk
from emdsl.ir.model import CELL_SUFFIX, SEEN, Branch, Factor, Guard, Variable
from emdsl.plan.named import POINT, ROW, Named
from emdsl.plan.number_laws import NumberLaw
from emdsl.predict.components import Component, DeclaredComponent, NormalComponent
from emdsl.predict.laws import Law, number_references
from emdsl.predict.normal_laws import is_normal, normal_law
from emdsl.runtime.integrals.gaussian import covariance_root
from emdsl.runtime.problem import Array

#: Half the width of a line over a normal law in standard deviations, and its points, times `Bound.nodes`.
REACH, LINE_POINTS = 8.5, 32
#: Most numbers that a grid is laid over, and its points along each, times `Bound.nodes`.
MOST_NUMBERS, GRID_POINTS = 3, 12

#: Values at which a density is asked for at once, roughly: of counts, and of a quadrature.
COUNT_VALUES, DENSITY_VALUES = 256, 8192

#: The posterior of the hidden numbers that a branch looks at.
Numbers = Callable[[tuple[VariableRef, ...], Law], NumberLaw]


@dataclass(frozen=True)
class Predictive:
    """The components for the units of `law`, whose posterior weights are `weight` `(cells, 1, units)`.

    `nodes`: how many times the usual number of points are taken.
    """

    law: Law
    variable: Variable
    weight: Array
    numbers: Numbers
    nodes: int = 1

    def components(self) -> Iterator[Component]:
        """One for each branch that is about the value itself."""
        statement = self.law.statement
        assert isinstance(statement, Factor)
        for branch in uncut(statement):
            weight = self._spread(self.weight * self.law.holds(branch))
            references = number_references((branch.log_density, branch.arguments), self.law.model)
            if references:
                known = self.numbers(references, self.law)
                yield self._averaged(branch, weight, known, frozenset(item.name for item in references))
            elif self.law.event and self.variable.truncated is None and is_normal(self.law, branch):
                yield NormalComponent(self.law, weight, *normal_law(self.law, branch, None))
            else:
                yield self._declared(self.law, branch, weight)

    def _spread(self, weight: Array) -> Array:
        return np.broadcast_to(weight, (int(np.prod(self.law.states)), *weight.shape[1:]))

    def _declared(self, law: Law, branch: Branch, weight: Array) -> DeclaredComponent:
        return DeclaredComponent(law, branch, weight, self.variable.truncated)

    def _averaged(self, branch: Branch, weight: Array, known: NumberLaw, names: frozenset[str]) -> Component:
        law = self.law
        if known.mean is None:
            assert known.points is not None and known.shares is not None
            if known.apart and not _look_at_one(law, branch, names):
                said = ", ".join(f"`{name}`" for name in sorted(names))
                raise EmmError(
                    "not-supported-yet",
                    f"the law of `{self.variable.name}` looks at several of the hidden shares {said} at once; it is "
                    "predicted where each of its values, or elements, looks at one share",
                )  # fmt: skip
            moved = law.at_points(known.named(known.points), known.points.shape[-2])
            full = self._times(weight, known.shares, known.axes)
            if law.event and is_normal(law, branch):
                return NormalComponent(moved, full, *normal_law(moved, branch, None))
            return self._declared(moved, branch, full)
        if self.variable.truncated is None and is_normal(law, branch, names):
            return NormalComponent(law, weight, *normal_law(law, branch, known))
        argument = _one_argument(branch, law, names)
        if argument is not None:
            return self._along(argument, branch, weight, known)
        return self._on_grid(branch, weight, known, names)

    def _times(self, weight: Array, shares: Array, axes: tuple[str, ...]) -> Array:
        """Weights of cells `(cells, elements, units)` times shares of points `(*cells, points, units)` within them."""
        law = self.law
        within = Named((*axes, POINT, ROW), shares).aligned((*law.cells, POINT, ROW))
        full = np.broadcast_to(within, (*law.states, *within.shape[-2:])).reshape(len(weight), -1, within.shape[-1])
        both = weight[:, None] * full[:, :, None]
        return np.asarray(both.reshape(-1, *both.shape[2:]))

    # --- a normal posterior under laws that are not -------------------------------------------------------------------

    def _along(self, argument: Expression, branch: Branch, weight: Array, known: NumberLaw) -> Component:
        """Points along the normal law of the one argument that hidden numbers stand in."""
        law, count = self.law, LINE_POINTS * self.nodes + 1
        assert known.mean is not None and known.covariance is not None
        slots = len(known.mean)
        spread = np.sqrt(np.maximum(np.stack([known.covariance[k, k] for k in range(slots)]), 0.0))
        width = np.where(spread > 0.0, spread, 1.0)
        offsets = np.concatenate([np.zeros((1, slots)), np.eye(slots)])
        points = known.mean[..., None, :] + np.einsum("pk,k...u->k...pu", offsets, width)
        moved = law.at_points(known.named(points), slots + 1)
        values = moved.evaluator().value(argument).aligned((POINT, *law.cells, *_names(law), ROW))
        slopes = np.broadcast_to(values[1:] - values[:1], (slots, *np.shape(values)[1:]))
        scaled = Named(("?i", "?j", *known.axes, ROW), known.covariance / (width[:, None] * width[None]))
        matrix = scaled.aligned(("?i", "?j", *law.cells, *_names(law), ROW))
        variance = np.einsum("i...,ij...,j...->...", slopes, matrix, slopes)
        z = np.linspace(-REACH, REACH, count)
        deviation = np.sqrt(np.maximum(variance, 0.0))
        along = values[0] + deviation * z.reshape(-1, *(1,) * deviation.ndim)
        at = {argument: Named((POINT, *law.cells, *_names(law), ROW), along)}
        shares = np.exp(-0.5 * z**2)
        share = np.broadcast_to((shares / shares.sum())[:, None], (count, len(law.units)))
        return self._declared(law.at_points(at, count), branch, self._times(weight, share, ()))

    def _on_grid(self, branch: Branch, weight: Array, known: NumberLaw, names: frozenset[str]) -> Component:
        """A product of lines over the numbers themselves."""
        assert known.mean is not None and known.covariance is not None
        slots = len(known.mean)
        if slots > MOST_NUMBERS:
            said = ", ".join(f"`{name}`" for name in sorted(names))
            raise EmmError(
                "not-supported-yet",
                f"the law of `{self.variable.name}` is not normal and looks at {slots} hidden numbers ({said}); it is "
                f"predicted over at most {MOST_NUMBERS}",
            )  # fmt: skip
        line = np.linspace(-REACH, REACH, GRID_POINTS * self.nodes + 1)
        z = np.array(list(product(line, repeat=slots)))
        root = covariance_root(known.covariance)
        points = known.mean[..., None, :] + np.einsum("ij...u,pj->i...pu", root, z)
        shares = np.exp(-0.5 * (z**2).sum(axis=1))
        share = np.broadcast_to((shares / shares.sum())[:, None], (len(z), len(self.law.units)))
        moved = self.law.at_points(known.named(points), len(z))
        return self._declared(moved, branch, self._times(weight, share, ()))


def numbers_a_unit(law: Law, variable: Variable, points: int) -> int:
    """How many numbers the largest array for one unit holds, roughly; `points` are those of hidden numbers."""
    elements = int(np.prod([len(law.bound.indexes[binder.index_set]) for binder in law.elements]))
    labels = len(law.bound.indexes[variable.values]) if variable.values is not None else 0
    most = max(labels, 1)
    for branch in uncut(law.statement) if isinstance(law.statement, Factor) else ():
        names = frozenset(item.name for item in number_references(branch, law.model))
        closed = bool(names) and is_normal(law, branch, names)
        states = points if names and not closed else 1
        if law.event and is_normal(law, branch, names if closed else frozenset()):
            values = elements**3
        elif labels or closed or all(law.fact(branch, name) is not None for name in ("mean", "cdf")):
            values = most
        else:
            values = COUNT_VALUES if variable.domain.kind in ("natural", "integer") else DENSITY_VALUES
        most = max(most, states * values)
    return max(1, int(np.prod(law.states)) * elements * most)


def _names(law: Law) -> tuple[str, ...]:
    return tuple(binder.name for binder in law.elements)


def uncut(statement: Factor) -> Iterator[Branch]:
    """The branches about a value that is seen, without the condition that its cell holds it: what is predicted is the
    value, and not what a cell may say of it."""
    for branch in statement.branches:
        cells = [guard for guard in branch.guards if _is_about_cell(guard)]
        if all((SEEN in guard.labels) != guard.negated for guard in cells):
            yield replace(branch, guards=tuple(guard for guard in branch.guards if guard not in cells))


def _is_about_cell(guard: object) -> bool:
    if not isinstance(guard, Guard) or not isinstance(guard.variable, VariableRef):
        return False
    return guard.variable.name.endswith(CELL_SUFFIX)


def _look_at_one(law: Law, branch: Branch, names: frozenset[str]) -> bool:
    """Whether each value of what a branch says, of vectors each element, looks at one element of hidden arrays."""
    if law.event:  # of these only what the family says of an element is used
        parts = [law.stated(branch, name) for name in ("mean", "cdf") if law.fact(branch, name) is not None]
    else:
        parts = [branch.log_density]
    own = {BinderRef(binder) for binder in law.elements}
    for part in parts:
        nodes = {node for node in walk(part) if isinstance(node, VariableRef) and node.name in names}
        if len(nodes) > 1:
            return False
        for node in nodes:
            bound = {item for item in walk(node.indices) if isinstance(item, BinderRef)}
            if len(node.indices) < len(law.model.variable(node.name).axes) or not bound <= own:
                return False
    return True


def _one_argument(branch: Branch, law: Law, names: frozenset[str]) -> Expression | None:
    """The one argument of a branch in which hidden numbers occur, if it is affine in them and they occur nowhere
    else."""
    found = {value for _, value in branch.arguments if number_references(value, law.model)}
    if len(found) != 1:
        return None
    (argument,) = found
    affine = degree(argument, names) <= 1
    return argument if affine and not _left(branch.log_density, argument, names) else None


def _left(expression: object, argument: Expression, names: frozenset[str]) -> bool:
    """Whether hidden numbers occur outside of an argument."""
    if expression == argument:
        return False
    if isinstance(expression, VariableRef):
        return expression.name in names
    if isinstance(expression, tuple):
        return any(_left(item, argument, names) for item in expression)
    own = getattr(expression, "__dataclass_fields__", None)
    return own is not None and any(_left(getattr(expression, name), argument, names) for name in own)
