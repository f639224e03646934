"""Filtering: what the units of a chain up to each one say of its hidden state, and no later ones (Hamilton 1989).

The two functions stand in the place of `scan_forward` and `scan_reverse`: what goes back to the factors are filtered
probabilities in the place of smoothed ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emdsl.runtime.chains import ChainLayout
from emdsl.runtime.kernels import LOG_IMPOSSIBLE, segment_sum_reverse
from emdsl.runtime.problem import Array
from emdsl.runtime.scan_log import LogMessages, log_messages


@dataclass(frozen=True)
class FilterTape:
    """Messages of every row and their log transition factors (emission included); whether they vary by row, and
    whether the law of the first state varies by chain."""

    messages: LogMessages
    potential: Array
    layout: ChainLayout
    step_by_row: bool
    shared_first: bool


def filter_forward(
    log_first: Array, log_step: Array, log_emit: Array | None, layout: ChainLayout
) -> tuple[Array, FilterTape]:
    """As `scan_forward`, for chains whose states are single labels."""
    shared = log_first.ndim == 2
    first = np.repeat(log_first[..., None], layout.chains, axis=-1) if shared else log_first.copy()
    by_row = log_step.ndim == 4
    potential = log_step.copy() if by_row else np.repeat(log_step[..., None], layout.size, axis=-1)
    if log_emit is not None:
        potential += log_emit[:, None]
        first[..., layout.lengths > 0] += log_emit[..., layout.first_rows]
    messages = log_messages(first, potential, layout)
    return messages.evidence, FilterTape(messages, potential, layout, by_row, shared)


def filter_reverse(tape: FilterTape, adjoint: Array) -> tuple[Array, Array, Array]:
    """As `scan_reverse`, with the filtered probabilities of each row (and pair of rows) times the chain's adjoint; 0
    from the row on up to which the data are impossible."""
    layout, messages = tape.layout, tape.messages
    weight = segment_sum_reverse(adjoint, layout.starts)
    d_emit = np.exp(messages.alpha) * weight[:, None]
    joint = tape.potential.copy()
    joint[..., 1:] += messages.alpha[:, :, None, :-1]
    joint[..., layout.first_rows] = -np.inf
    peak = np.maximum(joint.max(axis=(1, 2), keepdims=True), LOG_IMPOSSIBLE)
    pairs = np.exp(joint - peak)
    total = pairs.sum(axis=(1, 2))
    pairs *= np.divide(weight, total, out=np.zeros(total.shape), where=total > 0.0)[:, None, None]
    d_first = np.zeros((*d_emit.shape[:2], layout.chains))
    d_first[..., layout.lengths > 0] = d_emit[..., layout.first_rows]
    return (
        d_first.sum(axis=-1) if tape.shared_first else d_first,
        pairs if tape.step_by_row else pairs.sum(axis=-1),
        d_emit,
    )
