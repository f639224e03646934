"""The model graph as text, one line for each thing: for golden tests, and to look at."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any, assert_never

from emdsl.ir.expressions import (
    AnyPattern,
    Apply,
    Arm,
    Binder,
    BinderRef,
    Choose,
    ConstantRef,
    Expression,
    Label,
    LabelPattern,
    Number,
    ParameterRef,
    Position,
    Reduce,
    Stationary,
    Tabulate,
    VariableRef,
)
from emdsl.ir.model import (
    Branch,
    Columns,
    Counts,
    Domain,
    Factor,
    Guard,
    Labels,
    Levels,
    Map,
    Model,
    Parameter,
    Range,
    Variable,
)

_BINDING = {
    "or": 1,
    "and": 2,
    "==": 4,
    "!=": 4,
    "<": 4,
    "<=": 4,
    ">": 4,
    ">=": 4,
    "+": 5,
    "-": 5,
    "*": 6,
    "/": 6,
    "^": 8,
}
_PREFIX = {"neg": "-", "not": "not "}


def show(expression: Expression) -> str:
    """An expression in one line; labels are quoted, `v@1` is `prev(v)`."""
    match expression:
        case Number(value):
            return str(value) if isinstance(value, Fraction) else f"{value:.6g}"
        case Label(_, label):
            return f'"{label}"'
        case BinderRef(binder):
            return binder.name
        case ConstantRef(name, indices) | ParameterRef(name, indices):
            return name + _indices(indices)
        case VariableRef(name, indices, lag):
            return name + (f"@{lag}" if lag else "") + _indices(indices)
        case Apply(op, (left, right)) if op in _BINDING:
            space = "" if _BINDING[op] >= 6 else " "
            return f"{_operand(left, _BINDING[op])}{space}{op}{space}{_operand(right, _BINDING[op] + 1)}"
        case Apply(op, (operand,)) if op in _PREFIX:
            return f"{_PREFIX[op]}{_operand(operand, 7)}"
        case Apply(op, args):
            return f"{op}({', '.join(show(arg) for arg in args)})"
        case Reduce(op, binder, body):
            return f"{op}({_binder(binder)}: {show(body)})"
        case Tabulate(binders, body):
            return f"[{', '.join(_binder(binder) for binder in binders)}: {show(body)}]"
        case Position(of, shift):
            return f"#{show(of)}{shift:+d}" if shift else f"#{show(of)}"
        case Stationary(matrix, state):
            return f"stationary({show(matrix)})[{show(state)}]"
        case Choose(subjects, arms):
            return f"case {', '.join(show(subject) for subject in subjects)} {{{'; '.join(_arm(arm) for arm in arms)}}}"
        case _:
            assert_never(expression)


def _operand(expression: Expression, least: int) -> str:
    text = show(expression)
    match expression:
        case Apply(op) if _BINDING.get(op, 7 if op in _PREFIX else 9) < least:
            return f"({text})"
        case Number(Fraction() as value) if value < 0 or (value.denominator > 1 and least > 6):
            return f"({text})"
        case _:
            return text


def _indices(indices: tuple[Expression, ...]) -> str:
    return f"[{', '.join(show(index) for index in indices)}]" if indices else ""


def _binder(binder: Binder) -> str:
    return binder.name if binder.name == binder.index_set else f"{binder.name} in {binder.index_set}"


def _arm(arm: Arm) -> str:
    patterns = (", ".join(_pattern(pattern) for pattern in alternative) for alternative in arm.alternatives)
    return f"{' | '.join(patterns)} -> {show(arm.value)}"


def _pattern(pattern: LabelPattern | AnyPattern) -> str:
    return "_" if isinstance(pattern, AnyPattern) else "|".join(pattern.labels)


def show_guard(guard: Guard) -> str:
    """A condition: `z in {1, 2}`, `z not in {a}`, `z is first`."""
    if guard.position:
        return f"{show(guard.variable)} is {guard.position}"
    return f"{show(guard.variable)} {'not ' if guard.negated else ''}in {{{', '.join(guard.labels)}}}"


def show_branch(branch: Branch) -> str:
    """A branch: its guards, its law, its log-density."""
    condition = " and ".join(show_guard(guard) for guard in branch.guards)
    return (f"if {condition}: " if condition else "") + show(branch.log_density)


def show_domain(domain: Domain) -> str:
    """A domain as it is written."""
    if domain.kind == "interval":
        low = "-inf" if domain.low is None else show(domain.low)
        high = "inf" if domain.high is None else show(domain.high)
        return f"interval({low}, {high})"
    return domain.kind + (f"[{', '.join(domain.axes)}]" if domain.axes else "")


def show_model(model: Model) -> str:
    """The whole graph, one line for each thing, and one for each branch of a factor."""
    return "".join(f"{line}\n" for line in _lines(model))


def _lines(model: Model) -> Iterator[str]:
    yield f"model {model.name}"
    for index_set in model.index_sets:
        yield f"index {index_set.name} = {_source(index_set.source)}"
    for constant in model.constants:
        axes = f"[{', '.join(constant.axes)}]" if constant.axes else ""
        labels = f" : {constant.labels_of}" if constant.labels_of else ""
        yield f"const {constant.name}{axes}{labels} = {_table(constant.value)}"
    for parameter in model.parameters:
        yield from _parameter(parameter)
    for plate in model.plates:
        order = (" in sequence" + (f" by {plate.by}" if plate.by else "")) if plate.ordered else ""
        over = f" over {plate.over.index_set}" if plate.over else ""
        yield f"plate {plate.name}{over}{order}" + (f" in {plate.parent}" if plate.parent else "")
    for variable in model.variables:
        yield _variable(variable)
    for factor in model.factors:
        yield from _factor(factor)
    for item in model.maps:
        yield _map(item)
    for weight in model.weights:
        yield f"weight {weight.variable} of {weight.plate}"
    for report in model.reports:
        binders = "".join(f"[{_binder(binder)}]" for binder in report.binders)
        yield f"report {report.name}{binders} = {show(report.value)}"
    for order_by in model.orders:
        yield f"order {order_by.index_set} by {show(order_by.key)}"
    for warning in model.warnings:
        yield f"warning: {warning}"


def _source(source: Labels | Range | Levels | Columns | Counts) -> str:
    match source:
        case Labels(labels):
            return f"{{{', '.join(labels)}}}"
        case Range(low, high):
            return f"{show(low)}..{show(high)}"
        case Levels(columns, variables):
            return f"levels({', '.join(columns)}) of {', '.join(variables)}"
        case Columns(patterns):
            return f"columns({', '.join(patterns)})"
        case Counts(top, signed):
            end = "" if top is None else show(top)
            return f"counts -{end}..{end}" if signed else f"counts 0..{end}"
        case _:
            assert_never(source)


def _table(value: Any) -> str:
    if value is None:
        return "?"
    return f"[{', '.join(_table(item) for item in value)}]" if isinstance(value, tuple) else show(value)


def _parameter(parameter: Parameter) -> Iterator[str]:
    axes = f"[{', '.join(parameter.axes)}]" if parameter.axes else ""
    yield f"param {parameter.name}{axes} : {show_domain(parameter.domain)}"
    if parameter.prior is not None:
        binders = ", ".join(_binder(binder) for binder in parameter.prior.binders)
        yield f"  prior {f'[{binders}] ' if binders else ''}{show(parameter.prior.log_density)}"
    if parameter.init is not None:
        yield f"  init [{', '.join(map(_binder, parameter.init_binders))}] {show(parameter.init)}"
    if parameter.only is not None:
        yield f"  only [{', '.join(map(_binder, parameter.only_binders))}] {show(parameter.only)}"


def _variable(variable: Variable) -> str:
    axes = f"[{', '.join(variable.axes)}]" if variable.axes else ""
    kind = variable.values or show_domain(variable.domain)
    pair = "pair of " if variable.genotype else ""
    made = f" = ({', '.join(variable.components)})" if variable.components else ""
    joint = f" jointly {', '.join(variable.joint)}" if variable.joint else ""
    column = f" from {variable.column}" if variable.column else ""
    return f"{variable.kind} {variable.name}{axes} : {pair}{kind}{made}{joint}{column} in {variable.plate}"


def _factor(factor: Factor) -> Iterator[str]:
    elements = "".join(f" each {_binder(binder)}" for binder in factor.elements)
    when = f" {factor.when}({factor.lag})" if factor.when != "always" else ""
    target = f" of {show(factor.target)}" if factor.target else ""
    yield f"factor {factor.name}{target} in {factor.plate}{elements}{when}"
    for branch in factor.branches:
        yield f"  {show_branch(branch)}"


def _map(item: Map) -> str:
    elements = "".join(f" each {_binder(binder)}" for binder in item.elements)
    value = " / ".join(show(part) for part in item.value) if isinstance(item.value, tuple) else show(item.value)
    return f"map {show(item.target)} in {item.plate}{elements} = {value}"
