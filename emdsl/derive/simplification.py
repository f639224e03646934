"""Equal forms of a formula, the one that reads best among them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import sympy as sp

from emdsl.derive import functions
from emdsl.derive.notation import plain
from emdsl.derive.pieces import Derived


def as_written(piece: Derived) -> Derived:
    """The piece with its log-density in one row, uncentred, in the place of its part of Q."""
    return replace(piece, quantity=piece.raw, statistics=())


def tidy(expression: Any) -> Any:
    """The shortest of a few equal forms."""
    flipped = expression.replace(
        lambda e: isinstance(e, functions.logistic) and e.args[0].could_extract_minus_sign(),
        lambda e: 1 - functions.logistic(-e.args[0]),
    )
    forms = [expression, sp.factor_terms(expression), flipped, sp.expand(flipped), sp.factor_terms(sp.expand(flipped))]
    return min((turned(form) for form in forms), key=lambda form: len(plain(form)))


def turned(product: Any) -> Any:
    """`-(a - b)*c` as `(b - a)*c`."""
    if not product.is_Mul or not product.could_extract_minus_sign():
        return product
    inner = next((factor for factor in product.args if factor.is_Add), None)
    if inner is None:
        return product
    return sp.Mul(-sp.Mul(*[f for f in product.args if f is not inner]), sp.expand(-inner))
