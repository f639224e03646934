"""Priors whose density is 0 outside known bounds: the bounds narrow the parameter's domain, and the density is whole.

So a `Uniform(0, 7)` prior on a standard deviation is an interval with a constant density: whatever is maximised stays
inside, and an estimate at a bound is reported as one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from emdsl.graph.constants import exact_value
from emdsl.graph.failures import failure
from emdsl.graph.names import Names
from emdsl.ir.arithmetic import MINUS_INFINITY
from emdsl.ir.expressions import Apply, BinderRef, Expression, Number, ParameterRef, number, walk
from emdsl.ir.model import Domain
from emdsl.syntax import tree

#: Domains whose elements are numbers between bounds.
NARROWED = ("real", "positive", "unit", "interval")

#: A comparison of the element with a bound: which bound it is, by whether the element stands on the left.
_SIDES = {("<=", True): "high", ("<", True): "high", (">=", True): "low", (">", True): "low",
          ("<=", False): "low", ("<", False): "low", (">=", False): "high", (">", False): "high"}  # fmt: skip


def narrowed(
    density: Expression, element: ParameterRef, domain: Domain, values: Domain, names: Names, node: tree.Node
) -> tuple[Expression, Domain]:
    """The density inside its support, and the domain with the support's bounds; as they are, where the support is told
    by anything but numbers and constants. `values` is the domain of what the law gives."""
    if domain.kind not in NARROWED:
        return density, domain
    found: dict[str, list[Expression]] = {"low": [], "high": []}
    if values.kind in ("positive", "unit"):
        found["low"].append(number(0))
    if values.kind == "unit":
        found["high"].append(number(1))
    inside = _inside(density, element, found)
    if not found["low"] and not found["high"]:
        return density, domain
    low, high = _own_bounds(domain)
    ends = _extreme("max", [*low, *found["low"]], names), _extreme("min", [*high, *found["high"]], names)
    known = tuple(None if end is None else exact_value(end, names) for end in ends)
    if known[0] is not None and known[1] is not None and known[0] >= known[1]:
        raise failure("prior", f"this prior leaves no value for `{element.name}`", node)
    if ends == (low[0] if low else None, high[0] if high else None):
        return inside, domain
    return inside, Domain("interval", low=ends[0], high=ends[1])


def _own_bounds(domain: Domain) -> tuple[list[Expression], list[Expression]]:
    match domain.kind:
        case "positive":
            return [number(0)], []
        case "unit":
            return [number(0)], [number(1)]
    return [end for end in (domain.low,) if end is not None], [end for end in (domain.high,) if end is not None]


def _extreme(op: str, ends: list[Expression], names: Names) -> Expression | None:
    """The tightest of several ends: a number where all are, else an expression in constants."""
    kept: list[Expression] = []
    for end in ends:
        value = exact_value(end, names)
        if value in (float("inf"), float("-inf")) or end in kept:
            continue
        kept.append(end)
    if not kept:
        return None
    values = [exact_value(end, names) for end in kept]
    known = [value for value in values if value is not None]
    if len(known) == len(kept):
        return kept[known.index(max(known) if op == "max" else min(known))]
    total = kept[0]
    for end in kept[1:]:
        total = Apply(op, (total, end))
    return total


def _inside(density: Expression, element: ParameterRef, found: dict[str, list[Expression]]) -> Expression:
    """The density with its addends `where(support, yes, -inf)` replaced by `yes`; the bounds go to `found`."""
    match density:
        case Apply("+" as op, (left, right)):
            return Apply(op, (_inside(left, element, found), _inside(right, element, found)))
        case Apply("-" as op, (left, right)):
            return Apply(op, (_inside(left, element, found), right))
        case Apply("where", (condition, yes, no)) if no == MINUS_INFINITY:
            bounds = list(_bounds(condition, element))
            if bounds and None not in bounds:
                for bound in bounds:
                    assert bound is not None
                    found[bound[0]].append(bound[1])
                return yes
    return density


def _bounds(condition: Expression, element: ParameterRef) -> Iterator[tuple[str, Expression] | None]:
    """The bounds of a conjunction of comparisons, None for one that is no bound."""
    match condition:
        case Apply("and", (left, right)):
            yield from _bounds(left, element)
            yield from _bounds(right, element)
        case Apply(op, (left, right)) if (op, True) in _SIDES and element in (left, right):
            other = right if left == element else left
            yield (_SIDES[op, left == element], other) if _known(other) else None
        case Number(value) if value != 0:
            return
        case _:
            yield None


def _known(bound: Any) -> bool:
    return not any(isinstance(node, ParameterRef | BinderRef) for node in walk(bound))
