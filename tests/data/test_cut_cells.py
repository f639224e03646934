"""What is said of data that a censored, grouped or truncated law cannot have, and what their cells come to."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import emdsl
from emdsl.ir.model import CELLS

CENSORED = "param r : positive\nfor each row:\n    observed t ~ Exponential(r) censored above unless event\n"
BOTH = (
    "param m : real\nparam s : positive\nfor each row:\n    input under : real\n    input over : real\n"
    "    observed x ~ Normal(m, s) censored below unless 1 - under censored above unless not over\n"
)
GROUPED = "param r : positive\nfor each row:\n    observed t between lo and hi ~ Exponential(r)\n"
COUNTS = "param r : positive\nfor each row:\n    observed n between lo and hi ~ Poisson(r)\n"
WINDOW = (
    "param m : real\nparam s : positive\nfor each row:\n    input entry : real\n"
    "    observed x ~ Normal(m, s) truncated to (entry, 10)\n"
)
WINDOW_AND_CENSORED = (
    "param m : real\nparam s : positive\nfor each row:\n"
    "    observed x ~ Normal(m, s) censored above unless event truncated to (0, 10)\n"
)

NONE = None

WRONG: list[tuple[str, dict[str, Any], str, str, str]] = [
    (CENSORED, {"t": [1, 2, 3], "event": [1, NONE, 0]}, "missing-cell", "`event`", "row 2"),
    (CENSORED, {"t": [1, 2, 3], "event": [1, 2, 0]}, "unknown-label", "expected 0 or 1", "row 2"),
    (CENSORED, {"t": [1, -2, -3], "event": [1, 1, 0]}, "outside-support", "expected numbers above 0 for `t`", "row 2"),
    (BOTH, {"x": [1, 2], "under": [0, 1], "over": [0, 1]}, "outside-support", "cannot be a bound", "row 2, column x"),
    (BOTH, {"x": [1, 2], "under": [0, 3], "over": [0, 0]}, "event", "found -2", "row 2"),
    (GROUPED, {"lo": [1, 3], "hi": [2, 2]}, "bounds-crossed", "`lo` is above", "row 2"),
    (GROUPED, {"lo": [1, -3], "hi": [2, -2]}, "outside-support", "no value of `t`", "row 2, column lo"),
    (COUNTS, {"lo": [1, 1.2], "hi": [2, 1.8]}, "outside-support", "no value of `n`", "row 2"),
    (COUNTS, {"lo": [1, 2.5], "hi": [2, 2.5]}, "outside-support", "whole numbers", "row 2"),
    (WINDOW, {"x": [1, 12], "entry": [0, 0]}, "outside-support", "truncated to values between", "row 2, column x"),
    (WINDOW, {"x": [1, 2], "entry": [0, 3]}, "outside-support", "truncated to values between", "row 2"),
    (WINDOW, {"x": [1, 2], "entry": [0, 30]}, "bounds-crossed", "crossed", "row 2"),
    (WINDOW_AND_CENSORED, {"x": [1, 11], "event": [1, 0]}, "outside-support", "truncated", "row 2"),
]


@pytest.mark.parametrize(("text", "columns", "code", "words", "place"), WRONG)
def test_what_is_said(text: str, columns: dict[str, Any], code: str, words: str, place: str) -> None:
    with pytest.raises(emdsl.EmmError) as raised:
        emdsl.loads(text).fit(columns)
    (diagnostic,) = raised.value.diagnostics
    assert diagnostic.code == code
    assert words in diagnostic.message
    assert place in diagnostic.place


def kinds(text: str, columns: dict[str, Any], name: str) -> list[str]:
    """What each cell holds."""
    from tests.laws.bound_models import take

    codes = np.asarray(take(text, columns).bound.values[f"{name}.cell"].array)
    return [CELLS[int(code)] for code in codes.ravel()]


def test_censored_cells() -> None:
    columns = {"t": [1, 2, NONE, NONE], "event": ["true", 0, 1, 0]}
    assert kinds(CENSORED, columns, "t") == ["seen", "above", "empty", "empty"]


def test_grouped_cells() -> None:
    columns = {"lo": [1, 2, NONE, NONE, 3, 0, 0], "hi": [2, 2, 4, NONE, NONE, 5, NONE]}
    assert kinds(GROUPED, columns, "t") == ["between", "seen", "below", "empty", "above", "below", "empty"]
    assert kinds(COUNTS, {"lo": [0, 0, 1], "hi": [0, 3, NONE]}, "n") == ["seen", "below", "above"]


def test_cells_of_an_array_and_of_an_outer_plate() -> None:
    text = (
        "index item = {a, b}\nparam m : real\nparam s : positive\nfor each person:\n    input late : binary\n"
        "    for each visit:\n        observed y[item] ~ Normal(m, s) censored above unless late == 0 censored below "
        "unless det[item]\n"
    )
    columns = {"person": ["p", "p", "q"], "late": [0, 0, 1], "y_a": [1, 2, 3], "y_b": [4, NONE, 6]}
    columns |= {"det_a": [1, 0, 1], "det_b": [1, 1, 1]}
    assert kinds(text, columns, "y") == ["seen", "below", "above", "seen", "empty", "above"]


def test_bounds_are_observations() -> None:
    fit = emdsl.loads(GROUPED).fit({"lo": [1, 2, None], "hi": [2, 3, None]})
    assert fit.to_dict()["bic_n"] == 2
    assert fit.to_dict()["data"]["missing"] == 1
