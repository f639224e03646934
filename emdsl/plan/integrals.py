"""Integrals over continuous hidden variables, bound to data: which units they are over, and with what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from emdsl.data.bound import Bound
from emdsl.diagnostics.errors import EmmError
from emdsl.ir.derivation import Integral
from emdsl.ir.model import Model
from emdsl.plan.binding import PieceBinder
from emdsl.plan.crossed import EACH, EachPiece, Layout, crossed_layout, crossed_sites, crossed_ties
from emdsl.plan.gaussian_method import GaussianMethod, Ties
from emdsl.plan.latent_pieces import AnyPiece, LatentPiece, Rows, Site, VectorPiece, sites_of, vector_data
from emdsl.plan.layout import BoundPiece
from emdsl.plan.matrices import bind_hidden_gaussian
from emdsl.plan.moment_piece import moment_piece
from emdsl.plan.monte_carlo import FIRST_PAIRS, MonteCarlo
from emdsl.plan.named import POINT
from emdsl.plan.unit_kernel import KernelUnits
from emdsl.plan.unit_quadrature import FIRST_COUNT, MOST_VARIABLES, QuadratureUnits
from emdsl.runtime.integrals.chain_ties import ChainTies
from emdsl.runtime.integrals.unit_ties import UnitTies
from emdsl.runtime.problem import Array, Theta


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
    their lengths `hidden`, and the number of units.
    """

    integral: Integral
    level: int
    axes: tuple[str, ...]
    hidden: tuple[int, ...]
    units: int
    pieces: tuple[AnyPiece, ...]
    method: Method
    layout: Layout | None = None

    @property
    def name(self) -> str:
        """What its node and its statistics go by."""
        return "integral:" + ",".join(self.integral.latents)

    @property
    def size(self) -> int:
        """Hidden numbers of one unit, or of one step of a chain."""
        return len(order_of(self.pieces))

    def by_step(self, values: Array) -> Array:
        """Values by unit for each unit that pieces are summed to: of a chain its steps."""
        return values if self.layout is not None else self.pieces[0].rows.of_integral(values)

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
    if len(plates) > 1 or None in plates:
        return _crossed(integral, own, binder, module, inner_weights)
    level = _home(integral, model, bound)
    first = own[0]
    axes = tuple(axis for axis in first.axes.hidden if axis != POINT)
    hidden = tuple(first.axes.sizes[axis] for axis in axes)
    _check_axes(axes, level, integral, model, bound)
    steps = level + 1 if integral.lag else level
    found = tuple(_piece(item, binder, module, hidden, _rows(item, steps, level, bound, inner_weights)) for item in own)
    method = _method(integral, found, binder, (level, steps), hidden)
    return BoundIntegral(integral, level, axes, hidden, bound.levels[level].size, found, method)


def _home(integral: Integral, model: Model, bound: Bound) -> int:
    """The level of the integral's units: of the plate of the hidden variables, around it if that is a chain."""
    (plate,) = {model.variable(name).plate for name in integral.latents}
    own = next(number for number, item in enumerate(bound.levels) if item.plate == plate)
    return own - 1 if integral.lag else own


def _check_axes(axes: Sequence[str], level: int, integral: Integral, model: Model, bound: Bound) -> None:
    place = {item.plate: number for number, item in enumerate(bound.levels)}
    for axis in axes:
        name = axis.partition("@")[0]
        if place[model.variable(name).plate] > level:
            names = ", ".join(f"`{latent}`" for latent in integral.latents)
            raise EmmError(
                "not-supported-yet",
                f"`{name}` is hidden in a plate inside that of the continuous {names}, which has no plan yet",
                help="write its numbers one by one, as scalars: the law of the second may look at the first",
            )


def _crossed(
    integral: Integral, own: Sequence[BoundPiece], binder: PieceBinder, module: Any, inner_weights: Any
) -> BoundIntegral:
    """Hidden variables of several plates, or of none: one system for the whole data set."""
    names = ", ".join(f"`{latent}`" for latent in integral.latents)
    if any(axis != POINT for axis in own[0].axes.hidden):
        raise EmmError(
            "not-supported-yet",
            f"finite hidden variables beside the continuous {names} of several plates have no plan yet",
        )
    layout = crossed_layout(integral.latents, own, binder)
    found = tuple(_crossed_piece(item, binder, module, layout, inner_weights) for item in own)
    laws = tuple(_is_own_law(piece, integral) for piece in found)
    ties = crossed_ties(layout)
    method = GaussianMethod(found, laws, ties) if integral.method == "gaussian" else _sampled(
        integral, found, laws, ties, binder
    )  # fmt: skip
    return BoundIntegral(integral, 0, (), (), 1, found, method, layout)


def _sampled(
    integral: Integral, pieces: tuple[AnyPiece, ...], laws: tuple[bool, ...], ties: Ties, binder: PieceBinder
) -> MonteCarlo:
    """Monte Carlo, where nothing else fits."""
    for name in integral.latents:
        if binder.model.variable(name).domain.kind != "real":
            raise EmmError(
                "not-supported-yet",
                f"the hidden `{name}` has no closed integral beside others, and draws are made of real numbers alone",
                help="write its logarithm (or logit) as the hidden variable",
            )
    return MonteCarlo(pieces, laws, ties, FIRST_PAIRS * binder.bound.nodes, binder.bound.seed)


def _density(item: BoundPiece, module: Any) -> Any:
    """The piece's log-density by row."""
    if item.piece.form not in ("rows", "log-sum-exp"):
        raise EmmError(
            "not-supported-yet", f"the hidden numbers in the law of `{item.piece.factor}` are tied by more than their "
            "values row by row, as shares that sum to 1 are: this has no plan yet",
        )  # fmt: skip
    return getattr(module, f"density_{item.name}")


def _crossed_piece(item: BoundPiece, binder: PieceBinder, module: Any, layout: Layout, inner_weights: Any) -> AnyPiece:
    sites = crossed_sites(item, binder, layout)
    name = item.piece.name
    count = int(np.prod(item.data.elements)) if sites[0].element == EACH else binder.bound.levels[item.level].size
    whole = np.zeros(count, dtype=np.intp)
    rows = Rows(np.arange(count + 1), None, inner_weights(0, item.level), whole)
    if item.piece.form == "gaussian":
        law = bind_hidden_gaussian(item.piece, item.axes, binder, vector_data(len(sites), (), 0.0))
        return VectorPiece(name, item, law, sites, (), rows)
    density = _density(item, module)
    if any(site.element == EACH for site in sites):
        return EachPiece(name, item, binder, density, sites, (), rows)
    return moment_piece(LatentPiece(name, item, binder, density, sites, (), rows))


def _rows(item: BoundPiece, level: int, home: int, bound: Bound, inner_weights: Any) -> Rows:
    """The rows of a piece by unit of `level`, which are those of the integral or, in a chain, its steps."""
    starts = np.arange(bound.levels[level].size + 1)
    for number in range(level + 1, item.level + 1):
        starts = bound.levels[number].starts[starts]
    unit = None if item.level == level else np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    whole = bound.levels[level].parent if level > home else None
    return Rows(np.ascontiguousarray(starts), unit, inner_weights(level, item.level), whole)


def _piece(item: BoundPiece, binder: PieceBinder, module: Any, hidden: tuple[int, ...], rows: Rows) -> AnyPiece:
    sites = sites_of(item, binder)
    name = item.piece.name
    if item.piece.form == "gaussian":
        data = vector_data(len(sites), hidden, 0.0)
        return VectorPiece(name, item, bind_hidden_gaussian(item.piece, item.axes, binder, data), sites, hidden, rows)
    density = _density(item, module)
    return moment_piece(LatentPiece(name, item, binder, density, sites, hidden, rows))


def _method(
    integral: Integral, pieces: tuple[AnyPiece, ...], binder: PieceBinder, levels: tuple[int, int],
    hidden: tuple[int, ...],
) -> Method:  # fmt: skip
    model, bound = binder.model, binder.bound
    _, steps = levels
    order = order_of(pieces)
    shape = (len(order), *hidden, bound.levels[steps].size)
    own_laws = tuple(_is_own_law(piece, integral) for piece in pieces)
    if integral.method == "kernel":
        return KernelUnits(pieces, shape, own_laws, integral.kernel)
    ties: Ties = UnitTies(order, shape)
    if integral.lag:
        ties = ChainTies(order, shape, np.ascontiguousarray(bound.levels[steps].starts), integral.lag)
    if integral.method == "gaussian":
        return GaussianMethod(pieces, own_laws, ties)
    if integral.method == "monte-carlo" or integral.lag or len(order) > MOST_VARIABLES:
        return _sampled(integral, pieces, own_laws, ties, binder)
    slots = tuple(tuple(order[site] for site in piece.sites) for piece in pieces)
    kinds = tuple(model.variable(name).domain.kind for name, _, _ in order)
    return QuadratureUnits(pieces, slots, shape, own_laws, kinds, integral.latents, FIRST_COUNT * bound.nodes)


def order_of(pieces: Sequence[AnyPiece]) -> dict[Site, int]:
    """The place of each hidden number among those of a unit, or of a step of a chain."""
    order: dict[Site, int] = {}
    for piece in pieces:
        for name, element, _ in piece.sites:
            order.setdefault((name, element, 0), len(order))
    return order


def _is_own_law(piece: AnyPiece, integral: Integral) -> bool:
    target = piece.bound.piece.target
    return target is not None and target.name in integral.latents
