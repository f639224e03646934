"""`HardyWeinberg(p)` and `HardyWeinberg(p, F)`: a genotype as two hidden draws from the allele frequencies.

With an inbreeding coefficient a hidden indicator `ibd` says whether the two alleles are identical by descent (Wright
1922): the second draw then equals the first. As mixtures, unlike as polynomials, both have closed M-steps: gene
counting.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from emdsl.families.categorical import FINITE, categorical
from emdsl.families.family import BINARY, Arguments, Draw, Formal, Support, Target, branch
from emdsl.ir.arithmetic import MINUS_INFINITY, ONE, ZERO, apply, log_of
from emdsl.ir.expressions import Apply, VariableRef, add
from emdsl.ir.model import Branch, Domain, Guard

FIRST, SECOND, DESCENT = "1", "2", "ibd"


def component(genotype: VariableRef, suffix: str) -> VariableRef:
    """One of the hidden variables of a genotype: `genotype.1`, `genotype.2`, `genotype.ibd`."""
    return replace(genotype, name=f"{genotype.name}.{suffix}")


@dataclass(frozen=True)
class HardyWeinberg:
    """Two draws from `p` whose order is not seen; identical by descent with probability `F`."""

    name: str = "HardyWeinberg"
    formals: tuple[Formal, ...] = (Formal("p", "simplex"), Formal("F", domain=Domain("unit"), optional=True))
    event_axes: int = 0
    discrete: bool = True
    atom: str | None = None

    def support(self, arguments: Arguments) -> Support:
        """Unordered pairs of the labels of `p`, and what is hidden behind them."""
        alleles = arguments["p"].axes[0]
        descent = ((DESCENT, BINARY),) if "F" in arguments else ()
        return Support(FINITE, alleles, genotype=True, hidden=((FIRST, alleles), (SECOND, alleles), *descent))

    def draws(self, arguments: Arguments, target: Target) -> tuple[Draw, ...]:
        """A factor for each hidden draw."""
        p = arguments["p"]
        one, two, ibd = (component(target.variable(), suffix) for suffix in (FIRST, SECOND, DESCENT))
        first = Draw((categorical(p, (one,)),), FIRST)
        second = categorical(p, (two,))
        if "F" not in arguments:
            return first, Draw((second,), SECOND)
        same = apply("where", Apply("==", (two, one)), ZERO, MINUS_INFINITY)
        copied = Branch((Guard(ibd, ("1",)),), same, "Point", (("value", one),))
        inbreeding = arguments["F"]
        outbred = log_of(apply("-", ONE, inbreeding.expression))
        bernoulli = add(apply("*", ibd, log_of(inbreeding.expression)), apply("*", apply("-", ONE, ibd), outbred))
        descent = Draw((branch("Bernoulli", {"p": inbreeding}, bernoulli),), DESCENT)
        return descent, first, Draw((replace(second, guards=(Guard(ibd, ("0",)),)), copied), SECOND)
