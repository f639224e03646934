"""Constants: their values as declared or overridden, and the exact value of an expression of constants."""

from __future__ import annotations

from fractions import Fraction

from emdsl.graph.names import Names
from emdsl.ir.arithmetic import apply
from emdsl.ir.expressions import Apply, ConstantRef, Expression, Number
from emdsl.syntax import tree


def exact_value(expression: Expression, names: Names) -> Fraction | float | None:
    """The value of an expression of numbers and scalar constants, or None if it holds anything else.

    Exact for sums, products, quotients and whole powers of exact numbers.
    """
    folded = _fold(expression, names)
    return folded.value if isinstance(folded, Number) else None


def is_whole(value: Fraction | float) -> bool:
    """Whether a number is an integer (infinity is none)."""
    return isinstance(value, Fraction) and value.denominator == 1


def _fold(expression: Expression, names: Names) -> Expression | None:
    match expression:
        case Number():
            return expression
        case ConstantRef(name, ()) if name in names.overrides:
            return Number(names.overrides[name])
        case ConstantRef(name, ()):
            return _declared(names.constants[name].value, names)
        case Apply(op, args):
            folded = tuple(_fold(arg, names) for arg in args)
            if any(not isinstance(arg, Number) for arg in folded):
                return None
            try:
                return apply(op, *(arg for arg in folded if arg is not None))
            except ZeroDivisionError:
                return None
        case _:
            return None


def _declared(node: tree.Expr | None, names: Names) -> Expression | None:
    """A constant's declared value, as far as it is made of numbers and constants."""
    match node:
        case tree.Num(text):
            return Number(Fraction(text))
        case tree.Name(name) if name in names.constants and not names.constants[name].axes:
            return _fold(ConstantRef(name), names)
        case tree.Unary("-", operand):
            inner = _declared(operand, names)
            return None if inner is None else apply("neg", inner)
        case tree.Binary(op, left, right):
            sides = (_declared(left, names), _declared(right, names))
            if sides[0] is None or sides[1] is None:
                return None
            return _fold(Apply(op, (sides[0], sides[1])), names)
        case _:
            return None
