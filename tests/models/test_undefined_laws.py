"""Laws that are no number whatever the parameters are: the rows are named, and nobody is sent to look for a start."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import emdsl

INPUT = "model M\nparam m : real\nfor each row:\n    input x : real\n    observed y ~ Normal({mean}, 1)\n"
CONSTANT = "model M\nconst c = -1\nparam m : real\nfor each row:\n    observed y ~ Normal(m + sqrt(c), 1)\n"
DATA: dict[str, Any] = {"y": [1.0, 2.0, 3.0, 0.0], "x": [1.0, np.nan, -2.0, 0.0]}


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (CONSTANT, "the data"),
        (INPUT.format(mean="m*x^0.5"), "the data, row 3"),
        (INPUT.format(mean="m + x^0.5"), "the data, row 3"),
        (INPUT.format(mean="m*log(x)"), "the data, rows 3, 4"),
        (INPUT.format(mean="m/x"), "the data, row 4"),
    ],
)
def test_the_rows_are_named(text: str, place: str) -> None:
    data = {**DATA, "x": [1.0, 2.0, -2.0, 0.0]}
    with pytest.raises(emdsl.EmmError) as raised:
        emdsl.loads(text).fit(data)
    assert raised.value.code == "undefined-value"
    assert raised.value.diagnostics[0].place == place


def test_a_branch_that_is_not_taken_may_be_none() -> None:
    fit = emdsl.loads(INPUT.format(mean="m*where(x > 0, x^0.5, 0)")).fit({**DATA, "x": [1.0, 4.0, -2.0, 0.0]})
    assert fit.params["m"] == pytest.approx((1.0 + 2.0 * 2.0) / 5.0)
