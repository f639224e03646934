"""A chain whose finite state switches the quadratic law of hidden numbers: particles over the paths of the states, the
numbers integrated out of each.

A particle is a path of states up to a step with the normal law of the numbers given it. At every step each particle
goes on to every state, with its exact weight; of more than wanted, some are kept and others drawn so that every weight
keeps its mean (Fearnhead and Clifford 2003). So the evidence has no bias, and has no error at all as long as there are
no more paths than particles. Whole paths are drawn backwards from the last step (Whiteley, Andrieu and Doucet 2010;
Lindsten and others 2013).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdsl.runtime.integrals.gaussian import LOG_2PI
from emdsl.runtime.problem import Array

Codes = NDArray[np.intp]
#: So many numbers of a step are integrated out one after the other: of small matrices there are a great many.
FEW_NUMBERS = 4


@dataclass(frozen=True)
class SwitchingSteps:
    """The log-joint of one chain, step by step and by the state before and the state of the step, `(steps, K, K)`.

    `value` is what does not depend on the numbers; the rest is `slope' z - z' precision z / 2` in `z`, the b numbers of
    the step before and the b of the step: `slope` `(steps, K, K, 2 b)`, `precision` `(steps, K, K, 2 b, 2 b)`. At the
    first step only the entries of the first state before are read, and of `z` the second half.
    """

    value: Array
    slope: Array
    precision: Array

    @property
    def size(self) -> int:
        """Numbers of a step."""
        return int(self.slope.shape[-1]) // 2

    @property
    def length(self) -> int:
        """Steps."""
        return len(self.value)

    @property
    def states(self) -> int:
        """States of a step."""
        return int(self.value.shape[1])


@dataclass(frozen=True)
class Cloud:
    """The particles of one step, `(runs, particles)`: their states, the log-weight `factor` of each before its numbers
    are integrated out, and their law `exp(factor + slope' x - x' precision x / 2)`. `parent` is the particle one step
    back.
    """

    state: Codes
    factor: Array
    slope: Array
    precision: Array
    parent: Codes

    @property
    def weights(self) -> Array:
        """Log-weights with the numbers integrated out."""
        return np.asarray(self.factor + log_mass(self.slope, self.precision))

    def some(self, chosen: Codes, factor: Array) -> Cloud:
        """Some particles of each run, `chosen` `(runs, fewer)`, with new factors."""
        rows = np.arange(len(chosen))[:, None]
        return Cloud(
            self.state[rows, chosen], factor, self.slope[rows, chosen], self.precision[rows, chosen],
            self.parent[rows, chosen],
        )  # fmt: skip


@dataclass(frozen=True)
class Filter:
    """The particles of every step; `evidence` `(runs,)` are the logs of independent estimates of the chain's evidence.
    `exact`: no path was ever dropped.
    """

    clouds: tuple[Cloud, ...]
    evidence: Array
    exact: bool


def log_mass(slope: Array, precision: Array) -> Array:
    """`log int exp(slope' x - x' precision x / 2) dx`. Raises LinAlgError where a precision is not
    positive definite.
    """
    b = slope.shape[-1]
    if b > FEW_NUMBERS:
        root = np.linalg.cholesky(precision)
        half = np.linalg.solve(root, slope[..., None])[..., 0]
        logs = np.log(np.diagonal(root, axis1=-2, axis2=-1)).sum(axis=-1)
        return np.asarray(0.5 * (half**2).sum(axis=-1) - logs + 0.5 * b * LOG_2PI)
    # one number after the other, all laws at once
    p, first = precision[..., 0, 0], slope[..., 0]
    if not (p > 0).all():
        raise np.linalg.LinAlgError("not positive definite")
    found = 0.5 * (first**2 / p - np.log(p) + LOG_2PI)
    if b == 1:
        return np.asarray(found)
    gain = precision[..., 1:, 0] / p[..., None]
    rest = precision[..., 1:, 1:] - gain[..., :, None] * precision[..., None, 0, 1:]
    return np.asarray(found + log_mass(slope[..., 1:] - gain * first[..., None], rest))


def _integrated_out(slope: Array, precision: Array, first: bool) -> tuple[Array, Array, Array]:
    """One half of `z` integrated out of `exp(slope' z - z' precision z / 2)`, the first or the second: the log-factor,
    and slope and precision in the other half.
    """
    b = slope.shape[-1] // 2
    out, kept = (slice(0, b), slice(b, None)) if first else (slice(b, None), slice(0, b))
    inner, across = precision[..., out, out], precision[..., kept, out]
    factor = log_mass(slope[..., out], inner)
    gain = across / inner if b == 1 else np.swapaxes(np.linalg.solve(inner, np.swapaxes(across, -1, -2)), -1, -2)
    left = slope[..., kept] - (gain @ slope[..., out, None])[..., 0]
    return factor, left, precision[..., kept, kept] - gain @ np.swapaxes(across, -1, -2)


def particle_filter(steps: SwitchingSteps, particles: int, runs: int, rng: np.random.Generator) -> Filter:
    """`runs` independent filters of so many particles each."""
    cloud, clouds, exact = first_cloud(steps, runs), [], True
    for t in range(steps.length):
        if t:
            cloud = extended(cloud, steps, t)
        if cloud.state.shape[1] > particles:
            (cloud, _), exact = thinned(cloud, particles, rng), False
        clouds.append(cloud)
    return Filter(tuple(clouds), log_sum(cloud.weights), exact)


def first_cloud(steps: SwitchingSteps, runs: int) -> Cloud:
    """A particle in every state of the first step."""
    b, shape = steps.size, (runs, steps.states)
    return Cloud(
        np.broadcast_to(np.arange(steps.states), shape), np.broadcast_to(steps.value[0, 0], shape),
        np.broadcast_to(steps.slope[0, 0, :, b:], (*shape, b)),
        np.broadcast_to(steps.precision[0, 0, :, b:, b:], (*shape, b, b)), np.zeros(shape, dtype=np.intp),
    )  # fmt: skip


def log_sum(logs: Array) -> Array:
    """The logarithm of the sum of exponentials along the last axis."""
    top = logs.max(axis=-1)
    safe = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore"):
        return np.asarray(safe + np.log(np.exp(logs - safe[..., None]).sum(axis=-1)))


def joint_forms(cloud: Cloud, steps: SwitchingSteps, t: int) -> tuple[Array, Array]:
    """Slope and precision in `z` of every particle that goes on to every state, `(runs, particles, states, ...)`."""
    b = steps.size
    slope = steps.slope[t][cloud.state].copy()
    precision = steps.precision[t][cloud.state].copy()
    slope[..., :b] += cloud.slope[:, :, None]
    precision[..., :b, :b] += cloud.precision[:, :, None]
    return slope, precision


def extended(cloud: Cloud, steps: SwitchingSteps, t: int) -> Cloud:
    """Every particle goes on to every state: `(runs, particles * states)`."""
    b, states = steps.size, steps.states
    runs, count = cloud.state.shape
    slope, precision = joint_forms(cloud, steps, t)
    factor, left, bend = _integrated_out(slope, precision, first=True)
    factor = factor + cloud.factor[..., None] + steps.value[t][cloud.state]
    size = count * states
    state = np.broadcast_to(np.arange(states), (runs, count, states)).reshape(runs, size)
    parent = np.broadcast_to(np.arange(count)[:, None], (runs, count, states)).reshape(runs, size)
    return Cloud(state, factor.reshape(runs, size), left.reshape(runs, size, b), bend.reshape(runs, size, b, b), parent)


def thinned(cloud: Cloud, particles: int, rng: np.random.Generator) -> tuple[Cloud, Codes]:
    """So many particles of each run, and which of them."""
    logs = cloud.weights
    chosen = np.empty((len(logs), particles), dtype=np.intp)
    factor = np.empty(chosen.shape)
    for run, own in enumerate(logs):
        chosen[run], raised = kept_or_drawn(own, particles, rng)
        factor[run] = cloud.factor[run, chosen[run]] + raised
    return cloud.some(chosen, factor), chosen


def kept_or_drawn(logs: Array, count: int, rng: np.random.Generator) -> tuple[Codes, Array]:
    """`count` of more weighted things, each weight keeping its mean: those above a threshold are kept, of the others
    some are drawn that weigh as much as the threshold (Fearnhead and Clifford 2003). Returns which, and what is added
    to their log-weights.
    """
    weights = np.exp(logs - logs.max())
    order = np.argsort(-weights, kind="stable")
    ranked = weights[order]
    tails = np.concatenate([np.cumsum(ranked[::-1])[::-1], [0.0]])
    # with the k largest kept, the others share count - k places: the threshold is their sum over these
    k = np.arange(count)
    threshold = tails[:count] / (count - k)
    large = int(np.argmax(ranked[:count] < threshold)) if (ranked[:count] < threshold).any() else count
    if large == count:  # no weight at all beyond the first ones
        return order[:count], np.zeros(count)
    level = threshold[large]
    places = (rng.random() + np.arange(count - large)) * level
    ends = np.cumsum(ranked[large:])
    ends[-1] = max(ends[-1], places[-1] * (1.0 + 1e-12))
    drawn = order[large:][np.searchsorted(ends, places, side="right").clip(max=len(ends) - 1)]
    with np.errstate(divide="ignore"):
        raised = np.log(level) - np.log(weights[drawn])
    return np.concatenate([order[:large], drawn]), np.concatenate([np.zeros(large), raised])


def backward_paths(found: Filter, steps: SwitchingSteps, count: int, rng: np.random.Generator) -> Codes:
    """`count` paths of each run, `(runs, count, steps)`, drawn from the posterior as its particles have it."""
    clouds, b = found.clouds, steps.size
    last = clouds[-1]
    runs = len(last.state)
    rows = np.arange(runs)[:, None]
    chosen = _drawn(np.repeat(last.weights[:, None], count, axis=1), rng)
    path = np.empty((runs, count, steps.length), dtype=np.intp)
    path[..., -1] = last.state[rows, chosen]
    slope: Any = np.zeros((runs, count, b))
    bend: Any = np.zeros((runs, count, b, b))
    for t in range(steps.length - 1, 0, -1):
        now = path[..., t]
        # what is to come, as a function of the numbers one step back, for each state there: (K, runs, count, ...)
        along, across = steps.slope[t][:, now].copy(), steps.precision[t][:, now].copy()
        along[..., b:] += slope
        across[..., b:, b:] += bend
        factor, left, back = _integrated_out(along, across, first=False)
        factor = factor + steps.value[t][:, now]
        cloud = clouds[t - 1]
        # each path beside each particle, as the particle's state has it: (runs, count, particles)
        at = cloud.state[:, None], rows[..., None], np.arange(count)[:, None]
        logs = log_mass(cloud.slope[:, None] + left[at], cloud.precision[:, None] + back[at])
        logs = logs + cloud.factor[:, None] + factor[at]
        came_from = cloud.state[rows, _drawn(logs, rng)]
        path[..., t - 1] = came_from
        slope, bend = _of_state(left, came_from), _of_state(back, came_from)
    return path


def _of_state(values: Array, state: Codes) -> Array:
    runs, count = state.shape
    return np.asarray(values[state, np.arange(runs)[:, None], np.arange(count)])


def _drawn(logs: Array, rng: np.random.Generator) -> Codes:
    """One of each last axis with the probabilities of these log-weights."""
    shares = np.exp(logs - logs.max(axis=-1, keepdims=True))
    ends = shares.cumsum(axis=-1)
    at = rng.random(ends.shape[:-1])[..., None] * ends[..., -1:]
    return np.asarray((ends < at).sum(axis=-1), dtype=np.intp)


def all_paths(found: Filter) -> tuple[Codes, Array]:
    """Every path that the last particles of the first run came along, `(particles, steps)`, and its log-weight."""
    clouds = found.clouds
    at = np.arange(clouds[-1].state.shape[1])
    path = np.empty((len(at), len(clouds)), dtype=np.intp)
    for t in range(len(clouds) - 1, -1, -1):
        path[:, t] = clouds[t].state[0, at]
        at = clouds[t].parent[0, at]
    return path, clouds[-1].weights[0]
