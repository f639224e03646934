"""The first pass: what a module declares, each name once, before anything is looked up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction

from emdsl.diagnostics.errors import EmmError
from emdsl.graph.constants import exact_value, is_whole
from emdsl.graph.declared import add_built_in, check, declare
from emdsl.graph.expressions import number
from emdsl.graph.failures import failure, unknown
from emdsl.graph.heads import head_of
from emdsl.graph.names import Names, Scope, VariableStatement
from emdsl.graph.parameters import parameter_head
from emdsl.graph.values import scalar
from emdsl.ir.expressions import Binder, Expression
from emdsl.ir.model import LARGEST_RANGE, MISSING_WORDS, Columns, IndexSet, Labels, Levels, Plate, Range
from emdsl.syntax import tree


def built_in_names(overrides: Mapping[str, Fraction] | None = None) -> Names:
    """The names that there are before any declaration: the distributions of the language."""
    names = Names(overrides or {}, head_of)
    add_built_in(names)
    return names


def declarations(module: tree.Module, overrides: Mapping[str, Fraction]) -> Names:
    """The names of a module. Errors are noted in `failures`, and what could be declared is."""
    names = built_in_names(overrides)
    _declare_constants(module.declarations, names)
    index_sets_first = sorted(module.declarations, key=lambda node: not isinstance(node, tree.IndexDecl))
    for node in index_sets_first:
        with _noting(node, names):
            _declare(node, names)
    with names.failures.collect():
        _declare_plates(module.declarations, None, names)
    return names


@contextmanager
def _noting(node: tree.Declaration, names: Names) -> Iterator[None]:
    """Collect what is raised, and note that the name is wrongly declared, so that its uses are not reported too."""
    try:
        yield
    except EmmError as error:
        names.failures.add(error)
        if isinstance(node, tree.ConstDecl | tree.IndexDecl | tree.ParamDecl | tree.LetDecl | tree.FamilyDecl):
            names.failed.add(node.name)


def _once(name: str, taken: Iterable[str], node: tree.Node) -> str:
    if name in taken:
        raise failure("duplicate-name", f"`{name}` is declared twice", node, f"call one of them {name}2")
    return name


def _declare_constants(nodes: Iterable[tree.Declaration], names: Names) -> None:
    constants = [node for node in nodes if isinstance(node, tree.ConstDecl)]
    later = {node.name for node in constants}
    for node in constants:
        with _noting(node, names):
            _check_order(node, later)
            later.discard(node.name)
            names.constants[_once(node.name, names.constants, node)] = node
    for name in names.overrides:
        if name not in names.constants:
            with names.failures.collect():
                message = f"there is no constant `{name}`"
                raise unknown("unknown-constant", message, name, names.constants, tree.Node(), f"const {name}")


def _check_order(node: tree.ConstDecl, later: set[str]) -> None:
    """A constant may use those declared before it; so none is defined by itself."""
    for used in _names_in(node.value) if node.labels_of is None else ():
        if used in later:
            raise failure(
                "constant", f"the constant `{node.name}` uses `{used}`, which is not declared before it", node,
                f"move `const {used}` up",
            )  # fmt: skip


def _names_in(node: object) -> Iterable[str]:
    match node:
        case tree.Name(name):
            yield name
        case tree.Unary(_, operand):
            yield from _names_in(operand)
        case tree.Binary(_, left, right):
            yield from _names_in(left)
            yield from _names_in(right)
        case tree.Call(_, arguments):
            for argument in arguments:
                yield from _names_in(argument.value)
        case tree.ListOf(items):
            for item in items:
                yield from _names_in(item)


def _declare(node: tree.Declaration, names: Names) -> None:
    match node:
        case tree.IndexDecl(name):
            _once(name, names.index_sets, node)
            names.index_sets[name] = IndexSet(name, _source(node, names), node.description)
            names.sizes[name] = _labels(node, names.index_sets[name].source, names)
            names.own_index_sets[name] = None
        case tree.FamilyDecl(name):
            _once(name, names.families, node)
            family = declare(node, names)
            names.families[name] = family
            check(family)
        case tree.ParamDecl(name):
            _once(name, (*names.parameters, *names.constants), node)
            names.parameters[name] = parameter_head(node, names)
        case tree.LetDecl(name):
            _once(name, (*names.lets, *names.parameters, *names.constants), node)
            names.lets[name] = (node, None)
        case tree.ReportDecl(name):
            names.reports[_once(name, names.reports, node)] = node
        case tree.LatentStmt():
            _declare_variable(node, None, names)
        case tree.ModelDecl() | tree.ConstDecl() | tree.OrderDecl() | tree.PlateStmt():
            pass


def _source(node: tree.IndexDecl, names: Names) -> Labels | Range | Levels | Columns:
    match node.source:
        case tree.LabelList(labels):
            written = tuple(pattern.label for pattern in labels)
            twice = next((item for i, item in enumerate(labels) if item.label in written[:i]), None)
            if twice is not None:
                raise failure("duplicate-label", f"the label `{twice.label}` stands twice", twice)
            missing = next((item for item in labels if item.label.strip() in MISSING_WORDS), None)
            if missing is not None:
                what = f"`{missing.label}`" if missing.label.strip() else "an empty cell"
                raise failure("label-na", f"{what} is a missing cell, not a label", missing, "rename it in the data")
            return Labels(written)
        case tree.RangeOf(low, high):
            return Range(_end(low, names), _end(high, names))
        case tree.LevelsOf(columns):
            return Levels(columns)
        case tree.ColumnsOf(patterns):
            return Columns(patterns)


def _end(node: tree.Expr, names: Names) -> Expression:
    return scalar(number(node, Scope(locals={}), names), node)


def _labels(node: tree.IndexDecl, source: object, names: Names) -> tuple[str, ...] | None:
    """The labels, where the model alone says them."""
    match source:
        case Labels(labels):
            return labels
        case Range(low, high):
            first, last = exact_value(low, names), exact_value(high, names)
            if first is None or last is None:
                return None
            if not is_whole(first) or not is_whole(last) or first > last:
                raise failure(
                    "range",
                    f"the range `{node.name}` runs from {first} to {last}",
                    node.source,
                    f"index {node.name} = 1..3",
                )
            if last - first >= LARGEST_RANGE:
                raise failure(
                    "index-too-large",
                    f"index `{node.name}` would have more than the {LARGEST_RANGE} labels that are possible",
                    node.source,
                )
            return tuple(str(label) for label in range(int(first), int(last) + 1))
        case Columns(patterns) if patterns and not any("*" in item or "?" in item for item in patterns):
            return patterns
        case _:
            return None


# --- plates -----------------------------------------------------------------------------------------------------------


def _declare_plates(nodes: Iterable[tree.Declaration | tree.Statement], parent: str | None, names: Names) -> None:
    """The plates and what they declare; plates nest in one line."""
    siblings = [node for node in nodes if isinstance(node, tree.PlateStmt)]
    for node in siblings[1:]:
        first = siblings[0].name
        names.failures.add(
            failure(
                "sibling-plates",
                f"the plates `{first}` and `{node.name}` stand side by side, and a model has one line of plates",
                node,
                f"one plate `for each {first}:` with the columns of both; cells that a row lacks stay empty",
            )
        )
    for node in siblings[:1]:
        with names.failures.collect():
            _once(node.name, names.plates, node)
            over = Binder(node.name, names.index_set(node.over, node)) if node.over else None
            names.plates[node.name] = Plate(node.name, parent, node.ordered, node.by, over, node.description)
            for statement in node.body:
                with names.failures.collect():
                    _declare_variable(statement, node.name, names)
            _declare_plates(node.body, node.name, names)


def _declare_variable(node: tree.Statement, plate: str | None, names: Names) -> None:
    match node:
        case tree.LetDecl(name):
            _once(name, (*names.variables, *names.lets), node)
            names.lets[name] = (node, plate)
        case tree.LatentStmt() | tree.ObservedStmt():
            for name in node.names:
                _add_variable(name, node, plate, names)
        case tree.InputStmt(name) | tree.WeightStmt(name):
            _add_variable(name, node, plate, names)
        case tree.FactorStmt() | tree.GivenStmt() | tree.PlateStmt():
            pass


def _add_variable(name: str, node: VariableStatement, plate: str | None, names: Names) -> None:
    plate_lets = [let for let, (_, where) in names.lets.items() if where is not None]
    names.variables[_once(name, (*names.variables, *plate_lets), node)] = (node, plate)
