"""`emdsl check`: the model graph, the posterior plan and its cost, and the rule of each M-step, in lines to read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from emdsl.data.bound import Bound
from emdsl.data.summary import bound_summary
from emdsl.data.wording import count_of, plain
from emdsl.ir.derivation import Derivation, Update
from emdsl.ir.model import Factor, Map, Model, Parameter, Plate, Variable
from emdsl.ir.show import show_domain
from emdsl.plan.counts import NEGLECTED, counted_sets, counted_variables, first_value, last_value
from emdsl.plan.integral_lines import integral_lines
from emdsl.plan.merging import merged_units
from emdsl.plan.posterior_plan import cost_lines, eliminations, plan_lines, planned, sizes_without_data
from emdsl.plan.program import Program

_INDENT = "  "


def check_lines(derivation: Derivation, bound: Bound | None) -> list[str]:
    """What a fit would do, without doing it; with data, how the columns bind and what an E-step costs.

    Raises EmmError where the model has no plan for these data.
    """
    model = derivation.model
    counted = None if bound is None else merged_units(model, bound)
    program = None if counted is None else Program(derivation, counted)
    sizes: Mapping[str, int | None] = sizes_without_data(model)
    if program is not None:
        sizes = {name: len(labels) for name, labels in program.bound.indexes.items()}
    lines = [f"model {model.name}" + (f": {model.description}" if model.description else "")]
    lines += _section("parameters", _parameters(model, sizes))
    lines += _section("plates", _plates(model))
    posterior = list(planned(program)) if program is not None else eliminations(derivation)
    hidden = (derivation.gridded or model) if program is None else program.derivation.model
    # Without data an array is one variable for each of an unknown number of elements.
    by_axis = {v.name: None if v.axes else sizes.get(v.values) for v in hidden.variables if v.values is not None}
    axes = {axis for item in posterior for axis in item.axes if "@" in axis}
    by_axis |= {axis: by_axis[axis.partition("@")[0]] for axis in axes}
    integrals = list(integral_lines(derivation, program))
    summed = plan_lines(posterior, by_axis) if posterior or not integrals else []
    lines += _section("posterior (E-step)", integrals + summed)
    lines += [_INDENT + line for line in _counts(model, bound)]
    if program is not None:
        lines += [_INDENT + line for line in (*_counted(bound, counted), *cost_lines(program))]
    lines += _section("M-step, in this order", [line for item in derivation.updates for line in _update(item, model)])
    if bound is not None:
        lines += _section("data", bound_summary(bound))
    warnings = [*model.warnings, *(bound.warnings if bound is not None else ())]
    return lines + _section("warnings", list(dict.fromkeys(warnings)))


def _counts(model: Model, bound: Bound | None) -> Iterator[str]:
    """How far the sums over latent counts go."""
    sets = counted_sets(model)
    for name, index_set in counted_variables(model).items():
        ends = (first_value, last_value)
        top = "" if bound is None else " to ".join(str(end(bound, index_set)) for end in ends)
        if sets[index_set].top is not None:
            yield f"{name}: summed over {top or 'the values that the model says'}, not renormalised"
        else:
            first = f"{top} at first, and " if top else ""
            enough = f"as far as it takes to leave out less than {NEGLECTED:g} of posterior mass"
            yield f"{name}: summed over {first}{enough}"


def _counted(bound: Bound | None, counted: Bound | None) -> list[str]:
    if bound is None or counted is None or counted is bound:
        return []
    return [f"rows that show the same are counted: {counted.levels[1].size} of {bound.levels[1].size} are distinct"]


def _section(title: str, lines: list[str]) -> list[str]:
    return ["", title, *(_INDENT + line for line in lines)] if lines else []


# --- graph ------------------------------------------------------------------------------------------------------------


def _parameters(model: Model, sizes: Mapping[str, int | None]) -> list[str]:
    lines, total = [], 0
    for parameter in model.parameters:
        axes = f"[{', '.join(parameter.axes)}]" if parameter.axes else ""
        free = _free(parameter, sizes)
        count = "how many is known with the data" if free is None else f"{count_of(free, 'free value')}"
        prior = f", ~ {parameter.prior.text.split('~', 1)[-1].strip()}" if parameter.prior is not None else ""
        described = f"   {parameter.description}" if parameter.description else ""
        lines.append(f"{parameter.name}{axes} : {show_domain(parameter.domain)}, {count}{prior}{described}")
        total = -1 if free is None or total < 0 else total + free
    if not lines:
        return ["none"]
    return [*lines, *([f"{count_of(total, 'free value')} in all"] if total >= 0 and len(lines) > 1 else [])]


def _free(parameter: Parameter, sizes: Mapping[str, int | None]) -> int | None:
    """Free values of a parameter, structural zeros and fixed elements not looked at; None where a size is unknown."""
    shape = [sizes.get(axis) for axis in parameter.axes]
    event = [sizes.get(axis) for axis in parameter.domain.axes]
    if any(size is None for size in (*shape, *event)) or parameter.only is not None:
        return None
    elements = _product(shape)
    size = _product(event)
    match parameter.domain.kind:
        case "simplex" | "contrast":
            return elements * (size - 1)
        case "ordered":
            return elements * size
        case "covariance":
            return elements * size * (size + 1) // 2
        case "correlation":
            return elements * size * (size - 1) // 2
    return elements


def _product(sizes: list[int | None]) -> int:
    total = 1
    for size in sizes:
        total *= size or 0
    return total


def _plates(model: Model) -> list[str]:
    lines = _statements(None, model)
    for depth, plate in enumerate(model.plates):
        lines.append(_INDENT * depth + _heading(plate, model))
        lines += [_INDENT * (depth + 1) + line for line in _statements(plate.name, model)]
    return lines


def _heading(plate: Plate, model: Model) -> str:
    over = f" over {plate.over.index_set}" if plate.over is not None else ""
    order = " in sequence" + (f" by {plate.by}" if plate.by else "") if plate.ordered else ""
    weights = [item.variable for item in model.weights if item.plate == plate.name]
    counted = f", counted by {', '.join(weights)}" if weights else ""
    return f"for each {plate.name}{over}{order}{counted}"


def _statements(plate: str | None, model: Model) -> list[str]:
    """The variables of a plate with their laws, as written."""
    drawn = {name for v in model.variables for name in v.components}
    lines = []
    for variable in model.variables:
        hidden_draw = variable.name in drawn or "." in variable.name
        if variable.plate == plate and variable.kind != "weight" and not hidden_draw:
            lines.append(f"{variable.kind} {_law(variable, model)}{_values(variable, model)}")
    extra = [f for f in model.factors if f.plate == plate and f.target is None]
    lines += [f"factor {' '.join(factor.text.split())}" for factor in extra]
    return lines + [given.text for given in model.givens if given.plate == plate]


def _law(variable: Variable, model: Model) -> str:
    made_by = {variable.name, *variable.components}
    statements: tuple[Factor | Map, ...] = (*model.factors, *model.maps)
    for item in statements:
        if item.target is None:
            continue
        if item.target.name in made_by or variable.name in model.variable(item.target.name).joint:
            return " ".join(item.text.split())
    axes = f"[{', '.join(variable.axes)}]" if variable.axes else ""
    return f"{variable.name}{axes}"


def _values(variable: Variable, model: Model) -> str:
    if variable.name in counted_variables(model):
        return "   (a count)"
    if variable.values is None:
        return f"   ({show_domain(variable.domain)})"
    if variable.genotype:
        return f"   (pairs of {variable.values})"
    return f"   (values in {variable.values})" if variable.values != "0/1" else "   (0 or 1)"


# --- M-step -----------------------------------------------------------------------------------------------------------


def _update(update: Update, model: Model) -> Iterator[str]:
    names = ", ".join(update.parameters)
    yield f"{names}: {_rule(update)}"
    if update.conditional:
        names = " and ".join(update.conditional)
        yield f"{_INDENT}at the current {names}, updated later (conditional maximisation, ECM)"
    if update.over_rows:
        yield f"{_INDENT}takes a pass over the data"
    if update.note:
        yield f"{_INDENT}{update.note}"
    priors = [name for name in update.parameters if model.parameter(name).prior is not None]
    if priors:
        yield f"{_INDENT}with the prior of {plain(priors)}: the posterior mode"


def _rule(update: Update) -> str:
    match update.rule:
        case "simplex":
            return "closed form, each element's share of the expected counts"
        case "bound":
            return (
                f"closed form, the {'least' if update.formula == 'min' else 'largest'} value among the units that count"
            )
        case "closed form":
            return "closed form, element by element"
        case "matrix":
            return "closed form, the weighted second moment of the residuals"
        case "linear" if update.formula == "gaussian":
            return "closed form, the weighted mean"
        case "linear":
            return "closed form, one weighted linear system"
    return "no closed form, Newton's method on Q" + (f" ({update.why})" if update.why else "")
