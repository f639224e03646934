"""Adaptive quadrature around the mode of each unit: Gauss-Hermite (Pinheiro and Bates 1995), and, for laws that are cut
off or have heavy tails, the trapezoidal rule after `z = sinh(u)`, which makes any tail fall off faster than an
exponential (Takahasi and Mori 1974).
"""

from __future__ import annotations

from itertools import product

import numpy as np

from emdsl.runtime.problem import Array


def nodes(d: int, count: int) -> tuple[Array, Array]:
    """`(points, d)` nodes for a standard normal shape, and the logarithms of their weights for an integral over all of
    space (not times the density): `sum_k exp(w_k) f(m + L z_k) |L|`.
    """
    x, w = np.polynomial.hermite.hermgauss(count)
    z, log_w = np.sqrt(2.0) * x, np.log(w) + x**2 + 0.5 * np.log(2.0)
    grid = np.array(list(product(z, repeat=d)))
    logs = np.array([sum(item) for item in product(log_w, repeat=d)])
    return grid, logs


def sinh_nodes(d: int, count: int, reach: float) -> tuple[Array, Array]:
    """As `nodes`, evenly spaced in `u`, `z = sinh(u)` up to `reach` on both sides."""
    u = np.linspace(-np.arcsinh(reach), np.arcsinh(reach), count)
    z, log_w = np.sinh(u), np.log(np.cosh(u)) + np.log(u[1] - u[0])
    grid = np.array(list(product(z, repeat=d)))
    logs = np.array([sum(item) for item in product(log_w, repeat=d)])
    return grid, logs


def placed(mean: Array, root: Array, grid: Array) -> Array:
    """`(d, *cells, points, units)`: the nodes around `mean` `(d, *cells, units)` with the root `(d, d, *cells,
    units)`.
    """
    offsets = np.einsum("ij...u,pj->i...pu", root, grid)
    return np.asarray(mean[..., None, :] + offsets)
