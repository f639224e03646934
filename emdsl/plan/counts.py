"""Latent counts: how much posterior mass lies at and beyond the last value that is summed over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from emdsl.data.bound import Bound
from emdsl.ir.model import Counts, Model
from emdsl.runtime.problem import Array

#: The posterior mass, summed over units, that a chosen bound may leave out.
NEGLECTED = 1e-12
#: The posterior mass at the last value of a bound that the model gives, above which a warning says so.
LAST_VALUE = 1e-8
#: The highest bound that is chosen.
HIGHEST = 5_000


@dataclass(frozen=True)
class Tail:
    """What the posterior says of the end of a count's values.

    `last`: the mass at the last one, summed over units; `beyond`: what lies behind it, by the ratio of the last two (an
    upper limit where ratios fall, as those of log-concave laws do); NaN where nothing tells. `chosen`: the bound is not
    the model's.
    """

    index_set: str
    variable: str
    top: int
    last: float
    beyond: float
    chosen: bool


def counted_sets(model: Model) -> dict[str, Counts]:
    """The index sets of latent counts."""
    return {item.name: item.source for item in model.index_sets if isinstance(item.source, Counts)}


def counted_variables(model: Model) -> dict[str, str]:
    """The index set of each latent count."""
    sets = counted_sets(model)
    return {v.name: v.values for v in model.variables if v.kind == "latent" and v.values in sets}


def cut_off(model: Model, bound: Bound) -> str:
    """The counts that the model bounds, each with its last value, to read; empty where there are none."""
    sets = counted_sets(model)
    cut = ((name, values) for name, values in counted_variables(model).items() if sets[values].top is not None)
    return ", ".join(f"`{name}` at {last_value(bound, values)}" for name, values in cut)


def first_value(bound: Bound, index_set: str) -> int:
    """The least value that a latent count is summed over."""
    return int(bound.indexes[index_set][0])


def last_value(bound: Bound, index_set: str) -> int:
    """The greatest value that a latent count is summed over."""
    return int(bound.indexes[index_set][-1])


def with_top(bound: Bound, index_set: str, top: int) -> Bound:
    """The same data, a latent count running from 0 (or from `-top`, where it may be negative) to `top`."""
    low = -top if first_value(bound, index_set) < 0 else 0
    labels = tuple(str(value) for value in range(low, top + 1))
    return replace(bound, indexes={**bound.indexes, index_set: labels})


def raised(bound: Bound, tails: tuple[Tail, ...]) -> Bound | None:
    """The data with every chosen bound doubled that leaves out too much, or None where none does (or can rise)."""
    changed = None
    for tail in tails:
        if tail.chosen and tail.beyond > NEGLECTED and tail.top < HIGHEST:
            changed = with_top(changed or bound, tail.index_set, min(HIGHEST, 2 * tail.top))
    return changed


def tails_of_statistics(program: Any, statistics: Mapping[str, Any]) -> tuple[Tail, ...]:
    """The tails under the expected statistics of an E-step, each as long as any piece with the count shows it.

    `program` is a `plan.program.Program`.
    """
    model, found = program.derivation.model, []
    for name in counted_variables(model):
        masses = [*_masses(program, statistics, name)] or [np.full((2, 1), np.nan)]
        found.append(max((tail(model, program.bound, name, mass) for mass in masses), key=lambda item: item.beyond))
    return tuple(found)


def tail(model: Model, bound: Bound, variable: str, mass: Array) -> Tail:
    """The tail of a count whose values have these masses, `(values,)` or `(values, units)`."""
    index_set = counted_variables(model)[variable]
    by_unit = mass.reshape(len(mass), -1)
    ends = [_end(by_unit[-1], by_unit[-2])]
    if counted_sets(model)[index_set].signed:
        ends.append(_end(by_unit[0], by_unit[1]))
    chosen = counted_sets(model)[index_set].top is None
    last, beyond = (sum(parts) for parts in zip(*ends, strict=True))
    return Tail(index_set, variable, last_value(bound, index_set), float(last), float(beyond), chosen)


def _end(last: Array, before: Array) -> tuple[float, float]:
    """The mass at the last value of one end, and what lies beyond it."""
    ratio = np.where(before > 0, last / np.where(before > 0, before, 1.0), np.where(last > 0, 1.0, 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        beyond = np.where(ratio < 1.0, last * ratio / (1.0 - ratio), np.where(last > 0, np.inf, 0.0))
    beyond = np.where(np.isnan(last), np.nan, beyond)
    return float(last.sum()), float(beyond.sum())


def _masses(program: Any, statistics: Mapping[str, Any], name: str) -> Iterator[Array]:
    """Posterior mass of each value, `(values,)`, summed over the units (or rows) of each piece in which the count
    occurs: its own law is one."""
    for item in program.pieces.values():
        values = statistics.get(item.piece.name)
        if not isinstance(values, np.ndarray) or name not in item.axes.hidden:
            continue  # what is integrated over besides keeps its weights at points
        if item.piece.form == "separable":
            constant = next((j for j, term in enumerate(item.piece.terms) if term.statistic == "1"), None)
            if constant is None:
                continue
            values = values[..., constant]
        elif item.piece.form not in ("rows", "log-sum-exp"):
            continue
        axis = item.axes.hidden.index(name)
        yield np.asarray(values.sum(axis=tuple(k for k in range(values.ndim) if k != axis)))


def warnings_of(tails: tuple[Tail, ...], before: Bound) -> Iterator[str]:
    """What a reader must know of the sums over counts; `before` are the data as they were bound at first."""
    for item in tails:
        first, low = last_value(before, item.index_set), first_value(before, item.index_set)
        begin, at_first = (f"-{item.top}", f"-{first}") if low < 0 else ("0", "0")
        if item.chosen and item.beyond <= NEGLECTED and item.top > first:
            yield (
                f"`{item.variable}` is summed over {begin} to {item.top}, at first {at_first} to {first}: the estimate "
                f"calls for it, and less than {NEGLECTED:g} of posterior mass lies beyond"
            )
        if np.isnan(item.beyond):
            yield f"nothing tells how much of the posterior mass of `{item.variable}` lies beyond {item.top}"
        elif item.chosen and item.beyond > NEGLECTED:
            highest = ", the highest bound that is chosen," if item.top >= HIGHEST else ""
            much = f"{item.beyond:.2g} of" if np.isfinite(item.beyond) else "nobody knows how much"
            over = f"{begin} to {item.top}"
            yield f"`{item.variable}` is summed over {over}{highest} and {much} posterior mass may lie beyond"
        elif not item.chosen and item.last > LAST_VALUE:
            yield (
                f"`{item.variable}` is cut off at {item.top}, where a posterior mass of {item.last:.2g} lies (summed "
                "over units); a higher `up to` takes in what is beyond"
            )
