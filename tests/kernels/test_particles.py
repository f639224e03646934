"""The thinning of weighted particles keeps the mean of every weight."""

from __future__ import annotations

import numpy as np
import pytest

from emdsl.runtime.integrals.particles import kept_or_drawn


@pytest.mark.parametrize("count", [1, 3, 6])
def test_every_weight_keeps_its_mean(count: int) -> None:
    weights = np.array([0.45, 0.2, 0.15, 0.1, 0.05, 0.03, 0.02])
    rng, repeats = np.random.default_rng(0), 4_000
    total, squares = np.zeros(len(weights)), np.zeros(len(weights))
    for _ in range(repeats):
        chosen, raised = kept_or_drawn(np.log(weights), count, rng)
        assert len(set(chosen.tolist())) == count
        new = np.zeros(len(weights))
        new[chosen] = weights[chosen] * np.exp(raised)
        assert new.sum() == pytest.approx(1.0)
        total += new
        squares += new**2
    mean = total / repeats
    error = np.sqrt(np.maximum(squares / repeats - mean**2, 0.0) / repeats)
    assert (np.abs(mean - weights) <= 4.5 * error + 1e-12).all()


def test_particles_without_weight_are_dropped_for_nothing() -> None:
    logs = np.array([0.0, -np.inf, -1.0, -np.inf])
    chosen, raised = kept_or_drawn(logs, 2, np.random.default_rng(0))
    assert sorted(chosen.tolist()) == [0, 2]
    assert raised.tolist() == [0.0, 0.0]
