"""Normal laws of vectors whose residual `r = start - sum_k slopes_k h_k` is affine in hidden numbers h.

Of a row that shows the columns o, with the inverse Cholesky factor L of `C_oo`, the log-density is
`c - (log det C_oo + |L r_o|^2)/2`: a quadratic in h with the gradient `(L b_k)'(L r)` and the second derivatives
`-(L b_k)'(L b_l)`, b the slopes. Missing columns are integrated out. What the update of C needs are the moments of r
under the posterior of h, those of missing columns by regression on the seen ones (Little & Rubin 2002, section 11.2).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from emdsl.runtime.gaussian_missing import Pattern, completed_moments
from emdsl.runtime.problem import Array
from emdsl.runtime.vector_density import seen_block


@dataclass(frozen=True)
class Residuals:
    """The residuals of the rows of `patterns`: `start` `(*cells, d, rows)` (NaN where a column is missing), `slopes`
    `(q, *cells, d, rows or 1)`. Axes of cells may have length 1.
    """

    patterns: tuple[Pattern, ...]
    start: Array
    slopes: Array

    @property
    def d(self) -> int:
        """Number of columns."""
        return int(self.start.shape[-2])

    def log_density(self, covariance: Array, constant: float, centre: Array) -> tuple[Array, Array, Array]:
        """Value `(*cells, rows)`, gradient `(q, *cells, rows)` and second derivatives `(q, q, *cells, rows)` of the
        log-density by row at `centre` `(q, *cells, rows)`; 0 for rows of no pattern. `covariance` `(*cells, d, d, rows
        or 1)`, `constant` is that of the log-density of a whole vector.
        """
        q, shape = len(centre), centre.shape[1:]
        value, gradient = np.zeros(shape), np.zeros((q, *shape))
        bend = np.zeros((q, q, *shape))
        for pattern in self.patterns:
            rows = pattern.rows
            root, logdet = seen_block(pattern, covariance)
            r, b = self.at(pattern, centre)
            pulled, slopes = _times(root, r), _times(root, b)
            left = constant + 0.5 * (self.d - len(pattern.seen)) * math.log(2 * math.pi)
            value[..., rows] = left - 0.5 * (logdet + (pulled**2).sum(axis=-2))
            gradient[..., rows] = (slopes * pulled).sum(axis=-2)
            for k in range(q):
                bend[k, ..., rows] = np.moveaxis(
                    np.broadcast_to(-(slopes[k] * slopes).sum(axis=-2), (q, *shape[:-1], len(rows))), -1, 0
                )
        return value, gradient, bend

    def at(self, pattern: Pattern, hidden: Array) -> tuple[Array, Array]:
        """The residuals `(*cells, o, rows)` of one pattern where the hidden numbers are `(q, *cells, rows)`, and their
        slopes with the sign of h, `(q, *cells, o, rows or 1)`.
        """
        slopes = self._taken(self.slopes, pattern)
        start = self._taken(self.start, pattern)
        return start - (slopes * hidden[..., None, pattern.rows]).sum(axis=0), slopes

    def _taken(self, array: Array, pattern: Pattern) -> Array:
        seen = array[..., pattern.seen, :]
        return seen[..., pattern.rows] if seen.shape[-1] > 1 else seen

    def moments(self, mean: Array, covariance: Array, weights: Array) -> SeenMoments:
        """Expected moments under a normal posterior: `mean` `(q, *cells, rows)`, `covariance` `(q, q, *cells, rows)`,
        `weights` `(*cells, rows)`.
        """
        found = []
        for pattern in self.patterns:
            r, b = self.at(pattern, mean)
            w = weights[..., None, pattern.rows]
            r = np.broadcast_to(r, (*weights.shape[:-1], *r.shape[-2:]))
            second = (w * r) @ np.swapaxes(r, -1, -2)
            own = w[..., 0, :] * covariance[..., pattern.rows]
            if b.shape[-1] == 1:
                total = own.sum(axis=-1)
                second = second + np.einsum("k...a,l...b,kl...->...ab", b[..., 0], b[..., 0], total)
            else:
                turned = (own[..., None, :] * b[None]).sum(axis=1)  # (q, *cells, o, rows)
                second = second + (turned @ np.swapaxes(b, -1, -2)).sum(axis=0)
            found.append((pattern, w[..., 0, :].sum(axis=-1), (w * r).sum(axis=-1), second))
        return SeenMoments(self.d, tuple(found))


def moments_at_points(patterns: Sequence[Pattern], residual: Array, weights: Array) -> SeenMoments:
    """Moments of residuals at weighted points: `residual` `(*cells, points, d, rows)`, `weights` `(*cells, points,
    rows)`.
    """
    found = []
    for pattern in patterns:
        r = residual[..., pattern.seen, :][..., pattern.rows]
        w = weights[..., None, pattern.rows]
        second = ((w * r) @ np.swapaxes(r, -1, -2)).sum(axis=-3)
        found.append((pattern, w[..., 0, :].sum(axis=(-2, -1)), (w * r).sum(axis=(-3, -1)), second))
    return SeenMoments(int(residual.shape[-2]), tuple(found))


@dataclass(frozen=True)
class SeenMoments:
    """For each pattern the number of its rows `(*cells,)` and the moments `(*cells, o)`, `(*cells, o, o)` of the
    residuals that they show.
    """

    d: int
    parts: tuple[tuple[Pattern, Array, Array, Array], ...]

    def monomials(self, covariance: Array) -> Array:
        """Expected monomials of whole residuals, `(*cells, monomials)`, the missing columns by regression at the
        covariance `(*cells, d, d)` of the E-step.
        """
        total: Array | float = 0.0
        rows, columns = np.triu_indices(self.d)
        for pattern, n, first, second in self.parts:
            if len(pattern.missing):
                shape = (*n.shape, self.d)
                full = np.broadcast_to(covariance, (*shape, self.d))
                first, second = completed_moments(pattern, np.zeros(shape), full, n, first, second)
            total = total + np.concatenate([n[..., None], first, second[..., rows, columns]], axis=-1)
        return np.asarray(total)


def _times(root: Array, vectors: Array) -> Array:
    """`root` `(*cells, o, o, rows or 1)` times `vectors` `(..., *cells, o, rows or 1)`."""
    if root.shape[-1] == 1:
        return np.asarray(root[..., 0] @ vectors)
    turned = np.moveaxis(root, -1, -3) @ np.moveaxis(vectors, -1, -2)[..., None]
    return np.asarray(np.moveaxis(turned[..., 0], -1, -2))
