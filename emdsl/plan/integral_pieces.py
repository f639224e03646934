"""The laws of an integral over hidden numbers, each bound to the units that the integral is over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from emdsl.data.bound import Bound
from emdsl.diagnostics.errors import EmmError
from emdsl.ir.derivation import Integral
from emdsl.ir.latents import is_continuous
from emdsl.ir.open_cells import without_cells
from emdsl.plan.binding import PieceBinder
from emdsl.plan.crossed import EACH, EachPiece, crossed_sites
from emdsl.plan.crossed_layout import Layout
from emdsl.plan.crossing import ancestors
from emdsl.plan.latent_pieces import AnyPiece, LatentPiece, PlacedPiece, Rows, Site, VectorPiece, sites_of, vector_data
from emdsl.plan.layout import BoundPiece
from emdsl.plan.matrices import bind_hidden_gaussian
from emdsl.plan.moment_piece import moment_piece
from emdsl.plan.open_pieces import with_cells
from emdsl.plan.open_units import (
    with_cells_anywhere,
)
from emdsl.plan.residual_piece import bind_residual


def density_of(item: BoundPiece, module: Any) -> Any:
    """The piece's log-density by row."""
    if item.piece.form not in ("rows", "log-sum-exp"):
        raise EmmError(
            "not-supported-yet", f"the hidden numbers in the law of `{item.piece.factor}` are tied by more than their "
            "values row by row, as shares that sum to 1 are: this has no plan yet",
        )  # fmt: skip
    return getattr(module, f"density_{item.name}")


def crossed_piece(
    item: BoundPiece, binder: PieceBinder, module: Any, layout: Layout, hidden: tuple[int, ...], inner_weights: Any
) -> AnyPiece:
    """A piece of an integral across units, with the places of its hidden numbers among all."""
    sites = crossed_sites(item, binder, layout)
    name = item.piece.name
    each = any(site.element == EACH for site in sites)
    whole = np.zeros(int(np.prod(item.data.elements)), dtype=np.intp) if each else ancestors(
        binder.bound, item.level, layout.home
    )  # fmt: skip
    rows = Rows(np.arange(len(whole) + 1), None, inner_weights(layout.home, item.level), whole)
    if item.piece.form == "gaussian":
        if _by_residual(item, sites, binder):
            return bind_residual(item, binder, module, sites, hidden, rows)
        law = bind_hidden_gaussian(item.piece, item.axes, binder, vector_data(len(sites), hidden, 0.0))
        return VectorPiece(name, item, law, sites, hidden, rows, binder.layout.offsets)
    density = density_of(item, module)
    if each:
        return EachPiece(name, item, binder, density, sites, hidden, rows)
    piece = LatentPiece(name, item, binder, density, sites, hidden, rows)
    opened = with_cells_anywhere(piece, layout, binder)
    return moment_piece(piece) if opened is piece else opened


def rows_of(item: BoundPiece, level: int, home: int, bound: Bound, inner_weights: Any) -> Rows:
    """The rows of a piece by unit of `level`, which are those of the integral or, in a chain, its steps."""
    starts = np.arange(bound.levels[level].size + 1)
    for number in range(level + 1, item.level + 1):
        starts = bound.levels[number].starts[starts]
    unit = None if item.level == level else np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    whole = bound.levels[level].parent if level > home else None
    return Rows(np.ascontiguousarray(starts), unit, inner_weights(level, item.level), whole)


def piece_of(
    item: BoundPiece, binder: PieceBinder, module: Any, hidden: tuple[int, ...], rows: Rows, *, plain: bool = False
) -> AnyPiece:
    """A piece of an integral; `plain`: as it is, by row."""
    sites = sites_of(item, binder)
    name = item.piece.name
    if item.piece.form == "gaussian":
        if _by_residual(item, sites, binder):
            return bind_residual(item, binder, module, sites, hidden, rows)
        data = vector_data(len(sites), hidden, 0.0)
        law = bind_hidden_gaussian(item.piece, item.axes, binder, data)
        vector = VectorPiece(name, item, law, sites, hidden, rows, binder.layout.offsets)
        return vector if plain else with_cells(vector, binder, None)
    piece = LatentPiece(name, item, binder, density_of(item, module), sites, hidden, rows)
    if plain:
        return piece
    opened = with_cells(piece, binder, None)
    return moment_piece(piece) if opened is piece else opened


def _by_residual(item: BoundPiece, sites: Sequence[Any], binder: PieceBinder) -> bool:
    """Whether a normal law of vectors enters by its residual: its mean or covariance are more than parameters."""
    vector = item.piece.vector
    assert vector is not None
    hidden = is_continuous(binder.model.variable(vector.variable.name))
    if hidden and not vector.mean_parts and not vector.covariance_parts:
        return False
    cells = [site[0] for site in sites if binder.model.variable(site[0]).cell_of]
    if cells:
        raise EmmError(
            "not-supported-yet",
            f"the law of the vector `{without_cells(vector.variable.name)}`, whose mean or covariance is a formula, "
            f"looks at open cells of `{without_cells(cells[0])}`: this has no plan yet",
            help="write the vector as sums of independent numbers: one law for each, and a let for their sum",
        )  # fmt: skip
    return True


def order_of(pieces: Sequence[PlacedPiece]) -> dict[Site, int]:
    """The place of each hidden number among those of a unit, or of a step of a chain."""
    order: dict[Site, int] = {}
    for piece in pieces:
        for name, element, _ in piece.sites:
            order.setdefault((name, element, 0), len(order))
    return order


def is_own_law(piece: PlacedPiece, integral: Integral) -> bool:
    """Whether a piece is the law of a hidden number of the integral."""
    target = piece.bound.piece.target
    return target is not None and target.name in integral.latents
