"""Checks of the whole graph: cycles, what is never used, levels without a column, orders that change the likelihood."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from emdsl.diagnostics.errors import EmmError
from emdsl.graph.failures import failure
from emdsl.graph.names import Names
from emdsl.ir.cuts import cut_points
from emdsl.ir.expressions import (
    Apply,
    BinderRef,
    Choose,
    ConstantRef,
    Label,
    ParameterRef,
    VariableRef,
    walk,
)
from emdsl.ir.model import Factor, Guard, IndexSet, Levels, Map, Model, Order
from emdsl.syntax import tree


def check_cycles(model: Model, names: Names) -> Iterator[EmmError]:
    """A variable may not depend on itself at the same unit."""
    parents = _parents((*model.factors, *model.maps))
    done: set[str] = set()
    for name in parents:
        trail = _cycle(name, parents, done, ())
        if trail is not None:
            owner = trail[0].partition(".")[0]
            node = names.variables[owner][0]
            yield failure("cycle", f"variables depend on each other in a circle: {' -> '.join(trail)}", node)
            return


def _parents(items: Iterable[Factor | Map]) -> dict[str, set[str]]:
    """For each variable drawn the others that its law looks at, at the same unit."""
    parents: dict[str, set[str]] = {}
    for item in items:
        if item.target is None:
            continue
        here = {node.name for node in walk(item) if isinstance(node, VariableRef) and not node.lag}
        parents.setdefault(item.target.name, set()).update(here - {item.target.name})
    return parents


def _cycle(
    name: str, parents: Mapping[str, set[str]], done: set[str], trail: tuple[str, ...]
) -> tuple[str, ...] | None:
    if name in trail:
        return (*trail[trail.index(name) :], name)
    if name in done or name not in parents:
        return None
    for parent in sorted(parents[name]):
        found = _cycle(parent, parents, done, (*trail, name))
        if found is not None:
            return found
    done.add(name)
    return None


# --- what is never used -----------------------------------------------------------------------------------------------


def unused(model: Model, names: Names) -> Iterator[str]:
    """Warnings: latent variables that nothing depends on, parameters that no law mentions."""
    drawn: tuple[Factor | Map, ...] = (*model.factors, *model.maps)
    looked_at = {
        node.name
        for item in drawn
        for node in walk(item)
        if isinstance(node, VariableRef) and (item.target is None or node.name != item.target.name)
    }
    for variable in model.variables:
        seen = {variable.name, *variable.components} & looked_at
        node = names.variables.get(variable.name)
        if variable.kind == "latent" and node is not None and not seen and not set(variable.joint) & looked_at:
            yield f"line {node[0].span.line}: nothing depends on the latent variable {variable.name}"
    mentioned = {node.name for item in drawn for node in walk(item) if isinstance(node, ParameterRef)}
    priors = [(parameter.name, parameter.prior) for parameter in model.parameters if parameter.prior is not None]
    growing = True
    while growing:  # a parameter of the prior of a parameter that is used is used
        more = {
            node.name
            for name, prior in priors
            if name in mentioned
            for node in walk(prior)
            if isinstance(node, ParameterRef)
        }
        growing = not more <= mentioned
        mentioned |= more
    for parameter in model.parameters:
        if parameter.name not in mentioned:
            line = names.parameters[parameter.name].declaration.span.line
            yield f"line {line}: the parameter {parameter.name} is never used, so nothing estimates it"


# --- index sets -------------------------------------------------------------------------------------------------------


def check_levels(index_set: IndexSet, node: tree.Node) -> Iterator[EmmError]:
    """Levels need a column to be read from."""
    source = index_set.source
    if isinstance(source, Levels) and not source.columns and not source.variables:
        yield failure(
            "levels-without-column",
            f"no column takes values in `{index_set.name}`, so its levels cannot be read",
            node,
            f"index {index_set.name} = levels(column)",
        )


# --- cut points -------------------------------------------------------------------------------------------------------


def check_cuts(model: Model, names: Names) -> Iterator[EmmError]:
    """An ordered variable has one cut point fewer than levels; where only the data know, they are counted later."""
    for cuts in cut_points(model):
        labels, levels = names.static_labels(cuts.axis), names.static_labels(cuts.levels)
        if labels is not None and levels is not None and (wrong := cuts.message(len(labels), len(levels))):
            yield failure("cut-points", wrong, names.variables[cuts.variable][0], cuts.help(len(levels)))


# --- order ------------------------------------------------------------------------------------------------------------


def check_order(order: Order, model: Model, node: tree.Node) -> Iterator[EmmError]:
    """Relabelling must leave the likelihood as it is: no label of the index set may be singled out in the model."""
    singled = _singled_out(order.index_set, model)
    if singled is not None:
        yield failure(
            "order",
            f"`{order.index_set}` cannot be reordered: {singled}, so its labels have a meaning",
            node,
            f"leave out `order {order.text}`",
        )


def _singled_out(index_set: str, model: Model) -> str | None:
    values = {variable.name: variable.values for variable in model.variables}
    tables = {constant.name for constant in model.constants if index_set in (*constant.axes, constant.labels_of)}
    seen = [variable for variable in model.variables if variable.kind != "latent"]
    observed = next((v.name for v in seen if v.values == index_set or index_set in v.axes), None)
    if observed is not None:
        return f"the data name its labels, in `{observed}`"
    priors = [parameter.prior for parameter in model.parameters if parameter.prior is not None]
    zeros = [p.only for p in model.parameters if p.only is not None and index_set in p.array_axes]
    if zeros:
        return "a parameter has structural zeros in it"
    ordered = next(
        (p.name for p in model.parameters if p.domain.kind == "ordered" and index_set in p.domain.axes), None
    )
    if ordered is not None:
        return f"`{ordered}` is ordered by it"
    for item in (*model.factors, *model.maps, *priors):
        for node in walk(item):
            match node:
                case Label(owner, label) if owner == index_set:
                    return f"the model singles out `{label}`"
                case Guard(VariableRef(name), labels) if values.get(name) == index_set and (labels or node.position):
                    return "a case singles out some of its labels"
                case Choose(subjects) if any(_is_in(subject, index_set, values) for subject in subjects):
                    return "a case singles out some of its labels"
                case ConstantRef(name) if name in tables:
                    return f"the constant `{name}` depends on it"
                case Apply(_, args) if any(_is_in(arg, index_set, values) for arg in args) and node.op not in (
                    "==",
                    "!=",
                ):
                    return "its labels are used as numbers"
    return None


def _is_in(node: object, index_set: str, values: Mapping[str, str | None]) -> bool:
    match node:
        case VariableRef(name, ()):
            return values.get(name) == index_set
        case BinderRef(binder):
            return binder.index_set == index_set
        case _:
            return False
