"""Expected values and intervals of the observed variables: the law of each, given what is hidden, averaged over what
the data say of that.

Laws and weights stand apart: a weight is known for every unit and every cell of what is hidden, wherever it comes from.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from emdsl.data.bound import Bound
from emdsl.diagnostics.errors import EmmError
from emdsl.ir.derivation import Derivation
from emdsl.ir.expressions import VariableRef
from emdsl.ir.model import Factor, Map, Model, Variable
from emdsl.ir.open_cells import mask_name
from emdsl.plan.evaluation import early_units
from emdsl.plan.hidden_numbers import HiddenNumber
from emdsl.plan.maps import observed_pairs
from emdsl.plan.open_cells import shown_name
from emdsl.plan.posterior import PosteriorProgram, check_finite, reported, unordered_pairs
from emdsl.plan.preparation import prepared
from emdsl.predict.laws import Law, scope_of
from emdsl.predict.mixtures import Counted, Parts, counted, declared_quantile, integrated, weighted
from emdsl.runtime.problem import Array, Theta
from emdsl.simulate.evaluation import as_drawn, level_of

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


@dataclass(frozen=True)
class Prediction:
    """All observed variables in the order of declaration, and what a reader must know of how they came about."""

    variables: tuple[Predicted, ...]
    notes: tuple[str, ...] = ()


def predict(
    derivation: Derivation, bound: Bound, theta: Theta, *, level: float = 0.95, filtered: bool = False
) -> Prediction:
    """The prediction for every unit, seen or not. `level` is that of the intervals; `filtered`: what is hidden in a
    chain is known from its units up to this one alone."""
    declared = derivation.model
    check_finite(declared, "predictions with")
    opened = derivation.open
    derivation, bound = prepared(derivation, bound)
    _check_statements(declared, derivation.model)
    predictor = Predictor(derivation.model, bound, theta, level)
    statements = list(_statements(declared))
    joint = tuple(
        (f"predict {number}", statement.plate, scope_of(statement, derivation.model))
        for number, statement in enumerate(statements)
        if scope_of(statement, derivation.model)
    )
    shares, numbers = {}, {}
    if joint or reported(derivation.model):
        program = PosteriorProgram(derivation, bound, joint)
        shares = program.shares(theta, filtered=filtered)
        numbers = {item.name: item for item in program.hidden_numbers if item.name in opened}
    found: list[Predicted] = []
    for variable in declared.variables:
        own = [
            (statement, shares.get(f"predict {number}"))
            for number, statement in enumerate(statements)
            if statement.target is not None and statement.target.name == variable.name
        ]
        if own:
            found += predictor.variable(variable, own, shares.get(variable.name), numbers.get(variable.name))
    return Prediction(tuple(found), tuple(dict.fromkeys(predictor.notes)))


def _statements(model: Model) -> Iterator[Factor | Map]:
    """The laws and maps of observed variables."""
    observed = {variable.name for variable in model.variables if variable.kind == "observed"}
    items: tuple[Factor | Map, ...] = (*model.factors, *model.maps, *observed_pairs(model))
    for item in items:
        if item.target is not None and item.target.name in observed:
            yield item


def _check_statements(declared: Model, model: Model) -> None:
    """Raises `not-supported-yet` for a model whose statements were rewritten for its data, or choose their units."""
    names = {variable.name for variable in model.variables}
    gone = [variable.name for variable in declared.variables if variable.name not in names]
    what = ""
    if declared.givens:
        what = "of units that were chosen by a `given`"
    elif gone:
        what = f"of a model with hidden arrays ({', '.join(gone)})"
    elif any(variable.joint and variable.kind == "observed" for variable in declared.variables):
        what = "of variables that are drawn jointly"
    elif any(variable.truncated is not None or variable.cut is not None for variable in declared.variables):
        # What a family declares is of the whole law: its mean is not that of what is left of it.
        what = "of variables that are censored, grouped or truncated"
    if what:
        raise EmmError("not-supported-yet", f"predictions {what} cannot be made yet")


class Predictor:
    """Predicts the observed variables of one model on one table."""

    def __init__(self, model: Model, bound: Bound, theta: Theta, level: float) -> None:
        self.model, self.bound, self.theta = model, bound, theta
        self.tails = (0.5 - 0.5 * level, 0.5 + 0.5 * level)
        self.drawn = as_drawn(model, bound)
        self.notes: list[str] = []

    def variable(
        self, variable: Variable, statements: list[tuple[Factor | Map, Array | None]], cells: Array | None = None,
        hidden: HiddenNumber | None = None,
    ) -> list[Predicted]:  # fmt: skip
        """All elements of a variable; of a chain each unit by the statement that is about it. `cells` `(labels,
        units)`, or for a number `hidden`: the posterior of a variable whose open cells other laws look at, which tell
        of them too."""
        number = level_of(self.bound, variable.plate)
        names, labels = self._names(variable), self._labels(variable)
        size = self.bound.levels[number].size
        shares = np.full((len(labels), len(names), size), np.nan)
        numbers = np.full((3, len(names), size), np.nan)
        for statement, weight in statements:
            units = self._about(statement, number)
            states = 1 if weight is None else int(np.prod(weight.shape[:-1]))
            step = max(1, CHUNK_NUMBERS // max(1, states * len(names) * max(len(labels), 64)))
            for start in range(0, len(units), step):
                chunk = units[start : start + step]
                flat = np.ones((1, 1, len(chunk))) if weight is None else weight.reshape(states, 1, -1)[..., chunk]
                law = Law(self.model, self.bound, self.theta, statement, self.drawn, chunk)
                with np.errstate(all="ignore"):
                    if labels:
                        shares[..., chunk] = self._finite(law, variable, flat, len(names))
                    else:
                        numbers[..., chunk] = self._numeric(law, variable, flat, len(names))
                unknown = chunk[law.unknown()]
                shares[..., unknown] = numbers[..., unknown] = np.nan
                if len(unknown):
                    self.notes.append(
                        f"{variable.name} is not predicted where its law looks at what is not known: an empty cell, or "
                        "a unit before the chain"
                    )
        if cells is not None:
            seen = np.asarray(self.bound.values[shown_name(variable.name)].array)
            shares = np.where((seen < 0) | (seen >= len(labels)), cells[:, None], shares)
        if hidden is not None:
            where = np.asarray(self.bound.values[mask_name(variable.name)].array).reshape(numbers.shape[1:]) != 0
            numbers[0] = np.where(where, hidden.mean, numbers[0])
            numbers[1:] = np.where(where, np.nan, numbers[1:])
            self.notes.append(
                f"where a cell of {variable.name} is open, what is expected of it is what all data say, without an "
                "interval: emdsl posterior gives its standard deviation"
            )
        return [
            self._predicted(name, number, variable, labels, shares[:, k], numbers[:, k]) for k, name in enumerate(names)
        ]

    def _predicted(
        self, name: str, level: int, variable: Variable, labels: tuple[str, ...], shares: Array, numbers: Array
    ) -> Predicted:
        if not labels:
            return Predicted(name, level, expected=numbers[0], low=numbers[1], high=numbers[2])
        as_numbers = None if variable.genotype else self.bound.labels_as_numbers(variable.values or "")
        return Predicted(name, level, labels, shares, None if as_numbers is None else as_numbers @ shares)

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

    def _about(self, statement: Factor | Map, level: int) -> np.ndarray:
        """The units that a statement is about."""
        here = self.bound.levels[level]
        units = np.arange(here.size)
        if isinstance(statement, Map):
            return units
        chosen = np.ones(here.size, dtype=bool)
        for plate, lag in statement.around:
            chosen &= ~early_units(plate, lag, self.bound, level)
        if statement.when != "always":
            early = early_units(statement.plate, statement.lag, self.bound, level)
            chosen &= early if statement.when == "first" else ~early
        return units[chosen]

    # --- finite variables ---------------------------------------------------------------------------------------------

    def _finite(self, law: Law, variable: Variable, weight: Array, elements: int) -> Array:
        """`(labels, elements, units)`."""
        if isinstance(law.statement, Map):
            shares = self._mapped(law, law.statement, variable)
        else:
            shares = self._tried(law, law.statement)
        total = np.stack([weighted(weight, one) for one in shares])
        return np.broadcast_to(total, (len(shares), elements, weight.shape[-1]))

    def _tried(self, law: Law, statement: Factor) -> list[Array]:
        """The probability of each label in each cell."""
        evaluator = law.evaluator(tried=True)
        total: Array = np.zeros((1, 1, 1, 1))
        for branch in statement.branches:
            inside = np.ones((1, 1, 1, 1), dtype=bool)
            for guard in branch.guards:
                inside = inside & law.aligned(evaluator.truth(guard), law.target.name).astype(bool)
            density = np.exp(law.aligned(evaluator.value(branch.log_density), law.target.name))
            total = np.where(inside, density, total)
        size = len(self.bound.indexes[self.model.variable(law.target.name).values or ""])
        return list(np.moveaxis(np.broadcast_to(total, (*total.shape[:3], size)), -1, 0))

    def _mapped(self, law: Law, statement: Map, variable: Variable) -> list[Array]:
        """1 where a deterministic observation is a label, else 0."""
        evaluator = law.evaluator()
        labels = self.bound.indexes[variable.values or ""]

        def codes(value: VariableRef) -> Array:
            found = law.aligned(evaluator.code(value))
            source = self.bound.indexes[evaluator.index_set(value)]
            place = np.array([labels.index(label) if label in labels else -1 for label in source])
            return np.asarray(place[found])

        if not isinstance(statement.value, tuple):
            code = codes(statement.value)  # type: ignore[arg-type]
            return [(code == k).astype(float) for k in range(len(labels))]
        one, two = (codes(side) for side in statement.value)  # type: ignore[arg-type]
        low, high = np.minimum(one, two), np.maximum(one, two)
        first, second = np.triu_indices(len(labels))
        return [((low == a) & (high == b)).astype(float) for a, b in zip(first, second, strict=True)]

    # --- numbers ------------------------------------------------------------------------------------------------------

    def _numeric(self, law: Law, variable: Variable, weight: Array, elements: int) -> Array:
        """The expected value and the ends of the interval, `(3, elements, units)`."""
        shape = (elements, weight.shape[-1])
        if isinstance(law.statement, Map):
            value = law.aligned(law.evaluator().value(law.statement.value))  # type: ignore[arg-type]
            return np.stack([np.broadcast_to(item, shape) for item in _of_values(value, weight, self.tails)])
        branches = law.statement.branches
        weights = [weight * law.holds(branch) for branch in branches]
        low, high = self._ends(variable, law)
        full = [np.broadcast_to(item, (len(weight), *shape)) for item in weights]
        parts = Parts(law, branches, full, low, high)
        means = [law.mean(branch) for branch in branches]
        mean = None
        if all(item is not None for item in means):
            said = [weighted(w, item) for w, item in zip(full, means, strict=True) if item is not None]
            mean = np.asarray(sum(said))
        return np.stack([np.broadcast_to(item, shape) for item in self._mixture(parts, variable, mean, means)])

    def _mixture(
        self, parts: Parts, variable: Variable, mean: Array | None, means: list[Array | None]
    ) -> tuple[Array, Array, Array]:
        law, name, (below, above) = parts.law, variable.name, self.tails
        nothing = np.full(parts.total.shape, np.nan)
        if law.event and not all(law.fact(branch, "cdf") for branch in parts.branches):
            self.notes.append(f"there is no interval of {name}: its law does not say the law of one element")
            return (nothing if mean is None else mean), nothing, nothing
        if variable.domain.kind in ("natural", "integer"):
            table = counted(parts)
            if table is not None:
                return table.mean if mean is None else mean, table.quantile(below), table.quantile(above)
            self.notes.append(f"there is no interval of {name}: its law spreads over more than a million numbers")
            return (nothing if mean is None else mean), nothing, nothing
        if mean is not None and all(law.fact(branch, "cdf") for branch in parts.branches):
            return mean, declared_quantile(parts, below, mean), declared_quantile(parts, above, mean)
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

    def _ends(self, variable: Variable, law: Law) -> tuple[float, float]:
        match variable.domain.kind:
            case "positive" | "natural":
                return 0.0, np.inf
            case "unit":
                return 0.0, 1.0
            case "interval":
                evaluator = law.evaluator()
                ends = (variable.domain.low, variable.domain.high)
                low, high = (None if end is None else float(evaluator.value(end).array) for end in ends)
                return -np.inf if low is None else low, np.inf if high is None else high
        return -np.inf, np.inf


def _of_values(value: Array, weight: Array, tails: tuple[float, float]) -> tuple[Array, Array, Array]:
    """Mean and quantiles of values with weights, `(cells, elements, units)`."""
    full = np.broadcast_to(value, np.broadcast_shapes(value.shape, weight.shape))
    weights = np.broadcast_to(weight, full.shape)
    distinct = np.unique(full)
    shares = np.stack([np.where(full == one, weights, 0.0).sum(axis=0) for one in distinct], axis=-1)
    table = Counted(distinct, np.where(np.isnan(weights.sum(axis=0))[..., None], np.nan, shares))
    return table.mean, table.quantile(tails[0]), table.quantile(tails[1])
