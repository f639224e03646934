"""Parts of a log-density to `Piece`s: SymPy form, separation, gradient and Hessian of one cell."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import sympy as sp

from emdsl.derive.columns import quadratic_in_columns
from emdsl.derive.conversion import convert
from emdsl.derive.deadline import DeadlineExceeded, deadline
from emdsl.derive.expressions import fold
from emdsl.derive.gaussian import gaussian_vector
from emdsl.derive.matrix_priors import (
    ARRAY_FUNCTIONS,
    ArrayTerm,
    array_text,
    element_of,
    matrix_text,
    moment_text,
    split_arrays,
    units_text,
)
from emdsl.derive.normal_laws import normal_law
from emdsl.derive.printing import source
from emdsl.derive.separation import Separated, centre, separate
from emdsl.derive.splitting import Part, split_branch
from emdsl.derive.symbols import Symbols
from emdsl.derive.vector_parts import with_parts
from emdsl.ir.derivation import ArrayPrior, Piece, Shift, Term
from emdsl.ir.expressions import Apply, Binder, Expression, ParameterRef, Stationary, VariableRef, walk
from emdsl.ir.latents import is_continuous
from emdsl.ir.model import Branch, Factor, Model, Parameter


@dataclass(frozen=True)
class Derived:
    """A piece with the SymPy objects behind it, which the rules of the M-step work on.

    `quantity` is what gradient and Hessian are of: `sum_j eta_j S_j`, or the log-density by row. `raw` is the
    log-density before centring and `separation` its uncentred separation, both for reading.
    """

    piece: Piece
    quantity: Any
    atoms: tuple[Any, ...]
    knowns: tuple[Any, ...]
    statistics: tuple[Any, ...]
    raw: Any
    separation: Separated | None

    def atoms_of(self, parameter: str) -> list[int]:
        """Positions of the bare elements of a parameter."""
        return [
            i
            for i, atom in enumerate(self.piece.atoms)
            if not atom.is_predictor and atom.terms[0].parameter.name == parameter
        ]

    @property
    def parameters(self) -> set[str]:
        """Every parameter that occurs."""
        names = {term.parameter.name for atom in self.piece.atoms for term in atom.terms}
        if self.piece.stationary is not None:
            names.add(self.piece.stationary.matrix.name)
        if self.piece.vector is not None:
            names |= {n.name for n in walk((self.piece.vector.mean, self.piece.vector.covariance)) if _is_parameter(n)}
        if self.piece.arrays is not None:
            names |= {name for names_ in self.piece.arrays.parameters for name in names_}
        return names


def _is_parameter(node: Any) -> bool:
    return type(node).__name__ == "ParameterRef"


def factor_pieces(factor: Factor, model: Model) -> Iterator[Derived]:
    """The pieces of a `~` or `factor` statement."""
    parts = [part for branch in factor.branches for part in split_branch(branch, model)]
    for number, part in enumerate(parts):
        name = factor.name if len(parts) == 1 else f"{factor.name}#{number + 1}"
        yield derive_piece(part, name, factor, model)


def prior_pieces(parameter: Parameter, model: Model) -> Iterator[Derived]:
    """The pieces of a parameter's log-prior: weight 1, one cell for each element."""
    assert parameter.prior is not None
    branch = Branch((), parameter.prior.log_density)
    name = f"prior:{parameter.name}"
    factor = Factor(name, None, parameter.prior.binders, None, (branch,), text=parameter.prior.text)
    parts = list(split_branch(branch, model))
    for number, part in enumerate(parts):
        label = name if len(parts) == 1 else f"{name}#{number + 1}"
        arrays, rest = split_arrays(part.expression)
        if rest is not None:
            yield derive_piece(replace(part, expression=rest), label, factor, model, prior=True)
        for count, term in enumerate(arrays, start=1):
            yield from _array_pieces(term, part, f"{label}@{count}", factor, model)


def _array_pieces(term: ArrayTerm, part: Part, name: str, factor: Factor, model: Model) -> Iterator[Derived]:
    """A function of whole arrays of parameters, and before it one element of each of its arguments."""
    arguments = []
    axes = ARRAY_FUNCTIONS[term.function]
    for place, (array, count) in enumerate(zip(term.arguments, axes, strict=True)):
        body, binders = element_of(array, count, f"{name}/{place}", model)
        inner = replace(part, expression=body, binders=(*part.binders, *binders))
        derived = _argument_piece(inner, f"{name}/{place}", factor, model)
        arguments.append(derived)
        yield derived
    prior = ArrayPrior(
        term.function, term.coefficient, tuple(item.piece.name for item in arguments),
        parameters=tuple(tuple(sorted(item.parameters)) for item in arguments),
        linear=tuple(not item.piece.hessian for item in arguments),
        whole=tuple(_whole(array, model) for array in term.arguments),
        text=array_text(term), units=units_text(term), moment=moment_text(term), matrix=matrix_text(term),
    )  # fmt: skip
    piece = Piece(
        name=name, factor=factor.name, form="arrays", plate=None, elements=(*factor.elements, *part.binders),
        guards=part.guards, target=None, atoms=(), knowns=(), log_density="", prior=True, arrays=prior,
    )  # fmt: skip
    yield Derived(piece, sp.Integer(0), (), (), (), sp.Integer(0), None)


def _argument_piece(part: Part, name: str, factor: Factor, model: Model) -> Derived:
    """One element of a vector or matrix, times its statistic: what waits for it in reverse."""
    symbols = Symbols(model, frozenset())
    value = convert(fold(part.expression), symbols, linear=False)
    atoms, statistic = tuple(symbols.atom_symbols), sp.Symbol("S0", real=True)
    piece = Piece(
        name=name, factor=factor.name, form="separable", plate=None, elements=(*factor.elements, *part.binders),
        guards=part.guards, target=None, atoms=tuple(symbols.atoms), knowns=tuple(symbols.knowns),
        log_density=source(value), gradient=_gradient(value * statistic, atoms),
        hessian=_hessian(value * statistic, atoms), terms=(Term(source(value), "1"),), prior=True, argument=True,
    )  # fmt: skip
    return Derived(piece, value * statistic, atoms, tuple(symbols.known_symbols), (statistic,), value, None)


def _whole(array: Expression, model: Model) -> str:
    """The parameter that an array is one element of the domain of, a whole matrix or vector; empty where it is none."""
    if not isinstance(array, ParameterRef):
        return ""
    return array.name if len(array.indices) == len(model.parameter(array.name).axes) else ""


def derive_piece(part: Part, name: str, factor: Factor, model: Model, *, prior: bool = False) -> Derived:
    """One part as a piece: the form by structure, then derivatives."""
    # A continuous hidden variable is like a datum: every point at which the posterior is evaluated gives it a number.
    data = frozenset(v.name for v in model.variables if v.kind != "latent" or is_continuous(v))
    symbols = Symbols(model, data)
    common: dict[str, Any] = {
        "name": name, "factor": factor.name, "plate": factor.plate, "elements": (*factor.elements, *part.binders),
        "guards": part.guards, "target": factor.target, "when": factor.when, "lag": factor.lag, "prior": prior,
        "continuous": _continuous(factor.target, model), "around": factor.around,
        "open": factor.open,
    }  # fmt: skip
    vector = None if prior else gaussian_vector(part.expression, model)
    if vector is not None:
        vector = with_parts(vector, model, common)
        piece = Piece(form="gaussian", atoms=(), knowns=(), log_density="", vector=vector, **common)
        return Derived(piece, sp.Integer(0), (), (), (), sp.Integer(0), None)
    if isinstance(part.expression, Apply) and isinstance(part.expression.args[0], Stationary):
        piece = Piece(
            form="stationary", atoms=(), knowns=(), log_density="", stationary=part.expression.args[0],
            terms=(Term("0", "1"),), **common,
        )  # fmt: skip
        return Derived(piece, sp.Integer(0), (), (), (), sp.Integer(0), None)
    linear = part.reduced is None
    log_density = convert(part.expression, symbols, linear=linear)
    if any(atom.is_predictor for atom in symbols.atoms):
        # Once more, so that a predictor found inside a function is used also where the log-density is linear in it.
        symbols = symbols.again()
        log_density = convert(part.expression, symbols, linear=linear)
    if part.reduced is not None:
        common["multiplier"] = part.multiplier
        return _log_sum_exp(log_density, part.reduced, int(part.scale), symbols, common)
    return _scalar(log_density, symbols, common)


def _continuous(target: VariableRef | None, model: Model) -> bool:
    if target is None:
        return False
    return model.variable(target.name).domain.kind in ("real", "positive", "unit", "interval")


def _log_sum_exp(body: Any, binder: Binder, sign: int, symbols: Symbols, common: dict[str, Any]) -> Derived:
    atoms = tuple(symbols.atom_symbols)
    piece = Piece(
        form="log-sum-exp", atoms=tuple(symbols.atoms), knowns=tuple(symbols.knowns), log_density=source(body),
        gradient=_gradient(body, atoms), hessian=_hessian(body, atoms), reduced=binder, sign=sign, **common,
    )  # fmt: skip
    return Derived(piece, body, atoms, tuple(symbols.known_symbols), (), body, None)


def _scalar(log_density: Any, symbols: Symbols, common: dict[str, Any]) -> Derived:
    rows, row_atoms = _row_symbols(symbols)
    atoms = tuple(symbols.atom_symbols)
    found: Separated | None = None
    if not row_atoms and not any(symbols.mixed(known.value) for known in symbols.knowns):
        try:
            with deadline(2.0):
                found = separate(log_density, frozenset(atoms), rows)
        except DeadlineExceeded:
            found = None
    if found is None:
        piece = Piece(
            form="rows", atoms=tuple(symbols.atoms), knowns=tuple(symbols.knowns), log_density=source(log_density),
            gradient=_gradient(log_density, atoms), hessian=_hessian(log_density, atoms),
            quadratic=quadratic_in_columns(log_density, symbols),
            law=normal_law(log_density, symbols, common["target"]), **common,
        )  # fmt: skip
        return Derived(piece, log_density, atoms, tuple(symbols.known_symbols), (), log_density, None)
    centred = centre(log_density, found, rows, lambda: _fresh_shift(symbols))
    statistics = tuple(sp.Symbol(f"S{j}", real=True) for j in range(len(centred.etas)))
    quantity = sum((e * s for e, s in zip(centred.etas, statistics, strict=True)), sp.Integer(0))
    terms = tuple(Term(source(e), source(t)) for e, t in zip(centred.etas, centred.statistics, strict=True))
    shifts = tuple(Shift(u.name, c.name, s.name, source(base)) for u, c, s, base in centred.shifts)
    piece = Piece(
        form="separable", atoms=tuple(symbols.atoms), knowns=tuple(symbols.knowns), log_density=source(log_density),
        gradient=_gradient(quantity, atoms), hessian=_hessian(quantity, atoms), terms=terms, shifts=shifts, **common,
    )  # fmt: skip
    return Derived(piece, quantity, atoms, tuple(symbols.known_symbols), statistics, log_density, found)


def _fresh_shift(symbols: Symbols) -> tuple[Any, Any, Any]:
    names = [symbols.extra(hint) for hint in ("u", "centre", "scale")]
    return (sp.Symbol(names[0], real=True), sp.Symbol(names[1], real=True), sp.Symbol(names[2], positive=True))


def _row_symbols(symbols: Symbols) -> tuple[frozenset[Any], bool]:
    """Known symbols that vary by row, and whether some predictor does."""
    pairs = zip(symbols.knowns, symbols.known_symbols, strict=True)
    rows = frozenset(symbol for known, symbol in pairs if known.by_row)
    by_row = any(
        term.coefficient is not None and symbols.by_row(term.coefficient)
        for atom in symbols.atoms
        for term in atom.terms
    )
    return rows, by_row


def _gradient(quantity: Any, atoms: tuple[Any, ...]) -> tuple[str, ...]:
    return tuple(source(sp.diff(quantity, atom)) for atom in atoms)


def _hessian(quantity: Any, atoms: tuple[Any, ...]) -> tuple[tuple[int, int, str], ...]:
    entries = []
    for i, first in enumerate(atoms):
        derivative = sp.diff(quantity, first)
        for j in range(i, len(atoms)):
            # A kink has a second derivative of 0 almost everywhere.
            second = sp.diff(derivative, atoms[j]).replace(sp.DiracDelta, lambda *_: sp.Integer(0))
            if second != 0:
                entries.append((i, j, source(second)))
    return tuple(entries)
