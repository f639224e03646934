"""Truncated hidden numbers: the interval that they lie in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from emdsl.graph.constants import exact_value
from emdsl.graph.failures import failure
from emdsl.graph.modifiers import bounds, written
from emdsl.graph.names import Names, Scope
from emdsl.ir.arithmetic import MINUS_INFINITY, ONE, ZERO
from emdsl.ir.expressions import Apply, Expression, Number, ParameterRef, VariableRef, walk
from emdsl.ir.model import Domain, Factor, Variable
from emdsl.syntax import tree
from emdsl.syntax.printer import print_law

_OPEN = (Number(-math.inf), Number(math.inf))


def window(node: tree.LatentStmt, scope: Scope, names: Names) -> tuple[Expression, Expression] | None:
    """The bounds of a hidden variable's truncation, None where it has none.

    Raises where a hidden variable is said to be censored.
    """
    assert node.law is not None
    modifiers = written(node.law)
    for censored in (modifiers.above, modifiers.below):
        if censored is not None:
            bare = print_law(tree.Law(node.law.call)) if isinstance(node.law, tree.Law) else "…"
            raise failure(
                "modifiers", f"cells are censored, and the latent `{node.names[0]}` has none", censored,
                f"latent {node.names[0]} ~ {bare}",
            )  # fmt: skip
    if modifiers.truncated is None:
        return None
    found = bounds(modifiers.truncated, scope, names)
    _check_still(found, node.names[0], modifiers.truncated)
    return found


def _check_still(ends: tuple[Expression, Expression], name: str, node: tree.Node) -> None:
    parameter = next((item for item in walk(ends) if isinstance(item, ParameterRef)), None)
    if parameter is not None:
        raise failure(
            "truncation", f"what a hidden number can be cannot move with a parameter, and `{parameter.name}` is one: "
            f"write `{name}` as a function of a hidden number whose bounds are constants or inputs", node,
        )  # fmt: skip


def narrowed(domain: Domain, window: tuple[Expression, Expression], names: Names) -> Domain:
    """The part of a domain of numbers that lies between two bounds."""
    if domain.kind not in ("real", "positive", "unit", "interval"):
        return domain
    low, high = _ends(domain)
    low, high = _closer("max", low, window[0], names), _closer("min", high, window[1], names)
    known = exact_value(low, names), exact_value(high, names)
    if known == (-math.inf, math.inf):
        return Domain("real")
    if known == (Fraction(0), math.inf):
        return Domain("positive")
    if known == (Fraction(0), Fraction(1)):
        return Domain("unit")
    return Domain("interval", low=low, high=high)


def confined(
    variable: Variable, factors: Sequence[Factor], node: tree.LatentStmt, names: Names
) -> tuple[Variable, tuple[Factor, ...]] | None:
    """A hidden number whose law is 0 outside an interval, `where(a <= u and u <= b, ..., -inf)`, with that interval as
    its domain, and the law without the condition; None where there is no such interval, or several.
    """
    target = factors[0].target if factors else None
    if target is None or variable.values is not None or variable.domain.kind not in ("real", "positive"):
        return None
    found = [_inside(branch.log_density, target) for factor in factors for branch in factor.branches]
    first = found[0][0]
    if first == _OPEN or any(ends != first for ends, _ in found):
        return None
    _check_still(first, variable.name, node)
    densities = iter(density for _, density in found)
    made = tuple(
        replace(factor, branches=tuple(replace(branch, log_density=next(densities)) for branch in factor.branches))
        for factor in factors
    )
    return replace(variable, domain=narrowed(variable.domain, first, names)), made


def _inside(density: Expression, target: VariableRef) -> tuple[tuple[Expression, Expression], Expression]:
    """The interval outside of which a sum is minus infinity, and the sum inside of it."""
    match density:
        case Apply("where", (condition, inside, outside)) if outside == MINUS_INFINITY:
            ends = _interval(condition, target)
            return (_OPEN, density) if ends is None else (ends, inside)
        case Apply("+" | "-" as op, (left, right)):
            ends, inside = _inside(left, target)
            if ends != _OPEN:
                return ends, Apply(op, (inside, right))
            ends, inside = _inside(right, target) if op == "+" else (_OPEN, right)
            return (ends, Apply(op, (left, inside))) if ends != _OPEN else (_OPEN, density)
    return _OPEN, density


def _interval(condition: Expression, target: VariableRef) -> tuple[Expression, Expression] | None:
    match condition:
        case Apply("and", (one, two)):
            first, second = _interval(one, target), _interval(two, target)
            if first is None or second is None:
                return None
            low, high = (_only(*pair, end) for pair, end in zip(zip(first, second, strict=True), _OPEN, strict=True))
            return None if low is None or high is None else (low, high)
        case Apply("<=" | "<", (left, right)) | Apply(">=" | ">", (right, left)):
            free = not any(node == target for other in (left, right) if other != target for node in walk(other))
            if right == target and free:
                return left, _OPEN[1]
            if left == target and free:
                return _OPEN[0], right
    return None


def _only(one: Expression, two: Expression, none: Expression) -> Expression | None:
    """The one of two ends that is one; None where both are."""
    return two if one == none else one if two == none else None


def _ends(domain: Domain) -> tuple[Expression, Expression]:
    match domain.kind:
        case "positive":
            return ZERO, _OPEN[1]
        case "unit":
            return ZERO, ONE
        case "interval":
            return domain.low or _OPEN[0], domain.high or _OPEN[1]
        case _:
            return _OPEN


def _closer(op: str, own: Expression, bound: Expression, names: Names) -> Expression:
    one, two = exact_value(own, names), exact_value(bound, names)
    if one is None or two is None:
        return bound if own in _OPEN else Apply(op, (own, bound))
    value = max(one, two) if op == "max" else min(one, two)
    return Number(value)
