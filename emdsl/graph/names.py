"""What the names of a module stand for, and what they mean at one place of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction

from emdsl.families.family import BINARY, Family, Value
from emdsl.graph.failures import Consequence, Failures, failure, unknown
from emdsl.ir.expressions import Binder
from emdsl.ir.model import CELL_SET, CELLS, MISSING_WORDS, Domain, IndexSet, Kind, Labels, Plate
from emdsl.syntax import tree

BINARY_SET = IndexSet(BINARY, Labels(("0", "1")))
CELLS_SET = IndexSet(CELL_SET, Labels(CELLS))


@dataclass(frozen=True)
class Scope:
    """What names mean at one place: bound indices, the plate around it, a family's own names.

    `owner` names a set of labels that only this statement uses; `declared` is the index set that `: idx` gave it.
    """

    plate: str | None = None
    binders: Mapping[str, Binder] = field(default_factory=dict)
    locals: Mapping[str, Value] | None = None
    owner: str = ""
    declared: str | None = None

    def bind(self, *binders: tuple[str, Binder]) -> Scope:
        """This scope with more bound indices."""
        return replace(self, binders={**self.binders, **dict(binders)})


@dataclass(frozen=True)
class ParameterHead:
    """Shape and domain of a parameter; `axes` are its own axes, `domain` adds more."""

    axes: tuple[str, ...]
    domain: Domain
    declaration: tree.ParamDecl


@dataclass(frozen=True)
class VariableHead:
    """What a variable is before its law is expanded. `node` is the statement that declares it."""

    name: str
    kind: Kind
    plate: str | None
    axes: tuple[str, ...]
    domain: Domain
    node: tree.Node
    values: str | None = None
    genotype: bool = False
    hidden: tuple[tuple[str, str], ...] = ()
    joint: tuple[str, ...] = ()


VariableStatement = tree.InputStmt | tree.WeightStmt | tree.LatentStmt | tree.ObservedStmt | tree.PlateStmt


@dataclass
class Names:
    """The names that a module declares. Heads of variables are worked out when they are first asked for."""

    overrides: Mapping[str, Fraction]
    head_of: Callable[[Names, str, VariableStatement, str | None], VariableHead]
    failures: Failures = field(default_factory=Failures)
    warnings: list[str] = field(default_factory=list)
    index_sets: dict[str, IndexSet] = field(default_factory=dict)
    constants: dict[str, tree.ConstDecl] = field(default_factory=dict)
    parameters: dict[str, ParameterHead] = field(default_factory=dict)
    lets: dict[str, tuple[tree.LetDecl, str | None]] = field(default_factory=dict)
    reports: dict[str, tree.ReportDecl] = field(default_factory=dict)
    variables: dict[str, tuple[VariableStatement, str | None]] = field(default_factory=dict)
    plates: dict[str, Plate] = field(default_factory=dict)
    families: dict[str, Family] = field(default_factory=dict)
    heads: dict[str, VariableHead] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    sizes: dict[str, tuple[str, ...] | None] = field(default_factory=dict)
    own_index_sets: dict[str, None] = field(default_factory=dict)
    drawing: frozenset[str] = frozenset()
    shapes_only: bool = False
    _pending: list[str] = field(default_factory=list)
    _expanding: list[str] = field(default_factory=list)
    _counter: int = 0

    def warn(self, node: tree.Node, message: str) -> None:
        """Note a warning, once."""
        warning = f"line {node.span.line}: {message}"
        if warning not in self.warnings:
            self.warnings.append(warning)

    def fresh(self, name: str, index_set: str) -> Binder:
        """A bound index that is no other; the number after `#` goes when the statement is finished."""
        self._counter += 1
        return Binder(f"{name}#{self._counter}", index_set)

    # --- index sets ---------------------------------------------------------------------------------------------------

    def index_set(self, name: str, node: tree.Node) -> str:
        """The name of a declared index set."""
        if name in self.failed:
            raise Consequence(name, node)
        if name not in self.index_sets:
            raise unknown(
                "unknown-index-set",
                f"there is no index set `{name}`",
                name,
                self.index_sets,
                node,
                f"declare it: index {name} = {{a, b}}",
            )
        return name

    def static_labels(self, index_set: str) -> tuple[str, ...] | None:
        """The labels, if the model alone says them."""
        return {BINARY: ("0", "1"), CELL_SET: CELLS}.get(index_set) or self.sizes.get(index_set)

    def label_set(self, labels: tuple[str, ...], owner: str, node: tree.Node) -> str:
        """The index set that a statement's labels belong to: a declared one that has just these, or has these among its
        own, or one of its own under the name of the statement's variable."""
        missing = next((label for label in labels if label.strip() in MISSING_WORDS), None)
        if missing is not None:
            raise failure("label-na", f"`{missing}` is a missing cell, not a label", node, "rename it in the data")
        declared = {name: known for name in self.own_index_sets if (known := self.sizes.get(name)) is not None}
        same = [name for name, known in declared.items() if set(known) == set(labels)]
        around = [name for name, known in declared.items() if set(known) >= set(labels)]
        if len(same) > 1:
            raise failure(
                "ambiguous-labels", f"the labels {_listed(labels)} are those of {' and of '.join(same)}", node,
                f"{owner} : {same[0]}",
            )  # fmt: skip
        if same or len(around) == 1:
            return (same or around)[0]
        if not owner:
            raise failure("unknown-name", f"`{labels[0]}` is a label of no index set, and names nothing else", node)
        name = owner
        while name in self.index_sets and self.sizes[name] != labels:
            name += "'"
        self.index_sets[name] = IndexSet(name, Labels(labels))
        self.sizes[name] = labels
        return name

    def check_label(self, label: str, index_set: str, node: tree.Node) -> str:
        """The label, if the index set may hold it."""
        known = self.static_labels(index_set)
        if known is not None and label not in known:
            message = f"`{index_set}` has no label `{label}`"
            raise unknown("unknown-label", message, label, known, node, f"its labels are {_listed(known)}")
        return label

    # --- plates and variables -----------------------------------------------------------------------------------------

    def plates_around(self, plate: str | None) -> tuple[str | None, ...]:
        """The plate and those around it, innermost first; None, the whole data set, is last."""
        around: list[str | None] = []
        while plate is not None:
            around.append(plate)
            plate = self.plates[plate].parent
        return (*around, None)

    def head(self, name: str, node: tree.Node) -> VariableHead:
        """What the variable is; its statement's law is looked at, but not expanded."""
        if name not in self.heads:
            statement, plate = self.variables[name]
            if name in self._pending:
                chain = " -> ".join([*self._pending[self._pending.index(name) :], name])
                raise failure("cycle", f"what `{name}` is depends on itself: {chain}", node)
            self._pending.append(name)
            try:
                with self.looking_at_shapes(False):
                    head = self.head_of(self, name, statement, plate)
            finally:
                self._pending.pop()
            self.heads[name] = head
        return self.heads[name]

    @contextmanager
    def expanding(self, name: str, node: tree.Node) -> Iterator[None]:
        """Note that a `let` is being expanded, so that one which is defined by itself is found."""
        if name in self._expanding:
            raise failure("cycle", f"`{name}` is defined by itself", node)
        self._expanding.append(name)
        try:
            yield
        finally:
            self._expanding.pop()

    @contextmanager
    def looking_at_shapes(self, only: bool = True) -> Iterator[None]:
        """While the head of a variable is worked out, indices are not looked at.

        They cannot change a shape, and may be the variable's own value before (`A[prev(v)]`).
        """
        before, self.shapes_only = self.shapes_only, only
        try:
            yield
        finally:
            self.shapes_only = before

    @contextmanager
    def drawn(self, *variables: str) -> Iterator[None]:
        """Note that the laws of these variables are being expanded, which may look at them by `prev` only."""
        before, self.drawing = self.drawing, frozenset(variables)
        try:
            yield
        finally:
            self.drawing = before

    def scope_of(self, plate: str | None) -> Scope:
        """What names mean in a plate, outside any statement: the elements of plates across columns are bound."""
        overs = (self.plates[name].over for name in self.plates_around(plate) if name is not None)
        return Scope(plate, {over.name: over for over in overs if over is not None})

    def find_variable(self, name: str, scope: Scope, node: tree.Node) -> VariableHead | None:
        """The variable of this name, if it is one and may be seen from here.

        The column of a plate, where an index set has the plate's name, is an input that need not be declared.
        """
        if name not in self.variables and name in self.plates and name in self.index_sets and self._inside(name, scope):
            if self.plates[name].over is not None:
                return None
            statement = tree.InputStmt(name, domain=tree.DomainExpr(name, span=node.span), span=node.span)
            self.variables[name] = (statement, name)
        if name not in self.variables:
            return None
        plate = self.variables[name][1]
        if plate not in self.plates_around(scope.plate):
            if scope.plate is None:
                return None
            raise failure(
                "out-of-plate",
                f"`{name}` has one value for each {plate}, but here there is one for each {scope.plate}",
                node,
                f"move the statement into `for each {plate}:`",
            )
        if name in self.drawing:
            raise failure("cycle", f"the law of `{name}` looks at `{name}` itself", node, f"prev({name})")
        self.used.add(name)
        return self.head(name, node)

    def _inside(self, plate: str, scope: Scope) -> bool:
        return plate in self.plates_around(scope.plate)

    def visible(self, scope: Scope) -> Iterable[str]:
        """All names that may be written here, for suggestions."""
        if scope.locals is not None:
            return (*scope.locals, *self.constants)
        around = self.plates_around(scope.plate)
        variables = (name for name, (_, plate) in self.variables.items() if plate in around)
        lets = (name for name, (_, plate) in self.lets.items() if plate in around)
        return (*scope.binders, *variables, *lets, *self.parameters, *self.constants)


def _listed(labels: tuple[str, ...], most: int = 8) -> str:
    shown = ", ".join(labels[:most])
    return shown + (", ..." if len(labels) > most else "")
