"""One statement drawn for some units of its plate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdsl.data.bound import Bound
from emdsl.diagnostics.errors import EmmError
from emdsl.ir.arrays import element
from emdsl.ir.expressions import Binder, BinderRef, Expression, Number, VariableRef, rewrite
from emdsl.ir.model import Branch, Factor, Map, Model, Variable
from emdsl.plan.counts import HIGHEST, counted_sets, counted_variables, last_value
from emdsl.plan.named import ROW, Named, combine
from emdsl.runtime.functions import LOG_ZERO
from emdsl.runtime.problem import Theta
from emdsl.simulate.evaluation import Codes, Drawn, UnitEvaluator
from emdsl.simulate.samplers import LAWS, Law, can_draw, declared_law
from emdsl.simulate.truncated import redrawn

#: What the probabilities of a finite law may miss 1 by.
MISS = 1e-6
#: What the values of a latent count may leave out: more than the rounding of their sum.
LEFT_OUT = 1e-11


class TopTooLow(Exception):
    """The values of a latent count end too early at these parameters; `index_set` is theirs."""

    def __init__(self, index_set: str) -> None:
        super().__init__(index_set)
        self.index_set = index_set


@dataclass(frozen=True)
class Drawer:
    """Draws statements of a model into `drawn`, at `theta`."""

    model: Model
    bound: Bound
    theta: Theta
    rng: np.random.Generator
    drawn: Drawn

    def evaluator(
        self, plate: str | None, units: Codes, tried: frozenset[VariableRef] = frozenset()
    ) -> UnitEvaluator:  # fmt: skip
        """The evaluator for some units of a plate; of the variables in `tried` all values are tried."""
        level = self.bound.level_of(plate)
        return UnitEvaluator(self.model, self.bound, tried, self.theta, level, drawn=self.drawn, units=units)

    def factor(self, factor: Factor, units: Codes) -> None:
        """The target of a `~` statement for these units."""
        assert factor.target is not None
        with np.errstate(all="ignore"):
            if self.model.variable(factor.target.name).values is not None:
                self._finite(factor, units)
            else:
                self._numbers(factor, units)

    def map(self, statement: Map, units: Codes) -> None:
        """The value of a deterministic observation for these units."""
        evaluator = self.evaluator(statement.plate, units)
        variable = self.model.variable(statement.target.name)
        elements = ordered_elements(statement)
        with np.errstate(all="ignore"):
            if isinstance(statement.value, tuple):
                one, two = (self._in_set(evaluator, side, variable) for side in statement.value)
                size = len(self.bound.indexes[variable.values or ""])
                value = combine(lambda a, b: np.minimum(a, b) * size + np.maximum(a, b), one, two)
            elif variable.values is not None:
                value = self._in_set(evaluator, statement.value, variable)
            else:
                value = evaluator.value(statement.value)
        self._store(variable, self._spread(value, elements, (), len(units)), units)

    def _in_set(self, evaluator: UnitEvaluator, value: Expression, variable: Variable) -> Named:
        """The codes of a label-valued expression in the index set of a variable."""
        codes = evaluator.code(value)
        source, labels = self.bound.indexes[evaluator.index_set(value)], self.bound.indexes[variable.values or ""]
        if source == labels:
            return codes
        for label in {source[code] for code in np.unique(codes.array)} - set(labels):
            raise EmmError(
                "unknown-label", f"`{variable.name}` would be `{label}`, which is not a label of `{variable.values}`"
            )
        place = np.array([labels.index(label) if label in labels else -1 for label in source], dtype=np.intp)
        return Named(codes.axes, place[codes.array])

    # --- finite variables ---------------------------------------------------------------------------------------------

    def probabilities(self, factor: Factor, units: Codes, tried: Sequence[VariableRef]) -> NDArray[np.float64]:
        """The probability of each combination of the values tried, `(*elements, units, *values)`; elements and units
        may have length 1 where nothing varies with them."""
        evaluator = self.evaluator(factor.plate, units, frozenset(tried))
        total = Named((), np.asarray(0.0))
        for branch in factor.branches:
            inside = Named((), np.asarray(True))
            for guard in branch.guards:
                inside = combine(np.logical_and, inside, evaluator.truth(guard))
            total = combine(
                lambda here, density, before: np.where(here, density, before),
                inside, evaluator.value(rewrite(branch.log_density, finite_log)), total,
            )  # fmt: skip
        names = [binder.name for binder in ordered_elements(factor)]
        axes = [reference.name if not reference.lag else f"{reference.name}@{reference.lag}" for reference in tried]
        table = np.exp(total.aligned((*names, ROW, *axes)))
        sizes = [len(self.bound.indexes[self.model.variable(r.name).values or ""]) for r in tried]
        return np.broadcast_to(table, (*table.shape[: len(names) + 1], *sizes))

    def targets(self, factor: Factor) -> tuple[VariableRef, ...]:
        """What a factor draws: its target, and the others of a joint draw."""
        assert factor.target is not None
        joint = self.model.variable(factor.target.name).joint or (factor.target.name,)
        return tuple(VariableRef(name, factor.target.indices) for name in joint)

    def _finite(self, factor: Factor, units: Codes) -> None:
        targets = self.targets(factor)
        shares = self.probabilities(factor, units, targets)
        self._check_top(factor, shares)
        elements = [len(self.bound.indexes[binder.index_set]) for binder in ordered_elements(factor)]
        values = shares.shape[len(elements) + 1 :]
        ends = cumulated(shares.reshape(*shares.shape[: len(elements) + 1], -1), factor)
        uniform = self.rng.random((*elements, len(units)))
        code = np.minimum((uniform[..., None] >= ends).sum(axis=-1), ends.shape[-1] - 1)
        for target, codes in zip(targets, np.unravel_index(code, values), strict=True):
            self._store(self.model.variable(target.name), codes, units)

    def _check_top(self, factor: Factor, shares: NDArray[np.float64]) -> None:
        """Raises `TopTooLow` where a latent count without a bound goes beyond the values at hand."""
        assert factor.target is not None
        name = factor.target.name
        index_set = counted_variables(self.model).get(name)
        if index_set is None or counted_sets(self.model)[index_set].top is not None:
            return
        if not (shares.sum(axis=-1) > 1.0 - LEFT_OUT).all():
            if last_value(self.bound, index_set) >= HIGHEST:
                raise EmmError(
                    "cannot-simulate", f"`{name}` takes values beyond {HIGHEST} at these parameters",
                    help="give its law a bound: up to …",
                )  # fmt: skip
            raise TopTooLow(index_set)

    # --- numbers ------------------------------------------------------------------------------------------------------

    def _numbers(self, factor: Factor, units: Codes) -> None:
        assert factor.target is not None
        variable = self.model.variable(factor.target.name)
        evaluator = self.evaluator(factor.plate, units)
        elements = ordered_elements(factor)
        lead = (*(len(self.bound.indexes[binder.index_set]) for binder in elements), len(units))
        event = variable_axes(variable)[len(elements) :]
        result = np.full((*lead, *(len(self.bound.indexes[axis]) for axis in event)), np.nan)
        for branch in factor.branches:
            inside = np.ones(lead, dtype=bool)
            for guard in branch.guards:
                inside &= self._spread(evaluator.truth(guard), elements, (), len(units)).astype(bool)
            if inside.any():
                result[inside] = self._draw(branch, factor, evaluator, inside, event)
        self._store(variable, np.moveaxis(result, len(elements), -1), units)

    def _draw(
        self, branch: Branch, factor: Factor, evaluator: UnitEvaluator, inside: NDArray[np.bool_],
        event: tuple[str, ...],
    ) -> NDArray[np.float64]:  # fmt: skip
        """The draws of one law where it holds, `(draws, *event)`."""
        law = self._law(branch, factor)
        arguments = {}
        for name, expression in branch.arguments:
            depth = len(event) if name in law.vectors else 2 * len(event) if name in law.matrices else 0
            axes = (event * 2)[:depth]
            binders = tuple(Binder(f"event {k}", axis) for k, axis in enumerate(axes))
            indexed = element(expression, tuple(map(BinderRef, binders))) if binders else expression
            full = self._spread(evaluator.value(indexed), ordered_elements(factor), binders, len(evaluator.units))
            arguments[name] = _flat(full[inside], law, name)
        try:
            drawn = self._one_each(law, arguments, factor, evaluator, inside)
        except (ValueError, np.linalg.LinAlgError) as error:
            raise EmmError(
                "cannot-simulate", f"nothing can be drawn from `{factor.text or factor.name}`: its arguments are "
                "outside the law's domain at these parameters", help="give other values with --params",
            ) from error  # fmt: skip
        return drawn.reshape(len(drawn), *(len(self.bound.indexes[axis]) for axis in event))

    def _one_each(
        self, law: Law, arguments: Mapping[str, NDArray[np.float64]], factor: Factor, evaluator: UnitEvaluator,
        inside: NDArray[np.bool_],
    ) -> NDArray[np.float64]:  # fmt: skip
        """One draw for each set of arguments, within the bounds of a truncated variable."""
        assert factor.target is not None
        window = self.model.variable(factor.target.name).truncated
        if window is None:
            return law.draw(self.rng, arguments, int(inside.sum()))
        elements, units = ordered_elements(factor), len(evaluator.units)
        low, high = (
            np.asarray(self._spread(evaluator.value(end), elements, (), units)[inside], dtype=np.float64)
            for end in window
        )
        return redrawn(law, self.rng, arguments, low, high, factor.text or factor.name)

    def _law(self, branch: Branch, factor: Factor) -> Law:
        own = next((item for item in self.model.samplers if item.family == branch.family), None)
        if own is not None and can_draw(own):
            return declared_law(own, self.bound.constants)
        if own is None and branch.family in LAWS:
            return LAWS[branch.family]
        raise EmmError(
            "cannot-simulate", f"the family `{branch.family}` does not say how to draw from it, so "
            f"`{factor.text or factor.name}` cannot be simulated",
            help="add a line to the family: sample = … with uniform, normal and exponential",
        )  # fmt: skip

    # --- arrays -------------------------------------------------------------------------------------------------------

    def _spread(
        self, value: Named, elements: Sequence[Binder], event: Sequence[Binder], units: int
    ) -> NDArray[Any]:  # fmt: skip
        """The value with all axes at full length, `(*elements, units, *event)`."""
        sizes = {binder: len(self.bound.indexes[binder.index_set]) for binder in (*elements, *event)}
        names = (*(b.name for b in elements), ROW, *(b.name for b in event))
        shape = (*(sizes[b] for b in elements), units, *(sizes[b] for b in event))
        return np.broadcast_to(value.aligned(names), shape)

    def _store(self, variable: Variable, values: NDArray[Any], units: Codes) -> None:
        """Put the values of some units among what is drawn."""
        if variable.name not in self.drawn or self.drawn[variable.name].shape[:-1] != values.shape[:-1]:
            size = self.bound.levels[self.bound.level_of(variable.plate)].size
            empty = np.nan if variable.values is None else -1
            self.drawn[variable.name] = np.full((*values.shape[:-1], size), empty)
            if variable.values is not None:
                self.drawn[variable.name] = self.drawn[variable.name].astype(np.intp)
        self.drawn[variable.name][..., units] = values


def finite_log(node: Expression) -> Expression:
    """The logarithm of a known 0 as a number that may be multiplied: 0 times minus infinity is NaN."""
    return Number(LOG_ZERO) if isinstance(node, Number) and node.value == -np.inf else node


def cumulated(shares: NDArray[np.float64], factor: Factor) -> NDArray[np.float64]:
    """Where the values of a finite law end on the unit interval, along the last axis. Raises `cannot-simulate` where
    the shares do not sum to 1."""
    total = shares.sum(axis=-1)
    if not np.allclose(total, 1.0, rtol=0.0, atol=MISS):
        wrong = float(total.ravel()[np.nanargmax(np.abs(np.nan_to_num(total.ravel(), nan=np.inf) - 1.0))])
        raise EmmError(
            "cannot-simulate", f"the probabilities of `{factor.text or factor.name}` sum to {wrong:.6g}, not to 1, at "
            "these parameters",
        )  # fmt: skip
    ends: NDArray[np.float64] = np.cumsum(shares, axis=-1)
    return np.asarray(ends / ends[..., -1:])


def ordered_elements(statement: Factor | Map) -> tuple[Binder, ...]:
    """The bound indices of a statement in the order of its target's axes."""
    assert statement.target is not None
    named = [index.binder for index in statement.target.indices if isinstance(index, BinderRef)]
    return tuple(named) if set(named) == set(statement.elements) else statement.elements


def variable_axes(variable: Variable) -> tuple[str, ...]:
    """The index sets of an array variable: its own, and those of a value that is a vector."""
    own, event = variable.axes, variable.domain.array_axes
    return own if not event or own[len(own) - len(event) :] == event else own + event


def _flat(values: NDArray[Any], law: Law, name: str) -> NDArray[np.float64]:
    """Arguments by draw: numbers `(draws,)`, vectors `(draws, d)`, matrices `(draws, d, d)`."""
    array = np.asarray(values, dtype=np.float64)
    if name in law.vectors:
        return array.reshape(len(array), -1)
    if name in law.matrices:
        size = round(float(np.sqrt(array[0].size)))
        return array.reshape(len(array), size, size)
    return array
