"""Normal laws of hidden numbers as a mean and a standard deviation, read off the log-density.

A number with such a law is `mean + sd*e`, e standard normal: all parameters then stand in the laws that look at the
number, and what is summed over does not depend on them. Exact where the standard deviation is 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from random import Random
from typing import Any

import sympy as sp

from emdsl.derive.deadline import DeadlineExceeded, deadline
from emdsl.derive.expressions import fold
from emdsl.ir.expressions import Apply, ConstantRef, Expression, Number, ParameterRef, VariableRef, number, walk
from emdsl.ir.model import Model

SECONDS_A_LAW = 10.0
#: Points at which a log-density is compared with that of the normal law it is taken for, and how far it may be off.
POINTS, CLOSE = 5, 1e-9
_POSITIVE = frozenset({"positive", "unit", "natural"})
_FUNCTIONS = {"exp": sp.exp, "log": sp.log, "sqrt": sp.sqrt, "abs": sp.Abs}


@dataclass(frozen=True)
class NormalLaw:
    """Mean and standard deviation, free of the variable itself."""

    mean: Expression
    sd: Expression


def normal_law(log_density: Expression, reference: VariableRef, model: Model) -> NormalLaw | None:
    """The law of `reference` that a log-density is, or None where that is no normal law, or not seen to be one."""
    reader = _Reader(reference, model)
    try:
        with deadline(SECONDS_A_LAW):
            return _normal_law(reader.read(log_density), reader)
    except (_Unread, DeadlineExceeded):
        return None


class _Unread(Exception):
    """An expression that is not taken apart."""


@dataclass
class _Reader:
    """Expressions to SymPy and back; what is no arithmetic is one symbol, and free of the variable."""

    reference: VariableRef
    model: Model
    symbols: dict[Expression, Any] = field(default_factory=dict)
    u: Any = field(default_factory=lambda: sp.Dummy("u", real=True))

    def read(self, expression: Expression) -> Any:
        if expression == self.reference:
            return self.u
        match expression:
            case Number(value):
                return (
                    sp.Rational(value.numerator, value.denominator) if isinstance(value, Fraction) else sp.Float(value)
                )
            case Apply("+", (left, right)):
                return self.read(left) + self.read(right)
            case Apply("-", (left, right)):
                return self.read(left) - self.read(right)
            case Apply("*", (left, right)):
                return self.read(left) * self.read(right)
            case Apply("/", (left, right)):
                return self.read(left) / self.read(right)
            case Apply("neg", (inner,)):
                return -self.read(inner)
            case Apply("^", (base, power)):
                return self.read(base) ** self.read(power)
            case Apply(op, (inner,)) if op in _FUNCTIONS:
                return _FUNCTIONS[op](self.read(inner))
        if any(node == self.reference for node in walk(expression)):
            raise _Unread
        return self.symbols.setdefault(
            expression, sp.Dummy("c", real=True, positive=self._positive(expression) or None)
        )

    def _positive(self, expression: Expression) -> bool:
        match expression:
            case ParameterRef(name):
                return self.model.parameter(name).domain.kind in _POSITIVE
            case VariableRef(name):
                return self.model.variable(name).domain.kind in _POSITIVE
            case ConstantRef():
                return False
        return False

    def write(self, formula: Any) -> Expression:
        """The expression of a formula over the symbols."""
        names = {symbol: expression for expression, symbol in self.symbols.items()}
        return fold(_written(formula, names))


def _written(formula: Any, names: dict[Any, Expression]) -> Expression:
    if formula in names:
        return names[formula]
    if formula.is_Rational:
        return Number(Fraction(int(formula.p), int(formula.q)))
    if formula.is_Float:
        return number(float(formula))
    match formula:
        case sp.Add():
            return _chain("+", [_written(arg, names) for arg in formula.args])
        case sp.Mul():
            top, bottom = sp.fraction(formula)
            if bottom != 1:
                return Apply("/", (_written(top, names), _written(bottom, names)))
            return _chain("*", [_written(arg, names) for arg in formula.args])
        case sp.Pow(base=base, exp=power):
            if power == sp.Rational(1, 2):
                return Apply("sqrt", (_written(base, names),))
            if power.is_negative:
                return Apply("/", (number(1), _written(base**-power, names)))
            return Apply("^", (_written(base, names), _written(power, names)))
        case sp.exp():
            return Apply("exp", (_written(formula.args[0], names),))
        case sp.log():
            return Apply("log", (_written(formula.args[0], names),))
        case sp.Abs():
            return Apply("abs", (_written(formula.args[0], names),))
    raise _Unread


def _chain(op: str, terms: list[Expression]) -> Expression:
    total = terms[0]
    for term in terms[1:]:
        total = Apply(op, (total, term))
    return total


def _normal_law(log_density: Any, reader: _Reader) -> NormalLaw | None:
    u = reader.u
    bend = sp.expand_power_base(sp.diff(log_density, u, 2))
    if bend == 0 or bend.has(u):
        return None
    mean = sp.expand_mul(sp.cancel(-sp.diff(log_density, u).subs(u, 0) / bend))
    sd = sp.sqrt(-1 / bend)
    said = -sp.log(2 * sp.pi) / 2 - sp.log(sd) - (u - mean) ** 2 / (2 * sd**2)
    if not _same(log_density, said):
        return None
    return NormalLaw(reader.write(mean), reader.write(sd))


def _same(one: Any, other: Any) -> bool:
    """Whether two formulas agree at random points (between 0 and 1, where chances are)."""
    rng = Random(5)
    symbols = sorted(one.free_symbols | other.free_symbols, key=lambda s: s.dummy_index)
    for _ in range(POINTS):
        at = {symbol: sp.Float(rng.uniform(0.1, 0.9)) for symbol in symbols}
        gap = sp.N((one - other).subs(at))
        if not gap.is_number or abs(complex(gap)) > CLOSE:
            return False
    return True
