"""The score of each outermost unit by itself, for standard errors that do not rest on the model being right.

By Fisher's identity a unit's score is the gradient of Q in the statistics of that unit alone, so the E-step runs over
blocks of one unit each. Pieces by row keep their weights of all rows, whose products are then summed unit by unit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from emdsl.data.counting import unit_weights
from emdsl.diagnostics.errors import EmmError
from emdsl.plan.blocks import one_block_a_unit
from emdsl.plan.monte_carlo import MonteCarlo
from emdsl.plan.nodes import RowDensity
from emdsl.runtime.assembly import Assembly
from emdsl.runtime.carriers import Block
from emdsl.runtime.matrix_terms import ArrayPart
from emdsl.runtime.matrix_updates import gaussian_gradient
from emdsl.runtime.problem import Array, Theta
from emdsl.runtime.vector_density import VectorDensity

if TYPE_CHECKING:
    from emdsl.plan.problem import BoundProblem
from emdsl.plan.share_draws import drawn_in

#: Numbers (units times parameters) up to which scores of single units are held.
MOST_NUMBERS = 20_000_000
#: Units times rows up to which integrals over continuous hidden variables are taken unit by unit.
MOST_PASSES = 4_000_000
SIMULATED = "the likelihood is simulated, and only its curvature is known well enough"
#: Outermost units up to which each gets a pass of its own.
MOST_UNITS = 50_000


def unit_gradients(problem: BoundProblem, theta: Theta) -> tuple[dict[str, Array], Array]:
    """The gradient of each outermost unit's log-likelihood by parameter, `(units, *shape)`, without priors, and the
    units' weights `(units,)`. A unit of weight 0 has a gradient of 0.

    Raises EmmError `standard-errors` where units are not independent, or too many.
    """
    why = why_none(problem)
    if why:
        raise refusal(why)
    program, weights = problem.program, unit_weights(problem.program.bound, 1)
    size = program.layout.size
    out = np.zeros((len(weights), size))
    with np.errstate(all="ignore"):
        v = program.vector(theta)
        by_row = _by_unit(problem, theta, v, out)
        for item in problem.assemblies:
            if isinstance(item, Assembly) and item.data.name in by_row:
                _add_rows(problem, item, theta, v, by_row[item.data.name], out)
    out = out if program.centring is None else program.centring.gradient(out)
    out /= np.where(weights > 0, weights, 1.0)[:, None]
    parts = {
        name: out[:, start : start + int(np.prod(shape))].reshape(len(weights), *shape)
        for (name, shape), start in zip(program.layout.shapes.items(), program.layout.offsets.values(), strict=True)
    }
    return parts, weights


def _by_unit(problem: BoundProblem, theta: Theta, v: Array, out: Array) -> dict[str, Array]:
    """Adds what comes from statistics to each unit's row of `out`; the weights of pieces by row are returned."""
    program = problem.program
    etas = program.etas(theta, v)
    tables = {node.number: program.table_of(node, theta, v, etas) for node in program.nodes}
    by_row = {
        name for name, item in program.pieces.items() if item.piece.form in ("rows", "log-sum-exp")
    }  # fmt: skip
    kept: dict[str, Array] = {}
    by_row -= {name for name, item in program.pieces.items() if item.carrier == "integral"}
    parts = [item for item in problem.assemblies if item.data.name not in by_row]
    parts = [item for item in parts if item.data.name not in problem.priors and not isinstance(item, ArrayPart)]
    for unit, block in enumerate(one_block_a_unit(program.bound, program.scans)):
        _, statistics = program.sweep(tables, [block])
        by_points = _at_points(problem, tables, statistics, block, theta)
        statistics.update(by_points)
        for item in parts:
            found = statistics[item.data.name]
            if isinstance(item, VectorDensity):
                # Its statistics are weights by row, which only the rows of this unit have got.
                own = np.zeros(found.shape)
                rows = block.rows[program.pieces[item.data.name].level]
                own[..., rows] = found[..., rows]
                found = own
            item.gradient(theta, v, found, out[unit])
        for name, piece in program.gaussians.items():
            _add_gaussian(problem, piece, statistics[name], theta, out[unit])
        for name in by_row & set(statistics):
            rows = block.rows[program.pieces[name].level]
            if name not in kept:
                kept[name] = np.zeros(statistics[name].shape)
            kept[name][..., rows] = statistics[name][..., rows]
    return kept


def _at_points(
    problem: BoundProblem, tables: dict[int, Any], statistics: dict[str, Any], block: Block, theta: Theta
) -> dict[str, Any]:
    """The statistics of the pieces of integrals for the units of one block: all others have no weight."""
    program, found = problem.program, {}
    for node in program.nodes:
        if isinstance(node, RowDensity) and node.piece in program.integrals:
            weights = statistics.pop(node.piece)
            own = np.zeros(weights.shape)
            rows = block.rows[program.integrals[node.piece].level]
            own[..., rows] = weights[..., rows]
            found.update(tables[node.number].statistics(own))
    return program.whole_vectors(found, theta)


def _add_gaussian(problem: BoundProblem, piece: Any, statistics: Array, theta: Theta, out: Array) -> None:
    offsets = problem.program.layout.offsets
    in_mean, in_covariance = gaussian_gradient(piece, statistics, theta)
    for name, slope in ((piece.mean_name, in_mean), (piece.covariance.parameter, in_covariance)):
        if slope is not None:
            out[offsets[name] : offsets[name] + slope.size] += slope.ravel()


def _add_rows(problem: BoundProblem, item: Assembly, theta: Theta, v: Array, statistics: Array, out: Array) -> None:
    """Adds the gradient of a piece by row, row by row, to the units that the rows belong to."""
    units = unit_of_rows(problem, item.data.level)
    count, size = out.shape
    flat = out.reshape(-1)
    for place, product in item.products(theta, v, statistics):
        for slot in range(place.positions.shape[1]):
            design = place.design[..., slot, :]
            values = product * design if not place.bare else product
            positions = place.positions[:, slot] if place.by_row else place.positions[:, slot, None]
            target = np.broadcast_to(units * size + positions, values.shape)
            flat += np.bincount(target.ravel(), weights=values.ravel(), minlength=count * size)


def unit_of_rows(problem: BoundProblem, level: int) -> NDArray[np.intp]:
    """The outermost unit that each unit of a level belongs to."""
    place = np.arange(problem.program.bound.levels[level].size)
    for number in range(level, 1, -1):
        place = problem.program.bound.levels[number].parent[place]
    return place


def why_none(problem: BoundProblem) -> str:
    """Why there is no score of each unit, empty where there is: the outermost units are not independent of each other,
    or too many."""
    why = why_dependent(problem)
    if why:
        return why
    if is_simulated(problem):
        return SIMULATED
    units, size = problem.program.bound.levels[1].size, problem.program.layout.size
    if problem.program.integrals and units * problem.program.bound.levels[-1].size > MOST_PASSES:
        return f"with continuous hidden variables a pass over all data is made for each of the {units} units"
    if units > MOST_UNITS or units * size > MOST_NUMBERS:
        return (
            f"the scores of {units} units in {size} elements of parameters are too many; "
            f"at most {MOST_UNITS} units and {MOST_NUMBERS} numbers are held"
        )
    return ""


def why_dependent(problem: BoundProblem) -> str:
    """Why the outermost units are not independent draws, empty where they are."""
    program = problem.program
    model = program.derivation.model
    outside = [variable.name for variable in model.variables if variable.kind == "latent" and variable.plate is None]
    if outside:
        return f"the units must be independent, and `{outside[0]}` is drawn once for all of them"
    if len(program.bound.levels) < 2:
        return "the units must be independent, and the model has no plate whose units could be"
    if model.plates[0].ordered:
        return f"the units must be independent, and those of `{model.plates[0].name}` follow each other in one chain"
    return ""


def check_method(problem: BoundProblem, method: str) -> None:
    """Raises EmmError `standard-errors` where standard errors by this method cannot be had, before anything is
    fitted."""
    if method in ("opg", "sandwich") and why_none(problem):
        raise refusal(why_none(problem))
    if method == "bootstrap" and why_dependent(problem):
        raise refusal(why_dependent(problem))
    if method in ("bootstrap", "sem") and is_simulated(problem):
        raise EmmError(
            "standard-errors", f"there are no standard errors by `{method}`: {SIMULATED}", place="se",
            help="se=observed",
        )  # fmt: skip


def is_simulated(problem: BoundProblem) -> bool:
    """Whether the likelihood is known but for the error of a simulation."""
    program = problem.program
    drawn = bool(program.switching) or bool(drawn_in(program))
    return drawn or any(isinstance(i.method, MonteCarlo) for i in program.integrals.values())


def refusal(why: str) -> EmmError:
    """The error for standard errors that cannot be had."""
    return EmmError("standard-errors", f"there are no standard errors by unit: {why}", place="se", help="se=observed")
