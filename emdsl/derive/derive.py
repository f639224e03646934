"""A model graph to its derivation."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from emdsl.derive.candidate import Candidate
from emdsl.derive.completion import ALONE, Completed, Completions, completed, waits_for_others
from emdsl.derive.deadline import DeadlineExceeded, deadline
from emdsl.derive.grids import on_grids, on_share_nodes, values_of, with_grids
from emdsl.derive.integrals import integrals, looks_at, on_nodes
from emdsl.derive.opening import opening
from emdsl.derive.pieces import Derived, factor_pieces, prior_pieces
from emdsl.derive.steps import derivation_steps
from emdsl.derive.updates import derive_updates
from emdsl.derive.verify import FAILED, verify
from emdsl.diagnostics.errors import EmmError
from emdsl.ir.derivation import Derivation, Integral, Step
from emdsl.ir.identifiers import distinct
from emdsl.ir.latents import is_shares
from emdsl.ir.model import Factor, Model

#: The time that the text of a derivation may take.
SECONDS_TO_WRITE = 5.0
#: The time that the pieces of one factor may take.
SECONDS_A_FACTOR = 10.0


#: What the M-step makes of censored and grouped values: their expected statistics, the observed-data likelihood as it
#: is, or of each law what is faster.
CutValues = Literal["auto", "expected", "observed"]


def derive(
    model: Model, open_cells: tuple[str, ...] = (), *, cut_values: CutValues = "auto", grids_wanted: bool = True,
    steps_wanted: bool = True,
) -> Derivation:  # fmt: skip
    """Pieces, M-step and steps to read. `open_cells` names observed numbers some of whose cells are open, while other
    laws look at them; without `grids_wanted` hidden numbers stay numbers, as draws need them, and are not summed over
    grids of nodes. `steps_wanted`: with the steps to read, which a fit has no need of. Raises EmmError where a
    log-density has no derivation yet.
    """
    original = model
    grids = on_grids(model) if grids_wanted else ()
    grids += on_share_nodes(model, _of_shares(model), drawn=not grids_wanted)
    model = with_grids(original, grids) if grids else original
    opened = opening(model, open_cells) if open_cells else None
    model = opened.whole if opened is not None else model
    pieces: list[Derived] = [piece for factor in model.factors for piece in _in_time(factor, model)]
    pieces += [piece for p in model.parameters if p.prior is not None for piece in prior_pieces(p, model)]
    names = distinct(piece.piece.name for piece in pieces)
    pieces = [replace(p, piece=replace(p.piece, name=name)) for p, name in zip(pieces, names, strict=True)]
    densities = [piece for piece in pieces if not piece.piece.argument]
    candidates, completions = _updates(densities, model, cut_values)
    pieces = [completions.stored(piece) for piece in pieces]
    densities = [completions.read(piece) for piece in densities]
    own = integrals(model, densities) if opened is None else opened.integrals(densities)
    written = [p for p in densities if p.piece.open is None or not p.piece.open.hidden]
    values = values_of(grids)
    summed = (on_nodes(original, g.name, written, g.placing, values.get(g.name)) for g in grids)
    found = (*own, *summed)
    return Derivation(
        model=original,
        pieces=tuple(piece.piece for piece in pieces),
        maps=model.maps,
        updates=tuple(candidate.update for candidate in candidates),
        steps=_steps(model, densities, candidates, found, completions) if steps_wanted else (),
        integrals=found,
        gridded=model if grids or open_cells else None,
        open=open_cells,
    )


def _of_shares(model: Model) -> list[Derived]:
    """The pieces of the laws that look at hidden shares, as the model is written."""
    names = frozenset(variable.name for variable in model.variables if is_shares(variable, model))
    return [piece for factor in model.factors if looks_at(factor, names) for piece in _in_time(factor, model)]


def _in_time(factor: Factor, model: Model) -> list[Derived]:
    try:
        with deadline(SECONDS_A_FACTOR):
            return list(factor_pieces(factor, model))
    except DeadlineExceeded:
        raise EmmError(
            "too-large", f"the derivatives of the law of `{factor.name}` cannot be had in {SECONDS_A_FACTOR:g} seconds",
            help="write its arguments in simpler terms",
        ) from None  # fmt: skip


def _steps(
    model: Model, pieces: list[Derived], candidates: tuple[Candidate, ...], found: tuple[Integral, ...],
    completions: Completions,
) -> tuple[Step, ...]:  # fmt: skip
    """The derivation to read; a formula too long to be put in readable form does not keep anybody from the fit."""
    try:
        with deadline(SECONDS_TO_WRITE):
            return derivation_steps(model, pieces, candidates, found, completions.steps())
    except DeadlineExceeded:
        said = f"the formulas of this model are too long to be written out in {SECONDS_TO_WRITE:g} seconds"
        return (Step("complete-data log-likelihood", model.name, "", "", said),)


def _updates(pieces: list[Derived], model: Model, cut_values: CutValues) -> tuple[tuple[Candidate, ...], Completions]:
    """The M-step, and which cut laws it completes by expected statistics: those that hidden variables choose among and
    whose parameters then all have updates without iteration. Others are climbed as they are, by their observed-data
    likelihood.
    """
    found = {} if cut_values == "observed" else completed(pieces, model)
    if not found:
        return verified_updates(pieces, model), Completions({}, {})
    without = verified_updates(pieces, model)
    closed = {name: item for name, item in found.items() if isinstance(item, Completed)}
    why = {name: item for name, item in found.items() if isinstance(item, str)}
    wanted = cut_values == "expected"
    chosen = {name: item for name, item in closed.items() if wanted or waits_for_others(item.stored, model)}
    why |= dict.fromkeys(closed.keys() - chosen.keys(), ALONE)
    if not chosen:
        return without, Completions({}, why)
    trial = Completions(chosen, {})
    candidates = verified_updates([trial.read(piece) for piece in pieces], model, frozenset(chosen))
    iterated = {name for c in candidates if c.update.rule == "newton" for name in c.update.parameters}
    kept = {}
    for name, item in chosen.items():
        still = sorted(item.read.parameters & iterated)
        if still:
            why[name] = f"{', '.join(still)}: the update would need iteration all the same"
        else:
            kept[name] = item
    last = Completions(kept, why)
    if not kept:
        return without, last
    if len(kept) < len(chosen):
        candidates = verified_updates([last.read(piece) for piece in pieces], model, frozenset(kept))
    return candidates, last


def verified_updates(
    pieces: list[Derived], model: Model, completions: frozenset[str] = frozenset()
) -> tuple[Candidate, ...]:
    """The M-step, every rule without iteration checked; one that fails gives way to Newton's method. What `completions`
    contribute has the form of values that are seen, on which the check is made.
    """
    candidates = derive_updates(pieces, model)
    checked = [_without(candidate, completions) for candidate in candidates]
    verdicts = verify(checked, [piece.piece for piece in pieces], model)
    failed = {verdict.parameter: FAILED for verdict in verdicts if not verdict.passed}
    if failed:
        candidates = derive_updates(pieces, model, failed)
    remarks = {verdict.parameter: verdict.remark for verdict in verdicts if verdict.passed}
    return tuple(_remarked(candidate, remarks) for candidate in candidates)


def _without(candidate: Candidate, completions: frozenset[str]) -> Candidate:
    own = tuple(c for c in candidate.update.contributions if c.piece not in completions)
    return replace(candidate, update=replace(candidate.update, contributions=own))


def _remarked(candidate: Candidate, remarks: dict[str, str]) -> Candidate:
    update = candidate.update
    if update.rule not in ("simplex", "closed form") or update.parameters[0] not in remarks:
        return candidate
    return replace(candidate, update=replace(update, note=remarks[update.parameters[0]]))
