"""Ways to take an integral over hidden numbers, chosen by the form of its laws and by how they tie units."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from emdsl.diagnostics.errors import EmmError
from emdsl.ir.derivation import INTERVAL, Integral
from emdsl.ir.open_cells import without_cells
from emdsl.plan.binding import PieceBinder
from emdsl.plan.crossed import EACH, Place
from emdsl.plan.crossed_layout import Layout
from emdsl.plan.evaluation import Evaluator
from emdsl.plan.gaussian_method import GaussianMethod, Ties
from emdsl.plan.integral_pieces import is_own_law, order_of
from emdsl.plan.latent_pieces import AnyPiece, Site
from emdsl.plan.layout import BoundPiece
from emdsl.plan.monte_carlo import FIRST_PAIRS, MonteCarlo
from emdsl.plan.named import POINT, ROW
from emdsl.plan.normal_laws import bind_laws
from emdsl.plan.on_line import KINDS, Codes, codes_of
from emdsl.plan.open_units import (
    UnitCells,
    known_numbers,
    spare_numbers,
)
from emdsl.plan.unit_kernel import KernelUnits
from emdsl.plan.unit_quadrature import FIRST_COUNT, MOST_VARIABLES, QuadratureUnits
from emdsl.plan.unit_sum import SumUnits
from emdsl.runtime.integrals.chain_ties import ChainTies
from emdsl.runtime.integrals.interval_ties import IntervalTies
from emdsl.runtime.integrals.kernels import kernel_of
from emdsl.runtime.integrals.unit_ties import UnitTies
from emdsl.runtime.integrals.whole_ties import CutTies, WholeTies
from emdsl.runtime.problem import Array

if TYPE_CHECKING:
    from emdsl.plan.integrals import Method

ZERO, ONE, INFINITY = np.asarray(0.0), np.asarray(1.0), np.asarray(np.inf)


def has_open(integral: Integral) -> bool:
    """Whether some of the hidden numbers are open cells."""
    return integral.open is not None and integral.open.hidden


def method_of(
    integral: Integral, pieces: tuple[AnyPiece, ...], binder: PieceBinder, levels: tuple[int, int],
    hidden: tuple[int, ...], module: Any,
) -> Method:  # fmt: skip
    """The way to take an integral over the hidden numbers of each unit, or of each step of a chain."""
    bound = binder.bound
    _, steps = levels
    order = order_of(pieces)
    shape = (len(order), *hidden, bound.levels[steps].size)
    own_laws = tuple(is_own_law(piece, integral) for piece in pieces)
    if integral.kernel == INTERVAL:
        return GaussianMethod(pieces, own_laws, _interval_ties(order, shape, pieces[0].bound, binder))
    if integral.method == "kernel":
        return KernelUnits(pieces, shape, own_laws, kernel_of(integral.kernel, float(integral.power)))
    if has_open(integral):
        known = known_numbers(integral, order, binder.model, bound, pieces[0].rows)
        pieces, own_laws = (*pieces, *known), (*own_laws, *(True for _ in known))
    ties: Ties = UnitTies(order, shape)
    if integral.lag:
        ties = ChainTies(order, shape, np.ascontiguousarray(bound.levels[steps].starts), integral.lag)
    if integral.method == "gaussian":
        # Numbers that are known in some units have no law there that multipliers could be taken of.
        laws = None if has_open(integral) else bind_laws(pieces, own_laws, order, shape, integral.lag, module)
        return GaussianMethod(pieces, own_laws, ties, laws)
    if integral.method == "monte-carlo" or integral.lag or len(order) > MOST_VARIABLES:
        return sampled(integral, pieces, own_laws, ties, binder)
    slots = tuple(tuple(order[site] for site in piece.sites) for piece in pieces)
    ends = tuple(interval_of(name, pieces[0].bound, binder) for name, _, _ in order)
    return QuadratureUnits(pieces, slots, shape, own_laws, ends, integral.latents, FIRST_COUNT * bound.nodes)


def ranked_method(
    integral: Integral, pieces: tuple[AnyPiece, ...], cells: UnitCells, binder: PieceBinder, hidden: tuple[int, ...]
) -> Method:  # fmt: skip
    """Open cells, and what else is hidden with them: the numbers of each unit in its own order."""
    own_laws = tuple(is_own_law(piece, integral) for piece in pieces)
    count, nodes = len(cells.low), binder.bound.nodes
    shape = (count, *hidden, cells.low.shape[-1])
    match integral.method:
        case "gaussian":
            return GaussianMethod(pieces, own_laws, CutTies(shape, cells.low[0], cells.high[0]))
        case "sum":
            name = binder.model.variable(integral.latents[0]).cell_of
            return SumUnits(pieces, shape, own_laws, cells.low[0], cells.high[0], name, nodes)
        case "monte-carlo":
            spare = spare_numbers(cells)
            laws = (*own_laws, *(True for _ in spare))
            return sampled(integral, (*pieces, *spare), laws, WholeTies(shape), binder)
    every = (tuple(range(count)),) * len(pieces)
    return QuadratureUnits(
        pieces, every, shape, own_laws, tuple(zip(cells.low, cells.high, strict=True)), integral.latents,
        FIRST_COUNT * nodes, tails=True,
    )  # fmt: skip


def sampled(
    integral: Integral,
    pieces: tuple[AnyPiece, ...],
    laws: tuple[bool, ...],
    ties: Ties,
    binder: PieceBinder,
    layout: Layout | None = None,
) -> MonteCarlo:
    """Monte Carlo, where nothing else fits."""
    kinds = {name: binder.model.variable(name).domain.kind for name in integral.latents}
    for name, kind in kinds.items():
        if kind not in KINDS:
            raise EmmError(
                "not-supported-yet",
                f"the hidden `{without_cells(name)}` is neither real nor positive nor a share, and draws are made of "
                "these alone",
            )
    everything, codes = _everything(ties, kinds, layout, binder)
    return MonteCarlo(
        pieces, laws, ties, kinds, everything, codes, FIRST_PAIRS * binder.bound.nodes, binder.bound.seed,
        integral.closed,
    )  # fmt: skip


def _everything(
    ties: Ties, kinds: Mapping[str, str], layout: Layout | None, binder: PieceBinder
) -> tuple[tuple[Any, ...], Codes]:
    """Sites with all hidden numbers, once each, and the codes of their domains."""
    if isinstance(ties, WholeTies):
        if any(kind != "real" for kind in kinds.values()):
            names = ", ".join(f"`{without_cells(name)}`" for name in kinds)
            raise EmmError(
                "not-supported-yet", f"draws of {names}, whose open cells differ from unit to unit, are made of real "
                "numbers alone",
                place="--plan", help="--plan auto",
            )  # fmt: skip
        return (), np.zeros((ties.shape[0], 1), dtype=np.intp)
    if layout is None:
        sites = tuple(ties.order)  # type: ignore[attr-defined]
        return sites, codes_of([kinds[name] for name, _, _ in sites])
    size = ties.shape[-1]
    codes = np.zeros((1, size), dtype=np.intp)
    units = {level.plate: level.size for level in binder.bound.levels}
    for name, kind in kinds.items():
        count, own = int(np.prod(layout.shapes[name])), units[binder.model.variable(name).plate]
        codes[0, layout.place(name, np.arange(own)[:, None], np.arange(count))] = KINDS.index(kind)
    return (Place("", EACH, 0, np.arange(size)),), codes


def interval_of(name: str, item: BoundPiece, binder: PieceBinder) -> tuple[Array, Array]:
    """The ends of the interval that a hidden number lies in, each `(*cells, units)` with axes of length 1 where it does
    not vary.
    """
    domain = binder.model.variable(name).domain
    if domain.kind != "interval":
        return {"positive": (ZERO, INFINITY), "unit": (ZERO, ONE)}.get(domain.kind, (-INFINITY, INFINITY))
    level = binder.bound.level_of(binder.model.variable(name).plate)
    evaluator = Evaluator(binder.model, binder.bound, level=level)
    axes = (*(axis for axis in item.axes.hidden if axis != POINT), ROW)
    assert domain.low is not None and domain.high is not None
    low, high = (np.asarray(evaluator.value(end).aligned(axes), dtype=np.float64) for end in (domain.low, domain.high))
    if not (low < high).all():
        raise EmmError(
            "bounds-crossed", f"`{name}` is truncated to an interval whose ends are crossed",
            help="the lower end is less than the upper one",
        )  # fmt: skip
    return low, high


def _interval_ties(
    order: Mapping[Site, int], shape: tuple[int, ...], item: BoundPiece, binder: PieceBinder
) -> IntervalTies:
    (bounded,) = (site for site in order if binder.model.variable(site[0]).domain.kind != "real")
    return IntervalTies(order, shape, order[bounded], *interval_of(bounded[0], item, binder))
