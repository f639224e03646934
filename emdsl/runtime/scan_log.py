"""Forward and backward messages of chains in logarithms throughout.

Slower than scaled probabilities but nothing underflows: it carries messages between the pieces that `scan` runs in
lockstep, takes the chains whose states are so far apart that scaled probabilities lose them, and is the independent
check in the tests.

Notation (Rabiner 1989, section III): a `potential` `(O, K, K, rows)` is, for each row, the log-factor of going from a
state of the row before into a state of this row, emission included; `alpha` and `beta` are log forward and backward
messages.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emdsl.runtime.chains import ChainLayout, Lanes
from emdsl.runtime.kernels import LOG_IMPOSSIBLE, segment_sum, segment_sum_reverse
from emdsl.runtime.problem import Array

#: Numbers up to which one ufunc that adds in logarithms is faster than six passes.
SMALL_TABLE = 512


@dataclass(frozen=True)
class LogMessages:
    """`alpha`, `beta` `(O, K, rows)`: log messages, `alpha` shifted so that each row's probabilities sum to 1 and
    `beta` so that the largest is 0 (all minus infinity where the evidence is impossible); `growth` `(O, rows)`: what
    each row adds to the log-evidence; `evidence` `(O, chains)`."""

    alpha: Array
    beta: Array
    growth: Array
    evidence: Array


def log_total(table: Array, axis: int) -> Array:
    """`log sum exp` over one axis, which stays with length 1; minus infinity where every element is."""
    if table.size <= SMALL_TABLE:
        small: Array = np.logaddexp.reduce(table, axis=axis, keepdims=True)
        small[small <= LOG_IMPOSSIBLE] = -np.inf
        return small
    peak = np.maximum.reduce(table, axis=axis, keepdims=True)
    np.maximum(peak, LOG_IMPOSSIBLE, out=peak)
    with np.errstate(divide="ignore"):
        total: Array = np.log(np.add.reduce(np.exp(table - peak), axis=axis, keepdims=True))
    total += peak
    return total


def log_messages(log_first: Array, potential: Array, layout: ChainLayout) -> LogMessages:
    """Messages of every row.

    `log_first` `(O, K, chains)`: the log-factor of each chain's first row, emission included; `potential` `(O, K, K,
    rows)`, whose entries at first rows are not used. Impossible is minus infinity. An empty chain has evidence 0.
    """
    outer, states, rows = potential.shape[0], potential.shape[1], potential.shape[-1]
    schedule = layout.schedule(outer, states)
    alpha, beta = np.empty((outer, states, rows)), np.empty((outer, states, rows))
    growth = np.empty((outer, rows))
    for lanes in schedule.whole:
        _log_forward(log_first, potential, lanes, np.full((outer, states, len(lanes)), -np.inf), alpha, growth)
        _log_backward(potential, lanes, np.zeros((outer, states, len(lanes))), beta)
    if schedule.pieces is not None:
        transfers = np.empty((outer, states, states, schedule.pieces.size))
        for lanes in schedule.cut:
            transfers[..., lanes.piece] = _log_transfer(log_first, potential, lanes)
        carried = carry_messages(transfers, schedule.pieces)
        for lanes in schedule.cut:
            _log_forward(log_first, potential, lanes, carried.alpha[..., lanes.piece - 1], alpha, growth)
            _log_backward(potential, lanes, carried.beta[..., lanes.piece], beta)
    return LogMessages(alpha, beta, growth, segment_sum(growth, layout.starts))


def carry_messages(transfers: Array, pieces: ChainLayout) -> LogMessages:
    """Messages at the end of each piece from the pieces' log transfer matrices `(O, K, K, pieces)`.

    Of a chain's first piece, the matrix is that of its law of the first row: the sum over the states entered from is
    its message.
    """
    opening = transfers[..., pieces.starts[:-1]]
    return log_messages(log_total(opening, 1)[:, 0], transfers, pieces)


def _log_transfer(log_first: Array, potential: Array, lanes: Lanes) -> Array:
    """Log transfer matrices `(O, K, K, lanes)` from the state before each piece to its last state."""
    outer, states = potential.shape[:2]
    exits = np.empty((outer, states, states, len(lanes)))
    current = potential[..., lanes.rows(0)].copy()
    if lanes.opens.any():
        first = log_first[:, None, :, lanes.chain[lanes.opens]]
        current[..., lanes.opens] = np.where(np.eye(states, dtype=np.bool_)[..., None], first, -np.inf)
    for step, (width, after) in enumerate(_widths_and_after(lanes)):
        if step:
            into = potential[..., lanes.rows(step)]
            current = log_total(current[..., :width][:, :, :, None] + into[:, None], 2)[:, :, 0]
        exits[..., after:width] = current[..., after:]
    return exits


def _log_forward(log_first: Array, potential: Array, lanes: Lanes, entry: Array, alpha: Array, growth: Array) -> None:
    """Writes `alpha` and the growth of the evidence `(O, rows)` at the rows of the lanes, from messages `entry`
    before them."""
    current = entry
    for step, (width, _) in enumerate(_widths_and_after(lanes)):
        rows = lanes.rows(step)
        into = potential[..., rows]
        if step == 0 and lanes.opens.any():
            into = into.copy()
            into[..., lanes.opens] = -np.inf
        current = log_total(current[:, :, None, :width] + into, 1)[:, 0]
        if step == 0 and lanes.opens.any():
            current[..., lanes.opens] = log_first[..., lanes.chain[lanes.opens]]
        total = log_total(current, 1)
        current -= np.maximum(total, LOG_IMPOSSIBLE)
        alpha[..., rows] = current
        growth[..., rows] = total[:, 0]


def _log_backward(potential: Array, lanes: Lanes, leave: Array, beta: Array) -> None:
    """Writes `beta` at the rows of the lanes, from messages `leave` after them."""
    widths = lanes.widths
    current = leave[..., :0]
    for step in range(len(widths) - 1, -1, -1):
        if step + 1 < len(widths):
            into = potential[..., lanes.rows(step + 1)]
            current = log_total(into + current[:, None], 2)[:, :, 0]
            current -= np.maximum(np.maximum.reduce(current, axis=1, keepdims=True), LOG_IMPOSSIBLE)
        current = np.concatenate([current, leave[..., current.shape[-1] : widths[step]]], axis=-1)
        beta[..., lanes.rows(step)] = current


def _widths_and_after(lanes: Lanes) -> list[tuple[int, int]]:
    """For each step the lanes that it works on and those that go on after it."""
    return list(zip(lanes.widths, (*lanes.widths[1:], 0), strict=True))


def log_marginals(messages: LogMessages, layout: ChainLayout, adjoint: Array) -> Array:
    """Posterior probabilities of the state of each row, `(O, K, rows)`, times the chain's `adjoint` `(O, chains)`; 0
    where the evidence is impossible."""
    joint = messages.alpha + messages.beta
    probabilities = np.exp(joint - np.maximum(log_total(joint, 1), LOG_IMPOSSIBLE))
    return probabilities * segment_sum_reverse(adjoint, layout.starts)[:, None]


def log_pairs(messages: LogMessages, potential: Array, layout: ChainLayout, adjoint: Array) -> Array:
    """Posterior probabilities of the states of each row and the row before, `(O, K, K, rows)`, times `adjoint` `(O,
    chains)`; 0 at first rows and where the evidence is impossible."""
    joint = potential + messages.beta[:, None]
    joint[..., 1:] += messages.alpha[:, :, None, :-1]
    joint[..., layout.first_rows] = -np.inf
    peak = np.maximum(np.max(joint, axis=(1, 2), keepdims=True), LOG_IMPOSSIBLE)
    np.exp(np.subtract(joint, peak, out=joint), out=joint)
    total = np.sum(joint, axis=(1, 2))
    weight = segment_sum_reverse(adjoint, layout.starts)
    joint *= np.divide(weight, total, out=np.zeros(total.shape), where=total > 0.0)[:, None, None]
    return joint
