"""What a piece's part of Q is summed over, in symbols to read: units, hidden variables, elements.

A sum over hidden values carries the posterior weight `w[z]`; a pure count of units has the name `N[z]`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, count
from typing import Any

import sympy as sp

from emdsl.derive.notation import pattern, plain, product, readable, reference, unwrapped, wrapped
from emdsl.derive.pieces import Derived
from emdsl.derive.simplification import reads_backwards
from emdsl.ir.derivation import Atom, Design, Piece
from emdsl.ir.expressions import (
    AnyPattern,
    BinderRef,
    Choose,
    Expression,
    Label,
    ParameterRef,
    VariableRef,
    number,
    walk,
)
from emdsl.ir.latents import is_continuous
from emdsl.ir.model import Guard, Model, Openness

_ONE = number(1)


@dataclass(frozen=True)
class Scope:
    """The cell and the units of one piece, as texts.

    `units` is what a row is ("" for a prior), `hidden` the hidden variables of the cell, `elements` its bound indices,
    `data` the observed variables that index parameters. `within` says to which values one of the first two is held,
    `given` is what must hold of the data or of several variables together. `weights` are the columns that count
    a unit, `own_weights` those of them that no hidden variable's posterior weight holds already. `averaged` are the
    continuous hidden variables: a sum holds the posterior mean of what depends on them.
    """

    units: str
    hidden: tuple[str, ...]
    elements: tuple[str, ...]
    data: tuple[str, ...]
    within: Mapping[str, str]
    given: tuple[str, ...]
    weights: tuple[str, ...]
    own_weights: tuple[str, ...]
    averaged: tuple[str, ...] = ()

    @property
    def cell(self) -> tuple[str, ...]:
        """Everything that tells one cell from another."""
        return (*self.hidden, *self.elements, *self.data)


def scope_of(piece: Piece, model: Model) -> Scope:
    """The scope of a piece, read off what its formulas look at."""
    every = _hidden_references(piece, model)
    finite = {node for node in every if not is_continuous(model.variable(node.name))}
    hidden = _in_order(finite, model)
    data = {
        reference(r): None
        for p in walk((tuple(atom.terms for atom in piece.atoms), piece.vector))
        if isinstance(p, ParameterRef)
        for index in p.indices
        for r in walk(index)
        if isinstance(r, VariableRef) and model.variable(r.name).kind != "latent"
    }
    within: dict[str, str] = {}
    given: list[str] = []
    for guard in piece.guards:
        subject, text = _condition(guard)
        if subject is not None and subject in (*hidden, *(binder.name for binder in piece.elements)):
            within[subject] = text if subject not in within else f"{within[subject]} and {text}"
        else:
            given.append(text)
    if piece.open is not None:
        given.append(_openness(piece.open))
    weights = () if piece.prior else weight_names(piece.plate, model)
    plates = {model.variable(node.name).plate for node in finite}
    held = max((len(weight_names(plate, model)) for plate in plates), default=0)
    return Scope(
        units=_units(piece, later=finite != every), hidden=hidden,
        elements=tuple(b.name for b in piece.elements), data=tuple(data),
        within=within, given=tuple(given), weights=weights, own_weights=weights[held:],
        averaged=tuple(dict.fromkeys(node.name for node in _ordered(every - finite, model))),
    )  # fmt: skip


def _openness(where: Openness) -> str:
    """In which rows a law counts that looks at data with open cells."""
    if where.cells:
        cells = [reference(cell) for cell in where.cells]
        return f"{' or '.join(cells)} open" if where.hidden else f"{' and '.join(cells)} known"
    unit = "" if where.plate is None else f" in the {where.plate}"
    return f"{'some' if where.hidden else 'no'} {' or '.join(where.names)} open{unit}"


def _units(piece: Piece, later: bool) -> str:
    """What a row is; `later`: where no index `prev(z)` says that the first units are left out, this does."""
    if piece.plate is None:
        return ""
    if piece.when == "first":
        return f"first {piece.plate}" if piece.lag == 1 else f"first {piece.lag} of {piece.plate}"
    return f"later {piece.plate}" if later and piece.when == "after" else piece.plate


def _in_order(references: set[VariableRef], model: Model) -> tuple[str, ...]:
    return tuple(map(reference, _ordered(references, model)))


def _ordered(references: set[VariableRef], model: Model) -> list[VariableRef]:
    order = {variable.name: at for at, variable in enumerate(model.variables)}
    return sorted(references, key=lambda node: (order[node.name], -node.lag))


def _hidden_references(piece: Piece, model: Model) -> set[VariableRef]:
    parts = (piece.atoms, tuple(k.value for k in piece.knowns), piece.guards, piece.vector, piece.stationary,
             piece.multiplier)  # fmt: skip
    nodes = (node for node in walk(parts) if isinstance(node, VariableRef))
    return {node for node in nodes if model.variable(node.name).kind == "latent"}


def weight_names(plate: str | None, model: Model) -> tuple[str, ...]:
    """The weight columns of a plate and of those around it, outermost first."""
    around = {item.name: item.parent for item in model.plates}
    names: list[str] = []
    while plate is not None:
        names = [weight.variable for weight in model.weights if weight.plate == plate] + names
        plate = around[plate]
    return tuple(names)


def _condition(guard: Expression | Guard) -> tuple[str | None, str]:
    """The one subject of a guard (None: several) and what the guard says."""
    if isinstance(guard, Guard):
        return _said(guard)
    if not isinstance(guard, Choose):
        return None, reference(guard)
    chosen = next((arm for arm in guard.arms if arm.value == _ONE), None)
    if chosen is None:
        return None, reference(guard)
    subjects = [reference(subject) for subject in guard.subjects]
    earlier = guard.arms[: guard.arms.index(chosen)]
    if len(subjects) > 1:
        options = " | ".join(", ".join(map(pattern, alternative)) for alternative in chosen.alternatives)
        behind = ", and no case before it" if earlier else ""
        return None, f"({', '.join(subjects)}) = ({options}){behind}"
    matched = [item[0] for item in chosen.alternatives]
    if any(isinstance(item, AnyPattern) for item in matched):
        taken = _labels(item[0] for arm in earlier for item in arm.alternatives)
        return subjects[0], f"{subjects[0]} not in {{{', '.join(taken)}}}"
    return subjects[0], _one_of(subjects[0], _labels(matched))


def _said(guard: Guard) -> tuple[str, str]:
    subject = reference(guard.variable)
    if guard.position:
        where = "a middle level" if guard.position == "middle" else f"the {guard.position} level"
        return subject, f"{subject} is {where}"
    if guard.negated:
        return subject, f"{subject} not in {{{', '.join(guard.labels)}}}"
    return subject, _one_of(subject, guard.labels)


def _one_of(subject: str, labels: Sequence[str]) -> str:
    return f"{subject} = {labels[0]}" if len(labels) == 1 else f"{subject} in {{{', '.join(labels)}}}"


def _labels(patterns: Iterable[Any]) -> list[str]:
    return [label for item in patterns if not isinstance(item, AnyPattern) for label in item.labels]


# --- symbols ----------------------------------------------------------------------------------------------------------


def _free(candidates: Iterable[str], taken: set[str]) -> str:
    return next(name for name in candidates if name not in taken)


@dataclass
class Reading:
    """The symbols of one derivation: names of weights, counts and predictors that clash with none of the user's.

    `counts` are the counts used so far, name to definition; `displayed` the symbols that stand for parameters.
    """

    model: Model
    pieces: tuple[Derived, ...]
    counts: dict[str, tuple[str, str]] = field(default_factory=dict)
    displayed: dict[Any, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        model = self.model
        taken = {item.name for group in (model.parameters, model.variables, model.constants) for item in group}
        self.weight = _free(("w", "gamma", "responsibility"), taken)
        self.count = _free(("N", "count", "expected"), taken)
        base = _free(("m", "eta", "predictor", "linear_predictor"), taken)
        found = dict.fromkeys(atom.terms for piece in self.pieces for atom in piece.piece.atoms if atom.is_predictor)
        several = len(found) > 1
        hidden = {v.name for v in model.variables if is_continuous(v)}
        self._predictors = {terms: f"{base}{at}" if several else base for at, terms in enumerate(found, start=1)}
        #: Predictors that hold continuous hidden variables, and the vector of coefficients of such a predictor.
        self._averaged = {
            name
            for terms, name in self._predictors.items()
            if any(isinstance(node, VariableRef) and node.name in hidden for node in walk(terms))
        }
        self._averaged |= {"d"} if self._averaged else set()
        self.forward = _free(("a", "alpha", "forward"), taken)
        self.backward = _free(("b", "beta", "backward"), taken)
        self.chance = _free(("P", "Pr", "probability"), taken)

    def predictor(self, terms: tuple[Design, ...]) -> str:
        """The name of a predictor."""
        return self._predictors[terms]

    def element(self, atom: Atom, new: frozenset[str] = frozenset()) -> str:
        """An atom as it is written; parameters in `new` have been updated."""
        updated = bool({term.parameter.name for term in atom.terms} & new)
        if atom.is_predictor:
            return self.predictor(atom.terms) + ("_new" if updated else "")
        return reference(atom.terms[0].parameter, new=updated)

    def names(self, piece: Derived, new: frozenset[str] = frozenset()) -> dict[Any, str]:
        """How the atoms of a piece are written."""
        return {s: self.element(a, new) for s, a in zip(piece.atoms, piece.piece.atoms, strict=True)}

    def shown(self, piece: Derived, expression: Any) -> Any:
        """A SymPy expression of a piece with what is known written out."""
        values = {
            symbol: readable(known.value)
            for symbol, known in zip(piece.knowns, piece.piece.knowns, strict=True)
            if symbol in expression.free_symbols
        }
        return expression.xreplace(values) if values else expression

    def text(self, piece: Derived, expression: Any, new: frozenset[str] = frozenset()) -> str:
        """A SymPy expression of a piece as text."""
        return plain(self.shown(piece, expression), self.names(piece, new))

    # --- sums ---------------------------------------------------------------------------------------------------------

    def display(self, piece: Derived, expression: Any, names: Mapping[Any, str]) -> Any:
        """The expression in symbols that are named as they are written."""
        shown = self.shown(piece, expression)
        found = {s: sp.Symbol(names[s], positive=s.is_positive, real=True) for s in shown.free_symbols if s in names}
        self.displayed |= {symbol: symbol.name for symbol in found.values()}
        return shown.xreplace(found)

    def plain(self, expression: Any) -> str:
        """What `display` and `total` give as text."""
        return plain(expression, self.displayed)

    def total(self, piece: Derived, body: Any, fixed: Mapping[str, str], names: Mapping[Any, str]) -> Any:
        """The weighted sum of `body` over the piece's units and all of its cell but what is `fixed` (axis to text).

        It is what all terms have in common, times a symbol that is named by the text of the sum over the rest.
        """
        if body == 0:
            return sp.Integer(0)
        inside = self._varying(piece, fixed)
        outside, rest = body.as_independent(*inside, as_Add=False) if inside else (body, sp.Integer(1))
        number_, rest = rest.as_coeff_Mul()
        outside = number_ * outside
        if rest.is_Add and reads_backwards(rest, set(piece.atoms)):
            outside, rest = -outside, -rest
        scope = scope_of(piece.piece, self.model)
        shown = self.display(piece, outside, names)
        if rest == 1 and scope.units:
            return shown * sp.Symbol(self.counted(scope, fixed), positive=True)
        if rest == 1 and not scope.units and scope.hidden:
            return shown * sp.Symbol(self.sum_text(scope, fixed, "1"), positive=True)
        if rest == 1 and not scope.units:
            sizes = [b.index_set for b in piece.piece.elements if b.name not in fixed]
            return shown * sp.Mul(*[sp.Symbol(f"size({index_set})", positive=True) for index_set in sizes])
        text = self.sum_text(scope, fixed, wrapped(self.shown(piece, rest), names))
        return shown * sp.Symbol(text, real=True)

    def _varying(self, piece: Derived, fixed: Mapping[str, str]) -> list[Any]:
        """The symbols of a piece that change from term to term of the sum."""
        if not piece.piece.elements and not scope_of(piece.piece, self.model).units:
            return []
        found = [s for s, k in zip(piece.knowns, piece.piece.knowns, strict=True) if k.by_row or _refers(k.value)]
        for symbol, atom in zip(piece.atoms, piece.piece.atoms, strict=True):
            indices = atom.terms[0].parameter.indices
            if atom.is_predictor or not all(reference(i) in fixed or isinstance(i, Label) for i in indices):
                found.append(symbol)
        return found

    def counted(self, scope: Scope, fixed: Mapping[str, str]) -> str:
        """`N[...]`, the expected number of units in a cell; its definition is noted."""
        # `N[z = i]` is `N[z]` at i: one definition serves both.
        general = {axis: axis for axis in fixed if axis in scope.cell}
        general |= {text: text for axis, text in fixed.items() if axis not in scope.cell}
        items = self._items(scope, fixed)
        definition = (self.indicator(scope, general), self.sum_text(scope, general))
        if not scope.units:
            return "*".join(f"size({axis})" for axis in scope.elements if axis not in fixed) or "1"
        first = scope.units.split()[0] == "first"
        units = f"_{scope.units.replace(' ', '_')}"
        suffixes = ("_first" if first else "", units, f"{units}_too")
        for suffix in chain(suffixes, (f"{units}_{k}" for k in count(3))):
            name = self.count + suffix + _bracketed(self._items(scope, general))
            if self.counts.setdefault(name, definition) == definition:
                return self.count + suffix + _bracketed(items)
        raise AssertionError("numbers have no end")

    def _items(self, scope: Scope, fixed: Mapping[str, str]) -> list[str]:
        items = [self._item(axis, scope, fixed) for axis in scope.cell if axis in fixed or axis in scope.within]
        return [*items, *_beyond(scope, fixed), *scope.given]

    def _item(self, axis: str, scope: Scope, fixed: Mapping[str, str]) -> str:
        return scope.within.get(axis) or fixed.get(axis, axis)

    def indicator(self, scope: Scope, fixed: Mapping[str, str], body: str = "") -> str:
        """The statistic before expectation: `sum(moth: count*1{z}*body)`, "" where nothing is hidden."""
        if not scope.hidden:
            return ""
        items = self._items(scope, fixed)
        flag = f"1{{{', '.join(items)}}}" if items else ""
        ranges = [scope.units, *(axis for axis in scope.elements if axis not in fixed)]
        return f"sum({', '.join(ranges)}: {product(*scope.weights, flag, body)})"

    def posterior_weight(self, scope: Scope, fixed: Mapping[str, str]) -> str:
        """`w[z]` (the columns of weights where nothing is hidden; "" where all units count alike)."""
        if not scope.units and not scope.hidden:
            return ""
        if not scope.hidden:
            return "*".join(scope.weights)
        items = [fixed.get(axis, axis) for axis in scope.hidden]
        return "*".join([*scope.own_weights, f"{self.weight}[{', '.join(items)}]"])

    def _ranges(self, scope: Scope, fixed: Mapping[str, str]) -> list[str]:
        free = [axis for axis in (*scope.hidden, *scope.elements) if axis not in fixed]
        return [*filter(None, [scope.units]), *(scope.within.get(axis, axis) for axis in free)]

    def mean(self, scope: Scope, *factors: str) -> tuple[str, ...]:
        """The factors; where they depend on continuous hidden variables, the posterior mean of their product, `E[...]`,
        given the finite ones of the cell.
        """
        text = product(*factors)
        words = set(re.findall(r"[^\W\d]\w*", text))
        cells = any(" " in name and name in text for name in scope.averaged)  # an open cell's name is two words
        if not cells and not words & {*scope.averaged, *(self._averaged if scope.averaged else ())}:
            return factors
        given = f" | {', '.join(scope.hidden)}" if scope.hidden else ""
        return (f"E[{unwrapped(text)}{given}]",)

    def sum_text(self, scope: Scope, fixed: Mapping[str, str], *factors: str) -> str:
        """`sum(point, z: w[z]*body)`, over everything that is not fixed; the factors are as `wrapped` gives them."""
        ranges = self._ranges(scope, fixed)
        marked = [*(fixed[axis] for axis in scope.data if axis in fixed), *_beyond(scope, fixed), *scope.given]
        marked += [scope.within[axis] for axis in scope.hidden if axis in fixed and axis in scope.within]
        flag = f"1{{{', '.join(marked)}}}" if marked else ""
        inner = product(self.posterior_weight(scope, fixed), flag, *self.mean(scope, *factors))
        return f"sum({', '.join(ranges)}: {inner})" if ranges else inner


def _bracketed(items: Iterable[str]) -> str:
    text = ", ".join(items)
    return f"[{text}]" if text else ""


def _beyond(scope: Scope, fixed: Mapping[str, str]) -> list[str]:
    """What is fixed besides the cell: an index computed from it, or a label."""
    return [text for axis, text in fixed.items() if axis not in scope.cell]


def _refers(value: Expression) -> bool:
    return any(isinstance(node, VariableRef | BinderRef) for node in walk(value))


def bare_axes(parameter: ParameterRef) -> dict[str, str]:
    """The axes of a cell that a parameter element is told by: indices that are a variable or a bound index."""
    return {reference(i): reference(i) for i in parameter.indices if isinstance(i, VariableRef | BinderRef)}


__all__ = ["Reading", "Scope", "bare_axes", "scope_of", "weight_names"]
