"""Elements of array-valued expressions: partial references, `Tabulate`, and choices of these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from emdsl.ir.arithmetic import apply, choose
from emdsl.ir.expressions import (
    Apply,
    Arm,
    Binder,
    BinderRef,
    Choose,
    ConstantRef,
    Expression,
    ParameterRef,
    Tabulate,
    VariableRef,
    rewrite,
)


def element(array: Expression, indices: tuple[Expression, ...]) -> Expression:
    """The element (or, with fewer indices than axes, the slice) of an array-valued expression.

    Raises TypeError for an expression that is no array.
    """
    if not indices:
        return array
    match array:
        case ParameterRef() | ConstantRef() | VariableRef():
            return replace(array, indices=array.indices + indices)
        case Tabulate(binders, body):
            taken, rest = binders[: len(indices)], binders[len(indices) :]
            chosen = substitute(body, dict(zip(taken, indices, strict=False)))
            if rest:
                return Tabulate(rest, chosen)
            return element(chosen, indices[len(taken) :])
        case Choose(subjects, arms):
            return Choose(subjects, tuple(Arm(arm.alternatives, element(arm.value, indices)) for arm in arms))
        case _:
            raise TypeError(f"no array: {type(array).__name__}")


def substitute(expression: Any, values: Mapping[Binder, Expression]) -> Any:
    """The expression with the bound indices replaced; choices that are thereby decided are made."""

    def rule(node: Any) -> Any:
        match node:
            case BinderRef(binder) if binder in values:
                return values[binder]
            case Choose(subjects, arms):
                return choose(subjects, arms)
            case Apply(("==" | "!=") as op, args):
                return apply(op, *args)
            case _:
                return node

    return rewrite(expression, rule)


def lift_choice(value: Choose, wrap: Any) -> Expression:
    """`wrap` applied to every value of the choice: `mu[case v: a -> x; b -> y]` is `case v: a -> mu[x]; b -> mu[y]`."""
    return Choose(value.subjects, tuple(Arm(arm.alternatives, wrap(arm.value)) for arm in value.arms))
