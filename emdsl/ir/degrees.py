"""The degree of an expression as a polynomial in some hidden numbers: quadratic log-densities are Gaussian in them."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

from emdsl.ir.expressions import Apply, Choose, Expression, Number, Reduce, Tabulate, VariableRef, walk

#: The degree of what is no polynomial.
NO_POLYNOMIAL = math.inf


def degree(expression: Expression, hidden: frozenset[str]) -> float:
    """The joint degree in the variables of these names, at whatever lag or element; infinite where it is no polynomial.

    A bound: terms that cancel are counted.
    """
    if not _occur(expression, hidden):
        return 0
    match expression:
        case VariableRef():
            return 1
        case Apply("+" | "-" | "neg", args):
            return max(degree(arg, hidden) for arg in args)
        case Apply("*", args):
            return sum(degree(arg, hidden) for arg in args)
        case Apply("/", (top, bottom)) if not _occur(bottom, hidden):
            return degree(top, hidden)
        case Apply("^", (base, Number(Fraction() as power))) if power.denominator == 1 and power >= 0:
            return degree(base, hidden) * int(power)
        case Apply("where", (condition, *branches)) if not _occur(condition, hidden):
            return max(degree(branch, hidden) for branch in branches)
        case Apply("mahalanobis", (x, mean, covariance)) if not _occur(covariance, hidden):
            return 2 * max(degree(x, hidden), degree(mean, hidden))
        case Apply("log", (Apply("exp", (inner,)),)):
            return degree(inner, hidden)
        case Reduce("sum", _, body) | Tabulate(_, body):
            return degree(body, hidden)
        case Choose(subjects, arms) if not _occur(subjects, hidden):
            return max(degree(arm.value, hidden) for arm in arms)
    return NO_POLYNOMIAL


def _occur(expression: Any, hidden: frozenset[str]) -> bool:
    return any(isinstance(node, VariableRef) and node.name in hidden for node in walk(expression))
