"""The value of an expression that holds constants only: exact as long as it is rational, in floats beyond that.

An expression comes from a text that nobody has checked, so its cost is bounded: numbers of more than some thousand
bits are floats, and a sum over too many elements is refused.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from emdsl.data.numerals import numeral
from emdsl.diagnostics.errors import EmmError
from emdsl.ir.expressions import (
    AnyPattern,
    Apply,
    BinderRef,
    Choose,
    ConstantRef,
    Expression,
    Label,
    LabelPattern,
    Number,
    Reduce,
)

#: A number, or the label of an index set.
Value = Fraction | float | str

#: Exact numbers may have this many bits; a power beyond it is a float, and refused if it is none.
LARGEST_EXACT_BITS = 4096
#: Elementary steps that one expression may take.
MOST_STEPS = 200_000


class NotConstant(Exception):
    """The expression refers to a parameter or a variable."""


@dataclass
class Evaluator:
    """Evaluates expressions of constants. `labels` gives the labels of an index set, `constant` an element of a
    constant, `subject` names what is being worked out, for messages."""

    labels: Callable[[str], tuple[str, ...]]
    constant: Callable[[str, tuple[str, ...]], Value]
    subject: str
    steps: int = field(default=0, init=False)

    def number(self, expression: Expression, bound: Mapping[str, str] | None = None) -> Fraction | float:
        """The value as a number; a label is one if it spells one."""
        try:
            return self._as_number(self.value(expression, bound or {}))
        except RecursionError as error:
            raise EmmError("constant-too-large", f"{self.subject} nests too deep") from error

    def value(self, expression: Expression, bound: Mapping[str, str]) -> Value:
        """The value; `bound` holds the current label of each bound index."""
        self.steps += 1
        if self.steps > MOST_STEPS:
            raise EmmError("constant-too-large", f"{self.subject} takes more than {MOST_STEPS} steps to work out")
        match expression:
            case Number(value):
                return value
            case Label(_, label):
                return label
            case BinderRef(binder) if binder.name in bound:
                return bound[binder.name]
            case ConstantRef(name, indices):
                return self.constant(name, tuple(self._as_label(self.value(index, bound)) for index in indices))
            case Apply("==" | "!=" as op, (left, right)):
                same = self._same(self.value(left, bound), self.value(right, bound))
                return Fraction(same == (op == "=="))
            case Apply("where", (condition, then, otherwise)):
                return self.value(then if self.number(condition, bound) != 0 else otherwise, bound)
            case Apply("and", (left, right)):
                return Fraction(self.number(left, bound) != 0 and self.number(right, bound) != 0)
            case Apply("or", (left, right)):
                return Fraction(self.number(left, bound) != 0 or self.number(right, bound) != 0)
            case Apply(op, arguments):
                return self._apply(op, [self.number(argument, bound) for argument in arguments])
            case Reduce(op, binder, body):
                terms = [self.number(body, {**bound, binder.name: label}) for label in self.labels(binder.index_set)]
                return self._reduce(op, terms)
            case Choose(subjects, arms):
                chosen = [self._as_label(self.value(subject, bound)) for subject in subjects]
                for arm in arms:
                    if any(_matches(patterns, chosen) for patterns in arm.alternatives):
                        return self.value(arm.value, bound)
        raise NotConstant

    def _as_number(self, value: Value) -> Fraction | float:
        if not isinstance(value, str):
            return value
        number = numeral(value)
        if number is None:
            raise EmmError("label-not-a-number", f"{self.subject} takes the label `{value}` for a number")
        return Fraction(value.strip()) if abs(number) < 2.0**53 and "e" not in value.lower() else number

    def _as_label(self, value: Value) -> str:
        if isinstance(value, str):
            return value
        return str(value.numerator) if isinstance(value, Fraction) and value.denominator == 1 else repr(float(value))

    def _same(self, left: Value, right: Value) -> bool:
        if isinstance(left, str) and isinstance(right, str):
            return left == right
        if isinstance(left, str) or isinstance(right, str):
            label, other = (left, right) if isinstance(left, str) else (right, left)
            return numeral(str(label)) is not None and self._as_number(label) == other
        return left == right

    def _reduce(self, op: str, terms: list[Fraction | float]) -> Fraction | float:
        total: Fraction | float = Fraction(1 if op == "prod" else 0)
        if op == "logsumexp":
            highest = max((float(term) for term in terms), default=-math.inf)
            if math.isinf(highest):
                return highest
            return highest + math.log(math.fsum(math.exp(float(term) - highest) for term in terms))
        for term in terms:
            total = self._apply("*" if op == "prod" else "+", [total, term])
        return total

    def _apply(self, op: str, arguments: list[Fraction | float]) -> Fraction | float:
        function = _FUNCTIONS.get(op)
        if function is None:
            raise NotConstant
        try:
            value = function(*arguments)
        except ZeroDivisionError as error:
            raise EmmError("division-by-zero", f"{self.subject} divides by zero") from error
        except OverflowError as error:
            raise EmmError("constant-too-large", f"{self.subject} is too large a number") from error
        except ValueError as error:
            shown = ", ".join(f"{float(argument):.12g}" for argument in arguments)
            raise EmmError("undefined-value", f"{self.subject} takes {op} of {shown}, which is no number") from error
        if isinstance(value, Fraction) and _bits(value) > LARGEST_EXACT_BITS:
            return self._apply("float", [value])
        return value if isinstance(value, Fraction) else float(value)


def _matches(patterns: tuple[LabelPattern | AnyPattern, ...], chosen: list[str]) -> bool:
    return all(
        isinstance(pattern, AnyPattern) or label in pattern.labels
        for pattern, label in zip(patterns, chosen, strict=True)
    )


def _bits(value: Fraction) -> int:
    return value.numerator.bit_length() + value.denominator.bit_length()


def _power(base: Fraction | float, exponent: Fraction | float) -> Fraction | float:
    if isinstance(base, Fraction) and isinstance(exponent, Fraction) and exponent.denominator == 1:
        if abs(base) == 1:
            return Fraction(base ** int(exponent % 2))
        if base == 0 or abs(exponent) * _bits(base) <= LARGEST_EXACT_BITS:
            return Fraction(base ** int(exponent))
    return float(math.pow(base, exponent))


def _standard_normal_quantile(p: float) -> float:
    from statistics import NormalDist

    if p in (0, 1):
        return math.copysign(math.inf, p - 0.5)
    return NormalDist().inv_cdf(float(p))  # StatisticsError is a ValueError


def _bessel_i0(x: float) -> float:
    """I0(x), the sum of `(x/2)^(2k) / k!^2` (Abramowitz & Stegun 1964, 9.6.12)."""
    term = total = 1.0
    for k in range(1, 2000):
        term *= (float(x) / 2 / k) ** 2
        total += term
        if term < 1e-17 * total:
            break
    if math.isinf(total):
        raise OverflowError
    return total


def _logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "^": _power,
    "neg": lambda a: -a,
    "not": lambda a: Fraction(a == 0),
    "<": lambda a, b: Fraction(a < b),
    "<=": lambda a, b: Fraction(a <= b),
    ">": lambda a, b: Fraction(a > b),
    ">=": lambda a, b: Fraction(a >= b),
    "min": min,
    "max": max,
    "abs": abs,
    "float": float,
    "exp": math.exp,
    "log": math.log,
    "log1p": math.log1p,
    "sqrt": math.sqrt,
    "sin": math.sin,
    "cos": math.cos,
    "logistic": _logistic,
    "logit": lambda p: math.log(p / (1 - p)),
    "Phi": lambda x: 0.5 * math.erfc(-x / math.sqrt(2)),
    "probit": _standard_normal_quantile,
    "lgamma": math.lgamma,
    "besseli0": _bessel_i0,
    "floor": lambda x: Fraction(math.floor(x)),
    "ceil": lambda x: Fraction(math.ceil(x)),
}
