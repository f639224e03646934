"""Parameters, constants, index sets, reports and orders."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from emdsl.families.family import Support, Target, Value
from emdsl.graph import functions
from emdsl.graph.arguments import Place
from emdsl.graph.branches import lift, tidy
from emdsl.graph.domains import OF_PARAMETERS, domain_of
from emdsl.graph.expressions import let_value, number, resolve
from emdsl.graph.failures import failure
from emdsl.graph.laws import called, draws, event_axes, support
from emdsl.graph.names import Names, ParameterHead, Scope
from emdsl.graph.patterns import ANY
from emdsl.graph.prior_support import narrowed
from emdsl.graph.values import Pair, at, scalar
from emdsl.ir.arithmetic import choose
from emdsl.ir.expressions import (
    Arm,
    Binder,
    BinderRef,
    Choose,
    Expression,
    LabelPattern,
    Number,
    ParameterRef,
    VariableRef,
    walk,
)
from emdsl.ir.model import Branch, Domain, Guard, Order, Parameter, Prior, Report
from emdsl.syntax import tree
from emdsl.syntax.printer import print_expr, print_law


def parameter_head(node: tree.ParamDecl, names: Names) -> ParameterHead:
    """Shape and domain."""
    axes = tuple(names.index_set(axis.index_set, axis) for axis in node.axes)
    domain = domain_of(node.domain, names)
    if domain.kind not in OF_PARAMETERS:
        raise failure(
            "domain",
            f"`{node.domain.name}` is a domain of data, not of parameters",
            node.domain,
            "real, positive or unit",
        )
    return ParameterHead(axes, domain, node)


def parameter(head: ParameterHead, names: Names) -> Parameter:
    """A parameter with its prior, starting value and structural zeros."""
    node = head.declaration
    prior, domain = _prior(head, names) if node.prior is not None else (None, head.domain)
    return Parameter(
        node.name,
        head.axes,
        domain,
        prior,
        *_init(head, names),
        *_only(head, names),
        description=node.description,
    )


def _element_scope(head: ParameterHead, names: Names) -> tuple[Scope, tuple[Binder, ...]]:
    """A scope in which the axes' elements are bound, and the bound indices of all array axes."""
    node = head.declaration
    axes = (*node.axes, *node.domain.axes)
    if head.domain.kind in ("covariance", "correlation"):
        axes = (*axes, *node.domain.axes)
    bound = tuple(functions.bind(axis, names) for axis in axes)
    return Scope(owner=node.name).bind(*reversed(bound)), tuple(binder for _, binder in bound)


# --- priors -----------------------------------------------------------------------------------------------------------

#: The domains of parameters that a law with this support can be a prior of.
PRIOR_OF = {
    "real": ("real", "positive", "unit", "interval", "contrast", "ordered", "correlation"),
    "positive": ("positive", "unit", "interval"),
    "unit": ("unit", "interval", "simplex"),
    "covariance": ("covariance",),
}


def _prior(head: ParameterHead, names: Names) -> tuple[Prior, Domain]:
    """The prior, and the domain within its support."""
    node = head.declaration
    law = node.prior
    assert law is not None
    scope, binders = _element_scope(head, names)
    width = event_axes(law, names)
    if head.domain.kind == "simplex" and width == 1:
        width = len(head.domain.axes)  # a joint simplex is one vector
    found = support(law, scope, names)
    _check_prior(head, law, width, found, names)
    outer, vector = binders[: len(binders) - width], binders[len(binders) - width :]
    element = ParameterRef(node.name, tuple(BinderRef(binder) for binder in outer))
    target = Target((element,), (None,), tuple(binder.index_set for binder in vector), names.fresh)
    (branches,) = draws(law, scope, names, target, Place(vector)).values()
    lifted = [part for branch in branches for part in lift(branch, names)]
    density = lifted[0].log_density if len(lifted) == 1 else _as_choice(lifted)
    variable = next((item for item in walk(density) if isinstance(item, VariableRef)), None)
    if variable is not None:
        raise failure("prior", f"a prior cannot depend on the variable `{variable.name}`", law)
    density, domain = narrowed(density, element, head.domain, found.domain, names, law)
    return tidy(Prior(outer, density, f"{node.name} ~ {print_law(law)}")), domain


def _check_prior(head: ParameterHead, law: tree.Law, width: int, found: Support, names: Names) -> None:
    kind, name = head.domain.kind, head.declaration.name
    written = print_law(law)
    if any(family.discrete for family, _ in called(law, names)):
        raise failure("prior", f"a prior has a density, and `{written}` is a law of counts or labels", law)
    if kind not in PRIOR_OF.get(found.domain.kind, ()) or (kind == "simplex") > (width == len(head.domain.axes)):
        good = {"simplex": "Dirichlet(1)", "covariance": "InverseWishart(df, scale)", "real": "Normal(0, 1)"}
        raise failure(
            "prior", f"`{written}` is no law of the {kind} parameter `{name}`", law, good.get(kind, "Gamma(2, 1)")
        )
    if width > len(head.axes) + len(head.domain.array_axes):
        raise failure(
            "prior", f"`{written}` draws a vector, and `{name}` is a single number", law, f"param {name}[idx]"
        )


def _as_choice(branches: list[Branch]) -> Expression:
    """Branches over bound indices as one choice."""
    subjects = tuple(dict.fromkeys(guard.variable for branch in branches for guard in branch.guards))
    return Choose(subjects, tuple(_arm(branch, subjects) for branch in branches))


def _arm(branch: Branch, subjects: tuple[Expression, ...]) -> Arm:
    known: dict[Expression, Guard] = {guard.variable: guard for guard in branch.guards}
    patterns = tuple(LabelPattern(known[s].labels) if s in known else ANY for s in subjects)
    return Arm((patterns,), branch.log_density)


# --- starting values and structural zeros -----------------------------------------------------------------------------


def _init(head: ParameterHead, names: Names) -> tuple[Expression | None, tuple[Binder, ...]]:
    node = head.declaration.init
    if node is None:
        return None, ()
    scope, binders = _element_scope(head, names)
    value = _element_of(node, binders, scope, names)
    if any(isinstance(item, VariableRef | ParameterRef) for item in walk(value)):
        raise failure("init", "a starting value is made of numbers and constants", node)
    return tidy((value, binders))


def _element_of(node: tree.Expr, binders: tuple[Binder, ...], scope: Scope, names: Names) -> Expression:
    """The element, at the bound indices, of a number, of a nested list or of a table."""
    if isinstance(node, tree.ListOf):
        if not binders:
            raise failure("init", "a list is given for a single number", node)
        labels = names.static_labels(binders[0].index_set)
        if labels is None or len(labels) != len(node.items):
            name = binders[0].index_set
            has = "elements that only the data know" if labels is None else f"{len(labels)} elements"
            raise failure("init", f"`{name}` has {has}, and the list has {len(node.items)}", node)
        values = [_element_of(item, binders[1:], scope, names) for item in node.items]
        arms = (Arm(((LabelPattern((label,)),),), value) for label, value in zip(labels, values, strict=True))
        return choose((BinderRef(binders[0]),), tuple(arms))
    inner = replace(scope, declared=binders[-1].index_set) if isinstance(node, tree.Probabilities) else scope
    value = resolve(node, inner, names)
    if isinstance(value, Pair) or value.axes != tuple(b.index_set for b in binders[len(binders) - len(value.axes) :]):
        raise failure("init", f"`{print_expr(node)}` does not have the shape of the parameter", node)
    for binder in binders[len(binders) - len(value.axes) :]:
        value = at(value, BinderRef(binder))
    return value.expression


def _only(head: ParameterHead, names: Names) -> tuple[Expression | None, tuple[Binder, ...]]:
    node = head.declaration.only
    if node is None:
        return None, ()
    scope, binders = _element_scope(head, names)
    value = scalar(number(node, scope, names), node)
    if any(isinstance(item, VariableRef | ParameterRef) for item in walk(value)):
        raise failure("only", "the condition after `only` is about the elements and about constants", node)
    return tidy((value, binders))


# --- reports and orders -----------------------------------------------------------------------------------------------


def report(node: tree.ReportDecl, names: Names) -> Report:
    """A derived quantity; an array-valued one gets the axes that are left."""
    with names.expanding(node.name, node):
        value = let_value(node, Scope(), names)
    if isinstance(value, Pair) or value.labels is not None:
        raise failure("report", f"the report `{node.name}` is not a number", node)
    named = [axis.binder or axis.index_set for axis in node.axes]
    bases = (*named, *value.axes[len(named) :])
    binders = tuple(names.fresh(base, axis) for base, axis in zip(bases, value.axes, strict=True))
    for binder in binders:
        value = at(value, BinderRef(binder))
    variable = next((item for item in walk(value.expression) if isinstance(item, VariableRef)), None)
    if variable is not None:
        raise failure("report", f"a report is about parameters, not about the variable `{variable.name}`", node)
    return tidy(Report(node.name, value.expression, binders, node.description))


def order(node: tree.OrderDecl, names: Names) -> Order:
    """`order cluster by mu`: the key over the elements of the index set."""
    name = names.index_set(node.index_set, node)
    binder = names.fresh(name, name)
    value = number(node.key, Scope().bind((name, binder)), names)
    written = print_expr(node.key)
    if value.axes == (name,):
        value = at(value, BinderRef(binder))
    elif value.axes:
        inside = ", ".join(value.axes)
        raise failure("order", f"`{written}` is an array over {inside}; one number for each {name} is needed", node.key)
    used = any(isinstance(item, BinderRef) and item.binder == binder for item in walk(value.expression))
    if not used:
        raise failure("order", f"`{written}` is the same for every {name}", node.key, f"{written}[{name}]")
    return tidy(Order(name, binder, value.expression, f"{name} by {written}"))


def constant_value(node: tree.ConstDecl, names: Names) -> Expression | tuple | None:  # type: ignore[type-arg]
    """A constant's value: overridden, a number, or a nested tuple of numbers or labels in the shape of its axes."""
    if node.name in names.overrides:
        if node.axes:
            raise failure("constant", f"the table `{node.name}` cannot be set to one number", node, "--const")
        return Number(Fraction(names.overrides[node.name]))
    if node.value is None:
        return None
    axes = tuple(axis.index_set for axis in node.axes)
    return _nested(node.value, axes, node, names)


def _nested(node: tree.Expr, axes: tuple[str, ...], constant: tree.ConstDecl, names: Names) -> Expression | tuple:  # type: ignore[type-arg]
    if not axes:
        value: Value | Pair
        if constant.labels_of is not None:
            value = resolve(node, Scope(locals={}), names, constant.labels_of)
        else:
            value = number(node, Scope(locals={}), names)
        return scalar(value, node)
    if not isinstance(node, tree.ListOf):
        raise failure(
            "constant", f"`{constant.name}` is a table over {', '.join(axes)}: a list is expected", node, "[...]"
        )
    labels = names.static_labels(axes[0])
    if labels is not None and len(labels) != len(node.items):
        raise failure("constant", f"`{axes[0]}` has {len(labels)} elements, and the list has {len(node.items)}", node)
    return tuple(_nested(item, axes[1:], constant, names) for item in node.items)
