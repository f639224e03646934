"""What panels are made of: the posterior and the predictions of a fit, asked for once, and the units of its data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from emdsl.data.bound import Bound, Values
from emdsl.data.wording import element_name
from emdsl.ir.expressions import VariableRef, walk
from emdsl.ir.model import CELLS, EMPTY, SEEN, Factor, Map, Model, Variable
from emdsl.plan.hidden_numbers import HiddenNumber
from emdsl.plan.posterior import Marginal, Posterior, reported
from emdsl.results.posterior import ROW, first_rows, identity

if TYPE_CHECKING:
    from emdsl.predict.densities import FittedDensity
    from emdsl.predict.prediction import Prediction
    from emdsl.results.result import Fit

Array = NDArray[np.float64]

Said = TypeVar("Said", Marginal, HiddenNumber)


class Facts:
    """A fit and what it says of its own data."""

    def __init__(self, fit: Fit) -> None:
        self.fit = fit
        self.model = fit.outcome.model
        self.bound: Bound = replace(fit.outcome.bound, seed=fit.outcome.request.seed)
        self.level = fit.outcome.level
        self.theta = fit.outcome.state.theta

    @cached_property
    def _compiled(self) -> Any:
        outcome = self.fit.outcome
        assert outcome.compiled is not None
        return outcome.compiled.as_asked(self.bound, outcome.request)

    @cached_property
    def posterior(self) -> Posterior:
        """What the data say of what is hidden; nothing where nothing is."""
        if not reported(self.model):
            return Posterior(())
        found: Posterior = self._compiled.posterior(self.bound, self.theta)
        return replace(
            found, marginals=self._declared(found.marginals), numbers=self._declared(found.numbers)
        )  # fmt: skip

    def _declared(self, found: tuple[Said, ...]) -> tuple[Said, ...]:
        """What is said of variables that are hidden, in the order of declaration; nothing of the open cells of observed
        ones."""
        latent = [variable.name for variable in self.model.variables if variable.kind == "latent"]
        return tuple(sorted((item for item in found if item.name in latent), key=lambda item: latent.index(item.name)))

    @cached_property
    def prediction(self) -> Prediction:
        """What is expected of what is observed, given all data."""
        found: Prediction = self._compiled.predict(self.bound, self.theta, level=self.level)
        return found

    @cached_property
    def expected_alone(self) -> bool:
        """Whether what is expected can be said without data: no law looks at what is observed."""
        model = self.model
        if model.givens or any(item.cut is not None or item.between is not None for item in model.variables):
            return False
        observed = {item.name for item in model.variables if item.kind == "observed"}
        for statement in statements(model):
            own = statement.target.name if statement.target is not None else ""
            parts = statement.branches if isinstance(statement, Factor) else statement.value
            nodes = (node for node in walk(parts) if isinstance(node, VariableRef))
            if any(node.name in observed and (node.name != own or node.lag) for node in nodes):
                return False
        return True

    @cached_property
    def expected(self) -> Prediction:
        """What the model expects of what is observed: without data but for inputs, or, where that cannot be said, given
        all data."""
        if not self.expected_alone:
            return self.prediction
        values = {variable.name: self._emptied(variable) for variable in self.model.variables
                  if variable.kind == "observed" and variable.name in self.bound.values}  # fmt: skip
        empty = replace(self.bound, values={**self.bound.values, **values})
        found: Prediction = self._compiled.predict(empty, self.theta, level=self.level)
        return found

    def _emptied(self, variable: Variable) -> Values:
        """The variable with every cell empty."""
        array = np.asarray(self.bound.values[variable.name].array)
        if variable.values is None:
            return Values(np.full(array.shape, np.nan))
        labels = len(self.bound.indexes[variable.values])
        codes = labels**2 if variable.genotype else labels
        return Values(np.full(array.shape, codes, dtype=np.intp), np.ones((1, codes), dtype=bool))

    def densities(self, points: dict[str, Array]) -> dict[str, FittedDensity]:
        """The fitted densities of observed numbers."""
        found: dict[str, FittedDensity] = self._compiled.densities(self.bound, self.theta, points)
        return found

    # --- variables and units ------------------------------------------------------------------------------------------

    def place(self, variable: Variable) -> int:
        """The level of a variable's plate."""
        return self.bound.level_of(variable.plate)

    def observed(self) -> Iterator[Variable]:
        """The observed variables with a column, in the order of declaration, all of whose cells are seen or empty."""
        for variable in self.model.variables:
            seen = variable.kind == "observed" and variable.name in self.bound.values and variable.between is None
            if seen and not self._has_bounds(variable):
                yield variable

    def _has_bounds(self, variable: Variable) -> bool:
        cells = (item for item in self.model.variables if item.cut is not None and item.cut.of == variable.name)
        for item in cells:
            held = np.asarray(self.bound.values[item.name].array)
            if not np.isin(held, [CELLS.index(SEEN), CELLS.index(EMPTY)]).all():
                return True
        return False

    def elements(self, variable: Variable) -> list[str]:
        """The names of a variable's elements, in order: `y[a, b]`, or the variable's own."""
        labels = product(*(self.bound.indexes[axis] for axis in variable.axes))
        return [element_name(variable.name, item) for item in labels]

    def values(self, variable: Variable) -> NDArray[Any]:
        """`(elements, units)`: numbers, or codes."""
        array = np.asarray(self.bound.values[variable.name].array)
        return array.reshape(-1, array.shape[-1])

    def order(self, level: int) -> NDArray[np.intp]:
        """The units of a level in the order of the data."""
        return np.argsort(first_rows(self.model, self.bound, level), kind="stable")

    def unit_names(self, level: int, in_full: bool = False) -> list[str]:
        """What each unit is called: the cells of the plates' columns (`in_full`: with their names), or the number of
        its row."""
        columns = identity(self.model, self.bound, level)
        texts = [
            [f"{name} {cell}" if in_full or name == ROW else str(cell) for cell in values]
            for name, values in columns.items()
        ]
        return [" / ".join(parts) for parts in zip(*texts, strict=True)]

    def looked_at(self, name: str) -> set[VariableRef]:
        """What the laws of a variable look at beside itself in the same unit."""
        found: set[VariableRef] = set()
        for statement in statements(self.model):
            if statement.target is not None and statement.target.name == name:
                parts = statement.branches if isinstance(statement, Factor) else statement.value
                found |= {node for node in walk(parts) if isinstance(node, VariableRef)}
        return {node for node in found if node.name != name or node.lag}

    def looks_back(self, name: str) -> bool:
        """Whether the laws of a variable look at an earlier unit."""
        return any(node.lag for node in self.looked_at(name))


def statements(model: Model) -> tuple[Factor | Map, ...]:
    """All statements about a variable, and those about none."""
    return (*model.factors, *model.maps)


def shortened(shown: int, whole: int, what: str) -> str:
    """`the first 40 of 200 units`, or nothing where all are shown."""
    return f"the first {shown} of {whole} {what}" if shown < whole else ""


def joined(*notes: str) -> str:
    """The notes that say something, after each other."""
    return ", ".join(note for note in notes if note)
