"""How the numbers of a fit are held against a reference: by name, nested, everything that differs at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from tests.models.direct_maximisation import Optimum

LOGLIK_TOLERANCE = 1e-6  # absolute
ESTIMATE_TOLERANCE = 1e-5  # absolute below 1, relative above
ERROR_TOLERANCE = 0.01  # relative


def disagreements(fit: Mapping[str, Any], reference: Optimum) -> list[str]:
    """Where a fit's JSON departs from the reference, one line for each number; empty if it does not.

    Every number of the reference must be there; an expected error of 0 belongs to an element that is no free parameter,
    which the fit may also report as null.
    """
    found = []
    if not fit["converged"]:
        found.append(f"did not converge: {fit['stopped_by']} after {fit['iterations']} iterations")
    if not _near(fit["loglik"], reference.loglik, LOGLIK_TOLERANCE):
        found.append(f"loglik: {fit['loglik']} for {reference.loglik}")
    found += _walk("params", fit["params"], reference.estimates, _estimate_agrees)
    found += _walk("se", fit["se"], reference.errors, _error_agrees)
    return found


def _estimate_agrees(actual: Any, expected: float) -> bool:
    return _near(actual, expected, ESTIMATE_TOLERANCE * max(1, abs(expected)))


def _error_agrees(actual: Any, expected: float) -> bool:
    return _near(0.0 if actual is None else actual, expected, ERROR_TOLERANCE * expected + 1e-12)


def _near(actual: Any, expected: float, tolerance: float) -> bool:
    return isinstance(actual, int | float) and math.isfinite(actual) and abs(actual - expected) <= tolerance


def _walk(path: str, actual: Any, expected: Any, agrees: Callable[[Any, float], bool]) -> list[str]:
    if not isinstance(expected, Mapping):
        return [] if agrees(actual, expected) else [f"{path}: {actual} for {expected}"]
    if not isinstance(actual, Mapping):
        return [f"{path}: {actual} where elements {list(expected)} were expected"]
    missing = [f"{path}.{key}: missing" for key in expected if key not in actual]
    present = (key for key in expected if key in actual)
    return missing + [line for key in present for line in _walk(f"{path}.{key}", actual[key], expected[key], agrees)]
