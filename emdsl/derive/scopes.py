"""What a piece's part of Q is summed over: the units of its plate, its hidden variables, its elements; in symbols to read.

A sum over hidden values carries the posterior weight `w[z]`; a pure count of units has the name `N[z]`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import sympy as sp

from emdsl.derive.notation import pattern, plain, readable, reference, wrapped
from emdsl.derive.pieces import Derived
from emdsl.ir.derivation import Atom, Design, Piece
from emdsl.ir.expressions import (
    AnyPattern,
    BinderRef,
    Choose,
    ConstantRef,
    Expression,
    ParameterRef,
    VariableRef,
    number,
    walk,
)
from emdsl.ir.model import Model

_ONE = number(1)


@dataclass(frozen=True)
class Scope:
    """The cell and the units of one piece, as texts.

    `units` is what a row is ("" for a prior), `hidden` the hidden variables of the cell, `elements` its bound indices, `data` the
    observed variables that index parameters. `within` says to which values a hidden variable is held, `given` is what must
    hold of the data or of several variables together. `weights` are the columns that count a unit.
    """

    units: str
    hidden: tuple[str, ...]
    elements: tuple[str, ...]
    data: tuple[str, ...]
    within: Mapping[str, str]
    given: tuple[str, ...]
    weights: tuple[str, ...]

    @property
    def cell(self) -> tuple[str, ...]:
        """Everything that tells one cell from another."""
        return (*self.hidden, *self.elements, *self.data)


def scope_of(piece: Piece, model: Model) -> Scope:
    """The scope of a piece, read off what its formulas look at."""
    hidden = _hidden(piece, model)
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
        if subject is not None and subject in hidden:
            within[subject] = text if subject not in within else f"{within[subject]} and {text}"
        else:
            given.append(text)
    return Scope(
        units=_units(piece), hidden=hidden, elements=tuple(b.name for b in piece.elements), data=tuple(data), within=within,
        given=tuple(given), weights=() if piece.prior else weight_names(piece.plate, model),
    )  # fmt: skip


def _units(piece: Piece) -> str:
    if piece.plate is None:
        return ""
    if piece.when == "first":
        return f"first {piece.plate}" if piece.lag == 1 else f"first {piece.lag} of {piece.plate}"
    return piece.plate


def _hidden(piece: Piece, model: Model) -> tuple[str, ...]:
    found = {
        node
        for node in walk((piece.atoms, tuple(k.value for k in piece.knowns), piece.guards, piece.vector, piece.stationary))
        if isinstance(node, VariableRef) and model.variable(node.name).kind == "latent"
    }
    order = {variable.name: at for at, variable in enumerate(model.variables)}
    return tuple(reference(node) for node in sorted(found, key=lambda node: (order[node.name], -node.lag)))


def weight_names(plate: str | None, model: Model) -> tuple[str, ...]:
    """The weight columns of a plate and of those around it, outermost first."""
    around = {item.name: item.parent for item in model.plates}
    names: list[str] = []
    while plate is not None:
        names = [weight.variable for weight in model.weights if weight.plate == plate] + names
        plate = around[plate]
    return tuple(names)


def _condition(guard: Expression) -> tuple[str | None, str]:
    """The one subject of a guard (None: several) and what the guard says."""
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
    labels = _labels(matched)
    return subjects[0], f"{subjects[0]} = {labels[0]}" if len(labels) == 1 else f"{subjects[0]} in {{{', '.join(labels)}}}"


def _labels(patterns: Iterable[Any]) -> list[str]:
    return [label for item in patterns if not isinstance(item, AnyPattern) for label in item.labels]


# --- symbols ----------------------------------------------------------------------------------------------------------


def _free(candidates: Iterable[str], taken: set[str]) -> str:
    return next(name for name in candidates if name not in taken)


@dataclass
class Reading:
    """The symbols of one derivation: names of weights, counts and predictors that clash with none of the user's, and the counts
    that have been used so far (`counts`: name to definition)."""

    model: Model
    pieces: tuple[Derived, ...]
    counts: dict[str, tuple[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        model = self.model
        taken = {item.name for group in (model.parameters, model.variables, model.constants) for item in group}
        self.weight = _free(("w", "gamma", "responsibility"), taken)
        self.count = _free(("N", "count", "expected"), taken)
        base = _free(("m", "eta", "predictor", "linear_predictor"), taken)
        found = dict.fromkeys(
            atom.terms for piece in self.pieces for atom in piece.piece.atoms if atom.is_predictor
        )
        several = len(found) > 1
        self._predictors = {terms: f"{base}{at}" if several else base for at, terms in enumerate(found, start=1)}
        self.forward = _free(("a", "alpha", "forward"), taken)
        self.backward = _free(("b", "beta", "backward"), taken)

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

    # --- sums -------------------------------------------------------------------------------------------------------------

    def total(
        self, piece: Derived, body: Any, fixed: Mapping[str, str], new: frozenset[str] = frozenset()
    ) -> Any:
        """The weighted sum of `body` over the piece's units and over all of its cell but what is `fixed` (axis to text): a number
        times a symbol that is named by its text."""
        if body == 0:
            return sp.Integer(0)
        number_, rest = body.as_coeff_Mul()
        if number_ < 0 and rest.is_Add and rest.could_extract_minus_sign():
            number_, rest = -number_, -rest
        scope = scope_of(piece.piece, self.model)
        if rest == 1 and scope.units:
            return number_ * sp.Symbol(self.counted(scope, fixed), positive=True)
        text = self._sum(scope, fixed, wrapped(self.shown(piece, rest), self.names(piece, new)))
        return number_ * sp.Symbol(text, real=True)

    def counted(self, scope: Scope, fixed: Mapping[str, str]) -> str:
        """`N[...]`, the expected number of units in a cell; its definition is noted."""
        items = [self._item(axis, scope, fixed) for axis in scope.cell if axis in fixed or axis in scope.within]
        items += scope.given
        definition = (self._indicator(scope, fixed), self._sum(scope, fixed, ""))
        suffixes = ("", f"_{scope.units.split()[0]}", f"_{scope.units.replace(' ', '_')}", "_other")
        for suffix in suffixes:
            name = self.count + suffix + (f"[{', '.join(items)}]" if items else "")
            if self.counts.setdefault(name, definition) == definition:
                return name
        raise AssertionError(f"no free name for {definition}")

    def _item(self, axis: str, scope: Scope, fixed: Mapping[str, str]) -> str:
        return scope.within.get(axis) or fixed.get(axis, axis)

    def _indicator(self, scope: Scope, fixed: Mapping[str, str]) -> str:
        """The count before expectation: `sum(moth: count*1{z})`, "" where nothing is hidden."""
        if not scope.hidden:
            return ""
        items = [self._item(axis, scope, fixed) for axis in scope.cell if axis in fixed or axis in scope.within]
        flag = f"1{{{', '.join([*items, *scope.given])}}}" if items or scope.given else ""
        ranges = [scope.units, *(axis for axis in scope.elements if axis not in fixed)]
        return f"sum({', '.join(ranges)}: {'*'.join(filter(None, [*scope.weights, flag])) or '1'})"

    def posterior_weight(self, scope: Scope, fixed: Mapping[str, str]) -> str:
        """`w[z]` (the columns of weights where nothing is hidden; "" where all units count alike)."""
        if not scope.units:
            return ""
        if not scope.hidden:
            return "*".join(scope.weights)
        items = [fixed.get(axis, axis) for axis in scope.hidden]
        return f"{self.weight}[{', '.join(items)}]"

    def _sum(self, scope: Scope, fixed: Mapping[str, str], body: str) -> str:
        free = [axis for axis in (*scope.hidden, *scope.elements) if axis not in fixed]
        ranges = [*filter(None, [scope.units]), *(scope.within.get(axis, axis) for axis in free)]
        marked = [*(fixed[axis] for axis in scope.data if axis in fixed), *scope.given]
        marked += [scope.within[axis] for axis in scope.hidden if axis in fixed and axis in scope.within]
        flag = f"1{{{', '.join(marked)}}}" if marked else ""
        inner = "*".join(filter(None, [self.posterior_weight(scope, fixed), flag, body])) or "1"
        return f"sum({', '.join(ranges)}: {inner})" if ranges else inner


def bare_axes(parameter: ParameterRef) -> dict[str, str]:
    """The axes of a cell that a parameter element is told by: indices that are a variable or a bound index themselves."""
    return {reference(i): reference(i) for i in parameter.indices if isinstance(i, VariableRef | BinderRef)}


__all__ = ["ConstantRef", "Reading", "Scope", "bare_axes", "scope_of", "weight_names"]
