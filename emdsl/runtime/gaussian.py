"""Gaussian pieces: log-densities and moments of a vector, as products with the monomials of its centred, scaled
columns.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emdsl.runtime.problem import Array

#: From this many columns on, triangular solves by cell beat the d (d + 1) / 2 monomials.
MANY_COLUMNS = 64


@dataclass
class GaussianData:
    """The columns of a vector observation, centred and scaled: `x` `(d, rows)`; `centre`, `scale` `(d,)`."""

    x: Array
    centre: Array
    scale: Array
    hidden: tuple[int, ...]
    constant: float

    @property
    def d(self) -> int:
        """Number of columns."""
        return len(self.x)

    @property
    def monomials(self) -> int:
        """1, the columns, and their products `i <= j`."""
        return 1 + self.d + self.d * (self.d + 1) // 2

    def statistics(self, rows: slice) -> Array:
        """`(monomials, rows)`: 1, x, and for each i the products `x_i x_j`, j >= i."""
        x = self.x[:, rows]
        out = np.empty((self.monomials, x.shape[1]))
        out[0] = 1.0
        out[1 : self.d + 1] = x
        at = self.d + 1
        for i in range(self.d):
            np.multiply(x[i], x[i:], out=out[at : at + self.d - i])
            at += self.d - i
        return out

    def eta(self, mean: Array, covariance: Array) -> Array:
        """`(*hidden, monomials)`: coefficients of the log-density; NaN where a covariance is not positive definite."""
        m = (mean - self.centre) / self.scale
        c = covariance / (self.scale[:, None] * self.scale)
        shape = np.broadcast_shapes(m.shape[:-1], c.shape[:-2])
        m = np.broadcast_to(m, (*shape, self.d))
        c = np.broadcast_to(c, (*shape, self.d, self.d))
        chol, proper = cholesky_where_possible(c)
        root = np.linalg.solve(chol, np.broadcast_to(np.eye(self.d), c.shape))
        precision = np.swapaxes(root, -1, -2) @ root
        logdet = 2 * np.log(np.diagonal(chol, axis1=-2, axis2=-1)).sum(axis=-1)
        linear = (precision @ m[..., None])[..., 0]
        out = np.empty((*shape, self.monomials))
        out[..., 0] = self.constant - np.log(self.scale).sum() - 0.5 * (logdet + (linear * m).sum(axis=-1))
        if proper is not None:
            out[~proper, 0] = np.nan
        out[..., 1 : self.d + 1] = linear
        rows, columns = np.triu_indices(self.d)
        out[..., self.d + 1 :] = -precision[..., rows, columns] * np.where(rows == columns, 0.5, 1.0)
        return np.broadcast_to(out, (*self.hidden, self.monomials))

    def moments(self, statistics: Array) -> tuple[Array, Array, Array]:
        """`n`, first and second moments `(*hidden)`, `(*hidden, d)`, `(*hidden, d, d)`, about the centre, in units of
        the scale.
        """
        n = statistics[..., 0]
        first = statistics[..., 1 : self.d + 1]
        second = np.zeros((*n.shape, self.d, self.d))
        rows, columns = np.triu_indices(self.d)
        second[..., rows, columns] = statistics[..., self.d + 1 :]
        second[..., columns, rows] = statistics[..., self.d + 1 :]
        return n, first, second

    def residual(self, statistics: Array, mean: Array) -> tuple[Array, Array]:
        """`n` and `sum w (x - mean)(x - mean)'`, in the data's units."""
        n, first, second = self.moments(statistics)
        m = (mean - self.centre) / self.scale
        cross = first[..., :, None] * m[..., None, :]
        total = second - cross - np.swapaxes(cross, -1, -2) + n[..., None, None] * m[..., :, None] * m[..., None, :]
        return n, total * (self.scale[:, None] * self.scale)

    def first_moment(self, statistics: Array) -> tuple[Array, Array]:
        """`n` and `sum w x`, in the data's units."""
        n, first, _ = self.moments(statistics)
        return n, first * self.scale + n[..., None] * self.centre


def cholesky_where_possible(matrices: Array) -> tuple[Array, NDArray[np.bool_] | None]:
    """Cholesky factors, and which matrices have one (None: all); the others get the identity."""
    try:
        return np.asarray(np.linalg.cholesky(matrices), dtype=np.float64), None
    except np.linalg.LinAlgError:
        pass
    factors = np.broadcast_to(np.eye(matrices.shape[-1]), matrices.shape).copy()
    proper = np.zeros(matrices.shape[:-2], dtype=bool)
    for place in np.ndindex(*proper.shape):
        with suppress(np.linalg.LinAlgError):
            factors[place] = np.linalg.cholesky(matrices[place])
            proper[place] = True
    return factors, proper


@dataclass
class GaussianTable:
    """A Gaussian piece at one theta."""

    data: GaussianData
    eta: Array
    kept: Array | None = None

    def accumulator(self) -> Array:
        """What `collect` adds to."""
        return np.zeros_like(self.eta)

    def collect(self, sums: Array, adjoint: Array, rows: slice) -> None:
        """Adds the expected monomials of some rows; follows `forward` of the same rows."""
        sums += self.reverse(adjoint, rows)

    def expected(self, sums: Array) -> Array:
        """Expected monomials `(*hidden, monomials)` of all rows."""
        return sums

    def forward(self, rows: slice) -> Array:
        """Log-densities `(*hidden, rows)`."""
        self.kept = self.data.statistics(rows)
        out: Array = self.eta.reshape(-1, self.eta.shape[-1]) @ self.kept
        return out.reshape(*self.data.hidden, out.shape[-1])

    def reverse(self, adjoint: Array, rows: slice) -> Array:
        """Expected monomials `(*hidden, monomials)`; follows `forward` of the same rows."""
        kept = self.kept if self.kept is not None else self.data.statistics(rows)
        out: Array = adjoint.reshape(-1, adjoint.shape[-1]) @ kept.T
        return out.reshape(*self.data.hidden, out.shape[-1])
