"""What weighted paths of a switching chain say of each step: the states, and the numbers as a mixture of normal laws.

Paths are whole ones (smoothing), or, up to each step, those that the particles of a filter came along (filtering; the
numbers integrated out of each, as in Chen and Liu 2000 and Doucet and others 2000). Independent runs tell the
simulation error.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emdsl.runtime.integrals.particles import SwitchingSteps, extended, first_cloud, joint_forms, log_sum, thinned
from emdsl.runtime.problem import Array

Codes = NDArray[np.intp]


@dataclass(frozen=True)
class WeightedPaths:
    """Paths `(paths, steps)` of one chain: `states`, the states one step `before`, their `share` at each step, and the
    normal law of `z` given each, the b numbers one step back and those of the step: `mean` `(paths, steps, 2 b)`,
    `covariance` `(paths, steps, 2 b, 2 b)`. `run` `(paths,)` says in which of independent runs a path was drawn;
    `exact`: there are no others.
    """

    states: Codes
    before: Codes
    share: Array
    run: Codes
    mean: Array
    covariance: Array
    exact: bool

    @property
    def moments(self) -> tuple[Array, Array]:
        """Mean and standard deviation of the numbers of each step, `(b, steps)`."""
        b = self.mean.shape[-1] // 2
        own = self.mean[..., b:]
        middle = np.einsum("pt,ptb->bt", self.share, own)
        variance = np.diagonal(self.covariance, axis1=-2, axis2=-1)[..., b:]
        away = own - middle.T[None]
        return middle, np.sqrt(np.einsum("pt,ptb->bt", self.share, variance + away**2))

    def errors(self, states: int) -> tuple[Array, Array]:
        """Simulation errors, as standard deviations, of the probability of each state, `(states, steps)`, and of the
        numbers' means, `(b, steps)`: means over runs weighted by their evidence (delta method).
        """
        b, length = self.mean.shape[-1] // 2, self.states.shape[1]
        if self.exact:
            return np.zeros((states, length)), np.zeros((b, length))
        runs = int(self.run.max()) + 1
        chance = np.zeros((runs, states, length))
        moved = np.zeros((runs, b, length))
        middle, _ = self.moments
        at = np.arange(length)
        away = np.moveaxis(self.mean[..., b:], -1, 1) - middle
        for run in range(runs):
            own = self.run == run
            share = self.share[own]
            np.add.at(chance[run], (self.states[own], at), share)
            moved[run] = (share[:, None] * away[own]).sum(axis=0)
        total, weight = chance.sum(axis=0), chance.sum(axis=1, keepdims=True)
        scale = runs / max(runs - 1, 1)
        return (
            np.sqrt(scale * ((chance - weight * total) ** 2).sum(axis=0)),
            np.sqrt(scale * (moved**2).sum(axis=0)),
        )  # fmt: skip


def filtered_paths(
    steps: SwitchingSteps, particles: int, runs: int, rng: np.random.Generator
) -> tuple[WeightedPaths, Array]:
    """The particles of every step with their weights given the data up to that step alone, and the estimates of the
    log-evidence by run.
    """
    b, size = steps.size, runs * particles
    shape = (size, steps.length)
    states, before, logs = np.zeros(shape, dtype=np.intp), np.zeros(shape, dtype=np.intp), np.full(shape, -np.inf)
    mean, covariance = np.zeros((*shape, 2 * b)), np.zeros((*shape, 2 * b, 2 * b))
    rows = np.arange(runs)[:, None]
    cloud, exact = first_cloud(steps, runs), True
    for t in range(steps.length):
        back = cloud
        if t:
            slope, precision = (x.reshape(runs, -1, *x.shape[3:]) for x in joint_forms(cloud, steps, t))
            cloud = extended(cloud, steps, t)
        else:
            slope, precision = cloud.slope, cloud.precision
        chosen = np.broadcast_to(np.arange(cloud.state.shape[1]), cloud.state.shape)
        if cloud.state.shape[1] > particles:
            cloud, chosen = thinned(cloud, particles, rng)
            exact = False
        places = (rows * particles + np.arange(chosen.shape[1])).ravel()
        states[places, t], logs[places, t] = cloud.state.ravel(), cloud.weights.ravel()
        before[places, t] = back.state[rows, cloud.parent].ravel() if t else 0
        own = np.linalg.inv(precision[rows, chosen])
        z = slice(None) if t else slice(b, None)
        covariance[places, t, z, z] = own.reshape(len(places), *own.shape[2:])
        mean[places, t, z] = (own @ slope[rows, chosen][..., None])[..., 0].reshape(len(places), -1)
    top = logs.max(axis=0, initial=-np.inf)
    share = np.exp(logs - np.where(np.isfinite(top), top, 0.0))
    share /= share.sum(axis=0)
    run = np.repeat(np.arange(runs), particles)
    evidence = log_sum(logs[:, -1].reshape(runs, particles))
    return WeightedPaths(states, before, share, run, mean, covariance, exact), evidence
