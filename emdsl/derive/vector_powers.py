"""The log-density of a normal vector as a sum of powers of one hidden number, as of a Student t vector, `MVNormal(m,
S/u)`.

With a covariance `u^c C` and a residual that is a sum of powers `u^p`, the log-density is linear in `log(u)` and in
`u^(p + q - c)`.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from emdsl.ir.derivation import Vector
from emdsl.ir.expressions import Apply, Choose, Expression, Number, Reduce, Tabulate, VariableRef, walk

Powers = frozenset[Fraction]


def powers_of_vector(vector: Vector, name: str) -> tuple[bool, Powers] | None:
    """Whether `log(u)` occurs in the log-density, and which powers of u; None where it is no sum of these."""
    mean, covariance = powers(vector.mean, name), powers(vector.covariance, name)
    if mean is None or covariance is None or len(covariance) != 1:
        return None
    (c,) = covariance
    inside = {Fraction(0), *mean}
    return c != 0, frozenset({p + q - c for p in inside for q in inside} - {Fraction(0)})


def powers(expression: Expression, name: str) -> Powers | None:
    """The powers of a positive variable whose sum, with coefficients free of it, an expression is; None where it is no
    such sum.
    """
    if not any(_is(node, name) for node in walk(expression)):
        return frozenset() if expression == Number(Fraction(0)) else frozenset({Fraction(0)})
    match expression:
        case VariableRef():
            return frozenset({Fraction(1)})
        case Apply("+" | "-" | "neg", args):
            return _union([powers(arg, name) for arg in args])
        case Apply("*", (left, right)):
            return _combined(powers(left, name), powers(right, name), 1)
        case Apply("/", (top, bottom)):
            below = powers(bottom, name)
            return None if below is None or len(below) != 1 else _combined(powers(top, name), below, -1)
        case Apply("^", (base, Number(Fraction() as power))):
            return _raised(powers(base, name), power)
        case Apply("sqrt", (base,)):
            return _raised(powers(base, name), Fraction(1, 2))
        case Apply("where", (condition, *branches)) if not any(_is(node, name) for node in walk(condition)):
            return _union([powers(branch, name) for branch in branches])
        case Reduce("sum", _, body) | Tabulate(_, body):
            return powers(body, name)
        case Choose(subjects, arms) if not any(_is(node, name) for node in walk(subjects)):
            return _union([powers(arm.value, name) for arm in arms])
    return None


def _union(found: list[Powers | None]) -> Powers | None:
    known = [item for item in found if item is not None]
    return frozenset().union(*known) if len(known) == len(found) else None


def _combined(left: Powers | None, right: Powers | None, sign: int) -> Powers | None:
    if left is None or right is None:
        return None
    return frozenset(p + sign * q for p in left for q in right)


def _raised(base: Powers | None, power: Fraction) -> Powers | None:
    """A power of one power; of a sum only a whole one."""
    if base is None:
        return None
    if len(base) == 1:
        return frozenset(p * power for p in base)
    if power.denominator != 1 or not 0 < power <= 4:
        return None
    found = base
    for _ in range(int(power) - 1):
        found = frozenset(p + q for p in found for q in base)
    return found


def _is(node: Any, name: str) -> bool:
    return isinstance(node, VariableRef) and node.name == name
