"""Normal laws of vectors, seen or hidden, in whose mean continuous hidden variables stand.

A seen vector x has the residual `x - m`, a hidden one h the residual `0 - (m - h)`: both are affine in the hidden
numbers where the mean is, and then all that an integral needs follows from the residual at a few values of these.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from emdsl.diagnostics.errors import EmmError
from emdsl.ir.degrees import degree
from emdsl.ir.expressions import Binder, BinderRef, ParameterRef, VariableRef, walk
from emdsl.ir.latents import continuous_latents, is_continuous
from emdsl.ir.model import Model
from emdsl.plan.binding import PieceBinder
from emdsl.plan.latent_pieces import Rows, by_stencil, drawn, vector_data
from emdsl.plan.layout import BoundPiece
from emdsl.plan.matrices import GaussianPiece, partial_address
from emdsl.plan.named import POINT, ROW, Named
from emdsl.plan.vectors import (
    COVARIANCE,
    MEAN,
    Term,
    bind_terms,
    law_constant,
    parameters_of,
    parts_of,
    shown_cells,
)
from emdsl.runtime.gaussian_missing import Pattern, patterns_of
from emdsl.runtime.integrals.gaussian import sigma_points
from emdsl.runtime.integrals.quadratic import Quadratic
from emdsl.runtime.problem import Array, Theta
from emdsl.runtime.residuals import Residuals, SeenMoments, moments_at_points
from emdsl.runtime.vector_density import Addend, VectorDensity
from emdsl.runtime.vector_points import VectorWeights


@dataclass(frozen=True)
class ResidualPiece:
    """`x` `(d, rows)` is what is seen, 0 where the vector is hidden; `own` are the places of a hidden vector's numbers
    among the sites, empty otherwise. `gaussian` has the address of a covariance that is updated from moments of the
    residual, None where mean and covariance are formulas of parameters. `affine`: the residual is so in the hidden
    numbers. `each` is the vector as its mean is less it, where an array of vectors outside the plates has this law: its
    elements take the place of rows.
    """

    name: str
    bound: BoundPiece
    binder: PieceBinder
    sites: tuple[Any, ...]
    hidden: tuple[int, ...]
    rows: Rows
    x: Array
    patterns: tuple[Pattern, ...]
    terms: tuple[Term, ...]
    constant: float
    own: tuple[int, ...]
    gaussian: GaussianPiece | None
    affine: bool
    each: VariableRef | None = None
    known: list[Residuals] = field(default_factory=list, repr=False)
    probes: dict[float, tuple[Addend, ...]] = field(default_factory=dict, repr=False)

    @property
    def d(self) -> int:
        """Number of columns."""
        return len(self.x)

    @property
    def offsets(self) -> Any:
        """Where each parameter begins in the vector of all."""
        return self.binder.layout.offsets

    # --- mean and covariance ------------------------------------------------------------------------------------------

    def addends(self, event: int, values: Array | None = None) -> tuple[Addend, ...]:
        """The terms of the mean or covariance, at `values` `(slots, *cells, points, rows or 1)` of the hidden numbers;
        those that look at none have one point."""
        found = []
        for term in self.terms:
            if term.event != event:
                continue
            data = None
            if values is not None and self._looks(term):
                data = self.binder.at(term.bound, self._drawn(values), values.shape[-2])
                data = replace(data, rows=values.shape[-1]) if self.each is not None else data
            found.append(term.addend(self.bound, self.binder, data))
        return tuple(found)

    def _drawn(self, values: Array) -> dict[Any, Named]:
        if self.each is None:
            return drawn(self.sites, values, self.bound.axes.hidden)
        column = self.each.indices[-1]
        assert isinstance(column, BinderRef)
        return {self.each: Named((column.binder.name, *self.bound.axes.hidden, ROW), values)}

    def _looks(self, term: Term) -> bool:
        """Whether hidden numbers stand in a term."""
        piece = term.bound.piece
        parts = (piece.knowns, tuple(atom.terms for atom in piece.atoms))
        return any(True for _ in continuous_latents(parts, self.binder.model))

    def mean_at(self, theta: Theta, v: Array, values: Array) -> Array:
        """The mean, less the vector where it is hidden: `(*cells, points, d, rows or 1)`."""
        return self._total(self.addends(MEAN, values), theta, v)

    def _total(self, terms: tuple[Addend, ...], theta: Theta, v: Array) -> Array:
        total = np.zeros((*(1,) * len(self.hidden), 1, self.d, 1))
        for addend in terms:
            total = total + addend.array(theta, v)
        return total

    def covariance_at(self, theta: Theta, v: Array) -> Array:
        """`(*cells or 1s, d, d, rows or 1)`."""
        if self.gaussian is not None:
            return self.gaussian.covariance_of(theta)[..., None]
        total = np.zeros((*(1,) * len(self.hidden), self.d, self.d, 1))
        for addend in self.addends(COVARIANCE):
            found = addend.array(theta, v)
            total = total + found.reshape(*found.shape[: len(self.hidden)], *found.shape[-3:])
        return total

    def residuals(self, theta: Theta, v: Array) -> Residuals:
        """The residuals as they are affine in the hidden numbers, by their values at 0 and far from it."""
        if self.known:
            return self.known[0]
        q = len(self.sites)
        middle = self._total(self._probe(0.0), theta, v)
        far = 2.0 ** float(np.ceil(np.log2(max(1.0, float(np.abs(np.nan_to_num(middle)).max(initial=0.0))))))
        slopes = (self._total(self._probe(far), theta, v) - middle) / far
        slopes = np.broadcast_to(slopes, (*slopes.shape[:-3], q, *slopes.shape[-2:]))
        found = Residuals(self.patterns, self.x - middle[..., 0, :, :], np.moveaxis(slopes, -3, 0))
        if self.gaussian is not None:
            self.known.append(found)  # no parameter stands in the mean
        return found

    def _probe(self, far: float) -> tuple[Addend, ...]:
        """The terms of the mean where all hidden numbers are 0, or each in its turn is `far`; bound once."""
        if far not in self.probes:
            q = len(self.sites)
            values = np.zeros((q, *self.hidden, q if far else 1, 1))
            for k in range(q if far else 0):
                values[k, ..., k, :] = far
            self.probes[far] = self.addends(MEAN, values)
        return self.probes[far]

    def at(self, values: Array) -> VectorDensity:
        """The law at values `(slots, *cells, points, rows)` of the hidden numbers."""
        return VectorDensity(
            name=self.name, x=self.x, patterns=self.patterns, hidden=(*self.hidden, values.shape[-2]),
            constant=self.constant, mean=self.addends(MEAN, values), covariance=self.addends(COVARIANCE, values),
            names=parameters_of(self.bound.piece), outside=self.bound.data.outside,
        )  # fmt: skip

    # --- E-step -------------------------------------------------------------------------------------------------------

    def log_density(self, theta: Theta, v: Array, values: Array) -> Array:
        """`(*cells, points, rows)` at `values` `(slots, *cells, points, rows)`."""
        law = self.at(values)
        if self.gaussian is not None:
            law = replace(law, covariance=(_Fixed(self.covariance_at(theta, v)),))  # type: ignore[arg-type]
        return law.densities(theta, v)

    def summed(self, theta: Theta, v: Array, values: Array) -> Array:
        """`log_density` summed in each unit."""
        return self.rows.summed(self.log_density(theta, v, self.rows.spread(values)))

    def quadratic(self, theta: Theta, v: Array, centre: Array, spread: Array) -> Quadratic:
        """The log-density summed in each unit as a quadratic at `centre` `(slots, *cells, units)`."""
        if not self.affine:
            return by_stencil(self, theta, v, centre, spread)
        found = self.residuals(theta, v).log_density(
            self.covariance_at(theta, v), self.constant, self.rows.spread(centre)
        )
        value, gradient, bend = (self.rows.summed(item * self._inside) for item in found)
        return Quadratic(value, gradient, bend)

    @cached_property
    def _inside(self) -> Array:
        """`(*cells or 1s, 1)`: 1 where the guards hold."""
        outside = self.bound.data.outside
        ones = (1,) * len(self.hidden)
        return np.ones((*ones, 1)) if outside is None else np.asarray(1.0 - outside.reshape(*self.hidden, 1))

    # --- M-step -------------------------------------------------------------------------------------------------------

    def posterior(self, mean: Array, covariance: Array, weights: Array, *, by_row: bool = True) -> Any:
        """What the M-step takes of a normal posterior: moments of the residual, or the law at sigma points."""
        if self.gaussian is None or not self.affine:
            points = sigma_points(mean, covariance)
            share = np.broadcast_to(weights[..., None, :] / points.shape[-2], points.shape[1:])
            return self.statistics(points, share)
        counted = self._by_row(weights) * self._inside
        known = self.residuals({}, np.zeros(0))
        return known.moments(self.rows.spread(mean), self.rows.spread(covariance), counted)

    def statistics(self, values: Array, weights: Array) -> VectorWeights | SeenMoments:
        """The same of points `(slots, *cells, points, units)` and weights `(*cells, points, units)`."""
        at, by_row = self.rows.spread(values), self._by_row(weights)
        if self.gaussian is None:
            return VectorWeights(np.broadcast_to(by_row, at.shape[1:]), self.at(at))
        residual = self.x - self.mean_at({}, np.zeros(0), at)
        counted = np.broadcast_to(by_row * self._inside[..., None, :], at.shape[1:])
        return moments_at_points(self.patterns, residual, counted)

    def _by_row(self, weights: Array) -> Array:
        """Weights by unit, for each row."""
        by_row = self.rows.spread(weights)
        return by_row if self.rows.weights is None else by_row * self.rows.weights


@dataclass(frozen=True)
class _Fixed:
    """A covariance `(*cells or 1s, d, d, rows or 1)` as the only term of itself."""

    values: Array

    def array(self, theta: Theta, v: Array) -> Array:
        """With an axis of points."""
        return np.expand_dims(self.values, -4)


def bind_residual(
    item: BoundPiece, binder: PieceBinder, module: Any, sites: tuple[Any, ...], hidden: tuple[int, ...], rows: Rows
) -> ResidualPiece:
    """The law of a vector, seen or hidden, with the terms of its mean and covariance."""
    vector, model = item.piece.vector, binder.model
    assert vector is not None
    target = is_continuous(model.variable(vector.variable.name))
    each = _each(item, sites, model) if item.piece.elements else None
    size = len(binder.bound.indexes[vector.axis])
    count = binder.bound.levels[item.level].size if each is None else math.prod(item.data.elements)
    if target:
        x, shown = np.zeros((size, count)), np.ones((size, count), dtype=bool)
        if item.data.row_mask is not None:
            shown = shown & item.data.row_mask
    else:
        x, shown = shown_cells(item, binder)
    constant = law_constant(item, binder)
    terms = bind_terms(item, _together(item, binder), module)
    names = frozenset(v.name for v in model.variables if is_continuous(v))
    affine = degree(vector.mean, names) <= 1 and degree(vector.covariance, names) == 0
    gaussian = None
    if not vector.by_parts:
        finite = replace(item.axes, hidden=tuple(axis for axis in item.axes.hidden if axis != POINT))
        assert isinstance(vector.covariance, ParameterRef)
        places = Binder("vector 1", vector.axis), Binder("vector 2", vector.axis)
        covariance = partial_address(binder, vector.covariance, places, finite)
        mean = np.zeros((*(1,) * len(hidden), size))
        gaussian = GaussianPiece(vector_data(size, hidden, constant), mean, covariance, "")
    own = tuple(_own(sites, vector.variable.name)) if target else ()
    return ResidualPiece(
        item.piece.name, item, binder, sites, hidden, rows, x, patterns_of(shown), terms, constant, own, gaussian,
        affine, each,
    )  # fmt: skip


def _each(item: BoundPiece, sites: tuple[Any, ...], model: Model) -> VariableRef:
    """The reference to a vector of an array by which the terms of its law see it. Raises `not-supported-yet` where
    the vectors have different laws.
    """
    vector = item.piece.vector
    assert vector is not None
    parts = (*vector.mean_parts, *vector.covariance_parts)
    looked = [set(continuous_latents((part.atoms, part.knowns), model)) for part in parts]
    references = set().union(*looked)
    others = (node for part in parts for node in walk((part.atoms, part.knowns, part.guards)))
    binders = [node for node in others if isinstance(node, BinderRef) and node.binder in item.piece.elements]
    inside = [node for reference in references for node in walk(reference) if isinstance(node, BinderRef)]
    if len(references) != 1 or len(binders) > len([n for n in inside if n.binder in item.piece.elements]):
        raise EmmError(
            "not-supported-yet",
            f"the vectors of the array `{vector.variable.name}` have laws that differ by more than their values, or "
            "look at other hidden numbers: this has no plan yet",
            help="declare the vector in a plate: for each group: latent b[k] ~ ...",
        )  # fmt: skip
    return references.pop()


def _own(sites: tuple[Any, ...], name: str) -> list[int]:
    """The places of a vector's own numbers, in order."""
    return [k for k, site in enumerate(sites) if site[0] == name and site[2] == 0]


def _together(item: BoundPiece, binder: PieceBinder) -> PieceBinder:
    """A binder that tells the terms by all finite variables that the law itself is told by."""
    whole = list(binder.together.get(item.piece.name, (item.piece,)))
    names = {part.name: whole for part, _ in parts_of(item.piece)}
    return PieceBinder(binder.model, binder.bound, binder.batch, {**binder.together, **names})
