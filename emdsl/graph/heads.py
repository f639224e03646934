"""Heads of variables: plate, axes and values, told by the statement that declares them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from emdsl.families.categorical import FINITE
from emdsl.families.family import BINARY, Support, Value
from emdsl.graph import functions
from emdsl.graph.cases import label_set_of
from emdsl.graph.counts import counted
from emdsl.graph.domains import domain_of
from emdsl.graph.expressions import is_word, resolve
from emdsl.graph.failures import failure
from emdsl.graph.intervals import narrowed, window
from emdsl.graph.laws import support
from emdsl.graph.names import Names, Scope, VariableHead, VariableStatement
from emdsl.graph.values import Pair, scalar
from emdsl.ir.expressions import Binder
from emdsl.ir.model import Domain, Kind
from emdsl.syntax import tree


def head_of(names: Names, name: str, node: VariableStatement, plate: str | None) -> VariableHead:
    """The head of a variable. A law is looked at as far as its values depend on it."""
    match node:
        case tree.InputStmt():
            domain = Domain("real") if node.domain is None else domain_of(node.domain, names)
            return VariableHead(name, "input", plate, _axes(node.axes, names), domain, node, declared_set(node, names))
        case tree.WeightStmt():
            return VariableHead(name, "weight", plate, (), Domain("real"), node)
        case tree.LatentStmt():
            return _drawn(names, name, node, plate)
        case tree.ObservedStmt():
            return _drawn(names, name, node, plate) if node.law is not None else _mapped(names, node, plate)
        case tree.PlateStmt():
            raise failure("kind", f"`{name}` is a plate", node)


def declared_set(node: tree.InputStmt | tree.LatentStmt | tree.ObservedStmt, names: Names) -> str | None:
    """The index set that `: idx` says; `binary` is that of 0 and 1."""
    if node.domain is None:
        return None
    if node.domain.name in names.index_sets:
        return node.domain.name
    return BINARY if node.domain.name == "binary" else None


def statement_scope(
    node: tree.LatentStmt | tree.ObservedStmt, plate: str | None, names: Names
) -> tuple[Scope, tuple[Binder, ...]]:
    """The scope of a statement's right side, and the bound indices of its axes."""
    bound = tuple(functions.bind(axis, names) for axis in node.axes)
    scope = names.scope_of(plate).bind(*bound)
    owner = node.names[0]
    scope = Scope(plate, scope.binders, owner=owner, declared=declared_set(node, names))
    return scope, tuple(binder for _, binder in bound)


def _axes(axes: Sequence[tree.AxisBinder], names: Names) -> tuple[str, ...]:
    return tuple(names.index_set(axis.index_set, axis) for axis in axes)


def first_law(law: tree.Law | tree.ChainLaw) -> tree.Law:
    """The law of a chain's first unit, which says its values; any other law itself."""
    return law.first if isinstance(law, tree.ChainLaw) else law


def _drawn(names: Names, name: str, node: tree.LatentStmt | tree.ObservedStmt, plate: str | None) -> VariableHead:
    assert node.law is not None
    scope, _ = statement_scope(node, plate, names)
    found = support(first_law(node.law), scope, names)
    drawn = node.names
    domain = found.domain
    if node.domain is not None:
        written = domain_of(node.domain, names)
        if (written.kind == "finite") != (domain.kind == "finite"):
            raise failure(
                "index-set", f"the law of `{name}` gives {_of(domain)}, not values of `{node.domain.name}`", node.domain
            )
    kind: Kind = "latent" if isinstance(node, tree.LatentStmt) else "observed"
    inside = window(node, scope, names) if isinstance(node, tree.LatentStmt) else None
    if inside is not None:
        found = replace(found, domain=narrowed(found.domain, inside, names))
    found = counted(found, name, node, names)
    sets = _value_sets(found, drawn, scope.declared, node, names)
    return VariableHead(
        name, kind, plate, _axes(node.axes, names), found.domain, node,
        sets[drawn.index(name)], found.genotype, found.hidden, drawn if len(drawn) > 1 else (),
    )  # fmt: skip


def _of(domain: Domain) -> str:
    return "labels" if domain.kind == "finite" else "numbers"


def _value_sets(
    found: Support, drawn: tuple[str, ...], declared: str | None, node: tree.Node, names: Names
) -> tuple[str | None, ...]:
    """The index set of each variable that is drawn (None: numbers)."""
    if len(drawn) > 1 or found.joint:
        if len(found.joint) != len(drawn):
            count = len(found.joint) or 1
            raise failure("law", f"the law draws {count} value{'s' * (count > 1)}, for {len(drawn)} names", node)
        return found.joint
    if found.domain.kind != "finite":
        return (None,)
    if declared is not None and found.values is not None and declared != found.values:
        if names.static_labels(declared) != names.static_labels(found.values) or BINARY not in (declared, found.values):
            raise failure(
                "index-set", f"the law of `{drawn[0]}` gives labels of `{found.values}`, not of `{declared}`", node
            )
        return (found.values,)
    if declared is None and found.values is None:
        raise failure(
            "no-index-set",
            f"nothing says which labels `{drawn[0]}` takes",
            node,
            f"{drawn[0]} : level, with index level = levels",
        )
    return (found.values or declared,)


def _mapped(names: Names, node: tree.ObservedStmt, plate: str | None) -> VariableHead:
    axes = _axes(node.axes, names)
    value = map_value(node, statement_scope(node, plate, names)[0], names)
    if isinstance(value, Pair):
        return VariableHead(node.name, "observed", plate, axes, FINITE, node, value.labels, genotype=True)
    domain = Domain("real") if value.labels is None else FINITE
    return VariableHead(node.name, "observed", plate, axes, domain, node, value.labels)


def map_value(node: tree.ObservedStmt, scope: Scope, names: Names) -> Value | Pair:
    """The value of `observed y = value`: a number, a label (of `: idx` or of the set that it implies) or a pair."""
    assert node.value is not None
    expect = label_set_of(node.value, scope, names, is_word) if isinstance(node.value, tree.Case) else scope.declared
    value = resolve(node.value, scope, names, expect)
    if isinstance(value, Value):
        scalar(value, node.value)
    return value
