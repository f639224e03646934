"""Each rule of the M-step to read: the stationarity condition, its solution, and why it is a maximum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sympy as sp

from emdsl.derive.candidate import Candidate
from emdsl.derive.group_steps import gaussian_step, group_step
from emdsl.derive.notation import reference
from emdsl.derive.pieces import Derived
from emdsl.derive.scopes import Reading, bare_axes, scope_of
from emdsl.derive.simplification import as_written, positive_ratio, tidy
from emdsl.derive.solving import solve_stationarity
from emdsl.derive.updates import by_basis, without_common_factor
from emdsl.ir.derivation import Atom, Step
from emdsl.ir.expressions import BinderRef, Expression, Label, VariableRef
from emdsl.ir.model import Parameter

_LETTERS = "ijklh"


def update_step(candidate: Candidate, done: frozenset[str], reading: Reading) -> Step:
    """One update as a step; `done` are the parameters that are updated before it."""
    update = candidate.update
    new = (candidate.depends & done) - set(update.parameters)
    by_name = {piece.piece.name: piece for piece in reading.pieces}
    match update.rule, update.formula:
        case "simplex", _:
            before, after, bend = _simplex(candidate, by_name, reading)
        case "bound", _:
            before, after, bend = _bound(candidate, by_name, reading)
        case "closed form", _:
            before, after, bend = _closed_form(candidate, by_name, new, reading)
        case _, "gaussian":
            before, after, bend = gaussian_step(candidate, by_name, new, reading)
        case _:
            before, after, bend = group_step(candidate, new, reading)
    return Step(update.rule, ", ".join(update.parameters), before, after, "\n".join(_notes(candidate, new, bend)))


def _notes(candidate: Candidate, new: frozenset[str], bend: str) -> list[str]:
    update = candidate.update
    notes = []
    if update.reason:
        lead = "no closed form" if update.rule == "newton" else "solved together"
        notes.append(f"{lead}: {update.why}")
    if new:
        names = _listed(f"{name}_new" for name in sorted(new))
        notes.append(f"{names}: the values that this M-step has already updated")
    if update.conditional:
        names = _listed(update.conditional)
        verb = "are" if len(update.conditional) > 1 else "is"
        notes.append(f"conditional: {names} at the current values, which {verb} updated later (ECM)")
    if bend:
        notes.append(f"a maximum: {bend}")
    if update.note:
        notes.append(update.note)
    return notes


def _listed(names: Any) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else str(last)


# --- elements ---------------------------------------------------------------------------------------------------------


def element_of(parameter: Parameter, atoms: Sequence[Atom]) -> tuple[str, list[dict[str, str]], tuple[str, ...]]:
    """How the updated element is written, what it fixes in each contribution's cell, and its indices.

    The indices as they stand, where every contribution has the same plain ones; else letters, `p[i]`, with `z = i` in
    each cell.
    """
    references = [atom.terms[0].parameter for atom in atoms]
    first = references[0]
    plain_ones = all(isinstance(i, VariableRef | BinderRef | Label) for i in first.indices)
    if plain_ones and all(r.indices == first.indices for r in references):
        return reference(first), [bare_axes(first)] * len(atoms), tuple(map(reference, first.indices))
    letters = [letter for letter in _LETTERS if letter != parameter.name][: len(first.indices)]
    fixed = [
        {reference(index): f"{reference(index)} = {letter}" for index, letter in zip(r.indices, letters, strict=True)}
        for r in references
    ]
    return f"{parameter.name}[{', '.join(letters)}]", fixed, tuple(letters)


# --- simplex ----------------------------------------------------------------------------------------------------------


def _simplex(candidate: Candidate, by_name: Mapping[str, Derived], reading: Reading) -> tuple[str, str, str]:
    parameter = reading.model.parameter(candidate.update.parameters[0])
    contributions = candidate.update.contributions
    if not contributions:
        return "", f"{parameter.name} does not occur in Q and keeps its value", ""
    atoms = [by_name[c.piece].piece.atoms[c.atom] for c in contributions]
    element, fixed, indices = element_of(parameter, atoms)
    count = sp.Integer(0)
    for contribution, at in zip(contributions, fixed, strict=True):
        piece = by_name[contribution.piece]
        symbol = piece.atoms[contribution.atom]
        body = sp.expand(symbol * sp.diff(piece.raw, symbol))
        count += reading.total(piece, body, at, reading.names(piece))
    text, where = reading.plain(count), ""
    event = len(parameter.domain.axes)
    if len(contributions) > 1 or count.is_Add:
        name = _fresh("n", reading)
        text, where = f"{name}[{', '.join(indices)}]", f"{name}[{', '.join(indices)}] = {text}"
    generic = any(axis != at[axis] for at in fixed for axis in at)
    axes = zip(indices[-event:], parameter.domain.axes, strict=True)
    over = ", ".join(f"{index} in {axis}" if generic else index for index, axis in axes)
    multiplier = _fresh("lambda", reading)
    lagrangian = f"L = sum({over}: {text}*log({element})) + {multiplier}*(1 - sum({over}: {element}))"
    condition = f"dL/d{element} = {text}/{element} - {multiplier} = 0, so that {multiplier} = sum({over}: {text})"
    after = [f"{element} = {text}/sum({over}: {text})", *([f"with {where}"] if where else [])]
    return f"{lagrangian}\n{condition}", "\n".join(after), f"d2L/d{element}^2 = -{text}/{element}^2 < 0"


def _fresh(name: str, reading: Reading) -> str:
    model = reading.model
    taken = {item.name for group in (model.parameters, model.variables, model.constants) for item in group}
    return name if name not in taken else f"{name}_"


# --- bounds of the support --------------------------------------------------------------------------------------------


def _bound(candidate: Candidate, by_name: Mapping[str, Derived], reading: Reading) -> tuple[str, str, str]:
    """The tightest value that leaves every unit that counts inside the support."""
    update = candidate.update
    parameter = reading.model.parameter(update.parameters[0])
    pieces = [by_name[c.piece] for c in update.contributions]
    atoms = [piece.piece.atoms[c.atom] for piece, c in zip(pieces, update.contributions, strict=True)]
    element, _, _ = element_of(parameter, atoms)
    least = update.formula == "min"
    lines = []
    for piece, contribution in zip(pieces, update.contributions, strict=True):
        known = dict(zip((s.name for s in piece.knowns), piece.knowns, strict=True))
        (text,) = contribution.sources
        shown = reading.text(piece, known[text]) if text in known else text
        weight = reading.posterior_weight(scope_of(piece.piece, reading.model), {})
        which = f" of the units with {weight} > 0" if weight else ""
        lines.append(f"{update.formula}({shown}){which}")
    sign = ">= 0 up to the least" if least else "<= 0 down to the largest"
    before = (
        f"the support needs {element} {'<=' if least else '>='} every datum that counts; dQ/d{element} {sign} of them"
    )
    return before, f"{element} = " + (lines[0] if len(lines) == 1 else f"{update.formula}({', '.join(lines)})"), ""


# --- closed form ------------------------------------------------------------------------------------------------------


def _closed_form(
    candidate: Candidate, by_name: Mapping[str, Derived], new: frozenset[str], reading: Reading
) -> tuple[str, str, str]:
    parameter = reading.model.parameter(candidate.update.parameters[0])
    places = [(as_written(by_name[c.piece]), c.atom) for c in candidate.update.contributions]
    by_label: dict[tuple[Expression, ...], list[tuple[Derived, int]]] = {}
    for piece, i in places:
        by_label.setdefault(piece.piece.atoms[i].terms[0].parameter.indices, []).append((piece, i))
    apart = all(isinstance(index, Label) for indices in by_label for index in indices)
    reads = [_one_element(parameter, group, new, reading) for group in (by_label.values() if apart else [places])]
    before, after, second = ("\n".join(texts) for texts in zip(*reads, strict=True))
    return before, after, second


def _one_element(
    parameter: Parameter, places: Sequence[tuple[Derived, int]], new: frozenset[str], reading: Reading
) -> tuple[str, str, str]:
    """Stationarity in one element, its solution, and the second derivative there."""
    element, fixed, _ = element_of(parameter, [piece.piece.atoms[i] for piece, i in places])
    shown = [{**reading.names(piece, new), piece.atoms[i]: element} for piece, i in places]
    slope = bend = sp.Integer(0)
    for (piece, i), at, names in zip(places, fixed, shown, strict=True):
        first = sp.diff(piece.quantity, piece.atoms[i])
        slope += reading.total(piece, tidy(first), at, names)
        bend += reading.total(piece, tidy(sp.diff(first, piece.atoms[i])), at, names)
    before = f"dQ/d{element} = {reading.plain(slope)} = 0"
    second = f"d2Q/d{element}^2 = {reading.plain(bend)}, negative there"
    x = sp.Symbol("x_", positive=True) if parameter.domain.kind in ("positive", "unit") else sp.Symbol("x_", real=True)
    found = without_common_factor([(piece, i, by_basis(piece, i, x)) for piece, i in places])
    basis = tuple(dict.fromkeys(v for _, _, terms in found for v in terms))
    accumulators = tuple(sp.Symbol(f"R{m}", real=True) for m in range(len(basis)))
    solution = solve_stationarity(x, basis, accumulators)
    if solution is None:
        return before, f"{element} is the root of this", second
    sums = {}
    for v, accumulator in zip(basis, accumulators, strict=True):
        parts = zip(found, fixed, shown, strict=True)
        totals = [reading.total(p, tidy(terms[v]), at, names) for (p, _, terms), at, names in parts if v in terms]
        sums[accumulator] = sum(totals, sp.Integer(0))
    if solution.is_Pow and solution.exp == sp.Rational(1, 2):
        return before, f"{element}^2 = {reading.plain(positive_ratio(solution.base.xreplace(sums)))}", second
    return before, f"{element} = {reading.plain(positive_ratio(solution.xreplace(sums)))}", second
