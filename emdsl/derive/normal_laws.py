"""The law of a hidden number as mean and variance, read off its log-density.

Where a variance goes to 0 a log-density has no value, while mean and variance are ordinary numbers: integrals and
scores are then taken in these.
"""

from __future__ import annotations

import random
from typing import Any

import sympy as sp

from emdsl.derive.deadline import DeadlineExceeded, deadline
from emdsl.derive.printing import source
from emdsl.derive.symbols import Symbols
from emdsl.ir.derivation import NormalLaw
from emdsl.ir.expressions import VariableRef
from emdsl.ir.latents import continuous_latents, is_continuous

SECONDS = 2.0
#: Random points at which what is left of a log-density is looked at.
POINTS = 5


def normal_law(log_density: Any, symbols: Symbols, target: VariableRef | None) -> NormalLaw | None:
    """The law of a hidden target whose log-density is `-1/2 log(2 pi v) - (u - m)^2 / (2 v)` and a constant, else
    None.
    """
    if target is None or not is_continuous(symbols.model.variable(target.name)):
        return None
    own = [s for known, s in zip(symbols.knowns, symbols.known_symbols, strict=True) if known.value == target]
    if len(own) != 1 or _elsewhere(target, symbols):
        return None
    try:
        with deadline(SECONDS):
            return _law(log_density, own[0], symbols)
    except (DeadlineExceeded, sp.PolynomialError):
        return None


def _elsewhere(target: VariableRef, symbols: Symbols) -> bool:
    """Whether the target stands in more than its own symbol."""
    parts = [known.value for known in symbols.knowns if known.value != target]
    parts += [term.coefficient for atom in symbols.atoms for term in atom.terms if term.coefficient is not None]
    return any(node == target for part in parts for node in continuous_latents(part, symbols.model))


def _law(log_density: Any, u: Any, symbols: Symbols) -> NormalLaw | None:
    hidden = _hidden(symbols)
    slope = sp.diff(log_density, u)
    precision = sp.expand(-sp.diff(slope, u))
    if precision == 0 or precision.free_symbols & ({u} | hidden):
        return None
    variance = 1 / sp.factor_terms(precision)
    mean = sp.expand(u + slope * variance)
    if u in mean.free_symbols:
        mean = sp.cancel(sp.together(mean))
    if u in mean.free_symbols or any(sp.expand(sp.diff(mean, a, b)) != 0 for a in hidden for b in hidden):
        return None
    rest = log_density + (u - mean) ** 2 / (2 * variance) + sp.log(2 * sp.pi * variance) / 2
    atoms = symbols.atom_symbols
    constant = _constant(rest, {u, *atoms, *hidden})
    if constant is None:
        return None
    return NormalLaw(
        source(mean), source(variance), source(constant), tuple(source(sp.diff(mean, atom)) for atom in atoms),
        tuple(source(sp.diff(variance, atom)) for atom in atoms),
    )  # fmt: skip


def _constant(rest: Any, moving: set[Any]) -> Any | None:
    """`rest` at one point of the symbols `moving`, if it is the same at others."""
    ordered = sorted(moving, key=str)
    others = rest.free_symbols - moving
    rng = random.Random(1)
    fixed = {symbol: sp.Float(rng.uniform(0.2, 0.8)) for symbol in others}
    values = []
    for _ in range(POINTS):
        place = {symbol: sp.Float(rng.uniform(0.2, 0.8)) for symbol in ordered}
        values.append(sp.N(rest.subs({**fixed, **place})))
    if not all(value.is_real and abs(value - values[0]) < 1e-12 for value in values):
        return None
    return rest.subs({symbol: sp.Rational(1, 2) for symbol in ordered})


def _hidden(symbols: Symbols) -> set[Any]:
    """The symbols that hidden numbers stand in, predictors among them."""

    def looks(part: Any) -> bool:
        return any(True for _ in continuous_latents(part, symbols.model))

    knowns = {s for k, s in zip(symbols.knowns, symbols.known_symbols, strict=True) if looks(k.value)}
    return knowns | {s for a, s in zip(symbols.atoms, symbols.atom_symbols, strict=True) if looks(a.terms)}
