"""Rows that differ in one number alone, by a few of them that stand for all.

What a row adds to the log-likelihood and to expected statistics is then a smooth function of that number. Between two
rows near enough to each other it is the polynomial through its values at NODES rows placed like Chebyshev points, to
rounding (Trefethen 2013, Approximation Theory and Approximation Practice, chapters 5 and 8). So a sum over all rows of
an interval is a weighted sum over these, the weights being sums of Lagrange polynomials, whatever the parameters are.
Equal rows are one row with a weight.

How near is near enough depends on the parameters, through the log-factors of the hidden cells alone: they are linear in
statistics that are checked to be such polynomials, so that values at the nodes tell what they do in between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from emdsl.runtime.problem import Array

Rows = NDArray[np.intp]
#: Log-factors `(cells, rows)` of some rows.
Factors = Callable[[Rows], Array]

#: Rows that stand for the others of an interval.
NODES = 24
#: Log-factors that differ by this much more at one end of an interval than at the other give posterior weights that 24
#: nodes interpolate to 2e-15 (measured over linear and quadratic differences); by SLACK more for each unit by which a
#: cell lies below its own best, where as much less counts.
CHANGE, SLACK = 0.5, 0.1
#: A cell so far below its own best counts for less than rounding.
DEEP = 40.0
#: New intervals are that much shorter than need be, so that they still serve when the parameters have moved.
MARGIN = 0.6
#: Fewer rows for each node are not worth it.
FEWEST = 4
#: Largest sum of absolute Lagrange polynomials (3 at Chebyshev points; more where rows leave gaps).
LARGEST_SUM = 8.0
#: Error of the statistics as polynomials, as a share of their size there and of their root mean square over all rows.
PRECISE = 1e-13
#: Rows of an interval that are looked at together, at NODES numbers each.
CHUNK = 16_384


@dataclass(frozen=True)
class Line:
    """Distinct rows in the order of `place` `(rows,)` within each group, the numbers in which they differ. `row` is the
    first of each among the data, `weight` says for how many it counts, `groups` `(groups + 1,)` where each group
    begins. `statistics` `(terms, rows)` are those of the rows.
    """

    place: Array
    row: Rows
    weight: Array
    groups: Rows
    statistics: Array


def line_of(number: Array, group: Rows, weight: Array, statistics: Array) -> Line | None:
    """The line of all rows; None where rows of one group and number differ in their statistics."""
    order = np.lexsort((number, group)) if group.any() else np.argsort(number)
    # np.take along an axis is six times as fast as an index in brackets.
    place, members, sorted_ = number[order], group[order], np.take(statistics, order, axis=1)
    first = np.ones(len(order), dtype=bool)
    first[1:] = (place[1:] != place[:-1]) | (members[1:] != members[:-1])
    begin = np.flatnonzero(first)
    weights = weight[order]
    if len(begin) < len(order):
        of_first = np.take(sorted_, begin, axis=1)
        lengths = np.diff(begin, append=len(order))
        if not np.array_equal(np.repeat(of_first, lengths, axis=1), sorted_):
            return None
        place, order, weights, sorted_ = place[begin], order[begin], np.add.reduceat(weights, begin), of_first
    groups = np.searchsorted(members[begin], np.arange(members[-1] + 2))
    return Line(place, order, weights, groups, sorted_)


@dataclass(frozen=True)
class Intervals:
    """Intervals of a line, from `begin` to before `end`, and the places of the NODES rows of each `(intervals,
    NODES)`; `distinct` says where these are as many."""

    begin: Rows
    end: Rows
    nodes: Rows
    distinct: NDArray[np.bool_]

    def only(self, which: NDArray[np.bool_]) -> Intervals:
        """Some of them."""
        return Intervals(self.begin[which], self.end[which], self.nodes[which], self.distinct[which])


@dataclass(frozen=True)
class Standing:
    """`rows` of the data, and the `weights` with which they stand for all: first NODES for each of `intervals`, then
    single ones.
    """

    rows: Rows
    weights: Array
    intervals: Intervals


@dataclass
class Condenser:
    """Finds the rows that stand for all at some parameters. Weights of intervals are kept: parameters come back to the
    same ones."""

    line: Line
    _weights: dict[tuple[int, int], Array | None] = field(default_factory=dict)
    _size: Array = field(init=False)

    def __post_init__(self) -> None:
        line = self.line
        largest = np.maximum(np.abs(line.statistics).max(axis=1), np.finfo(float).tiny)
        shares = line.weight / line.weight.sum()
        # Squares of shares of the largest do not overflow.
        self._size = largest * np.sqrt(
            [shares @ (row / size) ** 2 for row, size in zip(line.statistics, largest, strict=True)]
        )

    def standing(self, factors: Factors) -> Standing | None:
        """The rows that stand for all where cells have these log-factors; None where they would not be few."""
        waiting = self._intervals(self.line.groups[:-1], self.line.groups[1:])
        best: Array = np.array([[-np.inf]])
        found, single = [], []
        room = len(self.line.row) // FEWEST
        while len(waiting.begin):
            short = waiting.end - waiting.begin < FEWEST * NODES
            single += list(zip(waiting.begin[short], waiting.end[short], strict=True))
            waiting = waiting.only(~short)
            if not len(waiting.begin):
                break
            values = factors(self.line.row[waiting.nodes.ravel()])
            values = values.reshape(len(values), *waiting.nodes.shape)
            heights = Heights.of(values)
            best = np.maximum(best, best_of(values))
            fine = waiting.distinct & (unevenness(heights, best) <= MARGIN)
            fine[fine] = [self._interpolates(b, e, n) for b, e, n in _each(waiting.only(fine))]
            found.append(waiting.only(fine))
            waiting = self._halves(waiting.only(~fine))
            if NODES * (sum(len(item.begin) for item in found) + len(waiting.begin)) > room:
                return None
        return self._standing(_joined(found), [np.arange(b, e) for b, e in single])

    def _standing(self, intervals: Intervals, single: list[Rows]) -> Standing | None:
        alone = np.concatenate([np.zeros(0, dtype=np.intp), *single])
        places = np.concatenate([intervals.nodes.ravel(), alone])
        if len(places) > len(self.line.row) // FEWEST:
            return None
        keys = zip(intervals.begin.tolist(), intervals.end.tolist(), strict=True)
        kept = [weights for weights in map(self._weights.__getitem__, keys) if weights is not None]
        weights = np.concatenate([*kept, self.line.weight[alone]])
        return Standing(self.line.row[places], weights, intervals)

    def _intervals(self, begin: Rows, end: Rows) -> Intervals:
        """Intervals with the rows nearest to their Chebyshev points."""
        place = self.line.place
        low, high = place[begin, None], place[end - 1, None]
        wanted = low + (high - low) * (0.5 - 0.5 * np.cos(np.pi * np.arange(NODES) / (NODES - 1)))
        after = np.clip(self._first_not_below(wanted, begin), begin[:, None] + 1, end[:, None] - 1)
        nodes = after - (wanted - place[after - 1] <= place[after] - wanted)
        nodes[:, 0], nodes[:, -1] = begin, end - 1
        distinct: NDArray[np.bool_] = np.asarray((np.diff(nodes, axis=1) > 0).all(axis=1))
        return Intervals(begin, end, nodes, distinct)

    def _halves(self, intervals: Intervals) -> Intervals:
        place, begin, end = self.line.place, intervals.begin, intervals.end
        middle = self._first_not_below(0.5 * (place[begin] + place[end - 1])[:, None], begin)[:, 0]
        middle = np.clip(middle, begin + 1, end - 1)
        return self._intervals(np.concatenate([begin, middle]), np.concatenate([middle, end]))

    def _first_not_below(self, wanted: Array, begin: Rows) -> Rows:
        """The first row at or above each of the numbers `(intervals, n)`, in the group of each interval."""
        groups = self.line.groups
        group = np.searchsorted(groups, begin, side="right") - 1
        found = np.empty(wanted.shape, dtype=np.intp)
        for each in np.unique(group):
            own = group == each
            found[own] = groups[each] + np.searchsorted(self.line.place[groups[each] : groups[each + 1]], wanted[own])
        return found

    def _interpolates(self, begin: int, end: int, nodes: Rows) -> bool:
        """Whether the statistics of the rows of an interval are what those of its nodes make of them."""
        key = (begin, end)
        if key not in self._weights:
            self._weights[key] = self._weights_of(begin, end, nodes)
        return self._weights[key] is not None

    def _weights_of(self, begin: int, end: int, nodes: Rows) -> Array | None:
        line = self.line
        at_nodes = line.statistics[:, nodes]
        allowed = PRECISE * (np.abs(line.statistics[:, begin:end]).max(axis=1) + self._size)
        found: Array = np.zeros(len(nodes))
        for first in range(begin, end, CHUNK):
            some = slice(first, min(first + CHUNK, end))
            shares = lagrange(line.place[some], line.place[nodes])
            if np.abs(shares).sum(axis=1).max() > LARGEST_SUM:
                return None
            error = np.abs(at_nodes @ shares.T - line.statistics[:, some]).max(axis=1)
            if not (error <= allowed).all():
                return None
            found += line.weight[some] @ shares
        return found


def lagrange(place: Array, nodes: Array) -> Array:
    """The Lagrange polynomials of `nodes`, which increase, at some places between them `(places, nodes)`: by the
    barycentric formula (Berrut & Trefethen 2004)."""
    # From -2 to 2, where products of many differences neither overflow nor vanish.
    scale = 4.0 / (nodes[-1] - nodes[0])
    scaled, own = (place - nodes[0]) * scale - 2.0, (nodes - nodes[0]) * scale - 2.0
    between = own[:, None] - own
    np.fill_diagonal(between, 1.0)
    distance = scaled[:, None] - own
    row, node = np.nonzero(distance == 0.0)
    distance[row, node] = 1.0
    parts: Array = (1.0 / between.prod(axis=1)) / distance
    parts /= parts.sum(axis=1, keepdims=True)
    parts[row] = 0.0
    parts[row, node] = 1.0
    return parts


@dataclass(frozen=True)
class Heights:
    """The largest and the least log-factor of each cell at the nodes of each interval, `(cells, intervals)`, less those
    of the cell that is the largest in its middle; `rise` is the most that lies between two neighbouring nodes.

    Between nodes a log-factor may be larger than at all of them: by less than `rise`, for where a parabola has its peak
    in a gap, its values at the ends of some other gap differ by more than the peak sticks out.
    """

    top: Array
    least: Array
    rise: Array

    @classmethod
    def of(cls, values: Array) -> Heights:
        """Those of `values` `(cells, intervals, nodes)`."""
        first = values[:, :, values.shape[2] // 2].argmax(axis=0)
        relative = values - values[first, np.arange(len(first))]
        return cls(relative.max(axis=2), relative.min(axis=2), np.abs(np.diff(relative, axis=2)).max(axis=2))


def best_of(values: Array) -> Array:
    """How far each cell, where it is best, lies below the largest cell of the same row: `(cells, 1)`. `values` are the
    log-factors of some rows, `(cells, ...)`."""
    by_cell = (values - values.max(axis=0)).reshape(len(values), -1)
    return np.asarray(by_cell.max(axis=1, keepdims=True))


def unevenness(heights: Heights, best: Array) -> Array:
    """By how much the posterior weights vary over each interval, as a share of what its nodes still interpolate; 1 is
    the most that does, NaN where there is no number. `best`: see `best_of`."""
    below = best - heights.top
    found = (heights.top - heights.least) / (CHANGE + SLACK * np.maximum(below, 0.0))
    found[below - heights.rise > DEEP] = 0.0
    return np.asarray(found.max(axis=0))


def still_stands(standing: Standing, values: Array) -> bool:
    """Whether rows still stand for all where their log-factors are `values` `(cells, rows)`."""
    inside = standing.intervals.nodes
    if not inside.size:
        return True
    own = values[:, : inside.size].reshape(len(values), *inside.shape)
    return bool((unevenness(Heights.of(own), best_of(values)) <= 1.0).all())


def _each(intervals: Intervals) -> Iterator[tuple[int, int, Rows]]:
    return zip(intervals.begin.tolist(), intervals.end.tolist(), intervals.nodes, strict=True)


def _joined(parts: list[Intervals]) -> Intervals:
    empty = np.zeros(0, dtype=np.intp)
    return Intervals(
        np.concatenate([empty, *(item.begin for item in parts)]),
        np.concatenate([empty, *(item.end for item in parts)]),
        np.concatenate([np.zeros((0, NODES), dtype=np.intp), *(item.nodes for item in parts)]),
        np.ones(sum(len(item.begin) for item in parts), dtype=bool),
    )
