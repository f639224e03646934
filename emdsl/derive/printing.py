"""SymPy expressions to source text in the grammar of `emdsl.ir.derivation`."""

from __future__ import annotations

from typing import Any

import sympy as sp

from emdsl.derive import functions, tails

#: SymPy's functions and ours, by the name they have in `emdsl.plan.functions`.
_NAMES: dict[Any, str] = {
    sp.exp: "exp", sp.log: "log", sp.sin: "sin", sp.cos: "cos", sp.Abs: "abs_", sp.loggamma: "lgamma",
    sp.atan2: "atan2", functions.logistic: "logistic", functions.log_logistic: "log_logistic", functions.Phi: "Phi",
    functions.log_Phi: "log_Phi", functions.probit: "probit", functions.log_i0: "log_i0",
    functions.i1_over_i0: "i1_over_i0", functions.at_most: "at_most", functions.below: "below",
    functions.lgamma_step: "lgamma_step", functions.polygamma_step: "polygamma_step",
    functions.log1mexp: "log1mexp", functions.log_add: "log_add", functions.log_subtract: "log_subtract",
    functions.log_interval: "log_interval", functions.interval_slope: "interval_slope",
    functions.interval_bend: "interval_bend", **tails.NAMES,
    sp.Min: "min_", sp.Max: "max_", sp.sign: "sign", sp.tan: "tan",
}  # fmt: skip

_SUM, _PRODUCT, _POWER, _ATOM = 1, 2, 3, 4


class Unprintable(Exception):
    """An expression holds a function that generated code does not know."""


def source(expression: Any) -> str:
    """The expression as source text. Raises Unprintable on a function without a name in generated code."""
    return _print(sp.sympify(expression, strict=True))[0]


def _wrap(expression: Any, level: int) -> str:
    text, own = _print(expression)
    return text if own >= level else f"({text})"


def _print(e: Any) -> tuple[str, int]:
    if isinstance(e, sp.Symbol):
        return e.name, _ATOM
    if isinstance(e, sp.Integer):
        return (str(e), _ATOM) if e >= 0 else (f"({e})", _ATOM)
    if isinstance(e, sp.Rational):
        return f"({e.p} / {e.q})", _ATOM
    if isinstance(e, sp.Float):
        text = repr(float(e))
        return (text, _ATOM) if e >= 0 else (f"({text})", _ATOM)
    if e is sp.pi:
        return "pi", _ATOM
    if e is sp.E:
        return "exp(1)", _ATOM
    if isinstance(e, sp.Add):
        return _print_sum(e), _SUM
    if isinstance(e, sp.Mul):
        return _print_product(e), _PRODUCT
    if isinstance(e, sp.Pow):
        return _print_power(e)
    if isinstance(e, sp.Piecewise):
        return _print_piecewise(e), _ATOM
    if isinstance(e, sp.polygamma):
        order, argument = e.args
        name = {0: "digamma", 1: "trigamma"}.get(int(order))
        call = f"{name}({source(argument)})" if name else f"polygamma({order}, {source(argument)})"
        return call, _ATOM
    if isinstance(e, sp.log) and isinstance(e.args[0], sp.Add) and sp.Integer(1) in e.args[0].args:
        return f"log1p({source(e.args[0] - 1)})", _ATOM
    if isinstance(e, sp.Heaviside):  # the slope of min and max; where they have a kink, that of the later argument
        return f"where({source(e.args[0])} > 0, 1, 0)", _ATOM
    if isinstance(e, sp.DiracDelta):  # the second derivative, almost everywhere
        return "0", _ATOM
    name = _NAMES.get(e.func)
    if name is None:
        raise Unprintable(str(e.func))
    return f"{name}({', '.join(source(a) for a in e.args)})", _ATOM


def _print_sum(e: Any) -> str:
    text = ""
    for term in _paired(list(sp.Add.make_args(e))):
        negative = term.could_extract_minus_sign()
        part = _wrap(-term if negative else term, _PRODUCT)
        if not text:
            text = f"-{part}" if negative else part
        else:
            text += f" - {part}" if negative else f" + {part}"
    return text


def _paired(terms: list[Any]) -> list[Any]:
    """The terms, with differences of lgamma (or polygamma) at arguments a known step apart put together."""
    stepping = [i for i, term in enumerate(terms) if term.has(sp.loggamma, sp.polygamma)]
    for i in stepping:
        for j in stepping:
            joined = _step(terms[i], terms[j]) if i != j else None
            if joined is not None:
                rest = [term for k, term in enumerate(terms) if k not in (i, j)]
                return _paired([*rest, joined])
    return terms


def _step(upper: Any, lower: Any) -> Any | None:
    """`upper + lower` as a step of one function, where they are `c f(x + h)` and `-c f(x)`, x with symbols that h
    lacks.
    """
    for kind in (sp.loggamma, sp.polygamma):
        high, low = upper.atoms(kind), lower.atoms(kind)
        if len(high) != 1 or len(low) != 1:
            continue
        (a,), (b,) = high, low
        if a.args[:-1] != b.args[:-1] or sp.expand(upper / a + lower / b) != 0 or (upper / a).has(kind):
            continue
        h = sp.expand(a.args[-1] - b.args[-1])
        if h.free_symbols >= b.free_symbols:
            continue
        if kind is sp.loggamma:
            return upper / a * functions.lgamma_step(b.args[0], h)
        return upper / a * functions.polygamma_step(b.args[0], b.args[1], h)
    return None


def _print_product(e: Any) -> str:
    if e.could_extract_minus_sign():
        return f"-{_wrap(-e, _PRODUCT)}"
    numerator, denominator = [], []
    for factor in sp.Mul.make_args(e):
        if isinstance(factor, sp.Rational):
            if factor.p != 1:
                numerator.append(str(factor.p))
            if factor.q != 1:
                denominator.append(str(factor.q))
        elif isinstance(factor, sp.Pow) and factor.exp.could_extract_minus_sign():
            denominator.append(_wrap(sp.Pow(factor.base, -factor.exp), _POWER))
        else:
            numerator.append(_wrap(factor, _POWER))
    top = " * ".join(numerator) or "1"
    if not denominator:
        return top
    bottom = denominator[0] if len(denominator) == 1 else f"({' * '.join(denominator)})"
    return f"{top} / {bottom}"


def _print_power(e: Any) -> tuple[str, int]:
    if e.exp == sp.Rational(1, 2):
        return f"sqrt({source(e.base)})", _ATOM
    if e.exp.could_extract_minus_sign():
        return f"1 / {_wrap(sp.Pow(e.base, -e.exp), _POWER)}", _PRODUCT
    if e.exp == 2 and isinstance(e.base, sp.Symbol):
        return f"{e.base.name}**2", _POWER
    return f"{_wrap(e.base, _ATOM)}**{_wrap(e.exp, _ATOM)}", _POWER


def _print_piecewise(e: Any) -> str:
    (value, condition), (other, _) = e.args[0], e.args[1]
    # Conditions are `flag > 0` on a known symbol, as the conversion writes them.
    return f"where({source(condition.lhs)} > 0, {source(value)}, {source(other)})"
