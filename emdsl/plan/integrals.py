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
from emdsl.plan.latent_pieces import AnyPiece, LatentPiece, Rows, Site, VectorPiece, sites_of, vector_data
from emdsl.plan.layout import BoundPiece
from emdsl.plan.matrices import bind_hidden_gaussian
from emdsl.plan.named import POINT
from emdsl.plan.unit_gaussian import GaussianUnits
from emdsl.plan.unit_kernel import KernelUnits
from emdsl.plan.unit_quadrature import QuadratureUnits
from emdsl.runtime.problem import Array, Theta


class Evidence(Protocol):
    """An integral at one theta."""

    def forward(self, rows: slice) -> Array:
        """Log-evidence `(*cells, rows)` of some units."""
        ...

    def statistics(self, weights: Array) -> dict[str, Any]:
        """For each piece what the M-step takes, with posterior weights `(*cells, units)` of the cells."""
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

    @property
    def name(self) -> str:
        """What its node and its statistics go by."""
        return "integral:" + ",".join(self.integral.latents)


def bind_integral(
    integral: Integral, pieces: Mapping[str, BoundPiece], binder: PieceBinder, module: Any, inner_weights: Any
) -> BoundIntegral:
    """An integral on its data. `inner_weights(outer, inner)` gives the weights of plates between two levels."""
    model, bound = binder.model, binder.bound
    own = [pieces[name] for name in integral.pieces]
    level = _home(integral, model, bound)
    first = own[0]
    axes = tuple(axis for axis in first.axes.hidden if axis != POINT)
    hidden = tuple(first.axes.sizes[axis] for axis in axes)
    _check_axes(axes, level, integral, model, bound)
    units = bound.levels[level].size
    found = tuple(_piece(item, binder, module, hidden, _rows(item, level, bound, inner_weights)) for item in own)
    method = _method(integral, found, model, bound, hidden, units)
    return BoundIntegral(integral, level, axes, hidden, units, found, method)


def _home(integral: Integral, model: Model, bound: Bound) -> int:
    plates = {model.variable(name).plate for name in integral.latents}
    if len(plates) > 1 or None in plates or integral.lag:
        names = ", ".join(f"`{name}`" for name in integral.latents)
        raise EmmError(
            "not-supported-yet",
            f"the continuous hidden variables {names} belong to several plates or to a chain: this has no plan yet",
        )
    (plate,) = plates
    return next(number for number, item in enumerate(bound.levels) if item.plate == plate)


def _check_axes(axes: Sequence[str], level: int, integral: Integral, model: Model, bound: Bound) -> None:
    place = {item.plate: number for number, item in enumerate(bound.levels)}
    for axis in axes:
        name = axis.partition("@")[0]
        if place[model.variable(name).plate] > level:
            names = ", ".join(f"`{latent}`" for latent in integral.latents)
            raise EmmError(
                "not-supported-yet",
                f"`{name}` is hidden in a plate inside that of the continuous {names}, which has no plan yet",
            )


def _rows(item: BoundPiece, level: int, bound: Bound, inner_weights: Any) -> Rows:
    starts = np.arange(bound.levels[level].size + 1)
    for number in range(level + 1, item.level + 1):
        starts = bound.levels[number].starts[starts]
    unit = None if item.level == level else np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    return Rows(np.ascontiguousarray(starts), unit, inner_weights(level, item.level))


def _piece(item: BoundPiece, binder: PieceBinder, module: Any, hidden: tuple[int, ...], rows: Rows) -> AnyPiece:
    sites = sites_of(item, binder)
    name = item.piece.name
    if item.piece.form == "gaussian":
        data = vector_data(len(sites), hidden, 0.0)
        return VectorPiece(name, item, bind_hidden_gaussian(item.piece, item.axes, binder, data), sites, hidden, rows)
    density = getattr(module, f"density_{item.name}")
    return LatentPiece(name, item, binder, density, sites, hidden, rows)


def _method(
    integral: Integral, pieces: tuple[AnyPiece, ...], model: Model, bound: Bound, hidden: tuple[int, ...], units: int
) -> Method:
    order: dict[Site, int] = {}
    for piece in pieces:
        for site in piece.sites:
            order.setdefault(site, len(order))
    slots = tuple(tuple(order[site] for site in piece.sites) for piece in pieces)
    shape = (len(order), *hidden, units)
    own_laws = tuple(_is_own_law(piece, integral) for piece in pieces)
    if integral.method == "gaussian":
        return GaussianUnits(pieces, slots, shape, own_laws)
    if integral.method == "kernel":
        return KernelUnits(pieces, shape, own_laws, integral.kernel)
    kinds = tuple(model.variable(name).domain.kind for name, _, _ in order)
    return QuadratureUnits(pieces, slots, shape, own_laws, kinds, integral.latents)


def _is_own_law(piece: AnyPiece, integral: Integral) -> bool:
    target = piece.bound.piece.target
    return target is not None and target.name in integral.latents
