"""`OrderedLogistic(eta, cuts)` and `OrderedProbit(eta, cuts)`: a level by cut points on a latent scale.

Level number `n`, from 0, has probability `F(cuts[n] - eta) - F(cuts[n-1] - eta)`. The first level lacks the second
term, and the last has 1 for the first (McCullagh 1980). How many levels there are is unbound, so the branches are
guarded by position.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from emdsl.families.categorical import FINITE
from emdsl.families.family import Arguments, Draw, Formal, Support, Target
from emdsl.ir.arithmetic import ONE, apply, log_of
from emdsl.ir.arrays import element
from emdsl.ir.expressions import Expression, Position
from emdsl.ir.model import Branch, Guard


@dataclass(frozen=True)
class Ordinal:
    """A cumulative-link law; `link` is the distribution function `F` of the latent scale."""

    name: str
    link: Literal["logistic", "Phi"]
    formals: tuple[Formal, ...] = (Formal("eta"), Formal("cuts", "cuts"))
    event_axes: int = 0
    discrete: bool = True
    atom: str | None = None

    def support(self, arguments: Arguments) -> Support:
        """Labels of a set that the statement must name: the cut points' axis is one shorter."""
        return Support(FINITE, None)

    def draws(self, arguments: Arguments, target: Target) -> tuple[Draw, ...]:
        """One factor with a branch for the first, the middle and the last level."""
        level = target.variable()

        def below(shift: int) -> Expression:
            cut = element(arguments["cuts"].expression, (Position(level, shift),))
            return apply(self.link, apply("-", cut, arguments["eta"].expression))

        places: tuple[tuple[Literal["first", "middle", "last"], Expression], ...] = (
            ("first", below(0)),
            ("middle", apply("-", below(0), below(-1))),
            ("last", apply("-", ONE, below(-1))),
        )
        remembered = tuple((name, value.expression) for name, value in arguments.items())
        branches = tuple(
            Branch((Guard(level, (), position=place),), log_of(probability), self.name, remembered)
            for place, probability in places
        )
        return (Draw(branches),)
