"""The symbols of one piece: atoms (what it is differentiated in) and knowns, with their assumptions for SymPy."""

from __future__ import annotations

import keyword
import re
from dataclasses import dataclass, field
from typing import Any

import sympy as sp

from emdsl.derive.expressions import numeric_variables
from emdsl.derive.tails import NAMES
from emdsl.ir.derivation import Atom, Design, Known
from emdsl.ir.expressions import BinderRef, ConstantRef, Expression, Label, VariableRef, walk
from emdsl.ir.identifiers import identifier
from emdsl.ir.model import Model

#: Names that generated code uses itself.
_RESERVED = re.compile(r"^(S\d*|R\d+|np|pi|theta|flat|here|table|piece|pieces|weights|[A-Za-z_]+_)$")
_FUNCTIONS = frozenset(
    [
        "exp",
        "log",
        "log1p",
        "lgamma_step",
        "polygamma_step",
        "sqrt",
        "sin",
        "cos",
        "tan",
        "lgamma",
        "digamma",
        "trigamma",
        "polygamma",
        "logistic",
        "log_logistic",
        "Phi",
        "log_Phi",
        "probit",
        "where",
        "sign",
        "atan2",
        "log_i0",
        "i1_over_i0",
        "abs",
        "min",
        "max",
        "sum",
        "log1mexp",
        "log_add",
        "log_subtract",
        "log_interval",
        "interval_slope",
        "interval_bend",
        *NAMES.values(),
        "at_most",
        "below",
    ]
)

#: Domains whose elements are positive numbers.
POSITIVE = frozenset({"positive", "unit", "simplex"})


@dataclass
class Symbols:
    """Collects the atoms and knowns of one piece while its expression is converted."""

    model: Model
    data: frozenset[str]
    atoms: list[Atom] = field(default_factory=list)
    knowns: list[Known] = field(default_factory=list)
    taken: set[str] = field(default_factory=set)
    atom_symbols: list[Any] = field(default_factory=list)
    known_symbols: list[Any] = field(default_factory=list)
    wanted: tuple[tuple[Design, ...], ...] = ()

    def again(self) -> Symbols:
        """Empty symbols that know which predictors the first conversion found."""
        wanted = tuple(atom.terms for atom in self.atoms if atom.is_predictor)
        return Symbols(self.model, self.data, wanted=wanted)

    def atom(self, terms: tuple[Design, ...]) -> Any:
        """The SymPy symbol of a parameter element or predictor."""
        for atom, symbol in zip(self.atoms, self.atom_symbols, strict=True):
            if atom.terms == terms:
                return symbol
        plain = len(terms) == 1 and terms[0].coefficient is None and not terms[0].over
        if plain:
            reference = terms[0].parameter
            name = self._name("_".join([reference.name, *map(_index_name, reference.indices)]))
            domain = self.model.parameter(reference.name).domain
            positive = domain.kind in POSITIVE or (domain.kind == "interval" and _nonnegative(domain.low))
        else:
            name, positive = self._name("m" if "m" not in self.taken else "m2"), False
        symbol = sp.Symbol(name, positive=True) if positive else sp.Symbol(name, real=True)
        self.atoms.append(Atom(name, terms))
        self.atom_symbols.append(symbol)
        return symbol

    def known(self, value: Expression, hint: str = "") -> Any:
        """The SymPy symbol of something that no parameter enters."""
        for known, symbol in zip(self.knowns, self.known_symbols, strict=True):
            if known.value == value:
                return symbol
        name = self._name(hint or _known_name(value))
        positive, integer = self._assumptions(value)
        if positive:
            symbol = sp.Symbol(name, positive=True)
        elif integer:
            symbol = sp.Symbol(name, integer=True, nonnegative=True)
        else:
            symbol = sp.Symbol(name, real=True)
        self.knowns.append(Known(name, value, self.by_row(value)))
        self.known_symbols.append(symbol)
        return symbol

    def extra(self, hint: str) -> str:
        """A fresh name that is neither atom nor known."""
        return self._name(hint)

    def by_row(self, value: Expression) -> bool:
        """Whether the value varies by row: data occur in it, as a number or as an index of a constant, or the element
        of a plate across columns."""
        across = {plate.over for plate in self.model.plates if plate.over is not None}
        return any(
            (isinstance(node, VariableRef) and node.name in self.data)
            or (isinstance(node, BinderRef) and node.binder in across)
            for node in walk(value)
        )

    def mixed(self, value: Expression) -> bool:
        """Whether the value varies both by row and by hidden state: it is then no statistic."""
        latent = any(
            isinstance(node, VariableRef) and self.model.variable(node.name).kind == "latent" for node in walk(value)
        )
        return latent and self.by_row(value)

    def _assumptions(self, value: Expression) -> tuple[bool, bool]:
        if isinstance(value, VariableRef):
            domain = self.model.variable(value.name).domain
            return domain.kind in ("positive", "unit"), domain.kind == "natural"
        return False, False

    def _name(self, wanted: str) -> str:
        name = identifier(wanted)
        if not name.isidentifier():
            name = f"v_{name}"
        if keyword.iskeyword(name) or name in _FUNCTIONS or _RESERVED.match(name):
            name += "_0"
        base, count = name, 1
        while name in self.taken:
            count += 1
            name = f"{base}_{count}"
        self.taken.add(name)
        return name


def _nonnegative(low: Any) -> bool:
    return low is not None and getattr(low, "value", -1) >= 0


def _index_name(index: Expression) -> str:
    match index:
        case VariableRef(name, _, lag):
            return name if not lag else f"prev_{name}" if lag == 1 else f"prev{lag}_{name}"
        case BinderRef(binder):
            return binder.name
        case Label(_, label):
            return label
        case ConstantRef(name):
            return name
    return "i"


def _known_name(value: Expression) -> str:
    match value:
        case VariableRef(name, indices, lag):
            return "_".join([name if not lag else f"prev_{name}", *map(_index_name, indices)])
        case ConstantRef(name, indices):
            return "_".join([name, *map(_index_name, indices)])
        case BinderRef(binder):
            return binder.name
    names = sorted(item.name for item in numeric_variables(value))
    return "k_" + "_".join(names[:2]) if names else "k"
