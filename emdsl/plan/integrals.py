"""Integrals over continuous hidden variables, bound to data: which units they are over, and with what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, Protocol

import numpy as np

from emdsl.data.bound import Bound, Share
from emdsl.diagnostics.errors import EmmError
from emdsl.ir.derivation import SHARES, Integral
from emdsl.ir.latents import event_axes
from emdsl.ir.model import Model
from emdsl.ir.open_cells import without_cells
from emdsl.plan.binding import PieceBinder
from emdsl.plan.crossed import crossed_sites, crossed_ties
from emdsl.plan.crossed_layout import Layout, check_fits, check_weights, crossed_layouts, fits, home_of, tied
from emdsl.plan.gaussian_method import GaussianMethod
from emdsl.plan.integral_methods import has_open, method_of, ranked_method, sampled
from emdsl.plan.integral_pieces import crossed_piece, density_of, is_own_law, order_of, piece_of, rows_of
from emdsl.plan.latent_pieces import PlacedPiece, Rows
from emdsl.plan.layout import BoundPiece
from emdsl.plan.named import POINT
from emdsl.plan.open_pieces import with_cells
from emdsl.plan.open_units import (
    UnitCells,
    cells_of_units,
    known_anywhere,
)
from emdsl.plan.share_piece import share_piece
from emdsl.plan.some_units import SomeUnits
from emdsl.plan.switching import SwitchingChain
from emdsl.plan.unit_shares import ShareUnits
from emdsl.runtime.problem import Array, Theta

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
        rows = [rows_of(item, level, level, bound, inner_weights) for item in own]
        found = tuple(
            with_cells(piece_of(item, binder, module, hidden, where, plain=True), binder, cells.ranks)
            for item, where in zip(own, rows, strict=True)
        )
        method: Method = ranked_method(integral, found, cells, binder, hidden)
        return BoundIntegral(integral, level, axes, hidden, bound.levels[level].size, found, method, cells=cells)
    steps = level + 1 if integral.lag else level
    rows = [rows_of(item, steps, level, bound, inner_weights) for item in own]
    if integral.kernel == SHARES:
        return _shares(integral, own, rows, binder, module, (level, axes, hidden))
    found = tuple(piece_of(item, binder, module, hidden, some) for item, some in zip(own, rows, strict=True))
    if _is_switched(own, level, integral, model, bound):
        sizes = {axis.partition("@")[0]: item.axes.sizes[axis] for item in own for axis in _finite_axes(item)}
        chain = SwitchingChain(
            found, order_of(found), np.ascontiguousarray(bound.levels[steps].starts), sizes, integral.latents,
            bound.nodes, bound.seed,
        )  # fmt: skip
        return BoundIntegral(integral, level, (), (), bound.levels[level].size, found, chain)
    _check_axes(axes, level, integral, model, bound)
    method = method_of(integral, found, binder, (level, steps), hidden, module)
    return BoundIntegral(integral, level, axes, hidden, bound.levels[level].size, found, method)


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
        share_piece(item, binder, density_of(item, module), sites, hidden, some)
        for item, some in zip(own, rows, strict=True)
    )
    units = binder.bound.levels[level].size
    laws = tuple(is_own_law(piece, integral) for piece in found)
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
    found = tuple(crossed_piece(item, binder, module, layout, hidden, inner_weights) for item in own)
    laws = tuple(is_own_law(piece, integral) for piece in found)
    ties = crossed_ties(layout, hidden)
    taken = found
    if has_open(integral):
        known = known_anywhere(integral, layout, binder)
        taken, laws = (*found, *known), (*laws, *(True for _ in known))
    method: Method = GaussianMethod(taken, laws, ties) if integral.method == "gaussian" else sampled(
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
