"""Log-densities made of `log det C` and `(x - m)' C^-1 (x - m)` with the Gaussian's coefficients."""

from __future__ import annotations

from fractions import Fraction

from emdsl.derive.expressions import has_parameters
from emdsl.derive.splitting import addends
from emdsl.diagnostics.errors import EmmError
from emdsl.ir.derivation import Vector
from emdsl.ir.expressions import Apply, Expression, VariableRef, number, walk
from emdsl.ir.model import Model


def gaussian_vector(expression: Expression, model: Model) -> Vector | None:
    """The vector, mean and covariance of a Gaussian log-density, or None where it holds neither of the two matrix
    terms.
    """
    if not any(isinstance(node, Apply) and node.op in ("logdet", "mahalanobis") for node in walk(expression)):
        return None
    constant: Expression | None = None
    quadratic: Apply | None = None
    determinant: Apply | None = None
    for scale, term in addends(expression, Fraction(1)):
        match term:
            case Apply("mahalanobis", _) if scale == Fraction(-1, 2) and quadratic is None:
                quadratic = term
            case Apply("logdet", _) if scale == Fraction(-1, 2) and determinant is None:
                determinant = term
            case Apply("mahalanobis" | "logdet", _):
                raise EmmError("not-supported-yet", "a quadratic form with this coefficient has no derivation yet")
            case _:
                scaled = Apply("*", (number(scale), term))
                constant = scaled if constant is None else Apply("+", (constant, scaled))
    if quadratic is None or determinant is None or quadratic.args[2] != determinant.args[0]:
        raise EmmError("not-supported-yet", "a quadratic form without its determinant has no derivation yet")
    variable, mean, covariance = quadratic.args
    if not isinstance(variable, VariableRef):
        raise EmmError("not-supported-yet", "a normal law of parameters has no derivation yet")
    if constant is not None and has_parameters(constant):
        raise EmmError("not-supported-yet", "a normal law times another term with parameters has no derivation yet")
    axes = model.variable(variable.name).axes
    outside = model.variable(variable.name).kind == "latent" and model.variable(variable.name).plate is None
    if len(axes) != 1 and not (outside and len(axes) == len(variable.indices) + 1):
        raise EmmError(
            "not-supported-yet", f"an array of vectors (`{variable.name}` has {len(axes)} axes) has no plan yet",
            help="make the outer axis a plate: for each t over occasion:",
        )  # fmt: skip
    return Vector(axes[-1], variable, mean, covariance, constant)
