"""What a derivation says of parameters that no slope leads to a maximum: kinks, and bounds of the support."""

from __future__ import annotations

from collections.abc import Sequence

from emdsl.diagnostics.errors import EmmError
from emdsl.ir.derivation import Derivation
from emdsl.runtime.problem import Space


def kinked_parameters(derivation: Derivation) -> frozenset[str]:
    """Parameters in which some log-density has a kink: its slope is a sign."""
    return frozenset(
        term.parameter.name
        for piece in derivation.pieces
        for atom, slope in zip(piece.atoms, piece.gradient, strict=True)
        if "sign(" in slope
        for term in atom.terms
    )


def check_held(derivation: Derivation, spaces: Sequence[Space]) -> None:
    """Raises EmmError where a parameter is to be estimated that the support depends on in a way that no rule climbs."""
    fixed = {space.name for space in spaces if space.fixed.all()}
    for update in derivation.updates:
        for name in update.held:
            if name not in fixed:
                why = dict(part.partition(": ")[::2] for part in update.reason.split("; ")).get(name, "")
                raise EmmError(
                    "not-supported-yet", f"`{name}` cannot be estimated: {why}", place="the model",
                    help=f"hold it at a value: --fix {name}=1",
                )  # fmt: skip
