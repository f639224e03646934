"""Gaussian integrals in which the laws of hidden numbers enter by mean and variance: a variance of 0 is ordinary.

With `h = c + A h + e`, `e` normal with covariance S, and a quadratic q(h) of everything else, the joint mode solves

    [ P  M' ] [h]   [.]
    [ M  -S ] [r] = [.],      M = 1 - A,  P minus the second derivatives of q,

with a multiplier r for each law. No precision of a law occurs: S may be singular or 0. The inverse of the matrix holds
the posterior covariance of h, and the derivatives of the log-integral in c and S are r and (r r' - W)/2, W being its
last block with the sign turned (the disturbance smoother of Koopman 1993; de Jong and Shephard 1995).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from emdsl.runtime.integrals.gaussian import UnitGaussian, covariance_root
from emdsl.runtime.problem import Array


@dataclass(frozen=True)
class Innovations:
    """`h = mean + sum over lags l of ties[l] h(l steps before) + e`, e normal with `covariance`.

    `mean` `(d, *cells, n)`, `covariance` `(d, d, *cells, n)`, `ties[l]` `(d, d, *cells, n)` (None: 0), those of lag 0
    without cycles; `constant` `(*cells, n)` is what the log-densities have besides. n may be 1 where all are alike.
    """

    mean: Array
    covariance: Array
    ties: tuple[Array | None, ...]
    constant: Array

    @cached_property
    def variances(self) -> Array:
        """`(d, *cells, n)`."""
        return np.stack([self.covariance[i, i] for i in range(len(self.mean))])


@dataclass(frozen=True)
class Multipliers:
    """Of t laws: `mean` `(t, *cells, n)`, `curvature` `(t, t, *cells, n)` (W), and `cross` `(q, t, *cells, n)`, the
    covariance of q hidden numbers with them.
    """

    mean: Array
    curvature: Array
    cross: Array


@dataclass(frozen=True)
class WhitenedUnits(UnitGaussian):
    """The posterior of the numbers of each unit, and all that their multipliers follow from: `precision` P, `total` the
    covariance of h before anything is seen, `response` dh/dc (None: 1), `pull` the multipliers of h as a whole.
    """

    precision: Array
    total: Array
    response: Array | None
    pull: Array

    @property
    def width(self) -> Array:
        """How far a number may move before the rest of the log-joint says so, `(d, *cells, units)`; where it says
        nothing, its own spread.
        """
        own = np.stack([self.precision[i, i] for i in range(len(self.mean))])
        spread = self.spread
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(own > 0, 1.0 / np.sqrt(own), np.where(spread > 0, spread, 1.0))

    @cached_property
    def multipliers(self) -> Multipliers:
        """Of every law."""
        d = len(self.mean)
        if d == 1:
            share = 1.0 / (1.0 + self.precision * self.total)
            return Multipliers(self.pull, self.precision * share, share)
        p, s = _behind(self.precision), _behind(self.total)
        k = np.eye(d) + p @ s
        curvature = np.linalg.solve(k, np.broadcast_to(p, k.shape))
        cross = np.swapaxes(np.linalg.inv(k), -1, -2)
        pull = np.moveaxis(self.pull, 0, -1)
        if self.response is not None:
            n = _behind(self.response)
            pull = (np.swapaxes(n, -1, -2) @ pull[..., None])[..., 0]
            curvature, cross = np.swapaxes(n, -1, -2) @ curvature @ n, cross @ n
        return Multipliers(np.moveaxis(pull, -1, 0), _before(curvature), _before(cross))


def integrate(
    centre: Array, value: Array, gradient: Array, hessian: Array, laws: Innovations
) -> tuple[Array, WhitenedUnits]:
    """The log-integral `(*cells, units)` of the laws' densities times `exp(value + g'(h - centre) + 1/2 (h - centre)' H
    (h - centre))`, and the posterior. Raises LinAlgError where it is infinite.
    """
    d = len(centre)
    value = value + laws.constant
    if d == 1:
        precision, total = -hessian, np.broadcast_to(laws.covariance, hessian.shape)
        apart = laws.mean[0] - centre[0]
        share = precision[0, 0] * total[0, 0]
        if not (1.0 + share > 0).all():
            raise np.linalg.LinAlgError("the law of a hidden variable has no finite integral")
        pull = (gradient[0] - precision[0, 0] * apart) / (1.0 + share)
        shift = apart + total[0, 0] * pull
        evidence = value + 0.5 * (gradient[0] * shift + apart * pull) - 0.5 * np.log1p(share)
        covariance = total / (1.0 + share)
        return evidence, WhitenedUnits(centre + shift[None], covariance, precision, total, None, pull[None])
    return _integrate_several(centre, value, gradient, hessian, laws)


def _integrate_several(
    centre: Array, value: Array, gradient: Array, hessian: Array, laws: Innovations
) -> tuple[Array, WhitenedUnits]:
    mean, total, response = _joint(laws)
    p = _behind(-hessian)
    if not (np.isfinite(p).all() and np.isfinite(total).all()):
        raise np.linalg.LinAlgError("the law of hidden variables has no finite integral")
    d = len(centre)
    root = _behind(covariance_root(total))
    left = np.swapaxes(root, -1, -2)
    factor = np.linalg.cholesky(left @ p @ root + np.eye(d))
    half = np.linalg.solve(factor, np.broadcast_to(left, factor.shape))
    covariance = np.swapaxes(half, -1, -2) @ half
    apart = np.moveaxis(np.broadcast_to(mean - centre, centre.shape), 0, -1)
    slope = np.moveaxis(gradient, 0, -1)
    there = slope - (p @ apart[..., None])[..., 0]
    shift = apart + (covariance @ there[..., None])[..., 0]
    pull: Array = np.asarray(np.linalg.solve(np.eye(d) + p @ _behind(total), there[..., None])[..., 0])
    logdet = np.log(np.diagonal(factor, axis1=-2, axis2=-1)).sum(axis=-1)
    evidence = value + 0.5 * ((slope * shift).sum(axis=-1) + (apart * pull).sum(axis=-1)) - logdet
    full = np.broadcast_to(total, hessian.shape)
    return evidence, WhitenedUnits(
        centre + np.moveaxis(shift, -1, 0), _before(covariance), -hessian, full, response, np.moveaxis(pull, -1, 0)
    )


def _joint(laws: Innovations) -> tuple[Array, Array, Array | None]:
    """Mean and covariance of all numbers of a unit together, and their response to the means of their laws."""
    if laws.ties[0] is None:
        return laws.mean, laws.covariance, None
    ties = _behind(laws.ties[0])
    response = np.linalg.inv(np.eye(ties.shape[-1]) - ties)
    mean = np.moveaxis((response @ np.moveaxis(laws.mean, 0, -1)[..., None])[..., 0], -1, 0)
    covariance = response @ _behind(laws.covariance) @ np.swapaxes(response, -1, -2)
    return mean, _before(covariance), _before(response)


def _behind(matrices: Any) -> Array:
    """`(d, d, *cells, n)` as `(*cells, n, d, d)`."""
    return np.asarray(np.moveaxis(matrices, (0, 1), (-2, -1)), dtype=np.float64)


def _before(matrices: Any) -> Array:
    """The way back."""
    return np.asarray(np.moveaxis(matrices, (-2, -1), (0, 1)), dtype=np.float64)
