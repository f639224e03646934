"""Equal forms of a formula, the one that reads best among them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import sympy as sp

from emdsl.derive import functions
from emdsl.derive.notation import plain
from emdsl.derive.pieces import Derived

#: Above this many operations a formula is left as it is.
MOST_OPERATIONS = 40


def as_written(piece: Derived) -> Derived:
    """The piece with its log-density in one row, uncentred, in the place of its part of Q."""
    if piece.piece.completion is not None:
        return piece
    return replace(piece, quantity=piece.raw, statistics=())


def tidy(expression: Any) -> Any:
    """The shortest of a few equal forms (of long expressions only those that are found at once)."""
    forms = [expression]
    if sp.count_ops(expression) <= MOST_OPERATIONS:
        flipped = expression.replace(
            lambda e: isinstance(e, functions.logistic) and e.args[0].could_extract_minus_sign(),
            lambda e: 1 - functions.logistic(-e.args[0]),
        )
        forms += [sp.factor_terms(expression), flipped, sp.expand(flipped), sp.factor_terms(sp.expand(flipped))]
    return min((turned(form) for form in forms), key=lambda form: len(plain(form)))


def turned(product: Any) -> Any:
    """`-(a - b)*c` as `(b - a)*c`."""
    if not product.is_Mul or not product.could_extract_minus_sign():
        return product
    inner = next((factor for factor in product.args if factor.is_Add), None)
    if inner is None:
        return product
    return sp.Mul(-sp.Mul(*[f for f in product.args if f is not inner]), sp.expand(-inner))


def positive_ratio(expression: Any) -> Any:
    """`-a/(-b - c)` as `a/(b + c)`, factors that cancel taken out."""
    if sp.count_ops(expression) <= MOST_OPERATIONS:
        expression = min((expression, sp.cancel(expression)), key=lambda form: len(plain(form)))
    numerator, denominator = sp.fraction(expression)
    negative = [term.could_extract_minus_sign() for term in sp.Add.make_args(denominator)]
    return (-numerator) / (-denominator) if all(negative) else expression


def reads_backwards(total: Any, parameters: Any) -> bool:
    """Whether a sum reads better with all its signs changed: `1 - y` for `y - 1`, `x - mu` for `mu - x`."""
    terms = [(term.could_extract_minus_sign(), term) for term in sp.Add.make_args(total)]
    negatives = [term for negative, term in terms if negative]
    positives = [term for negative, term in terms if not negative]
    if len(negatives) != len(positives):
        return not positives
    if not total.free_symbols & parameters:
        return any(term.is_number for term in negatives)
    led = all(term.free_symbols <= parameters and not term.is_number for term in positives)
    return led and not any(term.free_symbols & parameters for term in negatives)
