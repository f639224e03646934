"""Plain EM iterations of Gaussian hidden Markov models, beside hmmlearn.

Run it as `python -m tests.benchmarks.bench_chain`.

One chain of 200,000 steps; both run exactly the same number of iterations from the same start in the same process; the
log-likelihoods must agree.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from hmmlearn.hmm import GaussianHMM
from numpy.typing import NDArray

import emdsl
from tests.benchmarks.clock import seconds_per_iteration, verdict

STEPS = 200_000
#: states, target ratio, iterations timed
SETTINGS = ((3, 3.0, 10), (8, 5.0, 5))

Array = NDArray[np.float64]

MODEL = """
model Chain
const K
index state = 1..K
param start : simplex[state]
param A[state] : simplex[state]
param mu[state] : real
param sigma[state] : positive
for each step in sequence:
    latent   s ~ Markov(start, A)
    observed y ~ Normal(mu[s], sigma[s])
"""


def chain(states: int) -> tuple[Array, Array]:
    """A simulated chain that tends to stay where it is, and its transition matrix."""
    rng = np.random.default_rng(0)
    transition = np.full((states, states), 0.1 / (states - 1)) + np.eye(states) * (0.9 - 0.1 / (states - 1))
    uniforms, thresholds = rng.random(STEPS), transition.cumsum(axis=1)
    path = np.zeros(STEPS, int)
    for step in range(1, STEPS):
        path[step] = min(np.searchsorted(thresholds[path[step - 1]], uniforms[step]), states - 1)
    return rng.normal(2.0 * path, 1.0), transition


def run_emdsl(y: Array, transition: Array, iterations: int) -> float:
    """The log-likelihood after that many iterations."""
    states = len(transition)
    labels = [str(k + 1) for k in range(states)]
    rows = [dict(zip(labels, map(float, row), strict=True)) for row in transition]
    start = {
        "start": dict.fromkeys(labels, 1 / states),
        "A": dict(zip(labels, rows, strict=True)),
        "mu": {label: 2.0 * k + 0.3 for k, label in enumerate(labels)},
        "sigma": dict.fromkeys(labels, 1.5),
    }
    fit = emdsl.loads(MODEL).fit(
        {"y": y},
        set={"K": states}, init=start, starts=1, tol=0, max_iter=iterations, accelerate="none", se="none",
    )  # fmt: skip
    return float(fit.loglik)


def run_hmmlearn(y: Array, transition: Array, iterations: int) -> float:
    """The log-likelihood after that many iterations, likewise (its priors are switched off: maximum likelihood)."""
    states = len(transition)
    model = GaussianHMM(
        states, covariance_type="diag", n_iter=iterations, tol=-np.inf, init_params="", params="stmc",
        min_covar=0.0, covars_prior=0.0, covars_weight=1.0,
    )  # fmt: skip
    model.startprob_ = np.full(states, 1 / states)
    model.transmat_ = transition
    model.means_ = 2.0 * np.arange(states)[:, None] + 0.3
    model.covars_ = np.full((states, 1), 1.5**2)
    model.fit(y[:, None])
    if model.monitor_.iter != iterations:
        raise RuntimeError(f"hmmlearn stopped after {model.monitor_.iter} of {iterations} iterations")
    return float(model.score(y[:, None]))


def main() -> None:
    """Prints one line for each number of states."""
    for states, target, iterations in SETTINGS:
        y, transition = chain(states)
        ours, theirs = run_emdsl(y, transition, 3), run_hmmlearn(y, transition, 3)
        if not np.isclose(ours, theirs, rtol=1e-9):
            raise RuntimeError(f"log-likelihoods differ: {ours} and {theirs}")
        fast = seconds_per_iteration(partial(run_emdsl, y, transition), iterations)
        slow = seconds_per_iteration(partial(run_hmmlearn, y, transition), iterations)
        print(
            f"{STEPS:,} steps, {states} states: emdsl {fast * 1e3:7.1f} ms, hmmlearn {slow * 1e3:7.1f} ms "
            f"an iteration, {verdict(slow / fast, target)}"
        )


if __name__ == "__main__":
    main()
