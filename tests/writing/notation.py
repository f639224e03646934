"""Trees of formulas written in the notation that they are read from, to compare the two."""

from __future__ import annotations

from typing import assert_never

from emdsl.writing.formula import (
    Big,
    Call,
    Case,
    Derivative,
    Formula,
    Group,
    Indexed,
    Indicator,
    Items,
    Name,
    Noted,
    Number,
    Power,
    Product,
    Relations,
    Sum,
    Table,
    Transposed,
    Words,
)


def notation(formula: Formula) -> str:
    """The text of a tree."""
    match formula:
        case Name(text) | Number(text) | Words(text):
            return text
        case Items(parts, separators):
            marks = [f"{mark} " if mark in ",;" else f" {mark} " for mark in separators]
            return "".join(notation(part) + mark for part, mark in zip(parts, [*marks, ""], strict=True))
        case Call("E", items):
            return f"E[{notation(items)}]" if not formula.bare else ""
        case Call(name, items, bare):
            return f"{name} {notation(items)}" if bare else f"{name}({notation(items)})"
        case Indexed(base, items, new):
            return f"{notation(base)}[{notation(items)}]" + "_new" * new
        case Noted(inner, words):
            return notation(inner) + words
        case Indicator(items):
            return f"1{{{notation(items)}}}"
        case Group(opening, items):
            return opening + notation(items) + {"(": ")", "{": "}"}[opening]
        case Transposed(base):
            return notation(base) + "'"
        case Power(base, exponent):
            return f"{notation(base)}^{notation(exponent)}"
        case Product(first, rest):
            return notation(first) + "".join(operator + notation(factor) for operator, factor in rest)
        case Sum(((sign, first), *rest)):
            return sign + notation(first) + "".join(f" {mark} {notation(term)}" for mark, term in rest)
        case Relations(first, rest):
            return notation(first) + "".join(f" {relation} {notation(each)}" for relation, each in rest)
        case Big(operator, items, body, over):
            range_ = notation(items)
            return f"{operator} over {range_}: {notation(body)}" if over else f"{operator}({range_}: {notation(body)})"
        case Table(items, body):
            return f"[{notation(items)}: {notation(body)}]"
        case Case(subjects, arms):
            shown = "; ".join(f"{notation(pattern)} -> {notation(value)}" for pattern, value in arms)
            return f"case({notation(subjects)}: {shown})"
        case Derivative(function, variables, second, square):
            below = " ".join(f"d{notation(variable)}" for variable in variables)
            return f"d{'2' * second}{function}/{below}{'^2' * square}"
        case Sum():
            raise AssertionError("a sum has terms")
        case _:
            assert_never(formula)
