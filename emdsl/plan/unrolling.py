"""Arrays of finite variables taken apart: `has[skill]` becomes one variable for each skill, `has[algebra]` and so on.

Sizes are known when data are bound, so a sum or product over the elements of an array is written out, a piece that has
one term for each element becomes one piece for each, and an element that something else chooses is a choice among all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

import numpy as np

from emdsl.data.bound import Bound, Chosen, Values
from emdsl.diagnostics.errors import EmmError
from emdsl.ir.arrays import substitute
from emdsl.ir.derivation import Atom, Derivation, Design, Piece
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
    Reduce,
    VariableRef,
    number,
    walk,
)
from emdsl.ir.model import Factor, Given, Guard, Map, Model, Variable
from emdsl.ir.show import show
from emdsl.plan.copies import at_elements, rebuilt, with_pieces
from emdsl.plan.evaluation import Evaluator
from emdsl.plan.named import ROW

_ONE, _ZERO = number(1), number(0)
#: What a position among the elements of an index set is written as.
_ENDS = {"first": lambda labels: labels[:1], "last": lambda labels: labels[-1:], "middle": lambda labels: labels[1:-1]}


def unrolled(derivation: Derivation, bound: Bound, arrays: frozenset[str]) -> tuple[Derivation, Bound]:
    """The derivation and its data with each of these array variables as one variable for each element."""
    if not arrays:
        return derivation, bound
    unroller = Unroller(derivation.model, bound, arrays)
    parts = {piece.name: unroller.pieces(piece) for piece in derivation.pieces if unroller.touches(piece)}
    maps = tuple(part for item in derivation.maps for part in unroller.maps(item))
    found = with_pieces(derivation, parts)
    model = unroller.of_model()
    return replace(found, model=replace(model, maps=maps), maps=maps), unroller.of_data()


#: What stands between the array and the index in the name of an element that data choose; no variable of a text has a
#: space in its name.
CHOSEN = " at "


def is_chosen(name: str) -> bool:
    """Whether a hidden variable stands for an element of an array that data choose."""
    return CHOSEN in name.partition("[")[0]


def element_name(name: str, labels: tuple[str, ...]) -> str:
    """The name of one element of an array variable. `@` has a meaning in the names of axes."""
    return f"{name}[{', '.join(labels)}]".replace("@", " at ")


@dataclass(frozen=True)
class Unroller:
    """Takes the array variables named in `arrays` apart."""

    model: Model
    bound: Bound
    arrays: frozenset[str]
    #: Elements of arrays outside plates that data choose: a variable for each way, with its array and indices.
    chosen: dict[str, tuple[Variable, VariableRef]] = field(default_factory=dict)

    # --- the model and its data ---------------------------------------------------------------------------------------

    def of_model(self) -> Model:
        """The model graph; its factors, which the planner does not read, stay as they are written."""
        variables = tuple(part for item in self.model.variables for part in self._variables(item))
        givens = tuple(Given(item.plate, self(item.condition), item.text) for item in self.model.givens)
        standing = tuple(variable for variable, _ in self.chosen.values())
        return replace(self.model, variables=(*variables, *standing), givens=givens)

    def of_data(self) -> Bound:
        """The data, one array for each element."""
        values: dict[str, Values] = {}
        for name, item in self.bound.values.items():
            if name not in self.arrays:
                values[name] = item
                continue
            variable = self.model.variable(name)
            for place, labels in self._elements(variable):
                values[element_name(name, labels)] = Values(item.array[place], item.sets)
        chosen = {name: self._choices(*item) for name, item in self.chosen.items()}
        return replace(self.bound, values=values, chosen={**self.bound.chosen, **chosen})

    def _choices(self, variable: Variable, reference: VariableRef) -> Chosen:
        """Which element each unit of a variable's plate looks at."""
        level = self.bound.level_of(variable.plate)
        evaluator = Evaluator(self.model, self.bound, level=level)
        array = self.model.variable(reference.name)
        codes = [evaluator.code(index).aligned((ROW,)) for index in reference.indices]
        shape = tuple(len(self.bound.indexes[axis]) for axis in array.axes)
        size = self.bound.levels[level].size
        places = np.ravel_multi_index(tuple(np.broadcast_to(code, size) for code in codes), shape)
        names = tuple(element_name(reference.name, labels) for _, labels in self._elements(array))
        return Chosen(names, np.asarray(places, dtype=np.intp))

    def _elements(self, variable: Variable) -> Iterator[tuple[tuple[int, ...], tuple[str, ...]]]:
        sets = [self.bound.indexes[axis] for axis in variable.axes]
        for place in product(*(range(len(labels)) for labels in sets)):
            yield place, tuple(labels[k] for labels, k in zip(sets, place, strict=True))

    def _variables(self, variable: Variable) -> Iterator[Variable]:
        if variable.name not in self.arrays:
            yield variable
            return
        for _, labels in self._elements(variable):
            yield replace(
                variable, name=element_name(variable.name, labels), axes=(),
                components=tuple(element_name(name, labels) for name in variable.components),
                joint=tuple(element_name(name, labels) for name in variable.joint),
            )  # fmt: skip

    # --- statements ---------------------------------------------------------------------------------------------------

    def touches(self, node: Any) -> bool:
        """Whether one of the arrays occurs."""
        return any(isinstance(item, VariableRef) and item.name in self.arrays for item in walk(node))

    def _depends(self, node: Any, binder: Binder) -> bool:
        """Whether a bound index chooses among the elements of one of the arrays."""
        return any(
            isinstance(item, VariableRef) and item.name in self.arrays and BinderRef(binder) in walk(item.indices)
            for item in walk(node)
        )

    def _at(self, node: Any, binders: tuple[Binder, ...]) -> Iterator[dict[Binder, Label]]:
        """Every choice of elements for the bound indices that choose among an array's."""
        chosen = [binder for binder in binders if self._depends(node, binder)]
        for labels in product(*(self.bound.indexes[binder.index_set] for binder in chosen)):
            yield {binder: Label(binder.index_set, label) for binder, label in zip(chosen, labels, strict=True)}

    def pieces(self, piece: Piece) -> tuple[Piece, ...]:
        """One piece for each element that an array is looked at in."""
        found = []
        for chosen in self._at(piece, piece.elements):
            part = at_elements(piece, chosen, self.bound) if chosen else piece
            if part is not None:
                found.append(self._scalar(part))
        return tuple(found)

    def _scalar(self, piece: Piece) -> Piece:
        return replace(
            piece, atoms=tuple(self._atom(atom) for atom in piece.atoms), knowns=self(piece.knowns),
            guards=self(piece.guards), target=self(piece.target), vector=self(piece.vector),
            stationary=self(piece.stationary), multiplier=self(piece.multiplier),
        )  # fmt: skip

    def _atom(self, atom: Atom) -> Atom:
        return replace(atom, terms=tuple(part for term in atom.terms for part in self._designs(term)))

    def _designs(self, term: Design) -> Iterator[Design]:
        for chosen in self._at((term.parameter, term.coefficient), term.over):
            part = substitute(term, chosen) if chosen else term
            over = tuple(binder for binder in term.over if binder not in chosen)
            yield Design(self(part.parameter), self(part.coefficient), over)

    def maps(self, item: Map) -> Iterator[Map]:
        """One deterministic observation for each element that an array is looked at in."""
        if not self.touches(item):
            yield item
            return
        for chosen in self._at(item, item.elements):
            part = substitute(replace(item, elements=()), chosen)
            labels = f"[{', '.join(label.label for label in chosen.values())}]" if chosen else ""
            yield replace(
                part, name=f"{item.name}{labels}", target=self(part.target), value=self(part.value),
                elements=tuple(binder for binder in item.elements if binder not in chosen),
            )  # fmt: skip

    def factors(self, item: Factor) -> Iterator[Factor]:
        """One law for each element that an array is looked at in."""
        if not self.touches(item):
            yield item
            return
        for chosen in self._at(item, item.elements):
            part = substitute(replace(item, elements=()), chosen)
            labels = f"[{', '.join(label.label for label in chosen.values())}]" if chosen else ""
            yield replace(
                part, name=f"{item.name}{labels}", target=self(part.target), branches=self(part.branches),
                elements=tuple(binder for binder in item.elements if binder not in chosen),
            )  # fmt: skip

    # --- expressions --------------------------------------------------------------------------------------------------

    def __call__(self, node: Any) -> Any:
        """The expression (or tuple of such) without arrays."""
        match node:
            case Reduce(op, binder, body) if self._depends(body, binder):
                labels = self.bound.indexes[binder.index_set]
                parts = [self(substitute(body, {binder: Label(binder.index_set, label)})) for label in labels]
                return _written_out(op, parts)
            case VariableRef(name, indices, lag) if name in self.arrays:
                return self._reference(name, tuple(self(index) for index in indices), lag)
            case Guard():
                return self._guard(node)
        return rebuilt(node, self)

    def _reference(self, name: str, indices: tuple[Expression, ...], lag: int) -> Expression:
        axes = self.model.variable(name).axes
        if len(indices) < len(axes):
            raise EmmError("internal", f"the vector `{name}` stands as a whole")
        known = tuple(self._label(index) for index in indices)
        position = next((k for k, label in enumerate(known) if label is None), None)
        if position is not None and self.model.variable(name).plate is None:
            hidden = (k for k, label in enumerate(known) if label is None and self._is_hidden(indices[k]))
            position = next(hidden, None)
            if position is None:
                return self._standing(VariableRef(name, indices))
        if position is None:
            return VariableRef(element_name(name, tuple(label for label in known if label is not None)), (), lag)
        arms = []
        for label in self.bound.indexes[axes[position]]:
            chosen = (*indices[:position], Label(axes[position], label), *indices[position + 1 :])
            arms.append(Arm(((LabelPattern((label,)),),), self._reference(name, chosen, lag)))
        return Choose((indices[position],), tuple(arms))

    def _is_hidden(self, index: Expression) -> bool:
        """Whether what is hidden chooses an element, or the place in a sum or vector does."""
        across = {plate.over for plate in self.model.plates if plate.over is not None}
        return any(
            (isinstance(node, VariableRef) and self.model.variable(node.name).kind == "latent")
            or (isinstance(node, BinderRef) and node.binder not in across)
            for node in walk(index)
        )

    def _standing(self, reference: VariableRef) -> VariableRef:
        """The variable that stands, unit by unit, for the element that data choose."""
        array = self.model.variable(reference.name)
        name = f"{array.name}{CHOSEN}{', '.join(show(index) for index in reference.indices)}".replace("@", CHOSEN)
        if name not in self.chosen:
            plates = [plate.name for plate in self.model.plates]
            across = {plate.over: plate.name for plate in self.model.plates}
            nodes = list(walk(reference.indices))
            within = [self.model.variable(node.name).plate or "" for node in nodes if isinstance(node, VariableRef)]
            within += [across[node.binder] for node in nodes if isinstance(node, BinderRef)]
            plate = max(within, key=plates.index)
            self.chosen[name] = (replace(array, name=name, plate=plate, axes=(), components=(), joint=()), reference)
        return VariableRef(name)

    def _label(self, index: Expression) -> str | None:
        """The label that an index stands for, where no variable, no element of a plate and no place in a sum or vector
        that stays whole decides it.
        """
        match index:
            case Label(_, label):
                return label
            case ConstantRef(name, inner):
                labels_of = self.model.constant(name).labels_of
                places = [self._label(item) for item in inner]
                if labels_of is None or any(place is None for place in places):
                    return None
                axes = self.model.constant(name).axes
                at = tuple(self.bound.indexes[axis].index(p) for axis, p in zip(axes, places, strict=True) if p)
                return self.bound.indexes[labels_of][int(self.bound.constants[name][at])]
        return None

    def _guard(self, guard: Guard) -> Guard | Expression:
        if not self.touches(guard.variable):
            return guard
        subject = self(guard.variable)
        if isinstance(subject, VariableRef):
            return replace(guard, variable=subject)
        assert isinstance(subject, Choose) and isinstance(guard.variable, VariableRef)
        labels = guard.labels
        if guard.position:
            values = self.model.variable(guard.variable.name).values
            labels = _ENDS[guard.position](self.bound.indexes[values or ""])
        return _membership(subject, labels, negated=guard.negated)


def _membership(subject: Expression, labels: tuple[str, ...], *, negated: bool) -> Expression:
    """1 where the value of a (nested) choice of variables is one of the labels."""
    match subject:
        case Choose(subjects, arms):
            return Choose(
                subjects,
                tuple(Arm(arm.alternatives, _membership(arm.value, labels, negated=negated)) for arm in arms),
            )
        case _:
            yes, no = (_ZERO, _ONE) if negated else (_ONE, _ZERO)
            return Choose((subject,), (Arm(((LabelPattern(labels),),), yes), Arm(((AnyPattern(),),), no)))


def _written_out(op: str, parts: list[Expression]) -> Expression:
    """A sum, product or log-sum-exp over an index set, term by term."""
    if op == "logsumexp":
        return Apply("log", (_written_out("sum", [Apply("exp", (part,)) for part in parts]),))
    sign = "+" if op == "sum" else "*"
    total = parts[0]
    for part in parts[1:]:
        total = Apply(sign, (total, part))
    return total


def latent_arrays(model: Model) -> Iterator[str]:
    """The arrays of finite hidden variables, among them the draws of arrays of genotypes, and those made of them."""
    for variable in model.variables:
        hidden = variable.kind == "latent" and variable.values is not None
        if variable.axes and (hidden or variable.components):
            yield variable.name


def by_element(model: Model, names: Mapping[str, Any]) -> frozenset[str]:
    """Those of the variables that are arrays."""
    return frozenset(name for name in names if model.variable(name).axes)
