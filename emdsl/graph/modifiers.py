"""Modifiers as written: `censored above unless event`, `truncated to (a, b)`, and the columns of `between`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from emdsl.families.family import Target
from emdsl.graph.cuts import Cutting
from emdsl.graph.expressions import number
from emdsl.graph.failures import failure
from emdsl.graph.laws import laws
from emdsl.graph.names import Names, Scope, VariableHead
from emdsl.graph.values import scalar
from emdsl.ir.expressions import (
    Apply,
    BinderRef,
    ConstantRef,
    Expression,
    Label,
    Number,
    ParameterRef,
    VariableRef,
    walk,
)
from emdsl.ir.model import ABOVE, BELOW, BETWEEN, CELL_SUFFIX, SEEN, Cut, Factor
from emdsl.syntax import tree
from emdsl.syntax.printer import print_expr, print_law

#: Arithmetic that an event may hold.
EVENT_OPERATIONS = frozenset({"==", "!=", "<", "<=", ">", ">=", "and", "or", "not", "+", "-", "*"})


@dataclass(frozen=True)
class Written:
    """The modifiers of a law, each at most once. `above` and `below` are the events of censoring."""

    above: tree.Censored | None = None
    below: tree.Censored | None = None
    truncated: tree.Truncated | None = None

    @property
    def any(self) -> bool:
        """Whether there is one."""
        return self.above is not None or self.below is not None or self.truncated is not None


def written(law: tree.Law | tree.ChainLaw) -> Written:
    """The modifiers that all branches of a law carry. Raises where they differ, or one stands twice."""
    parts = (law.first, law.after) if isinstance(law, tree.ChainLaw) else (law,)
    leaves = [leaf for part in parts for leaf in laws(part)]
    first = _of(leaves[0])
    for leaf in leaves[1:]:
        if _told(_of(leaf)) != _told(first):
            lacking = _told(first) or _told(_of(leaf))
            bare = print_law(tree.Law(leaf.call))
            raise failure(
                "modifiers", "all branches of a law carry the same modifiers", leaf, f"{bare} {' '.join(lacking)}"
            )
    return first


def _of(leaf: tree.Law) -> Written:
    found: dict[str, tree.Modifier] = {}
    for modifier in leaf.modifiers:
        match modifier:
            case tree.Censored(side):
                key: str = side
            case tree.Truncated():
                key = "truncated"
            case tree.UpTo():
                continue
        if key in found:
            raise failure("modifiers", "a law is censored on each side and truncated only once", modifier)
        found[key] = modifier
    return Written(**found)  # type: ignore[arg-type]


def _told(modifiers: Written) -> tuple[str, ...]:
    texts = []
    for censored in (modifiers.above, modifiers.below):
        if censored is not None:
            texts.append(f"censored {censored.side} unless {print_expr(censored.unless)}")
    if modifiers.truncated is not None:
        low, high = (print_expr(end) for end in (modifiers.truncated.low, modifiers.truncated.high))
        texts.append(f"truncated to ({low}, {high})")
    return tuple(texts)


@dataclass(frozen=True)
class Made:
    """What the modifiers of a statement come to: for its law, and for the data (None: every cell holds a value)."""

    cutting: Cutting
    cut: Cut | None


def cutting(
    node: tree.ObservedStmt, plate: str | None, scope: Scope, head: VariableHead, target: Target, names: Names
) -> Made | None:
    """The modifiers and bounds of a statement, resolved; None where it has none."""
    assert node.law is not None
    modifiers = written(node.law)
    if not modifiers.any and node.between is None:
        return None
    if node.between is not None and (modifiers.above is not None or modifiers.below is not None):
        raise failure(
            "modifiers", "data that lie between two bounds need no `censored`: an empty bound is open", node.law,
            "leave out `censored`",
        )  # fmt: skip
    for item in (modifiers.above, modifiers.below):
        if item is not None:
            declare_event(item, node, plate, names)
    elements = target.reference.indices
    above, below = (
        None if item is None else event(item, scope, names, elements) for item in (modifiers.above, modifiers.below)
    )
    truncated = None if modifiers.truncated is None else bounds(modifiers.truncated, scope, names)
    between = None
    kinds: tuple[str, ...] = (SEEN, *((ABOVE,) if above is not None else ()), *((BELOW,) if below is not None else ()))
    if node.between is not None:
        for name in node.between:
            _check_bound(name, node, head, names)
        low, high = (VariableRef(name, elements) for name in node.between)
        between, kinds = (low, high), (SEEN, ABOVE, BELOW, BETWEEN)
    discrete = head.domain.kind in ("natural", "integer")
    if len(kinds) == 1:
        return Made(Cutting(head.domain, truncated=truncated), None)
    cell = VariableRef(f"{head.name}{CELL_SUFFIX}", elements)
    cut = Cut(head.name, head.domain, discrete, above, below)
    return Made(Cutting(head.domain, cell, kinds, between, truncated), cut)


def _check_bound(name: str, node: tree.ObservedStmt, head: VariableHead, names: Names) -> None:
    """The columns of `between` are inputs of the variable's own plate and axes, if they are declared."""
    if name not in names.variables:
        return
    bound = names.head(name, node)
    if (bound.kind, bound.plate, bound.axes) != ("input", head.plate, head.axes) or bound.domain.kind == "finite":
        raise failure(
            "between", f"`{name}` bounds `{head.name}`, so it is a number for each `{head.name}`", node,
            f"input {name} : real",
        )  # fmt: skip


# --- events -----------------------------------------------------------------------------------------------------------


def declare_event(censored: tree.Censored, statement: tree.ObservedStmt, plate: str | None, names: Names) -> None:
    """The column of an event is an input of 0 and 1 where nothing declares it: `unless event`, or `unless seen[item]`,
    with the axes of the statement."""
    match censored.unless:
        case tree.Name(name):
            axes: tuple[tree.AxisBinder, ...] = ()
        case tree.Index(tree.Name(name)):
            axes = statement.axes
        case _:
            return
    taken = (names.variables, names.lets, names.parameters, names.constants, names.index_sets)
    if any(name in names_of for names_of in taken) or name in names.failed:
        return
    node = censored.unless
    domain = tree.DomainExpr("binary", span=node.span)
    names.variables[name] = (tree.InputStmt(name, axes, domain, span=node.span), plate)


def event(censored: tree.Censored, scope: Scope, names: Names, elements: tuple[Expression, ...]) -> Expression:
    """The event as an expression of data and constants, 1 where the value was seen."""
    node = censored.unless
    with names.drawn():  # what a cell holds may tell whether it is a bound: `unless affairs > 0`
        found = scalar(number(node, scope, names), node)
    for item in walk(found):
        if isinstance(item, ParameterRef) or (isinstance(item, VariableRef) and _is_latent(item, names)):
            what = "the parameter" if isinstance(item, ParameterRef) else "the latent variable"
            raise failure("event", f"an event is read from the data, and {what} `{item.name}` is not in them", node)
        if isinstance(item, VariableRef) and (item.lag or item.indices not in ((), elements)):
            raise failure("event", f"an event is that of the same cell: `{item.name}` belongs to another", node)
        if isinstance(item, Apply) and item.op not in EVENT_OPERATIONS:
            raise failure("event", "an event is a column of 0 and 1, or a comparison of columns", node, "status == 1")
    if not all(isinstance(item, _PLAIN) for item in _below(found)):
        raise failure("event", "an event is a column of 0 and 1, or a comparison of columns", node, "status == 1")
    return found


_PLAIN = (Apply, BinderRef, ConstantRef, Label, Number, VariableRef)


def _below(expression: Expression) -> Iterator[Expression]:
    yield expression
    if isinstance(expression, Apply):
        for arg in expression.args:
            yield from _below(arg)


def _is_latent(variable: VariableRef, names: Names) -> bool:
    return names.heads[variable.name].kind == "latent" if variable.name in names.heads else True


# --- bounds of a truncation -------------------------------------------------------------------------------------------


def bounds(truncated: tree.Truncated, scope: Scope, names: Names) -> tuple[Expression, Expression]:
    """The bounds, of constants, inputs, finite hidden variables and parameters."""
    low, high = (scalar(number(node, scope, names), node) for node in (truncated.low, truncated.high))
    return low, high


def warn_of_effects(node: tree.ObservedStmt, factors: Sequence[Factor], names: Names) -> None:
    """Truncation under a continuous latent variable truncates the law at each of its values, which a warning says."""
    assert node.law is not None
    if written(node.law).truncated is None:
        return
    own = [factor for factor in factors if factor.target is not None and factor.target.name == node.name]
    for item in walk(tuple(factor.branches for factor in own)):
        head = names.heads.get(item.name) if isinstance(item, VariableRef) else None
        if head is not None and head.kind == "latent" and head.domain.kind != "finite":
            names.warn(node, f"{node.name} is truncated at each value of {head.name}, not on the whole")
            return
