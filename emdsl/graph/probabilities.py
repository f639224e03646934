"""`{label: probability}`: a simplex over the index set of its labels, whose sum is checked."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

from emdsl.diagnostics.errors import EmmError
from emdsl.families.family import Value
from emdsl.graph.cases import Resolver
from emdsl.graph.constants import exact_value
from emdsl.graph.failures import failure
from emdsl.graph.names import Names, Scope
from emdsl.graph.patterns import ANY
from emdsl.graph.values import scalar
from emdsl.ir.arithmetic import ZERO, apply, choose
from emdsl.ir.expressions import (
    Apply,
    Arm,
    BinderRef,
    ConstantRef,
    Expression,
    LabelPattern,
    Number,
    ParameterRef,
    Tabulate,
    VariableRef,
    walk,
)
from emdsl.syntax import tree
from emdsl.syntax.printer import print_expr, print_label


def probabilities(node: tree.Probabilities, scope: Scope, names: Names, resolve: Resolver) -> Value:
    """`{a: 1/2, b: theta/4}`; labels of the index set that are left out have probability 0."""
    labels = tuple(entry.label for entry in node.entries)
    twice = next((entry for i, entry in enumerate(node.entries) if entry.label in labels[:i]), None)
    if twice is not None:
        raise failure("duplicate-label", f"the label `{twice.label}` stands twice", twice)
    if scope.declared is not None:
        index_set = scope.declared
        for entry in node.entries:
            names.check_label(entry.label, index_set, entry)
    else:
        index_set = names.label_set(labels, scope.owner, node)
    inner = replace(scope, declared=None)
    binder = names.fresh(index_set, index_set)
    if names.shapes_only:  # the probabilities may look at the variable's own value before
        return Value(Tabulate((binder,), ZERO), (index_set,), "simplex", event=1)
    values = [scalar(resolve(entry.value, inner, names, None), entry.value) for entry in node.entries]
    _check_sum(node, values, names)
    arms = [Arm(((LabelPattern((label,)),),), value) for label, value in zip(labels, values, strict=True)]
    if set(names.static_labels(index_set) or ()) != set(labels):
        arms.append(Arm(((ANY,),), ZERO))
    return Value(Tabulate((binder,), choose((BinderRef(binder),), tuple(arms))), (index_set,), "simplex", event=1)


# --- their sum --------------------------------------------------------------------------------------------------------

#: Points at which a sum of expressions is looked at. Polynomials that are 1 at three random points are 1.
POINTS = 3


def _check_sum(node: tree.Probabilities, values: Sequence[Expression], names: Names) -> None:
    """Raise if the probabilities do not sum to 1, whatever the parameters are; where that cannot be told, pass."""
    for entry, value in zip(node.entries, values, strict=True):
        known = exact_value(value, names)
        if known is not None and not 0 <= known <= 1:
            raise failure("probabilities", f"{known} is no probability", entry)
    unknowns = _unknowns(values, names)
    if unknowns is None:
        return
    generator = random.Random(1)
    for _ in range(POINTS if unknowns else 1):
        point = {unknown: Fraction(generator.randint(1, 96), 97) for unknown in unknowns}
        found = [_at(value, point, names) for value in values]
        if any(value is None for value in found):
            return
        total = sum((value for value in found if value is not None), Fraction(0))
        if total != 1:
            raise _wrong_sum(node, total, bool(unknowns))


def _wrong_sum(node: tree.Probabilities, total: Fraction, unknown: bool) -> EmmError:
    if unknown:
        last, others = node.entries[-1], " + ".join(print_expr(entry.value) for entry in node.entries[:-1])
        message = "the probabilities do not sum to 1 for all values of what they depend on"
        return failure("probabilities", message, node, f"{print_label(last.label)}: 1 - ({others})")
    shown = ", ".join(f"{print_label(entry.label)}: ({print_expr(entry.value)})/({total})" for entry in node.entries)
    return failure("probabilities", f"the probabilities sum to {total}, not to 1", node, f"{{{shown}}}")


def _unknowns(values: Sequence[Expression], names: Names) -> tuple[Expression, ...] | None:
    """What the probabilities depend on, if they are free of each other; None where elements of a simplex take part."""
    simplexes = {name for name, head in names.parameters.items() if head.domain.kind == "simplex"}
    found: dict[Expression, None] = {}
    for value in values:
        for item in walk(value):
            if isinstance(item, ParameterRef) and item.name in simplexes:
                return None
            if isinstance(item, ParameterRef | VariableRef | BinderRef):
                found[item] = None
    return tuple(found)


def _at(value: Expression, point: Mapping[Expression, Fraction], names: Names) -> Fraction | None:
    """The exact value at a point, of an expression of sums, products, quotients and powers."""
    if value in point:
        return point[value]
    match value:
        case Number(Fraction() as known):
            return known
        case ConstantRef(_, ()):
            constant = exact_value(value, names)
            return constant if isinstance(constant, Fraction) else None
        case Apply("+" | "-" | "*" | "/" | "^" | "neg" as op, args):
            parts = [_at(arg, point, names) for arg in args]
            if any(part is None for part in parts):
                return None
            if op == "/" and parts[1] == 0:
                return None
            result = apply(op, *(Number(part) for part in parts if part is not None))
            return result.value if isinstance(result, Number) and isinstance(result.value, Fraction) else None
        case _:
            return None
