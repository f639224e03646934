"""Plain EM iterations of the local level model, beside statsmodels' Kalman filter and smoother.

Run it as `python -m tests.benchmarks.bench_local_level`; it needs `pip install statsmodels`.

One series of 100,000 steps. An EM iteration of emdsl holds what a filter and a smoother give, and the M-step besides;
statsmodels filters and smooths once at fixed parameters, its results left as they come (without the reports around
them). The log-likelihoods at these parameters must agree.
"""

from __future__ import annotations

import importlib.util
import time
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

import emdsl
from tests.benchmarks.clock import seconds_per_iteration, verdict

STEPS, ITERATIONS, REPEATS = 100_000, 10, 5
TARGET = 5.0
LEVEL, FIRST_SD = 1000.0, 1000.0
START = {"q": 30.0, "r": 100.0}

Array = NDArray[np.float64]

MODEL = f"""
model LocalLevel
param q : positive
param r : positive
for each step in sequence:
    latent   level ~ Normal({LEVEL:g}, {FIRST_SD:g}) first, Normal(prev(level), q) after
    observed y     ~ Normal(level, r)
"""


def series() -> Array:
    """A walk with steps of 40, observed with noise of 120."""
    rng = np.random.default_rng(0)
    return LEVEL + np.cumsum(rng.normal(0, 40, STEPS)) + rng.normal(0, 120, STEPS)


def run_emdsl(y: Array, iterations: int) -> float:
    """The log-likelihood after that many iterations."""
    fit = emdsl.loads(MODEL).fit(
        {"y": y}, init=START, starts=1, tol=0, max_iter=iterations, accelerate="none", se="none"
    )
    return float(fit.loglik)


def local_level(y: Array) -> Any:
    """The model of statsmodels, its first level distributed as in ours."""
    from statsmodels.tsa.statespace.structural import UnobservedComponents

    model = UnobservedComponents(y, "llevel")
    model.initialize_known(np.array([LEVEL]), np.array([[FIRST_SD**2]]))
    model.loglikelihood_burn = 0
    return model


def run_statsmodels(model: Any) -> float:
    """The log-likelihood at the start, of a filter and a smoother."""
    return float(model.smooth([START["r"] ** 2, START["q"] ** 2], return_ssm=True).llf)


def lowest_seconds(model: Any) -> float:
    """The lowest time that a filter and a smoother take."""
    taken = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        run_statsmodels(model)
        taken.append(time.perf_counter() - start)
    return min(taken)


def main() -> None:
    """Prints one line."""
    if importlib.util.find_spec("statsmodels") is None:
        print("statsmodels is not installed: nothing to compare with")
        return
    y = series()
    model = local_level(y)
    ours, theirs = run_emdsl(y, 0), run_statsmodels(model)
    if not np.isclose(ours, theirs, rtol=1e-9):
        raise RuntimeError(f"log-likelihoods differ: {ours} and {theirs}")
    fast = seconds_per_iteration(partial(run_emdsl, y), ITERATIONS)
    slow = lowest_seconds(model)
    print(
        f"{STEPS:,} steps: emdsl {fast * 1e3:.1f} ms an iteration, statsmodels {slow * 1e3:.1f} ms a filter and "
        f"smoother, {verdict(slow / fast, TARGET)}"
    )


if __name__ == "__main__":
    main()
