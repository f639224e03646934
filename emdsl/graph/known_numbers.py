"""Operations on written numbers that have no value: `log(-1)`, `(-8)^(1/3)`, `9^9^9`."""

from __future__ import annotations

import math
from collections.abc import Callable

from emdsl.graph.failures import failure
from emdsl.ir.expressions import Apply, Expression, Number
from emdsl.syntax import tree
from emdsl.syntax.printer import print_expr


def _logit(p: float) -> float:
    return math.log(p) - math.log1p(-p)


def _probit(p: float) -> float:
    if not 0.0 <= p <= 1.0:
        raise ValueError
    return p  # that it has a value is all that is asked


_PARTIAL: dict[str, Callable[..., float]] = {
    "^": math.pow, "exp": math.exp, "log": math.log, "log1p": math.log1p, "sqrt": math.sqrt, "lgamma": math.lgamma,
    "logit": _logit, "probit": _probit,
}  # fmt: skip
#: Where a function is minus or plus infinity, by its limit.
_INFINITE = {("log1p", -1.0), ("logit", 0.0), ("logit", 1.0)}


def check_defined(value: Expression, node: tree.Expr) -> None:
    """Refuses an operation on numbers alone that gives no number, or one beyond the range of numbers.

    Raises ZeroDivisionError for a power of 0 that divides by it.
    """
    if not (isinstance(value, Apply) and value.op in _PARTIAL):
        return
    numbers = [argument.value for argument in value.args if isinstance(argument, Number)]
    if len(numbers) < len(value.args):
        return
    if value.op == "^" and numbers[0] == 0 and numbers[1] < 0:
        raise ZeroDivisionError
    try:
        arguments = [float(number) for number in numbers]
        if (value.op, arguments[0]) not in _INFINITE:
            _PARTIAL[value.op](*arguments)
    except OverflowError:
        raise failure("constant-too-large", f"`{print_expr(node)}` is too large a number", node) from None
    except ValueError:
        raise failure("undefined-value", f"`{print_expr(node)}` is no number", node) from None
