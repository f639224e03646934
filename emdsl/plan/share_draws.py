"""Draws of hidden shares around the posterior of each unit, with the logarithms of their weights.

Draws are made from a mixture of three Dirichlet laws: one with the mean and spread of the unit's posterior, one that
has in the corners of the simplex the exponents of the shares' own law, without which weights would have no bound, and
that law itself. Where the posterior lies is found by draws too, from a wide law that is narrowed step by step
(population Monte Carlo; Cappé, Guillin, Marin and Robert 2004). Draws are held while parameters move: the likelihood
that they make is smooth, and EM climbs it like any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from emdsl.data.bound import Bound, Values
from emdsl.ir.derivation import Derivation
from emdsl.ir.grids import index_set_of, log_weights_of, logs_of, values_of
from emdsl.ir.model import Model
from emdsl.plan.crossing import level_of
from emdsl.plan.evaluation import Evaluator
from emdsl.plan.program import Program
from emdsl.plan.share_proposals import Proposal, drawn_shares, placed
from emdsl.runtime.problem import Array, Theta

#: Draws that the posterior is looked for with, how often, and by how much their law may be narrowed each time.
SEEKING, MOST_ROUNDS, NARROWED = 500, 8, 4.0
#: The laws that are drawn from, and the share of the draws that each has.
MIXTURE = (0.6, 0.25, 0.15)
#: Draws are spread somewhat wider than the posterior seems to be.
WIDER = 0.8
#: A share whose exponent is so little above that of the own law may vanish in truth.
MAY_VANISH = 2.0
#: The logarithm at which an exponent is read off, and the exponents that draws are made with.
FAR, LEAST, MOST = 512.0, 1e-3, 1e7


def drawn_in(program: Program) -> tuple[str, ...]:
    """The hidden shares that a program sums over draws."""
    names = (variable.name for variable in program.derivation.model.variables)
    return tuple(name for name in names if log_weights_of(name) in program.bound.values)


def with_draws(derivation: Derivation, bound: Bound, theta: Theta, count: int) -> Bound:
    """The data with `count` draws of the shares around the posterior of each unit at theta."""
    own = {name: own_exponents(name, derivation, bound, theta) for name in drawn_shares(derivation)}
    laws = {name: Proposal((0.5, 0.5), np.stack([np.ones_like(a), a])) for name, a in own.items()}
    seeking = min(count, SEEKING)
    narrow = {name: np.full(a.shape[-1], float(len(a))) for name, a in own.items()}
    worth = 0.0
    for _ in range(MOST_ROUNDS):
        trial = placed(bound, laws, seeking)
        shares = shares_of_draws(derivation, trial, theta)
        for name, share in shares.items():
            values = np.asarray(trial.values[values_of(name)].array, dtype=np.float64)
            laws[name], narrow[name] = _fitted(values, share, own[name], narrow[name])
        before, worth = worth, float(np.mean([effective(share).mean() for share in shares.values()]))
        if before > 0 and worth < 1.05 * before:
            break
    return placed(bound, laws, count)


def _fitted(values: Array, share: Array, own: Array, narrow: Array) -> tuple[Proposal, Array]:
    """The proposal with the mean and the spread of weighted draws, narrowed by not too much at once."""
    mean = np.einsum("jku,ju->ku", values, share)
    spread = (np.einsum("jku,ju->ku", values**2, share) - mean**2).sum(axis=0)
    wanted = (1.0 - (mean**2).sum(axis=0)) / np.maximum(spread, 1e-12) - 1.0
    narrow = np.clip(WIDER * wanted, 0.1, NARROWED * narrow)
    a = np.clip(mean * narrow, LEAST, MOST)
    corners = np.where(a < own + MAY_VANISH, np.minimum(a, own), a)
    return Proposal(MIXTURE, np.stack([a, corners, own])), narrow


def some_draws(derivation: Derivation, bound: Bound, batch: int, batches: int) -> Bound:
    """One of some equal parts of the draws by themselves."""
    values, indexes = dict(bound.values), dict(bound.indexes)
    for name in drawn_shares(derivation):
        for table in (values_of(name), logs_of(name), log_weights_of(name)):
            part = np.asarray(values[table].array, dtype=np.float64)[batch::batches]
            more = np.log(batches) if table == log_weights_of(name) else 0.0
            values[table] = Values(part + more)
        indexes[index_set_of(name)] = tuple(map(str, range(len(part))))
    return replace(bound, values=values, indexes=indexes)


# --- what the draws are worth -----------------------------------------------------------------------------------------


def shares_of_draws(derivation: Derivation, bound: Bound, theta: Theta) -> dict[str, Array]:
    """The posterior of each draw in each unit `(draws, units)`; the same for all in units that are impossible."""
    program = Program(derivation, bound)
    return shares_from(program, program.expect(theta)[1])


def shares_from(program: Program, statistics: Mapping[str, Any]) -> dict[str, Array]:
    """`shares_of_draws` from the statistics of the shares' own laws, whose rows are the units."""
    found = {}
    for name in drawn_in(program):
        own: Any = 0.0
        seen: set[str] = set()
        for item in program.pieces.values():
            piece = item.piece
            mine = piece.target is not None and piece.target.name == name and name in item.axes.hidden
            key = repr((piece.factor, piece.guards))  # the parts of one law have the same weights
            if mine and key not in seen:
                seen.add(key)
                axis = item.axes.hidden.index(name)
                weights = np.moveaxis(np.asarray(statistics[piece.name]), axis, 0)
                own = own + weights.reshape(weights.shape[0], -1, weights.shape[-1]).sum(axis=1)
        total = own.sum(axis=0)
        found[name] = np.where(total > 0, own / np.where(total > 0, total, 1.0), 1.0 / len(own))
    return found


def effective(share: Array) -> Array:
    """How many equally weighted draws those of each unit are worth (Kong, Liu and Wong 1994)."""
    return np.asarray(1.0 / (share**2).sum(axis=0))


def own_exponents(name: str, derivation: Derivation, bound: Bound, theta: Theta) -> Array:
    """The exponents `(shares, units)` of the shares' own law in the corners of the simplex, the least of several laws
    that are chosen among.
    """
    model = derivation.gridded
    assert model is not None
    size = len(bound.indexes[derivation.model.variable(name).axes[-1]])
    level = level_of(name, model, bound)
    units = bound.levels[level].size
    logs = -FAR * np.eye(size + 1, size, k=-1)
    made = replace(
        bound,
        values={
            **bound.values, logs_of(name): Values(np.broadcast_to(logs[..., None], (*logs.shape, units))),
            log_weights_of(name): Values(np.zeros((size + 1, units))),
        },
        indexes={**bound.indexes, index_set_of(name): tuple(map(str, range(size + 1)))},
    )  # fmt: skip
    found = [_slopes(branch, name, model, made, theta, level) for branch in _branches(name, model)]
    least: Array = np.min([np.broadcast_to(item, (size, units)) for item in found], axis=0)
    return np.asarray(np.clip(1.0 + least, LEAST, MOST))


def _branches(name: str, model: Model) -> list[Any]:
    own = [factor for factor in model.factors if factor.target is not None and factor.target.name == name]
    return [branch.log_density for factor in own for branch in factor.branches]


def _slopes(log_density: Any, name: str, model: Model, bound: Bound, theta: Theta, level: int) -> Array:
    """The slope of a log-density in each logarithm, `(shares, units)` or `(shares, 1)`."""
    value = Evaluator(model, bound, theta=theta, level=level).value(log_density)
    axes = (name, *(axis for axis in value.axes if axis not in (name, "row")), "row")
    array = value.aligned(axes)
    slopes = (array[1:] - array[:1]) / -FAR
    return np.asarray(slopes.reshape(len(slopes), -1, slopes.shape[-1]).min(axis=1))
