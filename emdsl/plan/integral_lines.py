"""How integrals over continuous hidden variables are taken and what they cost, in lines to read."""

from __future__ import annotations

from collections.abc import Iterator

from emdsl.data.bound import Bound
from emdsl.data.wording import count_of
from emdsl.ir.derivation import Derivation, Integral
from emdsl.ir.expressions import VariableRef, walk
from emdsl.ir.grids import index_set_of
from emdsl.ir.latents import home_plate
from emdsl.ir.model import Model
from emdsl.plan.integrals import BoundIntegral
from emdsl.plan.monte_carlo import MonteCarlo
from emdsl.plan.program import Program
from emdsl.plan.unit_quadrature import FIRST_COUNT


def integral_lines(derivation: Derivation, program: Program | None) -> Iterator[str]:
    """One line for each integral; with data a second one about its cost."""
    for integral in derivation.integrals:
        switches = switched_by(integral, derivation)
        if switches:
            along = f"normal along each path of {', '.join(switches)}, in closed form"
            yield f"{', '.join(integral.latents)}: {along}; paths are drawn where `--plan monte-carlo` asks for it"
            continue
        yield f"{', '.join(integral.latents)}: {_method(integral, derivation.model)}"
        if program is None:
            continue
        if integral.method == "grid":
            nodes = len(program.bound.indexes[index_set_of(integral.latents[0])])
            yield f"  {count_of(nodes, 'node')}{_refined(integral, nodes)}"
        else:
            bound = next(item for item in program.integrals.values() if item.integral.latents == integral.latents)
            yield f"  {_cost(bound, program.bound)}"
            if bound.name in program.pooled:
                groups = count_of(program.pooled[bound.name].groups, "group")
                yield f"  {groups} of units with one precision: fitted from second moments, which are summed once"


def switched_by(integral: Integral, derivation: Derivation) -> list[str]:
    """The finite hidden variables of the own plate of a chain of normal numbers that its laws look at."""
    model = derivation.model
    plates = {model.variable(name).plate for name in integral.latents}
    if integral.method != "gaussian" or not integral.lag or len(plates) != 1:
        return []
    parts = tuple(derivation.piece(name) for name in integral.pieces)
    looked = tuple((p.guards, p.knowns, tuple(atom.terms for atom in p.atoms), p.vector) for p in parts)
    found = (model.variable(node.name) for node in walk(looked) if isinstance(node, VariableRef))
    return list(dict.fromkeys(v.name for v in found if v.kind == "latent" and v.values and v.plate in plates))


def _method(integral: Integral, model: Model) -> str:
    plates = {model.variable(name).plate for name in integral.latents}
    crossed = len(plates) > 1 or None in plates
    where = "across the whole data set" if crossed else f"in each {next(iter(plates))}"
    match integral.method:
        case "gaussian" if crossed:
            home = home_plate(integral.latents, integral.lag, model)
            first = "the largest group (or the chains)" if integral.lag else "the largest group"
            whole = "across the whole data set" if home is None else f"across the plates in each {home}"
            return f"normal, integrated in closed form {whole} ({first} eliminated, the rest dense)"
        case "gaussian" if integral.lag:
            back = "" if integral.lag == 1 else f", {integral.lag} units back"
            plate = next(iter(plates))
            return f"normal, integrated in closed form along the chain over {plate}{back} (block-tridiagonal system)"
        case "gaussian":
            return f"normal, integrated in closed form {where}"
        case "kernel":
            of = "" if integral.power == 1 else f" of {integral.latents[0]}^({integral.power})"
            return f"conjugate, integrated in closed form {where}; its posterior is a {integral.kernel} law{of}"
        case "grid":
            return f"no closed form; {_GRIDS[integral.placing]}"
        case "quadrature" if integral.lag or where.startswith("across"):
            return "no closed form; Monte Carlo: importance sampling around the mode"
        case "monte-carlo":
            return "as asked for, Monte Carlo: importance sampling around the mode"
        case "quadrature":
            return f"no closed form; adaptive Gauss-Hermite quadrature {where}"


_GRIDS = {
    "fixed": "its own law is a fixed normal: summed over one grid of nodes for all units",
    "standard": "its own law is normal: mean plus sd times e, and e summed over one grid of nodes for all units",
    "laid": "summed over one grid of nodes for all units, laid where the posterior lies",
}


def _refined(integral: Integral, nodes: int) -> str:
    """What becomes of the nodes that a fit begins with."""
    if integral.placing != "laid":
        return ", doubled until the log-likelihood stays as it is"
    said = " to begin with, laid again as the parameters move, and more until the log-likelihood stays as it is"
    return said + (f"; each step of the chain takes {nodes}^2 of them" if integral.lag else "")


def _cost(integral: BoundIntegral, bound: Bound) -> str:
    model_level = bound.levels[integral.level]
    around = f" for each of {count_of(_cells(integral), 'cell')} of {', '.join(integral.axes)}" if integral.axes else ""
    if isinstance(integral.method, MonteCarlo):
        return "draws are doubled until the log-likelihood is known well enough"
    if integral.layout is not None:
        number = integral.layout.numbering
        rest = f"{number.rest} of them in dense systems of at most {number.parts.largest}"
        return f"{count_of(number.size, 'hidden number')}, {rest}{around}"
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
