"""`Multinomial(n, p)`: a vector of counts."""

from __future__ import annotations

import math
from dataclasses import dataclass

from emdsl.families.family import Arguments, Draw, Formal, Support, Target, branch
from emdsl.ir.arithmetic import ONE, apply, log_of
from emdsl.ir.arrays import element
from emdsl.ir.expressions import Binder, Expression, Number, Reduce, VariableRef, add, number
from emdsl.ir.model import Domain, Fact


@dataclass(frozen=True)
class Multinomial:
    """`log n! - sum log x_i! + sum x_i log p_i` over the elements `i` of the vector `x`, where `sum x_i` is `n`."""

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
        size = arguments["n"].expression
        inside = apply("where", apply("==", Reduce("sum", *self._count(target)), size), number(0), Number(-math.inf))
        density = add(inside, apply("lgamma", apply("+", size, ONE)), Reduce("sum", binder, each))
        return (Draw((branch(self.name, arguments, density),)),)

    @staticmethod
    def _count(target: Target) -> tuple[Binder, Expression]:
        binder, i = target.over()
        return binder, element(target.reference, (i,))

    def facts(self) -> tuple[Fact, ...]:
        """The expected count of one element."""
        return (Fact(self.name, "mean", apply("*", VariableRef("n"), VariableRef("p"))),)
