"""A factor's log-density cut into additive parts that each have one form, branch by branch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

from emdsl.derive.expressions import ONE, ZERO, fold, has_parameters, numeric_variables, substitute
from emdsl.diagnostics.errors import EmmError
from emdsl.ir.expressions import (
    AnyPattern,
    Apply,
    Arm,
    Binder,
    BinderRef,
    Choose,
    Expression,
    LabelPattern,
    Number,
    Reduce,
    Tabulate,
    VariableRef,
    number,
    rewrite,
    walk,
)
from emdsl.ir.latents import is_shares
from emdsl.ir.model import Branch, Guard, Labels, Model

#: Finite hidden variables used as numbers are substituted value by value up to this many values, kept as a table
#: above it.
MOST_VALUES = 8


@dataclass(frozen=True)
class Part:
    """`scale * inner` of a branch, with its guards and the binders that it is summed over.

    `reduced` is the binder of a log-sum-exp (then `expression` is its body).
    """

    guards: tuple[Expression | Guard, ...]
    binders: tuple[Binder, ...]
    expression: Expression
    scale: Fraction = Fraction(1)
    reduced: Binder | None = None


def split_branch(branch: Branch, model: Model) -> Iterator[Part]:
    """The parts of one branch: cases with parameters split into guards, sums at the top into parts."""
    guards: tuple[Expression | Guard, ...] = branch.guards
    for more, expression in _cases(fold(branch.log_density), model):
        yield from _parts(guards + more, expression, _with_shares(model))


def indicator(subject: Expression, labels: tuple[str, ...]) -> Choose:
    """1 where the subject's value is one of the labels, else 0."""
    arms = (Arm(((LabelPattern(labels),),), ONE), Arm(((AnyPattern(),),), ZERO))
    return Choose((subject,), arms)


def _cases(expression: Expression, model: Model) -> Iterator[tuple[tuple[Expression, ...], Expression]]:
    choices = (n for n in walk(expression) if isinstance(n, Choose) and has_parameters(n))
    choice = next((n for n in choices if not _inside(n, expression)), None)
    if choice is not None:
        for position, arm in enumerate(choice.arms):
            arms = tuple(replace(other, value=ONE if i == position else ZERO) for i, other in enumerate(choice.arms))
            rest = fold(substitute(expression, choice, arm.value))
            for guards, inner in _cases(rest, model):
                yield (Choose(choice.subjects, arms), *guards), inner
        return
    switch = next((n for n in walk(expression) if isinstance(n, Apply) and _switches(n, expression, model)), None)
    if switch is not None:
        condition, yes, no = switch.args
        for holds, value in ((condition, yes), (Apply("not", (condition,)), no)):
            for guards, inner in _cases(fold(substitute(expression, switch, value)), model):
                yield (holds, *guards), inner
        return
    variable = _countable(expression, model)
    if variable is None:
        yield (), expression
        return
    for label in _static_labels(variable, model) or ():
        value = fold(_put(expression, variable, number(Fraction(label))))
        for guards, inner in _cases(value, model):
            yield (indicator(variable, (label,)), *guards), inner


def _switches(node: Apply, whole: Expression, model: Model) -> bool:
    """Whether a `where` chooses between parameters by what is hidden and constant alone: its condition can then be a
    guard. Under a sum over an index set that the condition looks at, it has no single value.
    """
    if node.op != "where" or has_parameters(node.args[0]) or not has_parameters(node.args[1:]):
        return False
    inside = tuple(walk(node.args[0]))
    if any(isinstance(n, VariableRef) and model.variable(n.name).values is None for n in inside):
        return False
    if any(isinstance(n, VariableRef) and model.variable(n.name).kind != "latent" for n in inside):
        return False
    bound = {n.binder for n in inside if isinstance(n, BinderRef)}
    if any(isinstance(n, Reduce) and n.binder in bound and node in walk(n.body) for n in walk(whole)):
        return False
    return not _bound_by_table(bound, node, whole)


def _inside(choice: Choose, whole: Expression) -> bool:
    """Whether a choice looks at an axis of a vector or matrix that it stands in."""
    bound = {n.binder for n in walk(choice.subjects) if isinstance(n, BinderRef)}
    return _bound_by_table(bound, choice, whole)


def _bound_by_table(bound: set[Binder], node: Expression, whole: Expression) -> bool:
    tables = (n for n in walk(whole) if isinstance(n, Tabulate) and bound & set(n.binders))
    return any(node in walk(table.body) for table in tables)


def _put(expression: Expression, variable: VariableRef, value: Expression) -> Expression:
    # Only where it stands as a number: as an index it keeps its symbol.
    def change(node: Expression) -> Expression:
        if isinstance(node, Apply):
            return replace(node, args=tuple(value if arg == variable else arg for arg in node.args))
        if isinstance(node, Reduce) and node.body == variable:
            return replace(node, body=value)
        return node

    return value if expression == variable else rewrite(expression, change)


def _countable(expression: Expression, model: Model) -> VariableRef | None:
    if not has_parameters(expression):
        return None
    # An element that a sum runs over has no single value: it stays a known one.
    running = {node.binder for node in walk(expression) if isinstance(node, Reduce)}
    for variable in sorted(numeric_variables(expression), key=str):
        if any(isinstance(node, BinderRef) and node.binder in running for node in walk(variable.indices)):
            continue
        if model.variable(variable.name).kind == "latent" and _static_labels(variable, model) is not None:
            return variable
    return None


def _static_labels(variable: VariableRef, model: Model) -> tuple[str, ...] | None:
    values = model.variable(variable.name).values
    source = model.index_set(values).source if values is not None else None
    if not isinstance(source, Labels) or len(source.labels) > MOST_VALUES:
        return None
    try:
        [Fraction(label) for label in source.labels]
    except ValueError:
        return None
    return source.labels


#: Whether an expression is to be taken apart: parameters or hidden shares stand in it.
_Wanted = Callable[[Expression], bool]


def _with_shares(model: Model) -> _Wanted:
    shares = {variable.name for variable in model.variables if is_shares(variable, model)}

    def wanted(expression: Expression) -> bool:
        nodes = walk(expression)
        return has_parameters(expression) or any(isinstance(n, VariableRef) and n.name in shares for n in nodes)

    return wanted


def _parts(guards: tuple[Expression | Guard, ...], expression: Expression, wanted: _Wanted) -> Iterator[Part]:
    rest: list[tuple[Fraction, Expression]] = []
    for scale, term in addends(expression, Fraction(1)):
        if isinstance(term, Reduce) and wanted(term):
            yield from _reduced(guards, term, scale, wanted)
        else:
            rest.append((scale, term))
    if rest:
        total = _scaled(*rest[0])
        for scale, term in rest[1:]:
            total = Apply("-" if scale < 0 else "+", (total, _scaled(abs(scale), term)))
        yield Part(guards, (), total)


def _reduced(guards: tuple[Expression | Guard, ...], term: Reduce, scale: Fraction, wanted: _Wanted) -> Iterator[Part]:
    if term.op == "logsumexp":
        if abs(scale) != 1:
            raise EmmError("not-supported-yet", "a softmax raised to a power has no derivation yet")
        yield Part(guards, (), term.body, scale, term.binder)
    elif term.op == "sum":
        for part in _parts(guards, _scaled(scale, term.body), wanted):
            yield replace(part, binders=(term.binder, *part.binders))
    else:
        raise EmmError("not-supported-yet", "a product of parameters over an index set has no derivation yet")


def _scaled(scale: Fraction, term: Expression) -> Expression:
    return term if scale == 1 else fold(Apply("*", (number(scale), term)))


def addends(expression: Expression, scale: Fraction) -> Iterator[tuple[Fraction, Expression]]:
    """The terms of a sum, each with the exact number that it is multiplied by."""
    match expression:
        case Apply("+", (left, right)):
            yield from addends(left, scale)
            yield from addends(right, scale)
        case Apply("-", (left, right)):
            yield from addends(left, scale)
            yield from addends(right, -scale)
        case Apply("neg", (inner,)):
            yield from addends(inner, -scale)
        case Apply("*", (Number(Fraction() as value), inner)) | Apply("*", (inner, Number(Fraction() as value))):
            yield from addends(inner, scale * value)
        case Apply("/", (inner, Number(Fraction() as value))):
            yield from addends(inner, scale / value)
        case Apply("log", (Apply("exp", (inner,)),)):
            yield from addends(inner, scale)
        case Reduce("sum", binder, body) if not has_parameters(body):
            yield scale, expression
        case Apply("*", (left, Reduce("sum", binder, body))) if not has_parameters(left):
            yield scale, Reduce("sum", binder, Apply("*", (left, body)))
        case _ if expression == ZERO:
            return
        case _:
            yield scale, expression
