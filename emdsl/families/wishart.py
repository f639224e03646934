"""`InverseWishart(df, scale)`: a prior on covariance matrices."""

from __future__ import annotations

from dataclasses import dataclass

from emdsl.families.family import Arguments, Draw, Formal, Support, Target, branch
from emdsl.ir.arithmetic import ONE, apply
from emdsl.ir.expressions import Reduce, add, log, number
from emdsl.ir.model import Domain


@dataclass(frozen=True)
class InverseWishart:
    """`(df log det scale - df D log 2)/2 - log Gamma_D(df/2) - ((df + D + 1) log det x + tr(x^-1 scale))/2`.

    `D` is the number of rows of the matrix `x`, `Gamma_D` the multivariate gamma function (Gelman et al., Bayesian Data
    Analysis, 3rd ed., appendix A).
    """

    name: str = "InverseWishart"
    formals: tuple[Formal, ...] = (Formal("df", domain=Domain("positive")), Formal("scale", "matrix"))
    event_axes: int = 2
    discrete: bool = False
    atom: str | None = None

    def support(self, arguments: Arguments) -> Support:
        """Covariance matrices."""
        return Support(Domain("covariance"))

    def draws(self, arguments: Arguments, target: Target) -> tuple[Draw, ...]:
        """One factor."""
        binder, _ = target.over()
        size = Reduce("sum", binder, ONE)
        df, scale = arguments["df"].expression, arguments["scale"].expression
        half = apply("/", df, number(2))
        of_scale = apply("*", half, apply("-", apply("logdet", scale), apply("*", size, log(number(2)))))
        gamma = apply("neg", apply("multigammaln", half, size))
        power = apply("*", add(df, size, ONE), apply("logdet", target.reference))
        kernel = apply("/", add(power, apply("traceinv", target.reference, scale)), number(2))
        density = apply("-", add(of_scale, gamma), kernel)
        return (Draw((branch(self.name, arguments, density),)),)
