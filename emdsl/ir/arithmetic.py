"""Expressions built with exact numbers folded: `1/2` is one number, `x + 0` and `log(exp(x))` are `x`."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from fractions import Fraction

from emdsl.ir.expressions import AnyPattern, Apply, Arm, Choose, Expression, Label, Number

MINUS_INFINITY = Number(-math.inf)
ZERO = Number(Fraction(0))
ONE = Number(Fraction(1))

_EXACT: dict[str, Callable[[Fraction, Fraction], Fraction]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul,
}  # fmt: skip

#: Powers of exact numbers are folded up to this exponent; larger ones stay as they are written.
LARGEST_FOLDED_POWER = 64


def apply(op: str, *args: Expression) -> Expression:
    """`op` of `args`; exact numbers are folded, everything else stays as written.

    Raises ZeroDivisionError for an exact number divided by zero.
    """
    match op, args:
        case "neg", (Number(value),):
            return Number(-value)
        case "+" | "-" | "*", (Number(Fraction() as a), Number(Fraction() as b)):
            return Number(_EXACT[op](a, b))
        case "/", (Number(Fraction() as a), Number(Fraction() as b)):
            return Number(a / b)
        case "^", (Number(Fraction() as a), Number(Fraction() as b)) if _folds(a, b):
            return Number(Fraction(a ** int(b)))
        case "+", (a, b) if ZERO in (a, b):
            return b if a == ZERO else a
        case "-", (a, b) if b == ZERO:
            return a
        case "*", (a, b) if ONE in (a, b):
            return b if a == ONE else a
        case "/" | "^", (a, b) if b == ONE:
            return a
        case "log", (argument,):
            return log_of(argument)
        case "==" | "!=", (Label(here, a), Label(there, b)) if here == there:
            return ONE if (a == b) == (op == "==") else ZERO
        case _:
            return Apply(op, args)


def _folds(base: Fraction, exponent: Fraction) -> bool:
    return exponent.denominator == 1 and abs(exponent) <= LARGEST_FOLDED_POWER and (base != 0 or exponent > 0)


def log_of(argument: Expression) -> Expression:
    """`log(argument)`: of 0 minus infinity, of 1 zero, of `exp(x)` it is `x`; a choice is a choice of logarithms."""
    match argument:
        case Number(value) if value == 0:
            return MINUS_INFINITY
        case Number(value) if value == 1:
            return ZERO
        case Apply("exp", (exponent,)):
            return exponent
        case Choose(subjects, arms):
            return Choose(subjects, tuple(Arm(arm.alternatives, log_of(arm.value)) for arm in arms))
        case _:
            return Apply("log", (argument,))


def choose(subjects: tuple[Expression, ...], arms: tuple[Arm, ...]) -> Expression:
    """A `Choose` without what is decided already: subjects that are labels, arms behind one that always matches."""
    known = tuple(subject.label if isinstance(subject, Label) else None for subject in subjects)
    open_subjects = tuple(subject for subject, label in zip(subjects, known, strict=True) if label is None)
    kept: list[Arm] = []
    for arm in arms:
        alternatives = []
        for alternative in arm.alternatives:
            pairs = tuple(zip(alternative, known, strict=True))
            if all(isinstance(p, AnyPattern) or label is None or label in p.labels for p, label in pairs):
                alternatives.append(tuple(p for p, label in pairs if label is None))
        if not alternatives:
            continue
        always = any(all(isinstance(p, AnyPattern) for p in alternative) for alternative in alternatives)
        if always and not kept:
            return arm.value
        kept.append(Arm(tuple(alternatives), arm.value))
        if always:
            break
    return Choose(open_subjects, tuple(kept))
