"""`MVNormal(mean, cov)`: a vector of columns together."""

from __future__ import annotations

import math
from dataclasses import dataclass

from emdsl.families.family import Arguments, Draw, Formal, Support, Target, branch
from emdsl.ir.arithmetic import ONE, apply, log_of
from emdsl.ir.expressions import Number, Reduce, VariableRef, add, number
from emdsl.ir.model import Domain, Fact

TWO_PI = apply("*", number(2), Number(math.pi))


@dataclass(frozen=True)
class MVNormal:
    """`-(D log(2 pi) + log det cov + (x - mean)' cov^-1 (x - mean))/2`, `D` the number of columns."""

    name: str = "MVNormal"
    formals: tuple[Formal, ...] = (Formal("mean", "vector"), Formal("cov", "matrix"))
    event_axes: int = 1
    discrete: bool = False
    atom: str | None = None

    def support(self, arguments: Arguments) -> Support:
        """Real numbers."""
        return Support(Domain("real"))

    def draws(self, arguments: Arguments, target: Target) -> tuple[Draw, ...]:
        """One factor."""
        binder, _ = target.over()
        mean, covariance = arguments["mean"].expression, arguments["cov"].expression
        constant = apply("*", Reduce("sum", binder, ONE), log_of(TWO_PI))
        distance = apply("mahalanobis", target.reference, mean, covariance)
        total = add(constant, apply("logdet", covariance), distance)
        return (Draw((branch(self.name, arguments, apply("neg", apply("/", total, number(2)))),)),)

    def facts(self) -> tuple[Fact, ...]:
        """Each element is normal, its variance on the diagonal of the covariance."""
        mean, variance, x = VariableRef("mean"), VariableRef("cov"), VariableRef("x")
        standardised = apply("/", apply("-", x, mean), apply("sqrt", variance))
        return Fact(self.name, "mean", mean), Fact(self.name, "cdf", apply("Phi", standardised), "x")
