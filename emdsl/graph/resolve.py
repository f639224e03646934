"""Syntax tree to model graph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from fractions import Fraction

from emdsl.families.family import BINARY, Declaring, Family
from emdsl.graph import parameters
from emdsl.graph.checks import check_cuts, check_cycles, check_levels, check_order, unused
from emdsl.graph.declarations import declarations
from emdsl.graph.declared import DeclaredFamily, facts, sampler
from emdsl.graph.expressions import let_value
from emdsl.graph.failures import failure
from emdsl.graph.joint_states import too_many_states
from emdsl.graph.names import BINARY_SET, CELLS_SET, Names
from emdsl.graph.statements import Statements
from emdsl.ir.model import Constant, Fact, Factor, IndexSet, Levels, Model, Order, Parameter, Report, Sampler
from emdsl.syntax import tree


def resolve(module: tree.Module, *, overrides: Mapping[str, Fraction] | None = None, name: str = "Model") -> Model:
    """The model graph of a module. `overrides` are constants set by the user; `name` serves where the model has none.

    Raises EmmError with all errors found.
    """
    names = declarations(module, overrides or {})
    statements = Statements(names)
    for node, plate in _statements(module):
        if _is_declared(node, plate, names):
            with names.failures.collect():
                statements.add(node, plate)
    made = _parameters(names)
    reports, orders = _reports(module, names), _orders(module, names)
    constants = _constants(names)
    _check_lets(names)
    with names.failures.collect():
        _check_observed(module)
    for node, plate in _statements(module):
        if _is_declared(node, plate, names):
            for error in too_many_states(node, tuple(statements.factors), statements.variables, names):
                names.failures.add(error)
    names.failures.raise_all()
    statements.add_plate_columns()
    title = next((node for node in module.declarations if isinstance(node, tree.ModelDecl)), None)
    model = Model(
        name=title.name if title else name,
        description=title.description if title else "",
        index_sets=_index_sets(statements, names),
        constants=constants,
        parameters=made,
        plates=tuple(names.plates.values()),
        variables=tuple(statements.variables),
        factors=tuple(statements.factors),
        maps=tuple(statements.maps),
        weights=tuple(statements.weights),
        reports=reports,
        orders=orders,
        givens=tuple(statements.givens),
        samplers=_samplers(tuple(statements.factors), names),
        facts=_facts(tuple(statements.factors), names),
    )
    _check(model, module, names)
    names.failures.raise_all()
    return replace(model, warnings=(*names.warnings, *unused(model, names)))


def _statements(module: tree.Module) -> Iterator[tuple[tree.Statement, str | None]]:
    """The statements of all plates, outermost first, each with its plate."""
    pending: list[tuple[tree.Declaration | tree.Statement, str | None]] = [(node, None) for node in module.declarations]
    while pending:
        node, plate = pending.pop(0)
        match node:
            case tree.PlateStmt(name, body):
                pending.extend((inner, name) for inner in body)
            case tree.LatentStmt():
                yield node, plate
            case tree.InputStmt() | tree.WeightStmt() | tree.ObservedStmt() | tree.FactorStmt() | tree.GivenStmt():
                yield node, plate
            case _:
                pass


def _is_declared(node: tree.Statement, plate: str | None, names: Names) -> bool:
    """Whether the declaration of what the statement is about went well; if not, an error has been noted."""
    if plate is not None and plate not in names.plates:
        return False
    match node:
        case tree.LatentStmt() | tree.ObservedStmt():
            return all(name in names.variables and names.variables[name][0] is node for name in node.names)
        case tree.InputStmt(name) | tree.WeightStmt(name):
            return name in names.variables and names.variables[name][0] is node
        case _:
            return True


def _parameters(names: Names) -> tuple[Parameter, ...]:
    made = []
    for head in names.parameters.values():
        with names.failures.collect():
            made.append(parameters.parameter(head, names))
    return tuple(made)


def _reports(module: tree.Module, names: Names) -> tuple[Report, ...]:
    made = []
    for node in module.declarations:
        if isinstance(node, tree.ReportDecl):
            with names.failures.collect():
                made.append(parameters.report(node, names))
    return tuple(made)


def _orders(module: tree.Module, names: Names) -> tuple[Order, ...]:
    made = []
    for node in module.declarations:
        if isinstance(node, tree.OrderDecl):
            with names.failures.collect():
                made.append(parameters.order(node, names))
    return tuple(made)


def _constants(names: Names) -> tuple[Constant, ...]:
    made = []
    for node in names.constants.values():
        with names.failures.collect():
            axes = tuple(names.index_set(axis.index_set, axis) for axis in node.axes)
            labels_of = names.index_set(node.labels_of, node) if node.labels_of is not None else None
            value = parameters.constant_value(node, names)
            made.append(Constant(node.name, axes, labels_of, value, node.description))
    return tuple(made)


def _samplers(factors: tuple[Factor, ...], names: Names) -> tuple[Sampler, ...]:
    """How to draw from the declared families that the factors' laws call, of those that say it."""
    found = (sampler(family) for family in _called(factors, names) if isinstance(family, DeclaredFamily))
    return tuple(item for item in found if item is not None)


def _facts(factors: tuple[Factor, ...], names: Names) -> tuple[Fact, ...]:
    """What the families of observed variables say of themselves."""
    observed = tuple(
        factor for factor in factors
        if factor.target is not None and factor.target.name in names.heads
        and names.heads[factor.target.name].kind == "observed"
    )  # fmt: skip
    found: list[Fact] = []
    for family in _called(observed, names):
        if isinstance(family, DeclaredFamily):
            found.extend(facts(family))
        elif isinstance(family, Declaring):
            found.extend(family.facts())
    return tuple(found)


def _called(factors: tuple[Factor, ...], names: Names) -> list[Family]:
    """The families that the factors' laws call, each once."""
    called = dict.fromkeys(branch.family for factor in factors for branch in factor.branches)
    return [names.families[name] for name in called if name in names.families]


def _check_observed(module: tree.Module) -> None:
    """A model without data has nothing to estimate from."""
    if not any(isinstance(node, tree.ObservedStmt | tree.FactorStmt) for node, _ in _statements(module)):
        raise failure(
            "nothing-observed",
            "the model observes nothing",
            module,
            "for each row:\n    observed y ~ Normal(mu, sigma)",
        )


def _check_lets(names: Names) -> None:
    """Expand every `let` once, so that one which is never used is checked too."""
    for name, (node, plate) in names.lets.items():
        if name not in names.used:
            with names.failures.collect():
                let_value(node, names.scope_of(plate), names)
                names.warn(node, f"{name} is never used")


def _index_sets(statements: Statements, names: Names) -> tuple[IndexSet, ...]:
    """All index sets; levels know the variables whose columns they are read from, 0/1 is listed where it is used."""
    made = []
    for index_set in names.index_sets.values():
        if isinstance(index_set.source, Levels):
            read = tuple(
                variable.name
                for variable in statements.variables
                if variable.values == index_set.name and variable.kind in ("observed", "input")
            )
            index_set = replace(index_set, source=replace(index_set.source, variables=read))
        made.append(index_set)
    if any(variable.values == BINARY for variable in statements.variables):
        made.append(BINARY_SET)
    if any(variable.cut is not None for variable in statements.variables):
        made.append(CELLS_SET)
    return tuple(made)


def _check(model: Model, module: tree.Module, names: Names) -> None:
    for error in (*check_cycles(model, names), *check_cuts(model, names)):
        names.failures.add(error)
    for node in module.declarations:
        if isinstance(node, tree.IndexDecl):
            for error in check_levels(model.index_set(node.name), node):
                names.failures.add(error)
    written = [node for node in module.declarations if isinstance(node, tree.OrderDecl)]
    for order, node in zip(model.orders, written, strict=True):
        for error in check_order(order, model, node):
            names.failures.add(error)
