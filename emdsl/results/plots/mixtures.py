"""Panels of observed numbers that depend on something finite and hidden: densities, and clouds of points."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emdsl.data.counting import unit_weights
from emdsl.ir.latents import WHOLE
from emdsl.ir.model import Variable
from emdsl.plan.posterior import Marginal
from emdsl.predict.densities import Cell, FittedDensity
from emdsl.results.plots.facts import Facts, joined, shortened
from emdsl.results.plots.panels import Array, Clouds, Densities
from emdsl.results.posterior import ancestor

#: Elements of an array that have a panel, components that have a curve, whole numbers that have a bar of their own.
MOST_ELEMENTS, MOST_CURVES, MOST_BARS = 6, 8, 120
#: Points of a curve, and of an outline; points of a cloud; columns whose pairs are shown.
CURVE_POINTS, OUTLINE_POINTS, MOST_POINTS, MOST_COLUMNS = 400, 120, 3000, 3
#: How far an outline is from the mean, in standard deviations (Mahalanobis distance).
OUTLINE = 2.0


def mixtures(facts: Facts) -> Iterator[Densities | Clouds]:
    """Densities of the observed numbers, then the clouds."""
    numbers = [item for item in facts.observed() if item.values is None and _spread(facts, item)]
    points = {item.name: np.stack([_points(item, row) for row in facts.values(item)]) for item in numbers}
    found = facts.densities(points) if points else {}
    for variable in numbers:
        if variable.name in found:
            yield from _densities(facts, variable, found[variable.name])
    yield from _clouds(facts, [item for item in numbers if item.name in found], found)


def _spread(facts: Facts, variable: Variable) -> bool:
    """Whether every element shows at least two different numbers."""
    return all(len(np.unique(row[np.isfinite(row)])) > 1 for row in facts.values(variable))


def _is_whole(variable: Variable, seen: Array) -> bool:
    return variable.domain.kind in WHOLE and bool(np.ptp(seen) < MOST_BARS)


def _points(variable: Variable, values: Array) -> Array:
    """Where the density of an element is asked for."""
    seen = values[np.isfinite(values)]
    low, high = float(seen.min()), float(seen.max())
    if variable.domain.kind in WHOLE:
        every = np.arange(np.floor(low), np.ceil(high) + 1)
        return np.interp(np.linspace(0, 1, MOST_BARS), np.linspace(0, 1, len(every)), every).round()
    room = 0.08 * (high - low)
    low = max(low - room, 1e-3 * room) if variable.domain.kind in ("positive", "unit") else low - room
    high = min(high + room, 1.0 - 1e-3 * room) if variable.domain.kind == "unit" else high + room
    return np.linspace(low, high, CURVE_POINTS)


def _densities(facts: Facts, variable: Variable, density: FittedDensity) -> Iterator[Densities]:
    names, weights = facts.elements(variable), unit_weights(facts.bound, facts.place(variable))
    left_out = shortened(min(MOST_ELEMENTS, len(names)), len(names), "elements")
    for number, (name, values) in enumerate(zip(names[:MOST_ELEMENTS], facts.values(variable), strict=False)):
        if not np.isfinite(density.total[number]).any():
            continue
        seen = np.isfinite(values)
        whole = _is_whole(variable, values[seen])
        edges, heights = _histogram(values[seen], weights[seen], variable.domain.kind in WHOLE)
        x, first = np.unique(density.points[number], return_index=True)
        curves = tuple((named(cell), part[number][first]) for cell, part in density.parts.items() if cell)
        many = len(curves) > MOST_CURVES
        note = joined(f"{len(curves)} components, their sum alone" * many, left_out)
        title = f"{name}: {variable.description}" if variable.description else name
        yield Densities(
            title, note, edges, heights, x, density.total[number][first], () if many else curves, name, whole
        )


def named(cell: Cell) -> str:
    """`z = 1`; of several variables all of them, of the unit before it says so."""
    said = []
    for axis, label in cell:
        name, _, lag = axis.partition("@")
        said.append(f"{name}{f' {lag} before' if lag else ''} = {label}")
    return ", ".join(said)


def _histogram(seen: Array, weights: Array, whole: bool) -> tuple[Array, Array]:
    """Edges and heights over an area of 1. The width is that of Freedman & Diaconis (1981), or whole numbers."""
    low, high = float(seen.min()), float(seen.max())
    quarter, three = np.quantile(seen, [0.25, 0.75])
    width = 2 * (three - quarter) / len(seen) ** (1 / 3)
    bins = int(np.clip(np.ceil((high - low) / width) if width > 0 else 20, 8, 50))
    if whole:
        step = max(1, int(np.ceil((high - low + 1) / MOST_BARS)))
        edges = np.arange(low - 0.5, high + step, step)
    else:
        edges = np.linspace(low, high, bins + 1)
    counts, _ = np.histogram(seen, edges, weights=weights)
    return edges, counts / (counts.sum() * np.diff(edges))


# --- clouds -----------------------------------------------------------------------------------------------------------


def _clouds(facts: Facts, numbers: list[Variable], found: dict[str, FittedDensity]) -> Iterator[Clouds]:
    """Pairs of numbers of one unit, coloured by the first class that their laws look at."""
    for level in sorted({facts.place(item) for item in numbers}):
        here = [item for item in numbers if facts.place(item) == level]
        columns = [(item, k) for item in here for k in range(len(facts.elements(item)))]
        chosen = _class(facts, here, level)
        if chosen is None or len(columns) < 2:
            continue
        left_out = shortened(min(MOST_COLUMNS, len(columns)), len(columns), "columns")
        for one, two in combinations(columns[:MOST_COLUMNS], 2):
            yield _cloud(facts, one, two, chosen, found, left_out)


def _class(facts: Facts, here: list[Variable], level: int) -> Marginal | None:
    looked = {node.name for item in here for node in facts.looked_at(item.name)}
    for item in facts.posterior.marginals:
        if item.name in looked and 0 < item.level <= level and len(item.labels) <= MOST_CURVES:
            return item
    return None


def _cloud(
    facts: Facts, one: tuple[Variable, int], two: tuple[Variable, int], chosen: Marginal,
    found: dict[str, FittedDensity], left_out: str,
) -> Clouds:  # fmt: skip
    (first, a), (second, b) = one, two
    level = facts.place(first)
    order = facts.order(level)
    x, y = facts.values(first)[a][order], facts.values(second)[b][order]
    code = chosen.best[ancestor(facts.bound, level, chosen.level)][order]
    seen = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
    step = int(np.ceil(len(seen) / MOST_POINTS)) if len(seen) else 1
    kept: NDArray[Any] = seen[::step]
    outlines = []
    if first is second:
        for normal in found[first.name].normal:
            if [axis for axis, _ in normal.cell] == [chosen.name]:
                place = chosen.labels.index(normal.cell[0][1])
                outlines.append((place, _outline(normal.mean[[a, b]], normal.covariance[np.ix_([a, b], [a, b])])))
    names = facts.elements(first)[a], facts.elements(second)[b]
    note = joined(
        "outlines at 2 standard deviations" if outlines else "", f"one in {step} points" if step > 1 else "", left_out
    )
    return Clouds(
        f"{names[1]} against {names[0]} by most probable {chosen.name}", note, x[kept], y[kept], code[kept],
        tuple(f"{chosen.name} = {label}" for label in chosen.labels), tuple(outlines), *names,
    )  # fmt: skip


def _outline(mean: Array, covariance: Array) -> Array:
    """`(2, vertices)`: the ellipse at OUTLINE standard deviations."""
    angle = np.linspace(0.0, 2 * np.pi, OUTLINE_POINTS)
    values, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    return np.asarray(mean[:, None] + OUTLINE * root @ np.stack([np.cos(angle), np.sin(angle)]))
