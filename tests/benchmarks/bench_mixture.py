"""Plain EM iterations of full-covariance Gaussian mixtures, beside scikit-learn.

Run it as `python -m tests.benchmarks.bench_mixture`.

Both run exactly the same number of iterations from the same start in the same process; the log-likelihoods must agree.
"""

from __future__ import annotations

import warnings
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

import emdsl
from tests.benchmarks.clock import seconds_per_iteration, verdict

ROOT = Path(__file__).resolve().parents[2]

#: rows, dimensions, components, target ratio, iterations timed
SETTINGS = ((200_000, 2, 4, 5.0, 20), (200_000, 10, 10, 2.5, 5), (100_000, 30, 10, 1.0, 5))

Array = NDArray[np.float64]


def clusters(rows: int, dimensions: int, components: int) -> tuple[Array, Array]:
    """Points around overlapping centres, and a start for the centres."""
    rng = np.random.default_rng(0)
    centres = rng.normal(0, 3, (components, dimensions))
    points = centres[rng.integers(components, size=rows)] + rng.normal(size=(rows, dimensions))
    return points, centres + rng.normal(0, 0.5, centres.shape)


def run_emdsl(points: Array, means: Array, iterations: int) -> float:
    """The log-likelihood after that many iterations."""
    components, dimensions = means.shape
    names = [f"x{d}" for d in range(dimensions)]
    labels = [str(k + 1) for k in range(components)]
    unit = {a: {b: float(a == b) for b in names} for a in names}
    start: dict[str, Any] = {
        "share": dict.fromkeys(labels, 1 / components),
        "mu": {k: dict(zip(names, map(float, mean), strict=True)) for k, mean in zip(labels, means, strict=True)},
        "Sigma": dict.fromkeys(labels, unit),
    }
    fit = emdsl.load(str(ROOT / "models" / "gaussian_mixture.emm")).fit(
        dict(zip(names, points.T, strict=True)),
        set={"K": components}, init=start, starts=1, tol=0, max_iter=iterations, accelerate="none", se="none",
    )  # fmt: skip
    return float(fit.loglik)


def run_sklearn(points: Array, means: Array, iterations: int) -> float:
    """The log-likelihood after that many iterations, likewise."""
    components, dimensions = means.shape
    mixture = GaussianMixture(
        components, tol=0, reg_covar=0, max_iter=iterations, init_params="random_from_data",
        weights_init=np.full(components, 1 / components), means_init=means,
        precisions_init=np.tile(np.eye(dimensions), (components, 1, 1)),
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # asked for: exactly so many iterations
        mixture.fit(points)
    if mixture.n_iter_ != iterations:
        raise RuntimeError(f"scikit-learn stopped after {mixture.n_iter_} of {iterations} iterations")
    return float(mixture.score(points) * len(points))


def main() -> None:
    """Prints one line for each setting."""
    for rows, dimensions, components, target, iterations in SETTINGS:
        points, means = clusters(rows, dimensions, components)
        ours, theirs = run_emdsl(points, means, 3), run_sklearn(points, means, 3)
        if not np.isclose(ours, theirs, rtol=1e-9):
            raise RuntimeError(f"log-likelihoods differ: {ours} and {theirs}")
        fast = seconds_per_iteration(partial(run_emdsl, points, means), iterations)
        slow = seconds_per_iteration(partial(run_sklearn, points, means), iterations)
        print(
            f"n={rows:,} d={dimensions} K={components}: emdsl {fast * 1e3:7.1f} ms, scikit-learn {slow * 1e3:7.1f} ms "
            f"an iteration, {verdict(slow / fast, target)}"
        )


if __name__ == "__main__":
    main()
