"""Whether the numbers in a column lie where the model says that they do."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from emdsl.data.evaluation import NotConstant
from emdsl.data.numerals import print_number
from emdsl.data.table import Codes, Floats, Table
from emdsl.data.wording import listed
from emdsl.diagnostics.errors import EmmError
from emdsl.ir.expressions import Expression
from emdsl.ir.model import Domain, Variable

#: How far a row of shares may sum from 1.
SHARES_TOLERANCE = 1e-6

#: What weights are.
WEIGHTS = "weights, finite numbers of 0 or more,"

_Test = tuple[str, Callable[[Floats], NDArray[np.bool_]]]


def outside(variable: Variable, values: Floats, number: Callable[[Expression, str], float]) -> tuple[str, Codes]:
    """What the variable's domain asks for, in words, and the positions at which `values` (NaN: missing) are not so.

    `number` works out the ends of an interval. Densities on the unit interval may be infinite at its ends, so observed
    shares lie strictly inside; inputs may be 0 or 1.
    """
    weights: _Test = (WEIGHTS, _is_weight)
    words, holds = weights if variable.kind == "weight" else _test(variable.domain, variable.kind == "observed", number)
    present = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return words, np.flatnonzero(present & ~(holds(values) & np.isfinite(values)))


def _is_weight(values: Floats) -> NDArray[np.bool_]:
    return values >= 0


def _test(domain: Domain, observed: bool, number: Callable[[Expression, str], float]) -> _Test:
    match domain.kind:
        case "positive":
            return "numbers above 0", lambda x: x > 0
        case "unit" if observed:
            return "numbers between 0 and 1, both left out", lambda x: (x > 0) & (x < 1)
        case "unit":
            return "numbers from 0 to 1", lambda x: (x >= 0) & (x <= 1)
        case "simplex":
            return "shares from 0 to 1", lambda x: (x >= 0) & (x <= 1)
        case "integer":
            return "whole numbers", lambda x: x == np.floor(x)
        case "natural":
            return "whole numbers, 0 or more", lambda x: (x == np.floor(x)) & (x >= 0)
        case "interval":
            low, high = (_end(end, number, default) for end, default in ((domain.low, -np.inf), (domain.high, np.inf)))
            words = f"numbers from {_printed(low)} to {_printed(high)}"
            return words, lambda x: (x >= low) & (x <= high)
    return "finite numbers", np.isfinite


def _end(end: Expression | None, number: Callable[[Expression, str], float], default: float) -> float:
    if end is None:
        return default
    try:
        return float(number(end, "the end of an interval"))
    except NotConstant:  # it depends on a parameter: only the fit can tell
        return default


def _printed(value: float) -> str:
    return print_number(value) if np.isfinite(value) else ("inf" if value > 0 else "-inf")


def refuse_outside(table: Table, column: str, words: str, wrong: Codes) -> EmmError:
    """The error that cells lie outside the domain."""
    encoded = table.encoded(column)
    cells = list(dict.fromkeys(encoded.labels[encoded.codes[row]] for row in wrong[:1000]))
    return EmmError(
        "outside-support",
        f"expected {words} in column `{column}`, found {listed(cells)}",
        place=table.place(wrong, column),
    )


def wrong_shares(values: Floats) -> Codes:
    """The units of `values` (*elements, shares, units) whose shares do not sum to 1, or are missing in part."""
    missing = np.isnan(values)
    some, every = missing.any(axis=-2), missing.all(axis=-2)
    off = np.abs(np.nansum(values, axis=-2) - 1) > SHARES_TOLERANCE
    wrong = ~every & (some | off)
    return np.flatnonzero(wrong.reshape(-1, wrong.shape[-1]).any(axis=0))
