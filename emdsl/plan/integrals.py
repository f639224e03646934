"""Integrals over continuous hidden variables, bound to data: which units they are over, and with what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, Protocol

import numpy as np

from emdsl.data.bound import Bound, Share
from emdsl.diagnostics.errors import EmmError
from emdsl.ir.derivation import INTERVAL, SHARES, Integral
from emdsl.ir.latents import event_axes, is_continuous
from emdsl.ir.model import Model
from emdsl.ir.open_cells import without_cells
from emdsl.plan.binding import PieceBinder
from emdsl.plan.crossed import EACH, EachPiece, Place, crossed_sites, crossed_ties
from emdsl.plan.crossed_layout import Layout, check_fits, check_weights, crossed_layouts, fits, home_of, tied
from emdsl.plan.crossing import ancestors
from emdsl.plan.evaluation import Evaluator
from emdsl.plan.gaussian_method import GaussianMethod, Ties
from emdsl.plan.latent_pieces import AnyPiece, LatentPiece, PlacedPiece, Rows, Site, VectorPiece, sites_of, vector_data
from emdsl.plan.layout import BoundPiece
from emdsl.plan.matrices import bind_hidden_gaussian
from emdsl.plan.moment_piece import moment_piece
from emdsl.plan.monte_carlo import FIRST_PAIRS, MonteCarlo
from emdsl.plan.named import POINT, ROW
from emdsl.plan.normal_laws import bind_laws
from emdsl.plan.on_line import KINDS, Codes, codes_of
from emdsl.plan.open_pieces import with_cells
from emdsl.plan.open_units import (
    UnitCells,
    cells_of_units,
    known_anywhere,
    known_numbers,
    spare_numbers,
    with_cells_anywhere,
)
from emdsl.plan.residual_piece import bind_residual
from emdsl.plan.share_piece import share_piece
from emdsl.plan.some_units import SomeUnits
from emdsl.plan.switching import SwitchingChain
from emdsl.plan.unit_kernel import KernelUnits
from emdsl.plan.unit_quadrature import FIRST_COUNT, MOST_VARIABLES, QuadratureUnits
from emdsl.plan.unit_shares import ShareUnits
from emdsl.plan.unit_sum import SumUnits
from emdsl.runtime.integrals.chain_ties import ChainTies
from emdsl.runtime.integrals.interval_ties import IntervalTies
from emdsl.runtime.integrals.kernels import kernel_of
from emdsl.runtime.integrals.unit_ties import UnitTies
from emdsl.runtime.integrals.whole_ties import CutTies, WholeTies
from emdsl.runtime.problem import Array, Theta

ZERO, ONE, INFINITY = np.asarray(0.0), np.asarray(1.0), np.asarray(np.inf)


#: What helps where something finite is hidden below hidden numbers that no grid takes.
BY_DRAWS = "--plan monte-carlo"
ONE_BY_ONE = "write its numbers one by one, as scalars: the law of the second may look at the first"


class Evidence(Protocol):
    """An integral at one theta."""

    def forward(self, rows: slice) -> Array:
        """Log-evidence `(*cells, rows)` of some units."""
        ...

    def statistics(self, weights: Array) -> dict[str, Any]:
        """For each piece what the M-step takes, with posterior weights `(*cells, units)` of the cells."""
        ...

    def moments(self) -> tuple[Array, Array]:
        """Posterior means and variances of all hidden numbers in each cell, `(d, *cells, units)`."""
        ...


class Method(Protocol):
    """How an integral is taken."""

    def evidence(self, theta: Theta, v: Array) -> Evidence:
        """The integral at theta."""
        ...

    def drawn(self, theta: Theta, v: Array, rng: np.random.Generator) -> Evidence:
        """One draw of the hidden variables from their own laws in place of the posterior, for random starts."""
        ...


@dataclass(frozen=True)
class BoundIntegral:
    """An integral with its axes: `level` of its units, `axes` of the finite hidden variables that its laws depend on,
    their lengths `hidden`, and the number of units. One that is over some units alone is `inside` over the units of
    `share`, data by themselves. `cells` are its hidden numbers, where each unit has its own.
    """

    integral: Integral
    level: int
    axes: tuple[str, ...]
    hidden: tuple[int, ...]
    units: int
    pieces: tuple[PlacedPiece, ...]
    method: Method
    layout: Layout | None = None
    inside: BoundIntegral | None = None
    share: Share | None = None
    cells: UnitCells | None = None

    @property
    def name(self) -> str:
        """What its node and its statistics go by."""
        return "integral:" + (self.integral.group or ",".join(self.integral.latents))

    @property
    def taken(self) -> Method:
        """The method, whatever the units that it is over."""
        return self.method.method if isinstance(self.method, SomeUnits) else self.method

    @property
    def size(self) -> int:
        """Hidden numbers of one unit, or of one step of a chain."""
        return len(order_of(self.pieces))

    def by_step(self, values: Array) -> Array:
        """Values by unit for each unit that pieces are summed to: of a chain its steps; for each number of those that
        are tied across units.
        """
        if self.layout is not None:
            return np.asarray(values[..., self.layout.owner])
        return self.pieces[0].rows.of_integral(values)

    def places(self, name: str, units: int) -> tuple[Any, ...]:
        """Where the moments of a variable stand, as an index of `(d, units)` that gives `(elements, units)`."""
        if self.layout is not None:
            elements = np.arange(int(np.prod(self.layout.shapes[name])))[:, None]
            return 0, self.layout.place(name, np.arange(units), elements)
        order = order_of(self.pieces)
        return ([slot for (other, _, _), slot in sorted(order.items()) if other == name],)


def bind_integral(
    integral: Integral, pieces: Mapping[str, BoundPiece], binder: PieceBinder, module: Any, inner_weights: Any
) -> BoundIntegral:
    """An integral on its data. `inner_weights(outer, inner)` gives the weights of plates between two levels."""
    model, bound = binder.model, binder.bound
    own = [pieces[name] for name in integral.pieces]
    plates = {model.variable(name).plate for name in integral.latents}
    several = len(plates) > 1 or (None in plates and integral.method != "kernel")
    ranked = has_open(integral) and bool(integral.group) and (
        integral.method in ("quadrature", "sum") or integral.cut or (several and integral.method == "monte-carlo")
    )  # fmt: skip
    if several and not ranked:
        return _crossed(integral, own, binder, module, inner_weights)
    level = _home(integral, model, bound)
    first = own[0]
    axes = tuple(axis for axis in first.axes.hidden if axis != POINT)
    hidden = tuple(first.axes.sizes[axis] for axis in axes)
    if ranked:
        _check_axes(axes, level, integral, model, bound)
        cells = cells_of_units(integral, model, bound, level)
        rows = [_rows(item, level, level, bound, inner_weights) for item in own]
        found = tuple(
            with_cells(_piece(item, binder, module, hidden, where, plain=True), binder, cells.ranks)
            for item, where in zip(own, rows, strict=True)
        )
        method: Method = _ranked(integral, found, cells, binder, hidden)
        return BoundIntegral(integral, level, axes, hidden, bound.levels[level].size, found, method, cells=cells)
    steps = level + 1 if integral.lag else level
    rows = [_rows(item, steps, level, bound, inner_weights) for item in own]
    if integral.kernel == SHARES:
        return _shares(integral, own, rows, binder, module, (level, axes, hidden))
    found = tuple(_piece(item, binder, module, hidden, some) for item, some in zip(own, rows, strict=True))
    if _is_switched(own, level, integral, model, bound):
        sizes = {axis.partition("@")[0]: item.axes.sizes[axis] for item in own for axis in _finite_axes(item)}
        chain = SwitchingChain(
            found, order_of(found), np.ascontiguousarray(bound.levels[steps].starts), sizes, integral.latents,
            bound.nodes, bound.seed,
        )  # fmt: skip
        return BoundIntegral(integral, level, (), (), bound.levels[level].size, found, chain)
    _check_axes(axes, level, integral, model, bound)
    method = _method(integral, found, binder, (level, steps), hidden, module)
    return BoundIntegral(integral, level, axes, hidden, bound.levels[level].size, found, method)


def has_open(integral: Integral) -> bool:
    """Whether some of the hidden numbers are open cells."""
    return integral.open is not None and integral.open.hidden


def over_all(integral: BoundIntegral, units: int, share: Share) -> BoundIntegral:
    """The integral over the units of a share as one over all `units` of its level."""
    if integral.layout is not None:  # one system for all of them
        owner, units = np.zeros(1, dtype=np.intp), 1
    else:
        owner = share.units if share.starts is None else share.owner
    return replace(integral, units=units, method=SomeUnits(integral.method, owner, units), inside=integral, share=share)


def _shares(
    integral: Integral, own: Sequence[BoundPiece], rows: Sequence[Rows], binder: PieceBinder, module: Any,
    home: tuple[int, tuple[str, ...], tuple[int, ...]],
) -> BoundIntegral:  # fmt: skip
    """Hidden shares: `home` is the level of their units, the finite hidden variables around and their lengths."""
    (name,) = integral.latents
    level, axes, hidden = home
    variable = binder.model.variable(name)
    sizes = [len(binder.bound.indexes[axis]) for axis in variable.axes]
    sites = tuple((name, place, 0) for place in product(*(range(size) for size in sizes)))
    size = int(np.prod(sizes[len(sizes) - event_axes(variable, binder.model) :]))
    found = tuple(
        share_piece(item, binder, _density(item, module), sites, hidden, some)
        for item, some in zip(own, rows, strict=True)
    )
    units = binder.bound.levels[level].size
    laws = tuple(_is_own_law(piece, integral) for piece in found)
    method = ShareUnits(found, (len(sites), *hidden, units), size, laws)
    return BoundIntegral(integral, level, axes, hidden, units, found, method)


def _home(integral: Integral, model: Model, bound: Bound) -> int:
    """The level of the integral's units: of the outermost plate of the hidden variables, around it if that is a
    chain."""
    plates = {model.variable(name).plate for name in integral.latents}
    own = next(number for number, item in enumerate(bound.levels) if item.plate in plates)
    return own - 1 if integral.lag else own


def joined_by_paths(
    integrals: Sequence[Integral], pieces: Mapping[str, BoundPiece], model: Model, bound: Bound
) -> tuple[Integral, ...]:
    """Chains of numbers that the same paths switch are one integral: nothing ties them to each other but the paths."""
    switched: dict[int, list[Integral]] = {}
    for integral in integrals:
        own = [pieces[name] for name in integral.pieces]
        if not integral.closed or integral.lag != 1:
            continue
        home = _home(integral, model, bound)
        if _is_switched(own, home, integral, model, bound):
            switched.setdefault(home, []).append(integral)
    joined = {
        found[0]: replace(
            found[0], latents=tuple(name for item in found for name in item.latents),
            pieces=tuple(name for item in found for name in item.pieces),
        )
        for found in switched.values()
    }  # fmt: skip
    gone = {item for found in switched.values() for item in found[1:]}
    return tuple(joined.get(item, item) for item in integrals if item not in gone)


def _finite_axes(piece: BoundPiece) -> tuple[str, ...]:
    return tuple(axis for axis in piece.axes.hidden if axis != POINT)


def _is_switched(
    pieces: Sequence[BoundPiece], level: int, integral: Integral, model: Model, bound: Bound
) -> bool:  # fmt: skip
    """Whether paths are to be drawn of finite variables of the chain's own plate, one unit back at most."""
    place = {item.plate: number for number, item in enumerate(bound.levels)}
    own = [place[model.variable(axis.partition("@")[0]).plate] for piece in pieces for axis in _finite_axes(piece)]
    return integral.closed and integral.lag == 1 and bool(own) and set(own) == {level + 1}


def _check_axes(axes: Sequence[str], level: int, integral: Integral, model: Model, bound: Bound) -> None:
    place = {item.plate: number for number, item in enumerate(bound.levels)}
    for axis in axes:
        name = axis.partition("@")[0]
        if place[model.variable(name).plate] > level:
            names = ", ".join(f"`{without_cells(latent)}`" for latent in integral.latents)
            raise EmmError(
                "not-supported-yet",
                f"`{name}` is hidden in a plate inside that of the continuous {names}, which has no plan yet",
                help=BY_DRAWS if integral.method == "gaussian" and integral.lag == 1 else ONE_BY_ONE,
            )


def _crossed(
    integral: Integral, own: Sequence[BoundPiece], binder: PieceBinder, module: Any, inner_weights: Any
) -> BoundIntegral:
    """Hidden variables of several plates, or of none: one system for each unit of the outermost of them, or for the
    whole data set.
    """
    model, bound = binder.model, binder.bound
    # Draws are weighed for all data at once, and open cells are looked for in all of them.
    whole = integral.method != "gaussian" or has_open(integral)
    home = 0 if whole else home_of(integral.latents, integral.lag, model, bound)
    axes = tuple(axis for axis in own[0].axes.hidden if axis != POINT)
    hidden = tuple(own[0].axes.sizes[axis] for axis in axes)
    _check_axes(axes, home, integral, model, bound)
    check_weights(integral.latents, home, model, bound)
    layout = _layout(integral, own, home, binder)
    found = tuple(_crossed_piece(item, binder, module, layout, hidden, inner_weights) for item in own)
    laws = tuple(_is_own_law(piece, integral) for piece in found)
    ties = crossed_ties(layout, hidden)
    taken = found
    if has_open(integral):
        known = known_anywhere(integral, layout, binder)
        taken, laws = (*found, *known), (*laws, *(True for _ in known))
    method: Method = GaussianMethod(taken, laws, ties) if integral.method == "gaussian" else _sampled(
        integral, taken, laws, ties, binder, layout
    )  # fmt: skip
    if has_open(integral) and not integral.group:
        method = SomeUnits(method, np.zeros(1, dtype=np.intp), 1)
    return BoundIntegral(integral, home, axes, hidden, layout.units, found, method, layout)


def _layout(integral: Integral, own: Sequence[BoundPiece], home: int, binder: PieceBinder) -> Layout:
    """The order of all hidden numbers that leaves small dense systems. Raises `too-large` where there is none."""
    first: Layout | None = None
    for layout in crossed_layouts(integral.latents, own, home, binder):
        sites = (crossed_sites(item, binder, layout) for item in own)
        found = tied(layout, [[site.places for site in places] for places in sites])
        if fits(found):
            return found
        first = first or found
    assert first is not None
    check_fits(first, integral.latents)
    return first


def _sampled(
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


def _density(item: BoundPiece, module: Any) -> Any:
    """The piece's log-density by row."""
    if item.piece.form not in ("rows", "log-sum-exp"):
        raise EmmError(
            "not-supported-yet", f"the hidden numbers in the law of `{item.piece.factor}` are tied by more than their "
            "values row by row, as shares that sum to 1 are: this has no plan yet",
        )  # fmt: skip
    return getattr(module, f"density_{item.name}")


def _crossed_piece(
    item: BoundPiece, binder: PieceBinder, module: Any, layout: Layout, hidden: tuple[int, ...], inner_weights: Any
) -> AnyPiece:
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
    density = _density(item, module)
    if each:
        return EachPiece(name, item, binder, density, sites, hidden, rows)
    piece = LatentPiece(name, item, binder, density, sites, hidden, rows)
    opened = with_cells_anywhere(piece, layout, binder)
    return moment_piece(piece) if opened is piece else opened


def _rows(item: BoundPiece, level: int, home: int, bound: Bound, inner_weights: Any) -> Rows:
    """The rows of a piece by unit of `level`, which are those of the integral or, in a chain, its steps."""
    starts = np.arange(bound.levels[level].size + 1)
    for number in range(level + 1, item.level + 1):
        starts = bound.levels[number].starts[starts]
    unit = None if item.level == level else np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    whole = bound.levels[level].parent if level > home else None
    return Rows(np.ascontiguousarray(starts), unit, inner_weights(level, item.level), whole)


def _piece(
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
    piece = LatentPiece(name, item, binder, _density(item, module), sites, hidden, rows)
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


def _method(
    integral: Integral, pieces: tuple[AnyPiece, ...], binder: PieceBinder, levels: tuple[int, int],
    hidden: tuple[int, ...], module: Any,
) -> Method:  # fmt: skip
    bound = binder.bound
    _, steps = levels
    order = order_of(pieces)
    shape = (len(order), *hidden, bound.levels[steps].size)
    own_laws = tuple(_is_own_law(piece, integral) for piece in pieces)
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
        return _sampled(integral, pieces, own_laws, ties, binder)
    slots = tuple(tuple(order[site] for site in piece.sites) for piece in pieces)
    ends = tuple(_interval(name, pieces[0].bound, binder) for name, _, _ in order)
    return QuadratureUnits(pieces, slots, shape, own_laws, ends, integral.latents, FIRST_COUNT * bound.nodes)


def _ranked(
    integral: Integral, pieces: tuple[AnyPiece, ...], cells: UnitCells, binder: PieceBinder, hidden: tuple[int, ...]
) -> Method:  # fmt: skip
    """Open cells, and what else is hidden with them: the numbers of each unit in its own order."""
    own_laws = tuple(_is_own_law(piece, integral) for piece in pieces)
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
            return _sampled(integral, (*pieces, *spare), laws, WholeTies(shape), binder)
    every = (tuple(range(count)),) * len(pieces)
    return QuadratureUnits(
        pieces, every, shape, own_laws, tuple(zip(cells.low, cells.high, strict=True)), integral.latents,
        FIRST_COUNT * nodes, tails=True,
    )  # fmt: skip


def _interval(name: str, item: BoundPiece, binder: PieceBinder) -> tuple[Array, Array]:
    """The ends of the interval that a hidden number lies in, each `(*cells, units)` with axes of length 1 where it does
    not vary.
    """
    domain = binder.model.variable(name).domain
    if domain.kind != "interval":
        return {"positive": (ZERO, INFINITY), "unit": (ZERO, ONE)}.get(domain.kind, (-INFINITY, INFINITY))
    level = next(n for n, found in enumerate(binder.bound.levels) if found.plate == binder.model.variable(name).plate)
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
    return IntervalTies(order, shape, order[bounded], *_interval(bounded[0], item, binder))


def order_of(pieces: Sequence[PlacedPiece]) -> dict[Site, int]:
    """The place of each hidden number among those of a unit, or of a step of a chain."""
    order: dict[Site, int] = {}
    for piece in pieces:
        for name, element, _ in piece.sites:
            order.setdefault((name, element, 0), len(order))
    return order


def _is_own_law(piece: PlacedPiece, integral: Integral) -> bool:
    target = piece.bound.piece.target
    return target is not None and target.name in integral.latents
