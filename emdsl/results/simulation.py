"""Simulated data: the options checked, the units chosen, the columns drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from emdsl.diagnostics.errors import EmmError
from emdsl.results.options import Spell, whole_number
from emdsl.results.params import KnownParameters

if TYPE_CHECKING:
    from emdsl.compiler import CompiledModel
    from emdsl.request import FitRequest
    from emdsl.results.result import Fit

Columns = dict[str, list[Any]]


def simulation(
    compiled: CompiledModel, n: Any, known: KnownParameters, request: FitRequest, chosen: Mapping[str, Any],
    spell: Spell = str,
) -> Columns:  # fmt: skip
    """Data for `n` outermost units (of the `design`, where one is chosen) at known parameters.

    `chosen`: `seed`, `latent`, `missing`, `design`. Raises `bad-option`, `design-needed`, `too-many-units`,
    `cannot-simulate` and what binding and `known_parameters` raise.
    """
    design = chosen.get("design")
    units = checked_units(n, spell, optional=design is not None)
    options = checked_options(chosen, spell)
    bound = compiled.design(design, units, request, known.indexes, known.columns)
    theta = compiled.known_parameters(bound, known.values)
    return compiled.simulate(bound, theta, request, units=units, **options)


def fit_simulation(fit: Fit, n: Any, **chosen: Any) -> Columns:
    """Data for `n` outermost units at the estimates of a fit; None stands for those of its data."""
    outcome = fit.outcome
    compiled, theta, request = outcome.compiled, outcome.state.theta, outcome.request
    assert compiled is not None
    units = checked_units(n, str, optional=True)
    options = checked_options(chosen, str)
    bound = outcome.bound
    if chosen.get("design") is not None:
        bound = compiled.design(chosen["design"], units, request, bound.indexes, bound.columns)
    elif units is not None:
        try:
            bound = compiled.design(None, units, request, bound.indexes, {})
        except EmmError as error:
            if error.code != "design-needed":
                raise
            # rows alone do not make such data: the units of the fit's own serve as the design
    return compiled.simulate(bound, theta, request, units=units, **options)


def checked_units(n: Any, spell: Spell, *, optional: bool) -> int | None:
    """The number of outermost units, None where that is allowed. Raises `bad-option`."""
    if n is None and not optional:
        raise EmmError("bad-option", "expected the number of outermost units", place=_n(spell), help="-n 100")
    return whole_number(_n(spell), n, 1, optional=True)


def _n(spell: Spell) -> str:
    return "-n" if spell("n").startswith("-") else "n"


def checked_options(chosen: Mapping[str, Any], spell: Callable[[str], str]) -> dict[str, Any]:
    """The seed, what is shown and what is missing. Raises `bad-option`."""
    missing = chosen.get("missing", 0.0)
    try:
        share = float(missing)
    except (TypeError, ValueError):
        share = -1.0
    if not 0.0 <= share <= 1.0:
        raise EmmError(
            "bad-option", f"expected a probability between 0 and 1, found `{missing}`", place=spell("missing"),
            help=f"{spell('missing')}{' ' if spell('n').startswith('-') else '='}0.1",
        )  # fmt: skip
    return {
        "seed": whole_number(spell("seed"), chosen.get("seed", 0), 0, optional=False),
        "latent": bool(chosen.get("latent", False)),
        "missing": share,
    }
