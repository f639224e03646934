"""Updates where whole vectors and matrices have priors: which close, and what they depend on."""

from __future__ import annotations

from emdsl.derive.candidate import Candidate
from emdsl.derive.pieces import Derived
from emdsl.ir.derivation import ArrayPrior, Contribution, Update
from emdsl.ir.expressions import ParameterRef, walk
from emdsl.ir.model import Parameter


def covariance_with_prior(parameter: Parameter, own: list[Derived]) -> Candidate | str:
    """A covariance in normal laws of data and in log-priors: with `-a/2 log det C - 1/2 tr(C^-1 B)` in all from the
    priors and n and R from the data, `C = (R + B)/(n + a)` (Anderson 2003, theorem 3.2.1, with a conjugate prior)."""
    depends: set[str] = set()
    for piece in own:
        vector, prior = piece.piece.vector, piece.piece.arrays
        if vector is not None:
            if vector.by_parts:
                return "the mean or covariance of a normal law is an expression"
            if not isinstance(vector.covariance, ParameterRef) or vector.covariance.name != parameter.name:
                return "it stands inside a larger expression of a normal law"
            depends |= {node.name for node in walk(vector.mean) if isinstance(node, ParameterRef)}
        elif prior is not None and _as_matrix_alone(prior, parameter.name):
            depends |= {name for names in prior.parameters for name in names}
        else:
            return "its prior is none that closes"
    contributions = tuple(Contribution(piece.piece.name, 0, ()) for piece in own)
    update = Update("matrix", (parameter.name,), contributions, formula="gaussian")
    return Candidate(update, frozenset(depends - {parameter.name}))


#: Which argument is the matrix whose determinant, or whose inverse, is taken.
MATRIX_ARGUMENT = {"logdet": 0, "mahalanobis": 2, "traceinv": 0}


def _as_matrix_alone(prior: ArrayPrior, name: str) -> bool:
    """Whether the parameter is, whole, the matrix of the term, and stands nowhere else in it."""
    place = MATRIX_ARGUMENT[prior.function]
    others = [names for k, names in enumerate(prior.parameters) if k != place]
    return prior.whole[place] == name and not any(name in names for names in others)


def stays_quadratic(piece: Derived, group: set[str]) -> bool:
    """Whether a piece with whole vectors and matrices is quadratic in the parameters of a group."""
    vector, prior = piece.piece.vector, piece.piece.arrays
    if vector is not None:
        inside = {node.name for node in walk(vector.covariance) if isinstance(node, ParameterRef)}
        return not inside & group
    if prior is None:
        return True
    moving = [bool(set(names) & group) for names in prior.parameters]
    return not moving[MATRIX_ARGUMENT[prior.function]] and all(
        linear for linear, moves in zip(prior.linear, moving, strict=True) if moves
    )


def whole_parameters(piece: Derived) -> set[str]:
    """The parameters that stand in a piece as whole vectors and matrices."""
    return piece.parameters if piece.piece.arrays is not None or piece.piece.vector is not None else set()
