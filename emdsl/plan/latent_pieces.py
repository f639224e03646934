"""Pieces of the log-joint that look at continuous hidden variables, evaluated at points of these."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from emdsl.ir.expressions import VariableRef
from emdsl.ir.latents import continuous_latents
from emdsl.plan.binding import PieceBinder
from emdsl.plan.layout import BoundPiece
from emdsl.plan.matrices import GaussianPiece
from emdsl.plan.named import ROW, Named
from emdsl.runtime.carriers import RowTable
from emdsl.runtime.gaussian import GaussianData
from emdsl.runtime.integrals.gaussian import sigma_points
from emdsl.runtime.integrals.points import PointWeights
from emdsl.runtime.integrals.quadratic import Quadratic
from emdsl.runtime.integrals.stencil import quadratic, stencil
from emdsl.runtime.kernels import segment_sum
from emdsl.runtime.pieces import PieceData
from emdsl.runtime.problem import Array, Theta

#: Log-densities above this leave no digits in a curvature, which is of the order of 1 over a spread.
LARGEST = 1e12
#: A hidden number: its variable, the place of its element, and how many units before.
Site = tuple[str, tuple[int, ...], int]


@dataclass(frozen=True)
class Rows:
    """The rows of a piece within the units of an integral.

    `starts` `(units + 1,)` are the offsets of each unit's rows, `unit` `(rows,)` the unit of each (None: rows are the
    units). `weights` are those of plates inside the unit's own. `whole` `(units,)` is the unit of the integral that
    each belongs to, where it has several (a chain has its steps).
    """

    def of_integral(self, values: Array) -> Array:
        """Values by unit of the integral, for each unit that pieces are summed to."""
        return values if self.whole is None else values[..., self.whole]

    starts: NDArray[np.intp]
    unit: NDArray[np.intp] | None
    weights: Array | None
    whole: NDArray[np.intp] | None = None

    @property
    def count(self) -> int:
        """How many rows there are."""
        return len(self.starts) - 1 if self.unit is None else len(self.unit)

    def spread(self, values: Array) -> Array:
        """Values by unit, for each row."""
        return values if self.unit is None else values[..., self.unit]

    def summed(self, values: Array) -> Array:
        """Values by row, weighted and summed in each unit."""
        if self.weights is not None:
            values = np.where(self.weights > 0, values, 0.0) * self.weights
        return values if self.unit is None else segment_sum(values, self.starts)


@dataclass(frozen=True)
class LatentPiece:
    """A piece by row. `sites` are the hidden numbers that it looks at, in the order of its slots."""

    name: str
    bound: BoundPiece
    binder: PieceBinder
    density: Callable[..., Array]
    sites: tuple[Any, ...]
    hidden: tuple[int, ...]
    rows: Rows

    def log_density(self, theta: Theta, v: Array, values: Array) -> Array:
        """`(*cells, points, rows)` at `values` `(slots, *cells, points, rows)` of the hidden numbers, summed over
        elements.
        """
        data = self.at(values)
        piece = self.bound.piece
        table = RowTable(data, self.density, theta, v, piece.form == "log-sum-exp", piece.sign)
        return table.forward(slice(0, data.rows))

    def summed(self, theta: Theta, v: Array, values: Array) -> Array:
        """`log_density` at `values` `(slots, *cells, points, units)`, summed in each unit: `(*cells, points,
        units)`.
        """
        return self.rows.summed(self.log_density(theta, v, self.rows.spread(values)))

    def statistics(self, values: Array, weights: Array) -> PointWeights:
        """The posterior for the M-step: points `(slots, *cells, points, units)` and weights `(*cells, points,
        units)`.
        """
        data = self.at(self.rows.spread(values))
        by_row = self.rows.spread(weights)
        if self.rows.weights is not None:
            by_row = by_row * self.rows.weights
        return PointWeights(np.broadcast_to(by_row, (*data.hidden, data.rows)), data)

    def quadratic(self, theta: Theta, v: Array, centre: Array, spread: Array) -> Quadratic:
        """The log-density summed in each unit as a quadratic at `centre` `(slots, *cells, units)`, by a stencil as wide
        as `spread`. Raises LinAlgError where curvatures would be differences of large numbers.
        """
        return by_stencil(self, theta, v, centre, spread)

    def posterior(self, mean: Array, covariance: Array, weights: Array, *, by_row: bool = True) -> PointWeights:
        """Sigma points of a normal posterior, for a piece that is quadratic in the hidden numbers: `mean` `(slots,
        *cells, units)`, `weights` `(*cells, units)`.
        """
        points = sigma_points(mean, covariance)
        share = np.broadcast_to(weights[..., None, :] / points.shape[-2], points.shape[1:])
        return self.statistics(points, share)

    def at(self, values: Array) -> PieceData:
        """The piece's data with the hidden numbers in place."""
        return self.binder.at(self.bound, drawn(self.sites, values, self.bound.axes.hidden), values.shape[-2])


def by_stencil(piece: Summed, theta: Theta, v: Array, centre: Array, spread: Array) -> Quadratic:
    """A piece as a quadratic of its hidden numbers, from its values at a few points."""
    points = centre[..., None, :] + np.einsum("pi,i...u->i...pu", stencil(len(centre)), spread)
    values = piece.summed(theta, v, points)
    if not (np.abs(values) < LARGEST).all():
        raise np.linalg.LinAlgError("curvatures are differences of large numbers: no digits would be left")
    return Quadratic(*quadratic(values, spread))


def drawn(sites: Sequence[Any], values: Array, hidden: tuple[str, ...]) -> dict[Any, Named]:
    """The values of each variable by name and lag, `(*elements, *cells, points, rows)`; of an element that data choose
    by its reference, `(*cells, points, rows)`.
    """
    found: dict[tuple[str, int], list[int]] = {}
    arrays: dict[Any, Named] = {}
    for slot, site in enumerate(sites):
        if isinstance(site[1], VariableRef):
            arrays[site[1]] = Named((*hidden, ROW), values[slot])
        else:
            found.setdefault((site[0], site[2]), []).append(slot)
    for key, slots in found.items():
        elements = [sites[slot][1] for slot in slots]
        axes = len(elements[0])
        shape = tuple(max(element[k] for element in elements) + 1 for k in range(axes))
        array = values[slots].reshape(*shape, *values.shape[1:])
        arrays[key] = Named((*(f"?{k}" for k in range(axes)), *hidden, ROW), array)
    return arrays


def sites_of(piece: BoundPiece, binder: PieceBinder) -> tuple[Site, ...]:
    """The hidden numbers that a piece looks at: of an array all elements."""
    model = binder.model
    looked = (piece.piece.knowns, tuple(atom.terms for atom in piece.piece.atoms), piece.piece.guards)
    if piece.piece.vector is not None:
        looked = (*looked, (piece.piece.vector,))  # type: ignore[assignment]
    keys = dict.fromkeys((node.name, node.lag) for node in continuous_latents(looked, model))
    found: list[Site] = []
    for name, lag in keys:
        axes = model.variable(name).axes
        shape = [len(binder.bound.indexes[axis]) for axis in axes]
        found += [(name, element, lag) for element in product(*(range(size) for size in shape))]
    return tuple(found)


@dataclass(frozen=True)
class VectorPiece:
    """The multivariate normal law of a hidden vector, by its monomials. `offsets` says where each parameter begins in
    the vector of all.
    """

    name: str
    bound: BoundPiece
    gaussian: GaussianPiece
    sites: tuple[Any, ...]
    hidden: tuple[int, ...]
    rows: Rows
    offsets: Mapping[str, int]

    def log_density(self, theta: Theta, v: Array, values: Array) -> Array:
        """`(*cells, points, rows)` at `values` `(slots, *cells, points, rows)`."""
        eta = self.gaussian.data.eta(self.gaussian.mean_of(theta), self.gaussian.covariance_of(theta))
        return np.asarray(np.einsum("...m,m...pr->...pr", eta, _monomials(values)))

    def summed(self, theta: Theta, v: Array, values: Array) -> Array:
        """`log_density` summed in each unit."""
        return self.rows.summed(self.log_density(theta, v, self.rows.spread(values)))

    def quadratic(self, theta: Theta, v: Array, centre: Array, spread: Array) -> Quadratic:
        """The log-density summed in each unit as a quadratic at `centre` `(slots, *cells, units)`."""
        eta = self.gaussian.data.eta(self.gaussian.mean_of(theta), self.gaussian.covariance_of(theta))
        d = len(self.sites)
        first, second = np.triu_indices(d)
        bend = np.zeros((d, d, *eta.shape[:-1]))
        for k, (i, j) in enumerate(zip(first, second, strict=True)):
            bend[i, j] = bend[j, i] = eta[..., 1 + d + k] * (2.0 if i == j else 1.0)
        slope = np.moveaxis(eta[..., 1 : 1 + d], -1, 0)[..., None]
        full = slope + np.einsum("ij...,j...u->i...u", bend, centre)
        value = eta[..., 0, None] + (0.5 * (slope + full) * centre).sum(axis=0)
        count = self._count(centre.shape[-1])
        return Quadratic(value * count, full * count, bend[..., None] * count, by_row=False)

    def _count(self, units: int) -> Array:
        """How many vectors each unit has."""
        if self.rows.unit is None and self.rows.weights is None:
            return np.ones(units)
        return self.rows.summed(np.ones(self.rows.count))

    def posterior(self, mean: Array, covariance: Array, weights: Array, *, by_row: bool = True) -> Array:
        """Expected monomials `(*cells, monomials)` under a normal posterior."""
        first, second = np.triu_indices(len(mean))
        count = self._count(mean.shape[-1])
        products = covariance[first, second] + mean[first] * mean[second]
        monomials = np.concatenate([np.ones((1, *mean.shape[1:])), mean, products])
        return np.asarray(np.einsum("...u,m...u->...m", weights * count, monomials))

    def statistics(self, values: Array, weights: Array) -> Array:
        """Expected monomials `(*cells, monomials)`."""
        by_row = self.rows.spread(weights)
        if self.rows.weights is not None:
            by_row = by_row * self.rows.weights
        return np.asarray(np.einsum("...pr,m...pr->...m", by_row, _monomials(self.rows.spread(values))))


def _monomials(values: Array) -> Array:
    """`(monomials, *cells, points, rows)` of `(slots, *cells, points, rows)`: 1, each, products `i <= j`."""
    d = len(values)
    first, second = np.triu_indices(d)
    return np.concatenate([np.ones((1, *values.shape[1:])), values, values[first] * values[second]])


def vector_data(d: int, hidden: tuple[int, ...], constant: float) -> GaussianData:
    """A Gaussian piece's data without data: the vector is hidden."""
    return GaussianData(np.zeros((d, 0)), np.zeros(d), np.ones(d), hidden, constant)


class Summed(Protocol):
    """Anything that has a log-density at points."""

    def summed(self, theta: Theta, v: Array, values: Array) -> Array:
        """The log-density at points, summed in each unit."""
        ...


class PlacedPiece(Protocol):
    """A piece of the log-joint of continuous hidden variables: what it is bound to, and which numbers it looks at."""

    @property
    def name(self) -> str: ...

    @property
    def bound(self) -> BoundPiece: ...

    @property
    def sites(self) -> tuple[Any, ...]: ...

    @property
    def rows(self) -> Rows: ...


class AnyPiece(PlacedPiece, Protocol):
    """A piece that can be evaluated at points."""

    def summed(self, theta: Theta, v: Array, values: Array) -> Array:
        """The log-density at points, summed in each unit."""
        ...

    def quadratic(self, theta: Theta, v: Array, centre: Array, spread: Array) -> Quadratic:
        """The log-density as a quadratic at `centre`, summed in each unit."""
        ...

    def posterior(self, mean: Array, covariance: Array, weights: Array, *, by_row: bool) -> Any:
        """What the M-step takes of a normal posterior; `by_row` as its quadratic was taken."""
        ...

    def statistics(self, values: Array, weights: Array) -> Any:
        """What the M-step takes of weighted points."""
        ...
