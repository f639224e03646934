"""Log-priors of vectors and matrices: what holds `log det`, a quadratic form or a trace, term by term.

Such a term is a function of whole arrays, each of which has a formula for one element. The element is derived as any
piece is; the function of the array has its derivatives in `runtime.matrix_terms`, and the chain rule joins the two.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from emdsl.derive.expressions import fold, has_parameters
from emdsl.derive.notation import plain, readable, reference, wrapped
from emdsl.diagnostics.errors import EmmError
from emdsl.ir.arrays import element
from emdsl.ir.expressions import (
    Apply,
    Binder,
    BinderRef,
    Choose,
    ConstantRef,
    Expression,
    ParameterRef,
    Tabulate,
    add,
    number,
    walk,
)
from emdsl.ir.model import Model

#: Functions of whole arrays, with the number of axes of each argument.
ARRAY_FUNCTIONS: dict[str, tuple[int, ...]] = {"logdet": (2,), "mahalanobis": (1, 1, 2), "traceinv": (2, 2)}


@dataclass(frozen=True)
class ArrayTerm:
    """`coefficient * function(arguments)`; the coefficient is known."""

    coefficient: Expression
    function: str
    arguments: tuple[Expression, ...]


def split_arrays(expression: Expression) -> tuple[tuple[ArrayTerm, ...], Expression | None]:
    """The terms of a log-prior that are functions of whole arrays of parameters, and the sum of the rest."""
    found: list[ArrayTerm] = []
    rest: list[Expression] = []
    for coefficient, term in _terms(expression, number(1)):
        if isinstance(term, Apply) and _is_function(term):
            found.append(ArrayTerm(coefficient, term.op, term.args))
        else:
            rest.append(fold(Apply("*", (coefficient, term))))
    return tuple(found), add(*rest) if rest else None


def _is_function(node: Any) -> bool:
    return isinstance(node, Apply) and node.op in ARRAY_FUNCTIONS and has_parameters(node)


def _terms(expression: Expression, coefficient: Expression) -> Iterator[tuple[Expression, Expression]]:
    if not any(_is_function(node) for node in walk(expression)) or _is_function(expression):
        yield coefficient, expression
        return
    match expression:
        case Apply("+", (left, right)):
            yield from _terms(left, coefficient)
            yield from _terms(right, coefficient)
        case Apply("-", (left, right)):
            yield from _terms(left, coefficient)
            yield from _terms(right, fold(Apply("neg", (coefficient,))))
        case Apply("neg", (inner,)):
            yield from _terms(inner, fold(Apply("neg", (coefficient,))))
        case Apply("*", (left, right)) if not has_parameters(left):
            yield from _terms(right, fold(Apply("*", (coefficient, left))))
        case Apply("*", (left, right)) if not has_parameters(right):
            yield from _terms(left, fold(Apply("*", (coefficient, right))))
        case Apply("/", (left, right)) if not has_parameters(right):
            yield from _terms(left, fold(Apply("/", (coefficient, right))))
        case _:
            raise EmmError(
                "not-supported-yet", "a prior whose matrix terms are multiplied by parameters has no derivation yet",
                help="give the degrees of freedom as a number or a constant",
            )  # fmt: skip


def array_text(term: ArrayTerm) -> str:
    """The term as it is written in a derivation."""
    names = [_named(argument) for argument in term.arguments]
    match term.function:
        case "logdet":
            text = f"log(det({names[0]}))"
        case "mahalanobis":
            x, mean, matrix = names
            apart = x if mean == "0" else f"({x} - {mean})"
            text = f"{apart}'*{matrix}^-1*{apart}"
        case _:
            text = f"tr({names[0]}^-1*{names[1]})"
    return f"{wrapped(readable(term.coefficient))}*{text}"


def matrix_text(term: ArrayTerm) -> str:
    """The matrix whose determinant, or whose inverse, is taken."""
    return _named(term.arguments[2 if term.function == "mahalanobis" else 0])


def units_text(term: ArrayTerm) -> str:
    """What `coefficient * log det C` adds to n in `C = R/n`; empty for the other functions."""
    return plain(readable(fold(Apply("*", (number(-2), term.coefficient))))) if term.function == "logdet" else ""


def moment_text(term: ArrayTerm) -> str:
    """What a quadratic form or a trace adds to R in `C = R/n`; empty for a determinant."""
    factor = plain(readable(fold(Apply("*", (number(-2), term.coefficient)))))
    lead = "" if factor == "1" else f"{factor}*"
    match term.function:
        case "mahalanobis":
            x, mean = (_named(argument) for argument in term.arguments[:2])
            apart = x if mean == "0" else f"({x} - {mean})"
            return f"{lead}{apart}*{apart}'"
        case "traceinv":
            return lead + _named(term.arguments[1])
    return ""


def _named(array: Expression) -> str:
    inner = array.body if isinstance(array, Tabulate) else array
    text = reference(inner)
    return f"({text})" if isinstance(inner, Apply) and inner.op != "neg" else text


def element_of(array: Expression, axes: int, taken: str, model: Model) -> tuple[Expression, tuple[Binder, ...]]:
    """One element of an array-valued argument, and the bound indices that it is told by; `taken` makes their names the
    argument's own."""
    binders = tuple(Binder(f"{taken} {k}", axis) for k, axis in enumerate(_axes(array, axes, model)))
    return element(array, tuple(BinderRef(binder) for binder in binders)), binders


def _axes(array: Expression, count: int, model: Model) -> tuple[str, ...]:
    """The index sets of the axes that are left of an array."""
    match array:
        case ParameterRef(name, indices):
            return model.parameter(name).array_axes[len(indices) :]
        case ConstantRef(name, indices):
            return model.constant(name).axes[len(indices) :]
        case Tabulate(binders):
            return tuple(binder.index_set for binder in binders[:count])
        case Choose(_, arms):
            return _axes(arms[0].value, count, model)
    raise EmmError("not-supported-yet", "an array of this form has no derivation in a prior yet")
