"""Hidden numbers that are summed over one grid of values, the same for every unit, as a finite variable is.

The trapezoidal rule converges faster than any power of its step for smooth laws that vanish at both ends (Trefethen and
Weideman 2014). With one grid for all units, log-densities are tables by value, as with any finite hidden variable, and
whatever finite variables can do (be nested, be tied along a chain, select laws) a number on a grid can.

A fixed normal law has its nodes once and for all. A normal law with parameters is standardised: the number is
`mean + sd*e` and the nodes are those of e. Any other law, and that of a chain, has nodes laid where the posterior is
(for chains Kitagawa 1987).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from emdsl.derive.expressions import fold, has_parameters
from emdsl.derive.integrals import components, own_pieces
from emdsl.derive.pieces import Derived
from emdsl.derive.share_nodes import OF_SHARES, check_shares, with_share_nodes
from emdsl.derive.shares import no_plan, why_open
from emdsl.derive.standardising import normal_law
from emdsl.ir.degrees import degree
from emdsl.ir.derivation import Placing
from emdsl.ir.expressions import Apply, ConstantRef, Expression, VariableRef, number, rewrite, walk
from emdsl.ir.grids import index_set_of, weights_of
from emdsl.ir.latents import is_shares
from emdsl.ir.model import Constant, Domain, Factor, IndexSet, Model, Range, Variable

#: Scalars of these domains have a scale on which nodes can be laid: themselves, their logarithm, their logit.
_SCALES = frozenset({"real", "positive", "unit"})


@dataclass(frozen=True)
class OnGrid:
    """A hidden variable that is summed over a grid. `value` is what it is where its name stands for the standardised
    number e.
    """

    name: str
    placing: Placing
    value: Expression | None = None


def on_grids(model: Model) -> tuple[OnGrid, ...]:
    """The hidden variables that are summed over a grid."""
    return tuple(item for names in components(model) for item in _on_grid(names, model))


def _on_grid(names: tuple[str, ...], model: Model) -> tuple[OnGrid, ...]:
    if any(not _is_scalar(model.variable(name)) for name in names):
        return ()
    looking = [factor for factor in model.factors if _refers(factor, names)]
    if len(names) == 1 and _fixed_normal(names[0], looking):
        return (OnGrid(names[0], "fixed"),)
    lag = max(n.lag for f in looking for n in walk(f) if isinstance(n, VariableRef) and n.name in names)
    if lag:
        return (OnGrid(names[0], "laid"),) if lag == 1 and _is_chain_for_nodes(names, looking, model) else ()
    if not _finite_inside(names, looking, model):
        return ()
    return tuple(_placed(name, looking, model) for name in names)


def _is_scalar(variable: Variable) -> bool:
    return variable.plate is not None and not variable.axes and variable.domain.kind in _SCALES


def _refers(part: object, names: tuple[str, ...]) -> bool:
    return any(isinstance(node, VariableRef) and node.name in names for node in walk(part))


# --- which ------------------------------------------------------------------------------------------------------------


def _fixed_normal(name: str, looking: list[Factor]) -> bool:
    if any(isinstance(n, VariableRef) and n.name == name and n.lag for f in looking for n in walk(f)):
        return False
    own = _own(name, looking)
    if len(own) != 1 or not _is_fixed(own[0], name):
        return False
    hidden = frozenset({name})
    return max(degree(b.log_density, hidden) for factor in looking for b in factor.branches) > 2


def _own(name: str, looking: list[Factor]) -> list[Factor]:
    return [factor for factor in looking if factor.target is not None and factor.target.name == name]


def _is_fixed(factor: Factor, name: str) -> bool:
    """Whether a law depends on nothing but its own variable, and is normal in it."""
    if len(factor.branches) != 1 or factor.branches[0].guards or factor.when != "always":
        return False
    log_density = factor.branches[0].log_density
    others = any(isinstance(n, VariableRef) and n.name != name for n in walk(log_density))
    return not others and not has_parameters(log_density) and degree(log_density, frozenset({name})) == 2


def _is_chain_for_nodes(names: tuple[str, ...], looking: list[Factor], model: Model) -> bool:
    """Whether one number along a chain, tied to no other, is not jointly normal: by its laws, or as something finite is
    hidden along the chain that they look at.
    """
    if len(names) != 1 or any(factor.around for factor in looking):
        return False
    (name,) = names
    plate = model.variable(name).plate
    if any(factor.when == "always" for factor in _own(name, looking)):
        return False
    hidden = frozenset(names)
    smooth = max(degree(branch.log_density, hidden) for factor in looking for branch in factor.branches) <= 2
    real = model.variable(name).domain.kind == "real"
    beside = any(_depth(other.plate, model) >= _depth(plate, model) for other in _finite(looking, model))
    return beside or not (smooth and real)


def _finite_inside(names: tuple[str, ...], looking: list[Factor], model: Model) -> bool:
    """Whether the laws of these numbers look at something finite that is hidden in a plate inside one of theirs."""
    outermost = min(_depth(model.variable(name).plate, model) for name in names)
    return any(_depth(other.plate, model) > outermost for other in _finite(looking, model))


def _finite(looking: list[Factor], model: Model) -> list[Variable]:
    names = {node.name for factor in looking for node in walk(factor) if isinstance(node, VariableRef)}
    found = [v for v in model.variables if v.name in names and v.kind == "latent" and v.values is not None]
    return [variable for variable in found if variable.plate is not None]


def _depth(plate: str | None, model: Model) -> int:
    return [item.name for item in model.plates].index(plate) if plate is not None else -1


def _placed(name: str, looking: list[Factor], model: Model) -> OnGrid:
    own = _own(name, looking)
    if len(own) == 1 and len(own[0].branches) == 1 and not own[0].branches[0].guards and own[0].target is not None:
        law = normal_law(own[0].branches[0].log_density, own[0].target, model)
        if law is not None:
            e = VariableRef(name)
            return OnGrid(name, "standard", fold(Apply("+", (law.mean, Apply("*", (law.sd, e))))))
    return OnGrid(name, "laid")


def on_share_nodes(model: Model, pieces: Sequence[Derived], *, drawn: bool) -> tuple[OnGrid, ...]:
    """Hidden shares without a closed integral, and the numbers that laws tie to them; `pieces` are those of the model
    as it is. Raises `no-closed-shares` where no nodes take them.
    """
    found: list[OnGrid] = []
    for names in components(model):
        own_shares = [name for name in names if is_shares(model.variable(name), model)]
        why = own_shares and why_open(names, own_pieces(names, model, pieces), model, pieces)
        if not why:
            continue
        looking = [factor for factor in model.factors if _refers(factor, names)]
        check_shares(own_shares, why, looking, model)
        for name in names:
            if name in own_shares:
                found.append(OnGrid(name, "draws" if drawn else "shares"))
            elif _is_scalar(model.variable(name)) and not drawn:
                found.append(_placed(name, looking, model))
            else:
                how = "no draws are made of numbers beside shares" if drawn else "no grid takes the other"
                raise no_plan(own_shares[0], f"{why}, and {how}: `{name}`")
    return tuple(found)


# --- the model with them ----------------------------------------------------------------------------------------------


def with_grids(model: Model, grids: tuple[OnGrid, ...]) -> Model:
    """The model with these variables finite: their values are the nodes, their laws have the weight of a node."""
    model = with_share_nodes(model, {item.name: item.placing for item in grids if item.placing in OF_SHARES})
    grids = tuple(item for item in grids if item.placing not in OF_SHARES)
    names = [item.name for item in grids]
    variables = tuple(
        replace(v, domain=Domain("finite"), values=index_set_of(v.name)) if v.name in names else v
        for v in model.variables
    )
    sets = tuple(IndexSet(index_set_of(name), Range(number(0), number(0))) for name in names)
    weights = tuple(Constant(weights_of(name), (index_set_of(name),)) for name in names)
    values = values_of(grids)
    factors = tuple(_weighted(factor, {item.name: item for item in grids}, values) for factor in model.factors)
    return replace(
        model, variables=variables, index_sets=model.index_sets + sets, constants=model.constants + weights,
        factors=factors,
    )  # fmt: skip


def values_of(grids: tuple[OnGrid, ...]) -> dict[str, Expression]:
    """What each standardised variable is, over the standardised numbers alone: its mean may look at another one."""
    values = {item.name: item.value for item in grids if item.value is not None}
    done: dict[str, Expression] = {}

    def value(name: str) -> Expression:
        if name not in done:
            own = VariableRef(name)
            done[name] = rewrite(
                values[name],
                lambda n: value(n.name) if isinstance(n, VariableRef) and n.name in values and n != own else n,
            )
        return done[name]

    for name in values:
        value(name)
    return done


def _weighted(factor: Factor, grids: dict[str, OnGrid], values: dict[str, Expression]) -> Factor:
    """The factor over the nodes: with the weight of a node where it is a number's own law."""
    own = grids.get(factor.target.name) if factor.target is not None else None
    if own is not None and own.placing == "standard":
        assert factor.target is not None
        e = factor.target
        square = Apply("/", (Apply("^", (e, number(2))), number(2)))
        normal = Apply("-", (Apply("neg", (square,)), Apply("/", (_log_two_pi(), number(2)))))
        branches = tuple(replace(b, log_density=_times_weight(normal, e)) for b in factor.branches)
        return replace(factor, branches=branches)
    branches = rewrite(
        factor.branches, lambda n: values[n.name] if isinstance(n, VariableRef) and n.name in values else n
    )
    if own is not None:
        assert factor.target is not None
        branches = tuple(replace(b, log_density=_times_weight(b.log_density, factor.target)) for b in branches)
    return replace(factor, branches=branches)


def _log_two_pi() -> Expression:
    return Apply("log", (number(6.283185307179586),))


def _times_weight(log_density: Expression, node: VariableRef) -> Expression:
    return Apply("+", (log_density, Apply("log", (ConstantRef(weights_of(node.name), (node,)),))))
