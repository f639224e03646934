"""Panels of observed finite variables: how often each value is seen, and how often the fit expects it.

Expected is what the model says of units of which nothing is seen but their inputs. Where a law looks at observed values
(autoregression, conditions) there is no such thing without them, and expected is given the data.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from emdsl.data.counting import unit_weights
from emdsl.ir.model import Variable
from emdsl.plan.posterior import unordered_pairs
from emdsl.predict.predictor import Predicted
from emdsl.results.plots.facts import Facts, joined
from emdsl.results.plots.panels import Array, Frequencies

#: Bars in one panel.
MOST_BARS = 40


def frequencies(facts: Facts) -> Iterator[Frequencies]:
    """A panel for each observed finite variable."""
    finite = [item for item in facts.observed() if item.values is not None]
    if not finite:
        return
    by_name = {item.name: item for item in facts.expected.variables}
    for variable in finite:
        yield from _panel(facts, variable, by_name)


def _panel(facts: Facts, variable: Variable, by_name: dict[str, Predicted]) -> Iterator[Frequencies]:
    weights = unit_weights(facts.bound, facts.place(variable))
    names, bars, left_out = facts.elements(variable), [], 0
    labels = facts.bound.indexes[variable.values or ""]
    shown = unordered_pairs(labels) if variable.genotype else labels
    places = _pairs(len(labels)) if variable.genotype else np.arange(len(labels))
    binary = shown == ("0", "1") and len(names) > 1
    for name, codes in zip(names, facts.values(variable), strict=True):
        found = by_name.get(name)
        if found is None or found.probabilities is None:
            continue
        one = np.isin(codes, places) & np.isfinite(found.probabilities).all(axis=0)
        inside = name.removeprefix(variable.name)[1:-1]
        for k, label in enumerate(shown):
            if binary and k == 0:
                continue
            text = inside if binary else joined(inside, label)
            observed = float(weights[one & (codes == places[k])].sum())
            bars.append((text, observed, float((weights * found.probabilities[k])[one].sum())))
    if len(bars) > MOST_BARS:
        left_out = len(bars) - MOST_BARS
        bars = sorted(bars, key=lambda bar: -bar[1])[:MOST_BARS]
    if not bars:
        return
    note = joined(
        "how often the value is 1" if binary else "", "expected given the data" * (not facts.expected_alone),
        f"the {MOST_BARS} most frequent of {MOST_BARS + left_out}" if left_out else "",
    )  # fmt: skip
    title = f"{variable.name}: {variable.description}" if variable.description else variable.name
    texts, seen, expected = zip(*bars, strict=True)
    yield Frequencies(title, note, texts, np.array(seen), np.array(expected))


def _pairs(size: int) -> Array:
    first, second = np.triu_indices(size)
    return np.asarray(first * size + second)
