"""`Multinomial(n, p)`: a vector of counts."""

from __future__ import annotations

from dataclasses import dataclass

from emdsl.families.family import Arguments, Draw, Formal, Support, Target, branch
from emdsl.ir.arithmetic import ONE, apply, log_of
from emdsl.ir.arrays import element
from emdsl.ir.expressions import Reduce, add
from emdsl.ir.model import Domain


@dataclass(frozen=True)
class Multinomial:
    """`log n! - sum log x_i! + sum x_i log p_i` over the elements `i` of the vector `x`."""

    name: str = "Multinomial"
    formals: tuple[Formal, ...] = (Formal("n", domain=Domain("natural")), Formal("p", "vector"))
    event_axes: int = 1
    discrete: bool = True
    atom: str | None = None

    def support(self, arguments: Arguments) -> Support:
        """Counts."""
        return Support(Domain("natural"))

    def draws(self, arguments: Arguments, target: Target) -> tuple[Draw, ...]:
        """One factor."""
        binder, i = target.over()
        count = element(target.reference, (i,))
        probability = element(arguments["p"].expression, (i,))
        arrangements = apply("neg", apply("lgamma", apply("+", count, ONE)))
        each = add(arrangements, apply("*", count, log_of(probability)))
        density = add(apply("lgamma", apply("+", arguments["n"].expression, ONE)), Reduce("sum", binder, each))
        return (Draw((branch(self.name, arguments, density),)),)
