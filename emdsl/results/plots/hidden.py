"""Panels of hidden numbers by unit: means and intervals, sorted."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from emdsl.plan.hidden_numbers import HiddenNumber
from emdsl.results.plots.chains import is_course
from emdsl.results.plots.facts import Facts, joined, shortened
from emdsl.results.plots.panels import Intervals
from emdsl.runtime.uncertainty import normal_quantile

#: Units in one panel, and elements of an array that have one.
MOST_UNITS, MOST_ELEMENTS = 40, 4


def hidden_numbers(facts: Facts) -> Iterator[Intervals]:
    """A panel for each element of each hidden number that is no course along a chain."""
    for number in facts.posterior.numbers:
        if not is_course(facts, number):
            yield from _sorted(facts, number)


def _sorted(facts: Facts, number: HiddenNumber) -> Iterator[Intervals]:
    if number.level == 0:  # outside the plates the elements are the units
        names = [", ".join(labels) or number.name for labels in number.elements]
        yield _panel(facts, number.name, names, number.mean[:, 0], number.sd[:, 0], "")
        return
    names = facts.unit_names(number.level)
    left_out = shortened(min(MOST_ELEMENTS, len(number.elements)), len(number.elements), "elements")
    for name, mean, sd in list(zip(number.names, number.mean, number.sd, strict=True))[:MOST_ELEMENTS]:
        yield _panel(facts, name, names, mean, sd, left_out)


def _panel(facts: Facts, name: str, names: list[str], mean: np.ndarray, sd: np.ndarray, left_out: str) -> Intervals:
    order = np.argsort(mean, kind="stable")
    order = order[np.isfinite(mean[order])]
    chosen = order
    if len(order) > MOST_UNITS:
        chosen = order[np.linspace(0, len(order) - 1, MOST_UNITS).round().astype(int)]
    chosen = chosen[::-1]
    z = normal_quantile(facts.level)
    said = f"{len(chosen)} of {len(order)} units, evenly by rank" if len(chosen) < len(order) else ""
    note = joined(f"mean and {100 * facts.level:g}% interval", said, left_out)
    return Intervals(
        f"{name} given the data", note, tuple(names[unit] for unit in chosen), mean[chosen],
        mean[chosen] - z * sd[chosen], mean[chosen] + z * sd[chosen], axis=name, zero=True,
    )  # fmt: skip
