"""Normal laws of vectors whose mean and covariance are functions of parameters and data.

The part of Q of such a law is `sum w log N(x_o; m_o, C_oo)` over rows and hidden cells, o the columns that a row shows:
missing cells are integrated out, not filled in. With `P = C^-1` and `r = x - m` the derivatives are `P r` in m and
`(P r r' P - P)/2` in C (Petersen & Pedersen 2012, equations 57, 61, 85); the Hessian is taken in expectation,
`-(dm' P dm + tr(P dC P dC)/2)` (Fisher scoring; Mardia & Marshall 1984), which is never indefinite.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdsl.runtime.assembly import Place
from emdsl.runtime.gaussian import cholesky_where_possible
from emdsl.runtime.gaussian_missing import Pattern
from emdsl.runtime.pieces import PieceData
from emdsl.runtime.problem import Array, Theta

#: Numbers in the derivatives of one stretch of rows.
NUMBERS_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Addend:
    """A term of the mean's or covariance's elements, `event` axes (1 or 2) of which come first among its elements; over
    the others it is summed. `hidden`: for each hidden axis of the law its length here, 1 where the term lacks it.
    """

    data: PieceData
    value: Callable[[Theta, Array, PieceData], Any]
    slopes: Callable[[Theta, Array, PieceData, Any], tuple[Any, ...]]
    places: tuple[Place, ...]
    hidden: tuple[int, ...]
    event: int

    def at(self, rows: slice) -> Addend:
        """The same term for some rows."""
        return replace(self, data=self.data.view(rows), places=tuple(_place_at(place, rows) for place in self.places))

    @property
    def shape(self) -> tuple[int, ...]:
        """`(*hidden or 1s, *event)`."""
        return (*self.hidden, *self.data.elements[: self.event])

    def _by_cell(self, values: Any) -> Array:
        """A formula's value as `(*cells, rows or 1)`, 0 where its guards do not hold."""
        array = np.asarray(values, dtype=np.float64)
        array = array if array.ndim else array.reshape((1,) * (len(self.data.cells) + 1))
        full = np.broadcast_to(array, (*self.data.cells, array.shape[-1]))
        if self.data.outside is not None:
            full = np.where(self.data.outside[..., None], 0.0, full)
        if self.data.row_mask is not None:
            full = np.where(self.data.row_mask, full, 0.0)
        return full

    def array(self, theta: Theta, v: Array) -> Array:
        """The term, `(*hidden or 1s, *event, rows or 1)`."""
        full = self._by_cell(self.value(theta, v, self.data))
        extra = len(self.data.elements) - self.event
        if extra:
            full = full.sum(axis=tuple(range(full.ndim - 1 - extra, full.ndim - 1)))
        return full.reshape(*self.shape, full.shape[-1])

    def pull(self, slope: Array, theta: Theta, v: Array, out: Array) -> None:
        """Adds to `out` the gradient in all parameters, `slope` `(*hidden, *event, rows or 1)` being that in the
        term."""
        lacking = tuple(k for k, size in enumerate(self.hidden) if size == 1 and slope.shape[k] > 1)
        slope = slope.sum(axis=lacking, keepdims=True) if lacking else slope
        extra = len(self.data.elements) - self.event
        own = slope.reshape(*self.data.hidden, *self.data.elements[: self.event], *(1,) * extra, slope.shape[-1])
        for place, entry in zip(self.places, self.slopes(theta, v, self.data, None), strict=True):
            product = own * self._by_cell(entry)
            flat = product.reshape(-1, product.shape[-1])
            values = place.spread(flat)
            positions = np.broadcast_to(place.positions, values.shape)
            out += np.bincount(positions.ravel(), weights=values.ravel(), minlength=len(out))

    def jacobian(self, theta: Theta, v: Array, local: NDArray[np.intp], size: int) -> Array:
        """The term's derivatives in the parameters of a group, `(*hidden or 1s, *event, rows or 1, size)`."""
        count = int(np.prod(self.shape))
        entries = [self._by_cell(entry) for entry in self.slopes(theta, v, self.data, None)]
        lengths = [entry.shape[-1] for entry in entries] + [place.design.shape[-1] for place in self.places]
        lengths += [place.positions.shape[-1] for place in self.places if place.by_row]
        rows = max(lengths, default=1)
        out = np.zeros((count, rows, size + 1))  # the last place is for parameters outside the group
        for place, entry in zip(self.places, entries, strict=True):
            flat = entry.reshape(count, -1, entry.shape[-1])
            extras = flat.shape[1]
            design = np.broadcast_to(place.design, (count * extras, *place.design.shape[-2:]))
            design = design.reshape(count, extras, *place.design.shape[-2:])
            positions = local[place.positions]
            positions = np.where(positions < 0, size, positions).reshape(count, extras, *place.positions.shape[1:])
            for k in range(extras):
                for slot in range(positions.shape[2]):
                    added = np.broadcast_to(flat[:, k] * design[:, k, slot], (count, rows))
                    where = positions[:, k, slot] if place.by_row else positions[:, k, slot, None]
                    out[np.arange(count)[:, None], np.arange(rows), where] += added
        return out[..., :size].reshape(*self.shape, rows, size)


def _place_at(place: Place, rows: slice) -> Place:
    positions = place.positions[..., rows] if place.by_row else place.positions
    design = place.design[..., rows] if place.design.shape[-1] > 1 else place.design
    return Place(positions, design, place.bare)


@dataclass(frozen=True)
class VectorDensity:
    """A normal law of the columns `x` `(d, rows)` (NaN where missing), over hidden cells `hidden`.

    `constant` is that of the log-density of a whole vector; `names` are all parameters that occur.
    """

    name: str
    x: Array
    patterns: tuple[Pattern, ...]
    hidden: tuple[int, ...]
    constant: float
    mean: tuple[Addend, ...]
    covariance: tuple[Addend, ...]
    names: frozenset[str]
    outside: NDArray[np.bool_] | None = None

    @property
    def data(self) -> VectorDensity:
        """Itself: the statistics, posterior weights `(*hidden, rows)`, go by its name."""
        return self

    @property
    def d(self) -> int:
        """Number of columns."""
        return len(self.x)

    def touches(self, parameters: set[str]) -> bool:
        """Whether some of these parameters occur in it."""
        return bool(self.names & parameters)

    def _moments(self, theta: Theta, v: Array) -> tuple[Array, Array]:
        """Mean `(*hidden or 1s, d, rows or 1)` and covariance `(*hidden or 1s, d, d, rows or 1)`."""
        ones = (1,) * len(self.hidden)
        return (
            _total([term.array(theta, v) for term in self.mean], (*ones, self.d, 1)),
            _total([term.array(theta, v) for term in self.covariance], (*ones, self.d, self.d, 1)),
        )

    def densities(self, theta: Theta, v: Array) -> Array:
        """The log-density of what each row shows, `(*hidden, rows)`; 0 for rows that show nothing."""
        mean, covariance = self._moments(theta, v)
        out = np.zeros((*self.hidden, self.x.shape[1]))
        for pattern in self.patterns:
            seen = _Seen.of(pattern, self.x, mean, covariance)
            constant = self.constant + 0.5 * (self.d - len(pattern.seen)) * math.log(2 * math.pi)
            distance = (seen.residual * seen.pulled).sum(axis=-2, keepdims=True)
            density = constant - 0.5 * (seen.logdet[..., None, :] + distance)
            out[..., pattern.rows] = np.broadcast_to(density[..., 0, :], (*self.hidden, len(pattern.rows)))
        return out if self.outside is None else np.where(self.outside[..., None], 0.0, out)

    # --- a part of Q --------------------------------------------------------------------------------------------------

    def _weights(self, statistics: Array) -> Array:
        return statistics if self.outside is None else np.where(self.outside[..., None], 0.0, statistics)

    def value(self, theta: Theta, v: Array, statistics: Array) -> float:
        """`sum w log N(x)`."""
        weights = self._weights(statistics)
        return float((weights * np.where(weights == 0.0, 0.0, self.densities(theta, v))).sum())

    def gradient(self, theta: Theta, v: Array, statistics: Array, out: Array) -> None:
        """Adds the gradient in all parameters to `out`."""
        mean, covariance = self._moments(theta, v)
        weights = self._weights(statistics)
        rows = self.x.shape[1]
        in_mean = np.zeros((*self.hidden, self.d, rows if mean.shape[-1] > 1 else 1))
        in_covariance = np.zeros((*self.hidden, self.d, self.d, rows if covariance.shape[-1] > 1 else 1))
        for pattern in self.patterns:
            seen = _Seen.of(pattern, self.x, mean, covariance)
            w = weights[..., None, pattern.rows]
            slope = w * np.where(w == 0.0, 0.0, seen.pulled)
            _put(in_mean, (pattern.seen,), pattern.rows, slope)
            pulled = np.broadcast_to(np.where(w == 0.0, 0.0, seen.pulled), slope.shape)
            if in_covariance.shape[-1] == 1:
                total = w.sum(axis=-1)[..., None] * seen.precision[..., 0]
                bend = 0.5 * (slope @ np.swapaxes(pulled, -1, -2) - total)[..., None]
            else:
                bend = 0.5 * (slope[..., :, None, :] * pulled[..., None, :, :] - w[..., None, :, :] * seen.precision)
            _put(in_covariance, (pattern.seen, pattern.seen), pattern.rows, bend)
        for terms, slopes in ((self.mean, in_mean), (self.covariance, in_covariance)):
            for term in terms:
                term.pull(slopes, theta, v, out)

    def hessian(
        self, theta: Theta, v: Array, statistics: Array, local: NDArray[np.intp], out: Array, cache: dict[Any, Any]
    ) -> None:
        """Adds the expected second derivatives to `out` `(group, group)`."""
        weights = self._weights(statistics)
        stretch = max(1, NUMBERS_AT_ONCE // (max(1, math.prod(self.hidden)) * self.d**2 * max(1, len(out))))
        for begin in range(0, self.x.shape[1], stretch):
            rows = slice(begin, min(begin + stretch, self.x.shape[1]))
            self._some(rows)._information(theta, v, weights[..., rows], local, out)

    def _some(self, rows: slice) -> VectorDensity:
        if rows.stop - rows.start == self.x.shape[1]:
            return self
        inside = ((p, p.rows[(p.rows >= rows.start) & (p.rows < rows.stop)] - rows.start) for p in self.patterns)
        return replace(
            self, x=self.x[:, rows], patterns=tuple(replace(p, rows=own) for p, own in inside if len(own)),
            mean=tuple(term.at(rows) for term in self.mean),
            covariance=tuple(term.at(rows) for term in self.covariance),
        )  # fmt: skip

    def _information(self, theta: Theta, v: Array, weights: Array, local: NDArray[np.intp], out: Array) -> None:
        _, covariance = self._moments(theta, v)
        size, ones = len(out), (1,) * len(self.hidden)
        slope = _total([t.jacobian(theta, v, local, size) for t in self.mean], (*ones, self.d, 1, size))
        bend = _total([t.jacobian(theta, v, local, size) for t in self.covariance], (*ones, self.d, self.d, 1, size))
        for pattern in self.patterns:
            behind, _ = seen_block(pattern, covariance)
            # Cells with the same derivatives, as are most points of a posterior, count together.
            alike = tuple(k for k in range(len(self.hidden)) if slope.shape[k] == bend.shape[k] == behind.shape[k] == 1)
            w = weights[..., pattern.rows].sum(axis=alike, keepdims=True)
            for cell in np.ndindex(*w.shape[:-1]):
                root = _cell(behind, cell)  # (o, o, rows or 1)
                first = _taken(_cell(slope, cell), (pattern.seen,), pattern.rows, behind=1)
                second = _taken(_cell(bend, cell), (pattern.seen, pattern.seen), pattern.rows, behind=1)
                _add_products(np.einsum("abr,brp->arp", *_over_all_rows(root, first)), w[cell], 1.0, out)
                half = np.einsum("abr,bcrp->acrp", *_over_all_rows(root, second))
                whole = np.einsum("acrp,dcr->adrp", half, np.broadcast_to(root, (*root.shape[:2], half.shape[-2])))
                _add_products(whole.reshape(-1, *whole.shape[2:]), w[cell], 0.5, out)

    def spreads(self, statistics: Array) -> Iterator[float]:
        """The smallest standard deviation of a column within a hidden cell, in units of that of all rows."""
        for column in self.x:
            shown = ~np.isnan(column)
            values, weights = column[shown], np.asarray(statistics)[..., shown]
            held = weights.sum(axis=-1) > 0
            if len(values) and values.std() > 0 and held.any():
                n = weights[held].sum(axis=-1)
                mean = (weights[held] @ values) / n
                variance = (weights[held] * (values - mean[:, None]) ** 2).sum(axis=-1) / n
                yield float(np.sqrt(variance.min()) / values.std())


@dataclass(frozen=True)
class _Seen:
    """The seen blocks of the rows of one pattern: residuals r and `P r` `(*hidden or 1s, o, rows)`, log-determinants
    `(*hidden or 1s, rows or 1)`, precisions P and inverse Cholesky factors `(*hidden or 1s, o, o, rows or 1)`.
    """

    residual: Array
    pulled: Array
    logdet: Array
    precision: Array
    root: Array

    @classmethod
    def of(cls, pattern: Pattern, x: Array, mean: Array, covariance: Array) -> _Seen:
        o = pattern.seen
        residual = x[np.ix_(o, pattern.rows)] - _taken(mean, (o,), pattern.rows)
        behind, logdet = seen_block(pattern, covariance)
        root = np.moveaxis(behind, -1, -3)
        precision = np.asarray(np.swapaxes(root, -1, -2) @ root, dtype=np.float64)
        if precision.shape[-3] == 1:
            pulled = precision[..., 0, :, :] @ residual
        else:
            pulled = np.swapaxes((precision @ np.moveaxis(residual, -1, -2)[..., None])[..., 0], -1, -2)
        return cls(residual, pulled, logdet, np.moveaxis(precision, -3, -1), behind)


def seen_block(pattern: Pattern, covariance: Array) -> tuple[Array, Array]:
    """Of a covariance `(..., d, d, rows or 1)` the inverse Cholesky factors `(..., o, o, rows or 1)` of what the rows
    of one pattern show, and the log-determinants `(..., rows or 1)`; NaN where a block is not positive definite.
    """
    o = pattern.seen
    block = np.moveaxis(_taken(covariance, (o, o), pattern.rows), -1, -3)
    factor, proper = cholesky_where_possible(np.ascontiguousarray(block))
    root = np.asarray(np.linalg.solve(factor, np.broadcast_to(np.eye(len(o)), factor.shape)), dtype=np.float64)
    logdet = np.asarray(2 * np.log(np.diagonal(factor, axis1=-2, axis2=-1)).sum(axis=-1))
    if proper is not None:
        logdet = np.where(proper, logdet, np.nan)
    return np.moveaxis(root, -3, -1), logdet


def _total(terms: Sequence[Array], least: tuple[int, ...]) -> Array:
    total = np.zeros(least)
    for term in terms:
        total = total + term
    return total


def _taken(array: Array, columns: tuple[NDArray[np.intp], ...], rows: NDArray[np.intp], behind: int = 0) -> Array:
    """The seen columns and a pattern's rows of `(..., *event, rows or 1, *behind)`."""
    axis = array.ndim - 1 - behind
    if array.shape[axis] > 1:
        array = np.take(array, rows, axis=axis)
    for k, own in enumerate(columns):
        array = np.take(array, own, axis=axis - len(columns) + k)
    return array


def _cell(array: Array, cell: tuple[int, ...]) -> Array:
    """The array of one hidden cell; axes of length 1 serve all."""
    return np.asarray(array[tuple(k if array.shape[axis] > 1 else 0 for axis, k in enumerate(cell))])


def _over_all_rows(root: Array, slopes: Array) -> tuple[Array, Array]:
    """Both with the same number of rows (the last axis of `root`, the last but one of `slopes`)."""
    rows = max(root.shape[-1], slopes.shape[-2])
    return (
        np.broadcast_to(root, (*root.shape[:-1], rows)),
        np.broadcast_to(slopes, (*slopes.shape[:-2], rows, slopes.shape[-1])),
    )


def _add_products(columns: Array, weights: Array, factor: float, out: Array) -> None:
    """Subtracts `factor * sum w a a'` over the rows; `columns` `(places, rows or 1, group)`."""
    if columns.shape[1] == 1:
        out -= factor * weights.sum() * (columns[:, 0].T @ columns[:, 0])
        return
    flat = columns.reshape(-1, columns.shape[-1])
    weighted = (columns * weights[:, None]).reshape(flat.shape)  # weights of points may be negative
    out -= factor * (weighted.T @ flat)


def _put(target: Array, columns: tuple[NDArray[np.intp], ...], rows: NDArray[np.intp], values: Array) -> None:
    """Adds `values` `(*hidden, *event, rows or 1)` to a pattern's places, summed over rows where `target` has one."""
    if target.shape[-1] == 1:
        values, rows = values.sum(axis=-1, keepdims=True), np.zeros(1, dtype=np.intp)
    if len(columns) == 1:
        target[..., columns[0][:, None], rows] += values
    else:
        target[..., columns[0][:, None, None], columns[1][:, None], rows] += values


@dataclass
class VectorTable:
    """A vector law at one theta; `values` `(*hidden, rows)` are its log-densities (zeros in a random start)."""

    values: Array

    def forward(self, rows: slice) -> Array:
        """Log-densities `(*hidden, rows)`, an array that the caller may change."""
        return np.array(self.values[..., rows])

    def accumulator(self) -> Array:
        """What `collect` fills: posterior weights."""
        return np.zeros_like(self.values)

    def collect(self, sums: Array, adjoint: Array, rows: slice) -> None:
        """Keeps the weights of some rows."""
        sums[..., rows] = adjoint

    def expected(self, sums: Array) -> Array:
        """The weights."""
        return sums
