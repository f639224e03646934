"""`Point(value)`: all mass on one value, an atom in a mixture."""

from __future__ import annotations

from dataclasses import dataclass

from emdsl.families.categorical import FINITE
from emdsl.families.family import Arguments, Draw, Formal, Support, Target, branch
from emdsl.ir.arithmetic import MINUS_INFINITY, ZERO, apply
from emdsl.ir.expressions import Apply, VariableRef
from emdsl.ir.model import Domain, Fact


@dataclass(frozen=True)
class Point:
    """Log-density (with respect to counting measure) 0 at the value, minus infinity elsewhere."""

    name: str = "Point"
    formals: tuple[Formal, ...] = (Formal("value", "value"),)
    event_axes: int = 0
    discrete: bool = True
    atom: str | None = "value"

    def support(self, arguments: Arguments) -> Support | None:
        """A label's index set; of a number, whatever it is mixed with."""
        labels = arguments["value"].labels
        return None if labels is None else Support(FINITE, labels)

    def draws(self, arguments: Arguments, target: Target) -> tuple[Draw, ...]:
        """One factor."""
        at = Apply("==", (target.reference, arguments["value"].expression))
        return (Draw((branch(self.name, arguments, apply("where", at, ZERO, MINUS_INFINITY)),)),)

    def facts(self) -> tuple[Fact, ...]:
        """The value itself, and a step at it."""
        value, x = VariableRef("value"), VariableRef("x")
        return Fact(self.name, "mean", value), Fact(self.name, "cdf", Apply(">=", (x, value)), "x")

    @property
    def has_distribution_function(self) -> bool:
        """It lies below a bound, or it does not."""
        return True

    def range(self, arguments: Arguments) -> Domain:
        """Any number, infinity too."""
        return Domain("real")
