"""The derivation as steps to read, in the order of a textbook, from the log-likelihood to the M-step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import sympy as sp

from emdsl.derive.candidate import Candidate
from emdsl.derive.group_steps import residual
from emdsl.derive.integral_steps import integral_steps, integrated_laws
from emdsl.derive.notation import is_sum, joined, plain, product, readable, reference, wrapped
from emdsl.derive.pieces import Derived
from emdsl.derive.posterior_steps import law_text, posterior_steps
from emdsl.derive.scopes import Reading, scope_of
from emdsl.derive.selection_steps import selection_steps
from emdsl.derive.update_steps import update_step
from emdsl.ir.derivation import Design, Integral, Step, Vector
from emdsl.ir.model import Factor, Map, Model


def derivation_steps(
    model: Model, pieces: Sequence[Derived], candidates: Sequence[Candidate], found: Sequence[Integral] = (),
    completions: Sequence[Step] = (),
) -> tuple[Step, ...]:  # fmt: skip
    """The whole derivation. Every formula is one line (or several) of plain text that stands by itself.

    Rules, in order: `complete-data log-likelihood`, `log-density`, `predictor`, `prior`, `separation`, `posterior`,
    `selection`, `completion`, `statistics`, `Q`, and for each update the name of its rule.
    """
    reading = Reading(model, tuple(pieces))
    expected = [*_q_steps(reading)]
    updates = []
    done: frozenset[str] = frozenset()
    for candidate in candidates:
        updates.append(update_step(candidate, done, reading))
        done |= set(candidate.update.parameters)
    return (
        _complete(reading),
        *_density_steps(reading),
        *_predictor_steps(reading),
        *_separation_steps(reading),
        *integral_steps(found, reading),
        *posterior_steps(model, reading, integrated_laws(found, model)),
        *selection_steps(model, reading),
        *completions,
        *_statistic_steps(reading),
        *expected,
        *updates,
    )


# --- complete-data log-likelihood -------------------------------------------------------------------------------------


def _complete(reading: Reading) -> Step:
    model = reading.model
    laws, densities = "", ""
    for plate in [*(item.name for item in reversed(model.plates)), None]:
        items: tuple[Factor | Map, ...] = (*model.factors, *model.maps)
        own = [item for item in items if item.plate == plate]
        symbols = [f"log {_placed(law_text(item, model), item)}" for item in own] + ([laws] if laws else [])
        parts = [text for factor in model.factors if factor.plate == plate for text in _written(factor, reading)]
        parts += [densities] if densities else []
        if plate is None:
            laws, densities = " + ".join(symbols), joined(parts)
            continue
        weight = "".join(f"{item.variable} * " for item in model.weights if item.plate == plate)
        laws = _summed(plate, weight, symbols)
        densities = _summed(plate, weight, parts)
    priors = [text for parameter in model.parameters for text in _prior_texts(parameter.name, reading)]
    densities = joined([densities, *priors])
    notes = []
    if model.maps:
        notes.append("the map from hidden to observed values adds the logarithm of 1 or 0: it says which are possible")
    if priors:
        notes.append("with the log-priors, so that Q has its maximum at the posterior mode")
    return Step("complete-data log-likelihood", "", laws, densities, "\n".join(notes))


def _placed(text: str, item: Factor | Map) -> str:
    if isinstance(item, Map) or item.when == "always":
        return text
    first = "the first" if item.lag < 2 else f"the first {item.lag} of"
    return f"{text} in {first if item.when == 'first' else 'every later'} {item.plate}"


def _summed(plate: str, weight: str, parts: Sequence[str]) -> str:
    if not parts:
        return ""
    inner = joined(parts)
    return f"sum over {plate}: {weight}{_wrapped_sum(inner)}"


def _wrapped_sum(text: str) -> str:
    return f"({text})" if is_sum(text) else text


def _written(factor: Factor, reading: Reading) -> Iterator[str]:
    """The log-densities of a factor's pieces, each with the condition under which it counts."""
    for piece in reading.pieces:
        if piece.piece.factor != factor.name or piece.piece.prior:
            continue
        text = _log_density(piece, reading)
        scope = scope_of(piece.piece, reading.model)
        conditions = [*scope.within.values(), *scope.given]
        if piece.piece.when == "first":
            conditions.append(scope.units)
        elif piece.piece.when == "after":
            lead = "first" if piece.piece.lag == 1 else f"first {piece.piece.lag} of"
            conditions.append(f"not {lead} {piece.piece.plate}")
        product = f"1{{{', '.join(conditions)}}}*{_wrapped_sum(text)}" if conditions else text
        elements = ", ".join(scope.elements)
        yield f"sum({elements}: {product})" if elements and piece.piece.form != "log-sum-exp" else product


def _log_density(piece: Derived, reading: Reading) -> str:
    if piece.piece.vector is not None:
        return _normal_density(piece.piece.vector)
    if piece.piece.arrays is not None:
        return piece.piece.arrays.text
    if piece.piece.stationary is not None:
        return f"log({reference(piece.piece.stationary)})"
    text = reading.text(piece, piece.raw)
    if piece.piece.reduced is None:
        return text
    sign = "-" if piece.piece.sign < 0 else ""
    if piece.piece.multiplier is not None:
        sign += f"{wrapped(readable(piece.piece.multiplier))}*"
    return f"{sign}log(sum({piece.piece.reduced.name} in {piece.piece.reduced.index_set}: exp({text})))"


def _normal_density(vector: Vector) -> str:
    covariance, rest = reference(vector.covariance), residual(vector)
    constant = "" if vector.constant is None else plain(readable(vector.constant))
    return joined([*([constant] if constant else []), f"-log(det({covariance}))/2 - {rest}'*{covariance}^-1*{rest}/2"])


def _density_steps(reading: Reading) -> Iterator[Step]:
    """One step for each case of each factor; pieces under the same conditions are parts of one log-density."""
    for factor in reading.model.factors:
        cases: dict[str, list[str]] = {}
        for piece in reading.pieces:
            if piece.piece.factor == factor.name and not piece.piece.prior:
                own = tuple(binder.name for binder in piece.piece.elements if binder not in factor.elements)
                text = _log_density(piece, reading)
                text = f"sum({', '.join(own)}: {text})" if own and piece.piece.form != "log-sum-exp" else text
                cases.setdefault(_where(piece, reading), []).append(text)
        law, written = law_text(factor, reading.model), " ".join(factor.text.split())
        for where, texts in cases.items():
            yield Step("log-density", factor.name, written, f"log {law} = {joined(texts)}", where)
    for parameter in reading.model.parameters:
        texts = _prior_texts(parameter.name, reading)
        if parameter.prior is not None and texts:
            yield Step("prior", parameter.name, " ".join(parameter.prior.text.split()), joined(texts))


def _prior_texts(parameter: str, reading: Reading) -> list[str]:
    """The log-prior of a whole parameter: the sum over its elements."""
    texts = []
    for piece in reading.pieces:
        if piece.piece.prior and piece.piece.factor == f"prior:{parameter}":
            scope = scope_of(piece.piece, reading.model)
            ranges = ", ".join(scope.within.get(axis, axis) for axis in scope.elements)
            text = _log_density(piece, reading)
            texts.append(f"sum({ranges}: {text})" if ranges and piece.piece.form != "log-sum-exp" else text)
    return texts


def _where(piece: Derived, reading: Reading) -> str:
    scope = scope_of(piece.piece, reading.model)
    conditions = [*scope.within.values(), *scope.given]
    if piece.piece.when != "always":
        conditions.append(f"{'in the' if piece.piece.when == 'first' else 'after the'} first {piece.piece.plate}")
    return f"where {' and '.join(conditions)}" if conditions else ""


def _predictor_steps(reading: Reading) -> Iterator[Step]:
    seen: set[tuple[Design, ...]] = set()
    for piece in reading.pieces:
        for atom in piece.piece.atoms:
            if not atom.is_predictor or atom.terms in seen:
                continue
            seen.add(atom.terms)
            name = reading.predictor(atom.terms)
            text = joined([_design(term) for term in atom.terms])
            subject = piece.piece.factor.removeprefix("prior:")
            yield Step("predictor", subject, "", f"{name} = {text}", f"everything below is done in {name}")


def _design(term: Design) -> str:
    text = reference(term.parameter)
    if term.coefficient is not None:
        number, rest = readable(term.coefficient).as_coeff_Mul()
        sign = "-" if number < 0 else ""
        text = sign + product(text, wrapped(abs(number) * rest))
    over = ", ".join(f"{b.name} in {b.index_set}" if b.name != b.index_set else b.name for b in term.over)
    return f"sum({over}: {text})" if over else text


# --- separation, statistics, Q ----------------------------------------------------------------------------------------


def _separation_steps(reading: Reading) -> Iterator[Step]:
    for piece in reading.pieces:
        if not piece.atoms or piece.piece.prior:
            continue
        where, subject = _where(piece, reading), piece.piece.factor
        if piece.separation is None:
            kept = "the data enter through the predictor" if _has_predictor(piece) else "no sum of products"
            note = f"{kept}: parameters and data do not come apart"
            yield Step("separation", subject, "", "kept whole, row by row", "\n".join(filter(None, [where, note])))
            continue
        terms = _terms(piece)
        width = max(len(statistic) for statistic in (reading.text(piece, t) for _, t in terms)) if terms else 0
        lines = [f"T = {reading.text(piece, t):{width}}  eta = {reading.text(piece, e)}" for e, t in terms]
        rest = _free_of_parameters(piece)
        note = f"free of parameters: {reading.text(piece, rest)}" if rest != 0 else ""
        before = "the log-density as a sum of eta * T"
        yield Step("separation", subject, before, "\n".join(lines), "\n".join(filter(None, [where, note])))


def _has_predictor(piece: Derived) -> bool:
    return any(atom.is_predictor for atom in piece.piece.atoms)


def _terms(piece: Derived) -> list[tuple[Any, Any]]:
    """The terms in which parameters stand, plain counts first."""
    assert piece.separation is not None
    atoms = set(piece.atoms)
    pairs = zip(piece.separation.etas, piece.separation.statistics, strict=True)
    kept = [(eta, statistic) for eta, statistic in pairs if eta.free_symbols & atoms]
    return sorted(kept, key=lambda pair: (pair[1] != 1, len(str(pair[1])), str(pair[1])))


def _free_of_parameters(piece: Derived) -> Any:
    assert piece.separation is not None
    atoms = set(piece.atoms)
    pairs = zip(piece.separation.etas, piece.separation.statistics, strict=True)
    return sp.expand(sum((eta * t for eta, t in pairs if not eta.free_symbols & atoms), sp.Integer(0)))


def _cell(piece: Derived, reading: Reading) -> dict[str, str]:
    """The axes that the etas vary over: those of the cell that parameters or known values are told by."""
    formulas = replace(piece.piece, guards=())
    return {axis: axis for axis in scope_of(formulas, reading.model).cell}


def _statistic_steps(reading: Reading) -> Iterator[Step]:
    for name, (flag, total) in reading.counts.items():
        yield Step("statistics", name, f"{name} = E[{flag}]" if flag else "", f"{name} = {total}")
    seen: set[str] = set()
    for piece in reading.pieces:
        if piece.separation is None or piece.piece.prior:
            continue
        for _, statistic in _terms(piece):
            if statistic == 1:
                continue
            scope = scope_of(piece.piece, reading.model)
            text = wrapped(reading.shown(piece, statistic))
            total = reading.sum_text(scope, _cell(piece, reading), text)
            if total not in seen:
                seen.add(total)
                expected = f"E[{reading.indicator(scope, _cell(piece, reading), text)}]" if scope.hidden else ""
                yield Step("statistics", piece.piece.factor, expected, total)


def _q_steps(reading: Reading) -> Iterator[Step]:
    for piece in reading.pieces:
        scope = scope_of(piece.piece, reading.model)
        if not piece.atoms and piece.piece.vector is None and piece.piece.stationary is None:
            continue
        if piece.piece.prior:
            continue
        if piece.separation is None:
            whole = piece.piece.completion is not None
            density = reading.text(piece, piece.quantity) if whole else _log_density(piece, reading)
            text = reading.sum_text(scope, {}, _wrapped_sum(density))
            yield Step("Q", piece.piece.factor, "", text)
            continue
        cell = _cell(piece, reading)
        names = reading.names(piece)
        total = sp.Integer(0)
        for eta, statistic in _terms(piece):
            total += reading.total(piece, statistic, cell, names) * reading.display(piece, eta, names)
        ranges = ", ".join(scope.within.get(axis, axis) for axis in cell)
        text = f"sum({ranges}: {reading.plain(total)})" if ranges else reading.plain(total)
        yield Step("Q", piece.piece.factor, "", text + (" + constant" if _free_of_parameters(piece) != 0 else ""))
