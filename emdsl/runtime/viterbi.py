"""The most probable path of chains of finite hidden states (Viterbi 1967), all chains in lockstep."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emdsl.runtime.chains import ChainLayout, Windows
from emdsl.runtime.kernels import LOG_IMPOSSIBLE
from emdsl.runtime.problem import Array

Codes = NDArray[np.intp]


def viterbi(log_first: Array, log_step: Array, log_emit: Array | None, layout: ChainLayout) -> Codes:
    """The states of the path of each chain that has the largest product of factors, `(O, rows)`.

    The factors are those of `emdsl.runtime.scan.scan_forward`. Of paths that are equally probable the one with the
    earlier state at its end, and at each step back, is taken. A chain without any possible path has -1 in its rows.
    """
    outer, states = log_first.shape[:2]
    path = np.full((outer, layout.size), -1, dtype=np.intp)
    order = np.argsort(-layout.lengths, kind="stable")
    order = order[layout.lengths[order] > 0]
    if not len(order):
        return path
    begin, lengths = layout.starts[:-1][order], layout.lengths[order]
    # chains are sorted by length, longest first: step t works on the first widths[t] of them
    widths = np.searchsorted(-lengths, -np.arange(int(lengths[0])), side="left").tolist()
    score = np.array(log_first[..., order] if log_first.ndim == 3 else np.repeat(log_first[..., None], len(order), -1))
    if log_emit is not None:
        score += log_emit[..., begin]
    before = np.zeros((outer, states, layout.size), dtype=np.int32)
    # a state is a tuple (oldest label, the rest), of one label in a chain of first order
    labels = log_step.shape[2]
    rest = states // labels
    factors = log_step.reshape(outer, labels, rest, *log_step.shape[2:])
    shared = factors[..., None] if log_step.ndim == 3 else None
    for step in range(1, len(widths)):
        width = widths[step]
        rows = begin[:width] + step
        entered = score[..., :width].reshape(outer, labels, rest, 1, width)
        entered = entered + (factors[..., rows] if shared is None else shared)
        came = entered.argmax(axis=1) * rest + np.arange(rest)[:, None, None]
        before[..., rows] = came.reshape(outer, states, width)
        best = entered.max(axis=1).reshape(outer, states, width)
        score[..., :width] = best if log_emit is None else best + log_emit[..., rows]
    return _traced(path, before, score, begin, widths)


def _traced(path: Codes, before: NDArray[np.int32], score: Array, begin: Codes, widths: list[int]) -> Codes:
    """The paths that end in the best state of each chain; `before` `(O, K, rows)` is the best state one row back."""
    state = score.argmax(axis=1)
    possible = score.max(axis=1) > LOG_IMPOSSIBLE
    for step in reversed(range(len(widths))):
        width = widths[step]
        rows = begin[:width] + step
        path[:, rows] = np.where(possible[:, :width], state[:, :width], -1)
        state[:, :width] = np.take_along_axis(before[..., rows], state[:, None, :width], axis=1)[:, 0]
    return path


def unit_path(path: Codes, windows: Windows, labels: int) -> Codes:
    """The path of single units, `(O, rows)`, of one of windows `(O, windows)`, each the tuple of the labels of
    `windows.memory` units; -1 stays -1."""
    rows = windows.rows
    found = np.full((len(path), int(rows.max(initial=-1)) + 1), -1, dtype=np.intp)
    found[:, rows] = np.where(path < 0, -1, path % labels)
    # the units before the end of a chain's first window are in that one alone
    layout = windows.layout
    first = layout.first_rows
    for back in range(1, windows.memory):
        unit = rows[first] - back
        chain_begin = np.concatenate([np.zeros(1, dtype=np.intp), rows[layout.starts[1:][layout.lengths > 0] - 1] + 1])
        inside = unit >= chain_begin[:-1]
        window = path[:, first[inside]]
        found[:, unit[inside]] = np.where(window < 0, -1, window // labels**back % labels)
    return found
