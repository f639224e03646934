"""Resolved expressions to SymPy, for one cell: parameters become atoms, data and constants knowns, and whatever is
affine in parameters inside a function becomes one predictor.

A sum in which the log-density is itself linear is left alone: there each parameter separates by itself, and one
symbol for the sum would hide that.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import sympy as sp

from emdsl.derive import functions
from emdsl.derive.columns import is_column
from emdsl.derive.expressions import fold, has_parameters
from emdsl.derive.predictors import affine, flip, negated
from emdsl.derive.splitting import written_out
from emdsl.derive.symbols import Symbols
from emdsl.derive.tails import TAILS
from emdsl.diagnostics.errors import EmmError
from emdsl.ir.arithmetic import MINUS_INFINITY
from emdsl.ir.derivation import Design
from emdsl.ir.expressions import Apply, Expression, Number, ParameterRef, Reduce, VariableRef, walk
from emdsl.ir.latents import continuous_latents

#: The logarithm of 0 in tables of log-factors: finite, so that 0 times it is 0.
LOG_ZERO = -1e300

#: The log-density outside a support that parameters tell: so far below LOG_ZERO that minus the logarithm of 0, which an
#: impossible pair of bounds may add, does not make up for it.
IMPOSSIBLE = -1e305

#: Domains in which a free sum of parameters makes sense as a predictor.
_REAL = frozenset({"real", "contrast", "ordered"})


def convert(expression: Expression, symbols: Symbols, *, linear: bool) -> Any:
    """The SymPy form of an expression. `linear`: the log-density is affine in it."""
    hidden = any(True for _ in continuous_latents(expression, symbols.model))
    if not has_parameters(expression) and not (hidden and _taken_apart(expression)):
        return _known(expression, symbols)
    if hidden and is_column(expression, symbols):
        return symbols.known(expression)
    predictor = _predictor(expression, symbols, linear=linear)
    if predictor is not None:
        return predictor
    match expression:
        case ParameterRef():
            return symbols.atom((Design(expression),))
        case VariableRef():
            return symbols.known(expression)
        case Apply("+", (left, right)):
            return convert(left, symbols, linear=linear) + convert(right, symbols, linear=linear)
        case Apply("-", (left, right)):
            return convert(left, symbols, linear=linear) - convert(right, symbols, linear=linear)
        case Apply("neg", (inner,)):
            return -convert(inner, symbols, linear=linear)
        case Apply("*", (left, right)):
            still = linear and not (has_parameters(left) and has_parameters(right))
            return convert(left, symbols, linear=still) * convert(right, symbols, linear=still)
        case Apply("/", (left, right)):
            still = linear and not has_parameters(right)
            return convert(left, symbols, linear=still) / convert(right, symbols, linear=False)
        case Apply("log", (inner,)):
            return _log(inner, symbols)
        case Apply(op, args) if op in _FUNCTIONS:
            return _FUNCTIONS[op](*(convert(arg, symbols, linear=False) for arg in args))
        case Apply("where", (condition, yes, no)):
            flag = _flag(condition, symbols)
            outside = convert(no, symbols, linear=False)
            if has_parameters(condition) and no == MINUS_INFINITY:
                outside = sp.Float(IMPOSSIBLE)
            return sp.Piecewise(
                (convert(yes, symbols, linear=False), sp.StrictGreaterThan(flag, 0, evaluate=False)), (outside, True)
            )
        case Reduce():
            return convert(fold(written_out(expression, symbols.model)), symbols, linear=linear)
    what = expression.op if isinstance(expression, Apply) else type(expression).__name__.lower()
    raise EmmError(
        "no-derivative", f"a parameter stands inside `{what}`, which has no derivative to climb by",
        help="make it a constant: const c = 1, and --set c=2 to try others",
    )  # fmt: skip


def _taken_apart(expression: Expression) -> bool:
    """Whether an expression of hidden numbers without parameters has a form that SymPy should see through, so that
    kernels like `log u` and `u` are found in it."""
    return isinstance(expression, VariableRef) or (isinstance(expression, Apply) and expression.op in _SEEN_THROUGH)


def _flag(condition: Expression, symbols: Symbols) -> Any:
    """A condition as a number that is above 0 where it holds."""
    if not has_parameters(condition):
        return convert(condition, symbols, linear=False)
    match condition:
        case Apply("<=" | "<" | ">=" | ">" as op, args):
            left, right = (convert(arg, symbols, linear=False) for arg in args)
            compare = functions.at_most if op in ("<=", ">=") else functions.below
            return compare(left, right) if op in ("<=", "<") else compare(right, left)
        case Apply("and", (one, two)):
            return _flag(one, symbols) * _flag(two, symbols)
        case Apply("or", (one, two)):
            return _flag(one, symbols) + _flag(two, symbols)
        case Apply("not", (inner,)):
            return functions.below(_flag(inner, symbols), sp.Rational(1, 2))
    raise EmmError(
        "no-derivative", "a condition on parameters that is no comparison has no derivative to climb by",
        help="compare by <, <=, > or >=",
    )  # fmt: skip


_FUNCTIONS: dict[str, Any] = {
    "exp": sp.exp, "log1p": lambda x: sp.log(1 + x), "sqrt": sp.sqrt, "abs": sp.Abs, "sin": sp.sin, "cos": sp.cos,
    "logistic": functions.logistic, "logit": lambda x: sp.log(x) - sp.log(1 - x), "Phi": functions.Phi,
    "probit": functions.probit, "lgamma": sp.loggamma, "^": sp.Pow, "min": sp.Min, "max": sp.Max,
    "logbesseli0": functions.log_i0, "logaddexp": functions.log_add, "logsubexp": functions.log_subtract,
    "loginterval": functions.log_interval, **TAILS,
}  # fmt: skip
_SEEN_THROUGH = frozenset({"+", "-", "*", "/", "neg", "^", "log", "exp", "sqrt", "log1p"})


def _log(argument: Expression, symbols: Symbols) -> Any:
    """log(argument), with the logarithms of logistic and Phi kept in one piece."""
    match argument:
        case Apply("logistic", (x,)):
            return functions.log_logistic(convert(x, symbols, linear=False))
        case Apply("-", (Number(one), Apply("logistic", (x,)))) if one == 1:
            return functions.log_logistic(-convert(x, symbols, linear=False))
        case Apply("Phi", (x,)):
            return functions.log_Phi(convert(x, symbols, linear=False))
        case Apply("-", (Number(one), Apply("Phi", (x,)))) if one == 1:
            return functions.log_Phi(-convert(x, symbols, linear=False))
        case Apply("-", (Number(one), Apply("exp", (x,)))) if one == 1 and has_parameters(x):
            return functions.log1mexp(-convert(x, symbols, linear=False))
        case Apply("besseli0", (x,)):
            return functions.log_i0(convert(x, symbols, linear=False))
        case Apply("exp", (x,)):
            return convert(x, symbols, linear=False)
        case Apply("*", (left, right)):
            return _log(left, symbols) + _log(right, symbols)
        case Apply("/", (left, right)):
            return _log(left, symbols) - _log(right, symbols)
    if not has_parameters(argument) and not any(True for _ in continuous_latents(argument, symbols.model)):
        return _known(Apply("log", (argument,)), symbols)
    return sp.log(convert(argument, symbols, linear=False))


def _known(expression: Expression, symbols: Symbols) -> Any:
    """Numbers and elementary arithmetic go to SymPy as they are; anything else is a known symbol."""
    if is_column(expression, symbols):
        return symbols.known(expression)
    match expression:
        case Number(Fraction() as value):
            return sp.Rational(value.numerator, value.denominator)
        case Number(value) if value == -math.inf:
            return symbols.known(Number(LOG_ZERO), "log_zero")
        case Number(value):
            return sp.pi if abs(value - 3.141592653589793) < 1e-15 else sp.Float(value)
        case Apply("+", (left, right)):
            return _known(left, symbols) + _known(right, symbols)
        case Apply("-", (left, right)):
            return _known(left, symbols) - _known(right, symbols)
        case Apply("*", (left, right)):
            return _known(left, symbols) * _known(right, symbols)
        case Apply("/", (left, right)):
            return _known(left, symbols) / _known(right, symbols)
        case Apply("neg", (inner,)):
            return -_known(inner, symbols)
        case Apply("^", (base, Number(Fraction() as power))) if power.denominator == 1 and 0 < power <= 8:
            return _known(base, symbols) ** int(power)
        case Apply("log", (Number(value),)) if value == 0:
            return symbols.known(Number(LOG_ZERO), "log_zero")
        case Apply("log", (VariableRef() as inner,)) | Apply("log", (Number() as inner,)):
            return sp.log(_known(inner, symbols))
        case Apply("cos", (VariableRef() as inner,)):
            return sp.cos(_known(inner, symbols))
        case Apply("sin", (VariableRef() as inner,)):
            return sp.sin(_known(inner, symbols))
    return symbols.known(expression)


def _predictor(expression: Expression, symbols: Symbols, *, linear: bool) -> Any | None:
    """The expression as predictor plus known offset, if it is affine in several parameters or over an index set.

    Where the log-density is linear in it, only if it is a predictor elsewhere. One parameter with known coefficients
    needs none: its powers separate.
    """
    form = affine(expression)
    if form is None or isinstance(expression, ParameterRef):
        return None
    offset, terms = form
    if not terms or any(_partial(term, symbols) for term in terms):
        return None
    sign = -1 if negated(terms) else 1
    summed = any(term.over for term in terms)
    if linear and not summed and (flip(terms) if sign < 0 else terms) not in symbols.wanted:
        return None
    several = len({term.parameter for term in terms}) > 1
    if not summed and not several:
        return None
    if not summed and not _wanted(terms, symbols):
        return None
    atom = symbols.atom(flip(terms) if sign < 0 else terms)
    return sign * atom + (0 if offset is None else _known(offset, symbols))


def _partial(term: Design, symbols: Symbols) -> bool:
    return len(term.parameter.indices) < len(symbols.model.parameter(term.parameter.name).array_axes)


def _wanted(terms: tuple[Design, ...], symbols: Symbols) -> bool:
    by_row = any(
        isinstance(node, VariableRef) and node.name in symbols.data for term in terms for node in walk(term.coefficient)
    )
    real = all(symbols.model.parameter(term.parameter.name).domain.kind in _REAL for term in terms)
    return by_row or real
