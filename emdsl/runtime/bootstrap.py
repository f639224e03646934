"""Standard errors by resampling whole outermost units (Efron 1979; Efron & Tibshirani 1993, chapter 6)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from emdsl.runtime.convergence import converge
from emdsl.runtime.domains import Coordinates
from emdsl.runtime.em import evaluate_if_possible
from emdsl.runtime.information import Spectrum
from emdsl.runtime.problem import Array, Problem, Theta
from emdsl.runtime.uncertainty import Uncertainty, first_of_symmetric, natural_interval, normal_quantile, spread

#: Log-likelihood that a replicate may still have to gain: far below what two replicates differ by.
TOLERANCE = 1e-7
#: Iterations of a replicate, which starts at the estimate.
MOST_ITERATIONS = 2000
#: A replicate's stream of random numbers is told from those of the starts by this number.
STREAM = 7


def replicates(
    problem: Problem, theta: Theta, repeats: int, seed: int, arrange: Callable[[Theta], dict[str, Array]] | None
) -> tuple[Array, int]:
    """The estimates of each replicate, `(replicates, elements)`, and how many of `repeats` came to no maximum.

    `problem.resampled(rng)` is the problem with outermost units drawn with replacement. Each fit begins at theta, so
    that labels stay what they are; `arrange` puts them in order where the model asks for it.
    """
    resampled = getattr(problem, "resampled", None)
    if resampled is None:
        raise ValueError("the bootstrap needs units that can be resampled, which this model does not have")
    rows, failed = [], 0
    for number in range(repeats):
        sample = resampled(np.random.default_rng([seed, STREAM, number]))
        start = evaluate_if_possible(sample, theta)
        climb = None if start is None else converge(sample, start, tol=TOLERANCE, limit=MOST_ITERATIONS)
        if climb is None or not climb.converged:
            failed += 1
            continue
        found = climb.iterate.theta if arrange is None else arrange(climb.iterate.theta)
        rows.append(np.concatenate([np.ravel(found[space.name]) for space in problem.spaces]))
    return np.array(rows), failed


def bootstrap(coordinates: Coordinates, theta: Theta, drawn: Array, bend: Spectrum, level: float) -> Uncertainty:
    """Standard deviations and covariances over the replicates; `drawn` is as `replicates` gives it.

    Elements at a boundary have none: there the bootstrap is not consistent (Andrews 2000). `free_covariance` is the
    part of the covariance along the free coordinates, for the delta method.
    """
    covariance = np.cov(drawn, rowvar=False, ddof=1).reshape(drawn.shape[1], drawn.shape[1])
    inverse = np.linalg.pinv(coordinates.jacobian(theta))
    wald = spread(coordinates, theta, inverse @ covariance @ inverse.T, bend, "bootstrap", level)
    errors = np.sqrt(np.diag(covariance))
    quantile, offsets = normal_quantile(level), coordinates.offsets
    se, interval = {}, {}
    for number, space in enumerate(coordinates.spaces):
        part = errors[offsets[number] : offsets[number + 1]].reshape(space.shape)
        se[space.name] = np.where(np.isfinite(wald.se[space.name]), part, np.nan)
        value = np.asarray(theta[space.name], dtype=float)
        interval[space.name] = natural_interval(space, value, se[space.name], quantile)
    known = np.concatenate([np.isfinite(se[space.name]).ravel() for space in coordinates.spaces])
    listed = np.flatnonzero(known & first_of_symmetric(coordinates))
    names = coordinates.names
    shared = covariance[np.ix_(listed, listed)]
    return replace(wald, se=se, interval=interval, names=tuple(names[i] for i in listed), covariance=shared)
