"""Sums over the paths of chains of finite hidden states, and their reverse.

One function serves a single chain of a million rows and a million short ones: chains are cut into pieces that run in
lockstep (`chains`), in scaled probabilities (`scan_lockstep`), with log messages carried between the pieces
(`scan_log`).

What scaled probabilities can lose is the weight of a state that is less than 1e-308 of its row's and that later rows
bring back. Where every transition is possible, that cannot matter: the weights that later rows give to two states
differ at most by the ratio of two transition factors. Elsewhere the evidence is computed once more with every
possible state held above 1e-150 of its row, an upper bound; a chain for which the two differ goes to the log kernel.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from emdsl.runtime.chains import ChainLayout, Lanes, chain_layout
from emdsl.runtime.kernels import segment_sum
from emdsl.runtime.problem import Array
from emdsl.runtime.scan_lockstep import (
    LEAST_DIVISOR,
    Transitions,
    scaled_emissions,
    scaled_forward,
    scaled_last,
    scaled_propagate,
    scaled_reverse,
)
from emdsl.runtime.scan_log import LogMessages, carry_messages, log_marginals, log_messages, log_pairs
from emdsl.runtime.scan_transitions import RowTransitions, StaticTransitions, gathered, widened
from emdsl.runtime.scan_tuples import TupleTransitions

#: The least share of its row that the upper bound leaves to a possible state: the product of two is still a number.
LEAST_SHARE = 1e-150
#: Where a transition is impossible, a state predicted with less counts as impossible: it could not be divided by in
#: reverse.
LEAST_PREDICTED = 1e-290
#: Logs of transition factors (the largest is 0) above which every state's weight is within 1e30 of every other's.
LEAST_DENSE = -69.0
#: Logarithm of the smallest number that scaled probabilities may come to between two rescalings.
LOG_RANGE = -230.0
#: Steps between rescalings at most.
LONGEST_UNSCALED = 16


@dataclass(frozen=True)
class ChainFactors:
    """The factors of the chains: `first` `(O, K, 1)` or `(O, K, chains)`, `step` and `emit` as given to
    `scan_forward`."""

    first: Array
    step: Array
    emit: Array | None
    layout: ChainLayout

    @cached_property
    def transitions(self) -> Transitions:
        return self._transitions(0.0)

    @cached_property
    def lifted_transitions(self) -> Transitions:
        """The transitions, none that is possible below `LEAST_SHARE`."""
        return self._transitions(LEAST_SHARE)

    def _transitions(self, floor: float) -> Transitions:
        if self.step.ndim == 4:
            return RowTransitions(self.step, self.layout, floor)
        if self.step.shape[1] == self.step.shape[2]:
            return StaticTransitions(self.step, floor)
        return TupleTransitions(self.step, floor)


@dataclass(frozen=True)
class ChainBlock:
    """Lanes after the forward pass: filtered probabilities `steps` and `entry` as `scaled_reverse` wants them, and
    `leave` `(O, K, lanes)`, the posterior probabilities of each lane's last row (all 0 where the evidence is
    impossible)."""

    lanes: Lanes
    steps: list[Array]
    entry: Array
    leave: Array


@dataclass(frozen=True)
class LogChains:
    """Chains that went to the log kernel: their numbers, their rows, and of these alone the layout, potentials and
    messages."""

    chains: NDArray[np.intp]
    rows: NDArray[np.intp]
    layout: ChainLayout
    potential: Array
    messages: LogMessages


@dataclass(frozen=True)
class ChainTape:
    """What `scan_reverse` needs. It holds about as many numbers as the emissions, and may be reversed any number of
    times."""

    factors: ChainFactors
    blocks: tuple[ChainBlock, ...]
    log_chains: LogChains | None
    shared_first: bool


def scan_forward(
    log_first: Array, log_step: Array, log_emit: Array | None, layout: ChainLayout
) -> tuple[Array, ChainTape]:
    """Log-evidence of each chain, `(O, chains)`: the log of the sum over paths of the product of its factors.

    `log_first`: `(O, K)`, or `(O, K, chains)`, factors of each chain's first state; `log_step`: `(O, K, K)` from the
    state before (axis 1) to the state (axis 2), or `(O, K, K, rows)` with factors of each row's own, of which those
    of first rows are not read; `log_emit`: `(O, K, rows)`, factors of each row's state, or None. Minus infinity and
    -1e300 say impossible. The evidence is minus infinity where no path is possible and 0 for an empty chain.

    Where `log_step` is `(O, K, N)` or `(O, K, N, rows)` with N < K, a state is a tuple of the last labels, of which
    there are N, the newest last, and axis 2 is the label that follows.
    """
    shared = log_first.ndim == 2
    factors = ChainFactors(log_first[..., None] if shared else log_first, log_step, log_emit, layout)
    outer, states = factors.first.shape[:2]
    schedule = layout.schedule(outer, states)
    evidence = np.zeros((outer, layout.chains))
    doubtful = np.zeros((outer, layout.chains), dtype=np.bool_)
    blocks = [_whole_chains(factors, lanes, evidence, doubtful) for lanes in schedule.whole]
    if schedule.pieces is not None:
        chains = schedule.cut_chains
        cut, evidence[:, chains], doubtful[:, chains] = _cut_chains(factors, schedule.cut, schedule.pieces)
        blocks += cut
    evidence += factors.transitions.total_shift(layout)
    log_chains = None
    if doubtful.any():
        log_chains = _log_chains(factors, np.flatnonzero(doubtful.any(axis=0)))
        evidence[:, log_chains.chains] = log_chains.messages.evidence
    return evidence, ChainTape(factors, tuple(blocks), log_chains, shared)


def scan_reverse(tape: ChainTape, adjoint: Array) -> tuple[Array, Array, Array]:
    """Adjoints of the factors of `scan_forward`, from those of the evidence, `(O, chains)`.

    These are posterior probabilities times the chain's adjoint, 0 where the evidence is impossible: `d_first` of the
    first state, in the shape of `log_first`; `d_step` of pairs of states, in the shape of `log_step`, summed over all
    rows where that has none; `d_emit` of the state of each row, `(O, K, rows)`.
    """
    layout, transitions = tape.factors.layout, tape.factors.transitions
    outer, states = tape.factors.first.shape[:2]
    scaled = adjoint
    if tape.log_chains is not None:
        scaled = adjoint.copy()
        scaled[:, tape.log_chains.chains] = 0.0
    d_emit = np.empty((outer, states, layout.size))
    counts = transitions.new_counts()
    for block in tape.blocks:
        leave = block.leave * scaled[:, None, block.lanes.chain]
        scaled_reverse(transitions, block.lanes, block.steps, block.entry, leave, d_emit, counts)
    d_step = transitions.finish(counts)
    if tape.log_chains is not None:
        _reverse_log(tape.log_chains, adjoint, d_emit, d_step)
    d_first = np.zeros((outer, states, layout.chains))
    d_first[..., layout.lengths > 0] = d_emit[..., layout.first_rows]
    return d_first.sum(axis=-1) if tape.shared_first else d_first, d_step, d_emit


def _whole_chains(factors: ChainFactors, lanes: Lanes, evidence: Array, doubtful: NDArray[np.bool_]) -> ChainBlock:
    """The forward pass of chains that are not cut; writes their evidence, and whether it is doubtful."""
    outer, states = factors.first.shape[:2]
    steps, scales = scaled_emissions(lanes, factors.first, factors.emit)
    may_lose = _may_lose(factors.transitions, steps)
    entry = np.zeros((outer, states, len(lanes)))
    logs = scaled_forward(factors.transitions, lanes, steps, entry, *_limits(factors.transitions))
    evidence[:, lanes.chain] = logs + scales
    if may_lose:
        _, bound = _upper_bound(factors, lanes, np.ones((outer, states, 1, len(lanes))))
        doubtful[:, lanes.chain] = _differ(logs, bound[:, 0])
    leave = scaled_last(steps)
    leave /= np.maximum(np.add.reduce(leave, axis=1, keepdims=True), LEAST_DIVISOR)
    return ChainBlock(lanes, steps, entry, leave)


def _cut_chains(
    factors: ChainFactors, parts: tuple[Lanes, ...], pieces: ChainLayout
) -> tuple[list[ChainBlock], Array, NDArray[np.bool_]]:
    """The forward pass of chains in pieces: transfer matrices, messages between the pieces, then each piece alone.

    Returns the blocks, the chains' evidence and whether it is doubtful, `(O, chains of pieces)`.
    """
    transitions, (every, least) = factors.transitions, _limits(factors.transitions)
    outer, states = factors.first.shape[:2]
    transfers = np.empty((outer, states, states, pieces.size))
    scales = np.empty((outer, pieces.size))
    emitted, may_lose = [], False
    for lanes in parts:
        steps, scales[:, lanes.piece] = scaled_emissions(lanes, factors.first, factors.emit)
        emitted.append(steps)
        may_lose = may_lose or _may_lose(transitions, steps)
        columns = _entered(transitions, lanes, states)
        transfers[..., lanes.piece] = _in_logs(*scaled_propagate(transitions, lanes, steps, columns, every))
    carried = carry_messages(transfers, pieces)
    doubtful = np.zeros(carried.evidence.shape, dtype=np.bool_)
    if may_lose:
        for lanes in parts:
            columns = _entered(factors.lifted_transitions, lanes, states)
            transfers[..., lanes.piece] = _in_logs(*_upper_bound(factors, lanes, columns))
        doubtful = _differ(carried.evidence, carry_messages(transfers, pieces).evidence)
    entries, leaves = _between_pieces(carried, pieces)
    lost = np.empty((outer, pieces.size))
    blocks = []
    for lanes, steps in zip(parts, emitted, strict=True):
        entry, leave = entries[..., lanes.piece], leaves[..., lanes.piece]
        logs = scaled_forward(transitions, lanes, steps, entry, every, least)
        lost[:, lanes.piece] = _lost_paths(scaled_last(steps), logs, leave, carried, lanes)
        blocks.append(ChainBlock(lanes, steps, entry, leave))
    doubtful |= segment_sum(lost, pieces.starts) > 0.0
    return blocks, carried.evidence + segment_sum(scales, pieces.starts), doubtful


def _between_pieces(carried: LogMessages, pieces: ChainLayout) -> tuple[Array, Array]:
    """Filtered probabilities before each piece, of no account where it opens a chain, and posterior probabilities at
    its end, `(O, K, pieces)`."""
    entries = np.zeros(carried.alpha.shape)
    entries[..., 1:] = np.exp(carried.alpha[..., :-1])
    return entries, log_marginals(carried, pieces, np.ones(carried.evidence.shape))


def _lost_paths(last: Array, logs: Array, leave: Array, carried: LogMessages, lanes: Lanes) -> NDArray[np.bool_]:
    """Whether the forward pass of each piece lost paths that matter, `(O, lanes)`.

    It can only lose: with `F[k]` what it has in each state at the end of the piece, and `M[k]`, no less, what the
    transfer matrix gives, the paths lost have the posterior probability `sum_k leave[k] * (1 - F[k] / M[k])`.
    """
    growth = carried.growth[:, lanes.piece]
    messages = carried.alpha[..., lanes.piece] + growth[:, None]
    share = last / np.maximum(np.add.reduce(last, axis=1, keepdims=True), LEAST_DIVISOR)
    matter = leave > LEAST_DIVISOR
    with np.errstate(divide="ignore"):
        found = np.log(share) + logs[:, None]
    excess = np.subtract(found, messages, out=np.zeros(found.shape), where=matter)
    missing = np.add.reduce(leave * np.abs(np.expm1(np.minimum(excess, 1.0))), axis=1)
    matters: NDArray[np.bool_] = missing > _rounding(growth)
    return matters


def _entered(transitions: Transitions, lanes: Lanes, states: int) -> Array:
    """Columns at the lanes' first rows, `(O, K, K, lanes)`: one for each state before, or, of a chain's first row,
    for each state."""
    columns = transitions.columns(lanes)
    columns[..., lanes.opens] = np.eye(states)[..., None]
    return columns


def _in_logs(columns: Array, logs: Array) -> Array:
    """Log transfer matrices, from the state before (axis 1) to the last state (axis 2), of columns."""
    with np.errstate(divide="ignore"):
        table = np.log(columns)
    table += logs[:, None]
    return table.swapaxes(1, 2)


def _upper_bound(factors: ChainFactors, lanes: Lanes, columns: Array) -> tuple[Array, Array]:
    """`scaled_propagate` with every possible state held above `LEAST_SHARE` of its row."""
    steps, _ = scaled_emissions(lanes, factors.first, factors.emit, LEAST_SHARE)
    return scaled_propagate(factors.lifted_transitions, lanes, steps, columns, 1, LEAST_SHARE)


def _limits(transitions: Transitions) -> tuple[int, float]:
    """After how many steps sums are brought back to 1, and the least that a state may be predicted with.

    Where all transitions are possible, the state that a row favours most keeps at least the smallest of them of the
    sum, and no state is predicted with less.
    """
    if not _is_dense(transitions):
        return 1, LEAST_PREDICTED
    return int(min(LONGEST_UNSCALED, LOG_RANGE / min(transitions.smallest, -1.0))), 0.0


def _is_dense(transitions: Transitions) -> bool:
    return transitions.mixing == 1 and transitions.smallest >= LEAST_DENSE


def _may_lose(transitions: Transitions, steps: list[Array]) -> bool:
    """Whether a state that matters may fall below what scaled probabilities can hold.

    Not where all transitions are possible; nor where every state soon follows every other, as the weights that later
    rows give to two states differ at most by the smallest factors to the power of these steps; nor in lanes so short
    that their rarest path can be held.
    """
    if _is_dense(transitions):
        return False
    smallest = min(float(slab.min()) for slab in steps)
    if smallest <= LEAST_DIVISOR:
        return True
    a_step = transitions.smallest + float(np.log(smallest))
    mixes = transitions.mixing > 0 and transitions.mixing * a_step >= LOG_RANGE
    return not mixes and len(steps) * a_step < 2.0 * LOG_RANGE


def _differ(evidence: Array, bound: Array) -> NDArray[np.bool_]:
    """Whether two log-evidences, of which the second is at least the first, differ by more than rounding."""
    possible: NDArray[np.bool_] = bound > -np.inf
    gap = np.subtract(bound, evidence, out=np.zeros(bound.shape), where=possible)
    return possible & (gap > _rounding(bound))


def _rounding(evidence: Array) -> Array:
    """What two computations of a log-evidence may differ by."""
    return 1e-9 + 1e-13 * np.abs(evidence)


def _log_chains(factors: ChainFactors, chains: NDArray[np.intp]) -> LogChains:
    """Messages of some chains in logarithms."""
    layout = factors.layout
    lengths = layout.lengths[chains]
    sub = chain_layout(np.concatenate([np.zeros(1, dtype=np.intp), np.cumsum(lengths)]))
    rows = np.repeat(layout.starts[chains] - sub.starts[:-1], lengths) + np.arange(sub.size)
    static = factors.step.ndim == 3
    step = factors.step[..., None] if static else factors.step[..., rows]
    potential = np.repeat(widened(step, -np.inf), sub.size if static else 1, axis=-1)
    first = np.broadcast_to(factors.first, (*factors.first.shape[:2], layout.chains))[..., chains]
    if factors.emit is not None:
        emit = factors.emit[..., rows]
        potential += emit[:, None]
        first = first.copy()
        first[..., sub.lengths > 0] += emit[..., sub.first_rows]
    return LogChains(chains, rows, sub, potential, log_messages(first, potential, sub))


def _reverse_log(chains: LogChains, adjoint: Array, d_emit: Array, d_step: Array) -> None:
    """Writes the marginals of the log kernel's chains, and writes or adds their pairs."""
    weights = adjoint[:, chains.chains]
    d_emit[..., chains.rows] = log_marginals(chains.messages, chains.layout, weights)
    pairs = gathered(log_pairs(chains.messages, chains.potential, chains.layout, weights), d_step.shape[2])
    if d_step.ndim == 3:
        d_step += pairs.sum(axis=-1)
    else:
        d_step[..., chains.rows] = pairs
