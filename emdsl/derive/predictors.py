"""Expressions affine in parameters: they become one symbol with a design."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from emdsl.derive.expressions import ONE, fold, has_parameters
from emdsl.ir.derivation import Design
from emdsl.ir.expressions import Apply, Expression, Number, ParameterRef, Reduce, number


def affine(expression: Expression) -> tuple[Expression | None, tuple[Design, ...]] | None:
    """`(offset, terms)` if the expression is `offset + sum of coefficient * parameter`, else None.

    The offset is None where it is 0. Coefficients hold no parameter.
    """
    if not has_parameters(expression):
        return expression, ()
    match expression:
        case ParameterRef():
            return None, (Design(expression),)
        case Apply("+", (left, right)):
            return _sum(affine(left), affine(right), Fraction(1))
        case Apply("-", (left, right)):
            return _sum(affine(left), affine(right), Fraction(-1))
        case Apply("neg", (negated_part,)):
            return _scale(affine(negated_part), number(-1))
        case Apply("*", (left, right)) if not has_parameters(left):
            return _scale(affine(right), left)
        case Apply("*", (left, right)) if not has_parameters(right):
            return _scale(affine(left), right)
        case Apply("/", (left, right)) if not has_parameters(right):
            return _scale(affine(left), fold(Apply("/", (ONE, right))))
        case Reduce("sum", binder, body):
            within = affine(body)
            if within is None:
                return None
            offset, terms = within
            return (
                None if offset is None else Reduce("sum", binder, offset),
                tuple(replace(term, over=(binder, *term.over)) for term in terms),
            )
    return None


_Affine = tuple[Expression | None, tuple[Design, ...]] | None


def _sum(left: _Affine, right: _Affine, sign: Fraction) -> _Affine:
    scaled = right if sign == 1 else _scale(right, Number(sign))
    if left is None or scaled is None:
        return None
    offsets = [item for item in (left[0], scaled[0]) if item is not None]
    offset = None if not offsets else offsets[0] if len(offsets) == 1 else Apply("+", (offsets[0], offsets[1]))
    return offset, left[1] + scaled[1]


def _scale(inner: _Affine, factor: Expression) -> _Affine:
    if inner is None:
        return None
    offset, terms = inner
    return (
        None if offset is None else fold(Apply("*", (factor, offset))),
        tuple(replace(term, coefficient=_times(factor, term.coefficient)) for term in terms),
    )


def _times(factor: Expression, coefficient: Expression | None) -> Expression | None:
    match factor, coefficient:
        case Number(Fraction() as outer), Apply("*", (Number(Fraction() as inner), rest)):
            # A sign that is turned twice leaves no trace.
            product = fold(Apply("*", (Number(outer * inner), rest)))
        case _, None:
            product = factor
        case _:
            product = fold(Apply("*", (factor, coefficient)))
    return None if product == ONE else product


def negated(terms: tuple[Design, ...]) -> bool:
    """Whether the first coefficient is a negative number: the predictor is then written with the other sign, so that
    `x - (a + b)` and `a + b` are one predictor."""
    first = terms[0].coefficient
    if isinstance(first, Apply) and first.op == "neg":
        return True
    return isinstance(first, Number) and first.value < 0


def flip(terms: tuple[Design, ...]) -> tuple[Design, ...]:
    """The same predictor with every sign changed."""
    return tuple(replace(term, coefficient=_times(number(-1), term.coefficient)) for term in terms)
