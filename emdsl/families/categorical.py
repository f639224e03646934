"""`Categorical(p)`: a label with the probabilities of a simplex; over several axes one joint draw."""

from __future__ import annotations

from dataclasses import dataclass

from emdsl.families.family import Arguments, Draw, Formal, Support, Target, Value, branch
from emdsl.ir.arithmetic import log_of
from emdsl.ir.arrays import element
from emdsl.ir.expressions import Expression
from emdsl.ir.model import Branch, Domain

FINITE = Domain("finite")


@dataclass(frozen=True)
class Categorical:
    """`log p[x]`; with `p` over several axes, `log p[x, y]`."""

    name: str = "Categorical"
    formals: tuple[Formal, ...] = (Formal("p", "simplex"),)
    event_axes: int = 0
    discrete: bool = True
    atom: str | None = None

    def support(self, arguments: Arguments) -> Support:
        """The labels of the simplex's axes."""
        axes = arguments["p"].axes
        return Support(FINITE, axes[0], joint=axes if len(axes) > 1 else ())

    def draws(self, arguments: Arguments, target: Target) -> tuple[Draw, ...]:
        """One factor."""
        return (Draw((categorical(arguments["p"], target.references),)),)


def categorical(probabilities: Value, labels: tuple[Expression, ...]) -> Branch:
    """The branch of a draw of `labels` from `probabilities`."""
    return branch("Categorical", {"p": probabilities}, log_of(element(probabilities.expression, labels)))
