"""Random vectors that are spread evenly: each shell around the origin is met as often as any other.

Their distances from the origin are stratified, in independent batches, so that the error of a mean is seen between
these. Weights of draws from a law much like the posterior vary with the distance above all.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def upper_tails(shape: tuple[int, ...], batches: int, rng: np.random.Generator) -> Array:
    """Uniform numbers in (0, 1] of the shape `(..., draws, units)`; draw k belongs to batch k % batches, and in each
    batch a unit has one number in each of draws / batches equal intervals.
    """
    *lead, draws, units = shape
    count = draws // batches
    strata = rng.permuted(
        np.broadcast_to(np.arange(count)[:, None, None], (*lead, count, batches, units)), axis=len(lead)
    )
    return np.asarray((count - strata - rng.random(strata.shape)) / count).reshape(shape)


def stratified_vectors(
    shape: tuple[int, ...], freedom: float, batches: int, rng: np.random.Generator
) -> Array:  # fmt: skip
    """Vectors `(d, ..., draws, units)` of Student's law with so many degrees of freedom (infinite: normal) around 0,
    their squared lengths, d times a number of the law F(d, freedom), stratified as `upper_tails`.
    """
    from scipy.special import fdtri, gammainccinv

    d = shape[0]
    directions = rng.standard_normal(shape)
    tails = upper_tails(shape[1:], batches, rng)
    with np.errstate(divide="ignore"):
        squares = 2.0 * gammainccinv(0.5 * d, tails) if np.isinf(freedom) else d / fdtri(freedom, d, tails)
    return np.asarray(directions * np.sqrt(squares / (directions**2).sum(axis=0)))
