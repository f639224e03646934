"""Stationarity of one element: `sum_m R_m v_m(x) = 0`, solved for x where that has a closed form."""

from __future__ import annotations

from typing import Any

import sympy as sp

from emdsl.derive.deadline import DeadlineExceeded, deadline


def solve_stationarity(x: Any, basis: tuple[Any, ...], accumulators: tuple[Any, ...]) -> Any | None:
    """The root of `sum R_m v_m(x)`, as a formula in the accumulators, or None.

    Closed are: degree one, pure degree two, either of these in `exp(x)` or `log(x)`, and a pair of sine and cosine.
    """
    try:
        with deadline(2.0):
            equation = sum((r * v for r, v in zip(accumulators, basis, strict=True)), sp.Integer(0))
            return _circular(x, basis, accumulators) or _polynomial(x, equation) or _substituted(x, equation)
    except (DeadlineExceeded, sp.PolynomialError):
        return None


def _circular(x: Any, basis: tuple[Any, ...], accumulators: tuple[Any, ...]) -> Any | None:
    pairs = dict(zip(basis, accumulators, strict=True))
    if set(pairs) != {sp.sin(x), sp.cos(x)}:
        return None
    # The derivative of a cos x + b sin x is b cos x - a sin x; its maximum is at the angle of (a, b).
    return sp.atan2(pairs[sp.cos(x)], -pairs[sp.sin(x)])


def _polynomial(x: Any, equation: Any) -> Any | None:
    numerator = sp.numer(sp.together(equation))
    if not numerator.is_polynomial(x):
        return None
    polynomial = sp.Poly(sp.expand(numerator), x)
    coefficients = {degree: c for (degree,), c in polynomial.terms()}
    lowest = min(coefficients)
    coefficients = {degree - lowest: c for degree, c in coefficients.items()}
    if set(coefficients) == {0, 1}:
        return _ratio(coefficients[0], coefficients[1])
    if set(coefficients) == {0, 2} and x.is_positive:
        return sp.sqrt(_ratio(coefficients[0], coefficients[2]))
    return None


def _ratio(constant: Any, leading: Any) -> Any:
    constant, leading = sp.factor_terms(-constant), sp.factor_terms(leading)
    if leading.could_extract_minus_sign():
        constant, leading = -constant, -leading
    return sp.cancel(constant / leading) if constant.is_Mul or leading.is_Mul else constant / leading


def _substituted(x: Any, equation: Any) -> Any | None:
    y = sp.Symbol("y", positive=True)
    for inner, outer in ((sp.exp(x), sp.log(y)), (sp.log(x), None)):
        if not equation.has(inner):
            continue
        if outer is not None:
            changed = equation.subs(x, outer)
            root = _polynomial(y, sp.expand(changed))
            if root is not None and not root.has(y):
                return sp.log(root)
        else:
            z = sp.Symbol("z", real=True)
            root = _polynomial(z, sp.expand(equation).subs(sp.log(x), z))
            if root is not None and not root.has(x) and not root.has(z):
                return sp.exp(root)
    return None
