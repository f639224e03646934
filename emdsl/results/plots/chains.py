"""Panels of chains: a series with its most probable states, and hidden numbers along the chain."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from emdsl.ir.model import Variable
from emdsl.plan.hidden_numbers import HiddenNumber
from emdsl.plan.posterior import Marginal
from emdsl.results.plots.facts import Facts, joined, shortened
from emdsl.results.plots.panels import Array, Course, States
from emdsl.runtime.uncertainty import normal_quantile

#: Chains, units of one, series beside one hidden variable, and elements of a hidden array that are shown.
MOST_CHAINS, MOST_UNITS, MOST_SERIES, MOST_ELEMENTS = 3, 1000, 2, 3
MOST_STATES = 8
#: How near the expected value of an observed number must be to a hidden one, in its standard deviations, to be it.
SAME = 1e-6


def chains(facts: Facts) -> Iterator[States | Course]:
    """Finite variables first."""
    for marginal in facts.posterior.marginals:
        if marginal.path is not None and marginal.level > 0 and len(marginal.labels) <= MOST_STATES:
            yield from _states(facts, marginal)
    for number in facts.posterior.numbers:
        if is_course(facts, number):
            yield from _courses(facts, number)


def is_course(facts: Facts, number: HiddenNumber) -> bool:
    """Whether a hidden number belongs to the units of a chain and looks back along it."""
    plate = facts.bound.levels[number.level].plate
    ordered = any(item.name == plate and item.ordered for item in facts.model.plates)
    return ordered and facts.looks_back(number.name)


def _some_chains(facts: Facts, level: int) -> Iterator[tuple[str, str, NDArray[np.intp], Array]]:
    """The first chains: a name, what was left out, units and their places from 1."""
    here = facts.bound.levels[level]
    several = len(here.starts) - 1
    order = facts.order(level - 1) if level > 1 else np.zeros(1, dtype=np.intp)
    names = facts.unit_names(level - 1, in_full=True) if level > 1 else [""]
    for chain in order[:MOST_CHAINS]:
        units: NDArray[np.intp] = np.arange(here.starts[chain], here.starts[chain + 1])
        kept = units[:MOST_UNITS]
        if not len(kept):
            continue
        note = joined(
            shortened(len(kept), len(units), "units"), shortened(min(MOST_CHAINS, several), several, "chains")
        )
        yield names[int(chain)], note, kept, here.position(kept).astype(np.float64) + 1.0


def _series(facts: Facts, marginal: Marginal) -> list[tuple[str, Variable, int]]:
    """The observed variables of the units of the chain, those first whose laws look at what is hidden."""
    here = [item for item in facts.observed() if facts.place(item) == marginal.level and not item.genotype]
    here.sort(key=lambda item: marginal.name not in {node.name for node in facts.looked_at(item.name)})
    return [(name, item, k) for item in here for k, name in enumerate(facts.elements(item))]


def _states(facts: Facts, marginal: Marginal) -> Iterator[States]:
    assert marginal.path is not None
    series = _series(facts, marginal)
    states = tuple(f"{marginal.name} = {label}" for label in marginal.labels)
    unit = facts.bound.levels[marginal.level].plate or ""
    what = f"most probable path of {marginal.name}"
    for chain, note, units, time in _some_chains(facts, marginal.level):
        state = marginal.path[units]
        if not series:
            yield States(joined(what, chain), note, time, np.full(len(units), np.nan), state, states, "", unit)
        for name, variable, element in series[:MOST_SERIES]:
            labels = () if variable.values is None else facts.bound.indexes[variable.values]
            y = facts.values(variable)[element][units].astype(float)
            y = np.where((y >= 0) & (y < len(labels)), y, np.nan) if labels else y
            said = joined(note, shortened(min(MOST_SERIES, len(series)), len(series), "series"))
            yield States(joined(f"{name} and the {what}", chain), said, time, y, state, states, name, unit, labels)


def _courses(facts: Facts, number: HiddenNumber) -> Iterator[Course]:
    z, unit = normal_quantile(facts.level), facts.bound.levels[number.level].plate or ""
    for place, name in list(enumerate(number.names))[:MOST_ELEMENTS]:
        seen = _is_expected(facts, number, place)
        left_out = shortened(min(MOST_ELEMENTS, len(number.elements)), len(number.elements), "elements")
        for chain, note, units, time in _some_chains(facts, number.level):
            mean, sd = number.mean[place][units], number.sd[place][units]
            title = joined(f"{name} given all data", chain)
            said = joined(f"mean and {100 * facts.level:g}% band", f"points: {seen[0]}" if seen else "", note, left_out)
            yield Course(
                title, said, time, mean, mean - z * sd, mean + z * sd, name, unit, seen[1][units] if seen else None
            )


def _is_expected(facts: Facts, number: HiddenNumber, place: int) -> tuple[str, Array] | None:
    """The observed number whose expected value the hidden one is, with its values."""
    mean, sd = number.mean[place], number.sd[place]
    for variable in facts.observed():
        if variable.values is not None or facts.place(variable) != number.level:
            continue
        if number.name not in {node.name for node in facts.looked_at(variable.name)}:
            continue
        for item in facts.prediction.variables:
            if item.expected is None or item.name not in facts.elements(variable):
                continue
            apart = np.abs(item.expected - mean) > SAME * np.where(sd > 0, sd, 1.0)
            if not apart.any() and np.isfinite(item.expected).any():
                return item.name, facts.values(variable)[facts.elements(variable).index(item.name)]
    return None
