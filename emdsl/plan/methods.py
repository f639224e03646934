"""How integrals over continuous hidden variables are to be taken, where the user says so (`--plan`)."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from emdsl.diagnostics.errors import EmmError
from emdsl.ir.derivation import SHARES, Derivation, Integral
from emdsl.ir.model import Model
from emdsl.ir.open_cells import without_cells
from emdsl.plan.share_nodes import MOST_SHARES

#: Methods that are exact but for rounding.
CLOSED = ("gaussian", "kernel", "sum")


def with_plan(derivation: Derivation, plan: str) -> Derivation:
    """The derivation with its integrals taken as `plan` says: `auto`, `exact` (closed integrals or none at all),
    `quadrature` (adaptive nodes even where an integral is closed, so that the two can be compared) or `monte-carlo`
    (draws, likewise).

    Raises `not-exact`, `no-quadrature` and `not-simulated`.
    """
    match plan:
        case "exact":
            check_exact(derivation)
        case "quadrature":
            model = derivation.gridded or derivation.model
            return replace(derivation, integrals=tuple(_by_quadrature(item, model) for item in derivation.integrals))
        case "monte-carlo":
            return replace(derivation, integrals=tuple(map(_by_draws, derivation.integrals)))
    return derivation


def check_exact(derivation: Derivation) -> None:
    """Raise `not-exact` where some integral has no closed form."""
    for integral in derivation.integrals:
        _check_closed(integral)


def _by_draws(integral: Integral) -> Integral:
    if integral.method == "monte-carlo" or integral.placing == "draws":
        return integral
    if integral.method == "grid":
        raise EmmError(
            "not-simulated",
            f"{_names(integral)} is summed over one grid of nodes in this module, its laws tables by node; draws need "
            "the model itself",
            place="--plan", help="emdsl fit MODEL DATA --plan monte-carlo",
        )  # fmt: skip
    if integral.kernel == SHARES:
        raise EmmError(
            "not-simulated", f"the shares {_names(integral)} sum to 1, and draws are made of free real numbers",
            place="--plan", help="--plan auto",
        )  # fmt: skip
    closed = integral.method == "gaussian"
    return replace(integral, method="monte-carlo", kernel="", basis=(), power=Fraction(1), closed=closed)


def _check_closed(integral: Integral) -> None:
    if integral.method in CLOSED:
        return
    how = "over a grid of nodes" if integral.method == "grid" else "by quadrature or simulation"
    raise EmmError(
        "not-exact", f"the integral over {_names(integral)} has no closed form; it is taken {how}",
        place="--plan", help="--plan auto",
    )  # fmt: skip


def _by_quadrature(integral: Integral, model: Model) -> Integral:
    if integral.placing == "draws":
        raise EmmError(
            "no-quadrature",
            f"{_names(integral)} has more than {MOST_SHARES} shares, and a grid of nodes is for at most so many",
            place="--plan", help="--plan auto, which draws",
        )  # fmt: skip
    if integral.method not in CLOSED:
        return integral
    plates = {model.variable(name).plate for name in integral.latents}
    if integral.lag or len(plates) > 1 or None in plates:
        raise EmmError(
            "no-quadrature", f"the hidden numbers {_names(integral)} are tied from unit to unit, and a grid of nodes "
            "is for one unit",
            place="--plan", help="--plan auto",
        )  # fmt: skip
    if integral.kernel == SHARES:
        raise EmmError(
            "no-quadrature", f"the shares {_names(integral)} sum to 1, and a grid of nodes is for free numbers",
            place="--plan", help="--plan auto",
        )  # fmt: skip
    return replace(integral, method="quadrature", kernel="", basis=(), power=Fraction(1))


def _names(integral: Integral) -> str:
    return ", ".join(f"`{without_cells(name)}`" for name in integral.latents)
