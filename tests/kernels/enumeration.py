"""Chains by enumeration of every path, and messages computed row by row in extended precision: what the kernels must
equal."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def log_total(values: Any, axis: int | None = None) -> Any:
    """`log sum exp`, minus infinity where all are."""
    peak = np.max(values, axis=axis, keepdims=True)
    peak = np.where(peak > -1e290, peak, 0.0)
    with np.errstate(divide="ignore"):
        total = np.log(np.sum(np.exp(values - peak), axis=axis, keepdims=True)) + peak
    return np.squeeze(total, axis=axis) if axis is not None else total.item()


def enumerate_paths(log_first: Array, log_step: Array, log_emit: Array | None, starts: NDArray[np.intp]) -> Array:
    """The log-evidence `(O, chains)`, path by path; arguments as of `scan_forward`."""
    outer, states = log_first.shape[:2]
    evidence = np.zeros((outer, len(starts) - 1))
    for cell, chain in itertools.product(range(outer), range(len(starts) - 1)):
        rows = range(starts[chain], starts[chain + 1])
        first = log_first[cell] if log_first.ndim == 2 else log_first[cell, :, chain]
        weights = []
        for path in itertools.product(range(states), repeat=len(rows)) if rows else ():
            weight = first[path[0]]
            for before, row in enumerate(rows[1:]):
                step = log_step[cell] if log_step.ndim == 3 else log_step[cell, ..., row]
                weight += step[path[before], path[before + 1]]
            if log_emit is not None:
                weight += sum(log_emit[cell, state, row] for state, row in zip(path, rows, strict=True))
            weights.append(weight)
        if weights:
            evidence[cell, chain] = log_total(np.array(weights))
    return evidence


def row_by_row(
    log_first: Array, log_step: Array, log_emit: Array, starts: NDArray[np.intp]
) -> tuple[Array, Array, Array]:
    """Log-evidence, marginals `(O, K, rows)` and pairs `(O, K, K, rows)`; `log_first` `(O, K)`, `log_step` `(O, K, K,
    rows)`."""
    first, step, emit = (values.astype(np.longdouble) for values in (log_first, log_step, log_emit))
    outer = len(emit)
    evidence = np.zeros((outer, len(starts) - 1))
    marginals, pairs = np.zeros(emit.shape), np.zeros(step.shape)
    alpha, beta = np.full(emit.shape, -np.inf, np.longdouble), np.zeros(emit.shape, np.longdouble)
    for cell, chain in itertools.product(range(outer), range(len(starts) - 1)):
        begin, end = starts[chain], starts[chain + 1]
        if begin == end:
            continue
        alpha[cell, :, begin] = first[cell] + emit[cell, :, begin]
        for row in range(begin + 1, end):
            alpha[cell, :, row] = (
                log_total(alpha[cell, :, row - 1, None] + step[cell, ..., row], 0) + emit[cell, :, row]
            )
        for row in range(end - 2, begin - 1, -1):
            after = emit[cell, :, row + 1] + beta[cell, :, row + 1]
            beta[cell, :, row] = log_total(step[cell, ..., row + 1] + after, 1)
        total = log_total(alpha[cell, :, end - 1], 0)
        evidence[cell, chain] = total
        if total == -np.inf:
            continue
        marginals[cell, :, begin:end] = np.exp(alpha[cell, :, begin:end] + beta[cell, :, begin:end] - total)
        into = step[cell, ..., begin + 1 : end] + (emit + beta)[cell, None, :, begin + 1 : end]
        pairs[cell, ..., begin + 1 : end] = np.exp(alpha[cell, :, None, begin : end - 1] + into - total)
    return evidence, marginals, pairs
