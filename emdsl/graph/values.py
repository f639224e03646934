"""Kinds of value: numbers, labels, arrays, genotypes; indexing them and computing with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from emdsl.families.family import BINARY, Value
from emdsl.graph.failures import failure
from emdsl.graph.known_numbers import check_defined
from emdsl.graph.names import Names
from emdsl.ir.arithmetic import apply
from emdsl.ir.arrays import element, lift_choice
from emdsl.ir.expressions import Arm, BinderRef, Choose, Expression, Tabulate
from emdsl.syntax import tree
from emdsl.syntax.printer import print_expr


@dataclass(frozen=True)
class Pair:
    """An unordered genotype: two label-valued expressions over one index set. `axes` as in `Value`."""

    one: Expression
    two: Expression
    labels: str
    axes: tuple[str, ...] = ()


def scalar(value: Value | Pair, node: tree.Expr) -> Expression:
    """The expression of a value that must be a single number or label."""
    if isinstance(value, Pair):
        text = print_expr(node)
        raise failure("kind", f"`{text}` is a genotype, not a number", node, f"copies({text}, A), or a `case`")
    if value.axes:
        text, axes = print_expr(node), ", ".join(value.axes)
        indexed = f"{text[:-1]}, {axes}]" if isinstance(node, tree.Index) else f"{text}[{axes}]"
        raise failure("indices", f"`{text}` is an array over {axes}, not a single value", node, indexed)
    return value.expression


def fits(value: Value, index_set: str, names: Names) -> bool:
    """Whether the value is a label of the index set (a Bernoulli variable is one of a set of the labels 0 and 1)."""
    if value.axes or value.labels is None:
        return False
    if value.labels == index_set:
        return True
    return BINARY in (value.labels, index_set) and names.static_labels(value.labels) == names.static_labels(index_set)


def at(value: Value, index: Expression) -> Value:
    """The element of an array at its first axis; an index that is a choice makes the element one."""

    def pick(chosen: Expression) -> Expression:
        if isinstance(chosen, Choose):
            return lift_choice(chosen, pick)
        return element(value.expression, (chosen,))

    axes = value.axes[1:]
    kind = value.kind if axes and len(axes) >= value.event > 0 else ("table" if axes else "number")
    return Value(pick(index), axes, kind, value.labels, value.event if kind == value.kind else 0)


def elementwise(op: str, args: tuple[Value, ...], node: tree.Expr, names: Names) -> Value:
    """An operation on numbers, or on arrays element by element (a number stands for every element)."""
    shapes = [arg.axes for arg in args if arg.axes]
    if not shapes:
        found = apply(op, *(arg.expression for arg in args))
        check_defined(found, node)
        return Value(found)
    if any(shape != shapes[0] for shape in shapes):
        shown = " and ".join(", ".join(shape) for shape in dict.fromkeys(shapes))
        raise failure("indices", f"`{print_expr(node)}` combines arrays over different index sets: {shown}", node)
    binders = tuple(names.fresh(axis, axis) for axis in shapes[0])
    indices = tuple(BinderRef(binder) for binder in binders)
    cells = (element(arg.expression, indices) if arg.axes else arg.expression for arg in args)
    return Value(Tabulate(binders, apply(op, *cells)), shapes[0], "table")


def map_choice(value: Expression, change: Callable[[Expression], Expression]) -> Expression:
    """`change` applied to the expression, or to every branch of it if it is a choice."""
    if isinstance(value, Choose):
        return Choose(value.subjects, tuple(Arm(arm.alternatives, map_choice(arm.value, change)) for arm in value.arms))
    return change(value)
