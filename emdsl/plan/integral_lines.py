"""How integrals over continuous hidden variables are taken and what they cost, in lines to read."""

from __future__ import annotations

from collections.abc import Iterator

from emdsl.data.bound import Bound
from emdsl.data.wording import count_of
from emdsl.ir.derivation import Derivation, Integral
from emdsl.ir.grids import index_set_of
from emdsl.ir.model import Model
from emdsl.plan.integrals import BoundIntegral
from emdsl.plan.monte_carlo import MonteCarlo
from emdsl.plan.program import Program
from emdsl.plan.unit_quadrature import FIRST_COUNT


def integral_lines(derivation: Derivation, program: Program | None) -> Iterator[str]:
    """One line for each integral; with data a second one about its cost."""
    for integral in derivation.integrals:
        yield f"{', '.join(integral.latents)}: {_method(integral, derivation.model)}"
        if program is None:
            continue
        if integral.method == "grid":
            nodes = len(program.bound.indexes[index_set_of(integral.latents[0])])
            yield f"  {count_of(nodes, 'node')}, doubled until the log-likelihood stays as it is"
        else:
            bound = next(item for item in program.integrals.values() if item.integral.latents == integral.latents)
            yield f"  {_cost(bound, program.bound)}"


def _method(integral: Integral, model: Model) -> str:
    plates = {model.variable(name).plate for name in integral.latents}
    where = f"in each {next(iter(plates))}" if len(plates) == 1 and None not in plates else "across the whole data set"
    match integral.method:
        case "gaussian" if integral.lag:
            back = "" if integral.lag == 1 else f", {integral.lag} units back"
            plate = next(iter(plates))
            return f"normal, integrated in closed form along the chain over {plate}{back} (block-tridiagonal system)"
        case "gaussian" if where.startswith("across"):
            return f"normal, integrated in closed form {where} (largest group eliminated, the rest dense)"
        case "gaussian":
            return f"normal, integrated in closed form {where}"
        case "kernel":
            return f"conjugate, integrated in closed form {where}; its posterior is a {integral.kernel} law"
        case "grid":
            return "no closed form; its own law is a fixed normal: summed over one grid of nodes for all units"
        case "quadrature" if integral.lag or where.startswith("across"):
            return "no closed form; Monte Carlo: importance sampling around the mode"
        case "monte-carlo":
            return "as asked for, Monte Carlo: importance sampling around the mode"
        case "quadrature":
            return f"no closed form; adaptive Gauss-Hermite quadrature {where}"


def _cost(integral: BoundIntegral, bound: Bound) -> str:
    model_level = bound.levels[integral.level]
    around = f" for each of {count_of(_cells(integral), 'cell')} of {', '.join(integral.axes)}" if integral.axes else ""
    if isinstance(integral.taken, MonteCarlo):
        return "draws are doubled until the log-likelihood is known well enough"
    if integral.layout is not None:
        number = integral.layout.numbering
        return f"{count_of(number.size, 'hidden number')}, {number.rest} of them in the dense system"
    each = integral.size
    match integral.integral.method:
        case "gaussian" if integral.integral.lag:
            steps = bound.levels[integral.level + 1].size
            return f"{count_of(steps, 'step')} of {count_of(each, 'number')}{around}"
        case "quadrature":
            nodes = (FIRST_COUNT * bound.nodes) ** each
            return (
                f"{count_of(nodes, 'node')} in each of {count_of(model_level.size, 'unit')}{around}, doubled until the "
                "log-likelihood stays as it is"
            )
    return f"{count_of(each, 'number')} in each of {count_of(model_level.size, 'unit')}{around}"


def _cells(integral: BoundIntegral) -> int:
    total = 1
    for size in integral.hidden:
        total *= size
    return total
