"""Inputs far from 0: a regression on `x` as one on `x - c`, exactly, whose intercept is `b0 + c*b1`.

Years, times since an epoch or map coordinates spread little beside their size; `b0` and `b1` are then as good as one
number, and sums of squares lose the digits in which they differ. The predictors are bound with centred inputs, and what
formulas see of the parameters, the one vector of all, has the intercepts at the centres. Users see `b0` and `b1`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from emdsl.ir.derivation import Piece
from emdsl.ir.expressions import ParameterRef, walk
from emdsl.ir.model import Model
from emdsl.plan.layout import BoundPiece, Layout
from emdsl.runtime.centring import Centring
from emdsl.runtime.pieces import Slots
from emdsl.runtime.problem import Array

#: A column whose mean is this many times its spread is far from 0.
FAR = 100.0
Shifts = dict[int, float]


@dataclass(frozen=True)
class _Occurrence:
    """A predictor: which piece has it, its intercept by cell, and the shift of each slope, `(slots,)`, 0 for those that
    are not far.
    """

    piece: BoundPiece
    place: int
    slots: Slots
    intercept: int
    shifts: Array

    def cells(self) -> Iterator[tuple[int, Shifts]]:
        """The place of the intercept in each cell, with the shifts of slopes by their places."""
        for positions in self.slots.positions.reshape(-1, self.slots.positions.shape[-1]):
            moved = {int(positions[k]): float(self.shifts[k]) for k in np.flatnonzero(self.shifts)}
            yield int(positions[self.intercept]), moved


def centred(pieces: Iterable[BoundPiece], model: Model, layout: Layout, held: Mapping[str, Array]) -> Centring | None:
    """Binds predictors on inputs far from 0 anew, and says what became of their intercepts; None where there are none.

    `held` are the values of parameters that are not estimated, NaN where they are. An intercept is moved where it is a
    free number on the line and stands in predictors alone, in each of them beside the same slopes on the same inputs.
    """
    bound = list(pieces)
    found = list(_occurrences(bound))
    if not any(item.shifts.any() for item in found):
        return None
    stuck = _unmoved(model, layout, held)
    for one in bound:
        stuck |= _elsewhere(one, layout)
    moves = _moves(found, stuck)
    if not moves:
        return None
    for item in found:
        if all(moves.get(intercept) == shifts for intercept, shifts in item.cells() if shifts):
            coefficients = item.slots.coefficients - item.shifts[:, None]
            item.piece.data.slots[item.place] = replace(item.slots, coefficients=coefficients)
            item.piece.moved[item.place] = item.shifts
    pairs = [(intercept, slope, shift) for intercept, shifts in moves.items() for slope, shift in shifts.items()]
    intercepts, slopes, shifts_ = zip(*pairs, strict=True)
    return Centring(np.array(intercepts), np.array(slopes), np.array(shifts_))


def _unmoved(model: Model, layout: Layout, held: Mapping[str, Array]) -> NDArray[np.bool_]:
    """The places of parameters that are no free numbers on the line."""
    out = np.zeros(layout.size, dtype=bool)
    for name, shape in layout.shapes.items():
        size = int(np.prod(shape))
        place = slice(layout.offsets[name], layout.offsets[name] + size)
        out[place] = model.parameter(name).domain.kind not in ("real", "contrast")
        if name in held:
            out[place] |= ~np.isnan(np.ravel(held[name]))
    return out


def _occurrences(pieces: Iterable[BoundPiece]) -> Iterator[_Occurrence]:
    for item in pieces:
        for place, slots in enumerate(item.data.slots):
            if slots is None or slots.by_row or not slots.shared:
                continue
            design = slots.coefficients.reshape(slots.coefficients.shape[-2:])
            constant = np.flatnonzero((design == 1.0).all(axis=-1))
            mean, spread = design.mean(axis=-1), design.std(axis=-1)
            shifts = np.where((spread > 0) & (np.abs(mean) > FAR * spread), mean, 0.0)
            if len(constant) == 1:
                yield _Occurrence(item, place, slots, int(constant[0]), shifts)


def _moves(found: list[_Occurrence], stuck: NDArray[np.bool_]) -> dict[int, Shifts]:
    """The shifts of slopes by intercept, where every predictor with the intercept has the same."""
    moves: dict[int, Shifts] = {}
    refused = set(np.flatnonzero(stuck).tolist())
    for item in found:
        for intercept, shifts in item.cells():
            if moves.setdefault(intercept, shifts) != shifts:
                refused.add(intercept)
    slopes = {slope for shifts in moves.values() for slope in shifts}
    refused |= slopes & {intercept for intercept, shifts in moves.items() if shifts}
    while True:
        # a predictor is bound anew as a whole: where one intercept stays, so do all of its cells
        whole = {
            other
            for item in found
            if any(intercept in refused for intercept, _ in item.cells())
            for other, _ in item.cells()
        }
        if whole <= refused:
            break
        refused |= whole
    return {intercept: shifts for intercept, shifts in moves.items() if shifts and intercept not in refused}


def _elsewhere(item: BoundPiece, layout: Layout) -> NDArray[np.bool_]:
    """The places of parameters that stand in a piece other than in a predictor that `_occurrences` lists."""
    out = np.zeros(layout.size, dtype=bool)
    listed = {place for place, slots in enumerate(item.data.slots) if slots is not None and not slots.by_row}
    for place, (address, slots) in enumerate(zip(item.data.addresses, item.data.slots, strict=True)):
        if address is None and slots is not None and place in listed and slots.shared:
            design = slots.coefficients.reshape(slots.coefficients.shape[-2:])
            constant = (design == 1.0).all(axis=-1)
            other = slots.positions[..., ~constant] if constant.sum() == 1 else slots.positions
            own = slots.positions[..., constant] if constant.sum() == 1 else other[..., :0]
            # a slope may stand where it likes; an intercept that is something's slope may not be moved
            out[np.intersect1d(own, other)] = True
            if constant.sum() != 1:
                out[other] = True
            continue
        for term in item.piece.atoms[place].terms:
            out |= _all_of(term.parameter.name, layout)
    for name in _whole(item.piece):
        out |= _all_of(name, layout)
    return out


def _whole(piece: Piece) -> Iterator[str]:
    """Parameters that enter as vectors and matrices, or by laws of hidden numbers."""
    parts = (piece.vector, piece.stationary, piece.arrays)
    yield from (node.name for node in walk(parts) if isinstance(node, ParameterRef))
    if piece.vector is not None:
        for part in (*piece.vector.mean_parts, *piece.vector.covariance_parts):
            yield from (term.parameter.name for atom in part.atoms for term in atom.terms)
    if piece.arrays is not None:
        yield from (name for names in piece.arrays.parameters for name in names)


def _all_of(name: str, layout: Layout) -> NDArray[np.bool_]:
    out = np.zeros(layout.size, dtype=bool)
    size = int(np.prod(layout.shapes[name]))
    out[layout.offsets[name] : layout.offsets[name] + size] = True
    return out


def shears_by_parameter(
    centring: Centring | None, layout: Layout
) -> Mapping[str, tuple[tuple[int, str, int, float], ...]]:
    """By the parameter that holds intercepts: their places in its flat array, with parameter and place of a slope, and
    the shift.
    """
    if centring is None:
        return {}
    found: dict[str, list[tuple[int, str, int, float]]] = {}
    for intercept, slope, shift in zip(centring.intercepts, centring.slopes, centring.shifts, strict=True):
        name, place = _named(int(intercept), layout)
        other, at = _named(int(slope), layout)
        found.setdefault(name, []).append((place, other, at, float(shift)))
    return {name: tuple(items) for name, items in found.items()}


def _named(position: int, layout: Layout) -> tuple[str, int]:
    name = max((n for n in layout.offsets if layout.offsets[n] <= position and np.prod(layout.shapes[n])),
               key=lambda n: layout.offsets[n])  # fmt: skip
    return name, position - layout.offsets[name]
