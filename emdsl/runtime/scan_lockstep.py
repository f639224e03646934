"""Passes over pieces of chains in lockstep, in scaled probabilities (Rabiner 1989, section V.A).

`steps` holds for each step the emissions of its lanes, `(O, K, width)`, divided by the largest of each row; the
forward pass turns them into filtered probabilities where they lie. Sums are brought back to 1 only as often as the
transitions need.
"""

from __future__ import annotations

import numpy as np

from emdsl.runtime.chains import Lanes
from emdsl.runtime.kernels import LOG_IMPOSSIBLE
from emdsl.runtime.problem import Array
from emdsl.runtime.scan_transitions import RowTransitions, StaticTransitions
from emdsl.runtime.scan_tuples import TupleTransitions

Transitions = StaticTransitions | TupleTransitions | RowTransitions

#: Divisors are at least this, so that where nothing is left 0 is divided by it and not by 0.
LEAST_DIVISOR = 1e-300


def scaled_emissions(
    lanes: Lanes, log_first: Array, log_emit: Array | None, floor: float = 0.0
) -> tuple[list[Array], Array]:
    """Scaled emissions of each step, that of a chain's first row with `log_first` in it, and the sum of each lane's
    log-scales.

    `log_first`: `(O, K, 1)` or `(O, K, chains)`; `log_emit`: `(O, K, rows)`, or None for 0 everywhere. With a
    `floor`, possible states have at least that. The scales are `(O, lanes)`.
    """
    outer, states = log_first.shape[:2]
    ends = np.cumsum(lanes.widths) * (outer * states)
    parts = np.split(np.empty(int(ends[-1])), ends[:-1])
    steps = [part.reshape(outer, states, -1) for part in parts]
    scales = np.zeros((outer, len(lanes)))
    for step, slab in enumerate(steps):
        _gather(log_emit, lanes, step, slab)
        if step == 0:
            _add_first(log_first, lanes, slab)
        peak = np.maximum.reduce(slab, axis=1)
        np.maximum(peak, LOG_IMPOSSIBLE, out=peak)
        slab -= peak[:, None]
        scales[:, : slab.shape[-1]] += peak
        if floor:
            possible = slab > LOG_IMPOSSIBLE
            np.exp(slab, out=slab)
            np.maximum(slab, floor, out=slab, where=possible)
        else:
            np.exp(slab, out=slab)
    return steps, scales


def _gather(log_emit: Array | None, lanes: Lanes, step: int, slab: Array) -> None:
    """Copies the rows of a step into `slab` `(O, K, width)`."""
    if log_emit is None:
        slab.fill(0.0)
        return
    rows = lanes.rows(step)
    if isinstance(rows, slice):
        np.copyto(slab, log_emit[..., rows])
    else:
        np.take(log_emit, rows, axis=-1, out=slab, mode="clip")


def _add_first(log_first: Array, lanes: Lanes, slab: Array) -> None:
    """Adds the law of the first row to the lanes that open a chain."""
    shared = log_first.shape[-1] == 1
    if shared and lanes.opens.all():
        slab += log_first
    else:
        slab[..., lanes.opens] += log_first if shared else log_first[..., lanes.chain[lanes.opens]]


def scaled_forward(
    transitions: Transitions, lanes: Lanes, steps: list[Array], entry: Array, every: int, least: float = 0.0
) -> Array:
    """Turns emissions into filtered probabilities, up to a scale, in place.

    `entry` `(O, K, lanes)`: filtered probabilities before each lane, of no account where it opens a chain. `every`:
    after how many steps sums are brought back to 1. `least`: what is predicted with less counts as impossible. Returns
    the log of what each lane's scales leave of its evidence, `(O, lanes)`.
    """
    logs = np.zeros((entry.shape[0], entry.shape[-1]))
    predicted = np.empty(entry.shape)
    transitions.forward(entry, lanes, 0, predicted)
    predicted[..., lanes.opens] = 1.0
    for step, slab in enumerate(steps):
        width, after = slab.shape[-1], _width_after(steps, step)
        if step:
            transitions.forward(steps[step - 1][..., :width], lanes, step, predicted[..., :width])
        if least:
            predicted[..., :width] *= predicted[..., :width] >= least
        slab *= predicted[..., :width]
        if (step + 1) % every == 0:
            total = np.add.reduce(slab, axis=1)
            np.maximum(total, LEAST_DIVISOR, out=total)
            slab /= total[:, None]
            logs[:, :width] += np.log(total)
        if after < width:
            with np.errstate(divide="ignore"):
                logs[:, after:width] += np.log(np.add.reduce(slab[..., after:], axis=1))
    return logs


def scaled_propagate(
    transitions: Transitions, lanes: Lanes, steps: list[Array], columns: Array, every: int, floor: float = 0.0
) -> tuple[Array, Array]:
    """Takes columns `(O, K, columns, lanes)` at the lanes' first rows, their emission not yet in them, to their last
    rows.

    Each column is scaled apart, as the columns of states that are not connected drift apart without bound. Returns
    the columns, summing to 1, and the logs of their sums `(O, columns, lanes)`. With a `floor`, what is possible is
    at least that share of a column: an upper bound. The columns given are overwritten.
    """
    exits = np.empty(columns.shape)
    logs = np.zeros((columns.shape[0], *columns.shape[2:]))
    spare = np.empty(columns.shape)
    possible = np.empty(0, dtype=np.bool_)
    for step, slab in enumerate(steps):
        width, after = slab.shape[-1], _width_after(steps, step)
        if step:
            if width < columns.shape[-1]:
                columns = columns[..., :width].copy()
                spare = np.empty(columns.shape)
            transitions.forward_columns(columns, lanes, step, spare)
            columns, spare = spare, columns
        if floor:
            possible = (columns > 0.0) & (slab > 0.0)[:, :, None]
        columns *= slab[:, :, None]
        if floor:
            np.maximum(columns, LEAST_DIVISOR, out=columns, where=possible)
        if (step + 1) % every == 0 or after < width:
            total = np.add.reduce(columns, axis=1)
            np.maximum(total, LEAST_DIVISOR, out=total)
            columns /= total[:, None]
            logs[..., :width] += np.log(total)
        if floor:
            np.maximum(columns, floor, out=columns, where=possible)
        exits[..., after:width] = columns[..., after:]
    total = np.add.reduce(exits, axis=1)
    exits /= np.maximum(total, LEAST_DIVISOR)[:, None]
    with np.errstate(divide="ignore"):
        logs += np.log(total)
    return exits, logs


def scaled_reverse(
    transitions: Transitions,
    lanes: Lanes,
    steps: list[Array],
    entry: Array,
    leave: Array,
    marginals: Array,
    counts: Array,
) -> None:
    """Writes posterior marginals at the rows of the lanes and adds up expected transitions.

    `steps`: filtered probabilities, as `scaled_forward` left them; `entry` as given to `scaled_forward`; `leave` `(O,
    K, lanes)`: the marginals of each lane's last row. Going back, `marginal_t = filtered_t * (T @ (marginal_{t+1} /
    predicted_{t+1}))` (Kitagawa 1987, eq. 2.4), whatever the scale of the filtered: no backward probabilities that
    could overflow, and marginals sum to what `leave` sums to.
    """
    ratios, pulled, current = np.empty((3, *entry.shape))
    following = 0
    for step in range(len(steps) - 1, -1, -1):
        width = steps[step].shape[-1]
        if following:
            before, marginal = steps[step][..., :following], current[..., :following]
            ratio, back = ratios[..., :following], pulled[..., :following]
            _divide_by_prediction(transitions, lanes, step + 1, before, marginal, ratio)
            transitions.count(before, ratio, lanes, step + 1, counts)
            transitions.backward(ratio, lanes, step + 1, back)
            np.multiply(before, back, out=marginal)
        current[..., following:width] = leave[..., following:width]
        marginals[..., lanes.rows(step)] = current[..., :width]
        following = width
    if not lanes.opens.all():
        current[..., lanes.opens] = 0.0
        _divide_by_prediction(transitions, lanes, 0, entry, current, ratios)
        transitions.count(entry, ratios, lanes, 0, counts)


def scaled_last(steps: list[Array]) -> Array:
    """The last step of each lane, `(O, K, lanes)`."""
    out = np.empty(steps[0].shape)
    for step, slab in enumerate(steps):
        after = _width_after(steps, step)
        out[..., after : slab.shape[-1]] = slab[..., after:]
    return out


def _divide_by_prediction(
    transitions: Transitions, lanes: Lanes, step: int, before: Array, marginal: Array, out: Array
) -> None:
    """`out = marginal / predicted`, where `predicted` follows from the filtered probabilities of the row `before`."""
    transitions.forward(before, lanes, step, out)
    np.maximum(out, LEAST_DIVISOR, out=out)
    np.divide(marginal, out, out=out)


def _width_after(steps: list[Array], step: int) -> int:
    return steps[step + 1].shape[-1] if step + 1 < len(steps) else 0
