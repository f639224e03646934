"""Plain EM iterations of a hidden Markov model over many short chains, beside hmmlearn: whole fits, on the road that
the command line takes.

Run it as `python -m tests.benchmarks.bench_many_chains`.

20,000 chains of 10 steps with two Normal states. Both run the same number of iterations from the same start in the
same process; the log-likelihoods must agree.
"""

from __future__ import annotations

import importlib.util
from functools import partial

import numpy as np
from numpy.typing import NDArray

import emdsl
from tests.benchmarks.clock import seconds_per_iteration, verdict

CHAINS, STEPS, STATES = 20_000, 10, 2
TARGET, ITERATIONS = 30.0, 3

Array = NDArray[np.float64]

MODEL = """
model Chains
const K = 2
index state = 1..K
param start : simplex[state]
param A[state] : simplex[state]
param mu[state] : real
param sigma[state] : positive
for each chain:
    for each step in sequence:
        latent   s ~ Markov(start, A)
        observed y ~ Normal(mu[s], sigma[s])
"""
START = {
    "start": {"1": 0.5, "2": 0.5}, "A": {"1": {"1": 0.8, "2": 0.2}, "2": {"1": 0.2, "2": 0.8}},
    "mu": {"1": 0.3, "2": 1.7}, "sigma": {"1": 1.2, "2": 1.2},
}  # fmt: skip


def chains() -> Array:
    """`(chains, steps)` values of chains that tend to stay where they are."""
    rng = np.random.default_rng(0)
    state = rng.integers(0, STATES, CHAINS)
    found = np.empty((CHAINS, STEPS))
    for step in range(STEPS):
        found[:, step] = rng.normal(2.0 * state, 1.0)
        state = np.where(rng.random(CHAINS) < 0.1, 1 - state, state)
    return found


def run_emdsl(y: Array, iterations: int) -> float:
    """The log-likelihood after that many iterations."""
    table = {"chain": np.repeat(np.arange(CHAINS), STEPS), "y": y.ravel()}
    fit = emdsl.loads(MODEL).fit(table, init=START, starts=1, tol=0, max_iter=iterations, accelerate="none", se="none")
    return float(fit.loglik)


def run_hmmlearn(y: Array, iterations: int) -> float:
    """The log-likelihood after that many iterations, likewise (its priors are switched off: maximum likelihood)."""
    from hmmlearn.hmm import GaussianHMM

    model = GaussianHMM(
        STATES, covariance_type="diag", n_iter=iterations, tol=-np.inf, init_params="", params="stmc",
        min_covar=0.0, covars_prior=0.0, covars_weight=1.0,
    )  # fmt: skip
    model.startprob_ = np.array([0.5, 0.5])
    model.transmat_ = np.array([[0.8, 0.2], [0.2, 0.8]])
    model.means_ = np.array([[0.3], [1.7]])
    model.covars_ = np.full((STATES, 1), 1.2**2)
    lengths = np.full(CHAINS, STEPS)
    model.fit(y.reshape(-1, 1), lengths)
    if model.monitor_.iter != iterations:
        raise RuntimeError(f"hmmlearn stopped after {model.monitor_.iter} of {iterations} iterations")
    return float(model.score(y.reshape(-1, 1), lengths))


def main() -> None:
    """Prints one line."""
    y = chains()
    fast = seconds_per_iteration(partial(run_emdsl, y), 10)
    title = f"{CHAINS:,} chains of {STEPS} steps, {STATES} states: emdsl {fast * 1e3:.1f} ms"
    if importlib.util.find_spec("hmmlearn") is None:
        print(f"{title} an iteration; hmmlearn is not installed")
        return
    ours, theirs = run_emdsl(y, 3), run_hmmlearn(y, 3)
    if not np.isclose(ours, theirs, rtol=1e-9):
        raise RuntimeError(f"log-likelihoods differ: {ours} and {theirs}")
    slow = seconds_per_iteration(partial(run_hmmlearn, y), ITERATIONS, repeats=1)
    print(f"{title}, hmmlearn {slow * 1e3:.0f} ms an iteration, {verdict(slow / fast, TARGET)}")


if __name__ == "__main__":
    main()
