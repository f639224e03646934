"""Covariance and correlation matrices: free coordinates through Cholesky factors and partial correlations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emdsl.runtime.domain_scalars import exp_or_zero, safe_log
from emdsl.runtime.problem import Array


def cholesky_or_nearest(matrices: Array) -> Array:
    """Lower Cholesky factors `(n, d, d)`; a matrix on the edge of being positive definite is lifted by rounding
    error."""
    try:
        return np.asarray(np.linalg.cholesky(matrices))
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(matrices)
        floor = np.maximum(1e-14 * np.abs(values).max(axis=1, keepdims=True), 1e-300)
        root = vectors * np.sqrt(np.maximum(values, floor))[:, None, :]
        upper = np.stack([np.linalg.qr(item.T, mode="r") for item in root])
        sign = np.where(np.diagonal(upper, axis1=1, axis2=2) < 0, -1.0, 1.0)
        return np.swapaxes(upper * sign[:, :, None], 1, 2)


@dataclass(frozen=True, eq=False)
class CovarianceMap:
    """Covariance matrices without fixed elements, `where` (n, d, d) their flat positions.

    Sigma = L L'; u are the elements of L below the diagonal and the logarithms of those on it (log-Cholesky, Pinheiro
    and Bates 1996), row by row.
    """

    where: NDArray[np.intp]

    @property
    def lower(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Rows and columns of the lower triangle."""
        return np.tril_indices(self.where.shape[1])

    @property
    def size(self) -> int:
        """How many coordinates."""
        n, d, _ = self.where.shape
        return int(n * d * (d + 1) // 2)

    def free(self, x: Array) -> Array:
        """Coordinates of the flat array x."""
        rows, columns = self.lower
        factor = cholesky_or_nearest(x[self.where])[:, rows, columns]
        return np.where(rows == columns, safe_log(factor), factor).ravel()

    def write(self, u: Array, out: Array) -> None:
        """The elements at coordinates u, into the flat array out."""
        rows, columns = self.lower
        entries = u.reshape(len(self.where), -1)
        factor = np.zeros(self.where.shape)
        factor[:, rows, columns] = np.where(rows == columns, exp_or_zero(entries), entries)
        out[self.where] = factor @ np.swapaxes(factor, 1, 2)

    def pullback(self, x: Array, gradient: Array) -> Array:
        """Gradient in L is (G + G') L; on the diagonal times L_ii."""
        rows, columns = self.lower
        factor = cholesky_or_nearest(x[self.where])
        entries = gradient[self.where]
        inner = ((entries + np.swapaxes(entries, 1, 2)) @ factor)[:, rows, columns]
        return np.where(rows == columns, inner * factor[:, rows, columns], inner).ravel()

    def jacobian(self, x: Array) -> Array:
        """dx/du, `(x.size, size)`: dSigma_ij / dL_ab = 1{i=a} L_jb + 1{j=a} L_ib."""
        rows, columns = self.lower
        factors = cholesky_or_nearest(x[self.where])
        out = np.zeros((x.size, len(self.where), len(rows)))
        for unit, factor in enumerate(factors):
            for k, (a, b) in enumerate(zip(rows, columns, strict=True)):
                change = np.zeros_like(factor)
                change[a] = factor[:, b]
                change = (change + change.T) * (factor[a, a] if a == b else 1.0)
                out[self.where[unit], unit, k] = change
        return out.reshape(x.size, -1)

    def edge(self, x: Array) -> NDArray[np.bool_]:
        """Diagonal coordinates whose conditional variance is below 1e-10 of the variance: a singular matrix."""
        rows, columns = self.lower
        matrices = x[self.where]
        factor = cholesky_or_nearest(matrices)[:, rows, columns]
        variance = np.diagonal(matrices, axis1=1, axis2=2)[:, rows]
        return np.asarray((rows == columns) & (factor**2 <= 1e-10 * variance)).ravel()

    @property
    def closed_below(self) -> NDArray[np.bool_]:
        """The diagonal: a conditional variance may be 0."""
        rows, columns = self.lower
        return np.tile(rows == columns, len(self.where))

    @property
    def closed_above(self) -> NDArray[np.bool_]:
        """Nowhere."""
        return np.zeros(self.size, dtype=bool)

    @property
    def scale_free(self) -> NDArray[np.bool_]:
        """The diagonal."""
        return self.closed_below

    @property
    def elements(self) -> NDArray[np.intp]:
        """The flat position that each coordinate is named after."""
        rows, columns = self.lower
        return self.where[:, rows, columns].ravel()

    def touched(self, held: NDArray[np.bool_]) -> NDArray[np.intp]:
        """The variances whose conditional variance is 0."""
        return self.elements[held]


@dataclass(frozen=True, eq=False)
class CorrelationMap:
    """Correlation matrices without fixed elements off the diagonal, `where` (n, d, d) their flat positions.

    Row i of the Cholesky factor is built from partial correlations z_ij = tanh(u_ij), j < i (Lewandowski, Kurowicka
    and Joe 2009): L_ij = z_ij prod_{k<j} sqrt(1 - z_ik^2), L_ii = prod_{k<i} sqrt(1 - z_ik^2).
    """

    where: NDArray[np.intp]

    @property
    def below(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Rows and columns strictly below the diagonal."""
        return np.tril_indices(self.where.shape[1], -1)

    @property
    def size(self) -> int:
        """How many coordinates."""
        n, d, _ = self.where.shape
        return int(n * d * (d - 1) // 2)

    def partial(self, x: Array) -> Array:
        """Partial correlations `(n, d, d)`, strictly lower triangle."""
        factor = cholesky_or_nearest(x[self.where])
        left = 1.0 - np.concatenate([np.zeros((*factor.shape[:2], 1)), np.cumsum(factor**2, axis=2)[:, :, :-1]], axis=2)
        z = np.tril(factor / np.sqrt(np.maximum(left, 1e-300)), -1)
        return np.clip(z, -1.0, 1.0)

    def free(self, x: Array) -> Array:
        """Coordinates of the flat array x."""
        rows, columns = self.below
        z = self.partial(x)[:, rows, columns]
        return (0.5 * (safe_log(1 + z) - safe_log(1 - z))).ravel()

    def factor(self, z: Array) -> Array:
        """Cholesky factors from partial correlations."""
        left = np.sqrt(np.maximum(1.0 - z**2, 0.0))
        product = np.cumprod(np.concatenate([np.ones((*z.shape[:2], 1)), left[:, :, :-1]], axis=2), axis=2)
        return np.tril((z + np.eye(z.shape[1])) * product)

    def write(self, u: Array, out: Array) -> None:
        """The elements at coordinates u, into the flat array out."""
        rows, columns = self.below
        z = np.zeros(self.where.shape)
        z[:, rows, columns] = np.tanh(u.reshape(len(self.where), -1))
        factor = self.factor(z)
        matrix = factor @ np.swapaxes(factor, 1, 2)
        diagonal = np.arange(matrix.shape[1])
        matrix[:, diagonal, diagonal] = 1.0
        out[self.where] = matrix

    def jacobian(self, x: Array) -> Array:
        """dx/du, `(x.size, size)`: u_ij moves L_ij by L_jj-like product (1 - z^2) and L_ik, k > j, by -L_ik z_ij."""
        rows, columns = self.below
        z_all = self.partial(x)
        factors = self.factor(z_all)
        out = np.zeros((x.size, len(self.where), len(rows)))
        for unit, (factor, z) in enumerate(zip(factors, z_all, strict=True)):
            product = np.cumprod(np.concatenate([np.ones((len(z), 1)), np.sqrt(1 - z[:, :-1] ** 2)], axis=1), axis=1)
            for k, (a, b) in enumerate(zip(rows, columns, strict=True)):
                move = np.zeros(len(z))
                move[b] = product[a, b] * (1 - z[a, b] ** 2)
                move[b + 1 : a + 1] = -factor[a, b + 1 : a + 1] * z[a, b]
                change = np.zeros_like(factor)
                change[a] = factor @ move
                change[a, a] = 0.0
                out[self.where[unit], unit, k] = change + change.T
        return out.reshape(x.size, -1)

    def pullback(self, x: Array, gradient: Array) -> Array:
        """Gradient in u from the gradient in x (flat)."""
        return self.jacobian(x).T @ gradient

    def edge(self, x: Array) -> NDArray[np.bool_]:
        """Partial correlations at -1 or 1."""
        rows, columns = self.below
        return np.asarray(1.0 - np.abs(self.partial(x)[:, rows, columns]) < 1e-8).ravel()

    @property
    def closed_below(self) -> NDArray[np.bool_]:
        """Everywhere."""
        return np.ones(self.size, dtype=bool)

    @property
    def closed_above(self) -> NDArray[np.bool_]:
        """Everywhere."""
        return np.ones(self.size, dtype=bool)

    @property
    def scale_free(self) -> NDArray[np.bool_]:
        """Everywhere."""
        return np.ones(self.size, dtype=bool)

    @property
    def elements(self) -> NDArray[np.intp]:
        """The flat position that each coordinate is named after."""
        rows, columns = self.below
        return self.where[:, rows, columns].ravel()

    def touched(self, held: NDArray[np.bool_]) -> NDArray[np.intp]:
        """Both places of a correlation whose partial correlation is -1 or 1."""
        rows, columns = self.below
        return np.concatenate([self.elements[held], self.where[:, columns, rows].ravel()[held]])


@dataclass(frozen=True, eq=False)
class PatternedMatrixMap:
    """One covariance or correlation matrix some of whose elements are fixed (a diagonal one, for example).

    u are the logarithms of the free variances and, for a free element off the diagonal, atanh of the correlation. Not
    every u gives a positive definite matrix; where it does not, the likelihood is no number and the step is refused.
    `free_cells` (d, d) is symmetric.
    """

    where: NDArray[np.intp]
    free_cells: NDArray[np.bool_]

    @property
    def cells(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Rows and columns of the free elements, lower triangle."""
        rows, columns = np.nonzero(np.tril(self.free_cells))
        return rows, columns

    @property
    def size(self) -> int:
        """How many coordinates."""
        return len(self.cells[0])

    def free(self, x: Array) -> Array:
        """Coordinates of the flat array x."""
        rows, columns = self.cells
        matrix = x[self.where]
        sd = np.sqrt(np.maximum(np.diag(matrix), 1e-300))
        r = np.clip((matrix / np.outer(sd, sd))[rows, columns], -1, 1)
        return np.where(rows == columns, safe_log(np.diag(matrix)[rows]), 0.5 * (safe_log(1 + r) - safe_log(1 - r)))

    def write(self, u: Array, out: Array) -> None:
        """The elements at coordinates u, into the flat array out (which holds the fixed elements)."""
        rows, columns = self.cells
        matrix = out[self.where]
        diagonal = rows == columns
        matrix[rows[diagonal], rows[diagonal]] = exp_or_zero(u[diagonal])
        sd = np.sqrt(np.diag(matrix))
        rows, columns = rows[~diagonal], columns[~diagonal]
        matrix[rows, columns] = matrix[columns, rows] = np.tanh(u[~diagonal]) * sd[rows] * sd[columns]
        out[self.where] = matrix

    def jacobian(self, x: Array) -> Array:
        """dx/du, `(x.size, size)`: a log variance also moves the free covariances of its row, by half of them."""
        matrix, out = x[self.where], np.zeros((x.size, self.size))
        sd = np.sqrt(np.diag(matrix))
        for k, (a, b) in enumerate(zip(*self.cells, strict=True)):
            change = np.zeros_like(matrix)
            if a == b:
                change[a] = change[:, a] = np.where(self.free_cells[a], 0.5 * matrix[a], 0.0)
                change[a, a] = matrix[a, a]
            else:
                slope = sd[a] * sd[b] - matrix[a, b] ** 2 / (sd[a] * sd[b])
                change[a, b] = change[b, a] = slope
            out[self.where, k] = change
        return out

    def pullback(self, x: Array, gradient: Array) -> Array:
        """Gradient in u from the gradient in x (flat)."""
        return self.jacobian(x).T @ gradient

    def edge(self, x: Array) -> NDArray[np.bool_]:
        """Variances at 0 and correlations at -1 or 1."""
        rows, columns = self.cells
        u = self.free(x)
        return np.where(rows == columns, u < -230.0, np.abs(u) > 9.5)

    @property
    def closed_below(self) -> NDArray[np.bool_]:
        """Everywhere."""
        return np.ones(self.size, dtype=bool)

    @property
    def closed_above(self) -> NDArray[np.bool_]:
        """The correlations."""
        rows, columns = self.cells
        return np.asarray(rows != columns)

    @property
    def scale_free(self) -> NDArray[np.bool_]:
        """Everywhere."""
        return np.ones(self.size, dtype=bool)

    @property
    def elements(self) -> NDArray[np.intp]:
        """The flat position that each coordinate is named after."""
        return self.where[self.cells]

    def touched(self, held: NDArray[np.bool_]) -> NDArray[np.intp]:
        """Both places of what is held."""
        rows, columns = self.cells
        return np.unique(np.concatenate([self.where[rows, columns][held], self.where[columns, rows][held]]))
