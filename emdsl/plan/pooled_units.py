"""Units that share the precision of their hidden numbers: a few in the place of all, with the same second moments.

Given a precision, the posterior covariance is the same for every unit and posterior means are affine in what a unit
shows (Anderson 2003, chapter 14). Evidence and expected statistics are then quadratic in it, so that units of equal
precision need be known by the mean and the covariance of what they show alone: a few units that have these stand for
them, and the data are read once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdsl.plan.gaussian_method import GaussianEvidence, GaussianMethod
from emdsl.plan.latent_pieces import LatentPiece, Rows, VectorPiece
from emdsl.plan.moment_piece import NONE, MomentPiece
from emdsl.runtime.integrals.points import PointWeights
from emdsl.runtime.integrals.quadratic import Quadratic
from emdsl.runtime.integrals.unit_ties import UnitTies
from emdsl.runtime.problem import Array, Theta

Codes = NDArray[np.intp]
#: Fewer units are not worth it, nor are more in place of all than one in so many.
FEWEST_UNITS, WORTH = 200, 4
#: What spreads over units by less than this share of its size, or of the direction of most spread, is the same for all.
FLAT = 1e-10


class NeedsRowsError(ArithmeticError):
    """Sums over all units would lose digits: they are taken row by row."""


class FewMomentPiece(MomentPiece):
    """A piece by moments of units that stand for others: it has no rows to go back to."""

    def quadratic(self, theta: Theta, v: Array, centre: Array, spread: Array) -> Quadratic:
        """As of any piece by moments. Raises NeedsRowsError where these would lose digits."""
        found = self.by_moments(theta, v, centre, spread)
        if found is None:
            raise NeedsRowsError
        return found

    def posterior(self, mean: Array, covariance: Array, weights: Array, *, by_row: bool) -> PointWeights:
        """As of any piece by moments. Raises NeedsRowsError where these would lose digits."""
        if by_row:
            raise NeedsRowsError
        return super().posterior(mean, covariance, weights, by_row=False)


@dataclass(frozen=True)
class Pooled:
    """`few` is the integral over units that stand for all, `weights` `(few,)` how many each stands for; `group`
    `(units,)` and `group_of_few` `(few,)` say who stands for whom; `counted` is the weight of each unit.
    """

    plain: GaussianMethod
    few: GaussianMethod
    weights: Array
    group: Codes
    group_of_few: Codes
    counted: Array

    @property
    def groups(self) -> int:
        """Sets of units with one precision."""
        return int(self.group_of_few.max()) + 1

    def evidence(self, theta: Theta, v: Array) -> PooledEvidence | GaussianEvidence:
        """The integral at theta; over all units where the laws of the hidden numbers differ by unit, or where sums
        would lose digits.
        """
        try:
            return PooledEvidence(self, self.few.evidence(theta, v), theta, v)
        except NeedsRowsError:
            return self.plain.evidence(theta, v)

    def drawn(self, theta: Theta, v: Array, rng: np.random.Generator) -> PooledDraw:
        """Values of the hidden numbers for the few units."""
        return PooledDraw(self, self.few.drawn_values(theta, v, rng))


@dataclass(frozen=True)
class PooledEvidence:
    """The evidence of units by group: their sum is right, and so is every statistic; single ones are the mean."""

    pooled: Pooled
    found: GaussianEvidence
    theta: Theta
    v: Array

    def forward(self, rows: slice) -> Array:
        """The mean log-evidence of the group of each unit."""
        pooled = self.pooled
        size = pooled.groups
        total = np.bincount(pooled.group_of_few, weights=pooled.weights * self.found.value, minlength=size)
        count = np.bincount(pooled.group_of_few, weights=pooled.weights, minlength=size)
        return np.asarray((total / np.where(count > 0, count, 1.0))[pooled.group[rows]])

    def statistics(self, weights: Array) -> dict[str, Any]:
        """For each piece what the M-step takes; with other weights than the data's own, of all units."""
        if not np.array_equal(weights, self.pooled.counted):
            return self.pooled.plain.evidence(self.theta, self.v).statistics(weights)
        try:
            return self.found.statistics(self.pooled.weights)
        except NeedsRowsError:
            return self.pooled.plain.evidence(self.theta, self.v).statistics(weights)


@dataclass(frozen=True)
class PooledDraw:
    """One value of the hidden numbers for each of the few units, `(d, few)`."""

    pooled: Pooled
    values: Array

    def forward(self, rows: slice) -> Array:
        """Nothing is said."""
        return np.zeros(len(range(*rows.indices(len(self.pooled.group)))))

    def statistics(self, weights: Array) -> dict[str, Any]:
        """The draws as points without spread."""
        few, found = self.pooled.few, {}
        for piece in few.pieces:
            values = few.ties.gather(self.values, piece.sites)
            covariance = np.zeros((len(values), *values.shape))
            found[piece.name] = piece.posterior(values, covariance, self.pooled.weights, by_row=False)
        return found


def pooled(method: Any, weights: Array | None) -> Pooled | None:
    """The integral over a few units in place of all, where units of equal precision are many; `weights` are those of
    units, None: 1 each.
    """
    if not isinstance(method, GaussianMethod):
        return None
    ties = method.ties
    if not isinstance(ties, UnitTies) or len(ties.shape) != 2 or method.laws is None:
        return None
    units = ties.shape[-1]
    if units < FEWEST_UNITS or not all(isinstance(p, MomentPiece | VectorPiece) for p in method.pieces):
        return None
    if any(law.applies.shape[-1] != 1 or not _alike(law.piece) for law in method.laws.laws.values()):
        return None
    counted = np.ones(units) if weights is None else np.asarray(weights, dtype=float)
    moments = [piece for piece in method.pieces if isinstance(piece, MomentPiece)]
    group = _groups(moments, units)
    if group is None:
        return None
    return _pooled(method, moments, group, counted)


def _alike(piece: Any) -> bool:
    """Whether the law of a hidden number is the same for every unit: no data stand in it."""
    if isinstance(piece, VectorPiece):
        return True
    assert isinstance(piece, LatentPiece)
    data = piece.bound.data
    knowns = all(value.shape[-1:] in ((), (1,)) or data.rows == 1 for value in data.knowns.values())
    return knowns and not any(s is not None and (s.by_row or s.coefficients.shape[-1] > 1) for s in data.slots)


def _sorted_rows(piece: MomentPiece) -> tuple[list[Array], list[Array]]:
    """Moments `(elements, units)` of pairs with two hidden numbers, and with one."""
    both, one = [], []
    for (i, j), moment in piece.moments.items():
        first, second = piece.site(i) != NONE, piece.site(j) != NONE
        hidden = np.broadcast_to(first.astype(int) + second.astype(int), moment.shape[:1])
        both.append(moment[hidden == 2])
        one.append(moment[hidden == 1])
    return both, one


def _groups(pieces: Sequence[MomentPiece], units: int) -> Codes | None:
    """The group of each unit: those whose moments of pairs of hidden numbers are equal. None where there are many."""
    rows = np.concatenate([np.zeros((1, units)), *(part for piece in pieces for part in _sorted_rows(piece)[0])])
    varying = rows[(rows != rows[:, :1]).any(axis=1)]
    kind: Codes = np.zeros(units, dtype=np.intp)
    for row in varying:
        _, code = np.unique(row, return_inverse=True)
        _, kind = np.unique(kind * (code.max() + 1) + code.ravel(), return_inverse=True)
        kind = kind.ravel().astype(np.intp)
        if kind.max() + 1 > units // WORTH:
            return None
    return kind


def _pooled(method: GaussianMethod, pieces: Sequence[MomentPiece], group: Codes, counted: Array) -> Pooled | None:
    features = np.concatenate([np.zeros((1, len(group))), *(p for piece in pieces for p in _sorted_rows(piece)[1])])
    features = np.unique(features, axis=0)
    order = np.argsort(group, kind="stable")
    starts = np.searchsorted(group[order], np.arange(group.max() + 2))
    found: list[Standing] = []
    for number in range(group.max() + 1):
        members = order[starts[number] : starts[number + 1]]
        found.append(_standing(features[:, members], members, counted[members]))
        if sum(len(item.weights) for item in found) > len(group) // WORTH:
            return None
    group_of_few = np.repeat(np.arange(len(found)), [len(item.weights) for item in found])
    count = len(group_of_few)

    rows = Rows(np.arange(count + 1), None, None)
    small: list[Any] = []
    for piece in method.pieces:
        if isinstance(piece, MomentPiece):
            moments = {
                pair: np.concatenate([item.of(moment) for item in found], axis=1)
                for pair, moment in piece.moments.items()
            }
            small.append(FewMomentPiece(piece.plain, piece.columns, piece.overs, moments))
        else:
            assert isinstance(piece, VectorPiece)
            small.append(replace(piece, rows=rows))
    ties = method.ties
    assert isinstance(ties, UnitTies) and method.laws is not None
    shape = (ties.shape[0], count)
    laws = replace(method.laws, shape=shape)
    return Pooled(
        method, GaussianMethod(tuple(small), method.own_laws, UnitTies(ties.order, shape), laws),
        np.concatenate([item.weights for item in found]), group, group_of_few, counted,
    )  # fmt: skip


@dataclass(frozen=True)
class Standing:
    """How a few units stand for the `members` of a group: whatever is a number of each unit becomes one of each of the
    few, `mean +- sqrt(r) * its products with r directions`, which keeps weighted means and second moments of what spans
    the directions. `share` `(members,)` are weights that sum to 1, `features` `(f, members)` centred and scaled, times
    the roots of these, `directions` `(r, f)`; `total` is the weight of all.
    """

    members: Codes
    share: Array
    features: Array
    directions: Array
    total: float

    @property
    def weights(self) -> Array:
        """Of the few."""
        count = max(2 * len(self.directions), 1)
        return np.full(count, self.total / count)

    def of(self, values: Array) -> Array:
        """`values` `(n, units)` of the few, `(n, few)`."""
        own = values[:, self.members]
        mean = (own @ self.share)[:, None]
        r = len(self.directions)
        if not r:
            return mean
        root = np.sqrt(self.share)
        offsets = np.sqrt(r) * (((own - mean) * root) @ self.features.T) @ self.directions.T
        return np.concatenate([mean + offsets, mean - offsets], axis=1)


def _standing(features: Array, members: Codes, weights: Array) -> Standing:
    """The few units for some, by the singular vectors of the `features` `(f, members)` that these show."""
    total = max(float(weights.sum()), 1e-300)
    share = weights / total
    centred = (features - (features @ share)[:, None]) * np.sqrt(share)
    scale = np.sqrt((centred**2).sum(axis=1))
    moving = scale > FLAT * np.abs(features).max(axis=1)
    kept = centred[moving] / scale[moving][:, None]
    if not len(kept):
        return Standing(members, share, kept, np.zeros((0, 0)), total)
    values, vectors = np.linalg.eigh(kept @ kept.T)
    large = values > FLAT * values[-1]
    return Standing(members, share, kept, (vectors[:, large] / np.sqrt(values[large])).T, total)
