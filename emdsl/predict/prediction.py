"""Expected values and intervals of the observed variables: the law of each, given what is hidden, averaged over what
the data say of that.

Laws and weights stand apart: a weight is known for every unit and every state of what is hidden, wherever it comes
from.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from emdsl.data.bound import Bound
from emdsl.data.past import pasts
from emdsl.diagnostics.errors import EmmError
from emdsl.ir.derivation import Derivation
from emdsl.plan.grids import with_nodes
from emdsl.plan.hidden_numbers import is_on_grid
from emdsl.plan.posterior import reported
from emdsl.plan.posterior_laws import PosteriorLaws
from emdsl.plan.preparation import prepared, taken_apart
from emdsl.plan.unrolling import Unroller
from emdsl.predict.open_cells import with_open_cells
from emdsl.predict.predictor import Codes, Predicted, Predictor
from emdsl.predict.statements import Statement, statements_of
from emdsl.runtime.problem import Theta

#: How far a prediction may move, in units of its interval, when points are doubled; and how often they are.
SETTLED, MOST_NODES = 1e-6, 64


@dataclass(frozen=True)
class Prediction:
    """All observed variables in the order of declaration, and what a reader must know of how they came about."""

    variables: tuple[Predicted, ...]
    notes: tuple[str, ...] = ()


def predict(
    derivation: Derivation, bound: Bound, theta: Theta, *, level: float = 0.95, filtered: bool = False
) -> Prediction:
    """The prediction for every unit, seen or not. `level` is that of the intervals; `filtered`: what is hidden in a
    chain is known from its units up to this one alone.

    Where hidden numbers are taken at points, these are doubled until no prediction moves by more than SETTLED.
    """
    asked = _Asked(derivation, theta, level, filtered)
    found = asked.run(bound)
    if found.draws > 1:
        return asked.run(replace(bound, nodes=found.draws * bound.nodes)).prediction
    nodes = bound.nodes
    while found.by_points and nodes < MOST_NODES:
        nodes *= 2
        try:
            more = asked.run(replace(bound, nodes=nodes))
        except EmmError as error:
            if error.code != "too-large":
                raise
            said = f"predictions are from {nodes // 2} times the usual points: more do not fit ({error.message})"
            return replace(found.prediction, notes=(*found.prediction.notes, said))
        moved, found = _moved(found.prediction, more.prediction), more
        if moved <= SETTLED:
            return found.prediction
    if not found.by_points:
        return found.prediction
    said = f"{nodes} times as many points as usual still move predictions by {moved:.2g} of their interval"
    return replace(found.prediction, notes=(*found.prediction.notes, said))


def _moved(before: Prediction, after: Prediction) -> float:
    """The largest change of an expected value or an end of an interval in units of the interval, or of a
    probability."""
    largest = 0.0
    for one, two in zip(before.variables, after.variables, strict=True):
        if one.probabilities is not None and two.probabilities is not None:
            changes = [two.probabilities - one.probabilities]
        else:
            assert two.low is not None and two.high is not None
            width = np.nan_to_num(two.high - two.low, nan=1.0, posinf=1.0)
            scale = np.where(width > 0.0, width, 1.0)
            pairs = ((one.expected, two.expected), (one.low, two.low), (one.high, two.high))
            changes = [(b - a) / scale for a, b in pairs if a is not None and b is not None]
        largest = max([largest, *(float(np.nanmax(np.abs(item), initial=0.0)) for item in changes)])
    return largest


@dataclass(frozen=True)
class _Run:
    """One prediction with a certain number of points. `by_points`: some hidden numbers are taken at points; where
    some are known by draws alone, predictions take so many times the usual `draws`."""

    prediction: Prediction
    by_points: bool
    draws: int


@dataclass(frozen=True)
class _Asked:
    """What is asked of data."""

    derivation: Derivation
    theta: Theta
    level: float
    filtered: bool

    def run(self, bound: Bound) -> _Run:
        """The prediction with the points that the data ask for."""
        program, statements = predictive_program(self.derivation, bound)
        if not self.filtered or program.filters_at_once:
            return self._run(program, statements, self.filtered)
        whole = self._run(program, statements, False)
        variables = {item.name: item.copy() for item in whole.prediction.variables}
        notes = list(whole.prediction.notes)
        by_points = whole.by_points
        for past in pasts(self.derivation.model, bound):
            found = self._run(*predictive_program(self.derivation, past.bound), False, past.now)
            for item in found.prediction.variables:
                now = past.now[item.level]
                variables[item.name].take(item, past.kept[item.level][now], now)
            notes += found.prediction.notes
            by_points |= found.by_points
        prediction = Prediction(tuple(variables.values()), tuple(dict.fromkeys(notes)))
        return _Run(prediction, by_points, whole.draws)

    def _run(
        self, program: PosteriorLaws, statements: list[Statement], filtered: bool,
        only: tuple[Codes, ...] | None = None,
    ) -> _Run:  # fmt: skip
        integrals, model = program.integrals.values(), program.derivation.model
        hidden = integrals or reported(model) or program.asked()
        shares = program.shares(self.theta, filtered=filtered) if hidden else {}
        predictor = Predictor(program, self.theta, self.level, only)
        found: list[Predicted] = []
        notes: list[str] = []
        for variable in self.derivation.model.variables:
            own = [(item, shares.get(item.looked.name)) for item in statements if variable.name in item.draws]
            if own:
                made = predictor.variable(variable, own, shares)
                if variable.name in self.derivation.open and hidden:
                    notes.append(with_open_cells(variable.name, made, program))
                found += made
        by_points = predictor.by_points or any(map(is_on_grid, model.variables))
        notes = [*predictor.notes, *notes, *program.simulated_numbers()]
        return _Run(Prediction(tuple(found), tuple(dict.fromkeys(notes))), by_points, program.draws)


def predictive_program(derivation: Derivation, bound: Bound) -> tuple[PosteriorLaws, list[Statement]]:
    """The program of the posterior of what the statements about observed variables look at, and these."""
    on_nodes, with_values = with_nodes(derivation, bound)
    unroller = Unroller(on_nodes.model, with_values, taken_apart(on_nodes, with_values))
    # laws say which element of a hidden array they look at: its units are not put around theirs
    planned, bound = prepared(derivation, bound, regroup=False)
    # A law that looks at open cells stands twice; what is predicted is by the one that looks at known cells.
    own = {factor.name for factor in derivation.model.factors}
    written = tuple(factor for factor in on_nodes.model.factors if factor.name in own)
    statements = statements_of(replace(on_nodes.model, factors=written), unroller, planned.model)
    return PosteriorLaws(planned, bound, [item.looked for item in statements]), statements
