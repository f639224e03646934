"""A model graph to its derivation."""

from __future__ import annotations

from dataclasses import replace

from emdsl.derive.pieces import Derived, factor_pieces, prior_pieces
from emdsl.derive.steps import derivation_steps
from emdsl.derive.updates import Candidate, derive_updates
from emdsl.derive.verify import FAILED, verify
from emdsl.ir.derivation import Derivation
from emdsl.ir.identifiers import distinct
from emdsl.ir.model import Model


def derive(model: Model) -> Derivation:
    """Pieces, M-step and steps to read. Raises EmmError where a log-density has no derivation yet."""
    pieces: list[Derived] = [piece for factor in model.factors for piece in factor_pieces(factor, model)]
    pieces += [piece for p in model.parameters if p.prior is not None for piece in prior_pieces(p, model)]
    names = distinct(piece.piece.name for piece in pieces)
    pieces = [replace(p, piece=replace(p.piece, name=name)) for p, name in zip(pieces, names, strict=True)]
    candidates = verified_updates(pieces, model)
    return Derivation(
        model=model,
        pieces=tuple(piece.piece for piece in pieces),
        maps=model.maps,
        updates=tuple(candidate.update for candidate in candidates),
        steps=derivation_steps(model, pieces, candidates),
    )


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
