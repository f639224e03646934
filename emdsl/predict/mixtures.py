"""Means and quantiles of predictive mixtures: by what the families declare, by summation of probabilities, or by
quadrature of densities.

Arrays are `(states, elements, units)`; weights are those of the states.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from emdsl.plan.named import ROW, Named
from emdsl.predict.components import Component
from emdsl.predict.laws import POINTS
from emdsl.runtime.problem import Array

#: Steps towards a quantile at most, and the distance, as a share of the quantile, at which it has been reached.
HALVINGS, CLOSE = 200, 1e-15
#: The probability that a sum over counts may leave out.
TAIL = 1e-12
#: The share of a probability that rounding may take from it where a count reaches it exactly.
TIE = 1e-12
#: Counts that are summed over at most.
MOST_COUNTS = 1 << 20
#: What the mass of a density found by quadrature may miss 1 by.
MASS_MISS = 1e-6
#: Breakpoints around a centre: its distance from 1e-10 to 1e10 times its size, each 1.5 times the one before.
OFFSETS = 10.0 ** np.linspace(-10.0, 10.0, 115)
#: Breakpoints towards the end of a domain, where a density may be infinite.
ENDS = 10.0 ** np.linspace(-100.0, 10.0, 250)
NODES, NODE_WEIGHTS = np.polynomial.legendre.leggauss(8)


@dataclass(frozen=True)
class Parts:
    """The components of a mixture for `shape` (elements, units); `low`, `high` of that shape bound the domain."""

    components: Sequence[Component]
    shape: tuple[int, int]
    low: Array
    high: Array

    @cached_property
    def total(self) -> Array:
        """`(elements, units)`: 1 but for units whose data are impossible."""
        return self._full(sum(np.add.reduce(item.weight, axis=0) for item in self.components))

    def _full(self, values: Any) -> Array:
        return np.broadcast_to(np.asarray(values), (*self.shape, *np.shape(values)[2:]))

    @property
    def has_cdf(self) -> bool:
        """Whether the distribution function of every component is known."""
        return all(item.has_cdf for item in self.components)

    @cached_property
    def mean(self) -> Array | None:
        """The expected value `(elements, units)`, where every component's is known."""
        found = []
        for item in self.components:
            mean = item.mean
            if mean is None:
                return None
            found.append(weighted(item.weight, mean))
        return self._full(sum(found))

    def density(self, at: Named) -> Array:
        """The density at values along `POINTS`, `(elements, units, points)`."""
        return self._full(sum(weighted(item.weight, item.density(at)) for item in self.components))

    def cdf(self, x: Array) -> Array:
        """The distribution function at `x` `(elements, units)`."""
        return self._full(sum(weighted(item.weight, item.cdf(x)) for item in self.components))


def weighted(weight: Array, value: Array) -> Array:
    """The sum over cells of weight times value, where nothing of a value that is no number is nothing."""
    value = value.reshape(*value.shape[:3], -1)
    full = np.where(weight[..., None] == 0.0, 0.0, weight[..., None] * value).sum(axis=0)
    return np.asarray(full[..., 0] if value.shape[-1] == 1 else full)


def declared_quantile(parts: Parts, probability: float, centre: Array) -> Array:
    """The least number up to which the mixture has that probability, `(elements, units)`: by secants that keep a
    bracket (the Illinois method, Dowell and Jarratt 1971), every third step a bisection, for distribution functions may
    have steps."""
    low, high = _bracket(parts, probability, centre)
    below, above = parts.cdf(low) - probability, parts.cdf(high) - probability
    before = np.zeros(parts.shape, dtype=bool)
    for step in range(HALVINGS):
        size = np.maximum(np.abs(low), np.abs(high))
        least = CLOSE * size
        with np.errstate(all="ignore"):
            if not (np.isfinite(size) & (high - low > 2.0 * least)).any():
                break
            at = high - above * (high - low) / (above - below)
        at = np.where(np.isfinite(at) & (step % 3 < 2), at, 0.5 * low + 0.5 * high)
        at = np.minimum(np.maximum(at, low + least), high - least)
        at = np.where(np.isfinite(at), at, high)
        found = parts.cdf(at) - probability
        enough = found >= 0.0
        # an end that stays where it is counts half, so that the next secant goes beyond the root
        below = np.where(enough, np.where(before, 0.5 * below, below), found)
        above = np.where(enough, found, np.where(before, above, 0.5 * above))
        low, high, before = np.where(enough, low, at), np.where(enough, at, high), enough
    at_zero = (low < 0.0) & (high > 0.0) | (np.abs(high) < 1e-300)
    return np.where(np.isnan(parts.total), np.nan, np.where(at_zero, 0.0, high))


def _bracket(parts: Parts, probability: float, centre: Array) -> tuple[Array, Array]:
    """Numbers below and at or above the quantile, the domain's ends where it has them."""
    endless = np.isinf(centre)
    centre = np.where(np.isfinite(centre), centre, 0.0)
    width = np.maximum(np.abs(centre), 1.0)
    low, high = np.maximum(centre - width, parts.low), np.minimum(centre + width, parts.high)
    if endless.any():
        # where some mass is at infinity, no number may have so much probability below it
        far = np.minimum(np.full(parts.shape, np.finfo(float).max), parts.high)
        high = np.where(endless & (parts.cdf(far) < probability), parts.high, high)
    for _ in range(1000):
        short, beyond = parts.cdf(high) < probability, parts.cdf(low) >= probability
        short &= high < parts.high
        beyond &= low > parts.low
        if not short.any() and not beyond.any():
            break
        width = 2.0 * width
        high = np.where(short, np.minimum(centre + width, parts.high), high)
        low = np.where(beyond, np.maximum(centre - width, parts.low), low)
    return low, high


def declared_count(parts: Parts, probability: float, centre: Array) -> Array:
    """`declared_quantile` of whole numbers."""
    wanted = probability * (1.0 - TIE)
    low, high = (np.floor(end) for end in _bracket(parts, wanted, centre))
    high = np.where(parts.cdf(high) < wanted, high + 1.0, high)
    low = np.where(low <= parts.low, parts.low - 1.0, low)  # there is nothing below the domain
    for _ in range(HALVINGS):
        middle = np.floor(0.5 * low + 0.5 * high)
        if not ((middle > low) & (middle < high)).any():
            break
        enough = parts.cdf(middle) >= wanted
        inside = (middle > low) & (middle < high)
        low = np.where(inside & ~enough, middle, low)
        high = np.where(inside & enough, middle, high)
    return np.where(np.isnan(parts.total), np.nan, high)


# --- counts -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Counted:
    """The probabilities of whole numbers `values`, `(elements, units, values)`, and what they leave out."""

    values: Array
    probabilities: Array

    @property
    def mean(self) -> Array:
        """The expected value."""
        return np.asarray(self.probabilities @ self.values)

    def quantile(self, probability: float) -> Array:
        """The least number up to which there is that probability."""
        reached = np.cumsum(self.probabilities, axis=-1) >= probability * (1.0 - TIE)
        found = self.values[np.argmax(reached, axis=-1)]
        unknown = np.isnan(self.probabilities).any(axis=-1) | ~reached.any(axis=-1)
        return np.where(unknown, np.nan, found)


def counted(parts: Parts) -> Counted | None:
    """Probabilities of as many whole numbers as hold all but `TAIL`; None where more than `MOST_COUNTS` do not."""
    size = 64
    while size <= MOST_COUNTS:
        first = -size if (parts.low < 0).any() else 0
        values = np.arange(first, size, dtype=np.float64)
        at = Named((POINTS,), values)
        found = parts.density(at)
        left = parts.total - found.sum(axis=-1)
        if not (left > TAIL * 100).any():
            return Counted(values, found)
        size *= 4
    return None


# --- densities --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Integrated:
    """A density by quadrature: breakpoints `(elements, units, n)`, the mass between them `(elements, units, n - 1)`,
    the first moment `(elements, units)`."""

    parts: Parts
    breaks: Array
    mass: Array
    moment: Array

    @property
    def complete(self) -> bool:
        """Whether the density integrates to 1."""
        miss = np.abs(self.mass.sum(axis=-1) - self.parts.total)
        return not (miss > MASS_MISS).any()

    def quantile(self, probability: float) -> Array:
        """The number up to which there is that probability: its interval, then bisection inside it."""
        below = np.cumsum(self.mass, axis=-1)
        place = np.minimum((below < probability).sum(axis=-1), below.shape[-1] - 1)[..., None]
        before = np.where(place > 0, np.take_along_axis(below, np.maximum(place - 1, 0), -1), 0.0)[..., 0]
        start = np.take_along_axis(self.breaks, place, -1)[..., 0]
        low, high = start, np.take_along_axis(self.breaks, place + 1, -1)[..., 0]
        for _ in range(60):
            middle = 0.5 * (low + high)
            inside = _integrals(self.parts, np.stack([start, middle], axis=-1))[0][..., 0]
            enough = before + inside >= probability
            low, high = np.where(enough, low, middle), np.where(enough, middle, high)
        return np.where(np.isnan(self.parts.total), np.nan, 0.5 * (low + high))


def integrated(parts: Parts, centres: Sequence[Array]) -> Integrated:
    """The mixture's density by Gauss-Legendre quadrature between breakpoints that crowd around each centre `(cells,
    elements, units)` and the ends of the domain."""
    count, units = parts.shape
    offsets = np.concatenate([-OFFSETS[::-1], [0.0], OFFSETS])
    pieces = []
    for centre in centres:
        size = np.maximum(np.abs(centre), 1e-3)
        points = np.moveaxis(centre[..., None] + size[..., None] * offsets, 0, -2)
        pieces.append(np.broadcast_to(points.reshape(*points.shape[:2], -1), (count, units, points[0, 0].size)))
    away = np.concatenate([[0.0], ENDS])
    for end, sign in ((parts.low, 1.0), (parts.high, -1.0)):
        if np.isfinite(end).any():
            at = np.where(np.isfinite(end)[..., None], end[..., None] + sign * away, 0.0)
            pieces.append(np.broadcast_to(at, (count, units, len(away))))
    within = (parts.low[..., None], parts.high[..., None])
    breaks = np.sort(np.clip(np.concatenate(pieces, axis=-1), *within), axis=-1)
    mass, moment = _integrals(parts, breaks)
    return Integrated(parts, breaks, mass, moment.sum(axis=-1))


def _integrals(parts: Parts, breaks: Array) -> tuple[Array, Array]:
    """The integrals of the density, and of it times the value, between breakpoints."""
    half = 0.5 * np.diff(breaks, axis=-1)
    middle = breaks[..., :-1] + half
    x = middle[..., None] + half[..., None] * NODES
    flat = x.reshape(*x.shape[:2], -1)
    law = parts.components[0].law
    binders = [binder.name for binder in law.elements]
    shape = [len(law.bound.indexes[binder.index_set]) for binder in law.elements]
    at = Named((*binders, ROW, POINTS), flat.reshape(*shape, *flat.shape[1:]))
    density = parts.density(at).reshape(x.shape)
    each = density * NODE_WEIGHTS * half[..., None]
    finite = np.where(half[..., None] > 0.0, np.where(np.isfinite(each), each, 0.0), 0.0)
    return finite.sum(axis=-1), (finite * x).sum(axis=-1)
