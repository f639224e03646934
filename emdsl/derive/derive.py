"""A model graph to its derivation."""

from __future__ import annotations

from dataclasses import replace

from emdsl.derive.candidate import Candidate
from emdsl.derive.deadline import DeadlineExceeded, deadline
from emdsl.derive.grids import on_grids, with_grids
from emdsl.derive.integrals import integrals, on_nodes
from emdsl.derive.opening import opening
from emdsl.derive.pieces import Derived, factor_pieces, prior_pieces
from emdsl.derive.steps import derivation_steps
from emdsl.derive.updates import derive_updates
from emdsl.derive.verify import FAILED, verify
from emdsl.diagnostics.errors import EmmError
from emdsl.ir.derivation import Derivation, Integral, Step
from emdsl.ir.identifiers import distinct
from emdsl.ir.model import Factor, Model

#: The time that the text of a derivation may take.
SECONDS_TO_WRITE = 5.0
#: The time that the pieces of one factor may take.
SECONDS_A_FACTOR = 10.0


def derive(model: Model, open_cells: tuple[str, ...] = ()) -> Derivation:
    """Pieces, M-step and steps to read. `open_cells` names observed numbers some of whose cells are open, while other
    laws look at them. Raises EmmError where a log-density has no derivation yet.
    """
    original, grids = model, on_grids(model)
    model = with_grids(original, grids) if grids else original
    opened = opening(model, open_cells) if open_cells else None
    model = opened.whole if opened is not None else model
    pieces: list[Derived] = [piece for factor in model.factors for piece in _in_time(factor, model)]
    pieces += [piece for p in model.parameters if p.prior is not None for piece in prior_pieces(p, model)]
    names = distinct(piece.piece.name for piece in pieces)
    pieces = [replace(p, piece=replace(p.piece, name=name)) for p, name in zip(pieces, names, strict=True)]
    densities = [piece for piece in pieces if not piece.piece.argument]
    candidates = verified_updates(densities, model)
    own = integrals(model, densities) if opened is None else opened.integrals(densities)
    written = [p for p in densities if p.piece.open is None or not p.piece.open.hidden]
    found = (*own, *on_nodes(original, grids, written))
    return Derivation(
        model=original,
        pieces=tuple(piece.piece for piece in pieces),
        maps=model.maps,
        updates=tuple(candidate.update for candidate in candidates),
        steps=_steps(model, densities, candidates, found),
        integrals=found,
        gridded=model if grids or open_cells else None,
        open=open_cells,
    )


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
    model: Model, pieces: list[Derived], candidates: tuple[Candidate, ...], found: tuple[Integral, ...]
) -> tuple[Step, ...]:
    """The derivation to read; a formula too long to be put in readable form does not keep anybody from the fit."""
    try:
        with deadline(SECONDS_TO_WRITE):
            return derivation_steps(model, pieces, candidates, found)
    except DeadlineExceeded:
        said = f"the formulas of this model are too long to be written out in {SECONDS_TO_WRITE:g} seconds"
        return (Step("complete-data log-likelihood", model.name, "", "", said),)


def verified_updates(pieces: list[Derived], model: Model) -> tuple[Candidate, ...]:
    """The M-step, every rule without iteration checked; one that fails gives way to Newton's method."""
    candidates = derive_updates(pieces, model)
    verdicts = verify(candidates, [piece.piece for piece in pieces], model)
    failed = {verdict.parameter: FAILED for verdict in verdicts if not verdict.passed}
    if failed:
        candidates = derive_updates(pieces, model, failed)
    remarks = {verdict.parameter: verdict.remark for verdict in verdicts if verdict.passed}
    return tuple(_remarked(candidate, remarks) for candidate in candidates)


def _remarked(candidate: Candidate, remarks: dict[str, str]) -> Candidate:
    update = candidate.update
    if update.rule not in ("simplex", "closed form") or update.parameters[0] not in remarks:
        return candidate
    return replace(candidate, update=replace(update, note=remarks[update.parameters[0]]))
