"""The kernels of the E-step: chains beside hmmlearn's C++, the others by nanoseconds a number.

Run it as `python -m tests.benchmarks.bench_kernels`.

One E-step is everything from the data to the expected statistics: emission log-densities, forward, reverse, weighted
moments. Both run in the same process on the same data, the best of several; the log-likelihoods and the expected
transitions must agree. hmmlearn's default sums in logarithms; its `scaling` is quicker and is shown too.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from hmmlearn.hmm import GaussianHMM
from numpy.typing import NDArray

from emdsl.runtime.chains import ChainLayout, chain_layout
from emdsl.runtime.kernels import (
    log_sum_exp,
    log_sum_exp_reverse,
    segment_sum,
    segment_sum_reverse,
    take_log,
    take_log_reverse,
)
from emdsl.runtime.scan import scan_forward, scan_reverse
from tests.benchmarks.clock import verdict

Array = NDArray[np.float64]

#: states, chains, steps of each, target ratio
SETTINGS = ((3, 1, 200_000, 3.0), (8, 1, 200_000, 5.0), (3, 20_000, 10, 30.0))
#: repeats of the fast and of the slow
REPEATS = (7, 3)


@dataclass(frozen=True)
class Case:
    """Data of Gaussian chains, and the parameters of the E-step."""

    y: Array
    layout: ChainLayout
    start: Array
    transitions: Array
    means: Array

    @property
    def states(self) -> int:
        return len(self.start)


def case(states: int, chains: int, steps: int) -> Case:
    """Chains that tend to stay where they are."""
    rng = np.random.default_rng(0)
    transitions = np.full((states, states), 0.1 / (states - 1)) + np.eye(states) * (0.9 - 0.1 / (states - 1))
    path = rng.integers(states, size=chains * steps)
    last_move = np.maximum.accumulate(np.where(rng.random(chains * steps) < 0.1, np.arange(chains * steps), 0))
    means = np.linspace(0.0, 2.0 * (states - 1), states)
    y = rng.normal(means[path[last_move]], 1.0)
    layout = chain_layout(np.arange(chains + 1) * steps)
    return Case(y, layout, np.full(states, 1 / states), transitions, means)


def e_step(given: Case) -> tuple[float, Array, Array]:
    """Log-likelihood, expected transitions and moments `(3, K)` of unit-variance Gaussian emissions."""
    emit = given.y - given.means[:, None]
    emit *= emit
    emit *= -0.5
    emit -= 0.5 * np.log(2 * np.pi)
    evidence, tape = scan_forward(np.log(given.start)[None], np.log(given.transitions)[None], emit[None], given.layout)
    _, transitions, posterior = scan_reverse(tape, np.ones(evidence.shape))
    moments = np.stack([posterior[0].sum(axis=1), posterior[0] @ given.y, posterior[0] @ (given.y * given.y)])
    return float(evidence.sum()), transitions[0], moments


def hmmlearn_e_step(given: Case, implementation: str) -> Callable[[], tuple[float, Array, Array]]:
    """hmmlearn's E-step of the same."""
    model = GaussianHMM(given.states, covariance_type="diag", init_params="", implementation=implementation)
    model.n_features = 1
    model.startprob_, model.transmat_ = given.start, given.transitions
    model.means_, model.covars_ = given.means[:, None], np.ones((given.states, 1))

    def run() -> tuple[float, Array, Array]:
        statistics, loglik = model._do_estep(given.y[:, None], given.layout.lengths)
        moments = np.stack([statistics["post"], statistics["obs"][:, 0], statistics["obs**2"][:, 0]])
        return float(loglik), statistics["trans"], moments

    return run


def seconds(run: Callable[[], object], repeats: int) -> float:
    """The best of several runs, after one that does not count."""
    run()
    times = []
    for _ in range(repeats):
        begun = time.perf_counter()
        run()
        times.append(time.perf_counter() - begun)
    return min(times)


def agree(ours: tuple[float, Array, Array], theirs: tuple[float, Array, Array]) -> None:
    """Refuses to time two programs that compute different things."""
    for place in range(3):
        if not np.allclose(ours[place], theirs[place], rtol=1e-6):
            raise RuntimeError(f"the E-steps differ: {ours[place]} and {theirs[place]}")


def bench_chains() -> None:
    """Ratios against hmmlearn."""
    for states, chains, steps, target in SETTINGS:
        given = case(states, chains, steps)
        logs, scaling = hmmlearn_e_step(given, "log"), hmmlearn_e_step(given, "scaling")
        agree(e_step(given), logs())
        fast = seconds(lambda given=given: e_step(given), REPEATS[0])  # type: ignore[misc]
        slow, quicker = seconds(logs, REPEATS[1]), seconds(scaling, REPEATS[1])
        print(
            f"{chains:6d} chains of {steps:7d} steps, {states} states: {1e3 * fast:7.1f} ms; "
            f"hmmlearn {1e3 * slow:7.1f} ms, {verdict(slow / fast, target)}; "
            f"its scaling {1e3 * quicker:7.1f} ms, {quicker / fast:5.1f}x"
        )


def bench_million() -> None:
    """A million steps: seconds and memory."""
    given = case(4, 1, 1_000_000)
    spent = seconds(lambda: e_step(given), 3)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"     1 chain  of 1000000 steps, 4 states: {1e3 * spent:7.1f} ms (target 1000), peak {peak:.2f} GiB (target 1)"
    )


def bench_structures() -> None:
    """Transitions with zeros, of each row its own, and states that are not connected."""
    rng = np.random.default_rng(0)
    rows, layout = 200_000, chain_layout(np.array([0, 200_000]))
    emit = rng.normal(size=(1, 3, rows))
    with np.errstate(divide="ignore"):
        static = {
            "left to right": np.log(np.triu([[0.999, 0.0005, 0.0005]] * 3))[None],
            "ring": np.log([[[0.9, 0.1, 0.0], [0.0, 0.9, 0.1], [0.1, 0.0, 0.9]]]),
            "row-wise": np.log(rng.dirichlet(np.ones(3), size=(1, rows, 3))).transpose(0, 2, 3, 1).copy(),
        }
    far = np.repeat(rng.normal(size=(1, 3, rows // 100)), 100, axis=-1) * 30.0
    apart = np.where(np.eye(3) > 0, 0.0, -np.inf)[None]
    for name, step, emission in [(name, step, emit) for name, step in static.items()] + [("log kernel", apart, far)]:

        def run(step: Array = step, emission: Array = emission) -> None:
            evidence, tape = scan_forward(np.zeros((1, 3)), step, emission, layout)
            scan_reverse(tape, np.ones(evidence.shape))

        print(f"     1 chain  of  200000 steps, 3 states, {name}: {1e3 * seconds(run, 2):7.1f} ms")


def bench_arrays() -> None:
    """Nanoseconds for each number of a block of 2048 rows."""
    rng = np.random.default_rng(0)
    rows = 2048
    starts = np.arange(rows // 8 + 1) * 8
    for cells in (4, 50, 1000):
        table, codes = rng.normal(size=(cells, rows)), rng.integers(0, 6, rows)
        scratch, etas = np.empty_like(table), rng.normal(size=(cells, 6))
        adjoint, sums = np.ones(rows), segment_sum(table, starts)

        def softmax(table: Array = table, scratch: Array = scratch, adjoint: Array = adjoint) -> Array:
            np.copyto(scratch, table)
            return log_sum_exp_reverse(log_sum_exp(scratch, (0,))[1], adjoint)

        runs: dict[str, Callable[[], object]] = {
            "log-sum-exp and reverse": softmax,
            "segment sum": lambda table=table: segment_sum(table, starts),  # type: ignore[misc]
            "its reverse": lambda sums=sums: segment_sum_reverse(sums, starts),  # type: ignore[misc]
            "take": lambda etas=etas, codes=codes: take_log(etas, codes),  # type: ignore[misc]
            "its reverse ": lambda table=table, codes=codes: take_log_reverse(table, codes, 6),  # type: ignore[misc]
        }
        figures = (f"{name.strip()} {1e9 * seconds(run, 20) / table.size:.2f}" for name, run in runs.items())
        print(f"{cells:5d} cells, ns a number: {', '.join(figures)}")


def main() -> None:
    """Prints a line for each setting."""
    bench_million()
    bench_chains()
    bench_structures()
    bench_arrays()


if __name__ == "__main__":
    main()
