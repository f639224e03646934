"""`Dirichlet(a)`: the law of a simplex, as a prior or of a vector of shares."""

from __future__ import annotations

from dataclasses import dataclass

from emdsl.families.family import Arguments, Draw, Formal, Support, Target, branch
from emdsl.ir.arithmetic import ONE, apply, log_of
from emdsl.ir.arrays import element
from emdsl.ir.expressions import Binder, Expression, Reduce, add
from emdsl.ir.model import Domain


@dataclass(frozen=True)
class Dirichlet:
    """`log Gamma(sum a_i) - sum log Gamma(a_i) + sum (a_i - 1) log x_i`; a scalar `a` stands for every element.

    The elements of a joint simplex have several indices.
    """

    name: str = "Dirichlet"
    formals: tuple[Formal, ...] = (Formal("a", "vector", Domain("positive")),)
    event_axes: int = 1
    discrete: bool = False
    atom: str | None = None

    def support(self, arguments: Arguments) -> Support:
        """Shares."""
        return Support(Domain("unit"))

    def draws(self, arguments: Arguments, target: Target) -> tuple[Draw, ...]:
        """One factor."""
        total, all_i = zip(*map(target.over, range(len(target.axes))), strict=True)
        spread, all_j = zip(*map(target.over, range(len(target.axes))), strict=True)
        at_i, at_j = (element(arguments["a"].expression, indices) for indices in (all_i, all_j))
        exponent = apply("*", apply("-", at_j, ONE), log_of(element(target.reference, all_j)))
        each = add(apply("neg", apply("lgamma", at_j)), exponent)
        density = add(apply("lgamma", _sum(total, at_i)), _sum(spread, each))
        return (Draw((branch(self.name, arguments, density),)),)


def _sum(binders: tuple[Binder, ...], body: Expression) -> Expression:
    for binder in reversed(binders):
        body = Reduce("sum", binder, body)
    return body
