"""Plain EM iterations of a univariate Gaussian mixture, beside mixle.

Run it as `python -m tests.benchmarks.bench_univariate`; without mixle it prints our time alone.

200,000 values, three components. Both run exactly the same number of iterations from the same start in the same
process, on one thread; the estimates must agree.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

import emdsl
from tests.benchmarks.clock import seconds_per_iteration, verdict

ROWS, TARGET = 200_000, 20.0
#: Iterations timed, of ours and of theirs.
ITERATIONS = (100, 10)
REPEATS = 7
MEANS, SPREADS, SHARES = (-2.0, 0.5, 3.0), (1.0, 0.6, 1.4), (0.3, 0.3, 0.4)
START = ((-1.0, 0.0, 2.0), (1.5, 1.5, 1.5))

Array = NDArray[np.float64]

MODEL = """
model Univariate
index component = 1..3
param share : simplex[component]
param mu[component] : real
param sigma[component] : positive
for each row:
    latent   z ~ Categorical(share)
    observed x ~ Normal(mu[z], sigma[z])
"""


def values() -> Array:
    """A sample of the mixture."""
    rng = np.random.default_rng(0)
    which = rng.choice(3, size=ROWS, p=SHARES)
    return rng.normal(np.array(MEANS)[which], np.array(SPREADS)[which])


def run_emdsl(x: Array, iterations: int) -> Array:
    """Means after that many iterations."""
    labels = ("1", "2", "3")
    start = {
        "share": dict.fromkeys(labels, 1 / 3),
        "mu": dict(zip(labels, START[0], strict=True)),
        "sigma": dict(zip(labels, START[1], strict=True)),
    }
    fit = emdsl.loads(MODEL).fit(
        {"x": x}, init=start, starts=1, tol=0, max_iter=iterations, accelerate="none", se="none",
    )  # fmt: skip
    means: Any = fit.params["mu"]
    return np.array([means[label] for label in labels])


def run_mixle(x: Array, iterations: int) -> Array:
    """Means after that many iterations, likewise."""
    from mixle.inference import optimize
    from mixle.stats import GaussianDistribution, GaussianEstimator, MixtureDistribution, MixtureEstimator

    start = MixtureDistribution([GaussianDistribution(m, s**2) for m, s in zip(*START, strict=True)], [1 / 3] * 3)
    found = optimize(
        x, MixtureEstimator([GaussianEstimator() for _ in SHARES]), max_its=iterations, delta=None,
        prev_estimate=start, out=None, seed=0,
    )  # fmt: skip
    return np.array([component.mu for component in found.components])


def main() -> None:
    """Prints one line."""
    x = values()
    fast = seconds_per_iteration(partial(run_emdsl, x), ITERATIONS[0], REPEATS)
    what = f"{ROWS:,} values, 3 components: emdsl {fast * 1e3:7.2f} ms"
    try:
        ours, theirs = run_emdsl(x, 3), run_mixle(x, 3)
    except ImportError:
        print(f"{what} an iteration; mixle is not installed")
        return
    if not np.allclose(ours, theirs, rtol=1e-6):
        raise RuntimeError(f"estimates differ: {ours} and {theirs}")
    slow = seconds_per_iteration(partial(run_mixle, x), ITERATIONS[1], REPEATS)
    print(f"{what}, mixle {slow * 1e3:7.1f} ms an iteration, {verdict(slow / fast, TARGET)}")


if __name__ == "__main__":
    main()
