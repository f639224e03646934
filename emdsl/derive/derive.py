"""A model graph to its derivation."""

from __future__ import annotations

from emdsl.derive.pieces import Derived, factor_pieces, prior_pieces
from emdsl.derive.steps import derivation_steps
from emdsl.derive.updates import derive_updates
from emdsl.ir.derivation import Derivation
from emdsl.ir.model import Model


def derive(model: Model) -> Derivation:
    """Pieces, M-step and steps to read. Raises EmmError where a log-density has no derivation yet."""
    pieces: list[Derived] = [piece for factor in model.factors for piece in factor_pieces(factor, model)]
    pieces += [piece for p in model.parameters if p.prior is not None for piece in prior_pieces(p, model)]
    candidates = derive_updates(pieces, model)
    return Derivation(
        model=model,
        pieces=tuple(piece.piece for piece in pieces),
        maps=model.maps,
        updates=tuple(candidate.update for candidate in candidates),
        steps=derivation_steps(model, pieces, candidates),
    )
