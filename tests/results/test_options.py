"""The options of a fit, as they reach the compiler, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from emdsl.diagnostics.errors import EmmError
from emdsl.request import FitRequest
from emdsl.results.options import CHOICES, DEFAULTS, cli_spelling, fit_request
from emdsl.results.unavailable import OPTIONS
from tests.results.outcomes import model


def test_the_defaults_are_those_of_the_compiler() -> None:
    assert fit_request(model(), {}) == FitRequest()


def test_options_reach_the_request() -> None:
    given = {
        "set": {"K": 5}, "columns": {"dim": "a", "other": ["b", "c"]}, "map": {"y": "outcome"},
        "weight": "w", "na": ".", "init": {"tau": 1}, "fix": {"p.C": 0.5}, "starts": np.int64(4),
        "seed": 3, "tol": 0, "max_iter": 5.0, "accelerate": "none", "se": "sem",
        "level": "0.9", "const": {"Q": "q.csv"}, "plan": "exact", "executor": "serial",
    }  # fmt: skip
    assert fit_request(model(), given) == FitRequest(
        set={"K": 5}, columns={"dim": ("a",), "other": ("b", "c")}, map={"y": "outcome"}, weight="w", na=(".",),
        init={"tau": 1.0}, fix={"p": {"C": 0.5}}, starts=4, seed=3, tol=0.0, max_iter=5, accelerate="none", se="sem",
        level=0.9, const={"Q": "q.csv"}, plan="exact",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("option", "value", "text"),
    [
        ("starts", 0, "expected a whole number, 1 or more, found `0`"),
        ("starts", True, "expected a whole number, 1 or more, found `True`"),
        ("seed", -1, "expected a whole number, 0 or more, found `-1`"),
        ("max_iter", 2.5, "expected a whole number, 0 or more, found `2.5`"),
        ("max_iter", "many", "expected a whole number, 0 or more, found `many`"),
        ("max_iter", None, "expected a whole number, 0 or more, found `None`"),
        ("seed", float("inf"), "expected a whole number, 0 or more, found `inf`"),
        ("tol", -1e-3, "expected a number 0 or more, found `-0.001`"),
        ("tol", "nan", "expected a number 0 or more, found `nan`"),
        ("level", 1, "expected a number between 0 and 1, found `1`"),
        ("level", 95, "expected a number between 0 and 1, found `95`"),
        ("level", None, "expected a number between 0 and 1, found `None`"),
        ("weight", 3, "expected the name of a column, found `3`"),
        ("set", [1], "expected a dict by name, found `[1]`"),
        ("na", 9, "expected words, found `9`"),
        ("columns", {"dim": 1}, "expected words, found `1`"),
        ("progress", True, "expected a function of the stage, the iteration and the iterate, found `True`"),
    ],
)
def test_values_out_of_range(option: str, value: Any, text: str) -> None:
    with pytest.raises(EmmError) as caught:
        fit_request(model(), {option: value})
    assert str(caught.value) == f"error[bad-option]: {text}\n --> {option}"


def test_an_unknown_word_and_an_unknown_option() -> None:
    with pytest.raises(EmmError) as caught:
        fit_request(model(), {"accelerate": "squarm"}, cli_spelling)
    assert str(caught.value) == (
        "error[bad-option]: expected one of auto, squarem, anderson, newton, none, found `squarm`\n"
        " --> --accelerate\nhelp: did you mean `squarem`?"
    )
    with pytest.raises(EmmError) as caught:
        fit_request(model(), {"max_iters": 3})
    assert str(caught.value) == "error[unknown-option]: there is no option `max_iters`\nhelp: did you mean `max_iter`?"


@pytest.mark.parametrize("option", [name for name in OPTIONS if name in DEFAULTS])
def test_what_is_not_in_this_version_is_refused(option: str) -> None:
    values = OPTIONS[option]
    for value in ["3"] if values is None else sorted(values):
        with pytest.raises(EmmError) as caught:
            fit_request(model(), {option: value}, cli_spelling)
        shown = cli_spelling(option) + ("" if values is None else f" {value}")
        assert str(caught.value) == f"error[not-available]: `{shown}` is not available in this version of emdsl"
        with pytest.raises(EmmError, match="not available"):
            fit_request(model(), {option: value})


def test_what_is_refused_is_an_option() -> None:
    for option, values in OPTIONS.items():
        assert values is None or values < set(CHOICES[option])


def test_every_option_is_served_or_refused() -> None:
    """Nothing is ignored: an option that the compiler does not take has no value left that would be accepted."""
    served = FitRequest.__dataclass_fields__
    for option, default in DEFAULTS.items():
        if option not in served:
            assert option in OPTIONS
            allowed = set(CHOICES.get(option, ())) - (OPTIONS[option] or set())
            assert allowed <= {"auto", "exact", "serial", "wald"}
            assert default in (None, "auto", "wald")
