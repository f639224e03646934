"""The value of formula source as `emdsl.derive.printing` writes it, without running it: its syntax tree is walked."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from emdsl.runtime import functions, log_sums, tails

_OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.Pow: operator.pow, ast.USub: operator.neg, ast.Gt: operator.gt,
}  # fmt: skip


@lru_cache(maxsize=512)
def _tree(source: str) -> ast.expr:
    return ast.parse(source, mode="eval").body


def value(source: str, symbols: Mapping[str, Any]) -> Any:
    """The formula's value, numbers or arrays, for the values of its symbols. Raises KeyError on an unknown symbol."""
    return _value(_tree(source), symbols)


def names(source: str) -> frozenset[str]:
    """The symbols that a formula uses (functions are none)."""
    tree = _tree(source)
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    return frozenset(n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and id(n) not in called and n.id != "pi")


def _function(name: str) -> Callable[..., Any]:
    found: Callable[..., Any] = next(getattr(m, name) for m in (functions, log_sums, tails) if hasattr(m, name))
    return found


def _value(node: ast.expr, symbols: Mapping[str, Any]) -> Any:
    match node:
        case ast.Constant(value=number):
            return number
        case ast.Name(id="pi"):
            return functions.pi
        case ast.Name(id=name):
            return symbols[name]
        case ast.UnaryOp(op=op, operand=inner):
            return _OPERATORS[type(op)](_value(inner, symbols))
        case ast.BinOp(left=left, op=op, right=right):
            return _OPERATORS[type(op)](_value(left, symbols), _value(right, symbols))
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            return _OPERATORS[type(op)](_value(left, symbols), _value(right, symbols))
        case ast.Call(func=ast.Name(id=name), args=arguments):
            return _function(name)(*(_value(argument, symbols) for argument in arguments))
    raise TypeError(f"formulas have no {type(node).__name__.lower()}")
