"""Hidden shares that are summed over nodes in their simplex, as a finite variable is.

The variable's values are the nodes; `p[k]` becomes the entry of a table by node and element, and `log(p[k])` that of a
table of logarithms, so that shares far below the smallest number still have a density. Of draws, which lie around the
posterior of each unit, both tables are data of the unit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from emdsl.derive.shares import no_plan
from emdsl.ir.derivation import Placing
from emdsl.ir.expressions import Apply, ConstantRef, Expression, VariableRef, number, rewrite, walk
from emdsl.ir.grids import index_set_of, log_weights_of, logs_of, values_of
from emdsl.ir.latents import event_axes
from emdsl.ir.model import Constant, Domain, Factor, IndexSet, Model, Range, Variable

#: How shares are placed.
OF_SHARES = ("shares", "draws")


def check_shares(names: Sequence[str], why: str, looking: Sequence[Factor], model: Model) -> None:
    """Raises `no-closed-shares` for shares that no nodes are laid for."""
    for name in names:
        variable = model.variable(name)
        if variable.plate is None or len(variable.axes) != 1 or event_axes(variable, model) != 1:
            raise no_plan(name, f"{why}, and nodes are laid for shares over one index set in the units of a plate")
        if any(isinstance(node, VariableRef) and node.name == name and node.lag for node in walk(tuple(looking))):
            raise no_plan(name, f"{why}, and a law looks back at them")


def with_share_nodes(model: Model, placings: Mapping[str, Placing]) -> Model:
    """The model with these shares finite variables, their laws with the weight of a node."""
    for name, placing in placings.items():
        model = _with_nodes(model, model.variable(name), drawn=placing == "draws")
    return model


def _with_nodes(model: Model, variable: Variable, *, drawn: bool) -> Model:
    name, (axis,) = variable.name, variable.axes
    nodes = index_set_of(name)
    finite = replace(variable, domain=Domain("finite"), values=nodes, axes=())
    variables = tuple(finite if v.name == name else v for v in model.variables)
    tables = {values_of(name): (nodes, axis), logs_of(name): (nodes, axis), log_weights_of(name): (nodes,)}
    constants = model.constants
    if drawn:
        kinds = {values_of(name): "unit"}
        variables += tuple(
            Variable(table, "input", variable.plate, axes, Domain(kinds.get(table, "real")))  # type: ignore[arg-type]
            for table, axes in tables.items()
        )
    else:
        constants += tuple(Constant(table, axes) for table, axes in tables.items())
    entry = VariableRef if drawn else ConstantRef
    factors = tuple(_on_nodes(factor, name, entry) for factor in model.factors)
    sets = (*model.index_sets, IndexSet(nodes, Range(number(0), number(0))))
    return replace(model, variables=variables, constants=constants, factors=factors, index_sets=sets)


def _on_nodes(factor: Factor, name: str, entry: Any) -> Factor:
    """The factor over the nodes; `entry` makes the reference to a table."""

    def change(node: Any) -> Any:
        match node:
            case VariableRef(found, indices) if found == name:
                return entry(values_of(name), (VariableRef(name), *indices))
            case Apply("log", (VariableRef(found) | ConstantRef(found) as inner,)) if found == values_of(name):
                return replace(inner, name=logs_of(name))
        return node

    branches = rewrite(factor.branches, change)
    if factor.target is not None and factor.target.name == name:
        weight: Expression = entry(log_weights_of(name), (factor.target,))
        branches = tuple(replace(b, log_density=Apply("+", (b.log_density, weight))) for b in branches)
    return replace(factor, branches=branches)
