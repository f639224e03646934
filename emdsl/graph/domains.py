"""Domains as written to domains of the graph."""

from __future__ import annotations

from typing import cast

from emdsl.families.family import Value
from emdsl.graph.constants import exact_value
from emdsl.graph.expressions import number
from emdsl.graph.failures import Consequence, failure, unknown
from emdsl.graph.names import Names, Scope
from emdsl.graph.values import scalar
from emdsl.ir.expressions import Expression
from emdsl.ir.model import Domain, DomainKind
from emdsl.syntax import tree

#: Domains without arguments; those of data only come last.
PLAIN = ("real", "positive", "unit", "integer", "natural")
ARRAYS = ("simplex", "contrast", "ordered", "covariance", "correlation")
#: Domains of parameters.
OF_PARAMETERS = ("real", "positive", "unit", "interval", *ARRAYS)


def domain_of(node: tree.DomainExpr, names: Names) -> Domain:
    """The domain; `binary`, the numbers 0 and 1, is finite, and so are the names of index sets."""
    name = node.name
    if name in names.index_sets or name == "binary":
        return Domain("finite")
    if name in PLAIN:
        if node.arguments or node.axes:
            raise failure("domain", f"the domain `{name}` takes nothing in brackets", node, name)
        return Domain(cast(DomainKind, name))
    if name == "interval":
        if len(node.arguments) != 2:
            raise failure("domain", "an interval has two ends", node, "interval(0, 1)")
        return _interval(node, names)
    if name in ARRAYS:
        return _array(node, names)
    if name in names.failed:
        raise Consequence(name, node)
    message = f"there is no domain or index set `{name}`"
    raise unknown("unknown-domain", message, name, (*PLAIN, "interval", *ARRAYS, *names.index_sets), node)


def _interval(node: tree.DomainExpr, names: Names) -> Domain:
    low, high = (_end(argument, names) for argument in node.arguments)
    ends = exact_value(low, names), exact_value(high, names)
    if ends[0] is not None and ends[1] is not None and ends[0] >= ends[1]:
        raise failure("domain", f"the interval is empty: {ends[0]} is not below {ends[1]}", node)
    return Domain("interval", low=low, high=high)


def _end(node: tree.Expr, names: Names) -> Expression:
    value: Value = number(node, Scope(locals={}), names)
    return scalar(value, node)


def _array(node: tree.DomainExpr, names: Names) -> Domain:
    name = node.name
    most = 1 if name != "simplex" else len(node.axes)
    if node.arguments or not node.axes or len(node.axes) > most:
        raise failure("domain", f"the domain `{name}` is over one index set", node, f"{name}[idx]")
    axes = tuple(names.index_set(axis.index_set, axis) for axis in node.axes)
    return Domain(cast(DomainKind, name), axes)
