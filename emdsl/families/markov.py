"""`Markov(start, A)`: short for `Categorical(start) first, Categorical(A[prev(v)]) after`."""

from __future__ import annotations

from dataclasses import dataclass, replace

from emdsl.families.categorical import FINITE, categorical
from emdsl.families.family import Arguments, Draw, Formal, Support, Target, Value
from emdsl.ir.arrays import element


@dataclass(frozen=True)
class Markov:
    """A chain of labels: `start` for the first unit, row `A[prev(v)]` for the rest."""

    name: str = "Markov"
    formals: tuple[Formal, ...] = (Formal("start", "simplex"), Formal("A", "transition"))
    event_axes: int = 0
    discrete: bool = True
    atom: str | None = None

    def support(self, arguments: Arguments) -> Support:
        """The labels of `start`."""
        return Support(FINITE, arguments["start"].axes[0])

    def draws(self, arguments: Arguments, target: Target) -> tuple[Draw, ...]:
        """A factor for the first unit and one for the rest."""
        state, transition = target.variable(), arguments["A"]
        row = Value(element(transition.expression, (replace(state, lag=1),)), transition.axes[1:], transition.kind)
        return (
            Draw((categorical(arguments["start"], (state,)),), when="first", lag=1),
            Draw((categorical(row, (state,)),), when="after", lag=1),
        )
