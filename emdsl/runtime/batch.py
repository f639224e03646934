"""Short starts of a small problem, all at once: every array has a leading axis of starts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from emdsl.runtime.em import Iterate
from emdsl.runtime.problem import Array, Theta


def short_runs(
    batch: Any, theta0: Theta, seed: int, numbers: Sequence[int], limit: int, gain: float
) -> list[tuple[Iterate, int, tuple[tuple[int, float], ...], bool]]:
    """`limit` EM iterations of the random starts `numbers`, in step; `batch` is a problem for that many starts.

    A start has settled once three iterations in a row have each gained less than `gain`; it rests then, and so it
    does where its objective is no number. `batch.by_start` names the statistics that have an axis of starts (those of
    pieces without parameters are the same for all). Returns for each start its last point, its iterations, its trace
    and whether it settled.
    """
    count = len(numbers)
    theta = {name: np.broadcast_to(value, (count, *np.shape(value))).copy() for name, value in theta0.items()}
    rngs = [np.random.default_rng([seed, number]) for number in numbers]
    theta = batch.maximize(theta, batch.random_expectations(rngs, theta).statistics)
    loglik, value, statistics = _evaluate(batch, theta)
    iterations = np.zeros(count, dtype=int)
    quiet = np.zeros(count, dtype=int)
    active = np.isfinite(value)
    history: list[list[tuple[int, float]]] = [[] for _ in numbers]
    for _ in range(limit):
        if not active.any():
            break
        following = batch.maximize(theta, statistics)
        new_loglik, new_value, new_statistics = _evaluate(batch, following)
        moved = active & np.isfinite(new_value)
        theta = {name: _choose(moved, following[name], theta[name]) for name in theta}
        statistics = {
            name: _choose(moved, new_statistics[name], old) if name in batch.by_start else old
            for name, old in statistics.items()
        }
        rise = np.where(moved, new_value - value, 0.0)
        loglik, value = np.where(moved, new_loglik, loglik), np.where(moved, new_value, value)
        iterations += moved
        for k in np.flatnonzero(moved):
            history[k].append((int(iterations[k]), float(loglik[k])))
        quiet = np.where(rise < gain, quiet + 1, 0)
        active = moved & (quiet < 3)
    return [
        (
            Iterate(
                {name: array[k].copy() for name, array in theta.items()},
                {name: array[k] if name in batch.by_start else array for name, array in statistics.items()},
                float(loglik[k]), float(value[k]),
            ),
            int(iterations[k]), tuple(history[k]), bool(quiet[k] >= 3),
        )
        for k in range(count)
    ]  # fmt: skip


def _evaluate(batch: Any, theta: Theta) -> tuple[Array, Array, dict[str, Any]]:
    expectation = batch.expect(theta)
    loglik = np.asarray(expectation.loglik, dtype=float)
    return loglik, loglik + batch.log_prior(theta), expectation.statistics


def _choose(mask: Any, new: Array, old: Array) -> Array:
    if mask.all():
        return new
    return np.where(mask.reshape(-1, *(1,) * (new.ndim - 1)), new, old)
