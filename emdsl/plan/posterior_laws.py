"""The posterior of all that a statement looks at, finite variables and hidden numbers together, unit by unit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from emdsl.data.bound import Bound
from emdsl.ir.derivation import Derivation
from emdsl.ir.expressions import VariableRef
from emdsl.ir.grids import index_set_of
from emdsl.ir.latents import continuous_latents
from emdsl.plan.evaluation import Evaluator
from emdsl.plan.integrals import BoundIntegral
from emdsl.plan.monte_carlo import MonteCarlo
from emdsl.plan.number_laws import NumberLaw, number_law, points_of
from emdsl.plan.path_laws import said_of
from emdsl.plan.posterior import Joint, PosteriorProgram
from emdsl.plan.share_draws import drawn_in
from emdsl.runtime.problem import Array, Theta

#: How many times the usual number of draws predictions take of what is simulated, and of paths.
DRAWS, PATHS = 16, 8


@dataclass(frozen=True)
class Looked:
    """What one statement looks at: a name for its posterior, the plate, axes of finite hidden variables, and the
    expressions in which hidden numbers stand."""

    name: str
    plate: str | None
    axes: tuple[str, ...]
    parts: Any


class PosteriorLaws(PosteriorProgram):
    """`PosteriorProgram` for statements: the joint posterior of the finite variables that each looks at, among them
    those that the law of its hidden numbers depends on, and the law of these numbers in each of their cells."""

    def __init__(self, derivation: Derivation, bound: Bound, looked: Sequence[Looked]) -> None:
        self.looked = looked
        self._given: tuple[Theta, Array] | None = None
        super().__init__(derivation, bound)

    def asked(self) -> tuple[Joint, ...]:
        """The finite variables of each statement."""
        found = ((item.name, item.plate, (*item.axes, *self.around(item))) for item in self.looked)
        return tuple(item for item in found if item[2])

    def around(self, item: Looked) -> tuple[str, ...]:
        """The axes that the law of a statement's hidden numbers depends on, and the statement itself does not."""
        integral = self._integral_of(item.parts)
        return () if integral is None else tuple(axis for axis in integral.axes if axis not in item.axes)

    def shares(self, theta: Theta, *, filtered: bool = False) -> dict[str, Array]:
        """The joint posterior of each hidden variable and statement, `(*values, units)`."""
        self._given = theta, self.vector(theta)
        return super().shares(theta, filtered=filtered)

    def number_law(
        self, references: Sequence[VariableRef], plate: str | None, evaluator: Evaluator, cells: Sequence[str]
    ) -> NumberLaw:
        """The posterior of hidden numbers in every unit of a plate, after `shares`, where finite variables `cells` are
        looked at beside them."""
        integral = self._integral_of(tuple(references))
        assert integral is not None and self._given is not None
        return number_law(integral, self.evidences[integral.name], references, plate, evaluator, self._given, cells)

    def points_of(self, item: Looked) -> int:
        """At how many points the hidden numbers of a statement may be taken, roughly."""
        integral = self._integral_of(item.parts)
        return 1 if integral is None else points_of(integral, self.bound.nodes)

    def simulated_numbers(self) -> Iterator[str]:
        """A note for each integral that is known by draws."""
        for name in drawn_in(self):
            draws = len(self.bound.indexes[index_set_of(name)])
            yield f"what is predicted with {name} is simulated, by {draws} weighted draws"
        for integral in self.integrals.values():
            if isinstance(integral.method, MonteCarlo):
                names = ", ".join(integral.integral.latents)
                draws = 2 * integral.method.pairs
                yield f"what is predicted with {names} is simulated, by {draws} weighted draws"
        for item in self.switching:
            yield from said_of(item, "what is predicted with")
            names = ", ".join(item.names)
            yield f"the law of {names} is taken at {item.points} points a unit, drawn from that of each path"

    @property
    def draws(self) -> int:
        """How many times the usual number of draws predictions take; 1 where nothing is drawn."""
        if any(isinstance(item.method, MonteCarlo) for item in self.integrals.values()):
            return DRAWS
        return PATHS if self.switching else 1

    def _integral_of(self, parts: Any) -> BoundIntegral | None:
        names = {node.name for node in continuous_latents(parts, self.derivation.model)}
        return next((item for item in self.integrals.values() if names & set(item.integral.latents)), None)
