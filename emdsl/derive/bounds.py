"""Parameters that bound what can be observed: `a <= x and x <= b`. Their update is an order statistic.

Inside the support the log-density is monotone in such a bound, so Q is highest where the bound is as tight as the
units that count allow: at their least or largest value (Casella & Berger 2002, example 7.2.9).
"""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import sympy as sp

from emdsl.derive import evaluation, functions
from emdsl.derive.candidate import Candidate
from emdsl.derive.pieces import Derived
from emdsl.derive.printing import source
from emdsl.ir.derivation import Contribution, Update
from emdsl.ir.expressions import Number
from emdsl.ir.model import Model, Parameter

#: Random points at which the sign of the slope is looked at.
POINTS = 24

#: How the reason begins why a parameter that the support depends on cannot be estimated.
BOUND = "the support depends on it, "

COMPARISONS = (functions.at_most, functions.below)


def bound_rule(parameter: Parameter, own: list[Derived], model: Model) -> Candidate | str:
    """The least (or largest) value of the data among the units that count, for a parameter that the support needs to be
    at most (at least) that."""
    found: list[tuple[Derived, int, Any]] = []
    sides: set[str] = set()
    for piece in own:
        for i in piece.atoms_of(parameter.name):
            for side, other in _comparisons(piece, piece.atoms[i]):
                sides.add(side)
                found.append((piece, i, other))
        for i in _hidden_in(piece, parameter.name):
            if any(piece.atoms[i] in comparison.free_symbols for comparison in piece.quantity.atoms(*COMPARISONS)):
                found.append((piece, i, None))
    if not found:
        return ""
    why = _without_update(parameter, own, found, sides)
    if why:
        return BOUND + why
    (side,) = sides
    contributions = tuple(Contribution(piece.piece.name, i, (source(other),)) for piece, i, other in found)
    formula = "min" if side == "low" else "max"
    note = "checked on random data: inside the support the density rises towards the bound"
    update = Update("bound", (parameter.name,), contributions, formula, over_rows=True, note=note)
    return Candidate(update, frozenset())


def _without_update(
    parameter: Parameter, own: list[Derived], found: list[tuple[Derived, int, Any]], sides: set[str]
) -> str:
    """Why an order statistic is not the maximum, empty where it is."""
    if len(sides) > 1:
        return "from both sides"
    if any(other is None or other.free_symbols & set(piece.atoms) for piece, _, other in found):
        return "other than as a bound of data"
    if any(piece.piece.prior or not piece.atoms_of(parameter.name) for piece in own):
        return "and more than the law of the data depends on it"
    if not all(_monotone(piece, piece.atoms[i], next(iter(sides))) for piece, i, _ in found):
        return "and the density is not monotone in it"
    return "" if all(piece.piece.form == "rows" for piece, _, _ in found) else "without data"


def _hidden_in(piece: Derived, parameter: str) -> list[int]:
    """Positions of the predictors that a parameter is part of."""
    return [
        i
        for i, atom in enumerate(piece.piece.atoms)
        if atom.is_predictor and any(term.parameter.name == parameter for term in atom.terms)
    ]


def _comparisons(piece: Derived, symbol: Any) -> list[tuple[str, Any]]:
    """The bounds that the support of a piece sets to a symbol: `low` where the symbol is at most something, `high`
    where it is at least that; None where it is not so much times the symbol that is compared."""
    found: list[tuple[str, Any]] = []
    for comparison in piece.quantity.atoms(*COMPARISONS):
        if symbol not in comparison.free_symbols:
            continue
        left, right = comparison.args
        number = sp.diff(left - right, symbol)
        if not number.is_number or number == 0:
            found.append(("low", None))
            continue
        other = sp.expand(symbol - (left - right) / number)
        found.append(("low" if number > 0 else "high", other))
    return found


def _monotone(piece: Derived, symbol: Any, side: str) -> bool:
    """Whether the slope has the sign that pushes the symbol to its bound, at random points inside the support."""
    inside = piece.quantity.replace(lambda node: isinstance(node, COMPARISONS), lambda node: sp.Integer(1)).doit()
    written = _written_out(piece)
    if written is None:
        return False
    slope = source(sp.diff(inside.subs(written), symbol))
    rng = random.Random(1)
    for _ in range(POINTS):
        point = _point(piece, rng)
        with np.errstate(all="ignore"):
            value = float(evaluation.value(slope, {known.name: number for known, number in point.items()}))
        if not math.isfinite(value) or ((value < 0) if side == "low" else (value > 0)):
            return False
    return True


def _written_out(piece: Derived) -> dict[Any, Any] | None:
    """Each predictor as the sum that it stands for, in the symbols of bare elements; None where that has no numbers."""
    bare = {
        atom.terms[0].parameter: s
        for s, atom in zip(piece.atoms, piece.piece.atoms, strict=True)
        if not atom.is_predictor
    }
    found = {}
    for symbol, atom in zip(piece.atoms, piece.piece.atoms, strict=True):
        if not atom.is_predictor:
            continue
        total = sp.Integer(0)
        for term in atom.terms:
            number = term.coefficient
            if term.over or term.parameter not in bare or not (number is None or isinstance(number, Number)):
                return None
            total += bare[term.parameter] * (1 if number is None else sp.nsimplify(number.value))
        found[symbol] = total
    return found


def _point(piece: Derived, rng: random.Random) -> dict[Any, float]:
    """Values of all symbols at which every comparison holds: bounds next to the data that they bound."""
    point = {
        symbol: rng.uniform(0.2, 0.9) if symbol.is_positive or symbol.is_nonnegative else rng.gauss(0, 1)
        for symbol in (*piece.knowns, *piece.atoms)
    }
    for symbol in piece.atoms:
        ends: dict[str, list[float]] = {"low": [], "high": []}
        for side, other in _comparisons(piece, symbol):
            if other is not None and not other.free_symbols & set(piece.atoms):
                ends[side].append(float(other.subs(point)))
        if ends["low"]:
            top = min(ends["low"])
            point[symbol] = (abs(top) if symbol.is_positive else top) - abs(top) * rng.uniform(0.1, 0.8)
        if ends["high"]:
            least = max(ends["high"])
            point[symbol] = (abs(least) if symbol.is_positive else least) + abs(least) * rng.uniform(0.1, 2.0)
    return point
