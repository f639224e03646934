"""Rewriting of resolved expressions before SymPy sees them: substitution, folding of constants, what they depend on."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from fractions import Fraction
from typing import Any

from emdsl.ir.expressions import (
    Apply,
    Choose,
    Expression,
    Number,
    ParameterRef,
    VariableRef,
    number,
    rewrite,
    walk,
)

ZERO, ONE = number(0), number(1)


def has_parameters(expression: Any) -> bool:
    """Whether a parameter occurs anywhere below."""
    return any(isinstance(item, ParameterRef) for item in walk(expression))


def substitute(expression: Any, old: Expression, new: Expression) -> Any:
    """A copy with every occurrence of `old` replaced by `new`."""
    return rewrite(expression, lambda node: new if node == old else node)


def fold(expression: Expression) -> Expression:
    """The expression with arithmetic on numbers carried out exactly, and products by 0, sums with 0 dropped."""
    return rewrite(expression, _fold_node)


def _fold_node(node: Any) -> Any:
    if isinstance(node, Apply):
        return _fold_apply(node)
    if isinstance(node, Choose) and len(node.arms) == 1:
        return node.arms[0].value
    return node


def _exact(node: Expression) -> Fraction | None:
    return node.value if isinstance(node, Number) and isinstance(node.value, Fraction) else None


def _fold_apply(node: Apply) -> Expression:
    values = [_exact(arg) for arg in node.args]
    match node.op, values:
        case "+", [Fraction() as a, Fraction() as b]:
            return Number(a + b)
        case "-", [Fraction() as a, Fraction() as b]:
            return Number(a - b)
        case "*", [Fraction() as a, Fraction() as b]:
            return Number(a * b)
        case "/", [Fraction() as a, Fraction() as b] if b != 0:
            return Number(a / b)
        case "neg", [Fraction() as a]:
            return Number(-a)
        case "+", [a, b] if a == 0 or b == 0:
            return node.args[1] if a == 0 else node.args[0]
        case "-", [_, b] if b == 0:
            return node.args[0]
        case "-", [a, _] if a == 0:
            return _fold_apply(Apply("neg", (node.args[1],)))
        case "*", [a, b] if a == 0 or b == 0:
            return ZERO
        case "*", [a, b] if a == 1 or b == 1:
            return node.args[1] if a == 1 else node.args[0]
        case "/", [a, _] if a == 0:
            return ZERO
        case "/", [_, b] if b == 1:
            return node.args[0]
        case "^", [_, b] if b == 1:
            return node.args[0]
        case "^", [_, b] if b == 0:
            return ONE
        case "log", [a] if a == 1:
            return ZERO
        case "exp", [a] if a == 0:
            return ONE
        case (("==" | "!=" | "<" | "<=" | ">" | ">="), [Fraction() as a, Fraction() as b]):
            truth = {"==": a == b, "!=": a != b, "<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b}[node.op]
            return ONE if truth else ZERO
        case "where", [Fraction() as a, _, _]:
            return node.args[1] if a != 0 else node.args[2]
    return node


def numeric_variables(expression: Any, *, indexing: bool = False) -> set[VariableRef]:
    """Variables whose value is used as a number (not as an index, nor as the subject of a case)."""
    found: set[VariableRef] = set()
    if isinstance(expression, VariableRef):
        return set() if indexing else {expression}
    if isinstance(expression, tuple):
        for item in expression:
            found |= numeric_variables(item, indexing=indexing)
        return found
    if not is_dataclass(expression):
        return found
    for field in fields(expression):
        inner = indexing or field.name in ("indices", "subjects", "state", "matrix")
        found |= numeric_variables(getattr(expression, field.name), indexing=inner)
    return found
