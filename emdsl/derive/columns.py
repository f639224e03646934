"""Columns: what varies by row in a log-density, each free of hidden numbers or a number by row times one of them.

A log-density that is quadratic in its columns needs no more of data and posterior than their second moments.
"""

from __future__ import annotations

from typing import Any

import sympy as sp

from emdsl.derive.deadline import DeadlineExceeded, deadline
from emdsl.derive.expressions import has_parameters
from emdsl.derive.symbols import Symbols
from emdsl.ir.expressions import Apply, Expression, VariableRef
from emdsl.ir.latents import continuous_latents, is_continuous

SECONDS = 1.0


def is_column(expression: Expression, symbols: Symbols) -> bool:
    """Whether an expression is one hidden number times data, which is then kept as one symbol."""
    return _is_multiple(expression, symbols) and any(
        symbols.by_row(arg) and not _has_hidden(arg, symbols) for arg in getattr(expression, "args", ())
    )


def _is_multiple(expression: Expression, symbols: Symbols) -> bool:
    """Whether an expression is one hidden number times something known."""
    if not isinstance(expression, Apply) or expression.op != "*" or has_parameters(expression):
        return False
    return any(
        _is_hidden(one, symbols) and not _has_hidden(other, symbols)
        for one, other in (expression.args, expression.args[::-1])
    )


def quadratic_in_columns(log_density: Any, symbols: Symbols) -> bool:
    """Whether the log-density is a polynomial of degree two at most in what varies by row, predictors included."""
    rows = [s for known, s in zip(symbols.knowns, symbols.known_symbols, strict=True) if known.by_row]
    values = [known.value for known in symbols.knowns if known.by_row]
    for atom, symbol in zip(symbols.atoms, symbols.atom_symbols, strict=True):
        coefficients = [term.coefficient for term in atom.terms if term.coefficient is not None]
        by_row = [c for c in coefficients if symbols.by_row(c)]
        if any(symbols.by_row(index) for term in atom.terms for index in term.parameter.indices):
            return False
        if by_row:
            rows.append(symbol)
            values += by_row
    hidden = [value for value in values if _has_hidden(value, symbols)]
    if not hidden or any(not _is_hidden(value, symbols) and not _is_multiple(value, symbols) for value in hidden):
        return False
    try:
        with deadline(SECONDS):
            return bool(sp.Poly(log_density, *rows).total_degree() <= 2)
    except (sp.PolynomialError, DeadlineExceeded):
        return False


def _is_hidden(expression: Any, symbols: Symbols) -> bool:
    return isinstance(expression, VariableRef) and is_continuous(symbols.model.variable(expression.name))


def _has_hidden(expression: Any, symbols: Symbols) -> bool:
    return any(True for _ in continuous_latents(expression, symbols.model))
