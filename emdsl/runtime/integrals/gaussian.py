"""Gaussian integrals over a few hidden variables in each of many units."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emdsl.runtime.problem import Array

LOG_2PI = float(np.log(2 * np.pi))
#: A conditional variance below this share of the variance is rounding.
NOTHING = 1e-15


@dataclass(frozen=True)
class UnitGaussian:
    """The posterior of d variables in each cell and unit: `mean` `(d, *cells, units)`, `covariance` `(d, d, *cells,
    units)`.
    """

    mean: Array
    covariance: Array

    @property
    def spread(self) -> Array:
        """Standard deviations `(d, *cells, units)`."""
        return np.asarray(np.sqrt(np.stack([self.covariance[i, i] for i in range(len(self.mean))])))

    def draw(self, rng: np.random.Generator) -> Array:
        """`(d, *cells, units)`: one draw for each unit."""
        root = covariance_root(self.covariance)
        noise = rng.standard_normal(self.mean.shape)
        return np.asarray(self.mean + np.einsum("ij...,j...->i...", root, noise))


def sigma_points(mean: Array, covariance: Array) -> Array:
    """`(q, *cells, 2 q, units)`: points of equal weight with this mean `(q, *cells, units)` and covariance `(q, q,
    *cells, units)`.

    Averages over them are exact for quadratics (the cubature rule of degree 3, Arasaratnam and Haykin 2009).
    """
    if not len(mean):
        return np.zeros((*mean.shape[:-1], 1, mean.shape[-1]))
    offsets = np.sqrt(len(mean)) * np.moveaxis(covariance_root(covariance), 1, -2)  # (q, *cells, q, units)
    centre = mean[..., None, :]
    return np.concatenate([centre + offsets, centre - offsets], axis=-2)


def integrate(centre: Array, value: Array, gradient: Array, hessian: Array) -> tuple[Array, UnitGaussian]:
    """The log-integral `(*cells, units)` of `exp(value + g'(h - centre) + 1/2 (h - centre)' H (h - centre))`, and the
    normal law that it is proportional to. Raises LinAlgError where H is not negative definite.
    """
    d = len(centre)
    if d == 1:
        precision = -hessian[0, 0]
        if not (precision > 0).all():
            raise np.linalg.LinAlgError("the law of a hidden variable has no finite integral")
        shift = gradient[0] / precision
        evidence = value + 0.5 * gradient[0] * shift + 0.5 * (LOG_2PI - np.log(precision))
        return evidence, UnitGaussian((centre[0] + shift)[None], (1.0 / precision)[None, None])
    matrices = np.moveaxis(-hessian, (0, 1), (-2, -1))
    if not np.isfinite(matrices).all():
        raise np.linalg.LinAlgError("the law of hidden variables has no finite integral")
    # Scaled to a unit diagonal: precisions of variables in different units differ by orders of magnitude.
    scale = np.sqrt(np.maximum(np.diagonal(matrices, axis1=-2, axis2=-1), 1e-300))
    factor = np.linalg.cholesky(matrices / (scale[..., :, None] * scale[..., None, :]))
    inverse_factor = np.linalg.inv(factor)
    covariance = np.swapaxes(inverse_factor, -1, -2) @ inverse_factor / (scale[..., :, None] * scale[..., None, :])
    slope = np.moveaxis(gradient, 0, -1)
    shift = (covariance @ slope[..., None])[..., 0]
    logdet = 2 * (np.log(np.diagonal(factor, axis1=-2, axis2=-1)) + np.log(scale)).sum(axis=-1)
    evidence = value + 0.5 * (slope * shift).sum(axis=-1) + 0.5 * (d * LOG_2PI - logdet)
    law = UnitGaussian(centre + np.moveaxis(shift, -1, 0), np.moveaxis(covariance, (-2, -1), (0, 1)))
    return evidence, law


def covariance_root(covariance: Array) -> Array:
    """`(q, q, *cells, units)`: lower triangular roots. A variance of 0 has the root 0, as has one that is rounding."""
    q = len(covariance)
    if q == 1:
        return np.sqrt(np.maximum(covariance, 0.0))
    root = np.zeros_like(covariance)
    for i in range(q):
        left = covariance[i, i] - (root[i, :i] ** 2).sum(axis=0)
        root[i, i] = np.sqrt(np.where(left > NOTHING * covariance[i, i], left, 0.0))
        with np.errstate(divide="ignore", invalid="ignore"):
            for j in range(i + 1, q):
                rest = covariance[j, i] - (root[j, :i] * root[i, :i]).sum(axis=0)
                root[j, i] = np.where(root[i, i] > 0, rest / root[i, i], 0.0)
    return root
