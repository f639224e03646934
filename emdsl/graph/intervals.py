"""Truncated hidden numbers: the interval that they lie in."""

from __future__ import annotations

import math
from fractions import Fraction

from emdsl.graph.constants import exact_value
from emdsl.graph.failures import failure
from emdsl.graph.modifiers import bounds, written
from emdsl.graph.names import Names, Scope
from emdsl.ir.arithmetic import ONE, ZERO
from emdsl.ir.expressions import Apply, Expression, Number, ParameterRef, walk
from emdsl.ir.model import Domain
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
    parameter = next((item for item in walk(found) if isinstance(item, ParameterRef)), None)
    if parameter is not None:
        raise failure(
            "truncation", f"what a hidden number can be cannot move with a parameter, and `{parameter.name}` is one: "
            f"write `{node.names[0]}` as a function of a hidden number whose bounds are constants or inputs",
            modifiers.truncated,
        )  # fmt: skip
    return found


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
