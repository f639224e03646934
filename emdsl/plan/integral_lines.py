"""How integrals over continuous hidden variables are taken and what they cost, in lines to read."""

from __future__ import annotations

from collections.abc import Iterator

from emdsl.data.bound import Bound
from emdsl.data.wording import count_of, plain
from emdsl.ir.derivation import Derivation, Integral
from emdsl.ir.grids import index_set_of
from emdsl.ir.model import Model
from emdsl.ir.open_cells import without_cells
from emdsl.plan.integrals import BoundIntegral
from emdsl.plan.monte_carlo import MonteCarlo
from emdsl.plan.program import Program
from emdsl.plan.unit_quadrature import FIRST_COUNT, WITH_TAILS


def integral_lines(derivation: Derivation, program: Program | None) -> Iterator[str]:
    """One line for each integral; with data a second one about its cost."""
    if program is None:
        for integral in derivation.integrals:
            yield f"{', '.join(integral.latents)}: {_method(integral, derivation.model)}"
        return
    for item in program.integrals.values():
        yield f"{_names(item.integral)}: {_method(item.integral, program.derivation.model)}{_where(item)}"
        yield f"  {_cost(item.inside or item, program.bound)}"
    for integral in derivation.integrals:
        if integral.method == "grid":
            nodes = len(program.bound.indexes[index_set_of(integral.latents[0])])
            yield f"{', '.join(integral.latents)}: {_method(integral, derivation.model)}"
            yield f"  {count_of(nodes, 'node')}, doubled until the log-likelihood stays as it is"


def _names(integral: Integral) -> str:
    """The hidden numbers, open cells as those of their variable."""
    names = [without_cells(name) for name in integral.latents]
    return ", ".join(names)


def _where(item: BoundIntegral) -> str:
    """Over which units an integral is, if not over all."""
    where = item.integral.open
    if where is None:
        return ""
    cells = f"open cells of {plain(where.names)}"
    if not where.hidden:
        return f", where there are no {cells}"
    if item.share is None:
        return f", {cells} among them"
    if item.share.starts is not None:
        return f", in the stretches of chains with {cells}"
    return f", where there are {cells}"


def _method(integral: Integral, model: Model) -> str:
    plates = {model.variable(name).plate for name in integral.latents}
    where = f"in each {next(iter(plates))}" if len(plates) == 1 and None not in plates else "across the whole data set"
    match integral.method:
        case "gaussian" if integral.cut:
            return f"normal up to a bound, integrated in closed form {where}"
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
        case "sum":
            return f"counts, summed over the whole numbers {where} where they are probable"
        case "quadrature" if integral.open is not None and integral.open.hidden and not where.startswith("across"):
            return f"no closed form; adaptive quadrature for any tails {where}"
        case "quadrature" if integral.lag or where.startswith("across"):
            return "no closed form; Monte Carlo: importance sampling around the mode"
        case "monte-carlo":
            return "as asked for, Monte Carlo: importance sampling around the mode"
        case "quadrature":
            return f"no closed form; adaptive Gauss-Hermite quadrature {where}"


def _cost(integral: BoundIntegral, bound: Bound) -> str:
    units = integral.units
    around = f" for each of {count_of(_cells(integral), 'cell')} of {', '.join(integral.axes)}" if integral.axes else ""
    if isinstance(integral.taken, MonteCarlo):
        return "draws are doubled until the log-likelihood is known well enough"
    if integral.layout is not None:
        number = integral.layout.numbering
        return f"{count_of(number.size, 'hidden number')}, {number.rest} of them in the dense system"
    each = integral.size if integral.cells is None else len(integral.cells.low)
    match integral.integral.method:
        case "gaussian" if integral.integral.lag and integral.cells is None:
            steps = len(integral.pieces[0].rows.starts) - 1
            return f"{count_of(steps, 'step')} of {count_of(each, 'number')}{around}"
        case "quadrature":
            usual = FIRST_COUNT if integral.cells is None else WITH_TAILS[each - 1]
            nodes = (usual * bound.nodes) ** each
            return (
                f"{count_of(nodes, 'node')} in each of {count_of(units, 'unit')}{around}, doubled until the "
                "log-likelihood stays as it is"
            )
    return f"{count_of(each, 'number')} in each of {count_of(units, 'unit')}{around}"


def _cells(integral: BoundIntegral) -> int:
    total = 1
    for size in integral.hidden:
        total *= size
    return total
