"""Hidden numbers with a fixed normal law of their own: summed over one grid of values, the same for every unit.

The trapezoidal rule converges faster than any power of its step for smooth laws that vanish at both ends (Trefethen and
Weideman 2014). With one grid for all units, log-densities are tables by value, as with any finite hidden variable.
"""

from __future__ import annotations

from dataclasses import replace

from emdsl.derive.expressions import has_parameters
from emdsl.derive.integrals import components
from emdsl.ir.degrees import degree
from emdsl.ir.expressions import Apply, ConstantRef, VariableRef, number, walk
from emdsl.ir.grids import index_set_of, step_of
from emdsl.ir.model import Constant, Domain, Factor, IndexSet, Model, Range


def on_grids(model: Model) -> tuple[str, ...]:
    """The hidden variables that are summed over a grid."""
    return tuple(names[0] for names in components(model) if len(names) == 1 and _fixed_normal(names[0], model))


def _fixed_normal(name: str, model: Model) -> bool:
    variable = model.variable(name)
    if variable.plate is None or variable.axes or variable.domain.kind != "real":
        return False
    looking = [f for f in model.factors if any(isinstance(n, VariableRef) and n.name == name for n in walk(f))]
    if any(isinstance(n, VariableRef) and n.name == name and n.lag for f in looking for n in walk(f)):
        return False
    own = [factor for factor in looking if factor.target is not None and factor.target.name == name]
    if len(own) != 1 or not _is_fixed(own[0], name):
        return False
    hidden = frozenset({name})
    return max(degree(b.log_density, hidden) for factor in looking for b in factor.branches) > 2


def _is_fixed(factor: Factor, name: str) -> bool:
    """Whether a law depends on nothing but its own variable, and is normal in it."""
    if len(factor.branches) != 1 or factor.branches[0].guards or factor.when != "always":
        return False
    log_density = factor.branches[0].log_density
    others = any(isinstance(n, VariableRef) and n.name != name for n in walk(log_density))
    return not others and not has_parameters(log_density) and degree(log_density, frozenset({name})) == 2


def with_grids(model: Model, names: tuple[str, ...]) -> Model:
    """The model with these variables finite: their values are the nodes, their laws have the weight of a node."""
    variables = tuple(
        replace(v, domain=Domain("finite"), values=index_set_of(v.name)) if v.name in names else v
        for v in model.variables
    )
    sets = tuple(IndexSet(index_set_of(name), Range(number(0), number(0))) for name in names)
    steps = tuple(Constant(step_of(name)) for name in names)
    factors = tuple(_weighted(f) if f.target is not None and f.target.name in names else f for f in model.factors)
    return replace(
        model, variables=variables, index_sets=model.index_sets + sets, constants=model.constants + steps,
        factors=factors,
    )  # fmt: skip


def _weighted(factor: Factor) -> Factor:
    assert factor.target is not None
    (branch,) = factor.branches
    step = Apply("log", (ConstantRef(step_of(factor.target.name)),))
    return replace(factor, branches=(replace(branch, log_density=Apply("+", (branch.log_density, step))),))
