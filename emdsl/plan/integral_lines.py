"""How integrals over continuous hidden variables are taken and what they cost, in lines to read."""

from __future__ import annotations

from collections.abc import Iterator

from emdsl.data.bound import Bound
from emdsl.data.wording import count_of, plain
from emdsl.ir.derivation import Derivation, Integral
from emdsl.ir.expressions import VariableRef, walk
from emdsl.ir.grids import index_set_of
from emdsl.ir.latents import home_plate
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
            how = _along_paths(integral, derivation) or _method(integral, derivation.model)
            yield f"{', '.join(integral.latents)}: {how}"
        return
    for item in program.integrals.values():
        how = _along_paths(item.integral, program.derivation) or _method(item.integral, program.derivation.model)
        yield f"{_names(item.integral)}: {how}{_where(item)}"
        yield f"  {_cost(item.inside or item, program.bound)}"
        if item.name in program.pooled:
            groups = count_of(program.pooled[item.name].groups, "group")
            yield f"  {groups} of units with one precision: fitted from second moments, which are summed once"
    for integral in derivation.integrals:
        if integral.on_nodes:
            nodes = len(program.bound.indexes[index_set_of(integral.latents[0])])
            yield f"{', '.join(integral.latents)}: {_method(integral, derivation.model)}"
            drawn = integral.placing == "draws"
            yield f"  {count_of(nodes, 'draw' if drawn else 'node')}{_refined(integral, nodes)}"


def _along_paths(integral: Integral, derivation: Derivation) -> str:
    """How numbers along a chain are taken whose laws finite variables switch; else nothing."""
    switches = switched_by(integral, derivation)
    if not switches:
        return ""
    along = f"normal along each path of {', '.join(switches)}, in closed form"
    return f"{along}; paths are drawn where `--plan monte-carlo` asks for it"


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
    crossed = len(plates) > 1 or None in plates
    where = "across the whole data set" if crossed else f"in each {next(iter(plates))}"
    match integral.method:
        case "gaussian" if integral.cut:
            return f"normal up to a bound, integrated in closed form {where}"
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
        case "monte-carlo" if integral.on_nodes:
            return f"no closed form; shares of 1, by draws around the posterior {where}"
        case "grid":
            return f"no closed form; {_GRIDS[integral.placing]}"
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


_GRIDS = {
    "fixed": "its own law is a fixed normal: summed over one grid of nodes for all units",
    "standard": "its own law is normal: mean plus sd times e, and e summed over one grid of nodes for all units",
    "laid": "summed over one grid of nodes for all units, laid where the posterior lies",
    "shares": "shares of 1, summed over one grid of nodes in their simplex for all units",
}


def _refined(integral: Integral, nodes: int) -> str:
    """What becomes of the nodes that a fit begins with."""
    if integral.placing == "draws":
        return " in each to begin with, doubled until the log-likelihood is known well enough"
    if integral.placing != "laid":
        return ", doubled until the log-likelihood stays as it is"
    said = " to begin with, laid again as the parameters move, and more until the log-likelihood stays as it is"
    return said + (f"; each step of the chain takes {nodes}^2 of them" if integral.lag else "")


def _cost(integral: BoundIntegral, bound: Bound) -> str:
    units = integral.units
    around = f" for each of {count_of(_cells(integral), 'cell')} of {', '.join(integral.axes)}" if integral.axes else ""
    if isinstance(integral.taken, MonteCarlo):
        return "draws are doubled until the log-likelihood is known well enough"
    if integral.layout is not None:
        number = integral.layout.numbering
        rest = f"{number.rest} of them in dense systems of at most {number.parts.largest}"
        return f"{count_of(number.size, 'hidden number')}, {rest}{around}"
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
