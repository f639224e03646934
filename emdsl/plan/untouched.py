"""Elements of parameters that no row of the data and no prior can touch: they have no estimate.

An element is touched where some cell with data, or some row that a piece applies to, looks at it. Elements that are one
value together (the shares of a simplex, the entries of a matrix) are touched together.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emdsl.plan.problem import BoundProblem
from emdsl.runtime.assembly import Assembly
from emdsl.runtime.integrals.points import PointWeights
from emdsl.runtime.problem import Array, Space

Masks = dict[str, NDArray[np.bool_]]


def without_untouched(problem: BoundProblem) -> BoundProblem:
    """The problem with the elements that nothing touches held where they are."""
    with np.errstate(all="ignore"):
        masks = untouched(problem)
    return problem.leaving_out(masks) if masks else problem


def untouched(problem: BoundProblem) -> Masks:
    """The free elements that nothing touches, by parameter; parameters without such elements are left out.

    Told from the shapes of an E-step at the starting values: where these make the data impossible nothing is told.
    """
    theta = problem.initial()
    try:
        expectation = problem.expect(theta)
    except np.linalg.LinAlgError:
        return {}
    if not np.isfinite(expectation.loglik):
        return {}
    layout = problem.program.layout
    touched = np.zeros(layout.size)
    for item in problem.assemblies:
        if isinstance(item, Assembly):
            found = expectation.statistics[item.data.name]
            _mark(item, found.weights if isinstance(found, PointWeights) else found, touched)
    parts = layout.split(touched)
    for name in _whole(problem):
        parts[name][...] = 1.0
    found = {space.name: _alone(space, parts[space.name] != 0) for space in problem.spaces}
    return {name: mask for name, mask in found.items() if mask.any()}


def _mark(item: Assembly, statistics: Array, touched: Array) -> None:
    """Marks the places of an assembly's cells that hold data."""
    if item.data.by_row:
        weights = item.row_weights(statistics)
        holds = np.ones((*weights.shape[:1], 1), dtype=bool) if not weights.shape[-1] else weights != 0
    else:
        holds = np.asarray(statistics.any(axis=-1)).reshape(-1, 1)
    for place in item.places:
        positions = place.positions if place.by_row else place.positions[..., None]
        cells = np.broadcast_to(holds[:, None, :], (len(positions), positions.shape[1], holds.shape[-1]))
        full = np.broadcast_to(positions, cells.shape)
        design = np.broadcast_to(place.design != 0, cells.shape) if not place.bare else True
        touched[full[cells & design]] = 1.0


def _whole(problem: BoundProblem) -> set[str]:
    """Parameters that enter as whole vectors and matrices: their elements are not told apart here."""
    names = {part.matrix.parameter for part in problem.program.stationary.values()}
    for name in points(problem):
        piece_ = problem.program.pieces[name].piece
        names |= {term.parameter.name for atom in piece_.atoms for term in atom.terms}
    for piece in problem.program.gaussians.values():
        names |= {piece.mean_name, piece.covariance.parameter} - {""}
    for law in problem.program.vectors.values():
        names |= law.names
    for at_points in problem.program.point_vectors.values():
        names |= at_points.names
    for prior in (item.arrays for item in problem.derivation.pieces):
        if prior is not None:
            names |= {name for parameters in prior.parameters for name in parameters}
    return names


def points(problem: BoundProblem) -> set[str]:
    """Pieces that are evaluated at the points of an integral: the data in their cells are not told apart."""
    return {name for name, item in problem.program.pieces.items() if item.carrier == "integral"}


def _alone(space: Space, touched: NDArray[np.bool_]) -> NDArray[np.bool_]:
    if space.event:
        axes = tuple(range(len(space.shape) - space.event, len(space.shape)))
        touched = np.broadcast_to(touched.any(axis=axes, keepdims=True), space.shape)
    return ~touched & ~space.fixed
