"""Plain EM iterations of the two-parameter logistic model of item response, beside girth.

Run it as `python -m tests.benchmarks.bench_item_response`; it needs `pip install girth`.

50,000 people and 20 items; both start from slopes of 1. What girth calls an iteration of `twopl_mml` is one pass over
the items, each with a line search for its slope on the marginal likelihood (41 nodes; the offsets follow from the
items' means): more work than an EM iteration, and more progress. So the whole fits are timed as well, each to its own
rule of convergence, and the estimates must agree at the end as far as girth's 0.001 between passes lets them.
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

PEOPLE, ITEMS = 50_000, 20
ITERATIONS, PASSES = 20, 2
TARGET = 10.0
AGREE = 0.005  # in slopes and offsets

NAMES = [f"i{k + 1}" for k in range(ITEMS)]
START = {"a": dict.fromkeys(NAMES, 1.0), "b": dict.fromkeys(NAMES, 0.0)}

Array = NDArray[np.float64]
Answers = NDArray[np.intp]

MODEL = """
model TwoPL
index item = columns
param a[item] : real
param b[item] : real
for each person:
    latent   theta ~ Normal(0, 1)
    observed y[item] ~ Bernoulli(logistic(a[item]*theta - b[item]))
"""


def answers() -> Answers:
    """A row for each person, 1 where the answer is right."""
    rng = np.random.default_rng(0)
    slope, offset = rng.uniform(0.6, 2.0, ITEMS), rng.normal(size=ITEMS)
    ability = rng.normal(size=(PEOPLE, 1))
    return (rng.random((PEOPLE, ITEMS)) < 1.0 / (1.0 + np.exp(offset - slope * ability))).astype(np.intp)


def fit_emdsl(y: Answers, **options: Any) -> Any:
    """A fit from the start, without standard errors, which girth does not give."""
    columns = dict(zip(NAMES, y.T, strict=True))
    return emdsl.loads(MODEL).fit(columns, columns={"item": NAMES}, init=START, starts=1, se="none", **options)


def run_emdsl(y: Answers, iterations: int) -> float:
    """The log-likelihood after that many iterations."""
    return float(fit_emdsl(y, tol=0, max_iter=iterations, accelerate="none").loglik)


def converged_emdsl(y: Answers) -> tuple[Array, Array]:
    """Slopes and offsets at convergence."""
    fit = fit_emdsl(y)
    if not fit.converged:
        raise RuntimeError("emdsl did not converge")
    return np.array([fit.params["a"][name] for name in NAMES]), np.array([fit.params["b"][name] for name in NAMES])


def run_girth(y: Answers, passes: int) -> tuple[Array, Array]:
    """Slopes and offsets after that many passes, or fewer where it has converged."""
    from girth import twopl_mml

    found = twopl_mml(y.T, {"max_iteration": passes})
    slope = np.asarray(found["Discrimination"], dtype=float)
    return slope, slope * np.asarray(found["Difficulty"], dtype=float)


def main() -> None:
    """Prints one line for an iteration and one for a fit."""
    if importlib.util.find_spec("girth") is None:
        print("girth is not installed: nothing to compare with")
        return
    y = answers()
    fast = seconds_per_iteration(partial(run_emdsl, y), ITERATIONS)
    slow = seconds_per_iteration(partial(run_girth, y), PASSES, repeats=2)
    print(
        f"{PEOPLE:,} people, {ITEMS} items: emdsl {fast * 1e3:.1f} ms, girth {slow * 1e3:,.0f} ms an iteration, "
        f"{verdict(slow / fast, TARGET)}"
    )
    start = time.perf_counter()
    ours = converged_emdsl(y)
    between = time.perf_counter()
    theirs = run_girth(y, 25)  # the limit that is its default
    end = time.perf_counter()
    apart = float(max(np.abs(one - other).max() for one, other in zip(ours, theirs, strict=True)))
    if apart > AGREE:
        raise RuntimeError(f"estimates differ by {apart}")
    print(
        f"to convergence: emdsl {between - start:.1f} s, girth {end - between:.1f} s "
        f"({(end - between) / (between - start):.1f}x); estimates differ by at most {apart:.1g}"
    )


if __name__ == "__main__":
    main()
