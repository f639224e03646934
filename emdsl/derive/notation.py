"""Formulas on one line as a statistician writes them, `mu[z]`, `x^2`: from resolved expressions and from SymPy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any, assert_never

import sympy as sp

from emdsl.derive import functions, tails
from emdsl.derive.expressions import has_parameters
from emdsl.ir.arithmetic import LARGEST_FOLDED_POWER
from emdsl.ir.expressions import (
    AnyPattern,
    Apply,
    BinderRef,
    Choose,
    ConstantRef,
    Expression,
    Label,
    Number,
    ParameterRef,
    Position,
    Reduce,
    Stationary,
    Tabulate,
    VariableRef,
)
from emdsl.ir.grids import shares_table
from emdsl.ir.show import show

#: What stands for the logarithm of 0 in formulas that are computed with.
_LOG_ZERO = -1e299

_SUM, _PRODUCT, _POWER, _ATOM = 1, 2, 3, 4
_COMPARISONS = frozenset({"==", "!=", "<", "<=", ">", ">=", "and", "or"})
_SIMPLE: dict[Any, str] = {
    sp.exp: "exp", sp.log: "log", sp.sin: "sin", sp.cos: "cos", sp.tan: "tan", sp.Abs: "abs", sp.sign: "sign",
    sp.loggamma: "lgamma", sp.atan2: "atan2", sp.Min: "min", sp.Max: "max", functions.logistic: "logistic",
    functions.Phi: "Phi", functions.probit: "probit", functions.log_add: "logaddexp",
    functions.log_subtract: "logsubexp", **tails.NAMES,
}  # fmt: skip
#: Functions that stand for more than one of those that are written.
_COMPOSED: dict[Any, str] = {
    functions.log_logistic: "log(logistic({}))", functions.log_Phi: "log(Phi({}))",
    functions.log_i0: "log(besseli0({}))", functions.log1mexp: "log(1 - exp(-({})))",
}  # fmt: skip


# --- resolved expressions ---------------------------------------------------------------------------------------------


def reference(expression: Expression, *, new: bool = False) -> str:
    """An index, label, variable, constant or parameter element, as the user names it; `new` marks an updated one."""
    match expression:
        case Label(_, label):
            return label
        case BinderRef(binder):
            return binder.name
        case VariableRef(name, (_, *rest)) | ConstantRef(name, (_, *rest)) if shares_table(name) is not None:
            form, variable = shares_table(name) or ("", "")
            return form.format(variable + _indices(tuple(rest)))
        case VariableRef(name, indices, lag):
            place = name + _indices(indices)
            return place if not lag else f"prev({place})" if lag == 1 else f"prev({place}, {lag})"
        case ParameterRef(name, indices):
            return (f"{name}_new" if new else name) + _indices(indices)
        case ConstantRef(name, indices):
            return name + _indices(indices)
        case Position(of, shift):
            return reference(of) if not shift else f"{reference(of)} {'-' if shift < 0 else '+'} {abs(shift)}"
        case Stationary(matrix, state):
            return f"stationary({reference(matrix)})[{reference(state)}]"
        case Choose(subjects, arms):
            return f"case({', '.join(map(reference, subjects))}: {'; '.join(_arm(arm) for arm in arms)})"
    return plain(readable(expression))


def _indices(indices: tuple[Expression, ...]) -> str:
    return f"[{', '.join(map(reference, indices))}]" if indices else ""


def _arm(arm: Any) -> str:
    patterns = [", ".join(map(pattern, alternative)) for alternative in arm.alternatives]
    return f"{' | '.join(patterns)} -> {reference(arm.value)}"


def pattern(item: Any) -> str:
    """One pattern of a case."""
    return "_" if isinstance(item, AnyPattern) else "|".join(item.labels)


def readable(expression: Expression) -> Any:
    """A SymPy expression to print: arithmetic as arithmetic, everything else a symbol that is named by its text."""
    match expression:
        case Number(Fraction() as value):
            return sp.Rational(value.numerator, value.denominator)
        case Number(value):
            return sp.pi if abs(value - 3.141592653589793) < 1e-15 else sp.Float(value)
        case Apply("+", (left, right)):
            return readable(left) + readable(right)
        case Apply("-", (left, right)):
            return readable(left) - readable(right)
        case Apply("*", (left, right)):
            return readable(left) * readable(right)
        case Apply("/", (left, right)):
            return readable(left) / readable(right)
        case Apply("^", (left, right)) if _small(right):
            return readable(left) ** readable(right)
        case Apply("^", (left, right)) if has_parameters(left) or has_parameters(right):
            return readable(left) ** readable(right)
        case Apply("neg", (inner,)):
            return -readable(inner)
        case Apply("log", (inner,)):
            return sp.log(readable(inner))
        case Apply(op, (left, right)) if op in _COMPARISONS:
            return _symbol(f"({plain(readable(left))} {op} {plain(readable(right))})")
        case Apply(op, args):
            return _symbol(f"{op}({', '.join(unwrapped(plain(readable(arg))) for arg in args)})")
        case Reduce("sum", binder, Number(value)) if value == 1:
            return _symbol(f"size({binder.index_set})")
        case Reduce(op, binder, body):
            return _symbol(f"{op}({binder.name} in {binder.index_set}: {plain(readable(body))})")
        case Tabulate(_, Number() as same):
            return readable(same)
        case Tabulate():
            return _symbol(show(expression))
        case Label() | BinderRef() | VariableRef() | ParameterRef() | ConstantRef():
            return _symbol(reference(expression))
        case Position() | Stationary() | Choose():
            return _symbol(reference(expression))
        case _:
            assert_never(expression)


def _small(power: Expression) -> bool:
    """Whether SymPy may take a number to this power: `9^9^9^9` stays as it is written."""
    return isinstance(power, Number) and -LARGEST_FOLDED_POWER <= power.value <= LARGEST_FOLDED_POWER


def _symbol(text: str) -> Any:
    return sp.Symbol(text, real=True)


# --- SymPy ------------------------------------------------------------------------------------------------------------


def plain(expression: Any, names: Mapping[Any, str] | None = None) -> str:
    """A SymPy expression as text; `names` says how symbols are written (default: by their own name)."""
    return _print(sp.sympify(expression, strict=True), names or {})[0]


def wrapped(expression: Any, names: Mapping[Any, str] | None = None) -> str:
    """The same, in parentheses where it would fall apart as the last factor of a product."""
    return _wrap(sp.sympify(expression, strict=True), _PRODUCT, names or {})


def product(*factors: str) -> str:
    """The product of some texts, each as `wrapped` gives it; "" counts for nothing, `1/x` divides, at the end."""
    kept = [factor for factor in factors if factor and factor != "1"]
    above = [factor for factor in kept if not factor.startswith("1/")]
    below = [factor[1:] for factor in kept if factor.startswith("1/")]
    if len(above) == 1 and not below:
        return unwrapped(above[0])
    return ("*".join(above) or "1") + "".join(below)


def unwrapped(text: str) -> str:
    """Without parentheses around the whole."""
    if not (text.startswith("(") and text.endswith(")")):
        return text
    depth = 0
    for at, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0 and at < len(text) - 1:
            return text
    return text[1:-1]


def is_sum(text: str) -> bool:
    """Whether a text falls apart as a factor: a sign outside all brackets."""
    depth = 0
    for at, character in enumerate(text):
        depth += (character in "([{") - (character in ")]}")
        if depth == 0 and (text[at : at + 3] in (" + ", " - ") or (at == 0 and character == "-")):
            return True
    return False


def joined(parts: Iterable[str]) -> str:
    """The sum of some texts."""
    text = ""
    for part in filter(None, parts):
        text += part if not text else f" - {part[1:]}" if part.startswith("-") else f" + {part}"
    return text


_Names = Mapping[Any, str]


def _wrap(e: Any, level: int, names: _Names) -> str:
    text, own = _print(e, names)
    return text if own >= level else f"({text})"


def _print(e: Any, names: _Names) -> tuple[str, int]:
    match e:
        case sp.Symbol():
            return names.get(e, e.name), _ATOM
        case sp.Rational():
            text = str(e.p) if e.q == 1 else f"{e.p}/{e.q}"
            return text, _ATOM if e.q == 1 and e.p >= 0 else _PRODUCT if e.p >= 0 else _SUM
        case sp.core.numbers.Infinity():
            return "inf", _ATOM
        case sp.core.numbers.NegativeInfinity():
            return "-inf", _SUM
        case sp.Float() if e <= _LOG_ZERO:
            return "-inf", _SUM
        case sp.Float():
            return f"{float(e):.6g}", _ATOM if e >= 0 else _SUM
        case sp.Add():
            return _print_sum(e, names), _SUM
        case sp.Mul():
            return _print_product(e, names)
        case sp.Pow():
            return _print_power(e, names)
        case sp.Piecewise():
            (value, condition), (other, _) = e.args[0], e.args[1]
            texts = (unwrapped(plain(item, names)) for item in (condition.lhs, value, other))
            return f"where({', '.join(texts)})", _ATOM
        case sp.polygamma():
            order, argument = e.args
            name = {0: "digamma", 1: "trigamma"}.get(int(order), f"polygamma_{order}")
            return f"{name}({plain(argument, names)})", _ATOM
    if e is sp.pi:
        return "pi", _ATOM
    if e is sp.E:
        return "exp(1)", _ATOM
    arguments = ", ".join(plain(argument, names) for argument in e.args)
    if isinstance(e, functions.i1_over_i0):
        return f"besseli1({arguments})/besseli0({arguments})", _PRODUCT
    if isinstance(e, functions.log_interval):
        return f"log({' - '.join(_exponential(plain(logarithm, names)) for logarithm in e.args[:2])})", _ATOM
    if e.func in _COMPOSED:
        return _COMPOSED[e.func].format(arguments), _ATOM
    return f"{_SIMPLE.get(e.func, str(e.func))}({arguments})", _ATOM


def _exponential(text: str) -> str:
    """The text of `exp(text)`: of `log(x)` it is `x`."""
    inner = unwrapped(text.removeprefix("log")) if text.startswith("log(") else text
    return inner if inner != text.removeprefix("log") and not is_sum(inner) else f"exp({text})"


def _print_sum(e: Any, names: _Names) -> str:
    # What is added comes before what is subtracted, short terms before long ones, numbers last: `x - mu`, `n + 1`.
    terms = []
    for term in sp.Add.make_args(e):
        negative = term.could_extract_minus_sign()
        text = _wrap(-term if negative else term, _PRODUCT, names)
        terms.append((negative, bool(term.is_number), len(text), text))
    terms.sort()
    text = ("-" if terms[0][0] else "") + terms[0][3]
    return text + "".join((" - " if negative else " + ") + part for negative, _, _, part in terms[1:])


def _print_product(e: Any, names: _Names) -> tuple[str, int]:
    if e.could_extract_minus_sign():
        return f"-{_wrap(-e, _PRODUCT, names)}", _SUM
    top: list[tuple[int, str]] = []
    bottom: list[tuple[int, str]] = []
    for factor in sp.Mul.make_args(e):
        if isinstance(factor, sp.Rational):
            top += [(0, str(factor.p))] if factor.p != 1 else []
            bottom += [(0, str(factor.q))] if factor.q != 1 else []
        elif isinstance(factor, sp.Pow) and factor.exp.could_extract_minus_sign():
            bottom.append((_rank(factor.base), _wrap(sp.Pow(factor.base, -factor.exp), _POWER, names)))
        else:
            top.append((_rank(factor), _wrap(factor, _POWER, names)))
    above = "*".join(text for _, text in sorted(top)) or "1"
    if not bottom:
        return above, _PRODUCT
    below = "*".join(text for _, text in sorted(bottom))
    return f"{above}/{below if len(bottom) == 1 else f'({below})'}", _PRODUCT


def _rank(factor: Any) -> int:
    base = factor.base if isinstance(factor, sp.Pow) else factor
    return 1 if isinstance(base, sp.Symbol) else 2 if isinstance(base, sp.Add) else 3


def _print_power(e: Any, names: _Names) -> tuple[str, int]:
    if e.exp == sp.Rational(1, 2):
        return f"sqrt({plain(e.base, names)})", _ATOM
    if e.exp.could_extract_minus_sign():
        return f"1/{_wrap(sp.Pow(e.base, -e.exp), _POWER, names)}", _PRODUCT
    base = e.base
    if base.is_Add and e.exp.is_even and _parameters_lead(base, names):
        base = sp.expand(-base)
    return f"{_wrap(base, _ATOM, names)}^{_wrap(e.exp, _ATOM, names)}", _POWER


def _parameters_lead(base: Any, names: _Names) -> bool:
    """Whether it would read `(mu - x)^2`: all that is added is a parameter, nothing that is subtracted."""
    signs = [(term.could_extract_minus_sign(), bool(term.free_symbols & set(names))) for term in base.args]
    return all(parameter is not negative for negative, parameter in signs)
