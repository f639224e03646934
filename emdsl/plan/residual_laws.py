"""The law of a hidden vector whose mean or covariance is a formula, by mean and variance, with the score in its
parameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdsl.plan.law_parts import MultiplierLaw, Part, pulled_points
from emdsl.plan.residual_piece import ResidualPiece
from emdsl.plan.vectors import COVARIANCE, MEAN
from emdsl.runtime.integrals.gaussian import LOG_2PI
from emdsl.runtime.problem import Array, Theta


@dataclass(frozen=True)
class ResidualLaw:
    """`slots` `(d,)` are the places of the vector's numbers among the hidden ones, `applies` `(d, *cells, rows or 1)`
    marks where the law holds.
    """

    piece: ResidualPiece
    slots: NDArray[np.intp]
    applies: NDArray[np.bool_]
    offsets: Mapping[str, int]

    @property
    def parents(self) -> tuple[int, ...]:
        """The places among the piece's sites of the other hidden numbers that its mean looks at."""
        return tuple(k for k in range(len(self.piece.sites)) if k not in self.piece.own)

    def at(self, theta: Theta, v: Array) -> Part:
        """Mean, covariance and ties; the residual of a hidden vector is it less its mean."""
        piece, d = self.piece, self.piece.d
        found = piece.residuals(theta, v)
        mean = self._where_it_holds(-found.start)
        ties: dict[Any, Array] = {}
        for k in self.parents:
            tie = self._where_it_holds(found.slopes[k])
            if tie.any():
                ties[piece.sites[k]] = tie
        second = np.moveaxis(piece.covariance_at(theta, v), (-3, -2), (0, 1))
        covariance = np.where(self.applies, second, 0.0)
        constant = np.where(self.applies[0], piece.constant + 0.5 * d * LOG_2PI, 0.0)
        return Part(self.slots, mean, covariance, ties, constant)

    def _where_it_holds(self, values: Array) -> Array:
        """`values` `(*cells, d, rows or 1)` as `(d, *cells, rows or 1)`, 0 elsewhere."""
        return np.where(self.applies, np.moveaxis(values, -2, 0), 0.0)

    def gradient(self, theta: Theta, v: Array, law: MultiplierLaw, weights: Array, out: Array) -> None:
        """Adds the score: `E[r' dm]` in the mean, `(r r' - W)/2` in the covariance."""
        piece = self.piece
        found = law.innovations(self.slots.tolist(), piece.sites)
        weights = np.where(self.applies[0], weights, 0.0)
        bend = 0.5 * weights * (found.mean[:, None] * found.mean[None, :] - found.curvature)
        bend = np.moveaxis(bend, (0, 1), (-3, -2))
        if piece.gaussian is not None:
            place = piece.gaussian.covariance
            slope = place.scatter(bend.sum(axis=-1))
            out[self.offsets[place.parameter] : self.offsets[place.parameter] + slope.size] += slope.ravel()
            return  # no parameter stands in the mean
        for addend in piece.addends(COVARIANCE):
            addend.pull(np.expand_dims(bend, -4), theta, v, out)
        mean, _ = law.marginal(piece.sites)
        pulls, here = weights * found.mean, mean[..., None, :]
        points, shares = here, pulls[..., None, :]
        if self.parents:
            points, shares = pulled_points(here, found, pulls, weights)
        for addend in piece.addends(MEAN, points):
            addend.pull(np.moveaxis(shares, 0, -2), theta, v, out)
