"""Verification at compile time: does an update without iteration zero the gradient of Q, and is it a maximum?

Each is run on the statistics of random weighted data inside the support, in several cells with different parameters, as
the program will run it: by the sources of its contributions, by the gradients of the pieces, by assembly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from emdsl.derive.candidate import Candidate
from emdsl.derive.evaluation import names, value
from emdsl.derive.random_cells import Cells, Draws, NotDrawn, draw_cells
from emdsl.ir.derivation import Piece, Update
from emdsl.ir.model import Domain, Model

#: Worlds to draw until one has an update inside the parameter's domain.
ATTEMPTS = 12
#: A Newton step from the update is at most this share of the parameter.
TOLERANCE = 1e-6

CHECKED = "checked on random data: there"
FAILED = "its closed form failed verification"

_Place = tuple[str, tuple[int, ...]]


@dataclass(frozen=True)
class Verdict:
    """What came of checking one update. `remark` is what there is to say, `passed` whether it may be used."""

    parameter: str
    passed: bool
    remark: str


def verify(candidates: Sequence[Candidate], pieces: Sequence[Piece], model: Model) -> tuple[Verdict, ...]:
    """A verdict for each simplex and closed-form update."""
    by_name = {piece.name: piece for piece in pieces}
    found = []
    for candidate in candidates:
        update = candidate.update
        if update.rule in ("simplex", "closed form") and update.contributions:
            own = {c.piece: by_name[c.piece] for c in update.contributions}
            found.append(_verdict(update, own, model))
    return tuple(found)


def _verdict(update: Update, pieces: Mapping[str, Piece], model: Model) -> Verdict:
    (name,) = update.parameters
    for attempt in range(ATTEMPTS):
        draws = Draws(model, np.random.default_rng(1 + attempt))
        with np.errstate(all="ignore"):
            try:
                world = {key: draw_cells(piece, draws, _needed(update, piece)) for key, piece in pieces.items()}
            except NotDrawn as error:
                return Verdict(name, True, f"not checked on random data, for {error}")
            new = _updated(update, world, draws, model.parameter(name).domain)
            if new is not None:
                return _judge(update, world, draws, new)
    return Verdict(name, False, "on random data the update lies outside the parameter's domain")


def _needed(update: Update, piece: Piece) -> frozenset[str]:
    """Symbols in whatever is evaluated, so that nothing else need have a value."""
    sources = [source for c in update.contributions if c.piece == piece.name for source in c.sources]
    positions = {c.atom for c in update.contributions if c.piece == piece.name}
    sources += [piece.gradient[i] for i in positions]
    sources += [source for i, j, source in piece.hessian if i == j and i in positions]
    used = frozenset[str]().union(*(names(source) for source in sources)) if sources else frozenset[str]()
    for j, term in enumerate(piece.terms):
        if f"S{j}" in used:
            used |= names(term.statistic)
    for shift in piece.shifts:
        used |= names(shift.base)
    return used


# --- the update -------------------------------------------------------------------------------------------------------


def _updated(update: Update, world: Mapping[str, Cells], draws: Draws, domain: Domain) -> dict[_Place, float] | None:
    """The new value of every element that occurs, or None where one lies outside the domain."""
    sums: dict[_Place, list[float]] = {}
    for contribution in update.contributions:
        cells = world[contribution.piece]
        for m, source in enumerate(contribution.sources):
            for place, term in zip(cells.places[contribution.atom], _by_cell(cells, source), strict=True):
                sums.setdefault(place, [0.0] * len(contribution.sources))[m] += term
    if update.rule == "simplex":
        new = _shares({place: total for place, (total,) in sums.items()}, len(domain.axes))
    else:
        new = {
            place: float(value(update.formula, {f"R{m}": total for m, total in enumerate(totals)}))
            for place, totals in sums.items()
        }
    return new if all(_inside(x, domain) for x in new.values()) else None


def _shares(counts: Mapping[_Place, float], event: int) -> dict[_Place, float]:
    totals: dict[tuple[int, ...], float] = {}
    for (_, indices), count in counts.items():
        lead = indices[: len(indices) - event]
        totals[lead] = totals.get(lead, 0.0) + count
    return {place: count / totals[place[1][: len(place[1]) - event]] for place, count in counts.items()}


def _inside(x: float, domain: Domain) -> bool:
    bounds = {"positive": (0.0, np.inf), "unit": (0.0, 1.0), "simplex": (0.0, 1.0)}
    low, high = bounds.get(domain.kind, (-np.inf, np.inf))
    if domain.kind == "interval":
        low = float(getattr(domain.low, "value", low))
        high = float(getattr(domain.high, "value", high))
    return (bool(np.isfinite(x)) and low < x < high) or (domain.kind == "simplex" and x == 1.0)


# --- gradient and second derivative -----------------------------------------------------------------------------------


def _judge(update: Update, world: Mapping[str, Cells], draws: Draws, new: Mapping[_Place, float]) -> Verdict:
    (name,) = update.parameters
    draws.parameters.update(new)
    slopes: dict[_Place, float] = dict.fromkeys(new, 0.0)
    bends: dict[_Place, float] = dict.fromkeys(new, 0.0)
    sizes: dict[_Place, float] = dict.fromkeys(new, 0.0)
    for contribution in update.contributions:
        cells = world[contribution.piece]
        symbols = dict(cells.symbols)
        for at, atom in enumerate(cells.piece.atoms):
            if not atom.is_predictor:
                symbols[atom.symbol] = np.array([[draws.parameter(*place)] for place in cells.places[at]])
        moved = Cells(cells.piece, symbols, cells.places, cells.weights)
        i = contribution.atom
        second = next((s for a, b, s in cells.piece.hessian if a == b == i), "0")
        slope, bend = _by_cell(moved, cells.piece.gradient[i]), _by_cell(moved, second)
        for place, first, curvature in zip(cells.places[i], slope, bend, strict=True):
            slopes[place] += first
            bends[place] += curvature
            sizes[place] += abs(first)
    if update.rule == "simplex":
        slopes = _along_the_simplex(slopes, new, len(draws.model.parameter(name).domain.axes))
    for place, x in new.items():
        reach = abs(bends[place]) * (abs(x) + 1e-3) + 1e-12 * sizes[place]
        if not abs(slopes[place]) <= TOLERANCE * reach + 1e-300:
            return Verdict(name, False, "on random data the gradient of Q is not 0 at the update")
        if bends[place] > 0:
            return Verdict(name, False, "on random data the update is no maximum of Q")
    if any(bend == 0 for bend in bends.values()):
        return Verdict(name, True, f"{CHECKED} the gradient is 0, and so is the second derivative: not identified")
    return Verdict(name, True, f"{CHECKED} the gradient is 0 and the second derivative negative")


def _along_the_simplex(slopes: Mapping[_Place, float], new: Mapping[_Place, float], event: int) -> dict[_Place, float]:
    """The gradient less its mean over the elements that share one sum: at the maximum nothing is left of it."""
    groups: dict[tuple[int, ...], list[_Place]] = {}
    for place in slopes:
        groups.setdefault(place[1][: len(place[1]) - event], []).append(place)
    left: dict[_Place, float] = {}
    for places in groups.values():
        mean = sum(slopes[place] * new[place] for place in places) / sum(new[place] for place in places)
        left |= {place: slopes[place] - mean for place in places}
    return left


def _by_cell(cells: Cells, source: str) -> Any:
    """`(cells,)`: a formula over statistics, or the weighted sum over rows of one by row."""
    piece = cells.piece
    symbols = dict(cells.symbols)
    used = names(source)
    if piece.form == "separable":
        for j, term in enumerate(piece.terms):
            if f"S{j}" in used:
                statistic = np.broadcast_to(value(term.statistic, symbols), cells.weights.shape)
                symbols[f"S{j}"] = (cells.weights * statistic).sum(axis=1, keepdims=True)
        by_cell = {key: _first(entry) for key, entry in symbols.items() if key in used}
        return np.broadcast_to(value(source, by_cell), (len(cells.weights), 1))[:, 0]
    by_row = np.broadcast_to(value(source, symbols), cells.weights.shape)
    return (cells.weights * by_row).sum(axis=1)


def _first(entry: Any) -> Any:
    """One value a cell of what does not vary by row."""
    return np.asarray(entry)[:, :1]


__all__ = ["FAILED", "Verdict", "verify"]
